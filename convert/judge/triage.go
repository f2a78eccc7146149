package judge

import (
	"context"
	"errors"
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/internal/binio"
	"windmp/kdbg"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/problem"
	"windmp/winhdr/triagefile"
)

// triageRules are what is looked at in a triage dump. The order matters as that of
// rules; thePages are its parts, theMemory is what they hold by virtual address.
// Verdicts were compared with those of Microsoft's debugger engine 10.0.10240
// (convert/testdata/triage-verdicts.txt).
var triageRules = []rule{
	{theHeader, "the signatures", []finding.Kind{finding.BadSignature}, (*subject).signatures},
	{theHeader, "the machine type", []finding.Kind{finding.HeaderBad, finding.NotExamined}, (*subject).machine},
	{theHeader, "the number of processors", []finding.Kind{finding.HeaderBad}, (*subject).count},
	{theHeader, "which parts the header names", []finding.Kind{finding.TriageUnmapped}, (*subject).triageFields},

	{thePages, "where the dump ends", []finding.Kind{finding.TriageCut}, (*subject).triageEnd},
	{thePages, "where the parts are", []finding.Kind{finding.TriagePartBad, finding.TriagePartLost}, (*subject).triageParts},
	{thePages, "the data blocks", []finding.Kind{finding.TriagePartBad, finding.TriagePartLost, finding.TriageOdd}, (*subject).triageBlocks},
	{thePages, "how Windows wrote it", []finding.Kind{finding.OutOfRoom}, (*subject).room},
	{thePages, "fields of the header", []finding.Kind{finding.HeaderOdd, finding.OtherReaders}, (*subject).fields},
	{thePages, "the exception", []finding.Kind{finding.TriageException}, (*subject).triageException},
	{thePages, "the time", []finding.Kind{finding.HeaderTimeOdd}, (*subject).clock},
	{thePages, "secondary data", []finding.Kind{finding.TriageOdd}, (*subject).triageSecondary},
	{thePages, "the size of the file", []finding.Kind{finding.TooLarge}, (*subject).fits},

	{theMemory, "KDBG", []finding.Kind{finding.BlockUnread}, (*subject).triageBlock},
	{theMemory, "the unloaded drivers", []finding.Kind{finding.TriagePartLost}, (*subject).triageUnloaded},
	{theMemory, "the list of drivers", []finding.Kind{finding.TriageDrivers, finding.ModuleName}, (*subject).triageDrivers},
	{theBlock, "fields of KDBG", []finding.Kind{finding.BlockOdd}, (*subject).triageBlockFields},
	{theBlock, "the processor", []finding.Kind{finding.TriageProcessor, finding.NoThread, finding.SpecialsOdd}, (*subject).triageProcessor},
	{theMemory, "the header's CONTEXT", []finding.Kind{finding.ContextOdd}, (*subject).triageContext},
	{theBlock, "all of it", []finding.Kind{finding.Checked}, (*subject).triageWholesome},
}

// learnTriage is learn for a triage dump.
func (c *subject) learnTriage(ctx context.Context, what knowledge) (more bool, err error) {
	switch what {
	case thePages:
		c.Description = "Windows triage dump (small memory dump)"
		if q := c.h.Format().Qualifier; q != "" {
			c.Description = q + " " + c.Description
		}
		t, err := guest.OpenTriage(ctx, c.h, c.src, c.src.Size(), c.opt.Machines...)
		c.Triage = t
		var bad *triagefile.Error
		if errors.As(err, &bad) {
			return false, c.Refuse(finding.TriageCut.At(fmt.Sprintf("file offset %#x", bad.Offset), "%s can't be read: debuggers reject the dump", bad.Part).Because(bad), nil)
		}
		return true, err
	case theMemory:
		if c.opt.HeaderOnly {
			return false, nil
		}
		t := c.Triage
		c.Guest, c.mem, c.kernel, c.modules = t.Guest, t.Memory(), t.Kernel(), t.Modules()
	case theHeader, theBlock:
	}
	return true, nil
}

