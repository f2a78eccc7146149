package wire

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Code is what decodes a block: word = bswap64(rol64(memory, Rotation)) ^ Constant.
//
// Windows encodes each qword of the block by (QEMU contrib/elf2dmp, Volatility)
//
//	word = bswap64(rol64(memory ^ KiWaitNever, KiWaitNever) ^ A) ^ KiWaitAlways
//
// solved for word, A being the address of KdpDataBlockEncoded. All of this is
// linear over XOR but the rotation, and so
//
//	word = bswap64(rol64(memory, k)) ^ C
//
// with k = KiWaitNever mod 64 and a constant C. Two words whose difference is
// known give k, one of them then C. Known are word 2, the tag with a size out of
// 192, and word 39, MmPageSize, which is 0x1000. Never do two rotations fit, so
// that there is at most one decoding; see [Solve].
type Code struct {
	Rotation int // 0..63
	Constant uint64
}

// Word is a word of the block, by that in memory.
func (c Code) Word(memory uint64) uint64 {
	return bits.ReverseBytes64(bits.RotateLeft64(memory, c.Rotation)) ^ c.Constant
}

// Decode decodes a block in place.
func (c Code) Decode(block []byte) {
	for off := 0; off+WordSize <= len(block); off += WordSize {
		w := block[off : off+WordSize]
		binary.LittleEndian.PutUint64(w, c.Word(binary.LittleEndian.Uint64(w)))
	}
}

// Solve finds the code from the encoded words 2 (tag and size) and 39
// (MmPageSize).
//
// There is at most one. Suppose that two rotations fit. Byte-swapped, both
// differences are 0x4b544247_ssss_0000, ssss being the swapped size, and one is a
// rotation of the other. In 0x4b544247_ssss_0000 the longest run of zero bits,
// taken as a ring, is the one that ends with the first bit of 0x4b (17 bits and
// more; a size within the bounds leaves at most 14 in a row elsewhere). A
// rotation by other than 0 moves that run, but both have it in the same place. A
// test tries all sizes.
func Solve(tag, size uint64) (Code, bool) {
	for k := range 64 {
		want := bits.ReverseBytes64(bits.RotateLeft64(tag^size, k)) ^ pageSize
		if want&math.MaxUint32 == uint64(OwnerTag) && ValidSize(SizeOf(want)) {
			c := bits.ReverseBytes64(bits.RotateLeft64(size, k)) ^ pageSize
			return Code{Rotation: k, Constant: c}, true
		}
	}
	return Code{}, false
}

// SizeOf is the Size in word 2, a plain one.
func SizeOf(word uint64) uint32 { return uint32(word >> 32) }
