package vmcore_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

func TestLoads(t *testing.T) {
	t.Parallel()
	type ext struct{ pa, size, off uint64 } // off from the start of memory
	const top = 1 << 52
	for name, c := range map[string]struct {
		loads []load
		want  []ext
		odd   []physmem.OddityKind
	}{
		"adjacent, offsets go on: joined": {
			loads: []load{{paddr: 0x1000, filesz: 0x1000, memsz: 0x1000, off: 0}, {paddr: 0x2000, filesz: 0x1000, memsz: 0x1000, off: 0x1000}},
			want:  []ext{{0x1000, 0x2000, 0}},
		},
		"adjacent, offsets do not": {
			loads: []load{{paddr: 0x1000, filesz: 0x1000, memsz: 0x1000, off: 0x1000}, {paddr: 0x2000, filesz: 0x1000, memsz: 0x1000, off: 0}},
			want:  []ext{{0x1000, 0x1000, 0x1000}, {0x2000, 0x1000, 0}},
		},
		"not sorted": {
			loads: []load{{paddr: 0x3000, filesz: 0x1000, memsz: 0x1000, off: 0x2000}, {paddr: 0x1000, filesz: 0x1000, memsz: 0x1000, off: 0}},
			want:  []ext{{0x1000, 0x1000, 0}, {0x3000, 0x1000, 0x2000}},
		},
		"aliases: the same memory twice": {
			loads: []load{
				{vaddr: 0xffff800000000000, paddr: 0x1000, filesz: 0x1000, memsz: 0x1000, off: 0},
				{vaddr: 0xffff900000000000, paddr: 0x1000, filesz: 0x1000, memsz: 0x1000, off: 0},
			},
			want: []ext{{0x1000, 0x1000, 0}},
		},
		"overlapping in agreement, out of order": {
			loads: []load{
				{paddr: 0x2000, filesz: 0x3000, memsz: 0x3000, off: 0x1000},
				{paddr: 0x1000, filesz: 0x2000, memsz: 0x2000, off: 0},
				{paddr: 0x3000, filesz: 0x1000, memsz: 0x1000, off: 0x2000},
			},
			want: []ext{{0x1000, 0x4000, 0}},
		},
		"conflict: the first in the file wins": {
			loads: []load{
				{paddr: 0x2000, filesz: 0x1000, memsz: 0x1000, off: 0x4000},
				{paddr: 0x1000, filesz: 0x3000, memsz: 0x3000, off: 0},
			},
			want: []ext{{0x1000, 0x1000, 0}, {0x2000, 0x1000, 0x4000}, {0x3000, 0x1000, 0x2000}},
			odd:  []physmem.OddityKind{physmem.OddityConflict},
		},
		"filesz below memsz is no memory": {
			loads: []load{{paddr: 0x1000, filesz: 0x1800, memsz: 0x4000}},
			want:  []ext{{0x1000, 0x1800, 0}},
		},
		"filesz 0": {
			loads: []load{{paddr: 0xfee00000, memsz: 0x1000, off: ^uint64(0)}, {paddr: 0x1000, filesz: 0x1000, memsz: 0x1000}},
			want:  []ext{{0x1000, 0x1000, 0}},
		},
		"filesz above memsz": {
			loads: []load{{paddr: 0x5000, filesz: 0x1000, memsz: 0xfff}, {paddr: 0x1000, filesz: 0x1000, memsz: 0x1000}},
			want:  []ext{{0x1000, 0x1000, 0}},
			odd:   []physmem.OddityKind{physmem.OddityBadSegment},
		},
		"offset wraps": {
			loads: []load{{paddr: 0x5000, filesz: ^uint64(0), memsz: ^uint64(0), off: 0x1000}, {paddr: 0x1000, filesz: 0x1000, memsz: 0x1000}},
			want:  []ext{{0x1000, 0x1000, 0}},
			odd:   []physmem.OddityKind{physmem.OddityBadSegment},
		},
		"address wraps": {
			loads: []load{{paddr: ^uint64(0) - 0xfff, filesz: 0x2000, memsz: 0x2000}, {paddr: 0x1000, filesz: 0x1000, memsz: 0x1000}},
			want:  []ext{{0x1000, 0x1000, 0}},
			odd:   []physmem.OddityKind{physmem.OddityBadSegment},
		},
		"up to the last physical address": {
			loads: []load{{paddr: top - 0x1000, filesz: 0x1000, memsz: 0x1000}, {paddr: top, filesz: 1, memsz: 1}},
			want:  []ext{{top - 0x1000, 0x1000, 0}},
			odd:   []physmem.OddityKind{physmem.OddityBadSegment},
		},
		"offset behind the end of the file": {
			loads: []load{{paddr: 0x5000, filesz: 0x1000, memsz: 0x1000, off: 1 << 62}, {paddr: 0x1000, filesz: 0x1000, memsz: 0x1000}},
			want:  []ext{{0x1000, 0x1000, 0}},
			odd:   []physmem.OddityKind{physmem.OddityTruncated},
		},
		"offset above an int64": {
			loads: []load{{paddr: 0x5000, filesz: 0x1000, memsz: 0x1000, off: 1 << 63}, {paddr: 0x1000, filesz: 0x1000, memsz: 0x1000}},
			want:  []ext{{0x1000, 0x1000, 0}},
			odd:   []physmem.OddityKind{physmem.OddityTruncated},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &builder{notes: fixture.CPUNotes(1), loads: c.loads, memory: fixture.Pattern(0, 0x6000)}
			m := b.open(t)
			var want []physmem.Extent
			for _, e := range c.want {
				want = append(want, physmem.Extent{
					Range:  physmem.Range{Start: e.pa, Size: e.size},
					Offset: int64(b.memoryOffset() + e.off),
				})
			}
			assert.Equal(t, want, slices.Collect(m.Extents(0)))
			assert.Equal(t, c.odd, fixture.Kinds(m))
		})
	}
}

