package convert_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/convert/cause"
	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/internal/guestsim"
)

// neverSaid is what no sentence for people has: values in hexadecimal, which are the
// detail, a second line, names of temporary files, and what was forgotten to be filled in.
var neverSaid = []string{"0x", "\n", "windmp-part", "open: open", "<nil>", "%!", "ZgotmplZ"}

// assertSaid: findings say to people what they read.
func assertSaid(t *testing.T, findings []finding.Finding) {
	t.Helper()
	for i := range findings {
		f := &findings[i]
		assertSentence(t, f.ID, f.Message)
		assertSentence(t, f.ID, f.Advice)
		assert.NotContains(t, f.Detail, "<nil>", f.ID)
	}
}

// assertSaidOf: so does the cause of an error.
func assertSaidOf(t *testing.T, err error) {
	t.Helper()
	c := cause.Of(err)
	assertSentence(t, "error", c.Sentence)
	assertSentence(t, "hint", c.Hint)
}

func assertSentence(t *testing.T, of, said string) {
	t.Helper()
	for _, never := range neverSaid {
		if strings.Contains(said, never) {
			assert.Fail(t, "not for people", "%s has %q: %s", of, never, said)
		}
	}
}

// TestSaidOfDamage: whatever is cut from a core, or wrong in its tables, in the note, in
// page tables and in the kernel's structures, is said in words.
func TestSaidOfDamage(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(14, 1))
	for _, opt := range []guestsim.Options{{CPUs: 2}, {BugCheck: [5]uint64{0x7e, 1, 2, 3, 4}}, {Encoded: true, File: guestsim.FileOptions{NoGuestNote: true}}} {
		core := guestsim.New(opt).ELF()
		for range 12 {
			assertSaidOfBytes(t, core[:random.IntN(len(core))])
		}
		for range 40 {
			at := random.IntN(min(len(core), 1<<random.IntN(20)+64) - 8)
			was := [8]byte(core[at:])
			for i := range was {
				core[at+i] = byte(random.Uint32())
			}
			assertSaidOfBytes(t, core)
			copy(core[at:], was[:])
		}
	}
}

// assertSaidOfBytes checks a file in memory, and what is said of it.
func assertSaidOfBytes(t *testing.T, b []byte) {
	t.Helper()
	f := checkBytes(b, inspect.CheckQuick)
	assertSaid(t, f.Findings)
	assertSentence(t, "reason", f.Reason)
	assertSaidOf(t, f.Err)
}
