package convert

import (
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
	return parseMode("to", s, FormatDMP, FormatELF)
}

// planCore plans an ELF core: all memory that the source holds, unchanged, the
// registers of each processor, and the dump header as the VMCOREINFO note, so
// that the core becomes the same dump again.
func (p *Plan) planCore() error {
	g := p.Guest
	p.memory = memoryPlan{image: g.Image, runs: wholePages(g.Image.Ranges())}
	if len(p.memory.runs) == 0 {
		return p.refuse(Finding{ID: IDMissing, Message: "the source holds no whole page of the guest's memory"}, nil)
	}
	ranges := make([]physmem.Range, 0, len(p.memory.runs))
	for _, r := range p.memory.runs {
		ranges = append(ranges, runRange(r))
	}
	note := g.Image.DumpHeader()
	if note == nil {
		note = g.Header.Encode()
	}
	front, err := physmem.EncodeELF(ranges, p.coreCPUs(), note)
	if err != nil {
		return p.refuse(Finding{ID: IDTooManyRuns, Message: err.Error()}, err)
	}
	p.front = front
	p.memory.firstPage = int64(len(front))
	p.Size = p.memory.firstPage + int64(p.memory.pages()*winhdr.PageSize) //nolint:gosec // what a file holds
	return nil
}

// wholePages is what of the ranges are whole pages.
func wholePages(ranges []physmem.Range) []winhdr.PhysicalMemoryRun64 {
	var runs []winhdr.PhysicalMemoryRun64
	for _, r := range ranges {
		first := (r.Start + winhdr.PageSize - 1) / winhdr.PageSize
		if end := r.End() / winhdr.PageSize; end > first {
			runs = append(runs, winhdr.PhysicalMemoryRun64{BasePage: first, PageCount: end - first})
		}
	}
	return runs
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
			p.addf(IDProcessorLeftOut, SeverityWarn, "VA "+proc.PRCB.String(), "", "processor %d has no registers in the core: %v", proc.Index, proc.SavedErr)
			break // the notes are matched by position
		}
		c := g.coreCPU(proc)
		c.Index = i
		list = append(list, c)
	}
	return list
}

// Hidden parts of segment registers in 64-bit mode, as QEMU keeps them
// (target/i386/cpu.h, DESC_*): bases and limits are not used there.
const (
	codeFlags = 0xa09b00 // present, code, 64-bit
	dataFlags = 0xc09300 // present, data
	flatLimit = 0xffffffff
	cr4LA57   = 1 << 12 // 5-level paging (Intel SDM vol. 3, 2.5)
)

// coreCPU makes a vCPU of the CONTEXT and the special registers in memory.
func (g *Guest) coreCPU(p *Processor) physmem.CPU {
	x, s := p.Saved, p.Specials
	segment := func(selector uint16, flags uint32, base uint64) physmem.Segment {
		return physmem.Segment{Selector: selector, Limit: flatLimit, Flags: flags, Base: base}
	}
	c := physmem.CPU{
		Rax: x.Rax, Rbx: x.Rbx, Rcx: x.Rcx, Rdx: x.Rdx, Rsi: x.Rsi, Rdi: x.Rdi, Rsp: x.Rsp, Rbp: x.Rbp,
		R8: x.R8, R9: x.R9, R10: x.R10, R11: x.R11, R12: x.R12, R13: x.R13, R14: x.R14, R15: x.R15,
		Rip: x.Rip, Rflags: uint64(x.EFlags),
		CS: segment(x.SegCs, codeFlags, 0), DS: segment(x.SegDs, dataFlags, 0), ES: segment(x.SegEs, dataFlags, 0),
		FS: segment(x.SegFs, dataFlags, 0), GS: segment(x.SegGs, dataFlags, uint64(p.PCR)), SS: segment(x.SegSs, dataFlags, 0),
		LDT: physmem.Segment{Selector: s.Ldtr},
		TR:  g.taskRegister(s),
		GDT: physmem.Segment{Limit: uint32(s.Gdtr.Limit), Base: s.Gdtr.Base},
		IDT: physmem.Segment{Limit: uint32(s.Idtr.Limit), Base: s.Idtr.Base},
		CR0: s.Cr0, CR2: s.Cr2, CR3: s.Cr3, CR4: s.Cr4,
		HasSystem: true, HasKernelGSBase: true, KernelGSBase: s.MsrGsSwap,
	}
	if g.Space.Levels == maxLevels {
		// Verified by the page tables; a stale CR4 in memory may lack it.
		c.CR4 |= cr4LA57
	}
	if c.CPL() != 0 { // the kernel's GS base waits for SWAPGS
		c.GS.Base, c.KernelGSBase = s.MsrGsSwap, uint64(p.PCR)
	}
	return c
}

// taskRegister reads TR's hidden part from the GDT: a 16-byte system descriptor
// (Intel SDM vol. 3, 8.2.3). Only the selector is known when it is unreadable.
func (g *Guest) taskRegister(s *kdbg.SpecialRegisters) physmem.Segment {
	tr := physmem.Segment{Selector: s.Tr}
	at := vtop.VA(s.Gdtr.Base) + vtop.VA(s.Tr&^7)
	low, err := g.Space.Uint64(at)
	if err != nil {
		return tr
	}
	high, err := g.Space.Uint64(at + 8)
	if err != nil {
		return tr
	}
	tr.Limit = uint32((low&0xffff | low>>48&0xf<<16) & 0xfffff)
	tr.Flags = uint32(low >> 32 & 0xf0ff00)
	tr.Base = low>>16&0xffffff | low>>56<<24 | high<<32
	return tr
}
