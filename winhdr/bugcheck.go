package winhdr

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

//go:embed bugchecks.txt
var bugChecksText string

// bugCheckNames is the table of bugchecks.txt.
var bugCheckNames = sync.OnceValue(func() map[uint32]string {
	names := map[uint32]string{}
	for line := range strings.Lines(bugChecksText) {
		code, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		v, err := strconv.ParseUint(code, 16, 32)
		if ok && err == nil {
			names[uint32(v)] = name
		}
	}
	return names
})

// bugCheckMiniature marks the code of a small memory dump (0x1000007e), whose
// bug check was the one without this bit (bugcodes.h, the names that end in
// _M).
const bugCheckMiniature = 0x10000000

// BugCheckWord is a bug check code as the guest passed it on, by a header's field and
// the padding behind it, which is the upper half of a word of 64 bits: a code that is
// an NTSTATUS, such as 0xc000021a, arrives there with its sign extended. Any other
// upper half is no part of the code, which has 32 bits.
func BugCheckWord(code, pad uint32) uint64 {
	if word := uint64(pad)<<32 | uint64(code); int64(word) == int64(int32(code)) { //nolint:gosec // the sign is the point
		return word
	}
	return uint64(code)
}

// BugCheckName is the symbolic name of a bug check code, such as
// "IRQL_NOT_LESS_OR_EQUAL"; empty for a code that Microsoft's lists do not
// have, as drivers may invent their own.
func BugCheckName(code uint32) string { return bugCheckNames()[code] }

// BugCheckMeaning says what a bug check and its parameters mean.
type BugCheckMeaning struct {
	// Summary is one sentence.
	Summary string
	// Parameters are the meanings of the four; empty for one that has none, or
	// whose meaning depends on another.
	Parameters [4]string
}

// MeaningOf explains the more common bug checks; false for the rest.
func MeaningOf(code uint32) (BugCheckMeaning, bool) {
	m, ok := bugCheckMeanings[code]
	if !ok && code&bugCheckMiniature != 0 {
		m, ok = bugCheckMeanings[code&^uint32(bugCheckMiniature)]
	}
	return m, ok
}
