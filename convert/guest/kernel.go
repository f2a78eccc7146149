package guest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/convert/search"
	"windmp/internal/binio"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// findGuest finds the kernel: by the header, or, where there is none, it leads nowhere
// or the user knows better, by searching.
func (g *finder) findGuest(ctx context.Context, opt *Options) error {
	if g.Header != nil && !opt.Given() {
		err := g.findKernel(ctx, opt)
		switch {
		case err == nil:
			g.noteLevels()
			g.readImage()
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx) // it led nowhere for that, perhaps
		case g.isDumpFile():
			return g.findBeyond(ctx, opt, err)
		}
		g.setAside(err)
	}
	if err := g.discover(ctx, opt); err != nil {
		return err
	}
	if g.Header != nil && !g.isDumpFile() && !g.ofKernel(g.Header) {
		g.dropHeader("its lists are not those of the kernel that was found by the addresses given", "")
	}
	g.noteLevels()
	g.readImage()
	if g.Header == nil {
		return g.buildHeader()
	}
	g.settleFound("found by the addresses given")
	return nil
}

// findBeyond looks for the kernel of a dump whose header leads to none, as that of a
// program that left its fields unset: the dump's memory tells. One that is cut lacks
// what it would be found by, or it would not have come to this.
func (g *finder) findBeyond(ctx context.Context, opt *Options, why error) error {
	said := len(g.All)
	err := errors.New(g.Image.Cut())
	if err.Error() == "" {
		err = g.discover(ctx, opt)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		g.All = g.All[:said]
		return g.Refuse(finding.NoKDBG.At("header.KdDebuggerDataBlock "+vtop.VA(g.Header.KdDebuggerDataBlock).String(), "there is no usable KDBG, the block by which debuggers know the kernel").Because(why), nil)
	}
	g.noteLevels()
	g.readImage()
	g.settleFound("found in memory")
	g.Add(finding.HeaderRepaired.At(HeaderOffset(g.Header.Offset("KdDebuggerDataBlock")),
		"the dump's header leads to no kernel, which was found in its memory").Because(firstReason(why)))
	return nil
}

// firstReason is why a header leads nowhere by its own page tables.
func firstReason(err error) string {
	var nowhere leadsNowhere
	if errors.As(err, &nowhere) {
		return nowhere[0]
	}
	return err.Error()
}

// settleFound writes what was found otherwise than by it into the guest's header.
func (g *finder) settleFound(how string) {
	h := g.Header
	if dtb := uint64(g.Memory.Space.DTB); h.DirectoryTableBase != dtb {
		g.because("DirectoryTableBase", how)
		h.DirectoryTableBase = dtb
	}
	h.PsLoadedModuleList, h.PsActiveProcessHead = g.Kernel.Data.PsLoadedModuleList, g.Kernel.Data.PsActiveProcessHead
	h.KdDebuggerDataBlock = uint64(g.Kernel.VA)
}

// findKernel settles DirectoryTableBase and KDBG together: each is only
// believed because the other confirms it. The header's DTB comes first, then
// those of the vCPUs. The error says why the header leads to no kernel, or that it
// leads to one that the vCPUs do not run.
func (g *finder) findKernel(ctx context.Context, opt *Options) error {
	var attempts []string
	for i, dtb := range g.dtbCandidates() {
		for _, mode := range g.modes() {
			kernel, source, err := g.findKDBG(g.machine.Kernel.In(g.Space(dtb, mode)))
			if err != nil {
				attempts = append(attempts, fmt.Sprintf("with DirectoryTableBase %#x: %v", dtb, err))
				continue
			}
			if err := g.contradicted(ctx, opt, kernel); err != nil {
				return err
			}
			g.settleKernel(kernel)
			g.KDBGSource = source
			g.settleDTB(dtb, i == 0)
			g.settleKDBG()
			return nil
		}
	}
	return leadsNowhere(attempts[:min(len(attempts), reasonsShown)])
}

// contradicted is why the vCPUs do not run a kernel, nil if nothing says so. What a dump
// file is a dump of, its own header says best.
func (g *finder) contradicted(ctx context.Context, opt *Options, kernel *kdbg.Kernel) error {
	if g.isDumpFile() {
		return nil
	}
	return search.Contradicts(ctx, g.known(), opt.search(), kernel)
}

// leadsNowhere is why a header leads to no kernel: what was tried, the header's own
// page tables first.
type leadsNowhere []string

