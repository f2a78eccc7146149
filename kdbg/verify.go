package kdbg

import (
	"fmt"
	"unsafe"

	"windmp/kdbg/peimage"
	"windmp/kdbg/wire"
	"windmp/vtop"
)

// Verify holds the block against itself, against what e knows, and against the
// memory around it: the size, the page size, KernBase, the two list heads, which
// must lie in the kernel image, the image's MZ and machine, and the base of the first
// loaded module, which is the kernel. What is not readable is no contradiction, as many
// dumps lack pages; nor is a loader entry that was overwritten with nonsense. An
// image whose MZ was wiped is believed where the kernel's own lists vouch for it. The
// error is a [BlockError].
func (k *Kernel) Verify(e Expect) error {
	if err := k.verifySelf(); err != nil {
		return err
	}
	if err := k.verifyExpected(e); err != nil {
		return err
	}
	return k.verifyMemory()
}

func (k *Kernel) verifySelf() error {
	d := &k.Data
	if d.Header.OwnerTag != wire.OwnerTag {
		return wrongTag(k.VA, d.Header.OwnerTag)
	}
	if n := d.Header.Size; !wire.ValidSize(n) || uint64(n) != uint64(len(k.Raw)) {
		return wrongSize(k.VA, n)
	}
	if d.MmPageSize != pageSize {
		return k.Mismatch("MmPageSize", wire.OffMmPageSize, d.MmPageSize, "0x1000")
	}
	if base := vtop.VA(d.KernBase); base%pageSize != 0 || !k.IsKernel(base) {
		return k.Mismatch("KernBase", unsafe.Offsetof(d.KernBase), d.KernBase, "a page in the kernel's half of the address space")
	}
	return nil
}

// verifyExpected compares with what the header says.
func (k *Kernel) verifyExpected(e Expect) error {
	for _, f := range k.anchors() {
		want := f.expected(e)
		if want != 0 && want != vtop.VA(f.value) {
			return k.Mismatch(f.name, f.offset, f.value, fmt.Sprintf("%#x as in the header", uint64(want)))
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
func (k *Kernel) verifyMemory() error {
	base := vtop.VA(k.Data.KernBase)
	offset := unsafe.Offsetof(k.Data.KernBase)
	if magic, err := k.Space.Uint16(base); err == nil && magic != peimage.DOSMagic && !k.vouched() {
		return k.Mismatch("KernBase", offset, k.Data.KernBase, fmt.Sprintf("the address of an image; its memory starts with %#x, not %#x (\"MZ\")", magic, peimage.DOSMagic))
	}
	if m, err := peimage.MachineOf(k.Space, base); err == nil && m != k.Layout.Image.Machine {
		return k.Mismatch("KernBase", offset, k.Data.KernBase, fmt.Sprintf("an image of machine %#x; its headers have %#x", k.Layout.Image.Machine, m))
	}
	limit := k.imageSize()
	for _, f := range k.anchors()[1:] {
		if f.value < k.Data.KernBase || f.value-k.Data.KernBase >= limit {
			return k.Mismatch(f.name, f.offset, f.value, fmt.Sprintf("an address in the kernel image %v..+%#x", base, limit))
		}
	}
	if first, err := k.firstModule(vtop.VA(k.Data.PsLoadedModuleList)); err == nil && first.base != base {
		return k.Mismatch("KernBase", offset, k.Data.KernBase, fmt.Sprintf("%#x, the base of the first loaded module", uint64(first.base)))
	}
	return nil
}

// vouched tells whether something else than its MZ says that the kernel lies at
// KernBase: the loader's list begins with it, or the block is the one that is
// registered. Rootkits and protectors wipe the headers of images.
func (k *Kernel) vouched() bool {
	first, err := k.firstModule(vtop.VA(k.Data.PsLoadedModuleList))
	return err == nil && first.base == vtop.VA(k.Data.KernBase) || k.Linked()
}

// imageSize is the size of the kernel's image in bytes: by its headers, else by the
// loader's list; where neither says it, the largest that an image may have.
func (k *Kernel) imageSize() uint64 {
	base := vtop.VA(k.Data.KernBase)
	if n, err := k.ImageSize(base); err == nil {
		return uint64(n)
	}
	if first, err := k.firstModule(vtop.VA(k.Data.PsLoadedModuleList)); err == nil && first.base == base && first.size >= pageSize {
		return min(uint64(first.size), peimage.MaxSize)
	}
	return peimage.MaxSize
}

// InImage reports whether the block lies in the kernel that it names: a copy, such as
// a driver keeps, does not.
func (k *Kernel) InImage() bool {
	base := vtop.VA(k.Data.KernBase)
	return k.VA >= base && uint64(k.VA-base) < k.imageSize()
}
