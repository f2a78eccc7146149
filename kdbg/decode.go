package kdbg

import (
	"encoding/binary"
	"math"
	"math/bits"

	"windmp/vtop"
)

// Decode reads and verifies an encoded block, without the keys.
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
// that there is at most one decoding; see [solve]. The block is then verified as
// a plain one is.
//
// Errors: [BlockError], which is [ErrNotFound] for a plain block too, or a
// *vtop.FaultError wrapped.
func (m Memory) Decode(va vtop.VA, e Expect) (*Kernel, error) {
	head, err := m.readBlock(va, MinSize)
	if err != nil {
		return nil, err
	}
	tag := binary.LittleEndian.Uint64(head[offOwnerTag:])
	size := binary.LittleEndian.Uint64(head[offMmPageSize:])
	code, ok := solve(tag, size)
	if !ok {
		return nil, notEncoded(va, tag, size)
	}
	raw, err := m.readBlock(va, sizeOf(code.word(tag)))
	if err != nil {
		return nil, err
	}
	code.decode(raw)
	return m.verified(&Block{
		VA: va, Raw: raw, Data: m.Layout.data(raw),
		Encoded: true, Rotation: uint(code.rotation), Constant: code.constant,
	}, e)
}

// code is what decodes a block: word = bswap64(rol64(memory, rotation)) ^ constant.
type code struct {
	rotation int // 0..63
	constant uint64
}

func (c code) word(memory uint64) uint64 {
	return bits.ReverseBytes64(bits.RotateLeft64(memory, c.rotation)) ^ c.constant
}

func (c code) decode(block []byte) {
	for off := 0; off+wordSize <= len(block); off += wordSize {
		w := block[off : off+wordSize]
		binary.LittleEndian.PutUint64(w, c.word(binary.LittleEndian.Uint64(w)))
	}
}

// solve finds the code from the encoded words 2 (tag and size) and 39
// (MmPageSize).
//
// There is at most one. Suppose that two rotations fit. Byte-swapped, both
// differences are 0x4b544247_ssss_0000, ssss being the swapped size, and one is a
// rotation of the other. In 0x4b544247_ssss_0000 the longest run of zero bits,
// taken as a ring, is the one that ends with the first bit of 0x4b (17 bits and
// more; a size within the bounds leaves at most 14 in a row elsewhere). A
// rotation by other than 0 moves that run, but both have it in the same place. A
// test tries all sizes.
func solve(tag, size uint64) (code, bool) {
	for k := range 64 {
		want := bits.ReverseBytes64(bits.RotateLeft64(tag^size, k)) ^ pageSize
		if want&math.MaxUint32 == uint64(OwnerTag) && validSize(sizeOf(want)) {
			c := bits.ReverseBytes64(bits.RotateLeft64(size, k)) ^ pageSize
			return code{rotation: k, constant: c}, true
		}
	}
	return code{}, false
}

// sizeOf is the upper half of word 2.
func sizeOf(word uint64) uint32 { return uint32(word >> 32) }
