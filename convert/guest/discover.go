package guest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/kdbg"
	"windmp/physmem"
	"windmp/vtop"
)

const (
	// maxRoots bounds the page-table roots that are tried. A guest has one or two
	// for each process.
	maxRoots = 8192
	// maxCPURoots bounds the page tables of vCPUs that are tried, maxImageScans the
	// images that are searched for KDBG, and maxSearches the address spaces that are
	// searched for the kernel's image: a file made to waste time has many of each.
	maxCPURoots   = 256
	maxImageScans = 32
	maxSearches   = 16
	// maxImages bounds the images whose headers are read in these searches. A guest
	// has a few hundred.
	maxImages = 8192
	// maxPlaces bounds how often a candidate for KDBG is looked for in an image.
	maxPlaces = 64
	// maxEntries bounds the page-table entries looked at for the kernel's image.
	maxEntries = 4 << 20
	// reasonsShown bounds the attempts that an error lists.
	reasonsShown = 6
)

// Where the kernel lies on all builds of x64: the region of the system's images
// (MemProcFS looks in the lower half of it). A 32-bit one lies anywhere in its half.
const (
	imagesStart vtop.VA = 0xfffff80000000000
	imagesEnd   vtop.VA = 0xfffff80fffffffff
)

// discovery is the search for the kernel of a guest that left no header. Each way
// is believed only when another structure confirms it.
type discovery struct {
	g     *Guest
	ctx   context.Context //nolint:containedctx // lives as long as one call
	opt   *Options
	cache *pageCache

	tried    map[triedRoot]bool
	located  bool
	blocks   []kdbg.Candidate
	places   int  // of candidates for KDBG, looked for
	scans    int  // of images for KDBG
	searches int  // of address spaces for the kernel
	images   int  // looked at in these
	placed   bool // placeMapped did its work
	attempts []string
	evidence evidence

	// What was found.
	space *vtop.Space
	image *kdbg.Image
	block *kdbg.Block
	via   string
	from  report.KDBGSource
}

