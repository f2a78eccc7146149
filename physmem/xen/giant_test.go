package xen_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// giant is the core of a guest of 64 GiB: what a small one is in front of its pages, the
// pages, and behind them their numbers, with a hole of the usual place in each.
type giant struct {
	head, tail []byte // of the small core
	pages      uint64
	frame      func(i uint64) uint64
}

// frames is where the numbers begin.
func (g *giant) frames() uint64 { return uint64(len(g.head)) + g.pages<<12 }
func (g *giant) size() uint64   { return g.frames() + 8*g.pages + uint64(len(g.tail)) }

func (g *giant) ReadAt(p []byte, off int64) (int, error) {
	for n := range p {
		switch at := uint64(off) + uint64(n); {
		case at < uint64(len(g.head)):
			p[n] = g.head[at]
		case at < g.frames():
			p[n] = 0
		case at < g.frames()+8*g.pages:
			i := at - g.frames()
			if i%8 == 0 && len(p)-n >= 8 {
				le.PutUint64(p[n:], g.frame(i/8))
			}
		case at < g.size():
			p[n] = g.tail[at-g.frames()-8*g.pages]
		default:
			return n, io.EOF
		}
	}
	return len(p), nil
}

func newGiant(pages uint64, frame func(i uint64) uint64) *giant {
	small := &coretest.Xen{CPUs: guest().CPUs, Pages: []coretest.XenPage{page(0, 0)}}
	file := small.Core()
	first := le.Uint64(file[sectionAt(5)+24:])
	g := &giant{head: bytes.Clone(file[:first]), tail: file[le.Uint64(file[sectionAt(1)+24:]):], pages: pages, frame: frame}
	le.PutUint64(g.head[0x230:], pages)
	le.PutUint64(g.head[sectionAt(5)+32:], pages<<12)
	le.PutUint64(g.head[sectionAt(6)+24:], g.frames())
	le.PutUint64(g.head[sectionAt(6)+32:], 8*pages)
	le.PutUint64(g.head[sectionAt(1)+24:], g.frames()+8*pages)
	return g
}

// TestGiant: opening the core of a large guest takes memory by the runs of its pages, not
// by their number.
func TestGiant(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a table of 16 million entries")
	}
	const pages = 64 << 30 >> 12
	g := newGiant(pages, func(i uint64) uint64 {
		if i >= 0xf0000 {
			return i + 0x10000
		}
		return i
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := physmemtest.OpenReader(g, int64(g.size()), open.Options{})
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	assert.Empty(t, m.Oddities())
	assert.Equal(t, []physmem.Range{{Size: 0xf0000000}, {Start: 1 << 32, Size: 64<<30 - 0xf0000000}}, m.Ranges())
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2<<20), "bytes that were allocated at all")
}

// TestScattered: a guest in more pieces than are kept is refused, with bounded memory.
func TestScattered(t *testing.T) {
	if testing.Short() {
		t.Skip("keeps a million pieces")
	}
	g := newGiant(4<<20, func(i uint64) uint64 { return 2 * i })
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := physmemtest.OpenReader(g, int64(g.size()), open.Options{})
	runtime.ReadMemStats(&after)
	var format *physmem.FormatError
	require.ErrorAs(t, err, &format)
	assert.Contains(t, err.Error(), "memory in more than 0x100000 pieces")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(400<<20))
	t.Logf("%d MiB were allocated in all, %d MiB from the system", (after.TotalAlloc-before.TotalAlloc)>>20, (after.Sys-before.Sys)>>20)
}
