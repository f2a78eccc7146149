package windump_test

import (
	"cmp"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
	"windmp/winhdr"
)

// rangeTypes are the dumps whose pages a table of ranges lists.
var rangeTypes = []winhdr.DumpType{winhdr.DumpTypeLiveKernel, winhdr.DumpTypeLiveKernelUser, winhdr.DumpTypeLiveComplete}

// TestRangesOutOfOrder: the pages lie in the table's order, whatever that is; a complete
// dump may have page 0.
func TestRangesOutOfOrder(t *testing.T) {
	t.Parallel()
	for _, typ := range rangeTypes {
		d := dmp{typ: typ, runs: []run{{0x200, 3}, {0x10, 2}, {0x1ff, 1}}}
		if typ == winhdr.DumpTypeLiveComplete {
			d.runs = append(d.runs, run{0, 4})
		}
		m := d.open(t)
		assert.Empty(t, fixture.Untried(t, m))
		require.NoError(t, physmemtest.Test(m, fixture.AsRanges(sortedRuns(d.runs)), fixture.PatternAt))
	}
}

// sortedRuns are runs in the order of their addresses.
func sortedRuns(runs []run) physmem.Runs {
	var list physmem.Runs
	for _, r := range runs {
		list = append(list, physmem.Run(r))
	}
	slices.SortFunc(list, func(a, b physmem.Run) int { return cmp.Compare(a.BasePage, b.BasePage) })
	return list
}

// TestRangesOdd: what is odd is told, and what is there is used.
func TestRangesOdd(t *testing.T) {
	t.Parallel()
	le := binary.LittleEndian
	runs := []run{{2, 3}, {0x40, 2}, {0x41, 3}}
	for _, c := range []struct {
		what  string
		types []winhdr.DumpType
		table func(b []byte)
		runs  []run
		held  []physmem.Range
		want  string
	}{
		{"overlapping ranges", rangeTypes, nil, runs, []physmem.Range{{Start: 0x2000, Size: 0x3000}, {Start: 0x40000, Size: 0x4000}}, "conflict: several ranges of the header have the same pages"},
		{"another size", rangeTypes, func(b []byte) { b[0x10]++ }, runs[:2], nil, "count: the header of the ranges disagrees"},
		{"another count", rangeTypes[2:], func(b []byte) { b[0x28] += 9 }, runs[:2], nil, "count: the header of the ranges counts 14 pages, they have 5"},
		{"a smaller count", rangeTypes[2:], func(b []byte) { b[0x28] = 3 }, runs[:2], []physmem.Range{{Start: 0x2000, Size: 0x3000}}, ""},
		{"a page that can't be", rangeTypes, func(b []byte) { le.PutUint64(b[0x40:], 1<<40) }, runs[:2], []physmem.Range{{Start: 0x2000, Size: 0x3000}}, "bad-segment: range 1 of the header"},
		{"a count that wraps", rangeTypes, func(b []byte) { le.PutUint64(b[0x48:], 1<<63) }, runs[:2], []physmem.Range{{Start: 0x2000, Size: 0x3000}}, "bad-segment: range 1"},
		{"no end", rangeTypes, func(b []byte) {
			for at := 0x60; at < len(b); at += 16 {
				le.PutUint64(b[at:], 0x1000)
			}
		}, runs, nil, "conflict"},
	} {
		for _, typ := range c.types {
			d := dmp{typ: typ, runs: c.runs, table: c.table}
			m := d.open(t)
			if c.held != nil {
				assert.Equal(t, c.held, m.Ranges(), "%s, type %v", c.what, typ)
			}
			if c.want == "" {
				assert.Empty(t, fixture.Untried(t, m), "%s, type %v", c.what, typ)
				continue
			}
			odd := fixture.Untried(t, m)
			require.NotEmpty(t, odd, "%s, type %v", c.what, typ)
			assert.Contains(t, odd[0].String(), c.want, "%s, type %v", c.what, typ)
		}
	}
}

// TestRangesRefused: numbers that lead nowhere.
func TestRangesRefused(t *testing.T) {
	t.Parallel()
	for _, typ := range rangeTypes {
		good := dmp{typ: typ, runs: []run{{2, 3}}}
		file := good.build()
		put := func(at int, v uint64) func(b []byte) {
			return func(b []byte) { binary.LittleEndian.PutUint64(b[at:], v) }
		}
		for want, change := range map[string]func(b []byte){
			`signatures at file offset 0x2000: got 0x504d4446 0x504d5544, want "RDMP" and "DUMP"`: func(b []byte) { b[0x2004] = 'F' },
			"FirstPage at file offset 0x2000: got 0x1000, want 0x2030 or more":                    put(0x2018, 0x1000),
			"the file is cut: it ends after 24 KiB":                                               put(0x2018, 1<<63),
			"got 0 ranges: none of them says what memory the file holds":                          func(b []byte) { clear(b[0x2020:0x3000]) },
		} {
			b := append([]byte{}, file...)
			change(b)
			_, err := physmemtest.Open(b)
			var format *physmem.FormatError
			require.ErrorAs(t, err, &format)
			assert.Contains(t, err.Error(), want)
		}
		for cut := 0x2000; cut <= 0x3000; cut += 0x10 {
			_, err := physmemtest.Open(file[:cut])
			var format *physmem.FormatError
			require.ErrorAs(t, err, &format)
			assert.Contains(t, err.Error(), "the file is cut: it ends after ")
			assert.Equal(t, file[:0x2000], format.DumpHeader)
		}
		m, err := physmemtest.Open(file[:0x4800])
		require.NoError(t, err)
		assert.Equal(t, []physmem.Range{{Start: 0x2000, Size: 0x1800}}, m.Ranges())
		assert.Equal(t, "the file is cut: 6.0 of 24 KiB are missing", m.Cut())
	}
}
