package judge

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/dump"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/internal/guestsim"
	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
	"windmp/vtop"
)

// dumpOf is the dump of a synthetic guest.
func dumpOf(tb testing.TB, opt plan.Options) []byte {
	tb.Helper()
	return dumpOfSim(tb, guestsim.Options{CPUs: 2, BugCheck: [5]uint64{0x7e, 1, 2, 3, 4}}, opt)
}

// dumpOfSim is the dump of a synthetic guest as sim has it.
func dumpOfSim(tb testing.TB, sim guestsim.Options, opt plan.Options) []byte {
	tb.Helper()
	im, err := physmemtest.Open(guestsim.New(sim).ELF())
	require.NoError(tb, err)
	g, err := guest.Find(tb.Context(), im, guest.Options{})
	require.NoError(tb, err)
	p, err := plan.New(tb.Context(), g, opt)
	require.NoError(tb, err)
	v, err := dump.NewView(p.Layout(), p.Memory())
	require.NoError(tb, err)
	defer v.Close()
	b := make([]byte, v.Size())
	_, err = v.ReadAt(b, 0)
	require.NoError(tb, err)
	return b
}

// TestRulesFindWhatTheySay damages dumps at random: what is found, a line of the
// table says.
func TestRulesFindWhatTheySay(t *testing.T) {
	t.Parallel()
	declared := map[string]bool{}
	for _, r := range append(slices.Clone(rules), triageRules...) {
		assert.NotEmpty(t, r.about)
		for _, k := range r.finds {
			declared[k.ID()] = true
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	seen := map[string]bool{}
	for _, typ := range []plan.OutputType{plan.OutputFull, plan.OutputBitmap, plan.OutputTriage} {
		good := dumpOf(t, plan.Options{Type: typ})
		b := make([]byte, len(good))
		for range 400 {
			copy(b, good)
			for range 1 + rng.IntN(3) {
				at := rng.IntN(0x1000)
				if rng.IntN(2) == 0 {
					at = rng.IntN(len(b) - 8)
				}
				binary.LittleEndian.PutUint64(b[at:], rng.Uint64()>>rng.IntN(64))
			}
			src := physmem.NewSource("", bytes.NewReader(b), int64(len(b)))
			c := &subject{src: src, opt: Options{Input: open.Options{}, MaxSize: int64(rng.IntN(2)), Size: 2}}
			_ = c.judge(t.Context()) // a refusal is a finding
			for _, f := range c.All {
				seen[f.ID] = true
				assert.True(t, declared[f.ID] || slices.Contains([]string{finding.Malformed.ID(), finding.NotRecognised.ID()}, f.ID), "no rule says that it finds %v", f)
			}
		}
	}
	assert.Greater(t, len(seen), 12, "%v", seen)
}

// TestVerdictIsNeverNil: what is no dump has one too.
func TestVerdictIsNeverNil(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{nil, []byte("PAGEDU64"), bytes.Repeat([]byte("PAGE"), 0x800)} {
		src := physmem.NewSource("", bytes.NewReader(b), int64(len(b)))
		v, err := Dump(t.Context(), src, Options{})
		require.NotNil(t, v)
		require.Error(t, err)
	}
}

// TestDirectoryAtTheEndOfAddresses: what an image there says of its parts ends, too.
func TestDirectoryAtTheEndOfAddresses(t *testing.T) {
	t.Parallel()
	im, err := physmemtest.Open(guestsim.New(guestsim.Options{}).ELF())
	require.NoError(t, err)
	g, err := guest.Find(t.Context(), im, guest.Options{})
	require.NoError(t, err)
	a := asked{space: g.Memory().Space, bits: 1}
	const last = ^vtop.VA(physmem.PageSize - 1)
	assert.False(t, a.directory("", last, peimage.Directory{RVA: physmem.PageSize - 2, Size: 1}))
	assert.False(t, a.directory("", last, peimage.Directory{RVA: physmem.PageSize - 2, Size: 2}))
	assert.True(t, a.directory("", guestsim.KernBase, peimage.Directory{RVA: physmem.PageSize - 1, Size: 1}))
}
