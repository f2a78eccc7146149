package coretest

import (
	"testing"

	"windmp/internal/elfbuild"
	"windmp/physmem"
)

// CloudHypervisor returns the core that ch-remote coredump would write of the guest: the
// headers count the processors that it started with, of which cpus may have more.
//
// Source of the layout: Cloud Hypervisor vmm/src/coredump.rs, vmm/src/cpu.rs and
// vmm/src/vm.rs of 2026.
func CloudHypervisor(tb testing.TB, m *physmem.Image, cpus []physmem.CPU, started int) []byte {
	tb.Helper()
	var notes []byte
	note := func(name string, typ uint32, desc []byte) {
		notes = le.AppendUint32(notes, 5)
		notes = le.AppendUint32(notes, uint32(len(desc)))
		notes = le.AppendUint32(notes, typ)
		notes = append(append(append(notes, name...), 0, 0, 0, 0), desc...)
	}
	for i := range cpus {
		note("CORE", 1, cloudStatus(uint32(i), physmem.X86Of(cpus[i])))
	}
	for i := range cpus {
		note("QEMU", 0, cloudState(physmem.X86Of(cpus[i])))
	}
	counted := started * (356 + 460)
	c := &elfbuild.Core{Notes: [][]byte{notes[:counted]}, Memory: append([][]byte{notes[counted:]}, Memory(tb, m)...)}
	at := uint64(0)
	for _, r := range m.Ranges() {
		c.Loads = append(c.Loads, elfbuild.Load{PA: r.Start, At: at, FileSize: r.Size, MemSize: r.Size})
		at += r.Size
	}
	return build(tb, c)
}

// cloudStatus is its elf_prstatus: pr_pid is the number of the processor.
func cloudStatus(id uint32, c *physmem.X86) []byte {
	d := make([]byte, 336)
	le.PutUint32(d[32:], id)
	for i, v := range []uint64{
		c.R15, c.R14, c.R13, c.R12, c.Rbp, c.Rbx, c.R11, c.R10, c.R9, c.R8, c.Rax, c.Rcx, c.Rdx, c.Rsi, c.Rdi, 0,
		c.Rip, uint64(c.CS.Selector), c.Rflags, c.Rsp, uint64(c.SS.Selector), c.FS.Base, c.GS.Base,
		uint64(c.DS.Selector), uint64(c.ES.Selector), uint64(c.FS.Selector), uint64(c.GS.Selector),
	} {
		le.PutUint64(d[112+8*i:], v)
	}
	return d
}

// cloudState is its form of QEMU's note: CR8, 9 here, has the place of CR1.
func cloudState(c *physmem.X86) []byte {
	d := make([]byte, 440)
	le.PutUint32(d, 1)
	le.PutUint32(d[4:], 440)
	for i, v := range []uint64{
		c.Rax, c.Rbx, c.Rcx, c.Rdx, c.Rsi, c.Rdi, c.Rsp, c.Rbp,
		c.R8, c.R9, c.R10, c.R11, c.R12, c.R13, c.R14, c.R15, c.Rip, c.Rflags,
	} {
		le.PutUint64(d[8+8*i:], v)
	}
	for i, s := range []physmem.Segment{c.CS, c.DS, c.ES, c.FS, c.GS, c.SS, c.LDT, c.TR, c.GDT, c.IDT} {
		if i >= 8 {
			s.Selector, s.Flags = 0, 0
		}
		le.PutUint32(d[152+24*i:], uint32(s.Selector))
		le.PutUint32(d[152+24*i+4:], s.Limit)
		le.PutUint32(d[152+24*i+8:], s.Flags&0xf0ff00)
		le.PutUint64(d[152+24*i+16:], s.Base)
	}
	for i, v := range []uint64{c.CR0, 9, c.CR2, c.CR3, c.CR4, c.KernelGSBase} {
		le.PutUint64(d[392+8*i:], v)
	}
	return d
}
