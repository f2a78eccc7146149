package kdump_test

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// Flags of pages (makedumpfile diskdump_mod.h, DUMP_DH_COMPRESSED_*).
const (
	rawPage    = 0
	zlibPage   = 1
	lzoPage    = 2
	snappyPage = 4
	zstdPage   = 0x20
)

// repeatAt is the byte at a physical address of memory that compresses: each
// page repeats 16 bytes of its own, and every fifth one is zeros.
func repeatAt(pa uint64) byte {
	page := pa / physmem.PageSize
	if page%5 == 4 {
		return 0
	}
	return fixture.PatternAt(page*16 + pa%16)
}

// repeated returns a page of size bytes of repeatAt.
func repeated(page, size uint64) []byte {
	b := make([]byte, 0, size)
	for pa := page * size; pa < (page+1)*size; pa += physmem.PageSize {
		one := make([]byte, 16)
		for i := range one {
			one[i] = repeatAt(pa + uint64(i))
		}
		b = append(b, bytes.Repeat(one, physmem.PageSize/16)...)
	}
	return b
}

// isRepeated reports whether p is the memory of repeatAt at an address that begins a page.
func isRepeated(p []byte, pa uint64) bool {
	for ; len(p) > 0; pa += physmem.PageSize {
		n := min(len(p), physmem.PageSize)
		if !bytes.Equal(p[:n], repeated(pa/physmem.PageSize, physmem.PageSize)[:n]) {
			return false
		}
		p = p[n:]
	}
	return true
}

// compressPage compresses a page of repeatAt; by lzo it must have 4 KiB.
func compressPage(page []byte, flags uint32) []byte {
	switch flags {
	case zlibPage:
		var b bytes.Buffer
		w := zlibWriters.Get().(*zlib.Writer) //nolint:errcheck,forcetypeassert // the pool holds nothing else
		defer zlibWriters.Put(w)
		w.Reset(&b)
		if _, err := w.Write(page); err != nil {
			panic(err)
		}
		if err := w.Close(); err != nil {
			panic(err)
		}
		return b.Bytes()
	case lzoPage:
		// LZO1X: 16 literals, a match of 4080 bytes at distance 16, the end
		// (Linux Documentation/staging/lzo.rst).
		b := append([]byte{17 + 16}, page[:16]...)
		b = append(b, 0x20)
		b = append(b, make([]byte, 15)...)
		return append(b, 4080-2-31-15*255, (16-1)<<2, 0, 0x11, 0, 0)
	case snappyPage:
		return snappy.Encode(nil, page)
	case zstdPage:
		return zstdEncoder.EncodeAll(page, nil)
	default:
		return page
	}
}

// zlibWriters pack as QEMU does (dump/dump.c, Z_BEST_SPEED).
var zlibWriters = sync.Pool{New: func() any {
	w, err := zlib.NewWriterLevel(nil, zlib.BestSpeed)
	if err != nil {
		panic(err)
	}
	return w
}}

var zstdEncoder = func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return e
}()

// kdump lays out a kdump-compressed file as QEMU and makedumpfile do: header,
// sub header and notes, two bitmaps, descriptors, data, of which the first page
// is that of zeros. Its memory is repeatAt.
type kdump struct {
	version uint32
	runs    []run
	codec   func(page uint64) uint32 // nil: zlib
	notes   []fixture.Note
	info    []byte // payload of vmcoreinfo without a note
	noZero  bool   // zeros are pages like others
	block   int    // 0: kdumpBlock
	// mutate changes the file before it is returned. at says where the parts
	// are.
	mutate func(file []byte, at kdumpLayout)
}

// kdumpLayout is where the parts of a built file are.
type kdumpLayout struct{ bitmap1, bitmap2, descs, data int }

const kdumpBlock = 0x1000

