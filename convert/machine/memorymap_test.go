package machine_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/machine"
	"windmp/physmem"
	"windmp/physmem/open"
)

func TestHoles(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for size, want := range map[uint64][]uint64{
		gib:              nil,
		2 * gib:          nil,
		0xb0000000:       {0x80000000},
		3 * gib:          {0x80000000, 0xb0000000},
		3*gib + 0x1000:   {0xc0000000, 0x80000000, 0xb0000000},
		4 * gib:          {0xc0000000, 0x80000000, 0xe0000000, 0xf0000000, 0xf8000000, 0xb0000000},
		64*gib + 0x12345: {0xc0000000, 0x80000000, 0xe0000000, 0xf0000000, 0xf8000000, 0xb0000000},
	} {
		var got []uint64
		for _, h := range machine.Holes(size, []*machine.Machine{machine.X64, machine.X86}) {
			got = append(got, h.Start)
			assert.Equal(t, uint64(4*gib), h.End())
			assert.NotEmpty(t, h.Why)
			require.NoError(t, open.Options{Format: physmem.FormatRaw, Holes: []physmem.Range{h.Range}}.Validate())
		}
		assert.Equal(t, want, got, "0x%x", size)
	}
}

// TestRAMOf: what may be RAM of what a file holds.
func TestRAMOf(t *testing.T) {
	t.Parallel()
	const mib, gib = 1 << 20, 1 << 30
	span := physmem.Span
	for _, tc := range []struct {
		name string
		held []physmem.Range
		want physmem.Runs
	}{
		{"low memory", []physmem.Range{span(0, 4*mib)}, physmem.Runs{{BasePage: 0, PageCount: 0xa0}, {BasePage: 0x100, PageCount: 0x300}}},
		{"in low devices", []physmem.Range{span(0xa0000, 0xb0000)}, nil},
		{"small in the window", []physmem.Range{span(0xfd000000, 0xfe000000)}, nil},
		{"large in the window", []physmem.Range{span(0xb0000000, 0xc0001000)}, physmem.Runs{{BasePage: 0xb0000, PageCount: 0x10001}}},
		{"into the window", []physmem.Range{span(0xafff0000, 0xb0010000)}, physmem.Runs{{BasePage: 0xafff0, PageCount: 0x20}}},
		{"parts of pages", []physmem.Range{span(4*gib+1, 4*gib+0x2fff)}, physmem.Runs{{BasePage: 0x100001, PageCount: 1}}},
	} {
		for _, m := range []*machine.Machine{machine.X64, machine.X86} {
			assert.Equal(t, tc.want, m.Map.RAMOf(tc.held), tc.name)
		}
	}
	var unknown machine.MemoryMap
	assert.Equal(t, physmem.Runs{{BasePage: 0, PageCount: 0x400}}, unknown.RAMOf([]physmem.Range{span(0, 4*mib)}))
	require.Empty(t, machine.Holes(64*gib, []*machine.Machine{{}}))
}

// TestHolesOfARM64: its memory does not begin at address 0.
func TestHolesOfARM64(t *testing.T) {
	t.Parallel()
	holes := machine.Holes(1<<20, []*machine.Machine{machine.ARM64})
	require.Len(t, holes, 2)
	for i, end := range []uint64{0x40000000, 0x80000000} {
		assert.Equal(t, physmem.Span(0, end), holes[i].Range)
		require.NoError(t, open.Options{Format: physmem.FormatRaw, Holes: []physmem.Range{holes[i].Range}}.Validate())
	}
}
