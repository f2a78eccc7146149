package windump_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
	"windmp/winhdr"
)

// FuzzDMP opens damaged Windows dumps of all layouts.
func FuzzDMP(f *testing.F) {
	var files [][]byte
	for _, typ := range []winhdr.DumpType{winhdr.DumpTypeFull, winhdr.DumpTypeBitmapFull, winhdr.DumpTypeSummary, winhdr.DumpTypeLiveKernel, winhdr.DumpTypeLiveComplete} {
		for _, is32 := range []bool{false, true} {
			d := dmp{typ: typ, runs: []run{{3, 2}, {0x40, 3}}, is32: is32}
			files = append(files, d.build())
		}
	}
	for i := range files {
		f.Add([]byte{}, uint32(0), uint8(i))
		f.Add([]byte{0, 0x20, 0x30, 9, 0, 0x20, 0x22, 1}, uint32(0x1234), uint8(i))
	}
	f.Add([]byte{0, 0, 0x98, 4, 0, 0, 0xa8, 3, 0, 0, 0x88, 3}, uint32(1), uint8(0))
	f.Fuzz(func(t *testing.T, patches []byte, cut uint32, which uint8) {
		file := files[int(which)%len(files)]
		file = fixture.Patch(file[:len(file)-int(cut)%len(file)], patches)
		m, err := physmemtest.Open(file)
		if err != nil {
			require.Nil(t, m)
			return
		}
		if m.Format() != physmem.FormatDMP {
			return
		}
		require.True(t, bytes.HasPrefix(file, m.DumpHeader()))
		if m.Machine() != "" {
			require.Equal(t, m.Machine() == physmem.MachineX86, len(m.DumpHeader()) == winhdr.X86.Size())
		}
		fixture.CheckReads(t, m)
		fixture.CheckImage(t, m, file)
	})
}
