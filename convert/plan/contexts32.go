package plan

import (
	"encoding/binary"
	"unsafe"

	"windmp/convert/guest"
	"windmp/kdbg"
	"windmp/physmem"
	"windmp/winhdr"
)

// contextOf makes the CONTEXT of a vCPU, of the guest's width.
func contextOf(g *guest.Guest, c *physmem.CPU) winhdr.Context {
	if g.Is32() {
		return contextOf32(c)
	}
	return contextOf64(c)
}

// low is the part of a register that a 32-bit guest has.
func low(v uint64) uint32 { return uint32(v & 0xffffffff) }

// contextOf32 makes the x86 CONTEXT of a vCPU, in every byte as QEMU's win-dmp
// writes it, but for the registers that the source lacks.
func contextOf32(c *physmem.CPU) *winhdr.Context32 {
	ctx := &winhdr.Context32{
		ContextFlags: winhdr.ContextQEMU32,
		Dr6:          resetDr6, Dr7: resetDr7,
		SegCs: uint32(c.CS.Selector), SegDs: uint32(c.DS.Selector), SegEs: uint32(c.ES.Selector),
		SegFs: uint32(c.FS.Selector), SegGs: uint32(c.GS.Selector), SegSs: uint32(c.SS.Selector),
		EFlags: low(c.Rflags),
		Eax:    low(c.Rax), Ecx: low(c.Rcx), Edx: low(c.Rdx), Ebx: low(c.Rbx),
		Esp: low(c.Rsp), Ebp: low(c.Rbp), Esi: low(c.Rsi), Edi: low(c.Rdi),
		Eip: low(c.Rip),
	}
	if d := c.Debug; d != nil {
		ctx.Dr0, ctx.Dr1, ctx.Dr2, ctx.Dr3 = low(d.Dr0), low(d.Dr1), low(d.Dr2), low(d.Dr3)
		ctx.Dr6, ctx.Dr7 = low(d.Dr6), low(d.Dr7)
	}
	if floatState(c) != nil {
		ctx.ContextFlags |= winhdr.ContextExtendedRegisters32
		copy(ctx.ExtendedRegisters[:], c.FX)
	}
	return ctx
}

// words32 are registers, or arguments, as a 32-bit guest's memory holds them.
func words32(list ...uint64) []byte {
	var b []byte
	for _, v := range list {
		b = binary.LittleEndian.AppendUint32(b, low(v))
	}
	return b
}

// descriptor32 is a table register as SGDT stores it in 32-bit mode.
func descriptor32(s physmem.Segment) []byte {
	b := binary.LittleEndian.AppendUint16(nil, uint16(s.Limit&0xffff))
	return binary.LittleEndian.AppendUint32(b, low(s.Base))
}

// Spans of the x86 KSPECIAL_REGISTERS that a vCPU's state fills.
const (
	offCr32   = unsafe.Offsetof(kdbg.SpecialRegisters32{}.Cr0)
	offDr32   = unsafe.Offsetof(kdbg.SpecialRegisters32{}.KernelDr0)
	offGdtr32 = unsafe.Offsetof(kdbg.SpecialRegisters32{}.Gdtr) + unsafe.Offsetof(kdbg.Descriptor32{}.Limit)
	offIdtr32 = unsafe.Offsetof(kdbg.SpecialRegisters32{}.Idtr) + unsafe.Offsetof(kdbg.Descriptor32{}.Limit)
	offTr32   = unsafe.Offsetof(kdbg.SpecialRegisters32{}.Tr)
)

// specials32 lists what a vCPU's state sets of them.
func specials32(v *physmem.CPU) []specialEdit {
	list := []specialEdit{
		{offCr32, words32(v.CR0, v.CR2, v.CR3, v.CR4), "CR0, CR2, CR3, CR4"},
		{offGdtr32, descriptor32(v.GDT), "GDTR"},
		{offIdtr32, descriptor32(v.IDT), "IDTR"},
		{offTr32, binary.LittleEndian.AppendUint16(nil, v.TR.Selector), "TR"},
	}
	if d := v.Debug; d != nil {
		list = append(list, specialEdit{offDr32, words32(d.Dr0, d.Dr1, d.Dr2, d.Dr3, d.Dr6, d.Dr7), "DR0 to DR3, DR6, DR7"})
	}
	return list
}
