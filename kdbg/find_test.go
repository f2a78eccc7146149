package kdbg

import (
	"context"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/kdbg/peimage"
	"windmp/kdbg/wire"
	"windmp/vtop"
)

func TestFindBlock(t *testing.T) {
	t.Parallel()
	for _, opt := range []guestsim.Options{
		{},
		{Encoded: true},
		{Build: 9600, Encoded: true},
		{Build: 26100, Encoded: true},
		{Encoded: true, KDBGOffset: 0xf40}, // across pages that are not adjacent
		{LA57: true, Encoded: true, Odd: true},
	} {
		g := guestsim.New(opt)
		m := guestMemory(g)
		im, err := m.ReadImage(guestsim.KernBase)
		require.NoError(t, err)
		b, err := m.FindBlock(context.Background(), im)
		require.NoError(t, err)
		assert.Equal(t, vtop.VA(g.KDBG), b.VA)
		assert.Equal(t, g.Plain, b.Raw)
		assert.Equal(t, opt.Encoded, b.Encoded)
	}
}

// TestFindBlockLinks: a second registered block makes the links differ.
func TestFindBlockLinks(t *testing.T) {
	t.Parallel()
	for _, build := range guestsim.Builds {
		g := guestsim.New(guestsim.Options{Build: build, Encoded: true})
		g.SetField("List.Blink", 0xffffae8101000040)
		m := guestMemory(g)
		im, err := m.ReadImage(guestsim.KernBase)
		require.NoError(t, err)
		b, err := m.FindBlock(context.Background(), im)
		require.NoError(t, err)
		assert.Equal(t, vtop.VA(g.KDBG), b.VA)
		assert.Equal(t, g.Plain, b.Raw)
	}
}

// TestFindBlockDecoys: a copy inside the image is not preferred to the block that
// is linked; a block of another kernel is not taken.
func TestFindBlockDecoys(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{Encoded: true})
	m := guestMemory(g)
	g.Map(guestsim.KernBase+0x500000, 0x1000)
	g.Write(guestsim.KernBase+0x500040, g.Plain)
	im, err := m.ReadImage(guestsim.KernBase)
	require.NoError(t, err)
	b, err := m.FindBlock(context.Background(), im)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(g.KDBG), b.VA)

	g = guestsim.New(guestsim.Options{Encoded: true})
	m = guestMemory(g)
	g.Map(guestsim.KernBase+0x500000, 0x1000)
	g.Write(guestsim.KernBase+0x500040, guestsim.KDBGBlock(19041, guestsim.KernBase+0x10000000))
	g.Unmap(g.KDBG)
	_, err = m.FindBlock(context.Background(), im)
	require.ErrorIs(t, err, ErrNotFound)
}

// TestFindBlockNear finds the block of a kernel whose image has no headers, or which
// is none by its name, from any address in it.
func TestFindBlockNear(t *testing.T) {
	t.Parallel()
	for _, opt := range []guestsim.Options{
		{}, {Encoded: true}, {Build: 9600, Encoded: true, KDBGOffset: 0xf40}, {Build: 26100, LA57: true, Odd: true},
	} {
		g := guestsim.New(opt)
		m := guestMemory(g)
		g.Write(guestsim.KernBase, make([]byte, 0x1000))
		for _, va := range []vtop.VA{guestsim.KernBase, vtop.VA(g.KDBG), guestsim.KernBase + vtop.VA(g.ImageSize) - 1} {
			b, err := m.FindBlockNear(context.Background(), va)
			require.NoError(t, err)
			assert.Equal(t, vtop.VA(g.KDBG), b.VA)
			assert.Equal(t, g.Plain, b.Raw)
		}
		for _, va := range []vtop.VA{m.Layout.LowestKernel, guestsim.KernBase + 2*peimage.MaxSize, ^vtop.VA(0)} {
			_, err := m.FindBlockNear(context.Background(), va)
			require.ErrorIs(t, err, ErrNotFound)
		}
	}
	// A block below the kernel that it names is a copy.
	g := guestsim.New(guestsim.Options{})
	g.Map(guestsim.KernBase-0x1000, 0x1000)
	g.Write(guestsim.KernBase-0x800, g.Plain)
	g.Unmap(g.KDBG)
	_, err := guestMemory(g).FindBlockNear(context.Background(), guestsim.KernBase)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "the image that the block lies in")
}

func TestFindFlag(t *testing.T) {
	t.Parallel()
	for _, build := range guestsim.Builds {
		for never := uint64(0x1234567890abcd00); never < 0x1234567890abcd40; never += 7 {
			g := guestsim.New(guestsim.Options{Build: build, Encoded: true, WaitNever: never, WaitAlways: never * 31})
			b := guestKernel(t, g)
			im, err := b.ReadImage(guestsim.KernBase)
			require.NoError(t, err)
			at, err := b.EncodedFlag(im)
			require.NoError(t, err)
			assert.Equal(t, vtop.VA(g.Flag), at)

			// A second flag and key that fit as well: no answer.
			other := g.Flag + 3
			g.Write(other, []byte{1})
			// The constant stays the same when both the address and the key change by this.
			change := bits.ReverseBytes64(g.Flag ^ other)
			g.Write64(g.WaitAlways+0x20, g.Options.WaitAlways^change)
			_, err = b.EncodedFlag(im)
			require.ErrorIs(t, err, wire.ErrAmbiguous)

			g.Write(g.Flag, []byte{0})
			g.Write(other, []byte{0})
			_, err = b.EncodedFlag(im)
			require.ErrorIs(t, err, wire.ErrNoFlag)
		}
	}
}

// FuzzImage reads what may be an image, hostile or not: it ends, and says
// something sensible.
func FuzzImage(f *testing.F) {
	g := guestsim.New(guestsim.Options{})
	f.Add(g.Read(guestsim.KernBase, 0x1000), "NtBuildNumber")
	f.Fuzz(func(t *testing.T, page []byte, name string) {
		page = page[:min(len(page), 0x2000)]
		m := flat(page, 0)
		im, err := m.ReadImage(flatVA)
		if err != nil {
			require.Nil(t, im)
			return
		}
		require.LessOrEqual(t, im.Size, uint32(peimage.MaxSize))
		require.True(t, im.Name == "" || im.NameErr == nil)
		require.True(t, im.PDB == nil || im.PDBErr == nil)
		at, err := im.Export(m.Space, name)
		require.True(t, at == 0 || err == nil)
		k := &Kernel{Memory: m, Block: &Block{Encoded: true, Rotation: 5, Constant: 77}}
		_, _ = k.EncodedFlag(im)
		_, _ = m.FindImage(flatVA + 0x1800)
	})
}
