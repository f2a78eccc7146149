package locate

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/vtop"
)

func TestInImage(t *testing.T) {
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
		b, err := InImage(context.Background(), m, im)
		require.NoError(t, err)
		assert.Equal(t, vtop.VA(g.KDBG), b.VA)
		assert.Equal(t, g.Plain, b.Raw)
		assert.Equal(t, opt.Encoded, b.Encoded)
	}
}

// TestInImageCancelled: a search that is over before it begins finds nothing, where there
// is nothing to read either.
func TestInImageCancelled(t *testing.T) {
	t.Parallel()
	m := guestMemory(guestsim.New(guestsim.Options{}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, im := range []*peimage.Image{{Base: guestsim.KernBase, Size: 0x1000}, {Base: 0xffffffff00000000, Size: 0x1000}} {
		k, err := InImage(ctx, m, im)
		require.ErrorIs(t, err, context.Canceled)
		assert.Nil(t, k)
	}
}

// TestInImageLinks: a second registered block makes the links differ.
func TestInImageLinks(t *testing.T) {
	t.Parallel()
	for _, build := range guestsim.Builds {
		g := guestsim.New(guestsim.Options{Build: build, Encoded: true})
		g.SetField("List.Blink", 0xffffae8101000040)
		m := guestMemory(g)
		im, err := m.ReadImage(guestsim.KernBase)
		require.NoError(t, err)
		b, err := InImage(context.Background(), m, im)
		require.NoError(t, err)
		assert.Equal(t, vtop.VA(g.KDBG), b.VA)
		assert.Equal(t, g.Plain, b.Raw)
	}
}

// TestInImageDecoys: a copy inside the image is not preferred to the block that
// is linked; a block of another kernel is not taken.
func TestInImageDecoys(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{Encoded: true})
	m := guestMemory(g)
	g.Map(guestsim.KernBase+0x500000, 0x1000)
	g.Write(guestsim.KernBase+0x500040, g.Plain)
	im, err := m.ReadImage(guestsim.KernBase)
	require.NoError(t, err)
	b, err := InImage(context.Background(), m, im)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(g.KDBG), b.VA)

	g = guestsim.New(guestsim.Options{Encoded: true})
	m = guestMemory(g)
	g.Map(guestsim.KernBase+0x500000, 0x1000)
	g.Write(guestsim.KernBase+0x500040, guestsim.KDBGBlock(19041, guestsim.KernBase+0x10000000))
	g.Unmap(g.KDBG)
	_, err = InImage(context.Background(), m, im)
	require.ErrorIs(t, err, kdbg.ErrNotFound)
}

// TestNear finds the block of a kernel whose image has no headers, or which
// is none by its name, from any address in it.
func TestNear(t *testing.T) {
	t.Parallel()
	for _, opt := range []guestsim.Options{
		{}, {Encoded: true}, {Build: 9600, Encoded: true, KDBGOffset: 0xf40}, {Build: 26100, LA57: true, Odd: true},
	} {
		g := guestsim.New(opt)
		m := guestMemory(g)
		g.Write(guestsim.KernBase, make([]byte, 0x1000))
		for _, va := range []vtop.VA{guestsim.KernBase, vtop.VA(g.KDBG), guestsim.KernBase + vtop.VA(g.ImageSize) - 1} {
			b, err := Near(context.Background(), m, va)
			require.NoError(t, err)
			assert.Equal(t, vtop.VA(g.KDBG), b.VA)
			assert.Equal(t, g.Plain, b.Raw)
		}
		for _, va := range []vtop.VA{m.Layout.LowestKernel, guestsim.KernBase + 2*peimage.MaxSize, ^vtop.VA(0)} {
			_, err := Near(context.Background(), m, va)
			require.ErrorIs(t, err, kdbg.ErrNotFound)
		}
	}
	// A block below the kernel that it names is a copy.
	g := guestsim.New(guestsim.Options{})
	g.Map(guestsim.KernBase-0x1000, 0x1000)
	g.Write(guestsim.KernBase-0x800, g.Plain)
	g.Unmap(g.KDBG)
	_, err := Near(context.Background(), guestMemory(g), guestsim.KernBase)
	require.ErrorIs(t, err, kdbg.ErrNotFound)
	require.ErrorContains(t, err, "the image that the block lies in")
}

// guestMemory is a guest's kernel memory.
func guestMemory(g *guestsim.Guest) kdbg.Memory {
	mode := vtop.X64
	if g.Options.LA57 {
		mode = vtop.LA57
	}
	return kdbg.X64.In(vtop.NewSpace(g.Memory(), g.DTB, mode))
}
