package vtop

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTranslate(t *testing.T) {
	t.Parallel()
	// Bits that the processor or this package must not mind: 1-6 and 8-11,
	// 52-63 (Windows keeps working-set data in 52-58).
	const noise = 0xfff0_0000_0000_0f7e
	tests := []struct {
		name  string
		va    VA
		pa    PA
		size  uint64
		flags uint64
		want  PA
	}{
		{"4 KiB", 0xfffff80012345678, 0x1_2345_6000, size4K, 0, 0x1_2345_6678},
		{"4 KiB, user", 0x7ff612340000, 0x9000, size4K, 0, 0x9000},
		{"4 KiB, last byte of all", 0xffffffffffffffff, 0x9000, size4K, flagNX, 0x9fff},
		{"4 KiB, PAT", 0xfffff80012345678, 0x9000, size4K, flagPS, 0x9678},
		{"4 KiB, every other bit", 0xfffff80012345678, 0x9000, size4K, noise, 0x9678},
		{"4 KiB, highest page", 0xfffff80012345678, 0xf_ffff_ffff_f000, size4K, noise, 0xf_ffff_ffff_f678},
		{"2 MiB", 0xfffff80012345678, 0x1_2340_0000, size2M, 0, 0x1_2354_5678},
		{"2 MiB, every other bit", 0xfffff80012345678, 0x1_2340_0000, size2M, noise | flagPAT, 0x1_2354_5678},
		{"2 MiB, highest page", 0xfffff800123fffff, 0xf_ffff_ffe0_0000, size2M, 0, 0xf_ffff_ffff_ffff},
		{"1 GiB", 0xfffff80012345678, 0x1_4000_0000, size1G, 0, 0x1_5234_5678},
		{"1 GiB, every other bit", 0xfffff80012345678, 0x1_4000_0000, size1G, noise | flagPAT, 0x1_5234_5678},
		{"1 GiB, highest page", 0xfffff8003fffffff, 0xf_ffff_c000_0000, size1G, 0, 0xf_ffff_ffff_ffff},
	}
	for _, mode := range []*Mode{X64, LA57} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, %s", tt.name, mode.Name), func(t *testing.T) {
				t.Parallel()
				g := newGuest(mode)
				entryPA := g.mapPage(tt.va, tt.pa, tt.size, tt.flags)
				m, err := g.space().Translate(tt.va)
				require.NoError(t, err)
				assert.Equal(t, Mapping{
					VA: tt.va, PA: tt.want, PageSize: tt.size, Level: map[uint64]int{size4K: 1, size2M: 2, size1G: 3}[tt.size],
					Entry: Entry(g.entry(entryPA)), EntryPA: entryPA,
				}, m)
				requireModel(t, g.space(), tt.va)
			})
		}
	}
}

func TestTransition(t *testing.T) {
	t.Parallel()
	const va, transition = 0xfffff80012345678, 1 << 11
	g := newGuest(X64)
	g.put(va, 1, 0x9000|transition|0x80) // protection 4
	m, err := g.space().Translate(va)
	require.NoError(t, err)
	assert.True(t, m.Transition)
	assert.Equal(t, PA(0x9678), m.PA)

	// An address bit that Windows set against the L1 terminal fault stays:
	// no other page is read in its place.
	g.put(va, 1, 1<<45|0x9000|transition)
	g.write(0x9678, []byte{1})
	m, err = g.space().Translate(va)
	require.NoError(t, err)
	assert.Equal(t, PA(1<<45|0x9678), m.PA)
	_, err = g.space().Uint16(va)
	require.ErrorIs(t, err, errNotSaved)

	// A table in transition is not followed.
	entry := g.put(va, 2, 0x9000|transition)
	_, err = g.space().Translate(va)
	assert.Equal(t, &FaultError{VA: va, Kind: TableTransition, Level: 2, EntryPA: entry, Entry: 0x9800}, err)
}

