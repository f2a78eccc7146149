package kdbg

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/kdbg/peimage"
	"windmp/kdbg/wire"
	"windmp/vtop"
)

func TestFindFlag(t *testing.T) {
	t.Parallel()
	for _, build := range guestsim.Builds {
		for never := uint64(0x1234567890abcd00); never < 0x1234567890abcd40; never += 21 {
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
