package inspect

import (
	"errors"
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/kdbg"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
)

// dumpMemory is a dump's memory as a debugger sees it: through the header's
// page tables, with the block at the header's address.
type dumpMemory struct {
	*fileChecker
	g       *guest.Guest
	h       *winhdr.Header
	mem     kdbg.Memory
	block   *kdbg.Kernel
	shared  *kdbg.SharedUserData
	modules []kdbg.Module
	cpus    []kdbg.Processor
	// shown is the processor that a debugger starts on.
	shown int
}

// checkMemory follows the header as Microsoft's debugger engine does.
func (c *fileChecker) checkMemory(im *physmem.Image) error {
	g, err := guest.FindHeader(im, c.opt.Guest)
	if err != nil {
		return err
	}
	d := &dumpMemory{fileChecker: c, g: g, h: g.Header()}
	d.mem = g.HeaderMemory()
	defer d.identify()
	if err := d.checkTables(); err != nil {
		return err
	}
	d.readBlock()
	d.checkShared()
	if d.block == nil {
		d.checkModules(vtop.VA(d.h.PsLoadedModuleList))
		return nil
	}
	if err := d.checkBlock(); err != nil {
		return err
	}
	d.checkModules(vtop.VA(d.block.Data.PsLoadedModuleList))
	if err := d.checkProcessors(); err != nil {
		return err
	}
	if finding.Worst(c.All).Rank() <= finding.SeverityInfo.Rank() {
		c.Add(finding.Checked.At("", "the header, the page tables, KDBG, %d processors and %d modules are as debuggers want them", len(d.cpus), len(d.modules)))
	}
	return nil
}

// identify fills in what the report says of the guest.
func (d *dumpMemory) identify() {
	seen := guest.Seen(d.g, d.mem, d.block, d.shared, d.modules)
	d.System, d.Bug = systemOf(seen), bugCheckOf(seen)
}

// checkTables fails a dump whose page tables lead nowhere: it opens, and shows
// nothing.
func (d *dumpMemory) checkTables() error {
	if d.mem.Space.Mode.Unfamiliar {
		d.Add(finding.FiveLevels.At(guest.HeaderOffset(d.h.Offset("DirectoryTableBase")), "the guest uses 5-level paging: debuggers that do not know it see no memory"))
	}
	var first error
	for _, va := range []uint64{d.h.KdDebuggerDataBlock, d.h.PsLoadedModuleList, uint64(d.mem.Layout.SharedUserData)} {
		_, err := d.mem.Space.Translate(vtop.VA(va))
		if err == nil {
			return nil
		}
		first = errors.Join(first, err)
	}
	return d.refuseDump(finding.NoTables, d.h.Offset("DirectoryTableBase"),
		"DirectoryTableBase %#x maps none of the kernel's structures, so that debuggers can't read any memory: %v", d.h.DirectoryTableBase, first)
}

// readBlock reads KDBG where the header says, as a debugger does.
func (d *dumpMemory) readBlock() {
	at := vtop.VA(d.h.KdDebuggerDataBlock)
	where := "VA " + at.String()
	b, err := d.mem.ReadUnverified(at)
	if err == nil {
		d.block = b
		return
	}
	if _, derr := d.mem.Decode(at, kdbg.Expect{}); derr == nil {
		d.Add(finding.BlockEncoded.At(where, "KDBG is still encoded: debuggers do not decode it"))
		return
	}
	d.Add(finding.BlockUnread.At(where, "KDBG is not where the header says: %v", err))
}

// checkShared: KUSER_SHARED_DATA is asked for at the start.
func (d *dumpMemory) checkShared() {
	k, err := d.mem.SharedUserData()
	if err != nil {
		d.Add(finding.SharedUnread.At("VA "+d.mem.Layout.SharedUserData.String(), "%v", err))
		return
	}
	d.shared = k
}

// minBlock is the Size from which a block has OffsetPrcbContext: without it,
// debuggers look for the registers elsewhere.
const minBlock = 0x340

// contextBuild is the build, of Windows 7, since which KPRCB.Context is what KDBG's
// OffsetPrcbContext says.
const contextBuild = 7600

