package convert_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/report"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// TestCaseRawTable: the hole of raw memory is in the guest's own table.
func TestCaseRawTable(t *testing.T) {
	t.Parallel()
	raw := caseFile(t, "M11.raw")
	opt := convert.Options{}
	opt.Source.Input.Format = physmem.FormatRaw
	r, err := convert.File(t.Context(), raw, raw+".dmp", opt)
	require.NoError(t, err)
	f := findingOf(r, finding.RawHoleListed.ID())
	require.NotNil(t, f)
	assert.Contains(t, f.Detail, "[0x400000, 0x100000000)")
	dmp, err := os.ReadFile(raw + ".dmp")
	require.NoError(t, err)
	assert.Equal(t, physmem.Run{BasePage: 0x100000, PageCount: 0x200}, listedIn(t, dmp)[2])
}

// findRaw looks for a guest in raw memory without its holes, with its root given.
func findRaw(t *testing.T, g *guestsim.Guest, size int64) (*guest.Guest, error) {
	t.Helper()
	im, err := physmemtest.OpenReader(rawFile{g, false}, size, open.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	return guest.Find(t.Context(), im, guest.Options{DTB: g.DTB})
}

// TestRawTable: raw memory of machines whose holes nobody knows, one and more, with
// memory below each that firmware keeps to itself.
func TestRawTable(t *testing.T) {
	t.Parallel()
	const gib, mib = 1 << 30, 1 << 20
	type ranges = []guestsim.Range
	r := func(start, size uint64) guestsim.Range { return guestsim.Range{Start: start, Size: size} }
	for _, tc := range []struct {
		name      string
		ram, runs ranges
		unsure    bool
	}{
		{"hugetlbfs", ranges{r(0, 16*mib), r(4*gib, mib)}, ranges{r(0x1000, 0x9e000), r(mib, 14*mib), r(4*gib, mib)}, false},
		{"a part at the end is not listed", ranges{r(0, 16*mib), r(4*gib, mib)}, ranges{r(0x1000, 0x9e000), r(mib, 15*mib), r(4*gib, mib-0x4000)}, true},
		{"high", ranges{r(0, 24*mib), r(64*gib, 2*mib)}, ranges{r(0x1000, 24*mib-0x3000), r(64*gib, 2*mib)}, false},
		{
			"two",
			ranges{r(0, 16*mib), r(4*gib, mib), r(16*gib, mib)},
			ranges{r(0x1000, 15*mib), r(4*gib, mib), r(16*gib, mib)},
			false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			found := 0
			for seed := range uint64(12) {
				g := guestsim.New(guestsim.Options{CPUs: 2, BugCheck: crash, RAM: tc.ram, Runs: tc.runs, Seed: seed})
				size := rawFile{g, false}.size()
				got, err := findRaw(t, g, size)
				require.NoError(t, err)
				want := physmem.Normalize(rangesOf(tc.ram))
				if tc.unsure && len(got.Image().Ranges()) == 1 {
					continue // nothing that is seen lies behind the hole: it stays missing
				}
				found++
				assert.Equal(t, want, got.Image().Ranges(), "seed %d", seed)
				assert.Len(t, got.Runs(), len(tc.runs))
				var said bool
				for _, f := range got.Findings() {
					said = said || f.ID == finding.RawHoleListed.ID()
				}
				assert.True(t, said)
			}
			assert.True(t, found == 12 || tc.unsure && found > 3, "%d", found)
		})
	}
}

func rangesOf(list []guestsim.Range) []physmem.Range {
	out := make([]physmem.Range, 0, len(list))
	for _, r := range list {
		out = append(out, physmem.Range(r))
	}
	return out
}

// TestRawEndsEarly: raw memory that was cut off falls under what is said of missing
// memory, as any source does.
func TestRawEndsEarly(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	for _, cut := range []int{0x5000, 0x1234, 0x40000} {
		t.Run(fmt.Sprintf("%#x bytes less", cut), func(t *testing.T) {
			ram := []guestsim.Range{{Start: 0, Size: size}}
			var g *guestsim.Guest
			for seed := range uint64(20) {
				g = guestsim.New(guestsim.Options{CPUs: 2, BugCheck: crash, RAM: ram, Runs: []guestsim.Range{{Start: 0x1000, Size: 0x9e000}, {Start: 1 << 20, Size: size - 1<<20}}, Seed: seed})
				if end := g.ReadPhys(size-0x41000, 0x41000); bytes.Equal(end, make([]byte, len(end))) {
					break // nothing of the guest lies there
				}
			}
			file := g.ReadPhys(0, size-cut)
			opt := convert.Options{}
			opt.Source.Input.Format = physmem.FormatRaw
			_, r, err := convertBytes(t, file, opt)
			var refused *finding.RefusedError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, finding.Missing.ID(), refused.Finding.ID)
			assert.Equal(t, uint64(cut), r.Memory.Missing)

			opt.Plan.Missing = report.MissingZero
			dmp, r, err := convertBytes(t, file, opt)
			require.NoError(t, err)
			assert.NotNil(t, findingOf(r, finding.MissingZeroed.ID()))
			assert.Len(t, dmp, 0x2000+0x9e000+size-1<<20)
			opt.Plan.Missing = report.MissingDrop
			_, r, err = convertBytes(t, file, opt)
			require.NoError(t, err)
			assert.Equal(t, uint64(cut+0xfff)&^0xfff, r.Memory.Dropped)
			assert.Nil(t, findingOf(r, finding.RawHoleListed.ID()))
		})
	}
}
