package kdbg

import (
	"encoding/binary"

	"windmp/vtop"
)

const (
	// OwnerTag is "KDBG", KDBG_TAG of wdbgexts.h.
	OwnerTag uint32 = 0x4742444b

	// MinSize is the smallest Size of a block, bytes: the layout of Windows 2000,
	// to which everything later was appended.
	MinSize = 0x208
	// MaxSize is the largest Size that is believed, bytes. The largest known is
	// 0x3a8; the rest is room for what future builds append.
	MaxSize = 0x800

	wordSize = 8
	// headSize is the part of a block that says what and how long it is.
	headSize = 0x18
	// pageSize is the only MmPageSize of x64.
	pageSize = 0x1000
)

// Block is a debugger data block that was read and verified. It does not change;
// it may be shared.
type Block struct {
	// VA is where it was read.
	VA vtop.VA
	// Raw is the decoded block, as long as its Size says.
	Raw []byte
	// Data is Raw's fields, zero beyond Size: ask [Block.Has]. Those of a 32-bit
	// kernel are brought into the same form, see [Read].
	Data Data
	// Encoded says that the block is encoded in memory.
	Encoded bool
	// Rotation and Constant decode it: word = bswap64(rol64(memory, Rotation)) ^
	// Constant. Zero if not Encoded.
	Rotation uint
	Constant uint64
}

// Expect is what is known of a block before it is read, from the dump header;
// zero is unknown.
type Expect struct {
	PsLoadedModuleList  vtop.VA
	PsActiveProcessHead vtop.VA
	KernBase            vtop.VA
}

// Has reports whether the block has the size bytes of the field at offset. Use
// unsafe.Offsetof(b.Data.Field) and unsafe.Sizeof.
func (b *Block) Has(offset, size uintptr) bool {
	n := uintptr(len(b.Raw))
	return offset <= n && size <= n-offset
}

// Read reads and verifies a plain block. Errors: [TruncatedError] (with the
// *vtop.FaultError), [TagError], [SizeError], and those of [Block.Verify]. The
// block may cross pages that are scattered in physical memory.
//
// 32-bit kernels have the same layout with their pointers in the lower halves of
// the qwords, but for the list in front, which is a LIST_ENTRY of 8 bytes. Only
// the lower halves count, as for QEMU (dump/win_dump.c).
func Read(s *vtop.Space, va vtop.VA, e Expect) (*Block, error) {
	head, err := readBytes(s, va, headSize)
	if err != nil {
		return nil, err
	}
	if tag := binary.LittleEndian.Uint32(head[offOwnerTag:]); tag != OwnerTag {
		return nil, &TagError{VA: va, Got: tag}
	}
	size := binary.LittleEndian.Uint32(head[offSize:])
	if !validSize(size) {
		return nil, &SizeError{VA: va, Got: size}
	}
	raw, err := readBytes(s, va, size)
	if err != nil {
		return nil, err
	}
	b := &Block{VA: va, Raw: raw, Data: decodeFor(s, raw)}
	if err := b.Verify(s, e); err != nil {
		return nil, err
	}
	return b, nil
}

func validSize(n uint32) bool {
	return n >= MinSize && n <= MaxSize && n%wordSize == 0
}

// readBytes reads the first n bytes of the block at va. The caller has checked
// that n is at most MaxSize.
func readBytes(s *vtop.Space, va vtop.VA, n uint32) ([]byte, error) {
	p := make([]byte, n)
	got, err := s.ReadVirtual(p, va)
	if err != nil {
		return nil, &TruncatedError{VA: va, Readable: got, Want: len(p), Err: err}
	}
	return p, nil
}
