package vtop

import (
	"context"
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// modelARM64 is model for 64-bit Arm with 4 KiB granules and 47 bits in each half, as the
// text of Arm ARM, D8.2 and D8.3 has it: two roots, each with a topmost table of 256
// entries, of which TTBR1's lies behind TTBR0's.
func modelARM64(mem *guest, root uint64, va VA) outcome {
	address := new(big.Int).SetUint64(uint64(va))
	reach := pow2(47)
	upper := new(big.Int).Sub(pow2(64), reach)
	ttbr := root
	switch {
	case address.Cmp(reach) < 0:
	case address.Cmp(upper) >= 0:
		ttbr += 256 * 8
		address.Sub(address, upper)
	default:
		return outcome{kind: NonCanonical}
	}
	return modelDescriptor(mem, ttbr, 0, address)
}

// modelDescriptor looks a table up at the manual's level, which counts from the top.
func modelDescriptor(mem *guest, table uint64, level int, offset *big.Int) outcome {
	ours := 4 - level
	span := pow2(12 + 9*(3-level))
	index, rest := new(big.Int).DivMod(offset, span, new(big.Int))
	e, ok := modelEntry(mem, table+8*index.Uint64(), 8)
	valid, typ := field(e, 0, 0), field(e, 1, 1)
	switch {
	case !ok:
		return outcome{kind: TableUnreadable, level: ours}
	case valid == 0:
		return modelInvalidARM64(e, ours, rest.Uint64())
	case level == 3 && typ == 1:
		return outcome{level: ours, size: 0x1000, pa: field(e, 12, 47)*0x1000 + rest.Uint64()}
	case level < 3 && typ == 1:
		return modelDescriptor(mem, field(e, 12, 47)*0x1000, level+1, rest)
	case level == 2 && field(e, 12, 15) == 0 && field(e, 17, 20) == 0:
		return outcome{level: ours, size: 0x200000, pa: field(e, 21, 47)*0x200000 + rest.Uint64()}
	case level == 1 && field(e, 12, 15) == 0 && field(e, 17, 29) == 0:
		return outcome{level: ours, size: 0x40000000, pa: field(e, 30, 47)*0x40000000 + rest.Uint64()}
	}
	return outcome{kind: Malformed, level: ours}
}

// modelInvalidARM64: Windows' forms are x64's, with addresses of 48 bits.
func modelInvalidARM64(e uint64, level int, rest uint64) outcome {
	out := modelInvalid(e, level, rest)
	if out.transition {
		out.pa = field(e, 12, 47)*0x1000 + rest
	}
	return out
}

func TestAgainstModelARM64(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 64))
	seen := map[FaultKind]int{}
	large := 0
	rounds := modelRounds()
	for range rounds {
		g := newGuest(X64)
		for page := range PA(12) {
			for i := range PA(512) {
				g.setEntry(page<<12+8*i, randomDescriptor(r))
			}
		}
		g.bad[7<<12] = errors.New("disk")
		root := uint64(r.IntN(12)) << 12
		s := NewSpace(g, root|0x40<<48|1, ARM64) // with an ASID, and shared
		require.Equal(t, PA(root), s.DTB)
		for range 400 {
			va := VA(r.Uint64())
			if r.IntN(8) != 0 {
				va = VA(int64(va<<16) >> 16)
			}
			want := modelARM64(g, root, va)
			requireOutcome(t, s, va, want)
			seen[want.kind]++
			if want.size > 0x1000 {
				large++
			}
		}
	}
	for kind := NonCanonical; kind <= TableUnreadable; kind++ {
		require.Greater(t, seen[kind], rounds, "%v", kind)
	}
	require.Greater(t, seen[0], 10*rounds, "translated")
	require.Greater(t, large, 5*rounds, "blocks")
}

// wideGuest has tables of two halves: the upper one at 0x8000, the lower one at 0xa000.
func wideGuest() *guest {
	g := newGuest(X64)
	g.setEntry(0x8000+8*0x51, 0x8000|0x00600000_00000f03) // the self-map, below the middle
	g.setEntry(0x8000+8*0x1f0, 0x1000|3)
	g.setEntry(0x8000+8*0x010, 0x1000|3)
	g.setEntry(0x1000+8*0xf, 0x2000|3)
	g.setEntry(0x2000+8*0x19a, 0x80000000|1)
	g.setEntry(0x2000+8*0x19b, 0x3000|3)
	g.setEntry(0x3000+8*5, 0x9000|3)
	g.setEntry(0xa000+8*0x1f0, 0x4000|3)
	g.setEntry(0x4000+8*0xf, 0x5000|3)
	g.setEntry(0x5000+8*0x19a, 0xc0000000|1)
	return g
}

