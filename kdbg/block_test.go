package kdbg

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/kdbg/peimage"
	"windmp/kdbg/wire"
	"windmp/vtop"
)

// sizes are those that Windows has had, and odd ones within the bounds.
var sizes = []uint32{0x208, 0x210, 0x290, 0x298, 0x318, 0x328, 0x330, 0x340, 0x360, 0x368, 0x380, 0x390, 0x3a0, 0x3a8, 0x3b0, 0x7f8, 0x800}

func TestReadPlainAndEncoded(t *testing.T) {
	t.Parallel()
	tests := map[string]guestsim.Options{
		"9600":              {Build: 9600},
		"19041":             {},
		"26100":             {Build: 26100},
		"five levels":       {LA57: true},
		"software bits":     {SoftwareBits: true},
		"across pages":      {KDBGOffset: 0xe00},
		"one byte in":       {KDBGOffset: 0xfff},
		"everything is odd": {Odd: true},
	}
	for name, opt := range tests {
		for _, encoded := range []bool{false, true} {
			opt := opt
			opt.Encoded = encoded
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				g := guestsim.New(opt)
				b := guestKernel(t, g)
				assert.Equal(t, g.Plain, b.Raw)
				assert.Equal(t, wire.Decode(g.Plain), b.Data)
				assert.Equal(t, encoded, b.Encoded)
				assert.Equal(t, vtop.VA(g.KDBG), b.VA)
				if encoded {
					assert.Equal(t, uint(guestsim.DefaultWaitNever&63), b.Rotation)
				} else {
					assert.Zero(t, b.Rotation)
					assert.Zero(t, b.Constant)
				}
			})
		}
	}
}

func TestReadSizes(t *testing.T) {
	t.Parallel()
	for _, n := range sizes {
		for _, encoded := range []bool{false, true} {
			g := guestsim.New(guestsim.Options{KDBGSize: n, Encoded: encoded, KDBGOffset: 0xf00})
			b := guestKernel(t, g)
			assert.Len(t, b.Raw, int(n))
			assert.Equal(t, g.Plain, b.Raw)
		}
	}
}

// TestReadRefuses changes one thing a time in a good guest.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	field := func(name string, v uint64) func(*guestsim.Guest) {
		return func(g *guestsim.Guest) { g.SetField(name, v) }
	}
	tests := []struct {
		name   string
		change func(g *guestsim.Guest)
		is     error
		text   string
	}{
		{"tag", field("OwnerTag", 0x4742444c), ErrNotFound, `OwnerTag`},
		{"size not of 8", field("Size", 0x384), ErrNotFound, `Size`},
		{"size too small", field("Size", 0x200), ErrNotFound, `Size`},
		{"size too large", field("Size", 0x808), ErrNotFound, `Size`},
		{"size huge", field("Size", 0xfffffff8), ErrNotFound, `Size`},
		{"page size", field("MmPageSize", 0x2000), ErrMismatch, "MmPageSize"},
		{"base not of a page", field("KernBase", guestsim.KernBase+8), ErrMismatch, "KernBase"},
		{"base of user space", field("KernBase", 0x12c00000), ErrMismatch, "KernBase"},
		{"base not canonical", field("KernBase", 0xff0ff80412c00000), ErrMismatch, "KernBase"},
		{"base of another image", field("KernBase", guestsim.KernBase-0x1000), ErrMismatch, "first loaded module"},
		{"base where there is no MZ, and nothing vouches for it", func(g *guestsim.Guest) {
			g.Write(guestsim.KernBase, []byte("ZM"))
			g.Write64(g.Field("List.Flink"), 0)
			g.Write64(g.PsLoadedModuleList, 0)
		}, ErrMismatch, `"MZ"`},
		{"other module list", field("PsLoadedModuleList", guestsim.KernBase+0xc2a2d8), ErrMismatch, "PsLoadedModuleList"},
		{"other process list", field("PsActiveProcessHead", guestsim.KernBase+0xc1e0c8), ErrMismatch, "PsActiveProcessHead"},
		{"first module elsewhere", func(g *guestsim.Guest) { g.Write64(g.Modules[0].Entry+0x30, g.Modules[1].Base) }, ErrMismatch, "first loaded module"},
		{"unmapped", func(g *guestsim.Guest) { g.Unmap(g.KDBG) }, vtop.ErrNotMapped, "only 0x0 of 0x18"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{})
			tt.change(g)
			b, err := guestMemory(g).Read(vtop.VA(g.KDBG), expectOf(g))
			assert.Nil(t, b)
			require.ErrorIs(t, err, tt.is)
			require.ErrorContains(t, err, tt.text)
		})
	}
}

