package kdbg

import (
	"encoding/binary"
	"errors"
	"fmt"

	"windmp/kdbg/specials"
	"windmp/kdbg/wire"
	"windmp/physmem"
	"windmp/vtop"
)

// segmentSize is the size of the descriptor of a code or data segment, and selectorFlags
// is what of a selector is no offset (Intel SDM vol. 3, 3.4.2 and 3.4.5).
const (
	segmentSize   = 8
	selectorFlags = 7
)

// errNoTables is about a machine without descriptor tables.
var errNoTables = errors.New("the machine has no descriptor tables")

// Segment is what a descriptor says of a segment or task.
type Segment struct {
	Base  uint64
	Limit uint32 // as the descriptor has it: in bytes - 1, or in pages - 1 with the flag G
	// Flags is the second doubleword of the descriptor, without base and limit.
	Flags uint32
}

// Gate returns the handler of a vector from the interrupt descriptor table at idt.
// Errors: a *vtop.FaultError wrapped, or a [PointerError].
func (m Memory) Gate(idt vtop.VA, vector int) (vtop.VA, error) {
	t := &m.Layout.Tables
	if t.Gate == nil {
		return 0, errNoTables
	}
	at := idt + vtop.VA(vector*t.GateSize) //nolint:gosec // vectors are 0 to 255
	b, err := m.read(at, t.GateSize)
	if err != nil {
		return 0, fmt.Errorf("gate %d of the IDT: %w", vector, err)
	}
	va := t.Gate(b)
	if !m.IsKernel(va) {
		return 0, &PointerError{What: fmt.Sprintf("gate %d of the IDT", vector), At: at, Got: va}
	}
	return va, nil
}

// TaskSegment returns what the descriptor of a task says, which is a system
// descriptor, in the table at gdt. The error wraps a *vtop.FaultError.
func (m Memory) TaskSegment(gdt vtop.VA, selector uint16) (Segment, error) {
	return m.descriptor(gdt, selector, m.Layout.Tables.SystemSize)
}

func (m Memory) descriptor(gdt vtop.VA, selector uint16, size int) (Segment, error) {
	if m.Layout.Tables.Segment == nil {
		return Segment{}, errNoTables
	}
	b, err := m.read(gdt+vtop.VA(selector&^selectorFlags), size)
	if err != nil {
		return Segment{}, fmt.Errorf("descriptor %#x of the GDT: %w", selector, err)
	}
	return m.Layout.Tables.Segment(b), nil
}

// errEmpty is about a descriptor of zeros.
var errEmpty = errors.New("its entry is 0")

// CheckCode checks that the table in which debuggers look up the kernel's code segment
// has one. The error wraps a *vtop.FaultError where the table is not readable.
func (m Memory) CheckCode(s specials.Registers) error {
	if m.Layout.Tables.Segment == nil {
		return nil
	}
	t := s.CodeTable()
	if t.Limit == 0 {
		return errEmpty
	}
	entry, err := m.Space.Uint64(t.Base + vtop.VA(m.Layout.Tables.KernelCode))
	if err == nil && entry == 0 {
		err = errEmpty
	}
	return err
}

// CheckSegment checks, on machines whose debuggers find the KPCR in the descriptor
// table, and by it the current thread, that they find p's: by the selector that KDBG
// states, if it does. Errors are those of [Memory.CheckPCR], or say what differs.
func (k *Kernel) CheckSegment(s specials.Registers, p *Processor) error {
	want := k.Layout.Processor.PCRSelector
	if want == 0 {
		return nil
	}
	pcr, err := k.describedPCR(s.CodeTable().Base)
	switch got := k.Data.GdtR0Pcr; {
	case k.Has(wire.OffGdtR0Pcr, 2) && got != want:
		return fmt.Errorf("KDBG.GdtR0Pcr is %#x, expected %#x", got, want)
	case err == nil && pcr != p.PCR:
		return fmt.Errorf("got %v, want %v", pcr, p.PCR)
	}
	return err
}

// segmentOf decodes a descriptor of a segment, or a system descriptor of 8 or of 16
// bytes, whose second half is the upper part of the base (Intel SDM vol. 3, 3.4.5,
// 8.2.2 and 8.2.3).
func segmentOf(b []byte) Segment {
	le := binary.LittleEndian
	low, high := le.Uint64(b), uint64(0)
	if len(b) > segmentSize {
		high = le.Uint64(b[segmentSize:])
	}
	return Segment{
		Limit: uint32((low&0xffff | low>>48&0xf<<16) & 0xfffff),
		Flags: uint32(low >> 32 & physmem.SegmentFlags),
		Base:  low>>16&0xffffff | low>>56<<24 | high<<32,
	}
}