// record is the dump's record.
func (c *subject) record() *triagefile.Record { return &c.Triage.File.Record }

// recordField is where a field of it stands.
func (c *subject) recordField(field string) string {
	return fmt.Sprintf("file offset %#x", c.Triage.File.RecordOffset(field))
}

// triageFields: what the header says is there, and where KDBG appears.
func (c *subject) triageFields() error {
	h, mapped := c.h, uint64(c.h.Format().Triage.Mapped)
	if f := h.Field("MiniDumpFields"); f&mapped != mapped {
		c.Add(finding.TriageUnmapped.At(guest.HeaderOffset(h.Offset("MiniDumpFields")), "the header does not say where registers and modules are: debuggers read neither").Because(fmt.Sprintf("MiniDumpFields is %#x, without all of %#x", f, mapped)))
	}
	if h.KdDebuggerDataBlock == 0 && mapped != 0 {
		c.Add(finding.TriageUnmapped.At(guest.HeaderOffset(h.Offset("KdDebuggerDataBlock")), "KdDebuggerDataBlock is 0: debuggers then have no KDBG"))
	}
	return nil
}

// triageEnd: the mark at the end of the dump.
func (c *subject) triageEnd() error {
	r := c.record()
	if uint64(r.SizeOfDump) > c.size() {
		return c.Refuse(finding.TriageCut.At(c.recordField("SizeOfDump"), "the dump is cut: it has %s by its record, and %s are there; debuggers reject it", binio.Bytes(uint64(r.SizeOfDump)), binio.Bytes(c.size())), nil)
	}
	whole, err := c.Triage.File.Complete()
	if err == nil && !whole {
		err = c.Refuse(finding.TriageCut.At(c.recordField("SizeOfDump"), "the dump does not end in TRGD, where its record says that it ends: debuggers reject it"), nil)
	}
	return err
}

// triagePart is a part of the dump as the record names it.
type triagePart struct {
	field string
	at    uint32
	size  uint64 // bytes that debuggers read there
	// wanted says that debuggers reject a dump without it.
	wanted bool
}

// triageParts: whether what debuggers map is inside the file.
func (c *subject) triageParts() error {
	r, w := c.record(), c.h.Format().Triage
	var sizes kdbg.Sizes
	if k := c.Triage.Kernel(); k != nil {
		sizes = k.Sizes()
	}
	for _, p := range []triagePart{
		{field: "ContextOffset", at: r.ContextOffset, wanted: true},
		{field: "ExceptionOffset", at: r.ExceptionOffset, wanted: true},
		{field: "PrcbOffset", at: r.PrcbOffset, size: sizes.Prcb, wanted: true},
		{field: "CallStackOffset", at: r.CallStackOffset, size: uint64(r.SizeOfCallStack), wanted: true},
		{field: "ProcessOffset", at: r.ProcessOffset, size: sizes.Process},
		{field: "ThreadOffset", at: r.ThreadOffset, size: sizes.Thread},
		{field: "DebuggerDataOffset", at: r.DebuggerDataOffset, size: uint64(r.DebuggerDataSize)},
		{field: "DataBlocksOffset", at: r.DataBlocksOffset, size: uint64(r.DataBlocksCount) * 16, wanted: r.DataBlocksCount > 0},
	} {
		switch {
		case p.at == 0 && p.wanted:
			return c.Refuse(finding.TriagePartBad.At(c.recordField(p.field), "%s is 0: debuggers reject it", p.field), nil)
		case p.at == 0 || p.size == 0:
		case uint64(p.at) > c.size() || p.size > c.size()-uint64(p.at):
			return c.Refuse(finding.TriagePartBad.At(c.recordField(p.field), "what %s leads to passes the end of the file: debuggers reject it", p.field).Because(fmt.Sprintf("%s is %#x, and the %#x bytes there pass the end of the file at %#x", p.field, p.at, p.size, c.size())), nil)
		}
	}
	// The engine adds these in 32 bits.
	if end := r.MmOffset + uint32(w.MM.Size()); r.MmOffset != 0 && uint64(end) > c.size() { //nolint:gosec // see there
		where, lies := c.recordField("MmOffset"), fmt.Sprintf("MmOffset is %#x, the file has %#x bytes", r.MmOffset, c.size())
		if w.MMChecked {
			return c.Refuse(finding.TriagePartBad.At(where, "what MmOffset leads to is behind the end of the file: debuggers reject it").Because(lies), nil)
		}
		c.Add(finding.TriagePartLost.At(where, "the numbers of the memory manager are not in the file").Because(lies))
	}
	return nil
}

