package peimage

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/vtop"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	const base, size = guestsim.KernBase + 0x2000000, 0x40000
	g := guestsim.New(guestsim.Options{})
	g.Map(base, 0x1000)
	g.Image(base, guestsim.ImageIdentity{Size: size, Export: "gizmo.sys", Variables: []guestsim.Variable{
		{Name: "Alias", RVA: 0x2000},
		{Name: "First", RVA: 0x1200},
		{Name: "Forwarded", RVA: 0x610},
		{Name: "Outside", RVA: size},
		{Name: "Second", RVA: 0x2000},
		{Name: "Variable", RVA: 0x10010},
	}})
	s := spaceOf(g)
	h, err := ReadHeaders(s, base, X64)
	require.NoError(t, err)
	assert.Equal(t, uint32(0x128+0xf0+2*40), h.Length)
	e, err := h.ReadExports(s)
	require.NoError(t, err)
	for rva, want := range map[uint32]Export{
		0x11ff: {}, 0x1200: {"First", 0x1200}, 0x1fff: {"First", 0x1200}, 0x2000: {"Alias", 0x2000}, 0x9000: {"Alias", 0x2000},
		0xffff: {"Alias", 0x2000}, 0x10000: {}, // another section, without an export below
		0x10010: {"Variable", 0x10010}, 0x1ffff: {"Variable", 0x10010}, 0x20010: {}, 0x3ffff: {}, // 64 KiB
		0x600: {}, 0x620: {}, size: {}, 0xffffffff: {},
	} {
		got, ok := e.Nearest(s, rva)
		assert.Equal(t, want, got, "%#x", rva)
		assert.Equal(t, want.Name != "", ok, "%#x", rva)
	}

	// The tables are looked at, and refused, before anything is made of what they claim.
	at := uint64(base) + 0x600
	for off, v := range map[uint64]uint32{0x14: 1 << 17, 0x18: 1 << 17, 0x1c: size, 0x24: 0xfffffff0} {
		old, err := s.Uint32(vtop.VA(at + off))
		require.NoError(t, err)
		g.Write32(at+off, v)
		_, err = h.ReadExports(s)
		var bad *Error
		require.ErrorAs(t, err, &bad, "%#x", off)
		g.Write32(at+off, old)
	}
	g.Unmap(base)
	_, ok := e.Nearest(s, 0x1200)
	assert.False(t, ok, "the name is not in memory")
	_, err = h.ReadExports(s)
	require.ErrorIs(t, err, vtop.ErrNotMapped)
	h.Exports = Directory{}
	_, err = h.ReadExports(s)
	require.ErrorIs(t, err, ErrNoSuchPart)
}

// directory is an exception directory of n functions of 16 bytes, each with a gap of as
// many behind it, from 0x1000 on.
func directory(g *guestsim.Guest, n uint32) *Functions {
	const base, at = guestsim.KernBase + 0x2000000, 0x30000
	g.Map(base+at, uint64(n+24)*FunctionSize)
	b := make([]byte, 0, n*FunctionSize)
	le := binary.LittleEndian
	for i := range n {
		b = le.AppendUint32(le.AppendUint32(le.AppendUint32(b, 0x1000+32*i), 0x1010+32*i), 0x8000+4*i)
	}
	g.Write(base+at, b)
	return &Functions{Base: base, Size: 0x80000, At: base + at, Length: uint32(len(b))}
}

func TestFindFunction(t *testing.T) {
	t.Parallel()
	for _, n := range []uint32{1, 2, 3, 341, 342, 1000, 4096} {
		g := guestsim.New(guestsim.Options{})
		d := directory(g, n)
		s := spaceOf(g)
		for _, i := range []uint32{0, n / 3, n / 2, n - 1} {
			for off := range uint32(32) {
				f, at, err := d.Find(s, 0x1000+32*i+off)
				require.NoError(t, err)
				if off >= 16 {
					require.Zero(t, at)
					continue
				}
				require.Equal(t, Function{Begin: 0x1000 + 32*i, End: 0x1010 + 32*i, Unwind: 0x8000 + 4*i}, f)
				require.Equal(t, d.At+vtop.VA(FunctionSize*i), at)
			}
		}
		for _, rva := range []uint32{0, 0xfff, 0x1000 + 32*n, 0x7ffff, 0xffffffff} {
			_, at, err := d.Find(s, rva)
			require.NoError(t, err)
			require.Zero(t, at)
		}
	}
}