// checkBlock holds KDBG against the header and the kernel image.
func (d *dumpMemory) checkBlock() error {
	b := d.block
	where := "VA " + b.VA.String()
	data := &b.Data
	if data.PsLoadedModuleList == 0 {
		return d.Refuse(finding.BlockWithoutList.At(where, "KDBG.PsLoadedModuleList is null: debuggers reject the dump"), nil)
	}
	hasContext := d.h.MinorVersion >= contextBuild
	if hasContext && len(b.Raw) < minBlock {
		d.Add(finding.BlockOdd.At(where, "KDBG has %#x bytes, less than the %#x up to OffsetPrcbContext: registers are looked for in another place", len(b.Raw), minBlock))
	}
	if h := d.h.PsLoadedModuleList; h != data.PsLoadedModuleList {
		d.Add(finding.BlockOdd.At(guest.HeaderOffset(d.h.Offset("PsLoadedModuleList")),
			"the header's PsLoadedModuleList %#x is not KDBG's %#x: debuggers can't tell where the kernel is", h, data.PsLoadedModuleList))
	}
	if hasContext && data.OffsetPrcbContext == 0 {
		d.Add(finding.BlockOdd.At(where, "KDBG.OffsetPrcbContext is 0: registers are looked for in another place"))
	}
	if err := b.Verify(kdbg.Expect{}); err != nil {
		d.Add(finding.BlockOdd.At(where, "KDBG is odd: %v", err))
	}
	return nil
}

// checkModules walks the loader list and looks at the kernel's image.
func (d *dumpMemory) checkModules(head vtop.VA) {
	modules, err := d.mem.ModulesAt(head)
	d.modules = modules
	if err != nil {
		d.Add(finding.ModuleList.WithAdvice("Debuggers will list only these modules.").At("VA "+head.String(), "the module list breaks off after %d modules: %v", len(modules), err))
	}
	if len(modules) == 0 {
		d.Add(finding.ModuleList.WithAdvice("Debuggers can't name any address.").At("VA "+head.String(), "no module is listed"))
		return
	}
	nt := &modules[0]
	for i := range modules {
		if m := &modules[i]; m.NameErr != nil {
			d.Add(finding.ModuleName.At("VA "+m.Entry.String(), "module %d has no readable name: %v", i, m.NameErr))
		}
	}
	if _, err := d.mem.ImageSize(nt.Base); err != nil {
		d.Add(finding.KernelImage.At("VA "+nt.Base.String(), "the kernel's image headers are not readable: %v", err))
	}
	if d.block != nil && d.block.Data.KernBase != 0 && vtop.VA(d.block.Data.KernBase) != nt.Base {
		d.Add(finding.KernelImage.WithAdvice("").At("VA "+nt.Base.String(), "the first module lies at %v, KDBG says that the kernel is at %v", nt.Base, vtop.VA(d.block.Data.KernBase)))
	}
}

// checkProcessors is about KiProcessorBlock and the registers of each
// processor.
func (d *dumpMemory) checkProcessors() error {
	array := vtop.VA(d.block.Data.KiProcessorBlock)
	where := "VA " + array.String()
	list, err := d.block.Processors(int(d.h.NumberProcessors))
	if err != nil {
		return d.Refuse(finding.NoProcessors.WithAdvice(finding.AdviceDumpAgain).At(where, "KiProcessorBlock is not readable, debuggers reject the dump: %v", err), err)
	}
	for _, p := range list {
		var fault *vtop.FaultError
		if errors.Is(p.Err, kdbg.ErrNullPRCB) || p.PRCB == 0 && errors.As(p.Err, &fault) {
			return d.Refuse(finding.NoProcessors.WithAdvice("NumberProcessors in the header must not be higher than the number of processors.").At(where,
				"processor %d of %d: %v: debuggers reject the dump", p.Index, d.h.NumberProcessors, p.Err), nil)
		}
	}
	d.cpus = list
	d.findShown()
	for i := range list {
		d.checkProcessor(&list[i])
	}
	return nil
}