// Error joins the attempts.
func (e leadsNowhere) Error() string { return strings.Join(e, "; ") }

// dtbCandidates lists physical addresses of top-level page tables, the most
// trusted first, each once: the header's, those of the vCPUs, and those of the kernel
// behind shadow page tables.
func (g *finder) dtbCandidates() []uint64 {
	mode := g.mode()
	var list []uint64
	seen := map[uint64]bool{}
	add := func(root uint64) {
		if dtb := uint64(mode.Root(root)); !seen[dtb] && (dtb != 0 || len(list) == 0) {
			seen[dtb] = true
			list = append(list, dtb)
		}
	}
	add(g.Header.DirectoryTableBase)
	states := g.states()
	for i := range states {
		add(states[i].Root)
		add(states[i].UpperRoot)
	}
	for i := range states {
		shadow := g.machine.Kernel.In(g.Space(states[i].Root, mode))
		for _, r := range shadow.KernelRoots(states[i].Kernel) {
			add(r.DTB)
		}
	}
	return list[:min(len(list), search.MaxCPURoots)]
}

// findKDBG tries the header's address, then the driver's copy, then decoding
// in place.
func (g *finder) findKDBG(mem kdbg.Memory) (*kdbg.Kernel, report.KDBGSource, error) {
	want := kdbg.Expect{
		PsLoadedModuleList:  g.knownVA(g.Header.PsLoadedModuleList),
		PsActiveProcessHead: g.knownVA(g.Header.PsActiveProcessHead),
	}
	at, copyAt := vtop.VA(g.Header.KdDebuggerDataBlock), vtop.VA(g.Header.BugCheckParameters[0])
	ways := []struct {
		source report.KDBGSource
		name   string
		va     vtop.VA
		read   func(vtop.VA, kdbg.Expect) (*kdbg.Kernel, error)
	}{
		{report.KDBGPlain, "header.KdDebuggerDataBlock", at, mem.Read},
		{report.KDBGCopy, "the copy at BugcheckParameter1", copyAt, mem.Read},
		{report.KDBGDecoded, "decoding in place", at, mem.Decode},
	}
	var errs []error
	for _, w := range ways {
		kernel, err := w.read(w.va, want)
		if err == nil {
			return kernel, w.source, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", w.name, err))
	}
	return nil, "", joined(errs)
}

// joined are errors in one sentence.
func joined(errs []error) error {
	list := make([]string, 0, len(errs))
	for _, err := range errs {
		list = append(list, err.Error())
	}
	return errors.New(strings.Join(list, ", "))
}

// knownVA is 0, "unknown", for a header field that was never set or that can't
// be a kernel address: 'PAGE' fill is none.
func (g *finder) knownVA(v uint64) vtop.VA {
	if v < g.Header.Format().KernelStart {
		return 0
	}
	return vtop.VA(v)
}

// settleKernel takes the kernel that was found.
func (g *finder) settleKernel(k *kdbg.Kernel) { g.Kernel, g.Memory = k, k.Memory }

// settleDTB writes the verified DTB into the header template and says what was
// changed: the System process' where that can be had, as the one that led to KDBG may
// be that of a process which ends. The engine ignores flag bits, other readers do not.
// A dump's own is left.
func (g *finder) settleDTB(dtb uint64, fromHeader bool) {
	was := g.Header.DirectoryTableBase
	wrong, right := "does not map the kernel", "a vCPU's "+g.machine.RootName
	if fromHeader {
		wrong = "is not the System process'"
	}
	if system, ok := g.systemSpace(); ok && !g.isDumpFile() {
		right = "the System process'"
		g.settleKernel(g.Kernel.In(system))
		if root := uint64(system.DTB); root != dtb {
			dtb, fromHeader = root, false
		}
	}
	g.Header.DirectoryTableBase = dtb
	switch {
	case was == dtb:
	case fromHeader:
		g.because("DirectoryTableBase", g.machine.RootFlags+" and flag bits removed: some readers take them for address bits")
		g.Add(finding.DTBMasked.At("header offset 0x10", "DirectoryTableBase carries flag bits, and is written without them").Because(fmt.Sprintf("it was %#x, and is %#x", was, dtb)))
	default:
		g.because("DirectoryTableBase", "the header's "+wrong+"; "+right+" does")
		g.Add(finding.DTBReplaced.At("header offset 0x10", "DirectoryTableBase %s; %s is used", wrong, right).Because(fmt.Sprintf("it was %#x, and is %#x", was, dtb)))
	}
}

// systemSpace is the address space of the System process.
func (g *finder) systemSpace() (*vtop.Space, bool) {
	image, _ := g.Memory.ReadImage(vtop.VA(g.Kernel.Data.KernBase))
	return search.SystemSpace(g.machine, g.Kernel, image)
}

// settleKDBG points the header at the block that was believed.
func (g *finder) settleKDBG() {
	g.Header.PsLoadedModuleList = g.Kernel.Data.PsLoadedModuleList
	g.Header.PsActiveProcessHead = g.Kernel.Data.PsActiveProcessHead
	where := "VA " + g.Kernel.VA.String()
	switch g.KDBGSource {
	case report.KDBGPlain:
		g.Add(finding.KDBGFound.At(where, "KDBG found where the header says, %d bytes", len(g.Kernel.Raw)))
	case report.KDBGCopy:
		g.Add(finding.KDBGCopy.At(where, "KDBG at the header's address is unusable, the driver's decoded copy is used").Because("the header's address is " + vtop.VA(g.Header.KdDebuggerDataBlock).String()))
		g.Header.KdDebuggerDataBlock = uint64(g.Kernel.VA)
	case report.KDBGImage, report.KDBGScan, report.KDBGGiven: // a search says itself what it found
	case report.KDBGDecoded:
		g.Add(finding.KDBGDecoded.At(where, "KDBG was encoded and is written decoded").Because(encoding(g.Kernel.Block)))
	}
}

// readImage reads what the kernel's image says of itself. That its headers were wiped
// is worth a warning; that they were paged out is not known to be a fault.
func (g *finder) readImage() {
	base := vtop.VA(g.Kernel.Data.KernBase)
	image, err := g.Memory.ReadImage(base)
	g.KernelImage = image
	var wiped *peimage.Error
	if errors.As(err, &wiped) && wiped.Err == nil {
		g.Add(finding.KernelImage.At("VA "+base.String(), "the kernel's image has no headers, KDBG and the loader's list say that it is there").Because(err))
	}
	g.findFlag()
}

// noteLevels warns of page tables that debuggers may not know. The dump is right, but
// Microsoft's debugger engine 10.0.10240 walks four levels whatever CR4 says, and reads
// nothing; and of two roots it follows one, which is the kernel's here.
func (g *finder) noteLevels() {
	const where = "header offset 0x10"
	switch mode := g.Memory.Space.Mode; {
	case mode.Unfamiliar:
		g.Add(finding.FiveLevels.At(where, "the guest uses 5-level paging (CR4.LA57): debuggers that do not know it see no memory"))
	case mode.Split:
		g.Add(finding.SplitTables.At(where, "each half of the addresses has page tables of its own (%s): debuggers that follow one root see no memory of processes", mode.Name))
	}
}

// readKernel reads what hangs off KDBG. Each item stands alone: a broken one
// costs a finding, not the dump.
func (g *finder) readKernel() error {
	g.readModules()
	g.readBugCheck()
	if !g.Built {
		g.readSharedUserData()
		if !g.isDumpFile() {
			g.settleFields()
		}
	}
	return nil
}

func (g *finder) readModules() {
	head := vtop.VA(g.Kernel.Data.PsLoadedModuleList)
	modules, err := g.Kernel.ModulesAt(head)
	g.Modules = modules
	if err != nil {
		g.Add(finding.ModuleList.At("VA "+head.String(), "the module list breaks off after %s", binio.Plural(len(modules), "module")).Because(err))
	}
}

func (g *finder) readBugCheck() {
	bc, err := g.Kernel.BugCheck()
	if err != nil {
		g.Add(finding.BugCheckUnread.At("VA "+vtop.VA(g.Kernel.Data.KiBugcheckData).String(), "the bug check data is not readable").Because(err))
		return
	}
	g.BugCheck = &bc
	if bc.Code == 0 {
		g.Add(finding.BugCheckLive.At("", "the guest had not crashed: the dump is marked LIVE_SYSTEM_DUMP"))
	}
}

func (g *finder) readSharedUserData() {
	ksd, err := g.Memory.SharedUserData()
	if err != nil {
		stale := "those of the guest driver's start"
		if g.Built {
			stale = "not set"
		}
		g.Add(finding.TimeStale.At("VA "+g.machine.Kernel.SharedUserData.String(), "KUSER_SHARED_DATA is not readable, so the dump's times are %s", stale).Because(err))
		return
	}
	g.SharedUserData = ksd
}