// TestARM64Wide: with 48 bits in each half each has all 512 entries of a table, and the
// rest is as with 47.
func TestARM64Wide(t *testing.T) {
	t.Parallel()
	assert.True(t, ARM64Wide.Control.In(0x95b5503510))
	assert.False(t, ARM64Wide.Control.In(0x95b5513511), "47 bits")
	assert.False(t, ARM64Wide.Control.In(0x95b5503510|1<<59), "addresses of 52 bits")
	g := wideGuest()
	kernel := NewSpace(g, 0x8000|0x40<<48, ARM64Wide)
	process := kernel.At(0xa000 | 0x40<<48)
	for va, want := range map[VA]PA{
		0xfffff803_f3412345: 0x80012345, 0xffff0803_f3412345: 0x80012345, 0xffff0803_f3605678: 0x9678, 0x0000f803_f3412345: 0xc0012345,
	} {
		m, err := process.Translate(va)
		require.NoError(t, err)
		assert.Equal(t, want, m.PA, "%v", va)
		m, err = kernel.Translate(va)
		if va < ARM64Wide.KernelStart {
			assert.True(t, Faulted(err, TableUnreadable), "%v: the guest may map it", err)
			require.ErrorIs(t, err, errNoRoot)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, want, m.PA, "%v", va)
	}
	for _, va := range []VA{0x0001f803_f3412345, 0xfffef803_f3412345, 0x8000f803_f3412345, 0x7ffff803_f3412345} {
		_, err := process.Translate(va)
		assert.True(t, Faulted(err, NonCanonical), "%v: %v", va, err)
	}
	_, err := process.Translate(0x00000803_f3412345)
	require.ErrorIs(t, err, ErrNotMapped, "the upper half has it")

	var found []Root
	require.NoError(t, FindRoots(context.Background(), g, []physmem.Range{{Start: 0x6000, Size: 0x4000}}, []*Mode{ARM64, ARM64Wide}, nil, func(r Root) bool {
		found = append(found, r)
		return true
	}))
	assert.Equal(t, []Root{{DTB: 0x8000, Mode: ARM64Wide, Kind: RootSelfMap}}, found)
}

// TestARM64WideMapped: what goes through addresses goes from one half to the other.
func TestARM64WideMapped(t *testing.T) {
	t.Parallel()
	kernel := NewSpace(wideGuest(), 0x8000, ARM64Wide)
	process := kernel.At(0xa000)
	mapped := func(s *Space, from, to VA) (list []VA) {
		require.True(t, s.Mapped(from, to, 4<<20, func(m Mapping) bool {
			if m.PageSize > 0x1000 || m.PA == 0x9000 { // tables are mapped, too
				list = append(list, m.VA)
			}
			return true
		}))
		return list
	}
	lower, upper := []VA{0x0000f803_f3400000}, []VA{0xffff0803_f3400000, 0xffff0803_f3605000}
	assert.Equal(t, append(lower, upper...), mapped(process, 0, 0xffff7fff_ffffffff))
	assert.Equal(t, upper, mapped(process, 0xffff0000_00000000, 0xffff7fff_ffffffff))
	assert.Equal(t, lower, mapped(process, 0, 0xffff_ffff_ffff))
	assert.Empty(t, mapped(process, 0x0001_0000_0000_0000, 0x7fff_ffff_ffff_ffff), "none is canonical")
	assert.Equal(t, upper, mapped(kernel, 0, 0xffff7fff_ffffffff), "the lower half is not known")

	for _, c := range []struct {
		space *Space
		half  Half
		want  bool
	}{{kernel, UserHalf, false}, {kernel, KernelHalf, true}, {process, UserHalf, true}} {
		seen := 0
		c.space.Visit(c.half, countPages{&seen})
		assert.Equal(t, c.want, seen > 0)
	}
}

// countPages counts tables and pages.
type countPages struct{ n *int }

func (c countPages) Table(PA, int) bool        { *c.n++; return true }
func (c countPages) Page(PA, uint64)           { *c.n++ }
func (c countPages) Unreadable(PA, int, error) { *c.n++ }

