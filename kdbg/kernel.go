package kdbg

import (
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

// In returns the same kernel, seen through other page tables of its machine.
func (k *Kernel) In(s *vtop.Space) *Kernel {
	return &Kernel{Memory: k.Layout.In(s), Block: k.Block}
}

// linked reports whether the block's list head refers to it: Windows keeps
// KdpDebuggerDataListHead unencoded, and no copy of the block is linked.
func (k *Kernel) linked() bool {
	v, err := k.Pointer(vtop.VA(k.Data.Header.List.Flink))
	return err == nil && v == k.VA
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
