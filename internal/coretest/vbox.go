package coretest

import (
	"debug/elf"
	"testing"

	"windmp/internal/elfbuild"
	"windmp/physmem"
)

// VirtualBox returns the core that VirtualBox' debugvm dumpvmcore would write
// of the guest: its format 1.6 (0x10006), or 1.5 or 1.4, of VirtualBox 7.0.14.
// Of the guest's own note there is nothing, VirtualBox has no such device. An
// I/O range at 0xe0000000 is among the program headers, without memory.
//
// Source of the layout: VirtualBox include/VBox/vmm/dbgfcorefmt.h and
// VMM/VMMR3/DBGFCoreWrite.cpp.
func VirtualBox(tb testing.TB, m *physmem.Image, cpus []physmem.CPU, format uint32) []byte {
	tb.Helper()
	desc := make([]byte, 24)
	for i, v := range []uint32{0xc01ac0de, format, 24, 0x0700000e, 161095, uint32(len(cpus))} {
		le.PutUint32(desc[4*i:], v)
	}
	notes := vboxNote("VBCORE", 0xb00, desc)
	for i := range cpus {
		notes = append(notes, vboxNote("VBCPU", 0xb01, vboxCPU(physmem.X86Of(cpus[i]), format))...)
	}
	c := core(tb, m, notes)
	c.Flags = uint32(elf.PF_R)
	end := c.Loads[len(c.Loads)-1]
	c.Loads = append(c.Loads, elfbuild.Load{PA: 0xe0000000, At: end.At + end.FileSize, MemSize: 0x1000000})
	c.Mutate = func(h *elf.Header64) { h.Ident[elf.EI_VERSION] = 0 }
	return build(tb, c)
}

// vboxNote pads name and payload to 8 and does not count the name's NUL.
func vboxNote(name string, typ uint32, desc []byte) []byte {
	b := le.AppendUint32(nil, uint32(len(name)))
	b = le.AppendUint32(b, uint32(len(desc)+7)&^7)
	b = le.AppendUint32(b, typ)
	for _, part := range [][]byte{[]byte(name), desc} {
		b = append(b, part...)
		b = append(b, make([]byte, -len(part)&7)...)
	}
	return b
}

// vboxCPU is a DBGFCORECPU.
func vboxCPU(c *physmem.X86, format uint32) []byte {
	size, shift := 0x2240, 0
	if format == 0x10006 {
		size, shift = 0x2248, 8
	}
	d := make([]byte, size)
	put := func(at int, list ...uint64) {
		for i, v := range list {
			le.PutUint64(d[at+8*i:], v)
		}
	}
	put(0, c.Rax, c.Rbx, c.Rcx, c.Rdx, c.Rsi, c.Rdi)
	put(0x30, c.R8, c.R9, c.R10, c.R11, c.R12, c.R13, c.R14, c.R15)
	put(0x70, c.Rip, c.Rsp, c.Rbp, c.Rflags)
	for at, s := range map[int]physmem.Segment{
		0x90: c.CS, 0xa8: c.DS, 0xc0: c.ES, 0xd8: c.FS, 0xf0: c.GS, 0x108: c.SS, 0x1a0: c.LDT, 0x1b8: c.TR,
	} {
		put(at, s.Base)
		le.PutUint32(d[at+8:], s.Limit)
		le.PutUint32(d[at+12:], s.Flags>>8&0xf0ff)
		le.PutUint16(d[at+16:], s.Selector)
	}
	put(0x120, c.CR0, c.CR2, c.CR3, c.CR4)
	if r := c.Debug; r != nil {
		put(0x140, r.Dr0, r.Dr1, r.Dr2, r.Dr3, r.Dr6, r.Dr7, r.Dr6, r.Dr7)
	}
	put(0x180, c.GDT.Base, uint64(c.GDT.Limit))
	put(0x190, c.IDT.Base, uint64(c.IDT.Limit))
	if r := c.MSR; r != nil {
		put(0x1e8, r.EFER, r.STAR, r.PAT, r.LSTAR, r.CSTAR, r.SFMASK)
	}
	put(0x218, c.KernelGSBase, 0xfee00900)
	put(0x228+shift, 3, 0) // XCR0, XCR1
	if c.FX != nil {
		le.PutUint32(d[0x238+shift:], 0x240)
		copy(d[0x240+shift:], c.FX)
		put(0x240+shift+512, 3) // XSTATE_BV
	}
	return d
}

// WithAll returns the processors with registers that QEMU's notes lack, each
// with a value of its own.
func WithAll(cpus []physmem.CPU) []physmem.CPU {
	out := make([]physmem.CPU, 0, len(cpus))
	for i, cpu := range cpus {
		n := uint64(i) << 32
		c := *physmem.X86Of(cpu)
		c.Debug = &physmem.DebugRegs{
			Dr0: 0xfffff80000001000 | n, Dr1: 0xfffff80000002000 | n, Dr2: 0xfffff80000003000 | n, Dr3: 0xfffff80000004000 | n,
			Dr6: 0xffff0ff1, Dr7: 0x402,
		}
		c.MSR = &physmem.MSRs{
			EFER: 0xd01, STAR: 0x0023001000000000, LSTAR: 0xfffff80041c10000 | n, CSTAR: 0xfffff80041c20000 | n,
			SFMASK: 0x4700, PAT: 0x0007010600070106,
		}
		c.FX = make([]byte, 512)
		for k := 32; k < 416; k++ {
			c.FX[k] = byte(k*3 + i)
		}
		le.PutUint16(c.FX, 0x27f)       // FCW
		le.PutUint32(c.FX[24:], 0x1fa0) // MXCSR
		le.PutUint32(c.FX[28:], 0xffff) // MXCSR_MASK
		cpu.Registers = &c
		out = append(out, cpu)
	}
	return out
}
