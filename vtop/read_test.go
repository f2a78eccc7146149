package vtop

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scattered maps n pages from va on to physical pages in random order, and
// returns what the virtual memory then holds.
func scattered(g *guest, va VA, n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, n<<12)
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	for i, slot := range r.Perm(n) {
		pa := PA(0x100000 + slot<<12)
		g.mapPage(va+VA(i)<<12, pa, size4K, 0)
		g.write(pa, content[i<<12:(i+1)<<12])
	}
	return content
}

func TestReadVirtualAcrossScatteredPages(t *testing.T) {
	t.Parallel()
	const va VA = 0xfffff8001fffe000 // crosses a page directory's border too
	g := newGuest(X64)
	content := scattered(g, va, 8)
	s := g.space()
	for _, tt := range []struct{ start, size int }{
		{0, len(content)},
		{0xfff, 2},
		{0xff9, 0x4d0}, // a CONTEXT over a page's end
		{0x1ffc, 8},
		{0x123, 0x5000},
		{0x7fff, 1},
		{5, 0},
	} {
		p := make([]byte, tt.size)
		n, err := s.ReadVirtual(p, va+VA(tt.start))
		require.NoError(t, err)
		assert.Equal(t, tt.size, n)
		assert.True(t, bytes.Equal(content[tt.start:tt.start+tt.size], p), "0x%x bytes from 0x%x", tt.size, tt.start)
	}

	// The end of what is mapped: all bytes before it, and where it is.
	p := make([]byte, 0x20)
	n, err := s.ReadVirtual(p, va+0x7ff0)
	assert.Equal(t, 0x10, n)
	assert.Equal(t, content[0x7ff0:], p[:n])
	var fault *FaultError
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, va+0x8000, fault.VA)

	n, err = s.ReadVirtual(nil, 1<<62)
	require.NoError(t, err, "nothing is asked for")
	assert.Zero(t, n)
}

func TestReadVirtualLargePages(t *testing.T) {
	t.Parallel()
	g := newGuest(LA57)
	g.mapPage(0xfffff80000000000, 0x40000000, size1G, 0)
	g.mapPage(0xfffff80040000000, 0x200000, size2M, flagPAT)
	g.mapPage(0xfffff80040200000, 0x9000, size4K, 0)
	g.write(0x7ffffffe, []byte{1, 2})
	g.write(0x200000, []byte{3, 4})
	g.write(0x3ffffe, []byte{5, 6})
	g.write(0x9000, []byte{7, 8})
	s := g.space()
	v, err := s.Uint32(0xfffff8003ffffffe)
	require.NoError(t, err)
	assert.Equal(t, uint32(0x04030201), v)
	v, err = s.Uint32(0xfffff800401ffffe)
	require.NoError(t, err)
	assert.Equal(t, uint32(0x08070605), v)
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	const va VA = 0xfffff80000000000
	g := newGuest(X64)
	g.mapPage(va, 0x5000, size4K, 0)
	g.mapPage(va+0x1000, 0x2000, size4K, 0)
	g.write(0x5fff, []byte{0x01})
	g.write(0x2000, []byte{0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef})
	s := g.space()
	v16, err := s.Uint16(va + 0xfff)
	require.NoError(t, err)
	assert.Equal(t, uint16(0x2301), v16)
	v32, err := s.Uint32(va + 0xfff)
	require.NoError(t, err)
	assert.Equal(t, uint32(0x67452301), v32)
	v64, err := s.Uint64(va + 0xfff)
	require.NoError(t, err)
	assert.Equal(t, uint64(0xefcdab8967452301), v64)

	v16, err = s.Uint16(va + 0x1fff)
	assert.Zero(t, v16)
	require.ErrorIs(t, err, ErrNotMapped)
	v32, err = s.Uint32(va + 0x1ffd)
	assert.Zero(t, v32)
	require.ErrorIs(t, err, ErrNotMapped)
	v64, err = s.Uint64(va + 0x1ff9)
	assert.Zero(t, v64)
	require.ErrorIs(t, err, ErrNotMapped)
}

