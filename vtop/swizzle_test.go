package vtop

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSwizzle: entries that are not present, as kernels keep them that know of the L1
// terminal fault flaw; in all modes with an address bit to spare, by any bits.
func TestSwizzle(t *testing.T) {
	t.Parallel()
	const page = 0x6000
	for _, m := range []*Mode{X64, LA57, PAE} {
		for _, z := range []Swizzle{{Bits: 1 << 45, Unless: 1 << 4}, {Bits: 1 << 38, Unless: 1 << 9}, {Bits: 1 << 51, Unless: 1 << 2}, {Bits: 1<<45 | 1<<46, Unless: 1 << 4}} {
			for _, tt := range []struct {
				entry Entry
				name  string
				want  PA // of a page in transition
				fault FaultKind
			}{
				{1<<11 | page | z.Bits, "transition", page, 0},
				{1<<11 | page, "transition", page, 0}, // from before it was set
				{1<<11 | page | z.Bits | z.Unless, "transition", page | PA(z.Bits), 0},
				{1<<11 | page | z.Unless, "transition", page, 0},
				{0x80 | z.Bits, "demand-zero", 0, DemandZero},
				{z.Bits, "not-present", 0, NotPresent},
				{0x12_0000_0080 | z.Bits, "pagefile", 0, Pagefile},
				{0x80 | z.Bits | z.Unless, "pagefile", 0, Pagefile},
				{1<<10 | 1<<11 | z.Bits, "prototype", 0, Prototype},
			} {
				s, va := oneEntry(m, tt.entry)
				s.Swizzle = z
				assert.Equal(t, []string{tt.name}, s.Flags(1, tt.entry), "%s, %+v, %#x", m.Name, z, tt.entry)
				got, err := s.Translate(va | 0x123)
				v := newRecorder()
				s.Visit(UserHalf, v)
				if tt.fault != 0 {
					var fault *FaultError
					require.ErrorAs(t, err, &fault)
					assert.Equal(t, tt.fault, fault.Kind, "%s, %+v, %#x", m.Name, z, tt.entry)
					assert.Equal(t, tt.entry, fault.Entry)
					assert.Empty(t, v.pages)
					continue
				}
				require.NoError(t, err)
				assert.Equal(t, tt.want|0x123, got.PA, "%s, %+v, %#x", m.Name, z, tt.entry)
				assert.True(t, got.Transition)
				assert.Equal(t, tt.entry, got.Entry)
				assert.Equal(t, map[PA]uint64{tt.want: 0x1000}, v.pages)
			}

			// What the processor uses is no such entry.
			s, va := oneEntry(m, bitP|Entry(page)|z.Bits|z.Unless)
			s.Swizzle = z
			got, err := s.Translate(va)
			require.NoError(t, err)
			assert.Equal(t, page|PA(z.Bits)|PA(z.Unless&^0xfff), got.PA)
		}
	}
}

// TestAt: another space of a guest is like the first, but for the root.
func TestAt(t *testing.T) {
	t.Parallel()
	s, _ := oneEntry(X64, 0)
	s.Swizzle = Swizzle{Bits: 1 << 45, Unless: 1 << 4}
	other := s.At(0x80000000_00123456)
	assert.Equal(t, &Space{Mem: s.Mem, DTB: 0x123000, Mode: X64, Swizzle: s.Swizzle}, other)
	assert.Equal(t, PA(0x1000), s.DTB)
}

// oneEntry is a space with one entry in its one page table, and the address that it
// maps.
func oneEntry(m *Mode, e Entry) (*Space, VA) {
	mem := make(flatMemory, 0x7000)
	set := func(table PA, e Entry) { binary.LittleEndian.PutUint64(mem[table+8:], uint64(e)) }
	va, table := VA(0), PA(0x1000)
	for level := len(m.Levels); level > 1; level-- {
		set(table, bitP|Entry(table+0x1000))
		table += 0x1000
		va |= 1 << m.shift(level)
	}
	set(table, e)
	return NewSpace(mem, 0x1000, m), va | 0x1000
}
