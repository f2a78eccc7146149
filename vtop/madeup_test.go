package vtop_test

import (
	"context"
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/vtop"
)

// odd is the paging mode of a machine that does not exist, in what it does not share
// with any that does: valid entries have the highest bit, pages another than tables,
// and the upper address bits lie below.
var odd = &vtop.Mode{
	Name: "odd, 3 levels", PointerSize: 8, EntrySize: 8,
	Levels: []vtop.Level{
		{Name: "leaf", Bits: 8, Page: oddPage(0x0fff_f000), Flags: oddFlags},
		{Name: "branch", Bits: 9, Page: oddPage(0x0ff0_0000), Table: oddTable, Flags: oddFlags},
		{Name: "trunk", Bits: 6, Table: oddTable, Flags: oddFlags},
	},
	SignExtended: true, KernelStart: 0xffff_fffc_0000_0000,
	RootMask: 0xffff_fe00, Control: vtop.Bits{Mask: 0xf, Value: 7},
	Present: 1 << 63,
	Absent: vtop.Absent{
		Prototype:  vtop.Form{Mask: 1<<63 | 1, Value: 1},
		Transition: vtop.Form{Mask: 1<<63 | 3, Value: 2, Address: 0x0fff_f000},
		Pagefile:   0xff00,
	},
	SelfMap:       &vtop.SelfMap{First: 32, Last: 63, Mask: 7<<61 | 0xffff_f000, Value: 1 << 63},
	RootByMapping: true,
}

var oddFlags = []vtop.Flag{{Name: "valid", Bit: 1 << 63}, {Name: "dirty", Bit: 4, OfPage: true}}

var oddTable = vtop.Form{Mask: 7 << 61, Value: 1 << 63, Address: 0xffff_f000}

func oddPage(address vtop.Entry) vtop.Form {
	return vtop.Form{Mask: 7 << 61, Value: 5 << 61, Reserved: 1 << 60, Address: address, High: 0xf0, HighShift: 24}
}

// TestMadeUpMode: a mode is described with what is exported, in one place.
func TestMadeUpMode(t *testing.T) {
	t.Parallel()
	mem := make(oddMemory, 0x10000)
	const trunk, table, page = 0x3000, 1 << 63, 5 << 61
	mem.set(trunk+8*40, table|0x4000)
	mem.set(0x4000+8*3, table|0x5000)
	mem.set(0x4000+8*4, page|0x0120_0000|0x10) // bit 28 of the address lies in bit 4
	mem.set(0x5000+8*2, page|0x7000|4)
	mem.set(0x5000+8*3, 0x7002)
	mem.set(0x5000+8*4, 0x7001)
	mem.set(0x5000+8*5, 0x7000)
	mem.set(0x5000+8*6, page|1<<60|0x7000)
	copy(mem[0x7123:], "here")

	assert.Equal(t, 35, odd.AddressBits())
	s := vtop.NewSpace(mem, 0xabcd_0000_0000_3007, odd)
	assert.Equal(t, vtop.PA(trunk), s.DTB)
	base := vtop.VA(0xffff_fffc_0000_0000) + (40-32)<<29 + 3<<20
	m, err := s.Translate(base + 0x2123)
	require.NoError(t, err)
	assert.Equal(t, vtop.PA(0x7123), m.PA)
	b := make([]byte, 4)
	_, err = s.ReadVirtual(b, base+0x2123)
	require.NoError(t, err)
	assert.Equal(t, "here", string(b))
	m, err = s.Translate(base + 1<<20 + 0x23456)
	require.NoError(t, err)
	assert.Equal(t, vtop.PA(0x1122_3456), m.PA)
	assert.Equal(t, uint64(1<<20), m.PageSize)
	for i, want := range map[vtop.VA]vtop.FaultKind{4: vtop.Prototype, 5: vtop.Pagefile, 6: vtop.Malformed, 7: vtop.NotPresent} {
		_, err = s.Translate(base + i<<12)
		var fault *vtop.FaultError
		require.ErrorAs(t, err, &fault)
		assert.Equal(t, want, fault.Kind)
	}
	steps, err := s.Walk(base + 0x2000)
	require.NoError(t, err)
	require.Len(t, steps, 3)
	assert.Equal(t, []string{"valid", "dirty"}, s.Flags(steps[2].Level, steps[2].Entry))
	assert.Equal(t, []string{"transition"}, s.Flags(1, 0x7002))

	var pages []vtop.PA
	assert.True(t, s.Mapped(0, ^vtop.VA(0), 1<<20, func(m vtop.Mapping) bool { pages = append(pages, m.PA); return true }))
	assert.Equal(t, []vtop.PA{0x7000, 0x1120_0000}, pages)

	ranges := []physmem.Range{{Start: 0, Size: uint64(len(mem))}}
	var roots []vtop.Root
	keep := func(r vtop.Root) bool { roots = append(roots, r); return true }
	must := []vtop.VA{base + 0x2000}
	require.NoError(t, vtop.FindRoots(context.Background(), mem, ranges, []*vtop.Mode{vtop.X64, odd}, must, keep))
	assert.Equal(t, []vtop.Root{{DTB: trunk, Mode: odd, Kind: vtop.RootMaps}}, roots)
}

type oddMemory []byte

func (m oddMemory) set(pa int, entry uint64) { binary.LittleEndian.PutUint64(m[pa:], entry) }

func (m oddMemory) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m)) {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}

// TestZeroEntries: where entries of zeros are valid, a page of zeros is a root as any other.
func TestZeroEntries(t *testing.T) {
	t.Parallel()
	inverse := &vtop.Mode{
		Name: "valid with a clear bit", PointerSize: 8, EntrySize: 8,
		Levels:   []vtop.Level{{Name: "only", Bits: 9, Page: vtop.Form{Mask: 1 << 63, Address: 0xffff_f000}}},
		RootMask: 0xffff_f000, RootByMapping: true,
	}
	ranges, must := []physmem.Range{{Size: 0x2000}}, []vtop.VA{0x1000}
	for _, modes := range [][]*vtop.Mode{{inverse}, {vtop.X64, inverse}} {
		var found []vtop.Root
		keep := func(r vtop.Root) bool {
			found = append(found, r)
			return true
		}
		require.NoError(t, vtop.FindRoots(t.Context(), make(oddMemory, 0x2000), ranges, modes, must, keep))
		assert.Equal(t, []vtop.Root{{DTB: 0, Mode: inverse, Kind: vtop.RootMaps}, {DTB: 0x1000, Mode: inverse, Kind: vtop.RootMaps}}, found)
		survey := vtop.NewRootSurvey(ranges, nil, vtop.Wanted{Modes: modes, Must: must})
		require.NoError(t, survey.Search(t.Context(), make(oddMemory, 0x2000)))
		assert.Equal(t, [][]physmem.Range{ranges}, survey.Found())
	}
}
