package physmem_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/winhdr"
)

// patch changes single bytes of a file: three bytes of patches are an offset,
// the fourth is the new byte.
func patch(file, patches []byte) []byte {
	file = bytes.Clone(file)
	for ; len(patches) >= 4; patches = patches[4:] {
		at := int(patches[0])<<16 | int(patches[1])<<8 | int(patches[2])
		file[at%len(file)] = patches[3]
	}
	return file
}

// checkReads reads all of an image, and around it: bytes or an error, and an
// error that says the right thing.
func checkReads(t *testing.T, m *physmem.Image) {
	t.Helper()
	ranges := m.Ranges()
	require.NotEmpty(t, ranges)
	buf := make([]byte, 0x5000)
	for i, r := range ranges {
		require.NotZero(t, r.Size)
		require.Greater(t, r.End(), r.Start)
		if i > 0 {
			require.Greater(t, r.Start, ranges[i-1].End())
		}
		for at := r.Start; at < min(r.End(), r.Start+0x40000); at += uint64(len(buf)) - 0x123 {
			n, err := m.ReadAt(buf, int64(at))
			require.Equal(t, n < len(buf), err != nil)
			if errors.Is(err, physmem.ErrNotInImage) {
				require.Equal(t, r.End(), at+uint64(n), "a hole only where the range ends")
			}
		}
		_, err := m.ReadAt(buf[:1], int64(r.End()))
		require.ErrorIs(t, err, physmem.ErrNotInImage)
	}
}

// FuzzKdump opens damaged kdump-compressed files, flattened or not.
func FuzzKdump(f *testing.F) {
	k := kdump{
		version: 6, runs: []run{{3, 20}, {0x40, 3}}, codec: mixed,
		notes: append(cpuNotes(1), note{"VMCOREINFO", 0, []byte("PAGEDU64")}),
	}
	plain := k.build()
	flat := flatten(append([]piece{{0x300, plain[:0x500]}}, pieces(plain, 0x1357)...))
	f.Add([]byte{}, uint32(0), false)
	f.Add([]byte{}, uint32(0x300), true)
	f.Add([]byte{0, 0, 8, 2, 0, 1, 0xa8, 9}, uint32(0), false)
	f.Add([]byte{0, 0x10, 0x30, 1, 0, 0x20, 5, 0xff}, uint32(1), true)
	f.Fuzz(func(t *testing.T, patches []byte, cut uint32, flattened bool) {
		file := plain
		if flattened {
			file = flat
		}
		file = patch(file[:len(file)-int(cut)%len(file)], patches)
		m, err := openBytes(file)
		if err != nil {
			require.Nil(t, m)
			return
		}
		if m.Format() == physmem.FormatKdump {
			checkReads(t, m)
		}
	})
}

// FuzzDMP opens damaged Windows dumps of all layouts.
func FuzzDMP(f *testing.F) {
	var files [][]byte
	for _, typ := range []winhdr.DumpType{winhdr.DumpTypeFull, winhdr.DumpTypeBitmapFull, winhdr.DumpTypeSummary} {
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
		file = patch(file[:len(file)-int(cut)%len(file)], patches)
		m, err := openBytes(file)
		if err != nil {
			require.Nil(t, m)
			return
		}
		if m.Format() != physmem.FormatDMP {
			return
		}
		require.True(t, bytes.HasPrefix(file, m.DumpHeader()))
		require.Equal(t, m.Is32(), len(m.DumpHeader()) == winhdr.Size32)
		checkReads(t, m)
		checkImage(t, m, file)
	})
}
