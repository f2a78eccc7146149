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

type rs = []physmem.Range

// page is a mapping of one page.
func page(pa uint64) physmem.Range { return r(pa, pa+0x1000) }

// TestRecover has for each rule a file in which it is needed, and one in which
// it must not be used.
func TestRecover(t *testing.T) {
	t.Parallel()
	const low, gib4, high = 0x2000000, 0x100000000, 0x4000000
	runs := rs{r(0x1000, 0x9f000), r(0x100000, low-0x20000)}
	highRuns := rs{runs[0], runs[1], r(gib4, gib4+high)}
	for name, c := range map[string]struct {
		blocks rs
		filter *physmem.Range
		mapped rs
		ram    rs
		want   rs // what is placed, nil if it is nothing
		left   rs // what of ram is still missing
	}{
		"between pieces of one block, no RAM known": {
			blocks: rs{r(0, low)}, mapped: rs{page(0x5000), page(0x9000)},
			want: rs{r(0, 0x5000), r(0x6000, 0x9000)},
		},
		"no VGA: one page says it all": {
			blocks: pc(false, low, 0), mapped: rs{page(0x5000)}, ram: runs,
			want: rs{r(0, 0x5000), r(0x6000, 0x9f000)}, left: rs{r(0x100000, low-0x20000)},
		},
		"no VGA: a page in the first and in the second run": {
			blocks: pc(false, low, 0), mapped: rs{page(0x5000), page(0x200000)}, ram: runs,
			want: rs{r(0, 0x5000), r(0x6000, 0x200000), r(0x201000, low-0x20000)},
		},
		"VGA: a page in each run": {
			blocks: pc(true, low, 0), mapped: rs{page(0x5000), page(0x200000)}, ram: runs,
			want: rs{r(0, 0x5000), r(0x6000, 0x9f000), r(0x100000, 0x200000), r(0x201000, low-0x20000)},
		},
		"VGA: nothing in the first run": {
			blocks: pc(true, low, 0), mapped: rs{page(0x200000)}, ram: runs,
			want: rs{r(0x100000, 0x200000), r(0x201000, low-0x20000)}, left: runs[:1],
		},
		"VGA and high memory: a page in each run": {
			blocks: pc(true, low, high), mapped: rs{page(0x5000), page(0x200000), page(gib4 + 0x7000)}, ram: highRuns,
			want: rs{
				r(0, 0x5000), r(0x6000, 0x9f000), r(0x100000, 0x200000), r(0x201000, low-0x20000),
				r(gib4, gib4+0x7000), r(gib4+0x8000, gib4+high),
			},
		},
		"nothing in high memory": {
			blocks: pc(true, low, high), mapped: rs{page(0x5000), page(0x200000)}, ram: highRuns,
			want: rs{r(0, 0x5000), r(0x6000, 0x9f000), r(0x100000, 0x200000), r(0x201000, low-0x20000)},
			left: rs{r(gib4, gib4+high)},
		},
		"the given RAM fills the gap": {
			blocks: rs{r(0, 0x5000), r(0x8000, 0x9000), r(0xc000, 0x20000)}, mapped: rs{r(0, 0x5000), r(0xd000, 0x20000)},
			ram:  rs{r(0x8000, 0x9000), r(0xc000, 0xd000)},
			want: rs{r(0x8000, 0x9000), r(0xc000, 0xd000)},
		},
		"it nearly fills it": {
			blocks: rs{r(0, 0x5000), r(0x8000, 0x9000), r(0xc000, 0x20000)}, mapped: rs{r(0, 0x5000), r(0xd000, 0x20000)},
			ram: rs{r(0x8000, 0x9000)}, left: rs{r(0x8000, 0x9000)},
		},
		"RAM that cannot be: more than the file's bytes": {
			blocks: rs{r(0, 0x5000), r(0xc000, 0x20000)}, mapped: rs{r(0, 0x4000), r(0xd000, 0x20000)},
			ram: rs{r(0, 0x9000)}, left: rs{r(0x4000, 0x9000)},
		},
		"a header says where the block ends": {
			blocks: rs{r(0, 0x5000), r(0xc000, 0x20000)}, mapped: rs{r(0x3000, 0x9000), page(0x18000)},
			ram:  rs{r(0, 0x7000)},
			want: rs{r(0, 0x3000)}, left: rs{r(0x5000, 0x7000)},
		},
		"adjacent blocks": {
			blocks: rs{r(0, 0x5000), r(0x5000, 0x20000)}, mapped: rs{r(0x3000, 0x9000), page(0x18000)},
			ram:  rs{r(0, 0x20000)},
			want: rs{r(0, 0x3000), r(0x5000, 0x18000), r(0x19000, 0x20000)},
		},
		"filter: first block cut below the RAM": {
			blocks: rs{r(0, low)}, filter: &physmem.Range{Start: 0x5123, Size: 0x10000}, mapped: rs{page(0x8000)},
			ram:  rs{r(0x1000, 0x9f000)},
			want: rs{r(0x5123, 0x8000), r(0x9000, 0x15123)}, left: rs{r(0x1000, 0x5123), r(0x15123, 0x9f000)},
		},
		"filter: a whole block less": {
			blocks: pc(true, low, 0), filter: &physmem.Range{Start: 0x9f800, Size: 0x1000000}, mapped: rs{page(0x200000)},
			ram:  runs,
			want: rs{r(0x100000, 0x200000), r(0x201000, 0x109f800)},
			left: rs{r(0x1000, 0x9f000), r(0x109f800, low-0x20000)},
		},
		"RAM given twice, unsorted, wrapping, empty": {
			blocks: rs{r(0, low)}, mapped: rs{page(0x5000)},
			ram:  rs{{Start: ^uint64(0), Size: 5}, r(0x8000, 0x9000), r(0x1000, 0x8000), {Start: 0x100, Size: 0}, r(0x1000, 0x3000)},
			want: rs{r(0, 0x5000), r(0x6000, 0x9000)}, left: rs{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := &machine{blocks: c.blocks, filter: c.filter}
			for _, x := range c.mapped {
				q.mapped(x.Start, x.Size)
			}
			m := q.open(t)
			require.NoError(t, q.wrong(m), "the test itself")
			stated := slices.Collect(m.Extents(0))
			assert.Equal(t, c.want, place(&m, c.ram))
			require.NoError(t, q.wrong(m))
			if c.left == nil || len(c.left) > 0 {
				assert.Equal(t, c.left, missing(m, c.ram))
			}
			assert.Nil(t, place(&m, c.ram), "a second time")
			// What the headers said is still there as it was.
			var still []physmem.Extent
			for _, e := range slices.Collect(m.Extents(0)) {
				if !e.Recovered {
					still = append(still, e)
				}
			}
			assert.Equal(t, stated, still)
		})
	}
}

