package windump_test

import (
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
	"windmp/winhdr"
)

// virtualDump is a bitmap dump that exists only where it is read. Its memory is
// patternAt.
type virtualDump struct {
	head   []byte // up to the bitmap
	first  int64  // file offset of the pages
	size   int64
	bitmap func(at int64) byte
	// The bitmap has no members in these bytes of it.
	emptyFrom, emptyTo int64
	page               func(rank int64) int64 // the page of a rank
}

func (v *virtualDump) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	bitmap := int64(len(v.head))
	for i := 0; i < len(p); i++ {
		switch at := off + int64(i); {
		case at >= v.size:
			return i, io.EOF
		case at >= v.first:
			rank := (at - v.first) / physmem.PageSize
			p[i] = fixture.PatternAt(uint64(v.page(rank)*physmem.PageSize + at%physmem.PageSize))
		case at < bitmap:
			p[i] = v.head[at]
		case at-bitmap >= v.emptyFrom && at < v.emptyTo+bitmap:
			i += int(min(int64(len(p)-i), v.emptyTo+bitmap-at)) - 1
		default:
			p[i] = v.bitmap(at - bitmap)
		}
	}
	return len(p), nil
}

// heap returns the bytes in use.
func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// TestDMPHuge opens a dump of a guest of 16 TiB, with 131072 runs of one page
// and a page above page frame number 2^32: what it takes is a bit for each page
// where there are any, and next to nothing elsewhere.
func TestDMPHuge(t *testing.T) {
	const (
		bits   = 1<<32 + 1<<15
		runs   = 1 << 17 // every other page from 0 on
		total  = runs + 1
		behind = 0x2000 + winhdr.BitmapDumpSize64
		first  = (behind + bits/8 + 0xfff) &^ 0xfff
	)
	d := dmp{typ: winhdr.DumpTypeBitmapFull}
	h := winhdr.BitmapDump64{Signature: winhdr.SignatureFDMP, FirstPage: first, TotalPresentPages: total, BitmapSize: bits}
	v := &virtualDump{head: append(d.header(), h.Encode()...), first: first, size: first + total*physmem.PageSize, emptyFrom: runs / 4, emptyTo: bits/8 - 1}
	v.bitmap = func(at int64) byte {
		switch {
		case at < runs/4:
			return 0x55
		case at == bits/8-1:
			return 0x80
		default:
			return 0
		}
	}
	v.page = func(rank int64) int64 {
		if rank == runs {
			return bits - 1
		}
		return 2 * rank
	}
	before := heap()
	m, err := physmemtest.OpenReader(v, v.size, open.Options{})
	require.NoError(t, err)
	used := heap() - before
	assert.Less(t, used, uint64(64<<20))
	t.Logf("%d KiB in use", used>>10)
	assert.Empty(t, m.Oddities())

	ranges := m.Ranges()
	require.Len(t, ranges, total)
	assert.Equal(t, physmem.Range{Start: (bits - 1) * physmem.PageSize, Size: physmem.PageSize}, ranges[runs])
	p := make([]byte, physmem.PageSize)
	for _, pa := range []uint64{0, 0x2000, 2 * (runs - 1) * physmem.PageSize, (bits - 1) * physmem.PageSize} {
		_, err := m.ReadAt(p, int64(pa))
		require.NoError(t, err)
		assert.Equal(t, fixture.Pattern(pa, physmem.PageSize), p)
	}
	missing := m.Missing(physmem.Range{Start: 0, Size: 0x4000})
	assert.Equal(t, []physmem.Range{{Start: 0x1000, Size: 0x1000}, {Start: 0x3000, Size: 0x1000}}, missing)
	runtime.KeepAlive(m)
}
