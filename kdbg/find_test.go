package kdbg

import (
	"context"
	"errors"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/vtop"
)

func TestFindImage(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	s := spaceOf(g)
	inside := vtop.VA(guestsim.KernBase + 0x3f8a00)
	g.Map(guestsim.KernBase+0x200000, 16) // an MZ on the way that is no image
	g.Write(guestsim.KernBase+0x200000, []byte("MZ"))
	im, err := FindImage(s, inside)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(guestsim.KernBase), im.Base)
	assert.Equal(t, KernelName, im.Name)
	assert.Equal(t, g.ImageSize, im.Size)
	assert.Equal(t, uint32(0x5f5e1a2b), im.Timestamp)
	require.NotNil(t, im.PDB)
	assert.Equal(t, &PDB{Name: "ntkrnlmp.pdb", GUID: "3FD8A16B221144335566778899AABBCC", Age: 1}, im.PDB)
	assert.Equal(t, guestsim.Version, im.FileVersion)
	require.NoError(t, errors.Join(im.NameErr, im.PDBErr, im.FileVersionErr))
	require.Len(t, im.Sections, 2)
	assert.True(t, im.Sections[1].Writable())

	for _, va := range []vtop.VA{0, 0x1000, guestsim.KernBase - 1, vtop.VA(guestsim.KernBase) + vtop.VA(g.ImageSize)} {
		_, err = FindImage(s, va)
		var bad *ImageError
		require.ErrorAs(t, err, &bad, "%v", va)
	}
}

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
		s := spaceOf(g)
		im, err := ReadImage(s, guestsim.KernBase)
		require.NoError(t, err)
		b, err := FindBlock(context.Background(), s, im)
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
		s := spaceOf(g)
		im, err := ReadImage(s, guestsim.KernBase)
		require.NoError(t, err)
		b, err := FindBlock(context.Background(), s, im)
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
	s := spaceOf(g)
	g.Map(guestsim.KernBase+0x500000, 0x1000)
	g.Write(guestsim.KernBase+0x500040, g.Plain)
	im, err := ReadImage(s, guestsim.KernBase)
	require.NoError(t, err)
	b, err := FindBlock(context.Background(), s, im)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(g.KDBG), b.VA)

	g = guestsim.New(guestsim.Options{Encoded: true})
	s = spaceOf(g)
	g.Map(guestsim.KernBase+0x500000, 0x1000)
	g.Write(guestsim.KernBase+0x500040, guestsim.KDBGBlock(19041, guestsim.KernBase+0x10000000))
	g.Unmap(g.KDBG)
	_, err = FindBlock(context.Background(), s, im)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestExport(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	s := spaceOf(g)
	im, err := ReadImage(s, guestsim.KernBase)
	require.NoError(t, err)
	at, err := im.Export(s, "PsInitialSystemProcess")
	require.NoError(t, err)
	v, err := s.Uint64(at)
	require.NoError(t, err)
	assert.Equal(t, g.EProcess, v)
	_, err = im.Export(s, "NoSuchThing")
	require.ErrorIs(t, err, ErrNoSuchPart)
	g.Unmap(guestsim.KernBase)
	_, err = im.Export(s, "PsInitialSystemProcess")
	require.ErrorIs(t, err, vtop.ErrNotMapped)
}

func TestFindFlag(t *testing.T) {
	t.Parallel()
	for _, build := range guestsim.Builds {
		for never := uint64(0x1234567890abcd00); never < 0x1234567890abcd40; never += 7 {
			g := guestsim.New(guestsim.Options{Build: build, Encoded: true, WaitNever: never, WaitAlways: never * 31})
			s, b := blockOf(t, g)
			im, err := ReadImage(s, guestsim.KernBase)
			require.NoError(t, err)
			at, err := FindFlag(s, im, b)
			require.NoError(t, err)
			assert.Equal(t, vtop.VA(g.Flag), at)

			// A second flag and key that fit as well: no answer.
			other := g.Flag + 3
			g.Write(other, []byte{1})
			// The constant stays the same when both the address and the key change by this.
			change := bits.ReverseBytes64(g.Flag ^ other)
			g.Write64(g.WaitAlways+0x20, g.Options.WaitAlways^change)
			_, err = FindFlag(s, im, b)
			require.ErrorIs(t, err, ErrAmbiguous)

			g.Write(g.Flag, []byte{0})
			g.Write(other, []byte{0})
			_, err = FindFlag(s, im, b)
			require.ErrorIs(t, err, ErrNotFound)
		}
	}
}
