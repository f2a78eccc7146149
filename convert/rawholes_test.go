package convert_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// rawFile is the memory of a guest as one flat file without what lies between
// its blocks, or with zeros there. It takes no space.
type rawFile struct {
	g      *guestsim.Guest
	zeroed bool
}

func (f rawFile) size() int64 {
	end, sum := uint64(0), uint64(0)
	for _, b := range f.g.RAM() {
		end, sum = b.End(), sum+b.Size
	}
	if f.zeroed {
		return int64(end)
	}
	return int64(sum)
}

func (f rawFile) ReadAt(p []byte, off int64) (int, error) {
	at := uint64(off)
	for _, b := range f.g.RAM() {
		switch {
		case f.zeroed && at < b.Start:
			n := min(uint64(len(p)), b.Start-at)
			clear(p[:n])
			return f.rest(p, off, int(n))
		case f.zeroed && at < b.End():
			n, err := f.g.Memory().ReadAt(p[:min(uint64(len(p)), b.End()-at)], int64(at))
			if err != nil {
				return n, err
			}
			return f.rest(p, off, n)
		case !f.zeroed && at < b.Size:
			n, err := f.g.Memory().ReadAt(p[:min(uint64(len(p)), b.Size-at)], int64(b.Start+at))
			if err != nil {
				return n, err
			}
			return f.rest(p, off, n)
		case !f.zeroed:
			at -= b.Size
		}
	}
	return 0, nil
}

func (f rawFile) rest(p []byte, off int64, n int) (int, error) {
	if n == len(p) {
		return n, nil
	}
	more, err := f.ReadAt(p[n:], off+int64(n))
	return n + more, err
}

// TestRawHole: the hole of raw memory is the one with which the guest's table of
// memory is all there.
func TestRawHole(t *testing.T) {
	t.Parallel()
	const gib, mib = 1 << 30, 1 << 20
	type ranges = []guestsim.Range
	r := func(start, size uint64) guestsim.Range { return guestsim.Range{Start: start, Size: size} }
	pc := ranges{r(0, 3*gib), r(4*gib, 600*mib)}
	for _, tc := range []struct {
		name      string
		ram, runs ranges
		zeroed    bool
		want      []physmem.Range
		who       string
	}{
		{"no hole", ranges{r(0, gib)}, nil, false, []physmem.Range{{Size: gib}}, ""},
		{"pc", pc, nil, false, []physmem.Range{{Size: 3 * gib}, {Start: 4 * gib, Size: 600 * mib}}, "QEMU's pc machine, VMware"},
		{"pc, all in high memory", pc, pc[1:], false, []physmem.Range{{Size: 3 * gib}, {Start: 4 * gib, Size: 600 * mib}}, "QEMU's pc machine, VMware"},
		{"pc, hole of zeros", pc, nil, true, []physmem.Range{{Size: 4*gib + 600*mib}}, ""},
		{
			"q35",
			ranges{r(0, 2*gib), r(4*gib, gib)},
			nil, false,
			[]physmem.Range{{Size: 2 * gib}, {Start: 4 * gib, Size: gib}},
			"QEMU's q35 machine",
		},
		{
			"VirtualBox",
			ranges{r(0, 0xe0000000), r(4*gib, gib)},
			nil, false,
			[]physmem.Range{{Size: 0xe0000000}, {Start: 4 * gib, Size: gib}},
			"VirtualBox",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			runs := tc.runs
			if runs == nil {
				for _, b := range tc.ram { // without the first page, as firmware has it
					runs = append(runs, r(b.Start+0x1000, b.Size-0x1000))
				}
			}
			g := guestsim.New(guestsim.Options{RAM: tc.ram, Runs: runs})
			file := rawFile{g, tc.zeroed}
			im, err := physmemtest.OpenReader(file, file.size(), open.Options{Format: physmem.FormatRaw})
			require.NoError(t, err)
			// The root is given so that not all of the file is read.
			got, err := guest.Find(context.Background(), im, guest.Options{DTB: g.DTB})
			require.NoError(t, err)
			assert.Equal(t, tc.want, got.Image().Ranges())
			assert.Len(t, got.Runs(), len(runs))
			var holes []finding.Finding
			for _, f := range got.Findings() {
				if f.ID == finding.RawHole.ID() {
					holes = append(holes, f)
				}
			}
			if tc.who == "" {
				assert.Empty(t, holes)
				return
			}
			require.Len(t, holes, 1)
			assert.Equal(t, finding.SeverityInfo, holes[0].Severity)
			assert.Contains(t, holes[0].Message, "as "+tc.who+" do: the guest's table of memory is all there with it")
		})
	}
}
