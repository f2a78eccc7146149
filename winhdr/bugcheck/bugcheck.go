// Package bugcheck knows the bug checks of Windows: their names, and what they and their
// parameters mean.
package bugcheck

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

//go:embed bugchecks.txt
var text string

// names is the table of bugchecks.txt.
var names = sync.OnceValue(func() map[uint32]string {
	list := map[uint32]string{}
	for line := range strings.Lines(text) {
		code, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		v, err := strconv.ParseUint(code, 16, 32)
		if ok && err == nil {
			list[uint32(v)] = name
		}
	}
	return list
})

// LiveSystemDump is LIVE_SYSTEM_DUMP (Microsoft, Bug Check Code
// Reference), the code of a dump of a system that did not crash. QEMU
// writes it too (dump/win_dump.c).
const LiveSystemDump = 0x161

// Miniature marks the code that the header of a small memory dump states where it shows
// the exception's CONTEXT, as in 0x1000007e. The bug check was the one without this bit
// (bugcodes.h, the names that end in _M).
const Miniature = 0x10000000

// Word is a bug check code as the guest passed it on, by a header's field and
// the padding behind it, which is the upper half of a word of 64 bits: a code that is
// an NTSTATUS, such as 0xc000021a, arrives there with its sign extended. Any other
// upper half is no part of the code, which has 32 bits.
func Word(code, pad uint32) uint64 {
	if word := uint64(pad)<<32 | uint64(code); int64(word) == int64(int32(code)) { //nolint:gosec // the sign is the point
		return word
	}
	return uint64(code)
}

// Name is the symbolic name of a bug check code, such as
// "IRQL_NOT_LESS_OR_EQUAL"; empty for a code that Microsoft's lists do not
// have, as drivers may invent their own.
func Name(code uint32) string { return names()[code] }

// Meaning says what a bug check and its parameters mean.
type Meaning struct {
	// Summary is one sentence.
	Summary string
	// Parameters are the meanings of the four; empty for one that has none, or
	// whose meaning depends on another.
	Parameters [4]string
}

// MeaningOf explains the more common bug checks; false for the rest.
func MeaningOf(code uint32) (Meaning, bool) {
	m, ok := meanings[code]
	if !ok && code&Miniature != 0 {
		m, ok = meanings[code&^uint32(Miniature)]
	}
	return m, ok
}