// findShown finds the processor whose CONTEXT has the stack pointer of the header's.
func (d *dumpMemory) findShown() {
	for _, p := range d.cpus {
		if c, err := d.readContext(p.Context); p.Context != 0 && err == nil && c.SP() == d.h.Context().SP() {
			d.shown = p.Index
			return
		}
	}
	d.Add(finding.HeaderContextForeign.At(guest.HeaderOffset(d.h.Offset("Context")), "the header's CONTEXT is no processor's: debuggers start on processor 0"))
}

func (d *dumpMemory) readContext(at vtop.VA) (winhdr.Context, error) {
	f := d.h.Format()
	buf := make([]byte, f.Registers.Size())
	if _, err := d.mem.Space.ReadVirtual(buf, at); err != nil {
		return nil, err
	}
	return f.DecodeContext(buf)
}

// checkProcessor is about one processor's registers and thread.
func (d *dumpMemory) checkProcessor(p *kdbg.Processor) {
	where := "VA " + p.PRCB.String()
	if p.Err != nil && !errors.Is(p.Err, kdbg.ErrRepeatedPRCB) {
		d.Add(finding.NoRegisters.At(where, "processor %d: %v", p.Index, p.Err))
		return
	}
	if p.PRCB == 0 {
		d.Add(finding.NoRegisters.WithAdvice("").At(where, "processor %d: %v", p.Index, p.Err))
		return
	}
	d.checkContext(p)
	d.checkSpecials(p)
	current, err := d.block.CurrentProcess(p.PRCB)
	if dtb := current.DirectoryTable; err == nil && d.mem.Space.Mode.Root(dtb) == 0 {
		err = fmt.Errorf("KPROCESS.DirectoryTableBase is %#x", dtb)
	}
	if err == nil && d.block.Data.OffsetEprocessDirectoryTableBase == 0 {
		err = errors.New("KDBG.OffsetEprocessDirectoryTableBase is 0")
	}
	if err != nil {
		d.Add(finding.NoThread.At(where, "processor %d: current thread and process: %v", p.Index, err))
	}
}

// checkContext: debuggers take the selector for the mode, and ignore the flags.
func (d *dumpMemory) checkContext(p *kdbg.Processor) {
	where := "VA " + p.Context.String()
	c, err := d.readContext(p.Context)
	if err != nil {
		d.Add(finding.NoRegisters.At(where, "processor %d: CONTEXT: %v", p.Index, err))
		return
	}
	var wrong winhdr.Problem
	if errors.As(c.CheckMode(), &wrong) {
		d.Add(finding.ContextOdd.WithAdvice("Debuggers take it for 32-bit code.").At(where, "processor %d: its CONTEXT has the code segment %s, expected %s", p.Index, wrong.Got, wrong.Want))
		return
	}
	if err := c.Plausible(); err != nil {
		d.Add(finding.ContextOdd.At(where, "processor %d: its CONTEXT is not plausible: %v", p.Index, err))
	}
}

// checkSpecials: the code segment's descriptor is looked up in the GDT.
func (d *dumpMemory) checkSpecials(p *kdbg.Processor) {
	where := "VA " + p.SpecialRegisters.String()
	if p.SpecialRegisters == 0 {
		d.Add(finding.SpecialsOdd.At(where, "processor %d: KDBG does not say where its special registers are", p.Index))
		return
	}
	sr, err := d.mem.SpecialRegisters(p.SpecialRegisters)
	if err != nil {
		d.Add(finding.SpecialsOdd.At(where, "processor %d: %v", p.Index, err))
		return
	}
	if err := d.mem.CheckCode(sr); err != nil {
		d.Add(finding.SpecialsOdd.At(where, "processor %d: the GDT at %v has no code segment: %v", p.Index, sr.CodeTable().Base, err))
		return
	}
	// Of some machines, debuggers find the KPCR, and by it the current thread, in the
	// GDT under the selector that KDBG states.
	if err := d.block.CheckSegment(sr, p); err != nil {
		d.Add(finding.SpecialsOdd.WithAdvice("Debuggers can't set the process of this processor.").At("VA "+sr.CodeTable().Base.String(),
			"processor %d: its GDT does not lead to its KPCR: %v", p.Index, err))
	}
}
