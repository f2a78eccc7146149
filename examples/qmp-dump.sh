#!/usr/bin/env bash
# Saves the memory of a QEMU machine through its QMP socket, and waits until it
# is saved. Needs socat and jq, and the right to open the socket.
#
#   examples/qmp-dump.sh SOCKET OUT [FORMAT]
#
# FORMAT is one that the QEMU knows: elf (default), kdump-zlib, ... QEMU creates
# OUT itself, with its own rights. It stops the guest for the time of the dump; a
# guest that was stopped stays stopped.
set -euo pipefail

if (($# < 2 || $# > 3)); then
	echo "usage: $0 SOCKET OUT [FORMAT]" >&2
	exit 2
fi
socket=$1
out=$(realpath -m -- "$2") # QEMU has another working directory
format=${3:-elf}
if [[ ! -S $socket ]]; then
	echo "qmp-dump: $socket is no socket" >&2
	exit 1
fi
if [[ -e $out ]]; then
	echo "qmp-dump: $out exists" >&2
	exit 1
fi

coproc qmp { exec socat - "UNIX-CONNECT:$socket"; }

# ask sends a command and waits for its answer, past the greeting and events.
ask() {
	local line kind
	printf '%s\n' "$1" >&"${qmp[1]}"
	while IFS= read -r line <&"${qmp[0]}"; do
		kind=$(jq -r 'if has("return") then "return" elif has("error") then "error" else "event" end' <<<"$line")
		case $kind in
		return) return 0 ;;
		error)
			jq -r '"qmp-dump: QEMU says: " + .error.desc' <<<"$line" >&2
			return 1
			;;
		esac
	done
	echo "qmp-dump: the connection ended without an answer" >&2
	return 1
}

ask '{"execute": "qmp_capabilities"}'
ask "$(jq -cn --arg file "file:$out" --arg format "$format" \
	'{execute: "dump-guest-memory", arguments: {paging: false, protocol: $file, format: $format}}')"
echo "$out"