// TestRecoverOtherFiles has files that look like QEMU's paged dumps but for one
// thing: nothing is placed.
func TestRecoverOtherFiles(t *testing.T) {
	t.Parallel()
	paged := func() *builder {
		return &builder{
			notes: fixture.CPUNotes(1),
			loads: []load{
				{vaddr: 1 << 47, paddr: 0x5000, filesz: 0x1000, memsz: 0x1000, off: 0x5000},
				{vaddr: 2 << 47, paddr: 0x9000, filesz: 0x1000, memsz: 0x1000, off: 0x9000},
			},
			memory: fixture.Pattern(0, 0x10000),
		}
	}
	m := paged().open(t)
	assert.Contains(t, m.Describe(), "(paging on)")
	require.Equal(t, rs{r(0, 0x5000), r(0x6000, 0x9000)}, place(&m, nil), "the file that all others are made of")
	for name, change := range map[string]func(b *builder){
		"paging off": func(b *builder) {
			for i := range b.loads {
				b.loads[i].vaddr = b.loads[i].paddr
			}
		},
		"p_vaddr 0":       func(b *builder) { b.loads[0].vaddr, b.loads[1].vaddr = 0, 0 },
		"not by QEMU":     func(b *builder) { b.notes = []fixture.Note{fixture.CoreNote(0, 0)} },
		"notes last":      func(b *builder) { b.notesLast = true },
		"two notes":       func(b *builder) { b.twoNotes = true },
		"bias rises":      func(b *builder) { b.loads[1].off++ },
		"file order":      func(b *builder) { b.loads[1].off = 0x2000 },
		"headers clash":   func(b *builder) { b.loads[1].paddr = 0x5800 },
		"below the notes": func(b *builder) { b.loads[0].off = ^uint64(0x10) },
		"all described": func(b *builder) {
			b.loads = append(b.loads, load{vaddr: 1, paddr: 0, filesz: 0x10000, memsz: 0x10000})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := paged()
			change(b)
			m := b.open(t)
			assert.Nil(t, place(&m, rs{r(0, 0x10000)}))
			assert.Nil(t, m.Candidates(rs{r(0, 0x10000)}))
			assert.Nil(t, try(m, physmem.Candidate{}))
			assert.Nil(t, adopt(&m, physmem.Candidate{}))
			for x, err := range m.Mappings() {
				assert.Fail(t, "there are no mappings", "%v, %v", x, err)
			}
		})
	}
}

// TestRecoverTruncated cuts a paged file: the rest is recovered up to its end.
func TestRecoverTruncated(t *testing.T) {
	t.Parallel()
	b := &builder{
		notes:  fixture.CPUNotes(1),
		loads:  []load{{vaddr: 1, paddr: 0x5000, filesz: 0x1000, memsz: 0x1000, off: 0x5000}, {vaddr: 1, paddr: 0xf000, filesz: 0x1000, memsz: 0x1000, off: 0xf000}},
		memory: fixture.Pattern(0, 0x10000),
	}
	file := b.build()
	m, err := physmemtest.Open(file[:b.memoryOffset()+0x8080])
	require.NoError(t, err)
	assert.Equal(t, rs{r(0, 0x5000), r(0x6000, 0x8080)}, place(&m, rs{r(0x1000, 0x10000)}))
	p := make([]byte, 0x80)
	_, err = m.ReadAt(p, 0x8000)
	require.NoError(t, err)
	assert.Equal(t, fixture.Pattern(0x8000, 0x80), p)
}

// place gives m the memory that is certain, and returns what was placed.
func place(m **physmem.Image, ram []physmem.Range) []physmem.Range {
	view, placed := (*m).Recover(ram)
	*m = view
	return placed
}

// adopt gives m the memory of a candidate, and returns what was placed.
func adopt(m **physmem.Image, c physmem.Candidate) []physmem.Range {
	view, placed := (*m).Adopt(c)
	*m = view
	return placed
}

// try returns a view with a candidate's memory, nil if it contradicts what is known.
func try(m *physmem.Image, c physmem.Candidate) *physmem.Image {
	view, placed := m.Adopt(c)
	if len(placed) == 0 {
		return nil
	}
	return view
}
