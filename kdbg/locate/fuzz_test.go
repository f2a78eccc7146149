package locate

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/vtop"
)

// FuzzInImage32 searches the image of a 32-bit kernel whose words were overwritten: each
// 8 bytes are an offset in the image and a value.
func FuzzInImage32(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x08, 0xec, 0x12, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x30, 0x1b, 0, 0, 4, 0, 0})
	f.Fuzz(func(t *testing.T, pokes []byte) {
		k := guestsim.NewKernel32()
		for ; len(pokes) >= 8; pokes = pokes[8:] {
			at := binary.LittleEndian.Uint32(pokes) % (0x200000 - 3) // the size of the image
			k.Put32(guestsim.NT32+at, binary.LittleEndian.Uint32(pokes[4:]))
		}
		m := memory32(k)
		im, err := m.ReadImage(guestsim.NT32)
		if err != nil {
			return
		}
		b, err := InImage(t.Context(), m, im)
		require.Equal(t, err == nil, b != nil)
		if b == nil {
			return
		}
		require.False(t, b.Encoded)
		require.Equal(t, im.Base, vtop.VA(b.Data.KernBase))
		require.True(t, b.VA >= im.Base && b.VA-im.Base < vtop.VA(im.Size))
	})
}