// A directory that is paged out in part serves for what is there; one that is padded,
// wiped, or wild is told.
func TestFindFunctionBroken(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	d := directory(g, 1000)
	s := spaceOf(g)
	find := func(i uint32) error {
		f, _, err := d.Find(s, 0x1000+32*i)
		if err == nil {
			assert.Equal(t, 0x1000+32*i, f.Begin)
		}
		return err
	}
	g.Unmap(uint64(d.At) + 0x2000)
	require.NoError(t, find(500))
	require.NoError(t, find(20))
	require.ErrorIs(t, find(999), vtop.ErrNotMapped)

	g = guestsim.New(guestsim.Options{})
	d, s = directory(g, 1000), spaceOf(g)
	d.Length += 24 * FunctionSize // zeros behind it
	require.NoError(t, find(999))
	_, at, err := d.Find(s, 0x70000)
	require.NoError(t, err)
	assert.Zero(t, at)
	g.Write(uint64(d.At), make([]byte, d.Length))
	var bad *Error
	require.ErrorAs(t, find(5), &bad)
	for _, f := range [][3]uint32{{0x2000, 0x2000, 0x8000}, {0x1000, 0x80001, 0x8000}, {0x1000, 0x2000, 0x80000}} {
		for i, v := range f {
			g.Write32(uint64(d.At)+12*500+uint64(4*i), v)
		}
		d.Length = 1000 * FunctionSize
		require.ErrorAs(t, find(500), &bad)
		_, err = d.ReadFunction(s, 0x30000+12*500)
		require.ErrorAs(t, err, &bad)
	}
	_, err = d.ReadFunction(s, d.Size-11)
	require.ErrorAs(t, err, &bad)
	_, err = d.ReadFunction(s, 0xffffffff)
	require.ErrorAs(t, err, &bad)
	g.Unmap(uint64(d.At))
	_, err = d.ReadFunction(s, 0x30000)
	require.ErrorIs(t, err, vtop.ErrNotMapped)
	h := &Headers{}
	_, err = h.FunctionTable()
	require.ErrorIs(t, err, ErrNoSuchPart)
}

// FuzzHeaders makes the fuzzer's bytes an image's first pages.
func FuzzHeaders(f *testing.F) {
	const base, size = guestsim.KernBase + 0x2000000, 0x2000
	g := guestsim.New(guestsim.Options{})
	g.Map(base, size)
	g.Image(base, guestsim.ImageIdentity{Size: size, Export: "gizmo.sys", Variables: []guestsim.Variable{{Name: "First", RVA: 0x1200}, {Name: "Second", RVA: 0x1400}}})
	g.Write32(base+0x128+0x70+3*8, 0x1800)
	g.Write32(base+0x128+0x74+3*8, 24)
	g.Write(base+0x1800, []byte{0, 0x12, 0, 0, 0, 0x14, 0, 0, 0, 0x19, 0, 0, 0, 0x14, 0, 0, 0x80, 0x14, 0, 0, 4, 0x19})
	f.Add(g.Read(base, size), uint32(0x1300))
	f.Add(g.Read(base, 0x400), uint32(0x1400))
	s := spaceOf(g)
	f.Fuzz(func(t *testing.T, image []byte, rva uint32) {
		clean := make([]byte, size)
		copy(clean, image)
		g.Write(base, clean)
		h, err := ReadHeaders(s, base, X64)
		require.NotEqual(t, h == nil, err == nil)
		if err != nil {
			return
		}
		assert.LessOrEqual(t, len(h.Sections), maxSections)
		assert.LessOrEqual(t, h.Length, h.Size)
		for _, d := range []Directory{h.Functions, h.Exports} {
			assert.LessOrEqual(t, uint64(d.RVA)+uint64(d.Size), uint64(h.Size))
		}
		if table, err := h.FunctionTable(); err == nil {
			fn, at, err := table.Find(s, rva)
			if at != 0 {
				require.NoError(t, err)
				assert.True(t, fn.Begin <= rva && rva < fn.End && fn.End <= h.Size)
			} else {
				assert.Zero(t, fn)
			}
		}
		e, err := h.ReadExports(s)
		require.NotEqual(t, e == nil, err == nil)
		if err != nil {
			return
		}
		if x, ok := e.Nearest(s, rva); ok {
			assert.NotEmpty(t, x.Name)
			assert.True(t, x.RVA <= rva && rva-x.RVA < exportReach && h.Section(rva) != nil)
		}
	})
}
