package judge

import (
	"errors"
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/internal/binio"
	"windmp/kdbg"
	"windmp/vtop"
	"windmp/winhdr/problem"
	"windmp/winhdr/wincontext"
)

// levels: not every debugger knows every paging mode.
func (c *subject) levels() error {
	where := guest.HeaderOffset(c.h.Offset("DirectoryTableBase"))
	switch mode := c.mem.Space.Mode; {
	case mode.Unfamiliar:
		c.Add(finding.FiveLevels.At(where, "the guest uses 5-level paging: debuggers that do not know it see no memory"))
	case mode.Split:
		c.Add(finding.SplitTables.At(where, "each half of the addresses has page tables of its own: debuggers that follow one root see no memory of processes"))
	}
	return nil
}

// tables fails a dump whose page tables lead nowhere: it opens, and shows nothing.
func (c *subject) tables() error {
	var first error
	for _, va := range []uint64{c.h.KdDebuggerDataBlock, c.h.PsLoadedModuleList, uint64(c.mem.Layout.SharedUserData)} {
		_, err := c.mem.Space.Translate(vtop.VA(va))
		if err == nil {
			return nil
		}
		first = errors.Join(first, err)
	}
	return c.Refuse(finding.NoTables.At(guest.HeaderOffset(c.h.Offset("DirectoryTableBase")),
		"DirectoryTableBase maps none of the kernel's structures, so that debuggers can't read any memory").
		Because(fmt.Sprintf("it is %#x: %v", c.h.DirectoryTableBase, first)), nil)
}

// block: debuggers read KDBG where the header says.
func (c *subject) block() error {
	where := "VA " + vtop.VA(c.h.KdDebuggerDataBlock).String()
	switch {
	case c.seen.BlockErr == nil:
	case c.seen.Encoded:
		c.Add(finding.BlockEncoded.At(where, "KDBG is still encoded: debuggers do not decode it"))
	default:
		c.Add(finding.BlockUnread.At(where, "KDBG is not where the header says").Because(c.seen.BlockErr))
	}
	return nil
}

// shared: KUSER_SHARED_DATA is asked for at the start.
func (c *subject) shared() error {
	if err := c.seen.SharedErr; err != nil {
		c.Add(finding.SharedUnread.At("VA "+c.mem.Layout.SharedUserData.String(), "KUSER_SHARED_DATA is not readable").Because(err))
	}
	return nil
}

// minBlock is the Size from which a block has OffsetPrcbContext: without it,
// debuggers look for the registers elsewhere.
const minBlock = 0x340

// contextBuild is the build, of Windows 7, since which KPRCB.Context is what KDBG's
// OffsetPrcbContext says.
const contextBuild = 7600

// blockFields holds KDBG against the header.
func (c *subject) blockFields() error {
	b := c.kernel
	where := "VA " + b.VA.String()
	data := &b.Data
	if data.PsLoadedModuleList == 0 {
		return c.Refuse(finding.BlockWithoutList.At(where, "KDBG.PsLoadedModuleList is null: debuggers reject the dump"), nil)
	}
	hasContext := c.h.MinorVersion >= contextBuild
	if hasContext && len(b.Raw) < minBlock {
		c.Add(finding.BlockOdd.At(where, "KDBG has %d bytes, less than the %d up to OffsetPrcbContext: registers are looked for in another place", len(b.Raw), minBlock))
	}
	if h := c.h.PsLoadedModuleList; h != data.PsLoadedModuleList {
		c.Add(finding.BlockOdd.At(guest.HeaderOffset(c.h.Offset("PsLoadedModuleList")),
			"the header's PsLoadedModuleList is not KDBG's: debuggers can't tell where the kernel is").Because(fmt.Sprintf("the header has %#x, KDBG %#x", h, data.PsLoadedModuleList)))
	}
	if hasContext && data.OffsetPrcbContext == 0 {
		c.Add(finding.BlockOdd.At(where, "KDBG.OffsetPrcbContext is 0: registers are looked for in another place"))
	}
	if err := b.Verify(kdbg.Expect{}); err != nil {
		c.Add(finding.BlockOdd.At(where, "KDBG contradicts itself, or the kernel's image").Because(err))
	}
	return nil
}