func TestWalk(t *testing.T) {
	t.Parallel()
	const va = 0xfffff80012345678
	g := newGuest(LA57)
	g.mapPage(va, 0x9000, size4K, 0)
	var want []Step
	for level := 5; level >= 1; level-- {
		pa := g.at(va, level)
		want = append(want, Step{level, pa, Entry(g.entry(pa))})
	}
	got, err := g.space().Walk(va)
	require.NoError(t, err)
	assert.Equal(t, want, got)

	// An error comes with the steps before it.
	g.put(va, 2, 0)
	got, err = g.space().Walk(va)
	require.ErrorIs(t, err, ErrNotMapped)
	require.Len(t, got, 4)
	assert.Equal(t, Step{2, want[3].EntryPA, 0}, got[3])

	delete(g.pages, want[1].EntryPA&^0xfff)
	got, err = g.space().Walk(va)
	require.ErrorIs(t, err, errNotSaved)
	assert.Equal(t, want[:1], got)

	got, err = g.space().Walk(1 << 60)
	require.ErrorIs(t, err, ErrNotMapped)
	assert.Empty(t, got)
}

// Windows' topmost table refers to itself: its entries, and those of all tables
// below, can be read as memory.
func TestSelfMap(t *testing.T) {
	t.Parallel()
	for _, mode := range []*Mode{X64, LA57} {
		const va, slot = VA(0xfffff80012345678), 0x1ed
		g := newGuest(mode)
		g.mapPage(va, 0x9000, size4K, 0)
		g.setEntry(g.root+8*slot, uint64(g.root)|flagP)
		s := g.space()

		// The indices of the self-map's own addresses: the slot, then those of
		// va, each one level lower. For the topmost table it is the slot alone.
		levels := len(mode.Levels)
		bits := 12 + 9*levels
		selfMap := func(of VA) VA {
			inside := of >> 9 & (1<<(bits-9) - 8)
			return VA(int64((slot<<(bits-9)|inside)<<(64-bits)) >> (64 - bits))
		}
		v, err := s.Uint64(selfMap(va))
		require.NoError(t, err)
		assert.Equal(t, uint64(0x9001), v, "the entry of va")

		top := selfMap(va)
		for range levels - 1 {
			top = selfMap(top)
		}
		m, err := s.Translate(top)
		require.NoError(t, err)
		assert.Equal(t, g.at(va, levels), m.PA, "the topmost entry on the way to va")
		requireModel(t, s, top)
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	tests := []struct {
		va         VA
		four, five bool
	}{
		{0, true, true},
		{0x00007fffffffffff, true, true},
		{0x0000800000000000, false, true},
		{0x00ffffffffffffff, false, true},
		{0x0100000000000000, false, false},
		{0x7fffffffffffffff, false, false},
		{0x8000000000000000, false, false},
		{0xfeffffffffffffff, false, false},
		{0xff00000000000000, false, true},
		{0xffff7fffffffffff, false, true},
		{0xffff800000000000, true, true},
		{0xffffffffffffffff, true, true},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.four, X64.Canonical(tt.va), tt.va)
		assert.Equal(t, tt.five, LA57.Canonical(tt.va), tt.va)
	}
}

func TestNewSpace(t *testing.T) {
	t.Parallel()
	assert.Equal(t, PA(0x1ad000), NewSpace(nil, 0xfff0_0000_001a_dfff, LA57).DTB)
	assert.Equal(t, PA(0xf_ffff_ffff_f000), NewSpace(nil, ^uint64(0), X64).DTB)
	assert.Equal(t, PA(0xffff_ffe0), NewSpace(nil, ^uint64(0), PAE).DTB)
	assert.Equal(t, PA(0xffff_f000), NewSpace(nil, ^uint64(0), X86).DTB)
}

// With 5 levels of tables read as 4, or the other way round, nothing sensible
// comes out, but an end does.
func TestWrongLevels(t *testing.T) {
	t.Parallel()
	g := newGuest(LA57)
	g.mapPage(0xfffff80012345678, 0x9000, size4K, 0)
	_, err := NewSpace(g, uint64(g.root), X64).Translate(0xfffff80012345678)
	require.Error(t, err)
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	g := newGuest(X64)
	for i := range VA(16) {
		g.mapPage(0xfffff80000000000+i<<12, 0x9000+PA(i)<<13, size4K, 0)
		g.write(0x9000+PA(i)<<13, []byte{byte(i), 0, byte(i)})
	}
	s := g.space()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for round := range 200 {
				i := VA(worker+round) % 16
				v, err := s.Uint32(0xfffff80000000000 + i<<12)
				if err != nil || v != uint32(i)<<16|uint32(i) {
					t.Errorf("page %d: got 0x%x, %v", i, v, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
