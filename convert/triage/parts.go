package triage

import (
	"context"

	"windmp/convert/finding"
	"windmp/internal/binio"
	"windmp/vtop"
	"windmp/winhdr/triagefile"
	"windmp/winhdr/wincontext"
)

// part is what has a place of its own in the dump.
type part struct {
	va     vtop.VA
	data   []byte // with zeros for what is not in memory
	absent uint64 // bytes of those
}

// parts are those of tier 0 that are read from memory.
type parts struct {
	prcb, process, thread, stack part
	drivers                      []triagefile.Driver
	unloaded                     []triagefile.Unloaded
}

const (
	// threadSize and processSize are what is kept of ETHREAD and EPROCESS in data
	// blocks where KDBG does not state the sizes, bytes: more than builds have had.
	threadSize  = 0xa00
	processSize = 0x1000
	// maxStack bounds the stack, bytes: the kernel's largest, KERNEL_LARGE_STACK_SIZE
	// of x64, has 0x12000.
	maxStack = 0x20000
	// otherStack is how far a stack is followed that is not the thread's, bytes, as
	// Windows does it for the stacks of DPCs (builds 9600 to 26100).
	otherStack = 0x2000
)

// readParts reads tier 0.
func (p *planner) readParts() error {
	k := p.view.kernel
	d := &k.Data
	p.parts.prcb = p.part(p.Shown.PRCB, uint64(d.SizePrcb))
	if d.SizePrcb != 0 && p.parts.prcb.absent == uint64(d.SizePrcb) {
		return p.Refuse(finding.TriagePart.At("VA "+p.Shown.PRCB.String(), "the KPRCB of processor %d is not in memory: debuggers reject a small dump without it", p.Shown.Index), nil)
	}
	current, err := k.CurrentProcess(p.Shown.PRCB)
	if current.Thread == 0 || current.Process == 0 {
		p.Add(finding.TriageLacks.At("VA "+p.Shown.PRCB.String(), "thread or process of processor %d are not known", p.Shown.Index).Because(err))
	}
	p.current = current
	if err := p.keepProcess(); err != nil {
		return err
	}
	p.parts.thread = p.part(current.Thread, uint64(d.SizeEThread))
	p.parts.process = p.part(current.Process, uint64(d.SizeEProcess))
	p.readException()
	p.readStack()
	if err := p.readDrivers(); err != nil {
		return err
	}
	p.readUnloaded()
	for _, x := range []struct {
		kind Kind
		what string
		*part
	}{{Processor, "KPRCB", &p.parts.prcb}, {Process, "EPROCESS", &p.parts.process}, {Thread, "ETHREAD", &p.parts.thread}} {
		p.tally(x.kind).absent += x.absent
		if x.absent > 0 {
			p.Add(finding.TriageLacks.At("VA "+x.va.String(), "%s of %s are not in memory and are written as zeros", binio.PartOf(x.absent, uint64(len(x.data))), x.what))
		}
	}
	return nil
}

// part reads a structure; nothing of one whose size or place is not known, or that lies
// where no kernel is.
func (p *planner) part(va vtop.VA, size uint64) part {
	if size == 0 || !p.view.kernel.IsKernel(va) || !p.view.kernel.IsKernel(va+vtop.VA(size-1)) {
		return part{va: va}
	}
	b, absent := p.view.readWhole(va, size)
	return part{va: va, data: b, absent: absent}
}

// holdParts marks what has a place of its own as held: the dump shows it at its
// address. Thread and process that have none become data blocks.
func (p *planner) holdParts() {
	block := p.view.kernel.Block
	for _, x := range []part{p.parts.stack, {va: block.VA, data: block.Raw}, p.parts.thread, p.parts.process} {
		for _, e := range p.held.lacking(x.va, uint64(len(x.data))) {
			p.held.add(e)
		}
	}
	if len(p.parts.thread.data) == 0 {
		p.take(Thread, p.current.Thread, threadSize)
	}
	if len(p.parts.process.data) == 0 {
		p.take(Process, p.current.Process, processSize)
	}
}

// exceptionCodes are the bug checks for which Windows' small dumps show the CONTEXT of
// the exception, and the parameter that points to it. Their code is written with
// [bugcheck.Miniature] (Microsoft's writer did it for this one alone of 32 codes; public dumps
// of builds 9600 to 26100).
var exceptionCodes = map[uint32]int{0x7e: 3}

// readException takes the CONTEXT of an exception for the one that is shown, where
// Windows' small dumps do.
func (p *planner) readException() {
	parameter, ok := exceptionCodes[p.Header.BugCheckCode]
	if !ok {
		return
	}
	at := vtop.VA(p.Header.BugCheckParameters[parameter])
	f := p.Header.Format()
	b := p.part(at, uint64(f.Registers.Size())) //nolint:gosec // some hundred
	if len(b.data) == 0 || b.absent > 0 {
		return
	}
	c, err := f.DecodeContext(b.data)
	if err != nil || c.Plausible() != nil || !p.view.kernel.IsKernel(vtop.VA(c.SP())) || !p.view.kernel.IsKernel(vtop.VA(c.IP())) {
		return
	}
	p.exception = c
}