// moduleList is what debuggers list.
func (c *subject) moduleList() error {
	modules, head := c.modules, c.seen.List
	if err := c.seen.ListErr; err != nil {
		c.Add(finding.ModuleList.WithAdvice("Debuggers will list only these modules.").At("VA "+head.String(), "the module list breaks off after %s", binio.Plural(len(modules), "module")).Because(err))
	}
	if len(modules) == 0 {
		c.Add(finding.ModuleList.WithAdvice("Debuggers can't name any address.").At("VA "+head.String(), "no module is listed"))
	}
	for i := range modules {
		if m := &modules[i]; m.NameErr != nil {
			c.Add(finding.ModuleName.At("VA "+m.Entry.String(), "module %d has no readable name", i).Because(m.NameErr))
		}
	}
	return nil
}

// kernelImage: the first module is the kernel.
func (c *subject) kernelImage() error {
	if len(c.modules) == 0 {
		return nil
	}
	nt := &c.modules[0]
	if _, err := c.mem.ImageSize(nt.Base); err != nil {
		c.Add(finding.KernelImage.At("VA "+nt.Base.String(), "the kernel's image headers are not readable").Because(err))
	}
	if c.kernel != nil && c.kernel.Data.KernBase != 0 && vtop.VA(c.kernel.Data.KernBase) != nt.Base {
		c.Add(finding.KernelImage.WithAdvice("").At("VA "+nt.Base.String(), "the first module lies elsewhere than KDBG says that the kernel does").Because(fmt.Sprintf("it lies at %v, the kernel by KDBG at %v", nt.Base, vtop.VA(c.kernel.Data.KernBase))))
	}
	return nil
}

// processors is about KiProcessorBlock: debuggers reject an entry that is null.
func (c *subject) processors() error {
	array := vtop.VA(c.kernel.Data.KiProcessorBlock)
	where := "VA " + array.String()
	list, err := c.kernel.Processors(int(c.h.NumberProcessors))
	if err != nil {
		return c.Refuse(finding.NoProcessors.WithAdvice(finding.AdviceDumpAgain).At(where, "KiProcessorBlock, the list of processors, is not readable: debuggers reject the dump").Because(err), err)
	}
	for _, p := range list {
		var fault *vtop.FaultError
		if errors.Is(p.Err, kdbg.ErrNullPRCB) || p.PRCB == 0 && errors.As(p.Err, &fault) {
			return c.Refuse(finding.NoProcessors.WithAdvice("NumberProcessors in the header must not be higher than the number of processors. Convert the dump, which counts them.").At(where,
				"processor %d of %d is not there: debuggers reject the dump", p.Index, c.h.NumberProcessors).Because(p.Err), nil)
		}
	}
	c.cpus = list
	return nil
}

// shown: debuggers start on the processor whose CONTEXT has the stack pointer of the
// header's.
func (c *subject) shown() error {
	for _, p := range c.cpus {
		if x, err := c.readContext(p.Context); p.Context != 0 && err == nil && x.SP() == c.h.Context().SP() {
			return nil
		}
	}
	c.Add(finding.HeaderContextForeign.At(guest.HeaderOffset(c.h.Offset("Context")), "the header's CONTEXT is no processor's: debuggers start on processor 0"))
	return nil
}

// registers is about what debuggers show of each processor.
func (c *subject) registers() error {
	for i := range c.cpus {
		c.checkProcessor(&c.cpus[i])
	}
	return nil
}

func (c *subject) readContext(at vtop.VA) (wincontext.Context, error) {
	f := c.h.Format()
	buf := make([]byte, f.Registers.Size())
	if _, err := c.mem.Space.ReadVirtual(buf, at); err != nil {
		return nil, err
	}
	return f.DecodeContext(buf)
}

// checkProcessor is about one processor's registers and thread.
func (c *subject) checkProcessor(p *kdbg.Processor) {
	where := "VA " + p.PRCB.String()
	if p.Err != nil && !errors.Is(p.Err, kdbg.ErrRepeatedPRCB) {
		c.Add(finding.NoRegisters.At(where, "processor %d: its KPRCB is not usable", p.Index).Because(p.Err))
		return
	}
	if p.PRCB == 0 {
		c.Add(finding.NoRegisters.WithAdvice("").At(where, "processor %d: it is listed twice", p.Index).Because(p.Err))
		return
	}
	c.checkContext(p)
	c.checkSpecials(p)
	c.checkCurrent(p)
}

