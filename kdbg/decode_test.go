package kdbg

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/kdbg/wire"
	"windmp/vtop"
)

// TestDecodeAllKeys encodes real blocks with random keys, all rotations and all
// sizes, and recovers each from its two words.
func TestDecodeAllKeys(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, build := range guestsim.Builds {
		for k := range uint64(64) {
			for _, size := range sizes {
				plain := resized(guestsim.KDBGBlock(build, guestsim.KernBase), size)
				never, always := rng.Uint64()&^63|k, rng.Uint64()
				flag := guestsim.KernBase + rng.Uint64N(0x1000000)
				offset := rng.Uint64N(0x1000) &^ 7
				m := flat(guestsim.Encode(plain, never, always, flag), offset)
				b, err := m.Decode(flatVA+vtop.VA(offset), Expect{})
				constant := bits.ReverseBytes64(bits.RotateLeft64(never, int(k))^flag) ^ always
				if err != nil || !bytes.Equal(b.Raw, plain) || b.Rotation != uint(k) || b.Constant != constant {
					require.Fail(t, "another block, or none", "build %d, k %d, size %#x: %+v, %v", build, k, size, b, err)
				}
			}
		}
	}
}

func resized(block []byte, size uint32) []byte {
	out := make([]byte, size)
	copy(out, block)
	binary.LittleEndian.PutUint32(out[wire.OffSize:], size)
	return out
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(g *guestsim.Guest)
		is     error
	}{
		{"plain block", func(g *guestsim.Guest) { g.Write(g.KDBG, g.Plain) }, ErrNotFound},
		{"zeros", func(g *guestsim.Guest) { g.Write(g.KDBG, make([]byte, len(g.Plain))) }, ErrNotFound},
		{"a bit of word 2", func(g *guestsim.Guest) { g.Write64(g.KDBG+0x10, g.Read64(g.KDBG+0x10)^1<<20) }, ErrNotFound},
		{"size out of bounds", func(g *guestsim.Guest) { g.SetField("Size", 0x1380) }, ErrNotFound},
		{"decoy with another base", func(g *guestsim.Guest) { g.SetField("KernBase", guestsim.KernBase+0x200000) }, ErrMismatch},
		{"decoy with another list", func(g *guestsim.Guest) { g.SetField("PsLoadedModuleList", guestsim.KernBase+0xc2b2d0) }, ErrMismatch},
		{"unmapped", func(g *guestsim.Guest) { g.Unmap(g.KDBG) }, vtop.ErrNotMapped},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{Encoded: true})
			tt.change(g)
			b, err := guestMemory(g).Decode(vtop.VA(g.KDBG), expectOf(g))
			assert.Nil(t, b)
			require.ErrorIs(t, err, tt.is)
		})
	}
}

// TestReadOfEncoded: an encoded block is no plain one, and says so by its tag.
func TestReadOfEncoded(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{Encoded: true})
	_, err := guestMemory(g).Read(vtop.VA(g.KDBG), expectOf(g))
	var tag *BlockError
	require.ErrorAs(t, err, &tag)
	assert.Equal(t, "OwnerTag", tag.Field)
	assert.Equal(t, vtop.VA(g.KDBG), tag.VA)

	b, err := guestMemory(g).Read(vtop.VA(g.KDBGCopy), expectOf(g))
	require.NoError(t, err)
	assert.Equal(t, g.Plain, b.Raw)
}

// TestDecodeMatchesRule decodes by the published rule, with the keys, and gets
// what Decode gets without them.
func TestDecodeMatchesRule(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{Encoded: true, Build: 26100})
	b := guestKernel(t, g)
	encoded := g.Read(g.KDBG, len(g.Plain))
	for off := 0; off < len(encoded); off += 8 {
		x := binary.LittleEndian.Uint64(encoded[off:]) ^ g.Options.WaitNever
		x = bits.RotateLeft64(x, int(g.Options.WaitNever&63)) ^ g.Flag
		x = bits.ReverseBytes64(x) ^ g.Options.WaitAlways
		require.Equal(t, binary.LittleEndian.Uint64(b.Raw[off:]), x, "word at %#x", off)
	}
}

func BenchmarkDecode(b *testing.B) {
	plain := guestsim.KDBGBlock(19041, guestsim.KernBase)
	m := flat(guestsim.Encode(plain, 0x123456789abcdef0, 42, guestsim.KernBase+0x1234), 0xb20)
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		if _, err := m.Decode(flatVA+0xb20, Expect{}); err != nil {
			b.Fatal(err)
		}
	}
}