// TestTruncated cuts the file in the second block.
func TestTruncated(t *testing.T) {
	t.Parallel()
	b := twoBlocks(1)
	file := b.build()
	cut := b.memoryOffset() + 0x5000 + 0x1234
	m, err := physmemtest.Open(file[:cut])
	require.NoError(t, err)
	assert.Equal(t, []physmem.Range{{Start: 0, Size: 0x5000}, {Start: 0x10000, Size: 0x1234}}, m.Ranges())
	require.Equal(t, []physmem.OddityKind{physmem.OddityTruncated}, fixture.Kinds(m))
	assert.Contains(t, m.Oddities()[0].Detail, "1 program header")
	assert.Equal(t, "the file is cut: 7.4 of 33 KiB are missing", m.Oddities()[0].Text)
	assert.Contains(t, m.Oddities()[0].Detail, "it ends at file offset 0x66cc, its memory would at 0x8498; 0x1dcc bytes of ")
}

// TestOdditiesAreCapped keeps a file of nonsense from making a report of it.
func TestOdditiesAreCapped(t *testing.T) {
	t.Parallel()
	b := twoBlocks(1)
	for range 1000 {
		b.loads = append(b.loads, load{paddr: 1 << 60, filesz: 1, memsz: 1})
	}
	m := b.open(t)
	require.Len(t, m.Oddities(), 17)
	assert.Equal(t, "bad-segment: and 984 more like these (file offset 0x0)", m.Oddities()[16].String())
}

func TestOddityKindNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for k := physmem.OddityTruncated; k <= physmem.OddityLimit; k++ {
		assert.NotContains(t, k.String(), "oddity-")
		assert.False(t, seen[k.String()])
		seen[k.String()] = true
	}
	assert.Equal(t, "oddity-77", physmem.OddityKind(77).String())
}