// checkCurrent is about what a processor was running. Debuggers go on with the header's
// page tables where those of the process do not map the kernel.
func (c *subject) checkCurrent(p *kdbg.Processor) {
	where := "VA " + p.PRCB.String()
	current, err := c.kernel.CurrentProcess(p.PRCB)
	if dtb := current.DirectoryTable; err == nil && c.mem.Space.Mode.Root(dtb) == 0 {
		err = fmt.Errorf("KPROCESS.DirectoryTableBase is %#x", dtb)
	}
	if err == nil && c.kernel.Data.OffsetEprocessDirectoryTableBase == 0 {
		err = errors.New("KDBG.OffsetEprocessDirectoryTableBase is 0")
	}
	if err != nil {
		c.Add(finding.NoThread.At(where, "processor %d: its current thread or process is not readable", p.Index).Because(err))
		return
	}
	if !c.kernel.MappedBy(c.mem.Space.At(current.DirectoryTable)) {
		c.Add(finding.NoThread.At(where, "processor %d: the page tables of its current process do not map the kernel", p.Index).
			Because(fmt.Sprintf("KPROCESS.DirectoryTableBase is %#x", current.DirectoryTable)))
	}
}

// inWords is what is wrong with a CONTEXT, behind a sentence about it; empty where err
// has no words for it.
func inWords(err error) string {
	var wrong problem.Problem
	if errors.As(err, &wrong) {
		return ": " + wrong.Sentence()
	}
	return ""
}

// adviceOtherMode is what a code segment means that is not the machine's own.
const adviceOtherMode = "Debuggers take it for 32-bit code."

// checkContext: debuggers take the selector for the mode, and ignore the flags.
func (c *subject) checkContext(p *kdbg.Processor) {
	where := "VA " + p.Context.String()
	x, err := c.readContext(p.Context)
	if err != nil {
		c.Add(finding.NoRegisters.At(where, "processor %d: its CONTEXT is not readable", p.Index).Because(err))
		return
	}
	var wrong problem.Problem
	if errors.As(x.CheckMode(), &wrong) {
		c.Add(finding.ContextOdd.WithAdvice(adviceOtherMode).At(where, "processor %d: its CONTEXT is not plausible: %s", p.Index, wrong.Sentence()).Because(wrong))
		return
	}
	if err := x.PlausibleSaved(); err != nil {
		c.Add(finding.ContextOdd.At(where, "processor %d: its CONTEXT is not plausible%s", p.Index, inWords(err)).Because(err))
	}
}

// checkSpecials: the code segment's descriptor is looked up in the GDT.
func (c *subject) checkSpecials(p *kdbg.Processor) {
	where := "VA " + p.SpecialRegisters.String()
	if p.SpecialRegisters == 0 {
		c.Add(finding.SpecialsOdd.At(where, "processor %d: KDBG does not say where its special registers are", p.Index))
		return
	}
	sr, err := c.mem.SpecialRegisters(p.SpecialRegisters)
	if err != nil {
		c.Add(finding.SpecialsOdd.At(where, "processor %d: its special registers are not readable", p.Index).Because(err))
		return
	}
	if err := c.mem.CheckCode(sr); err != nil {
		c.Add(finding.SpecialsOdd.At(where, "processor %d: its GDT has no code segment", p.Index).Because(fmt.Sprintf("the GDT is at %v: %v", sr.CodeTable().Base, err)))
		return
	}
	// Of some machines, debuggers find the KPCR, and by it the current thread, in the
	// GDT under the selector that KDBG states.
	if err := c.kernel.CheckSegment(sr, p); err != nil {
		c.Add(finding.SpecialsOdd.WithAdvice("Debuggers can't set the process of this processor.").At("VA "+sr.CodeTable().Base.String(),
			"processor %d: its GDT does not lead to its KPCR", p.Index).Because(err))
	}
}

// examination is what was noticed when the header was read, in places of which no
// rule spoke.
func (c *subject) examination() error {
	said := map[string]bool{}
	for _, f := range c.All {
		said[f.Where] = true
	}
	for _, f := range c.seen.Findings() {
		if !said[f.Where] && f.ID != finding.Truncated.ID() { // the pages' rule says by how much
			c.Add(f)
		}
	}
	return nil
}

// wholesome says that nothing speaks against the dump.
func (c *subject) wholesome() error {
	if finding.Worst(c.All).Rank() <= finding.SeverityInfo.Rank() {
		c.Add(finding.Checked.At("", "the header, the page tables, KDBG, %s and %s are as debuggers want them", binio.Plural(len(c.cpus), "processor"), binio.Plural(len(c.modules), "module")))
	}
	return nil
}
