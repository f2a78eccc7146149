package wire

import (
	"encoding/binary"
	"math"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
)

// TestOnlyOneRotationFits is solve's proof by trial: no difference of a tag with
// any size and the page size is a rotation of another.
func TestOnlyOneRotationFits(t *testing.T) {
	t.Parallel()
	for size := uint32(MinSize); size <= MaxSize; size += 8 {
		diff := bits.ReverseBytes64((uint64(size)<<32 | uint64(OwnerTag)) ^ pageSize)
		for d := 1; d < 64; d++ {
			w := bits.ReverseBytes64(bits.RotateLeft64(diff, d)) ^ pageSize
			require.False(t, w&math.MaxUint32 == uint64(OwnerTag) && ValidSize(SizeOf(w)), "size %#x, rotation by %d gives %#x", size, d, w)
		}
	}
}

// TestCode: a block that was encoded by the keys is decoded without them, and no other
// words are.
func TestCode(t *testing.T) {
	t.Parallel()
	const never, always, flag = 0x1234_5678_9abc_def1, 0x0fed_cba9, guestsim.KernBase + 0x1237
	plain := guestsim.KDBGBlock(26100, guestsim.KernBase)
	block := guestsim.Encode(plain, never, always, flag)
	c, ok := Solve(binary.LittleEndian.Uint64(block[OffOwnerTag:]), binary.LittleEndian.Uint64(block[OffMmPageSize:]))
	require.True(t, ok)
	assert.Equal(t, never&63, c.Rotation)
	c.Decode(block)
	assert.Equal(t, plain, block)
	assert.Equal(t, uint64(guestsim.KernBase), Decode(block).KernBase)
	assert.True(t, ValidSize(Decode(block).Header.Size))

	_, ok = Solve(binary.LittleEndian.Uint64(plain[OffOwnerTag:]), binary.LittleEndian.Uint64(plain[OffMmPageSize:])^1<<40)
	assert.False(t, ok)
	for _, n := range []uint32{0, MinSize - WordSize, MinSize + 1, MaxSize + WordSize, 1 << 31} {
		assert.False(t, ValidSize(n), "%#x", n)
	}
	assert.Zero(t, Decode(nil))
}

func BenchmarkSolve(b *testing.B) {
	plain := guestsim.KDBGBlock(19041, guestsim.KernBase)
	block := guestsim.Encode(plain, 63, 42, guestsim.KernBase+0x1234)
	tag, size := binary.LittleEndian.Uint64(block[OffOwnerTag:]), binary.LittleEndian.Uint64(block[OffMmPageSize:])
	for b.Loop() {
		if _, ok := Solve(tag, size); !ok {
			b.Fatal("not solved")
		}
	}
}
