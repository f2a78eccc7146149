#!/usr/bin/env bash
# Decides whether files may be attached to a ticket, from what `windmp check`
# says of them. Needs jq.
#
#   examples/upload-gate.sh FILE...
#
# One line a file on standard output, tabs between: accept, ask or reject; the
# verdict; the file; the reason. A tab, a newline and a backslash in a name are \t, \n
# and \\. The whole JSON document goes to $REPORT, to be
# attached as well, if that is set.
#
# If $SMALL names a folder, a small dump of each accepted file is written there, and
# the report of it beside it: these go into the ticket, and the large file stays. A
# line more for each: attach; the small dump; its report; the crash signature. A file
# that is a small dump is attached as it is, with what the check said of it.
#
# Exit code: 0 all accepted, 3 one rejected, 5 a person has to look at one,
# 1 a file could not be checked, 2 usage.
#
# Environment: WINDMP (windmp), MAX_SIZE (1GB), REPORT (no file), SMALL (no folder),
# SMALL_SIZE (1MiB). With SMALL there is no limit unless MAX_SIZE is given.
set -euo pipefail

windmp=${WINDMP:-windmp}
max_size=(--max-size="${MAX_SIZE:-1GB}")
if [[ -n ${SMALL:-} && -z ${MAX_SIZE:-} ]]; then
	max_size=() # the large file stays where it is
fi

if (($# == 0)); then
	echo "usage: $0 FILE..." >&2
	exit 2
fi

# 3 and 4 are verdicts, and in the document as well.
code=0
document=$("$windmp" check --json "${max_size[@]}" -- "$@") || code=$?
if ((code != 0 && code != 3 && code != 4)); then
	jq -r '"upload-gate: " + (.error.message // ([.files[].error.message // empty] | join("; ")))' <<<"$document" >&2 || true
	exit $((code == 2 ? 2 : 1))
fi
if [[ -n ${REPORT:-} ]]; then
	printf '%s\n' "$document" >"$REPORT"
fi

# A warning costs the reader something, but not the dump; what windmp does not
# know is for a person. In front, for the small dumps: the type of a dump, the signature.
rows=$(jq -r '
	{OK: "accept", WARN: "accept", UNKNOWN: "ask", FAIL: "reject"} as $decision
	| .files[]
	| [.dump.type // "-", .signature.text // "-",
		$decision[.verdict] // "ask", .verdict, .path, ((.reason // "-") | split("\n")[0])]
	| @tsv' <<<"$document")
decisions=$(cut -f3- <<<"$rows")
printf '%s\n' "$decisions"

# escaped prints a name as jq's @tsv does.
escaped() {
	local s=${1//\\/\\\\}
	s=${s//$'\t'/\\t}
	s=${s//$'\n'/\\n}
	printf '%s' "${s//$'\r'/\\r}"
}

if [[ -n ${SMALL:-} ]]; then
	while IFS=$'\t' read -r type signature decision _ file _; do
		[[ $decision == accept ]] || continue
		printf -v file '%b' "$file" # as it was before @tsv
		small=$SMALL/$(basename -- "$file").triage
		if [[ $type == triage ]]; then
			jq --arg file "$file" 'first(.files[] | select(.path == $file))' <<<"$document" >"$small.json"
			printf 'attach\t%s\t%s\t%s\n' "$(escaped "$file")" "$(escaped "$small.json")" "$signature"
			continue
		fi
		code=0
		"$windmp" convert --type=triage --size="${SMALL_SIZE:-1MiB}" --quiet --report="$small.json" -- "$file" "$small.dmp" || code=$?
		if ((code != 0)); then
			exit $((code == 3 || code == 4 ? 5 : 1)) # accepted, but no small dump: a person looks
		fi
		printf 'attach\t%s\t%s\t%s\n' "$(escaped "$small.dmp")" "$(escaped "$small.json")" "$signature"
	done <<<"$rows"
fi

if grep -q '^reject' <<<"$decisions"; then
	exit 3
fi
if grep -q '^ask' <<<"$decisions"; then
	exit 5
fi
