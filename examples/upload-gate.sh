#!/usr/bin/env bash
# Decides whether files may be attached to a ticket, from what `windmp check`
# says of them. Needs jq.
#
#   examples/upload-gate.sh FILE...
#
# One line a file on standard output, tabs between: accept, ask or reject; the
# verdict; the file; the reason. The whole JSON document goes to $REPORT, to be
# attached as well, if that is set.
#
# Exit code: 0 all accepted, 3 one rejected, 5 a person has to look at one,
# 1 a file could not be checked, 2 usage.
#
# Environment: WINDMP (windmp), MAX_SIZE (1GB), REPORT (no file).
set -euo pipefail

windmp=${WINDMP:-windmp}
max_size=${MAX_SIZE:-1GB}

if (($# == 0)); then
	echo "usage: $0 FILE..." >&2
	exit 2
fi

# 3 and 4 are verdicts, and in the document as well.
code=0
document=$("$windmp" check --json --max-size="$max_size" -- "$@") || code=$?
if ((code != 0 && code != 3 && code != 4)); then
	jq -r '"upload-gate: " + (.error.message // ([.files[].error.message // empty] | join("; ")))' <<<"$document" >&2 || true
	exit $((code == 2 ? 2 : 1))
fi
if [[ -n ${REPORT:-} ]]; then
	printf '%s\n' "$document" >"$REPORT"
fi

# A warning costs the reader something, but not the dump; what windmp does not
# know is for a person.
decisions=$(jq -r '
	{OK: "accept", WARN: "accept", UNKNOWN: "ask", FAIL: "reject"} as $decision
	| .files[]
	| [$decision[.verdict] // "ask", .verdict, .path, ((.reason // "-") | split("\n")[0])]
	| @tsv' <<<"$document")
printf '%s\n' "$decisions"

if grep -q '^reject' <<<"$decisions"; then
	exit 3
fi
if grep -q '^ask' <<<"$decisions"; then
	exit 5
fi
