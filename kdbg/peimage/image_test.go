package peimage

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/vtop"
)

func spaceOf(g *guestsim.Guest) *vtop.Space { return vtop.NewSpace(g.Memory(), g.DTB, vtop.X64) }

func TestFind(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	s := spaceOf(g)
	inside := vtop.VA(guestsim.KernBase + 0x3f8a00)
	g.Map(guestsim.KernBase+0x200000, 16) // an MZ on the way that is no image
	g.Write(guestsim.KernBase+0x200000, []byte("MZ"))
	im, err := Find(s, inside, X64)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(guestsim.KernBase), im.Base)
	assert.Equal(t, "ntoskrnl.exe", im.Name)
	assert.Equal(t, g.ImageSize, im.Size)
	assert.Equal(t, uint32(0x5f5e1a2b), im.Timestamp)
	require.NotNil(t, im.PDB)
	assert.Equal(t, &PDB{Name: "ntkrnlmp.pdb", GUID: "3FD8A16B221144335566778899AABBCC", Age: 1}, im.PDB)
	assert.Equal(t, guestsim.Version, im.FileVersion)
	require.NoError(t, errors.Join(im.NameErr, im.PDBErr, im.FileVersionErr))
	require.Len(t, im.Sections, 2)
	assert.True(t, im.Sections[1].Writable())

	for _, va := range []vtop.VA{0, 0x1000, guestsim.KernBase - 1, vtop.VA(guestsim.KernBase) + vtop.VA(g.ImageSize)} {
		_, err = Find(s, va, X64)
		var bad *Error
		require.ErrorAs(t, err, &bad, "%v", va)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	s := spaceOf(g)
	im, err := Read(s, guestsim.KernBase, X64)
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

func TestSize(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{Build: 26100})
	n, err := Size(spaceOf(g), guestsim.KernBase, X64)
	require.NoError(t, err)
	assert.Equal(t, g.ImageSize, n)

	const nt = guestsim.KernBase + 0x110
	tests := []struct {
		field string
		at    uint64
		v     uint32
	}{
		{"e_magic", guestsim.KernBase, 0x4d5a},
		{"e_lfanew", guestsim.KernBase + 0x3c, 0},
		{"e_lfanew", guestsim.KernBase + 0x3c, 0x80000000},
		{"e_lfanew", guestsim.KernBase + 0x3c, 0x7fffffff},
		{"Signature", guestsim.KernBase + 0x3c, 0x1000},
		{"Signature", nt, 0x454e},
		{"Machine", nt + 4, 0x14c},
		{"Magic", nt + 0x18, 0x10b},
		{"SizeOfImage", nt + 0x18 + 0x38, 0},
		{"SizeOfImage", nt + 0x18 + 0x38, 0x1800},
		{"SizeOfImage", nt + 0x18 + 0x38, MaxSize + 0x1000},
		{"SizeOfImage", nt + 0x18 + 0x38, 0xfffff000},
	}
	for _, tt := range tests {
		g := guestsim.New(guestsim.Options{})
		g.Write32(tt.at, tt.v)
		_, err := Size(spaceOf(g), guestsim.KernBase, X64)
		var e *Error
		require.ErrorAs(t, err, &e, "%s %#x", tt.field, tt.v)
		assert.Equal(t, tt.field, e.Field, "%#x", tt.v)
		assert.NotEmpty(t, e.Error())
	}
	g.Unmap(guestsim.KernBase)
	_, err = Size(spaceOf(g), guestsim.KernBase, X64)
	require.ErrorIs(t, err, vtop.ErrNotMapped, "zeros of unreadable memory are not believed")
	_, err = Size(spaceOf(g), 0xfffffffffffff000, X64)
	require.ErrorIs(t, err, vtop.ErrNotMapped)
}