// TestReadWiped believes a kernel without MZ if one of its lists vouches for it.
func TestReadWiped(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(g *guestsim.Guest){
		"both lists":            func(*guestsim.Guest) {},
		"the loader's list":     func(g *guestsim.Guest) { g.Write64(g.Field("List.Flink"), 0) },
		"the registered block":  func(g *guestsim.Guest) { g.Write64(g.PsLoadedModuleList, 0) },
		"headers behind the MZ": func(g *guestsim.Guest) { g.Write(guestsim.KernBase, []byte("MZ")) },
	} {
		for _, encoded := range []bool{false, true} {
			g := guestsim.New(guestsim.Options{Encoded: encoded})
			g.Write(guestsim.KernBase, make([]byte, 0x1000))
			spoil(g)
			assert.Equal(t, g.Plain, guestKernel(t, g).Raw, name)
		}
	}
}

// TestReadWithoutHeader refuses lists outside of the image also when the header
// does not know them.
func TestReadWithoutHeader(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"PsLoadedModuleList", "PsActiveProcessHead"} {
		for _, v := range []uint64{0, guestsim.KernBase - 8, guestsim.KernBase + 0x1046000, guestsim.KernBase + peimage.MaxSize, 1<<64 - 8} {
			g := guestsim.New(guestsim.Options{})
			g.SetField(name, v)
			_, err := guestMemory(g).Read(vtop.VA(g.KDBG), Expect{})
			var m *BlockError
			require.ErrorAs(t, err, &m)
			require.ErrorIs(t, err, ErrMismatch)
			assert.Equal(t, name, m.Field)
			require.ErrorContains(t, err, fmt.Sprintf("got %#x", v))
		}
	}
	g := guestsim.New(guestsim.Options{})
	_, err := guestMemory(g).Read(vtop.VA(g.KDBG), Expect{})
	require.NoError(t, err)
	_, err = guestMemory(g).Read(vtop.VA(g.KDBG), Expect{KernBase: guestsim.KernBase + 0x1000})
	require.ErrorIs(t, err, ErrMismatch)
}

// TestReadToleratesAbsence: what the dump lacks is no contradiction.
func TestReadToleratesAbsence(t *testing.T) {
	t.Parallel()
	tests := map[string]func(g *guestsim.Guest){
		"no kernel header":        func(g *guestsim.Guest) { g.Unmap(guestsim.KernBase) },
		"header is no PE":         func(g *guestsim.Guest) { g.Write32(guestsim.KernBase+0x3c, 0xfffffff0) },
		"no module list head":     func(g *guestsim.Guest) { g.Unmap(g.PsLoadedModuleList) },
		"module list is empty":    func(g *guestsim.Guest) { g.Write64(g.PsLoadedModuleList, g.PsLoadedModuleList) },
		"module list to zero":     func(g *guestsim.Guest) { g.Write64(g.PsLoadedModuleList, 0) },
		"first entry overwritten": func(g *guestsim.Guest) { g.Write64(g.Modules[0].Entry+0x30, 0x4141414141414141) },
		"first base no page":      func(g *guestsim.Guest) { g.Write64(g.Modules[0].Entry+0x30, guestsim.KernBase+8) },
		"first entry not there":   func(g *guestsim.Guest) { g.Unmap(g.Modules[0].Entry) },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{})
			change(g)
			_, err := guestMemory(g).Read(vtop.VA(g.KDBG), expectOf(g))
			require.NoError(t, err)
		})
	}
}

