package kdbg

import (
	"encoding/binary"
	"math"
	"reflect"

	"windmp/kdbg/wire"
	"windmp/physmem"
	"windmp/vtop"
)

const (
	// headSize is the part of a block that says what and how long it is.
	headSize = 0x18
	// pageSize is the only MmPageSize.
	pageSize = physmem.PageSize
)

// Block is a debugger data block that was read. It does not change; it may be shared.
type Block struct {
	// VA is where it was read.
	VA vtop.VA
	// Raw is the decoded block, as long as its Size says.
	Raw []byte
	// Data is Raw's fields, zero beyond Size: ask [Block.Has]. Those of a kernel
	// with pointers of 32 bits are brought into the same form: only the lower halves
	// of its qwords count, as for QEMU (dump/win_dump.c), and the list in front is a
	// LIST_ENTRY of 8 bytes.
	Data wire.Data
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

// Read reads and verifies a plain block, which may cross pages that are scattered in
// physical memory. The error is a [BlockError], or wraps a *vtop.FaultError.
func (m Memory) Read(va vtop.VA, e Expect) (*Kernel, error) {
	head, err := m.readBlock(va, headSize)
	if err != nil {
		return nil, err
	}
	if tag := binary.LittleEndian.Uint32(head[wire.OffOwnerTag:]); tag != wire.OwnerTag {
		return nil, wrongTag(va, tag)
	}
	size := binary.LittleEndian.Uint32(head[wire.OffSize:])
	if !wire.ValidSize(size) {
		return nil, wrongSize(va, size)
	}
	raw, err := m.readBlock(va, size)
	if err != nil {
		return nil, err
	}
	return m.verified(&Block{VA: va, Raw: raw, Data: m.Layout.data(raw)}, e)
}

// ReadUnverified reads a block as debuggers do: plain, as long as its Size says, and
// nothing that it points to is checked. That is for [Kernel.Verify]. The error is a
// [BlockError] for a tag that is not KDBG's, or a Size that is less than the block's
// head or more than a page; a [PointerError], or wraps a *vtop.FaultError.
func (m Memory) ReadUnverified(va vtop.VA) (*Kernel, error) {
	if !m.IsKernel(va) {
		return nil, &PointerError{What: "KdDebuggerDataBlock", Got: va}
	}
	head, err := m.readBlock(va, headSize)
	if err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head[wire.OffSize:])
	if size < headSize || size > pageSize {
		return nil, wrongSize(va, size)
	}
	raw, err := m.readBlock(va, size)
	if err != nil {
		return nil, err
	}
	if tag := binary.LittleEndian.Uint32(head[wire.OffOwnerTag:]); tag != wire.OwnerTag {
		return nil, wrongTag(va, tag)
	}
	return m.kernel(&Block{VA: va, Raw: raw, Data: m.Layout.data(raw)}), nil
}

// verified is the kernel of a block, if it may be believed.
func (m Memory) verified(b *Block, e Expect) (*Kernel, error) {
	k := m.kernel(b)
	if err := k.Verify(e); err != nil {
		return nil, err
	}
	return k, nil
}

// readBlock reads the first n bytes of the block at va. The caller has checked that n
// is at most a page.
func (m Memory) readBlock(va vtop.VA, n uint32) ([]byte, error) {
	p := make([]byte, n)
	got, err := m.Space.ReadVirtual(p, va)
	if err != nil {
		return nil, truncated(va, got, len(p), err)
	}
	return p, nil
}

// data decodes a plain block.
func (l *Layout) data(raw []byte) wire.Data {
	d := wire.Decode(raw)
	if mask := uint64(l.Last()); mask != math.MaxUint64 {
		fields := reflect.ValueOf(&d).Elem()
		for i := range fields.NumField() {
			if f := fields.Field(i); f.Kind() == reflect.Uint64 {
				f.SetUint(f.Uint() & mask)
			}
		}
	}
	d.Header.List = wire.ListEntry64{Flink: l.Pointer(raw, 0), Blink: l.Pointer(raw, l.PointerSize)}
	if l.Complete != nil {
		l.Complete(&d, len(raw))
	}
	return d
}

// Sizes are how much of structures debuggers read in a triage dump, in bytes: as much
// as a block says that they have, and at least up to what leads to the next.
type Sizes struct{ Prcb, Process, Thread uint64 }

// Sizes are those of the kernel's block.
func (k *Kernel) Sizes() Sizes {
	d, pointer := &k.Data, uint64(k.Layout.PointerSize) //nolint:gosec // 4 or 8
	return Sizes{
		Prcb:    max(uint64(d.SizePrcb), uint64(d.OffsetPrcbCurrentThread)+pointer),
		Process: uint64(d.SizeEProcess),
		Thread:  max(uint64(d.SizeEThread), uint64(d.OffsetKThreadApcProcess)+pointer),
	}
}
