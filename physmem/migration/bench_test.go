package migration_test

import (
	"encoding/binary"
	"io"
	"runtime"
	"testing"

	"windmp/physmem"
	"windmp/physmem/migration"
)

// giant is a stream of a stopped guest of so many pages, made while it is read: every
// fourth page is zeros. Its records are 8 + 4096 and 8 + 1 bytes.
type giant struct {
	head, tail []byte
	pages      int64
}

const (
	group     = 4 // pages, of which the last one is zeros
	groupSize = 3*(8+4096) + 8 + 1
)

func newGiant(pages int64) *giant {
	var w, end writer
	w.begin("pc-q35-9.0")
	w.start(blockSize{name: "pc.ram", size: pages << 12})
	w.u8(3)
	w.u32(ramID)
	w.page("pc.ram", 0, make([]byte, 4096))
	end.u64(0x10)
	end.footer(ramID)
	low := min(pages, 2<<18)
	end.clock(int(low)*4, int(pages-low)*4)
	return &giant{head: w.Bytes(), tail: end.end(), pages: pages}
}

func (g *giant) size() int64 { return int64(len(g.head)+len(g.tail)) + g.pages/group*groupSize }

func (g *giant) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	n := 0
	if off < int64(len(g.head)) {
		n = copy(p, g.head[off:])
	}
	tail := g.size() - int64(len(g.tail))
	for n < len(p) && off+int64(n) < tail {
		at := off + int64(n) - int64(len(g.head))
		i, in := at/groupSize, at%groupSize
		k := min(in/4104, 3)
		word := uint64(i*group+k) << 12
		if k == 3 {
			word |= 0x22
		} else {
			word |= 0x28
		}
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], word)
		size := int64(4104)
		if k == 3 {
			size = 9
		}
		if within := in - k*4104; within < 8 {
			copy(p[n:], b[within:])
			n += int(size - within)
		} else {
			n += int(size - within)
		}
	}
	n = min(n, len(p))
	if at := off + int64(n) - tail; n < len(p) && at >= 0 && at < int64(len(g.tail)) {
		n += copy(p[n:], g.tail[at:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// BenchmarkOpen opens the stream of a stopped guest of 4 GiB; the index of one of 64 GiB
// takes sixteen times as much.
func BenchmarkOpen(b *testing.B) {
	g := newGiant(1 << 20)
	b.SetBytes(g.size())
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		c, err := migration.Opener().Open(b.Context(), physmem.NewSource("", g, g.size()))
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
		runtime.KeepAlive(c)
	}
}

// BenchmarkRead reads memory in the blocks of the copy.
func BenchmarkRead(b *testing.B) {
	var w writer
	file, memory := small(&w)
	m, err := migration.Opener().Open(b.Context(), physmem.NewSource("", readerAt(file), int64(len(file))))
	if err != nil {
		b.Fatal(err)
	}
	const block = 256 << 10
	buf := make([]byte, block)
	b.SetBytes(int64(len(memory)) / block * block)
	for b.Loop() {
		for at := 0; at+block <= len(memory); at += block {
			if _, err := m.Memory.ReadAt(buf, int64(at)); err != nil {
				b.Fatal(err)
			}
		}
	}
}

type readerAt []byte

func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	if n := copy(p, r[off:]); n < len(p) {
		return n, io.EOF
	}
	return len(p), nil
}
