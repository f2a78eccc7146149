package vtop

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// TestRootSurvey: what FindRoots finds in memory, it finds in the pages that are
// possible there, also when these were looked for where the memory lay lower.
func TestRootSurvey(t *testing.T) {
	t.Parallel()
	const shift = 0x4000
	shared := VA(0xfffff780_00000000)
	pae, ofPAE := newPAE()
	legacy, ofLegacy := newLegacy()
	self, arm, mapping := make(flat, 0x20000), make(flat, 0x20000), make(flat, 0x20000)
	self.set64(0x7000+8*0x1ed, 0x7063)
	arm.set64(0x8000+8*0x151, 0x8f03)
	for i, index := range []int{0x1ef, 0, 0, 0} {
		mapping.set64(0x9000+i<<12+8*index, uint64(0xa000+i<<12|3))
	}
	all := []Wanted{{[]*Mode{X64, LA57}, []VA{shared}}, {[]*Mode{PAE, X86}, nil}, {[]*Mode{ARM64}, nil}}
	for _, tc := range []struct {
		name   string
		mem    flat
		wanted int // of all
		want   Root
	}{
		{"PAE", pae, 1, ofPAE},
		{"X86", legacy, 1, ofLegacy},
		{"X64", self, 0, Root{0x7000, X64, RootSelfMap}},
		{"X64 by what it maps", mapping, 0, Root{0x9000, X64, RootMaps}},
		{"ARM64", arm, 2, Root{0x8000, ARM64, RootSelfMap}},
	} {
		w := all[tc.wanted]
		for _, lower := range []uint64{0, shift} {
			mem := tc.mem[lower:]
			whole := []physmem.Range{{Size: uint64(len(mem))}}
			survey := NewRootSurvey(whole, []uint64{shift}, all...)
			require.NoError(t, survey.Search(context.Background(), mem))
			possible := survey.Found()
			require.Len(t, possible, len(all))
			beside := NewRootSurvey(whole, []uint64{shift}, all...)
			require.NoError(t, FindRootsAnd(context.Background(), mem, whole, all[0].Modes, all[0].Must, func(Root) bool { return true }, beside))
			assert.Equal(t, possible, beside.Found(), "it is the same beside a search")
			assert.LessOrEqual(t, physmem.TotalSize(possible[tc.wanted]), uint64(4*pageSize), tc.name)
			var there []physmem.Range
			for _, r := range possible[tc.wanted] {
				there = append(there, physmem.Range{Start: r.Start + lower, Size: r.Size})
			}
			found := rootsIn(t, tc.mem, there, w)
			assert.Contains(t, found, tc.want, tc.name)
			assert.Equal(t, rootsIn(t, tc.mem, []physmem.Range{physmem.Span(lower, uint64(len(tc.mem)))}, w), found, tc.name)
		}
	}
	// A self-map says where its table lies.
	none := NewRootSurvey([]physmem.Range{{Size: 0x10000}}, nil, all[0])
	require.NoError(t, none.Search(context.Background(), self[shift:]))
	assert.Empty(t, none.Found()[0])
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, none.Search(ctx, self), context.Canceled)
}

func rootsIn(t *testing.T, mem flat, ranges []physmem.Range, w Wanted) (found []Root) {
	t.Helper()
	require.NoError(t, FindRoots(context.Background(), mem, ranges, w.Modes, w.Must, func(r Root) bool {
		found = append(found, r)
		return true
	}))
	return found
}

// TestPossibleRootsAreBounded: however many pages are possible, the ranges are few, and
// each page is in one.
func TestPossibleRootsAreBounded(t *testing.T) {
	t.Parallel()
	var s possibleRoots
	const pages = 3 * maxPossible
	for i := range uint64(pages) {
		s.add(2 * i * pageSize)
	}
	assert.LessOrEqual(t, len(s.found), maxPossible)
	assert.True(t, slices.IsSortedFunc(s.found, func(a, b physmem.Range) int {
		if a.End() < b.Start {
			return -1
		}
		return 1
	}))
	left := s.found
	for i := range uint64(pages) {
		for len(left) > 0 && left[0].End() <= 2*i*pageSize {
			left = left[1:]
		}
		if len(left) == 0 || left[0].Start > 2*i*pageSize {
			t.Fatalf("page %#x is in none", 2*i)
		}
	}
}