// discover finds Windows' kernel and its page tables: from what the user says, from
// the CPUs, then from memory alone. It sets Space, KDBG and Kernel.
func (g *Guest) discover(ctx context.Context, opt *Options) error {
	g.joinExtents()
	d := &discovery{g: g, ctx: ctx, opt: opt, cache: newPageCache(g.reader()), tried: map[triedRoot]bool{}}
	for _, way := range []func() (bool, error){d.given, d.fromCPUs, d.fromMemory} {
		found, err := way()
		if err != nil {
			return err
		}
		if found {
			d.settle()
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	why := d.diagnose()
	if why.ID == finding.IDOtherSystem {
		return g.unsupported(why)
	}
	return g.Refuse(why, nil)
}

// attempt notes why a way led nowhere.
func (d *discovery) attempt(format string, args ...any) {
	if len(d.attempts) < reasonsShown {
		d.attempts = append(d.attempts, fmt.Sprintf(format, args...))
	}
}

// fromCPUs follows each vCPU's CR3, or the kernel's page tables behind it.
func (d *discovery) fromCPUs() (bool, error) {
	cpus := d.g.Image.CPUs()
	for i := range cpus {
		c := &cpus[i]
		if !c.HasSystem || c.CR3 == 0 {
			continue
		}
		space := d.cache.space(c.CR3, modeOf(c))
		if d.fromRoot(space, c, fmt.Sprintf("CR3 of vCPU %d", i)) {
			return true, nil
		}
		if d.fromShadow(space, c, i) {
			return true, nil
		}
	}
	return false, nil
}

// fromShadow resolves the page tables on which user mode runs with KVA shadowing.
// Of a 32-bit guest these offsets are not known.
func (d *discovery) fromShadow(shadow *vtop.Space, c *physmem.CPU, i int) bool {
	if Is32(shadow) {
		return false
	}
	idt := vtop.VA(c.IDT.Base)
	for _, pcr := range []uint64{c.KernelGS(), c.GS.Base, c.KernelGSBase} {
		roots, err := kdbg.KernelRoots(shadow, idt, vtop.VA(pcr))
		if err != nil {
			continue
		}
		for _, r := range roots {
			how := "a known offset"
			if r.Stub {
				how = "the offset in the entry stub"
			}
			via := fmt.Sprintf("KPRCB.KernelDirectoryTableBase of vCPU %d (KPCR+%#x, %s)", i, r.Offset, how)
			if d.fromRoot(d.cache.space(r.DTB, modeOf(c)), c, via) {
				return true
			}
		}
	}
	return false
}

// fromRoot looks for the kernel in one address space, starting from a vCPU.
func (d *discovery) fromRoot(space *vtop.Space, c *physmem.CPU, via string) bool {
	if len(d.tried) >= maxCPURoots || !d.newRoot(space, false) {
		return false
	}
	if err := d.confirmSpace(space); err != nil {
		d.attempt("%s %#x: %v", via, uint64(space.DTB), err)
		return false
	}
	d.placeMapped(space)
	image, err := d.kernelOf(space, c)
	if err != nil {
		d.attempt("%s %#x: %v", via, uint64(space.DTB), err)
		return false
	}
	return d.blockIn(space, image, via)
}

// triedRoot is a root and the way in which it was tried: with a vCPU or alone.
type triedRoot struct {
	dtb   vtop.PA
	mode  *vtop.Mode
	alone bool
}

// newRoot tells whether a root was not tried yet in this way.
func (d *discovery) newRoot(space *vtop.Space, alone bool) bool {
	key := triedRoot{space.DTB, space.Mode, alone}
	if d.tried[key] || len(d.tried) >= maxRoots {
		return false
	}
	d.tried[key] = true
	return true
}

// confirmSpace checks that the space has KUSER_SHARED_DATA where the kernel's has
// it. That its page is not in the file is no contradiction.
func (d *discovery) confirmSpace(space *vtop.Space) error {
	_, err := kdbg.ReadSharedUserData(space)
	var fault *vtop.FaultError
	if errors.As(err, &fault) && fault.Kind == vtop.PageUnreadable {
		return nil
	}
	return err
}

// kernelOf finds the kernel's image from the addresses that a vCPU has of it: the
// first gates of its IDT, its system call entry or the version block of its KPCR, its
// Rip.
func (d *discovery) kernelOf(space *vtop.Space, c *physmem.CPU) (*kdbg.Image, error) {
	var hints []vtop.VA
	for _, vector := range []int{0, 3, 14} {
		if va, err := kdbg.Gate(space, vtop.VA(c.IDT.Base), vector); err == nil {
			hints = append(hints, va)
		}
	}
	if c.MSR != nil {
		hints = append(hints, vtop.VA(c.MSR.LSTAR))
	}
	if Is32(space) {
		hints = append(hints, versionHint(space, c))
	} else {
		hints = append(hints, d.savedSystemCall(space, c))
	}
	return d.kernelAt(space, append(hints, vtop.VA(c.Rip)))
}

// savedSystemCall is IA32_LSTAR as the KPRCB keeps it, 0 if that is not readable:
// KSPECIAL_REGISTERS lies at +0x100, before 1703 at +0x40 (KDBG of builds 9600 to
// 26100).
func (d *discovery) savedSystemCall(space *vtop.Space, c *physmem.CPU) vtop.VA {
	const prcb = 0x180
	pcr := vtop.VA(c.KernelGS())
	if kdbg.CheckPCR(space, pcr) != nil {
		return 0
	}
	for _, at := range []vtop.VA{0x100, 0x40} {
		if sr, err := kdbg.ReadSpecialRegisters(space, pcr+prcb+at); err == nil && sr.MsrGsBase == uint64(pcr) {
			return vtop.VA(sr.MsrLStar)
		}
	}
	return 0
}

// kernelAt is the kernel's image around one of the addresses.
func (d *discovery) kernelAt(space *vtop.Space, hints []vtop.VA) (*kdbg.Image, error) {
	hints = slices.DeleteFunc(hints, func(va vtop.VA) bool { return !space.Mode.IsKernel(va) })
	err := errors.New("no address of the kernel is known")
	for _, va := range hints {
		var image *kdbg.Image
		image, err = kdbg.FindImage(space, va)
		switch {
		case err != nil:
		case isKernel(image):
			return image, nil
		default:
			d.evidence.image(image)
			err = fmt.Errorf("the image at %s is %s, not the kernel", image.Base, imageName(image))
		}
	}
	return nil, err
}

// isKernel knows the kernel by the name that it exports, or by its symbols where
// the export directory is not in memory.
func isKernel(im *kdbg.Image) bool {
	if im.NameErr == nil {
		return strings.EqualFold(im.Name, kdbg.KernelName)
	}
	return im.PDB != nil && strings.HasPrefix(strings.ToLower(im.PDB.Name), "ntk")
}

// imageName is an image's name for a sentence.
func imageName(im *kdbg.Image) string {
	switch {
	case im.Name != "":
		return finding.Quote(im.Name)
	case im.PDB != nil:
		return finding.Quote(im.PDB.Name)
	default:
		return "without a name"
	}
}

// blockIn looks for the debugger data block in a kernel's image.
func (d *discovery) blockIn(space *vtop.Space, image *kdbg.Image, via string) bool {
	d.evidence.kernel = image
	if d.scans++; d.scans > maxImageScans {
		return false
	}
	block, err := kdbg.FindBlock(d.ctx, space, image)
	if err != nil {
		d.attempt("%s %#x, kernel at %s: %v", via, uint64(space.DTB), image.Base, err)
		return false
	}
	d.take(space, image, block, report.KDBGImage, via)
	return true
}

func (d *discovery) take(space *vtop.Space, image *kdbg.Image, block *kdbg.Block, from report.KDBGSource, via string) {
	d.space, d.image, d.block, d.from, d.via = space, image, block, from, via
}

// settle hands over what was found, with the System process' page tables where
// these can be had: those of another process go away with it.
func (d *discovery) settle() {
	g := d.g
	g.KDBG, g.KDBGSource, g.Kernel, g.Built = d.block, d.from, d.image, g.Header == nil
	g.Space = vtop.NewSpace(g.reader(), uint64(d.space.DTB), d.space.Mode)
	how := "it is that of a process, the System process' could not be read"
	if dtb, ok := d.systemDirectory(); ok {
		how = "the System process' own"
		if d.space.Mode.Root(dtb) != g.Space.DTB {
			g.Space = vtop.NewSpace(g.reader(), dtb, d.space.Mode)
		}
	}
	g.Addf(finding.IDGuestFound, finding.SeverityInfo, "VA "+d.block.VA.String(), "",
		"Windows was found by %s: kernel %s at %s, KDBG %s, DirectoryTableBase %#x (%s)",
		d.via, kernelIdentity(d.image), vtop.VA(d.block.Data.KernBase), codeWord(d.block), uint64(g.Space.DTB), how)
	if d.block.Encoded {
		g.Addf(finding.IDKDBGDecoded, finding.SeverityInfo, "VA "+d.block.VA.String(), "",
			"KDBG was encoded and is written decoded (rotation %d, constant %#x)", d.block.Rotation, d.block.Constant)
	}
}

// kernelIdentity is what the image says of itself: name, file version, and the
// key of its symbols.
func kernelIdentity(im *kdbg.Image) string {
	if im == nil {
		return "(its headers are not readable)"
	}
	text := imageName(im)
	if im.FileVersion != "" {
		text += " " + im.FileVersion
	}
	if im.PDB != nil {
		text += fmt.Sprintf(" (symbols %s %s%X)", finding.Quote(im.PDB.Name), im.PDB.GUID, im.PDB.Age)
	}
	return text
}

func codeWord(b *kdbg.Block) string {
	if b.Encoded {
		return "encoded"
	}
	return "plain"
}

// systemDirectory is believed when it maps KDBG where the space in use does.
func (d *discovery) systemDirectory() (uint64, bool) {
	var prcb vtop.VA
	if list, err := kdbg.Processors(d.space, d.block, 1); err == nil {
		prcb = list[0].PRCB
	}
	dtb, err := kdbg.SystemDirectory(d.space, d.block, d.image, prcb)
	if err != nil {
		return 0, false
	}
	system := d.cache.space(dtb, d.space.Mode)
	got, err := system.Translate(d.block.VA)
	if err != nil {
		return 0, false
	}
	want, err := d.space.Translate(d.block.VA)
	return dtb, err == nil && got.PA == want.PA && d.confirmSpace(system) == nil
}