// triageBlocks: each data block.
func (c *subject) triageBlocks() error {
	at := c.recordField("DataBlocksOffset")
	if f := c.h.Field("MiniDumpFields"); f&uint64(winhdr.TriageHasBlocks) == 0 && c.record().DataBlocksCount > 0 {
		c.Add(finding.TriagePartLost.At(guest.HeaderOffset(c.h.Offset("MiniDumpFields")), "the header does not say that there are data blocks: debuggers do not read them").Because(fmt.Sprintf("MiniDumpFields is %#x, without %#x", f, winhdr.TriageHasBlocks)))
	}
	if err := c.Triage.BlocksErr; err != nil {
		return c.Refuse(finding.TriagePartBad.At(at, "the list of data blocks can't be read: debuggers reject the dump").Because(err), nil)
	}
	empty, lost := 0, 0
	for i, b := range c.Triage.Blocks {
		if b.Size == 0 {
			empty++
			continue
		}
		if b.Lost {
			lost++
		}
		if uint64(b.Offset) > c.size() || uint64(b.Size) > c.size()-uint64(b.Offset) {
			return c.Refuse(finding.TriagePartBad.At(at, "data block %d passes the end of the file: debuggers reject it", i).Because(fmt.Sprintf("its %#x bytes are at file offset %#x, the file has %#x", b.Size, b.Offset, c.size())), nil)
		}
	}
	if lost > 0 {
		c.Add(finding.TriagePartLost.At(at, "of %d data blocks, %d have addresses that the machine does not have: debuggers do not find them", len(c.Triage.Blocks), lost))
	}
	if empty > 0 {
		c.Add(finding.TriageOdd.At(at, "of %d data blocks, %d are empty", len(c.Triage.Blocks), empty))
	}
	return nil
}

// triageException: the event that debuggers show.
func (c *subject) triageException() error {
	if code := c.h.Field("Exception.ExceptionCode"); code != uint64(winhdr.StatusBreakpoint) {
		c.Add(finding.TriageException.At(guest.HeaderOffset(c.h.Offset("Exception")), "the exception record is no breakpoint, as Windows writes it: debuggers show another event").Because(fmt.Sprintf("its code is %#x, not %#x", code, winhdr.StatusBreakpoint)))
	}
	return nil
}

// triageSecondary: what stands behind the dump.
func (c *subject) triageSecondary() error {
	if err := c.Triage.SecondaryErr; err != nil {
		c.Add(finding.TriageOdd.At(fmt.Sprintf("file offset %#x", c.record().SizeOfDump), "the list of secondary data breaks off after %d", len(c.Triage.Secondary)).Because(err))
	}
	return nil
}

// triageBlock: without KDBG, debuggers show no registers.
func (c *subject) triageBlock() error {
	if err := c.Triage.BlockErr; err != nil {
		c.Add(finding.BlockUnread.WithAdvice("").At("VA "+vtop.VA(c.h.KdDebuggerDataBlock).String(), "KDBG is not in the dump where the header says").Because(err))
	}
	return nil
}

// triageUnloaded: the list of unloaded drivers, which may be missing.
func (c *subject) triageUnloaded() error {
	if err := c.Triage.UnloadedErr; err != nil {
		c.Add(finding.TriagePartLost.At(c.recordField("UnloadedDriversOffset"), "the unloaded drivers are not readable").Because(err))
	}
	return nil
}

