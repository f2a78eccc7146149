package vmcore_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// BenchmarkReadAt reads 1 MiB over extents of several sizes.
func BenchmarkReadAt(b *testing.B) {
	const size = 1 << 20
	for _, each := range []uint64{0x1000, 0x10000, size} {
		b.Run(fmt.Sprintf("extent=%#x", each), func(b *testing.B) {
			g := &builder{notes: fixture.CPUNotes(1), memory: make([]byte, 2*size)}
			for at := uint64(0); at < size; at += each { // a gap behind each in the file
				g.loads = append(g.loads, load{paddr: at, filesz: each, memsz: each, off: 2 * at})
			}
			m := g.open(b)
			p := make([]byte, size)
			b.SetBytes(size)
			for b.Loop() {
				if _, err := m.ReadAt(p, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReadPage reads pages of a guest with many extents.
func BenchmarkReadPage(b *testing.B) {
	g := &builder{notes: fixture.CPUNotes(1), memory: make([]byte, 0x4000000)}
	for at := uint64(0); at < 0x4000000; at += 0x2000 {
		g.loads = append(g.loads, load{paddr: at, filesz: 0x1000, memsz: 0x1000, off: at})
	}
	m := g.open(b)
	p := make([]byte, 0x1000)
	b.SetBytes(0x1000)
	var pa int64
	for b.Loop() {
		if _, err := m.ReadAt(p, pa); err != nil {
			b.Fatal(err)
		}
		pa = (pa + 0x1357000) & 0x3ffe000
	}
}

// BenchmarkOpen opens a dump with 70,000 and with a million PT_LOADs.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{2, 70000, 1000000} {
		b.Run(fmt.Sprintf("loads=%d", n), func(b *testing.B) {
			file := scattered(n).build()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := physmemtest.Open(file); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRecover recovers a dump with paging on in which a million pages are
// mapped.
func BenchmarkRecover(b *testing.B) {
	const n = 1000000
	q := &machine{blocks: rs{r(0, 0x100000000), r(0x140000000, 0x340000000)}}
	for i := range uint64(n) {
		pa := i * 0x2000
		if pa >= 0x100000000 {
			pa += 0x40000000
		}
		q.loads = append(q.loads, load{vaddr: 1<<47 + 2*pa, paddr: pa, filesz: 0x1000, memsz: 0x1000, off: i * 0x2000})
	}
	bld := q.builder()
	bld.memorySize = q.size()
	head := bld.build()
	size := int64(bld.memoryOffset()+q.size()) + int64(len(shstrtab))
	file := fixture.Sparse{Head: bytes.Clone(head[:len(head)-len(shstrtab)]), Size: size}
	for b.Loop() {
		m, err := physmemtest.OpenReader(file, size, open.Options{})
		require.NoError(b, err)
		m, _ = m.Recover(q.blocks)
		require.Len(b, m.Ranges(), 2)
	}
}
