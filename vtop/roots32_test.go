package vtop

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// flat is physical memory from 0 on.
type flat []byte

func (m flat) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(m)) {
		return 0, errNotSaved
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, errNotSaved
	}
	return n, nil
}

func (m flat) set64(pa int, v uint64) { binary.LittleEndian.PutUint64(m[pa:], v) }
func (m flat) set32(pa int, v uint32) { binary.LittleEndian.PutUint32(m[pa:], v) }

// newPAE has four entries in the middle of a page and Windows' self-map.
func newPAE() (flat, Root) {
	m := make(flat, 0x20000)
	const root = 0x5560
	for i := range 4 {
		m.set64(root+8*i, uint64(0x8000+i<<12|1))
		m.set64(0xb000+8*i, uint64(0x8000+i<<12|0x63))
	}
	return m, Root{DTB: root, Mode: PAE, Kind: RootSelfMap}
}

// newLegacy has a page directory with Windows' self-map.
func newLegacy() (flat, Root) {
	m := make(flat, 0x20000)
	m.set32(0x7000+4*0x300, 0x7063)
	return m, Root{DTB: 0x7000, Mode: X86, Kind: RootSelfMap}
}

func roots32(t *testing.T, m flat) (found []Root) {
	t.Helper()
	err := FindRoots(context.Background(), m, []physmem.Range{{Start: 0x1000, Size: uint64(len(m)) - 0x1000}}, []*Mode{X86, PAE}, nil, func(r Root) bool {
		found = append(found, r)
		return true
	})
	require.NoError(t, err)
	return found
}

func TestRootsOfX86(t *testing.T) {
	t.Parallel()
	for _, build := range []func() (flat, Root){newPAE, newLegacy} {
		m, want := build()
		assert.Equal(t, []Root{want}, roots32(t, m))
	}
	for name, spoil := range map[string]func(m flat){
		"an entry not present":       func(m flat) { m.set64(0x5560, 0x8000) },
		"reserved bits":              func(m flat) { m.set64(0x5568, 1<<52|0x9001) },
		"address 0":                  func(m flat) { m.set64(0x5560, 1) },
		"other entries":              func(m flat) { m.set64(0xb008, 0xa063) },
		"a large page":               func(m flat) { m.set64(0xb000, 0x80e3) },
		"the last directory is gone": func(m flat) { m.set64(0x5578, 0x7000_0001) },
	} {
		m, _ := newPAE()
		spoil(m)
		assert.Empty(t, roots32(t, m), name)
	}
	for name, entry := range map[string]uint32{"not present": 0x7062, "another page": 0x8063, "large": 0x70e3} {
		m, _ := newLegacy()
		m.set32(0x7000+4*0x300, entry)
		assert.Empty(t, roots32(t, m), name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m, _ := newPAE()
	require.ErrorIs(t, FindRoots(ctx, m, []physmem.Range{{Start: 0, Size: 0x20000}}, []*Mode{X86, PAE}, nil, func(Root) bool { return true }), context.Canceled)
	visits := 0
	for i := range 4 { // a second root behind the first
		m.set64(0x5580+8*i, uint64(0x8000+i<<12|1))
	}
	require.NoError(t, FindRoots(context.Background(), m, []physmem.Range{{Start: 0, Size: 0x20000}}, []*Mode{X86, PAE}, nil, func(Root) bool { visits++; return false }))
	assert.Equal(t, 1, visits)
}

// TestMapped32 holds the enumeration against Translate, over tables of chance.
func TestMapped32(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range modelRounds() {
		m := make(flat, 0x8000)
		for at := 0; at < len(m); at += 4 {
			v := uint32(0)
			if rng.IntN(40) == 0 {
				v = rng.Uint32N(8)<<12 | []uint32{1, 3, 0x81, 0x63, 0x800, 0x200081}[rng.IntN(6)]
			}
			m.set32(at, v)
		}
		for i := range 4 { // PAE's
			m.set64(0x2020+8*i, rng.Uint64N(8)<<12|rng.Uint64N(2))
		}
		for _, s := range []*Space{NewSpace(m, 0x2020, PAE), NewSpace(m, 0x2000, X86)} {
			const from, to = 0x4000_0000, 0xf000_0fff
			seen := map[VA]bool{}
			require.True(t, s.Mapped(from, to, 4<<20, func(got Mapping) bool {
				want, err := s.Translate(got.VA)
				require.NoError(t, err)
				require.Equal(t, want, got)
				seen[got.VA] = true
				return true
			}))
			for range 2000 {
				va := VA(from + rng.Uint64N(to-from))
				got, err := s.Translate(va)
				if err == nil && !got.Transition {
					require.True(t, seen[va&^VA(got.PageSize-1)], "%v", va)
				}
			}
		}
	}
	s := NewSpace(make(flat, 0x1000), 0, PAE)
	assert.False(t, s.Mapped(0, ^VA(0), 3, func(Mapping) bool { return true }))
}

// BenchmarkRoots is the cost of searching memory for page tables, of both widths.
func BenchmarkRoots(b *testing.B) {
	m := make(flat, 64<<20)
	rng := rand.New(rand.NewPCG(3, 4))
	for at := 0; at < len(m); at += 8 {
		switch at >> 12 & 3 { // of four pages one is zero, one random, one pointers, one small numbers
		case 1:
			m.set64(at, rng.Uint64())
		case 2:
			m.set64(at, 0xfffff800_00000000|rng.Uint64N(1<<32))
		case 3:
			m.set64(at, rng.Uint64N(64))
		}
	}
	all := []physmem.Range{{Start: 0, Size: uint64(len(m))}}
	visit := func(Root) bool { return true }
	for name, search := range map[string]func() error{
		"x64": func() error {
			return FindRoots(context.Background(), m, all, []*Mode{X64, LA57}, []VA{0xfffff780_00000000}, visit)
		},
		"32-bit": func() error { return FindRoots(context.Background(), m, all, []*Mode{X86, PAE}, nil, visit) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(m)))
			for b.Loop() {
				if err := search(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
