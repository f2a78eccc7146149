package vmcore_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	partial := &builder{ // as a filter leaves it: bytes, not pages
		notes:  fixture.CPUNotes(1),
		loads:  []load{{paddr: 0x200123, filesz: 0x1777, memsz: 0x1777}, {paddr: 0x300000, filesz: 1, memsz: 1, off: 0x1777}},
		memory: append(fixture.Pattern(0x200123, 0x1777), fixture.PatternAt(0x300000)),
	}
	large := &builder{
		notes:  fixture.CPUNotes(1),
		loads:  []load{{paddr: 0x1000, filesz: 0x90000, memsz: 0x90000}},
		memory: fixture.Pattern(0x1000, 0x90000),
	}
	for name, c := range map[string]struct {
		b    *builder
		want []physmem.Range
	}{
		"two blocks":  {twoBlocks(1), []physmem.Range{{Start: 0, Size: 0x5000}, {Start: 0x10000, Size: 0x3000}}},
		"bytes":       {partial, []physmem.Range{{Start: 0x200123, Size: 0x1777}, {Start: 0x300000, Size: 1}}},
		"large range": {large, []physmem.Range{{Start: 0x1000, Size: 0x90000}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := c.b.open(t)
			require.NoError(t, physmemtest.Test(m, c.want, fixture.PatternAt))
			require.Error(t, physmemtest.Test(m, c.want[:1:1][:0], fixture.PatternAt), "the check itself must fail on other ranges")
			require.Error(t, physmemtest.Test(m, c.want, func(pa uint64) byte { return fixture.PatternAt(pa) + 1 }))
		})
	}
}

// TestReadAcrossExtents reads over memory that is adjacent in the guest and not
// in the file.
func TestReadAcrossExtents(t *testing.T) {
	t.Parallel()
	b := &builder{
		notes: fixture.CPUNotes(1),
		loads: []load{
			{paddr: 0x3000, filesz: 0x1000, memsz: 0x1000, off: 0},
			{paddr: 0x1000, filesz: 0x2000, memsz: 0x2000, off: 0x1000},
		},
		memory: append(fixture.Pattern(0x3000, 0x1000), fixture.Pattern(0x1000, 0x2000)...),
	}
	m := b.open(t)
	assert.Len(t, slices.Collect(m.Extents(0)), 2)
	require.NoError(t, physmemtest.Test(m, []physmem.Range{{Start: 0x1000, Size: 0x3000}}, fixture.PatternAt))
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	file := twoBlocks(1).build()
	f := &fixture.Flaky{ReaderAt: bytes.NewReader(file)}
	m, err := physmemtest.OpenReader(f, int64(len(file)), open.Options{})
	require.NoError(t, err)
	off := slices.Collect(m.Extents(0))[1].Offset

	bad := errors.New("input/output error")
	f.Fail(bad)
	n, err := m.ReadAt(make([]byte, 0x100), 0x10000)
	assert.Equal(t, 0x80, n)
	require.ErrorIs(t, err, bad)
	require.NotErrorIs(t, err, physmem.ErrNotInImage)
	var re *physmem.ReadError
	require.ErrorAs(t, err, &re)
	assert.Equal(t, off+0x80, re.Offset)

	// A file that became shorter is not the end of memory.
	f.Fail(io.EOF)
	_, err = m.ReadAt(make([]byte, 0x100), 0x10000)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotErrorIs(t, err, io.EOF)
	require.NotErrorIs(t, err, physmem.ErrNotInImage)
}

func TestReadAtAllocatesNothing(t *testing.T) {
	m := twoBlocks(1).open(t)
	p := make([]byte, 0x800)
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := m.ReadAt(p, 0x10400); err != nil {
			t.Fatal(err)
		}
	})
	assert.Zero(t, allocs)
}

func TestMissing(t *testing.T) {
	t.Parallel()
	m := twoBlocks(1).open(t)
	type rs = []physmem.Range
	for _, c := range []struct {
		in   physmem.Range
		want rs
	}{
		{physmem.Range{Start: 0, Size: 0x5000}, nil},
		{physmem.Range{Start: 0x4fff, Size: 2}, rs{{Start: 0x5000, Size: 1}}},
		{physmem.Range{Start: 0x6000, Size: 0x1000}, rs{{Start: 0x6000, Size: 0x1000}}},
		{physmem.Range{Start: 0xffff, Size: 0x3002}, rs{{Start: 0xffff, Size: 1}, {Start: 0x13000, Size: 1}}},
		{physmem.Range{Start: 0x10000, Size: 0}, nil},
		{physmem.Range{Start: 0xffffffffffffffff, Size: 2}, nil},
	} {
		assert.Equal(t, c.want, m.Missing(c.in), "%v", c.in)
	}
}