// context are the registers that are shown.
func (p *planner) context() wincontext.Context {
	if p.exception != nil {
		return p.exception
	}
	return p.Context
}

// readStack reads the stack: the thread's to its base, another one to where it is not
// mapped. Nothing lies below the stack pointer, but for an exception's: there the call
// that raised the bug check is further down on the same stack.
func (p *planner) readStack() {
	sp := vtop.VA(p.context().SP())
	if call := vtop.VA(p.Context.SP()); p.exception != nil && call < sp && sp-call < otherStack && p.view.kernel.IsKernel(call) {
		sp = call
	}
	p.parts.stack = part{va: sp}
	if p.view.mayHold(sp) == nil {
		p.Add(finding.TriageLacks.At("VA "+sp.String(), "the shown processor was in a process, whose stack is not kept"))
		return
	}
	size := uint64(otherStack)
	if low, high := p.threadStack(); sp >= low && sp < high {
		size = min(uint64(high-sp), maxStack)
	}
	p.parts.stack.data = p.view.readFirst(sp, p.view.clip(sp, size))
	if len(p.parts.stack.data) == 0 {
		p.Add(finding.TriageLacks.At("VA "+sp.String(), "the stack of the shown processor is not in memory"))
		p.tally(Stack).absent += size
	}
}

// threadStack are the limits of the thread's stack, 0 where KDBG does not say them.
func (p *planner) threadStack() (low, high vtop.VA) {
	k := p.view.kernel
	low, high = k.StackLimits(p.current.Thread)
	if !k.IsKernel(low) || !k.IsKernel(high-1) {
		return 0, 0
	}
	return low, high
}

// readDrivers lists the loaded images, with what symbol servers know them by, which is
// read of each. The error is the cause of ctx.
func (p *planner) readDrivers() error {
	nameless := 0
	for _, m := range p.modules {
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		d := triagefile.Driver{
			DllBase: uint64(m.Base), EntryPoint: uint64(m.EntryPoint), SizeOfImage: m.Size, Name: m.FullName,
			ExceptionTable: uint64(m.Functions), ExceptionTableSize: uint64(m.FunctionsSize),
		}
		if d.Name == "" {
			d.Name = m.Name
		}
		d.TimeDateStamp, d.CheckSum = p.view.stamp(&m, p.Header.MinorVersion)
		if d.TimeDateStamp == 0 {
			nameless++
		}
		p.parts.drivers = append(p.parts.drivers, d)
	}
	if nameless > 0 {
		p.Add(finding.TriageStamp.At("", "%d of %d drivers have no readable timestamp", nameless, len(p.parts.drivers)))
	}
	return nil
}

// readUnloaded lists the drivers that were unloaded.
func (p *planner) readUnloaded() {
	list, err := p.view.kernel.UnloadedRing()
	p.parts.unloaded = make([]triagefile.Unloaded, 0, len(list))
	if err != nil {
		p.Add(finding.ListUnread.At("", "the list of unloaded drivers breaks off after %d", len(list)).Because(err))
	}
	for _, d := range list {
		p.parts.unloaded = append(p.parts.unloaded, triagefile.Unloaded{Name: d.Name, StartAddress: uint64(d.Start), EndAddress: uint64(d.End)})
	}
}

// numbers are what the memory manager says; 0 for what is not readable.
func (p *planner) numbers() *triagefile.MM {
	k := p.view.kernel
	d := &k.Data
	word := func(at uint64) uint64 {
		if at == 0 {
			return 0
		}
		v, _ := k.Pointer(vtop.VA(at)) // 0 where it is not readable
		return uint64(v)
	}
	low := func(at uint64) uint32 { return uint32(word(at) & 0xffffffff) }
	return &triagefile.MM{
		SpecialPoolTag: low(d.MmSpecialPoolTag), TriageActionTaken: low(d.MmTriageActionTaken),
		VerifyDriverLevel: low(d.MmVerifierData), KernelVerifier: low(d.KernelVerifier),
		MaximumNonPagedPool: word(d.MmMaximumNonPagedPoolInBytes), AllocatedNonPagedPool: word(d.MmAllocatedNonPagedPool),
		PagedPoolMaximum: word(d.MmSizeOfPagedPoolInBytes), PagedPoolAllocated: word(d.MmPagedPoolCommit),
		CommittedPages: word(d.MmTotalCommittedPages), CommittedPagesPeak: word(d.MmPeakCommitment),
		CommitLimitMaximum: word(d.MmTotalCommitLimitMaximum),
	}
}