// build returns the file, rearranged.
func (k *kdump) build() []byte {
	le := binary.LittleEndian
	block := cmp.Or(k.block, kdumpBlock)
	size, count := uint64(0), 0
	for _, r := range k.runs {
		size = max(size, r.BasePage+r.PageCount)
		count += int(r.PageCount)
	}
	bitmapBlocks := (int(size+7)/8 + block - 1) / block
	var notes []byte
	for _, n := range k.notes {
		notes = append(notes, n.Encode()...)
	}
	notesAt := block + 0x68
	infoAt := notesAt + len(notes)
	subBlocks := (0x68 + len(notes) + len(k.info) + block - 1) / block

	var at kdumpLayout
	at.bitmap1 = (1 + subBlocks) * block
	at.bitmap2 = at.bitmap1 + bitmapBlocks*block
	at.descs = at.bitmap2 + bitmapBlocks*block
	at.data = at.descs + 24*count
	f := make([]byte, at.data)

	copy(f, "KDUMP   ")
	le.PutUint32(f[8:], k.version)
	copy(f[0xc+4*65:], "x86_64")
	le.PutUint32(f[0x1ac:], uint32(block))
	le.PutUint32(f[0x1b0:], uint32(subBlocks))
	le.PutUint32(f[0x1b4:], uint32(2*bitmapBlocks))
	le.PutUint32(f[0x1b8:], uint32(size))
	le.PutUint32(f[0x1cc:], 1)
	sub := f[block:]
	le.PutUint32(sub[8:], 1)
	if len(k.info) > 0 {
		le.PutUint64(sub[0x20:], uint64(infoAt))
		le.PutUint64(sub[0x28:], uint64(len(k.info)))
	}
	le.PutUint64(sub[0x30:], uint64(notesAt))
	le.PutUint64(sub[0x38:], uint64(len(notes)))
	le.PutUint64(sub[0x60:], size)
	copy(f[notesAt:], notes)
	copy(f[infoAt:], k.info)

	if !k.noZero {
		f = append(f, make([]byte, block)...)
	}
	d := at.descs
	status := uint32(0)
	for _, r := range k.runs {
		for p := r.BasePage; p < r.BasePage+r.PageCount; p++ {
			f[at.bitmap1+int(p/8)] |= 1 << (p % 8)
			f[at.bitmap2+int(p/8)] |= 1 << (p % 8)
			page, flags, off := repeated(p, uint64(block)), uint32(zlibPage), len(f)
			if k.codec != nil {
				flags = k.codec(p)
			}
			if !k.noZero && bytes.Count(page, []byte{0}) == len(page) {
				flags, off = rawPage, at.data
			} else {
				page = compressPage(page, flags)
				f = append(f, page...)
			}
			le.PutUint64(f[d:], uint64(off))
			le.PutUint32(f[d+8:], uint32(len(page)))
			le.PutUint32(f[d+12:], flags)
			d += 24
			status |= flags
		}
	}
	le.PutUint32(f[0x1a8:], status)
	if k.mutate != nil {
		k.mutate(f, at)
	}
	return f
}

func (k *kdump) open(tb testing.TB) *physmem.Image {
	tb.Helper()
	m, err := physmemtest.Open(k.build())
	require.NoError(tb, err)
	return m
}

// piece is a record of a flattened file.
type piece struct {
	off  int
	data []byte
}

// pieces cuts a file to records of a size.
func pieces(file []byte, each int) []piece {
	var out []piece
	for at := 0; at < len(file); at += each {
		out = append(out, piece{at, file[at:min(at+each, len(file))]})
	}
	return out
}

// flatten writes a flattened file.
func flatten(list []piece) []byte {
	be := binary.BigEndian
	f := make([]byte, kdumpBlock)
	copy(f, "makedumpfile")
	be.PutUint64(f[16:], 1)
	be.PutUint64(f[24:], 1)
	for _, p := range list {
		f = be.AppendUint64(f, uint64(p.off))
		f = be.AppendUint64(f, uint64(len(p.data)))
		f = append(f, p.data...)
	}
	f = be.AppendUint64(f, ^uint64(0))
	return be.AppendUint64(f, ^uint64(0))
}
