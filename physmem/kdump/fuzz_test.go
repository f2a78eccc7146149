package kdump_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// FuzzKdump opens damaged kdump-compressed files, flattened or not, with blocks of 4 and
// of 64 KiB.
func FuzzKdump(f *testing.F) {
	k := kdump{
		version: 6, runs: []run{{3, 20}, {0x40, 3}}, codec: mixed,
		notes: append(fixture.CPUNotes(1), fixture.NewNote("VMCOREINFO", 0, []byte("PAGEDU64"))),
	}
	plain := k.build()
	k.block, k.codec, k.noZero = 0x10000, func(uint64) uint32 { return zstdPage }, true
	large := k.build()
	flat := flatten(append([]piece{{0x300, plain[:0x500]}}, pieces(plain, 0x1357)...))
	files := [][]byte{plain, flat, large}
	f.Add([]byte{}, uint32(0), uint8(0))
	f.Add([]byte{}, uint32(0x300), uint8(1))
	f.Add([]byte{0, 0, 8, 2, 0, 1, 0xa8, 9}, uint32(0), uint8(0))
	f.Add([]byte{0, 0x10, 0x30, 1, 0, 0x20, 5, 0xff}, uint32(1), uint8(1))
	f.Add([]byte{0, 0, 8, 2, 0, 1, 0xa8, 9}, uint32(0x10), uint8(2))
	f.Fuzz(func(t *testing.T, patches []byte, cut uint32, which uint8) {
		file := files[int(which)%len(files)]
		file = fixture.Patch(file[:len(file)-int(cut)%len(file)], patches)
		m, err := physmemtest.Open(file)
		if err != nil {
			require.Nil(t, m)
			return
		}
		if m.Format() == physmem.FormatKdump {
			fixture.CheckReads(t, m)
		}
	})
}
