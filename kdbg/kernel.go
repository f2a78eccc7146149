package kdbg

import (
	"bytes"
	"unsafe"

	"windmp/vtop"
)

// Kernel is a kernel whose debugger data block was read: what hangs off it is read by
// its methods, through the address space and the layout of its [Memory]. It does not
// change; it may be shared, if the memory may.
type Kernel struct {
	Memory
	*Block
}

// kernel is that of a block, in whose space entries of page tables that are not
// present are read as the block states.
func (m Memory) kernel(b *Block) *Kernel {
	s := *m.Space
	s.Swizzle = b.swizzle(s.Mode)
	return &Kernel{Memory: m.Layout.In(&s), Block: b}
}

// swizzle is what the kernel does to entries of page tables that are not present.
// Blocks from before the flaw was known have zeros there, and bit 0 is no part of an
// address; nor has an entry of 32 bits the bit that is stated.
func (b *Block) swizzle(m *vtop.Mode) vtop.Swizzle {
	d := &b.Data
	return vtop.Swizzle{
		Bits:   vtop.Entry(1) << d.L1tfHighPhysicalBitIndex & m.Absent.Transition.Address,
		Unless: vtop.Entry(1) << d.L1tfSwizzleBitIndex,
	}
}

// Clone returns the same kernel, which shares nothing with k but the memory.
func (k *Kernel) Clone() *Kernel {
	b := *k.Block
	b.Raw = bytes.Clone(b.Raw)
	return &Kernel{Memory: k.Memory.Clone(), Block: &b}
}

// In returns the same kernel, seen through other page tables of its machine.
func (k *Kernel) In(s *vtop.Space) *Kernel { return k.Layout.In(s).kernel(k.Block) }

// MappedBy reports whether other page tables map the block where the kernel's own do:
// those of all processes of a Windows.
func (k *Kernel) MappedBy(other *vtop.Space) bool {
	want, err := k.Space.Translate(k.VA)
	if err != nil {
		return false
	}
	got, err := other.Translate(k.VA)
	return err == nil && got.PA == want.PA
}

// Linked reports whether the block's list head refers to it: Windows keeps
// KdpDebuggerDataListHead unencoded, and no copy of the block is linked.
func (k *Kernel) Linked() bool {
	v, err := k.Pointer(vtop.VA(k.Data.Header.List.Flink))
	return err == nil && v == k.VA
}

// PageTables is where the page tables map themselves, VA: what the block says, else
// where they did before it did.
func (k *Kernel) PageTables() vtop.VA {
	if at := vtop.VA(k.Data.PteBase); at != 0 {
		return at
	}
	return k.Layout.PageTables
}

// field checks that the block has an address field and that it is a kernel address.
func (k *Kernel) field(name string, offset uintptr, value uint64) (vtop.VA, error) {
	if !k.Has(offset, unsafe.Sizeof(value)) {
		return 0, k.absent(name, offset)
	}
	if va := vtop.VA(value); k.IsKernel(va) {
		return va, nil
	}
	return 0, &PointerError{What: "KDBG." + name, Got: vtop.VA(value)}
}

// offsetOr is an offset field of the block, or a default where the block does not
// have it or leaves it zero.
func offsetOr(value uint16, otherwise vtop.VA) vtop.VA {
	if value == 0 {
		return otherwise
	}
	return vtop.VA(value)
}

// KernelName is the name in the export directory of every kernel, whatever its
// file is called.
const KernelName = "ntoskrnl.exe"