// TestReadCutBlock unmaps the second page of a block, or takes it out of the
// file: two different absences.
func TestReadCutBlock(t *testing.T) {
	t.Parallel()
	for _, encoded := range []bool{false, true} {
		read := Memory.Read
		if encoded {
			read = Memory.Decode
		}
		opt := guestsim.Options{Encoded: encoded, KDBGOffset: 0xe00}
		g := guestsim.New(opt)
		second := g.KDBG + 0x200
		pa := g.PA(second)
		g.Fail(guestsim.Range{Start: pa, Size: 1}, guestsim.ErrHole)
		_, err := read(guestMemory(g), vtop.VA(g.KDBG), expectOf(g))
		var cut *BlockError
		require.ErrorAs(t, err, &cut)
		require.ErrorContains(t, err, "only 0x200 of")
		require.ErrorIs(t, err, guestsim.ErrHole)
		require.NotErrorIs(t, err, vtop.ErrNotMapped)

		g = guestsim.New(opt)
		g.Unmap(second)
		_, err = read(guestMemory(g), vtop.VA(g.KDBG), expectOf(g))
		require.ErrorAs(t, err, &cut)
		require.ErrorContains(t, err, "only 0x200 of")
		var fault *vtop.FaultError
		require.ErrorAs(t, err, &fault)
		assert.Equal(t, vtop.VA(second), fault.VA)
		require.ErrorIs(t, err, vtop.ErrNotMapped)
	}
}

// TestReadTransition follows a page that Windows took out of the working set.
func TestReadTransition(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	g.Transition(g.KDBG)
	b := guestKernel(t, g)
	assert.Equal(t, g.Plain, b.Raw)
}

func TestHas(t *testing.T) {
	t.Parallel()
	b := &Block{Raw: make([]byte, 0x338)}
	assert.True(t, b.Has(0x330, 8))
	assert.False(t, b.Has(unsafe.Offsetof(b.Data.OffsetPrcbContext), 2))
	assert.False(t, b.Has(0x334, 8))
	assert.True(t, b.Has(0x338, 0))
	assert.False(t, b.Has(^uintptr(0), 8))
}

// TestVerifyAgain: a believed block stays believed, a changed one does not.
func TestVerifyAgain(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{Encoded: true})
	b := guestKernel(t, g)
	require.NoError(t, b.Verify(expectOf(g)))
	cut := *b.Block
	cut.Raw = b.Raw[:wire.MinSize]
	require.ErrorIs(t, (&Kernel{b.Memory, &cut}).Verify(expectOf(g)), ErrNotFound)
	other := *b.Block
	other.Data.Header.OwnerTag = rand.Uint32()
	require.ErrorIs(t, (&Kernel{b.Memory, &other}).Verify(expectOf(g)), ErrNotFound)
}

// TestSwizzleBits: what a block states of entries that are not present, and blocks
// that state nothing.
func TestSwizzleBits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode      *vtop.Mode
		high, low uint8
		bits      vtop.Entry
	}{
		{vtop.X64, 45, 4, 1 << 45},
		{vtop.PAE, 35, 4, 1 << 35},
		{vtop.LA57, 51, 9, 1 << 51},
		{vtop.X86, 31, 4, 1 << 31},
		{vtop.X86, 45, 4, 0},  // no entry has it
		{vtop.X64, 0, 0, 0},   // from before the flaw was known
		{vtop.X64, 11, 4, 0},  // no address bits
		{vtop.X64, 52, 4, 0},  // as before
		{vtop.X64, 255, 9, 0}, // no bit at all
	} {
		b := Block{Data: wire.Data{L1tfHighPhysicalBitIndex: tt.high, L1tfSwizzleBitIndex: tt.low}}
		assert.Equal(t, vtop.Swizzle{Bits: tt.bits, Unless: 1 << tt.low}, b.swizzle(tt.mode), "%s, %d", tt.mode.Name, tt.high)
	}

	g := guestsim.New(guestsim.Options{})
	g.Write(g.KDBG+0x2c2, []byte{45, 4})
	m := guestMemory(g)
	k, err := m.Read(vtop.VA(g.KDBG), expectOf(g))
	require.NoError(t, err)
	want := vtop.Swizzle{Bits: 1 << 45, Unless: 1 << 4}
	assert.Equal(t, want, k.Space.Swizzle)
	assert.Equal(t, want, k.In(m.Space).Space.Swizzle, "through other page tables too")
	assert.Zero(t, m.Space.Swizzle, "the space of others is not changed")
	unverified, err := m.ReadUnverified(vtop.VA(g.KDBG))
	require.NoError(t, err)
	assert.Equal(t, want, unverified.Space.Swizzle)
}