// Past the highest address there is no lowest one.
func TestTopOfSpace(t *testing.T) {
	t.Parallel()
	const last VA = 0xfffffffffffff000
	g := newGuest(X64)
	g.mapPage(last, 0x5000, size4K, 0)
	g.mapPage(0, 0x6000, size4K, 0)
	g.write(0x5ffc, []byte{1, 2, 3, 4})
	s := g.space()
	v, err := s.Uint32(last + 0xffc)
	require.NoError(t, err)
	assert.Equal(t, uint32(0x04030201), v)

	n, err := s.ReadVirtual(make([]byte, 8), last+0xffc)
	assert.Equal(t, 4, n)
	require.ErrorIs(t, err, ErrNotMapped)
	require.EqualError(t, err, "virtual address 0x0: not a canonical address: range goes past the highest address")
	_, err = s.Pieces(last, 0x1001)
	require.ErrorIs(t, err, ErrNotMapped)
	_, err = s.Window(last, 0x3000).ReadAt(make([]byte, 1), 0x1800)
	require.ErrorIs(t, err, ErrNotMapped)
}

func TestPieces(t *testing.T) {
	t.Parallel()
	const va VA = 0xfffff80000000000
	g := newGuest(X64)
	for i, pa := range []PA{0x8000, 0x9000, 0xa000, 0x5000, 0x4000} {
		g.mapPage(va+VA(i)<<12, pa, size4K, 0)
	}
	s := g.space()
	tests := []struct {
		name   string
		offset VA
		size   uint64
		want   []Piece
	}{
		{"nothing", 0, 0, nil},
		{"inside a page", 0x10, 0x20, []Piece{{0x8010, va + 0x10, 0x20}}},
		{"a whole page", 0x3000, 0x1000, []Piece{{0x5000, va + 0x3000, 0x1000}}},
		{"adjacent pages are one", 0x123, 0x2000, []Piece{{0x8123, va + 0x123, 0x2000}}},
		{
			"all", 0xfff, 0x4001,
			[]Piece{{0x8fff, va + 0xfff, 0x2001}, {0x5000, va + 0x3000, 0x1000}, {0x4000, va + 0x4000, 0x1000}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := s.Pieces(va+tt.offset, tt.size)
			require.NoError(t, err)
			assert.Equal(t, tt.want, got, "the pages are not in the image, and need not be")
		})
	}

	got, err := s.Pieces(va+0x4fff, 2)
	assert.Nil(t, got)
	require.ErrorIs(t, err, ErrNotMapped)

	got, err = s.Pieces(va, MaxPiecesSize+1)
	assert.Nil(t, got)
	assert.Equal(t, &RangeError{va, MaxPiecesSize + 1, MaxPiecesSize}, err)
	require.EqualError(t, err, "virtual range 0xfffff80000000000: got 0x4000001 bytes, want at most 0x4000000")

	g.mapPage(va+0x40000000, 0x40000000, size1G, 0)
	got, err = s.Pieces(va+0x40000000, MaxPiecesSize)
	require.NoError(t, err)
	assert.Equal(t, []Piece{{0x40000000, va + 0x40000000, MaxPiecesSize}}, got)
}

func TestWindow(t *testing.T) {
	t.Parallel()
	const va VA = 0xfffff8001fffe000
	g := newGuest(X64)
	content := scattered(g, va, 4)
	s := g.space()

	section := io.NewSectionReader(s.Window(va+0x10, 0x3000), 0, 0x3000)
	require.NoError(t, iotest.TestReader(section, content[0x10:0x3010]))

	w := s.Window(va, int64(len(content)))
	p := make([]byte, 8)
	n, err := w.ReadAt(p, 0x3ffc)
	assert.Equal(t, 4, n)
	assert.Equal(t, io.EOF, err)
	assert.Equal(t, content[0x3ffc:], p[:n])
	n, err = w.ReadAt(p, 0x3ff8)
	assert.Equal(t, 8, n)
	require.NoError(t, err)
	for _, off := range []int64{0x4000, 1 << 62} {
		n, err = w.ReadAt(p, off)
		assert.Zero(t, n)
		assert.Equal(t, io.EOF, err)
	}
	n, err = w.ReadAt(p, -1)
	assert.Zero(t, n)
	require.EqualError(t, err, "negative offset")
	n, err = s.Window(va, -5).ReadAt(p, 0)
	assert.Zero(t, n)
	assert.Equal(t, io.EOF, err)

	// A fault inside the window is no end of file.
	n, err = s.Window(va, 0x8000).ReadAt(p, 0x3ffc)
	assert.Equal(t, 4, n)
	require.ErrorIs(t, err, ErrNotMapped)
}
