package guestsim

import (
	"encoding/binary"
	"slices"
)

// Processor is one of Windows' processors.
type Processor struct {
	// PCR and PRCB are the addresses of KPCR and, 0x180 behind it, KPRCB.
	PCR, PRCB uint64
	// ContextPtr is the address of KPRCB.Context, Context what it points to.
	ContextPtr, Context uint64
	// Special is the address of KSPECIAL_REGISTERS, Thread of the KTHREAD.
	Special, Thread uint64
	// Stack is the lowest address of a mapped page of kernel stack.
	Stack uint64
	// SavedRip and SavedRsp are in the CONTEXT of a crashed guest.
	SavedRip, SavedRsp uint64
}

// Segment is a segment register with its hidden part, as in QEMU's note.
type Segment struct {
	Selector, Limit, Flags uint32
	Base                   uint64
}

// VCPU is what QEMU's notes say of one virtual processor.
type VCPU struct {
	Rax, Rbx, Rcx, Rdx, Rsi, Rdi, Rsp, Rbp uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	Rip, Rflags                            uint64
	CS, DS, ES, FS, GS, SS                 Segment
	LDT, TR, GDT, IDT                      Segment
	CR0, CR1, CR2, CR3, CR4                uint64
	KernelGSBase                           uint64
}

func (g *Guest) buildProcessors() {
	block := g.KiProcessorBlock
	for i := range g.Options.CPUs {
		p := g.newProcessor(uint64(i))
		g.Processors = append(g.Processors, p)
		if block != 0 {
			g.put64(block+uint64(i)*8, p.PRCB)
		}
	}
	if block != 0 {
		g.put64(block+uint64(len(g.Processors))*8, 0)
	}
	for _, i := range g.Options.VCPUOrder {
		g.VCPUs = append(g.VCPUs, g.newVCPU(i))
	}
}

// newProcessor builds KPCR, KPRCB and what hangs off it, by the offsets in KDBG.
func (g *Guest) newProcessor(i uint64) Processor {
	p := Processor{PCR: pcrBase + i*pcrStride, Stack: stackBase + i*stackShift}
	contextOffset := g.offset("OffsetPrcbContext", 0x5980)
	if g.Options.Odd {
		p.PCR += 0xffc - (0x180+contextOffset)&0xfff
	}
	p.PRCB = p.PCR + 0x180
	p.ContextPtr = p.PRCB + contextOffset
	p.Special = p.PRCB + g.offset("OffsetPrcbProcStateSpecialReg", 0x40)
	g.put64(p.PCR, g.GDT)
	g.put64(p.PCR+0x18, p.PCR, p.PRCB)
	g.put64(p.PCR+0x38, g.IDT)
	g.put64(p.PCR+0x108, g.KdVersionBlock)
	if g.shadow != nil {
		g.put64(p.PCR+g.directoryOffset(), g.DTB|2)
		g.share(p.PCR, 0x200)
		g.share(p.PCR+g.directoryOffset(), 8)
	}

	p.Thread = g.pool(0x300)
	g.put64(p.Thread+g.offset("OffsetKThreadApcProcess", 0xb8), g.EProcess)
	g.put64(p.PRCB+8, p.Thread)
	g.put64(p.PRCB+0x18, p.Thread)
	g.put32(p.PRCB+0x24, uint32(i))

	g.Map(p.Stack, pageSize)
	p.SavedRip = KernBase + 0x3f7f50 + i*0x10
	p.SavedRsp = p.Stack + 0x8c8
	g.buildContext(&p, i)
	g.buildSpecial(p)
	return p
}

// offset is a u16 field of KDBG, or what it would be where the block is too
// short to have it.
func (g *Guest) offset(name string, old uint64) uint64 {
	f := kdbgField(name)
	if f.Offset+f.Size > uint64(len(g.Plain)) {
		return old
	}
	return g.Field(name)
}

