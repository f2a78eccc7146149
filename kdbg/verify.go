package kdbg

import (
	"fmt"
	"unsafe"

	"windmp/vtop"
)

// MaxImageSize bounds the kernel image, bytes. Build 26100 has addresses up to
// nt+0x1201a70 in its block; this is three times as much.
const MaxImageSize = 64 << 20

// Verify holds the block against itself, against what e knows, and against the
// memory around it: the size, the page size, KernBase, the two list heads, which
// must lie in the kernel image, the image's MZ, and the base of the first loaded
// module, which is the kernel. What is not readable is no contradiction, as many
// dumps lack pages; nor is a loader entry that was overwritten with nonsense. Errors: [TagError], [SizeError], [MismatchError].
func (b *Block) Verify(s *vtop.Space, e Expect) error {
	if err := b.verifySelf(s); err != nil {
		return err
	}
	if err := b.verifyExpected(e); err != nil {
		return err
	}
	return b.verifyMemory(s)
}

func (b *Block) verifySelf(s *vtop.Space) error {
	d := &b.Data
	if d.Header.OwnerTag != OwnerTag {
		return &TagError{VA: b.VA, Got: d.Header.OwnerTag}
	}
	if n := d.Header.Size; !validSize(n) || uint64(n) != uint64(len(b.Raw)) {
		return &SizeError{VA: b.VA, Got: n}
	}
	if d.MmPageSize != pageSize {
		return b.mismatch("MmPageSize", offMmPageSize, d.MmPageSize, "0x1000")
	}
	if base := vtop.VA(d.KernBase); base%pageSize != 0 || !kernelAddress(s, base) {
		return b.mismatch("KernBase", unsafe.Offsetof(d.KernBase), d.KernBase, "a page in the kernel's half of the address space")
	}
	return nil
}

// verifyExpected compares with what the header says.
func (b *Block) verifyExpected(e Expect) error {
	for _, f := range b.anchors() {
		want := f.expected(e)
		if want != 0 && want != vtop.VA(f.value) {
			return b.mismatch(f.name, f.offset, f.value, fmt.Sprintf("%#x as in the header", uint64(want)))
		}
	}
	return nil
}

// anchor is a field that the header knows too.
type anchor struct {
	name     string
	offset   uintptr
	value    uint64
	expected func(Expect) vtop.VA
}

func (b *Block) anchors() []anchor {
	d := &b.Data
	return []anchor{
		{"KernBase", unsafe.Offsetof(d.KernBase), d.KernBase, func(e Expect) vtop.VA { return e.KernBase }},
		{"PsLoadedModuleList", unsafe.Offsetof(d.PsLoadedModuleList), d.PsLoadedModuleList, func(e Expect) vtop.VA { return e.PsLoadedModuleList }},
		{"PsActiveProcessHead", unsafe.Offsetof(d.PsActiveProcessHead), d.PsActiveProcessHead, func(e Expect) vtop.VA { return e.PsActiveProcessHead }},
	}
}

// verifyMemory compares with the kernel image and the loader list.
func (b *Block) verifyMemory(s *vtop.Space) error {
	base := vtop.VA(b.Data.KernBase)
	offset := unsafe.Offsetof(b.Data.KernBase)
	if magic, err := s.Uint16(base); err == nil && magic != dosMagic {
		return b.mismatch("KernBase", offset, b.Data.KernBase, fmt.Sprintf("the address of an image; its memory starts with %#x, not 0x5a4d (\"MZ\")", magic))
	}
	limit := uint64(MaxImageSize)
	if n, err := ImageSize(s, base); err == nil {
		limit = uint64(n)
	}
	for _, f := range b.anchors()[1:] {
		if f.value < b.Data.KernBase || f.value-b.Data.KernBase >= limit {
			return b.mismatch(f.name, f.offset, f.value, fmt.Sprintf("an address in the kernel image %v..+%#x", base, limit))
		}
	}
	if first, err := firstModuleBase(s, vtop.VA(b.Data.PsLoadedModuleList)); err == nil && first != base {
		return b.mismatch("KernBase", offset, b.Data.KernBase, fmt.Sprintf("%#x, the base of the first loaded module", uint64(first)))
	}
	return nil
}

func (b *Block) mismatch(field string, offset uintptr, got uint64, want string) error {
	return &MismatchError{VA: b.VA, Field: field, Offset: offset, Got: got, Want: want}
}

// kernelAddress reports whether va is canonical and in the upper half.
func kernelAddress(s *vtop.Space, va vtop.VA) bool {
	if s.PointerSize() == pointerSize32 {
		return va >= kernelStart32 && s.Canonical(va)
	}
	return va>>63 == 1 && s.Canonical(va)
}

// field checks that the block has an address field and that it is a kernel
// address.
func (b *Block) field(s *vtop.Space, name string, offset uintptr, value uint64) (vtop.VA, error) {
	if !b.Has(offset, unsafe.Sizeof(value)) {
		return 0, &FieldError{Field: name, Offset: offset, Size: len(b.Raw)}
	}
	if va := vtop.VA(value); kernelAddress(s, va) {
		return va, nil
	}
	return 0, &PointerError{What: "KDBG." + name, Got: vtop.VA(value)}
}
