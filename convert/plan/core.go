package plan

import (
	"windmp/convert/dump"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/stage"
	"windmp/kdbg"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
)

// OutputFormat is the container that is written.
type OutputFormat string

const (
	// FormatDMP is a Windows crash dump.
	FormatDMP OutputFormat = "dmp"
	// FormatELF is an ELF core of the machine, as QEMU's dump-guest-memory lays
	// it out, for the tools of the Linux world.
	FormatELF OutputFormat = "elf"
)

// ParseOutputFormat reads a format's name; the error is a [*UsageError].
func ParseOutputFormat(s string) (OutputFormat, error) {
	return stage.ParseMode("to", s, FormatDMP, FormatELF)
}

// planCore plans an ELF core: all memory that the source holds, unchanged, the
// registers of each processor, and the dump header as the VMCOREINFO note, so
// that the core becomes the same dump again.
func (p *Plan) planCore() error {
	g := p.Guest
	p.memory = memoryPlan{runs: physmem.RunsOf(g.Image.Ranges())}
	if len(p.memory.runs) == 0 {
		return p.Refuse(finding.Finding{ID: finding.IDMissing, Message: "the source holds no whole page of the guest's memory"}, nil)
	}
	note := g.Image.DumpHeader()
	if note == nil {
		note = g.Header.Encode()
	}
	machine := dump.ELFX64
	if g.Is32() {
		machine = dump.ELFX86
	}
	layout, err := dump.NewELF(machine, p.memory.runs, p.coreCPUs(), note)
	if err != nil {
		return p.refuseLayout(err)
	}
	p.layout, p.Size = layout, layout.Size()
	return nil
}

// coreCPUs is the state of the processors: what the source recorded, else what
// the guest's memory holds of each.
func (p *Plan) coreCPUs() []physmem.CPU {
	g := p.Guest
	if cpus := g.Image.CPUs(); len(cpus) > 0 {
		return cpus
	}
	var list []physmem.CPU
	for i := range g.Processors {
		proc := &g.Processors[i]
		if proc.Saved == nil || proc.Specials == nil {
			p.Addf(finding.IDProcessorLeftOut, finding.SeverityWarn, "VA "+proc.PRCB.String(), "", "processor %d has no registers in the core: %v", proc.Index, proc.SavedErr)
			break // the notes are matched by position
		}
		c := coreCPU(g, proc)
		c.Index = i
		list = append(list, c)
	}
	return list
}

// Hidden parts of segment registers, as QEMU keeps them (target/i386/cpu.h,
// DESC_*): flat ones; in 64-bit mode bases and limits are not used.
const (
	codeFlags   = 0xa09b00 // present, code, 64-bit
	codeFlags32 = 0xc09b00 // present, code, 32-bit
	dataFlags   = 0xc09300 // present, data
	flatLimit   = 0xffffffff
)

// coreCPU makes a vCPU of the CONTEXT and the special registers in memory.
func coreCPU(g *guest.Guest, p *guest.Processor) physmem.CPU {
	s := p.Specials
	c := physmem.CPU{
		LDT: physmem.Segment{Selector: s.Ldtr},
		TR:  taskRegister(g, s),
		GDT: physmem.Segment{Limit: uint32(s.Gdtr.Limit), Base: s.Gdtr.Base},
		IDT: physmem.Segment{Limit: uint32(s.Idtr.Limit), Base: s.Idtr.Base},
		CR0: s.Cr0, CR2: s.Cr2, CR3: s.Cr3, CR4: s.Cr4,
		HasSystem: true,
	}
	switch x := p.Saved.(type) {
	case *winhdr.Context64:
		setRegisters64(&c, x, p)
		// Verified by the page tables; a stale CR4 in memory may lack it.
		c.CR4 |= g.Space.Mode.Control.Value
	case *winhdr.Context32:
		setRegisters32(&c, x, p)
	}
	return c
}

func flatSegment(selector uint16, flags uint32, base uint64) physmem.Segment {
	return physmem.Segment{Selector: selector, Limit: flatLimit, Flags: flags, Base: base}
}

func setRegisters64(c *physmem.CPU, x *winhdr.Context64, p *guest.Processor) {
	c.Rax, c.Rbx, c.Rcx, c.Rdx, c.Rsi, c.Rdi, c.Rsp, c.Rbp = x.Rax, x.Rbx, x.Rcx, x.Rdx, x.Rsi, x.Rdi, x.Rsp, x.Rbp
	c.R8, c.R9, c.R10, c.R11, c.R12, c.R13, c.R14, c.R15 = x.R8, x.R9, x.R10, x.R11, x.R12, x.R13, x.R14, x.R15
	c.Rip, c.Rflags = x.Rip, uint64(x.EFlags)
	c.CS, c.DS, c.ES = flatSegment(x.SegCs, codeFlags, 0), flatSegment(x.SegDs, dataFlags, 0), flatSegment(x.SegEs, dataFlags, 0)
	c.FS, c.GS, c.SS = flatSegment(x.SegFs, dataFlags, 0), flatSegment(x.SegGs, dataFlags, uint64(p.PCR)), flatSegment(x.SegSs, dataFlags, 0)
	c.HasKernelGSBase, c.KernelGSBase = true, p.Specials.MsrGsSwap
	if c.CPL() != 0 { // the kernel's GS base waits for SWAPGS
		c.GS.Base, c.KernelGSBase = p.Specials.MsrGsSwap, uint64(p.PCR)
	}
}

func setRegisters32(c *physmem.CPU, x *winhdr.Context32, p *guest.Processor) {
	c.Is32 = true
	c.Rax, c.Rbx, c.Rcx, c.Rdx = uint64(x.Eax), uint64(x.Ebx), uint64(x.Ecx), uint64(x.Edx)
	c.Rsi, c.Rdi, c.Rsp, c.Rbp = uint64(x.Esi), uint64(x.Edi), uint64(x.Esp), uint64(x.Ebp)
	c.Rip, c.Rflags = uint64(x.Eip), uint64(x.EFlags)
	segment := func(selector, flags uint32) physmem.Segment { return flatSegment(uint16(selector&0xffff), flags, 0) }
	c.CS, c.DS, c.ES = segment(x.SegCs, codeFlags32), segment(x.SegDs, dataFlags), segment(x.SegEs, dataFlags)
	c.FS, c.GS, c.SS = segment(x.SegFs, dataFlags), segment(x.SegGs, dataFlags), segment(x.SegSs, dataFlags)
	if c.CPL() == 0 { // what user mode has there is in no structure that was read
		c.FS.Base = uint64(p.PCR)
	}
}

// taskRegister reads TR's hidden part from the GDT: a system descriptor of 16 bytes,
// of a 32-bit guest of 8 (Intel SDM vol. 3, 8.2.2 and 8.2.3). Only the selector is
// known when it is unreadable.
func taskRegister(g *guest.Guest, s *kdbg.SpecialRegisters) physmem.Segment {
	tr := physmem.Segment{Selector: s.Tr}
	at := vtop.VA(s.Gdtr.Base) + vtop.VA(s.Tr&^7)
	low, err := g.Space.Uint64(at)
	if err != nil {
		return tr
	}
	var high uint64
	if !g.Is32() {
		if high, err = g.Space.Uint64(at + 8); err != nil {
			return tr
		}
	}
	tr.Limit = uint32((low&0xffff | low>>48&0xf<<16) & 0xfffff)
	tr.Flags = uint32(low >> 32 & 0xf0ff00)
	tr.Base = low>>16&0xffffff | low>>56<<24 | high<<32
	return tr
}
