// Package specials is KSPECIAL_REGISTERS as it lies in memory: a [Codec] a machine.
// Debuggers take a processor's control registers, descriptor tables and debug registers
// from it.
package specials

import (
	"encoding/binary"

	"windmp/vtop"
)

// Table is a descriptor table as its register has it.
type Table struct {
	Limit uint16 // bytes - 1
	Base  vtop.VA
}

// Registers are a processor's special registers, KSPECIAL_REGISTERS, whatever the
// machine: debuggers take a processor's control registers, descriptor tables and debug
// registers from it. Those of x64 and x86 are [X86Values].
type Registers interface {
	// Root is what the processor had as the root of its page tables, flags
	// included; 0 if the structure was never filled. UpperRoot is that of the upper half
	// of the addresses, for modes in which each has one ([vtop.Mode].Split).
	Root() uint64
	UpperRoot() uint64
	// CodeTable is the table in which the descriptors of code segments are looked
	// up.
	CodeTable() Table
	// Clone returns a copy, with which the original shares nothing.
	Clone() Registers
}

// Edit is a part of KSPECIAL_REGISTERS to be written.
type Edit struct {
	Offset vtop.VA // from the structure's start
	Bytes  []byte
	What   string // the registers' names, for people
}

// X86Values are the special registers of x64 and x86. Groups that are nil are
// not known: such registers are not written.
type X86Values struct {
	Cr0, Cr2, Cr3, Cr4 uint64
	// NoTables says that Gdtr, Idtr, Tr and Ldtr are not known.
	NoTables   bool
	Gdtr, Idtr Table
	Tr, Ldtr   uint16 // selectors
	Debug      *DebugRegisters
	MxCsr      *uint32
	MSR        *SystemMSRs
}

// DebugRegisters are the debug registers.
type DebugRegisters struct{ Dr0, Dr1, Dr2, Dr3, Dr6, Dr7 uint64 }

// SystemMSRs are the model-specific registers of x64 that Windows keeps.
type SystemMSRs struct {
	GsBase, GsSwap            uint64 // VA of the KPCR; the other GS base
	Star, LStar, CStar, FMask uint64 // of SYSCALL: selectors, entries, and the flags that it clears
}

// Root is CR3.
func (r *X86Values) Root() uint64 { return r.Cr3 }

// UpperRoot is CR3, too: one table has both halves.
func (r *X86Values) UpperRoot() uint64 { return r.Cr3 }

// CodeTable is the GDT.
func (r *X86Values) CodeTable() Table { return r.Gdtr }

// Clone implements Registers.
func (r *X86Values) Clone() Registers {
	c := *r
	if c.Debug != nil {
		c.Debug = new(*c.Debug)
	}
	if c.MxCsr != nil {
		c.MxCsr = new(*c.MxCsr)
	}
	if c.MSR != nil {
		c.MSR = new(*c.MSR)
	}
	return &c
}

// words are registers as memory holds them, of size bytes each.
func words(size int, list ...uint64) []byte {
	b := make([]byte, 0, size*len(list))
	for _, v := range list {
		b = append(b, binary.LittleEndian.AppendUint64(nil, v)[:size]...)
	}
	return b
}

// tableRegister is a table register as SGDT stores it (Intel SDM vol. 2): limit, then
// a base of size bytes.
func tableRegister(t Table, size int) []byte {
	return append(binary.LittleEndian.AppendUint16(nil, t.Limit), words(size, uint64(t.Base))...)
}

// commonEdits are those of x64 and x86, with registers of size bytes.
func (r *X86Values) commonEdits(size int, control, gdtr, idtr, tr uintptr) []Edit {
	registers := Edit{vtop.VA(control), words(size, r.Cr0, r.Cr2, r.Cr3, r.Cr4), "CR0, CR2, CR3, CR4"}
	if r.NoTables {
		return []Edit{registers}
	}
	return []Edit{
		registers,
		{vtop.VA(gdtr), tableRegister(r.Gdtr, size), "GDTR"},
		{vtop.VA(idtr), tableRegister(r.Idtr, size), "IDTR"},
		{vtop.VA(tr), binary.LittleEndian.AppendUint16(nil, r.Tr), "TR"},
	}
}

// edit is that of the debug registers.
func (d *DebugRegisters) edit(size int, at uintptr) Edit {
	return Edit{vtop.VA(at), words(size, d.Dr0, d.Dr1, d.Dr2, d.Dr3, d.Dr6, d.Dr7), "DR0 to DR3, DR6, DR7"}
}

// Codec is the codec of KSPECIAL_REGISTERS.
type Codec struct {
	// Size is that of what Decode takes.
	Size   int
	Decode func(b []byte) Registers
	// Edits are the parts of the structure that s states, as they have to be
	// written. It is nothing for registers that are not of this machine.
	Edits func(s Registers) []Edit
}
