package vmcore_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

func TestCandidates(t *testing.T) {
	t.Parallel()
	const low, gib4, high = 0x2000000, 0x100000000, 0x4000000
	type cand struct {
		ram    physmem.Range
		off    uint64 // from the start of memory
		likely bool
		why    string
	}
	for name, c := range map[string]struct {
		blocks, mapped, ram rs
		want                []cand
	}{
		"VGA, nothing mapped below it": {
			blocks: pc(true, low, 0), mapped: rs{page(0x200000)}, ram: rs{r(0x1000, 0x9f000), r(0x100000, low-0x20000)},
			want: []cand{
				{r(0x1000, 0x9f000), 0x1000, true, "the file's memory begins at physical address 0"},
				{r(0x1000, 0x9f000), 0, false, "the file has nothing but the given RAM between the memory below and it"},
			},
		},
		"no high memory mapped": {
			blocks: pc(true, low, high), mapped: rs{page(0x5000), page(0x200000)},
			ram: rs{r(0x1000, 0x9f000), r(0x100000, low), r(gib4, gib4+high)},
			want: []cand{
				{r(gib4, gib4+high), low - 0x20000 + 0x1040000, false, "the file's memory ends with the given RAM"},
				{r(gib4, gib4+high), low - 0x20000, false, "the file has nothing but the given RAM between the memory below and it"},
			},
		},
		"RAM in reserved memory below a large hole": {
			blocks: pc(false, low, high), mapped: rs{page(0x5000), r(0x1000000, 0x1800000), page(gib4)},
			ram: rs{r(0x1000, 0x1800000), r(0x1810000, 0x1900000)},
			want: []cand{
				{r(0x1810000, 0x1900000), 0x1810000, true, "the memory below goes on to it without a hole"},
				{r(0x1810000, 0x1900000), 0x1800000, false, "the file has nothing but the given RAM between the memory below and it"},
			},
		},
		"RAM above a large hole": {
			blocks: rs{r(0, 0x5000), r(0x100000, 0x120000)}, mapped: rs{r(0, 0x4000), r(0x110000, 0x120000)},
			ram: rs{r(0x108000, 0x10f000)},
			want: []cand{
				{r(0x108000, 0x10f000), 0xd000, true, "the memory above goes down to it without a hole"},
				{r(0x108000, 0x10f000), 0xe000, false, "the file has nothing but the given RAM between it and the memory above"},
			},
		},
		"nothing left":           {blocks: rs{r(0, low)}, mapped: rs{page(0), page(low - 0x1000)}, ram: rs{r(0, low)}},
		"more RAM than there is": {blocks: rs{r(0, 0x5000), r(0x9000, 0xa000)}, mapped: rs{page(0), page(0x9000)}, ram: rs{r(0x2000, 0x8000)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := &machine{blocks: c.blocks}
			for _, x := range c.mapped {
				q.mapped(x.Start, x.Size)
			}
			m := q.open(t)
			m, _ = m.Recover(c.ram)
			var got []cand
			for _, x := range m.Candidates(c.ram) {
				assert.True(t, x.Recovered)
				got = append(got, cand{x.Range, uint64(x.Offset) - q.builder().memoryOffset(), x.Likely, x.Why})
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestTryAndAdopt(t *testing.T) {
	t.Parallel()
	q := &machine{blocks: pc(true, 0x2000000, 0)}
	q.mapped(0x200000, 0x1000)
	q.mapped(0x300000, 0x1000)
	m := q.open(t)
	ram := rs{r(0x1000, 0x9f000), r(0x100000, 0x1fe0000)}
	m, _ = m.Recover(ram)
	before := m.Ranges()
	c := m.Candidates(ram)[0]
	require.True(t, c.Likely)

	view := try(m, c)
	require.NotNil(t, view)
	_, err := view.ReadAt(make([]byte, 0x1000), 0x5000)
	require.NoError(t, err)
	_, err = m.ReadAt(make([]byte, 0x1000), 0x5000)
	require.ErrorIs(t, err, physmem.ErrNotInImage)
	assert.Equal(t, before, m.Ranges())
	require.NoError(t, view.Close(), "closes nothing")
	assert.Equal(t, m.CPUs(), view.CPUs())

	assert.Equal(t, rs{c.Range}, adopt(&m, c))
	require.NoError(t, q.wrong(m))
	assert.Nil(t, adopt(&m, c), "it is there")
	assert.Nil(t, try(m, c))
	// Page 0 is now below memory of the same bias, and above nothing.
	assert.Equal(t, rs{r(0, 0x1000)}, place(&m, ram))
	require.NoError(t, q.wrong(m))

	e := slices.Collect(m.Extents(0))[2]
	for name, bad := range map[string]physmem.Extent{
		"empty":            {Range: physmem.Range{Start: 0xa0000}, Offset: e.Offset},
		"negative offset":  {Range: physmem.Range{Start: 0xa0000, Size: 1}, Offset: -1},
		"wraps":            {Range: physmem.Range{Start: 0xa0000, Size: ^uint64(0)}, Offset: e.Offset},
		"in the notes":     {Range: physmem.Range{Start: 0xa0000, Size: 1}, Offset: 0x200},
		"behind memory":    {Range: physmem.Range{Start: 1 << 40, Size: 1}, Offset: m.FileSize() - 1},
		"bias rises":       {Range: physmem.Range{Start: 0x9f000, Size: 0x1000}, Offset: slices.Collect(m.Extents(0))[1].Offset + 0x9e000 + 0x10},
		"over known bytes": {Range: physmem.Range{Start: 0x9f000, Size: 0x10}, Offset: slices.Collect(m.Extents(0))[1].Offset},
	} {
		assert.Nil(t, adopt(&m, physmem.Candidate{Extent: bad}), name)
	}
}

func TestMappings(t *testing.T) {
	t.Parallel()
	q := &machine{blocks: pc(true, 0x2000000, 0)}
	q.mapped(0x200000, 0x1000)
	q.mapped(0x9f000, 0x2000)
	m := q.open(t)
	var got []physmem.Mapping
	for x, err := range m.Mappings() {
		require.NoError(t, err)
		got = append(got, x)
	}
	want := []physmem.Mapping{
		{VA: 0xffff800000600000, PA: 0x200000, Size: 0x1000},
		{VA: 0xffff8000001dd000, PA: 0x9f000, Size: 0x2000},
	}
	assert.Equal(t, want, got)
	for _, err := range m.Mappings() {
		require.NoError(t, err)
		break
	}
}