// triageDrivers: the list by which debuggers name addresses.
func (c *subject) triageDrivers() error {
	where := c.recordField("DriverListOffset")
	switch err := c.Triage.ListErr; {
	case err != nil:
		c.Add(finding.TriageDrivers.At(where, "the list of drivers is not readable").Because(err))
	case len(c.modules) == 0:
		c.Add(finding.TriageDrivers.At(where, "no driver is listed"))
	case c.kernel != nil && uint64(c.modules[0].Base) != c.kernel.Data.KernBase:
		c.Add(finding.TriageDrivers.At(where, "the first driver lies elsewhere than KDBG says that the kernel does").Because(fmt.Sprintf("it lies at %v, the kernel by KDBG at %v", c.modules[0].Base, vtop.VA(c.kernel.Data.KernBase))))
	}
	for i := range c.modules {
		m := &c.modules[i]
		if m.NameErr != nil {
			c.Add(finding.ModuleName.At("VA "+m.Base.String(), "module %d has no readable name", i).Because(m.NameErr))
		}
	}
	return nil
}

// triageBlockFields: what debuggers compare.
func (c *subject) triageBlockFields() error {
	data, where := &c.kernel.Data, "VA "+c.kernel.VA.String()
	if h := c.h.PsLoadedModuleList; h != data.PsLoadedModuleList || h == 0 {
		c.Add(finding.BlockOdd.At(guest.HeaderOffset(c.h.Offset("PsLoadedModuleList")),
			"the header's PsLoadedModuleList is not KDBG's, or 0: debuggers can't tell where the kernel is").Because(fmt.Sprintf("the header has %#x, KDBG %#x", h, data.PsLoadedModuleList)))
	}
	if data.OffsetPrcbNumber == 0 {
		c.Add(finding.BlockOdd.At(where, "KDBG.OffsetPrcbNumber is 0: the number of the processor is looked for in another place"))
	}
	if uint64(c.record().DebuggerDataSize) < uint64(len(c.kernel.Raw)) {
		c.Add(finding.BlockOdd.At(where, "KDBG has %d bytes, the dump holds %d of them", len(c.kernel.Raw), c.record().DebuggerDataSize))
	}
	return nil
}

// triageProcessor: the processor of which there are registers, and what it ran.
func (c *subject) triageProcessor() error {
	t := c.Triage
	where := c.recordField("PrcbOffset")
	if t.ProcessorErr != nil {
		c.Add(finding.TriageProcessor.At(where, "the processor is not known").Because(t.ProcessorErr))
		return nil
	}
	i, _ := guest.OfProcessor(t.Guest)
	p := &t.Processors()[i]
	if int64(p.Number) >= int64(c.h.NumberProcessors) {
		c.Add(finding.TriageProcessor.At(where, "the dump is of processor %d, its header counts %d: debuggers show no registers", p.Number, c.h.NumberProcessors))
	}
	if t.CurrentErr != nil {
		c.Add(finding.NoThread.At(where, "the current thread or process is not readable").Because(t.CurrentErr))
	}
	return nil
}

// triageContext: the registers that debuggers show.
func (c *subject) triageContext() error {
	where := guest.HeaderOffset(c.h.Offset("Context"))
	x := c.h.Context()
	var wrong problem.Problem
	if errors.As(x.CheckMode(), &wrong) {
		c.Add(finding.ContextOdd.WithAdvice(adviceOtherMode).At(where, "the header's CONTEXT is not plausible: %s", wrong.Sentence()).Because(wrong))
		return nil
	}
	if err := x.PlausibleSaved(); err != nil {
		c.Add(finding.ContextOdd.At(where, "the header's CONTEXT is not plausible%s", inWords(err)).Because(err))
	}
	return nil
}

// triageWholesome: that nothing was found is worth a word.
func (c *subject) triageWholesome() error {
	if finding.Worst(c.All).Rank() <= finding.SeverityInfo.Rank() {
		c.Add(finding.Checked.At("", "the header, KDBG, the processor, %s and %s are as debuggers want them", binio.Plural(len(c.modules), "module"), binio.Plural(len(c.Triage.Blocks), "data block")))
	}
	return nil
}