// randomDescriptor gives descriptors of all forms, most of them tables or pages.
func randomDescriptor(r *rand.Rand) uint64 {
	attributes := r.Uint64() & 0xfff0_0000_0000_0ffc
	switch r.IntN(8) {
	case 0:
		return r.Uint64() // anything
	case 1:
		return r.Uint64() &^ 1 // Windows' forms
	case 2:
		return r.Uint64() & 0x3fc * uint64(r.IntN(2))
	case 3:
		return attributes | r.Uint64()&0xffff_ffe0_0000 | 1 // blocks
	case 4:
		return attributes | r.Uint64()&0xffff_c000_0000 | 1
	}
	return attributes | uint64(r.IntN(12))<<12 | 3
}

// TestARM64: what build 22000 had, entries and roots.
func TestARM64(t *testing.T) {
	t.Parallel()
	const root, asid = 0x946aa000, 0x40 << 48
	assert.Equal(t, PA(root), ARM64.Root(root|asid))
	assert.True(t, ARM64.Control.In(0x95b5513511), "its TCR_EL1")
	for name, tcr := range map[string]uint64{
		"48 bits in each half": 0x95b5503510, "16 KiB": 0x95f551b511 ^ 3<<14 | 2<<14, "64 KiB": 0x95f5517511,
		"addresses of 52 bits": 0x95b5513511 | 1<<59, "39 bits": 0x95b5593519, "no lower half": 0x95b5513511 | 1<<7,
	} {
		assert.False(t, ARM64.Control.In(tcr), name)
	}

	g := newGuest(X64)
	g.setEntry(root+8*0x151, root|0x00600000_00000f03) // the self-map
	g.setEntry(root+8*0x1f0, 0x1000|0x00600000_00000f03)
	g.setEntry(0x1000+8*0xf, 0x2000|0x00600000_00000f03)
	g.setEntry(0x2000+8*0x19a, 0x80000000|0x00400000_00000781) // code
	g.setEntry(0x2000+8*0x197, 0x80200000|0x00e00000_00000701) // data
	s := NewSpace(g, root, ARM64)
	m, err := s.Translate(0xfffff803_f3412345)
	require.NoError(t, err)
	assert.Equal(t, PA(0x80012345), m.PA)
	assert.Equal(t, []string{"V", "RO", "AF", "UXN"}, s.Flags(m.Level, m.Entry))
	m, err = s.Translate(0xfffff803_f2e00000)
	require.NoError(t, err)
	assert.Equal(t, PA(0x80200000), m.PA)
	assert.Equal(t, []string{"V", "AF", "PXN", "UXN", "W"}, s.Flags(m.Level, m.Entry))
	// PteBase leads to the tables themselves.
	m, err = s.Translate(0xffffa8d4_6a351a88)
	require.NoError(t, err)
	assert.Equal(t, PA(root+0xa88), m.PA)

	var found []Root
	require.NoError(t, FindRoots(context.Background(), g, []physmem.Range{{Start: root - 0x2000, Size: 0x4000}}, []*Mode{ARM64}, nil, func(r Root) bool {
		found = append(found, r)
		return true
	}))
	assert.Equal(t, []Root{{DTB: root, Mode: ARM64, Kind: RootSelfMap}}, found)
}

// TestARM64SelfMap: bits of a self-map that the processor ignores are not asked for, and
// a page or a block is none.
func TestARM64SelfMap(t *testing.T) {
	t.Parallel()
	const root = 0x8000
	for name, c := range map[string]struct {
		index PA
		entry uint64
		want  bool
	}{
		"build 22000":         {0x151, 0x00600000_00000f03, true},
		"24H2, NonSecure":     {0x10c, 0x00600000_00000f23, true},
		"all that is ignored": {0x1ff, 0x07ff0000_00000fff, true},
		"a block":             {0x151, 0x00600000_00000f01, false},
		"not valid":           {0x151, 0x00600000_00000f02, false},
		"the lower half":      {0x0ff, 0x00600000_00000f03, false},
		"another page":        {0x151, 0x00600000_00001f03, false},
	} {
		g := newGuest(X64)
		g.setEntry(root, 0) // the page is there
		g.setEntry(root+8*c.index, root+c.entry)
		found := false
		require.NoError(t, FindRoots(context.Background(), g, []physmem.Range{physmem.Span(root, root+0x1000)}, []*Mode{ARM64}, nil, func(r Root) bool {
			found = r.Kind == RootSelfMap && r.DTB == root
			return true
		}))
		assert.Equal(t, c.want, found, name)
	}
}
