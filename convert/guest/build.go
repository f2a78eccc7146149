package guest

import (
	"fmt"
	"strconv"
	"strings"

	"windmp/convert/finding"
	"windmp/internal/binio"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/winhdr"
)

// MajorVersion of a dump header, as [kdbg.SharedUserData.Build] has it.
const (
	majorFree    = 0xf
	majorChecked = 0xc
)

// buildHeader makes the dump header that Windows would have made, from what lies
// in its memory. What the plan sets for every dump, it sets for this one: bug check,
// times, CONTEXT, exception, size. Fields that stay unset hold 'PAGE', as Windows
// fills them.
func (g *finder) buildHeader() error {
	h := g.machine.Header.New()
	g.Header = h
	d := &g.Kernel.Data
	h.DirectoryTableBase = uint64(g.Memory.Space.DTB)
	h.PsLoadedModuleList, h.PsActiveProcessHead = d.PsLoadedModuleList, d.PsActiveProcessHead
	h.PfnDataBase = d.MmPfnDatabase
	h.KdDebuggerDataBlock = uint64(g.Kernel.VA)
	h.PaeEnabled = g.machine.PaeEnabled(g.Memory.Space.Mode)
	h.WriterStatus, h.KdSecondaryVersion = 0, 0
	h.Attributes = winhdr.AttributeOffline
	g.readSharedUserData()
	g.buildFromSharedData()
	g.buildVersion()
	g.fillGaps()
	g.noteVersion()
	if err := g.buildRuns(); err != nil {
		return err
	}
	g.buildComment()
	g.Add(finding.HeaderBuilt.At("",
		"the dump's header is built from the guest's memory: build %d, %s, %s of memory", h.MinorVersion, binio.Plural(h.NumberProcessors, "processor"), binio.Plural(len(g.Runs), "run")))
	return nil
}

// buildFromSharedData takes what KUSER_SHARED_DATA says.
func (g *finder) buildFromSharedData() {
	h, k := g.Header, g.SharedUserData
	h.NumberProcessors = uint32(g.claimedProcessors()) //nolint:gosec // at most winhdr's MaxProcessors
	if k == nil {
		return
	}
	h.ProductType, h.SuiteMask = k.NtProductType, k.SuiteMask
	if k.BootID != 0 {
		h.BootID = k.BootID
	}
}

// buildVersion sets the build.
func (g *finder) buildVersion() {
	h := g.Header
	h.MajorVersion, h.MinorVersion = g.version()
	if h.MajorVersion == 0 {
		h.MajorVersion = majorFree
	}
}

// version finds the build: by the version block, else NtBuildLab, else
// KUSER_SHARED_DATA, which has it since Windows 10. It is 0 where none is readable,
// and major where that is not known.
func (g *finder) version() (major, minor uint32) {
	least := g.machine.Header.MinBuild
	if v := g.versionBlock(); v != nil {
		major, minor = uint32(v.Major)&0xff, uint32(v.Minor)
	} else if lab, err := g.Kernel.BuildLab(); err == nil {
		major, minor = majorFree, labBuild(lab)
		if strings.Contains(lab, "chk.") {
			major = majorChecked
		}
	}
	if minor < least && g.SharedUserData != nil {
		major, minor = g.SharedUserData.Build()
	}
	return major, minor
}

// noteVersion says that no build is known: then nothing else did.
func (g *finder) noteVersion() {
	if h := g.Header; h.MinorVersion < h.Format().MinBuild {
		g.Add(finding.HeaderRepaired.WithAdvice("WinDbg may take the guest for an old one.").At("header offset 0xc", "the build number of the guest is not readable"))
	}
}

// versionBlock asks each processor's KPCR for KdVersionBlock.
func (g *finder) versionBlock() *kdbg.Version {
	list, err := g.Kernel.Processors(min(max(int(g.Header.NumberProcessors), 1), g.Header.Format().MaxProcessors))
	if err != nil {
		return nil
	}
	for _, p := range list {
		if p.PCR == 0 {
			continue
		}
		v, err := g.Kernel.Version(p.PCR)
		if err == nil && uint32(v.Machine) == g.Header.Format().Machine && uint32(v.Minor) >= g.Header.Format().MinBuild {
			return v
		}
	}
	return nil
}

// labBuild is the number at the start of NtBuildLab.
func labBuild(lab string) uint32 {
	digits, _, _ := strings.Cut(lab, ".")
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// buildRuns lists the guest's memory as Windows itself does, as far as the file
// holds it: video memory and ROM, which the file holds too, are not in it. A file of
// memory alone does not say what it holds: what of the list it lacks was cut off, and
// falls under what is said of missing memory.
func (g *finder) buildRuns() error {
	runs, err := g.kernelRuns()
	if err != nil {
		runs = g.asideRuns(err)
	}
	g.Runs = runs
	if runs == nil {
		if err := g.guessRuns(err); err != nil {
			return err
		}
	}
	g.recoverMemory()
	absent := g.Image.MissingOf(g.Runs)
	if len(absent) == 0 || g.Image.TakesHoles() {
		return nil
	}
	listed := g.Runs.Pages()
	g.Runs = g.Runs.Without(absent)
	if len(g.Runs) == 0 {
		return g.Refuse(finding.Missing.WithAdvice("Dump the whole guest.").At(finding.Ranges(absent), "the source holds no whole page of the guest's memory"), nil)
	}
	g.Add(finding.MemoryCut.At(finding.Ranges(absent),
		"of the guest's %d pages of memory %d are not in the source and are left out of the dump", listed, listed-g.Runs.Pages()))
	return nil
}

// buildComment names who made the dump, and of what.
func (g *finder) buildComment() {
	const longest = len(g.Header.Comment) - 1
	text := []byte(fmt.Sprintf("windmp: built offline from %s", g.Image.Describe()))
	for i, c := range text {
		if c < ' ' || c > '~' {
			text[i] = '?'
		}
	}
	// It can only refuse what was just made impossible.
	_ = g.Header.SetComment(string(text[:min(len(text), longest)]))
}

// findFlag locates the byte that says that KDBG is encoded, so that the plan can
// clear it: in the dump, the block no longer is.
func (g *finder) findFlag() {
	if !g.Kernel.Encoded {
		return
	}
	image := g.listedImage()
	if image == nil {
		g.Add(finding.FlagKept.At("", "KdpDataBlockEncoded is not cleared: the kernel's headers are not readable"))
		return
	}
	at, err := g.Kernel.In(g.Space(uint64(g.Memory.Space.DTB), g.Memory.Space.Mode)).EncodedFlag(image)
	if err != nil {
		g.Add(finding.FlagKept.At("", "KdpDataBlockEncoded is not cleared, though KDBG is written decoded").Because(err))
		return
	}
	g.Flag = at
}

// listedImage is the kernel's image, or, where its headers are not readable, as much
// as the loader's list says of it: place and size. nil if that is not known either.
func (g *finder) listedImage() *peimage.Image {
	if g.KernelImage != nil {
		return g.KernelImage
	}
	modules, _ := g.Kernel.Modules()
	if len(modules) == 0 || uint64(modules[0].Base) != g.Kernel.Data.KernBase || modules[0].Size > peimage.MaxSize {
		return nil
	}
	return &peimage.Image{Base: modules[0].Base, Size: modules[0].Size}
}
