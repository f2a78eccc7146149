package qemutest

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	kdumpBlock = 0x1000
	descSize   = 24 // offset u64, size u32, flags u32, page flags u64
	// The BIOS is the last 256 KiB below 4 GiB.
	romFirst, romPages = 0xfffc0, 0x40
)

// kdumpView is the file that a flattened one describes.
type kdumpView struct {
	file    []byte
	records []kdumpRecord
}

// kdumpRecord says that the bytes of the view from to on are in the file from at on.
type kdumpRecord struct{ to, size, at uint64 }

func newKdumpView(t *testing.T, file []byte) *kdumpView {
	t.Helper()
	require.Equal(t, "makedumpfile", string(file[:12]))
	v := &kdumpView{file: file}
	for at := uint64(kdumpBlock); ; {
		to, size := binary.BigEndian.Uint64(file[at:]), binary.BigEndian.Uint64(file[at+8:])
		if to == ^uint64(0) {
			return v
		}
		v.records = append(v.records, kdumpRecord{to, size, at + 16})
		at += 16 + size
	}
}

// at returns the n bytes of the view from off on, one by one.
func (v *kdumpView) at(off, n uint64) []*byte {
	out := make([]*byte, n)
	for _, r := range v.records {
		for i := max(off, r.to); i < min(off+n, r.to+r.size); i++ {
			out[i-off] = &v.file[r.at+i-r.to]
		}
	}
	return out
}

func (v *kdumpView) get(off, n uint64) []byte {
	b := make([]byte, n)
	for i, p := range v.at(off, n) {
		if p != nil {
			b[i] = *p
		}
	}
	return b
}

func (v *kdumpView) put(off uint64, b []byte) {
	for i, p := range v.at(off, uint64(len(b))) {
		*p = b[i]
	}
}

// blankROM makes the pages of the BIOS pages of zeros, since their bytes are not ours:
// QEMU's filter does not work with this format. Everything else stays as QEMU wrote it;
// where the data of those pages was there are zeros that no page uses.
func blankROM(t *testing.T, file []byte) {
	t.Helper()
	le := binary.LittleEndian
	v := newKdumpView(t, file)
	header := v.get(0, 0x1d0)
	require.Equal(t, "KDUMP   ", string(header[:8]))
	bitmaps := (1 + uint64(le.Uint32(header[0x1b0:]))) * kdumpBlock
	size := uint64(le.Uint32(header[0x1b4:])) * kdumpBlock
	bitmap := v.get(bitmaps+size/2, size/2)
	below, all := uint64(0), uint64(0)
	for i, b := range bitmap {
		n := uint64(bits.OnesCount8(b))
		all += n
		if i < romFirst/8 {
			below += n
		}
	}
	require.Equal(t, below+romPages, all, "the BIOS is the last of memory")
	descs := bitmaps + size
	zero := le.AppendUint64(nil, descs+all*descSize)
	zero = le.AppendUint64(zero, kdumpBlock) // size, and flags 0: not compressed
	zero = le.AppendUint64(zero, 0)
	require.Equal(t, make([]byte, kdumpBlock), v.get(descs+all*descSize, kdumpBlock))
	for i := below; i < all; i++ {
		desc := v.get(descs+i*descSize, descSize)
		if bytes.Equal(desc, zero) {
			continue
		}
		v.put(le.Uint64(desc), make([]byte, le.Uint32(desc[8:])))
		v.put(descs+i*descSize, zero)
	}
}

// TestBlankROM: a dump of ours with the BIOS taken out.
func TestBlankROM(t *testing.T) {
	t.Parallel()
	vm := Start(t, Samples()[1].Config)
	path := filepath.Join(t.TempDir(), "kdump")
	require.NoError(t, vm.DumpKdump(path))
	file := readFile(t, path)
	before := len(file)
	blankROM(t, file)
	assert.Len(t, file, before)
	blankROM(t, file) // nothing is left to do, and everything is where it was
}