// buildContext writes the CONTEXT buffer: zero in a live guest, in a crashed one
// what Windows saves (amd64 CONTEXT, winnt.h).
func (g *Guest) buildContext(p *Processor, i uint64) {
	page := g.profile.contextPage
	if g.Options.Odd {
		page = 0xd83
	}
	p.Context = stackBase + 0x10000000 + i*0x4000 + page
	g.Map(p.Context, 0x4d0)
	g.put64(p.ContextPtr, p.Context)
	if g.Options.BugCheck[0] == 0 {
		return
	}
	c := make([]byte, 0x4d0)
	put32 := func(off int, v uint32) { binary.LittleEndian.PutUint32(c[off:], v) }
	put64 := func(off int, v uint64) { binary.LittleEndian.PutUint64(c[off:], v) }
	put32(0x30, 0x10000f)
	put32(0x34, 0x1f80)
	for k, sel := range []uint16{0x10, 0x2b, 0x2b, 0x53, 0x2b, 0x18} {
		binary.LittleEndian.PutUint16(c[0x38+2*k:], sel)
	}
	put32(0x44, 0x40046)
	put64(0x70, 0x400)
	for k := range uint64(16) {
		put64(0x78+8*int(k), 0x5a00000000000000|i<<8|k)
	}
	put64(0x98, p.SavedRsp)
	put64(0xf8, p.SavedRip)
	binary.LittleEndian.PutUint16(c[0x100:], 0x27f)
	put32(0x118, 0x1f80)
	put32(0x11c, 0x2ffff)
	for k := range uint64(16) {
		put64(0x1a0+16*int(k), 0x3ff0000000000000+k)
	}
	g.put(p.Context, c)
}

// buildSpecial writes KSPECIAL_REGISTERS (ntddk.h / public symbols, amd64).
func (g *Guest) buildSpecial(p Processor) {
	at := p.Special
	g.put64(at, 0x80050033, 0xffffc301a0001000, g.DTB, g.cr4())
	g.put64(at+0x48, 0x400)
	g.put16(at+0x56, 0x57)
	g.put64(at+0x58, g.GDT)
	g.put16(at+0x66, 0xfff)
	g.put64(at+0x68, g.IDT)
	g.put16(at+0x70, 0x40)
	g.put32(at+0x74, 0x1f80)
	g.put64(at+0xa8, p.PCR)
	g.put64(at+0xb8, 0x0023001000000000, KernBase+0x401180)
	g.put64(at+0xd0, 0x4700)
}

func (g *Guest) cr4() uint64 {
	const cr4 = 0x1506f8
	if g.Options.LA57 {
		return cr4 | 1<<12
	}
	return cr4
}

// newVCPU is the state of the vCPU that runs Windows processor i.
func (g *Guest) newVCPU(i int) VCPU {
	p, n := g.Processors[i], uint64(i)<<8
	const noise = 0xa500000000000000
	v := VCPU{
		Rax: noise | n, Rbx: noise | n | 1, Rcx: noise | n | 2, Rdx: noise | n | 3, Rsi: noise | n | 4, Rdi: noise | n | 5,
		Rsp: p.Stack + 0xb30, Rbp: noise | n | 6, R8: noise | n | 8, R9: noise | n | 9, R10: noise | n | 10,
		R11: noise | n | 11, R12: noise | n | 12, R13: noise | n | 13, R14: noise | n | 14, R15: noise | n | 15,
		Rip: KernBase + 0x40a2d0 + n, Rflags: 0x246,
		CS: Segment{0x10, 0, 0x209b00, 0}, SS: Segment{0x18, 0, 0x409300, 0},
		DS: Segment{0x2b, 0xffffffff, 0xcff300, 0}, ES: Segment{0x2b, 0xffffffff, 0xcff300, 0},
		FS: Segment{0x53, 0x3c00, 0x40f300, 0}, GS: Segment{0x2b, 0xffffffff, 0xcff300, p.PCR},
		TR:  Segment{0x40, 0x67, 0x8b00, g.GDT + 0x1000},
		GDT: Segment{Limit: 0x57, Base: g.GDT}, IDT: Segment{Limit: 0xfff, Base: g.IDT},
		CR0: 0x80050033, CR2: 0xffffc301a0002000 + n, CR3: g.DTB, CR4: g.cr4(),
		KernelGSBase: 0x0000003f5ad3e000,
	}
	if g.Options.Shadow {
		v.CR3 = g.ShadowDTB
	}
	if g.Options.PCID {
		v.CR3 |= 2
	}
	if slices.Contains(g.Options.UserMode, i) {
		v.CS, v.SS = Segment{0x33, 0, 0x20fb00, 0}, Segment{0x2b, 0xffffffff, 0xcff300, 0}
		v.Rip, v.Rsp = 0x00007ff92abc1234, 0x0000003f5aeff9a8
		v.GS.Base, v.KernelGSBase = v.KernelGSBase, p.PCR
	}
	return v
}
