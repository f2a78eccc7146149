package guest

import (
	"context"
	"errors"
	"fmt"
	"io"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
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

// discovery is the search for the kernel of a guest that left no header. Each way
// is believed only when another structure confirms it.
type discovery struct {
	g     *finder
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
	machine *machine.Machine
	kernel  *kdbg.Kernel // through the cache
	image   *peimage.Image
	via     string
	from    report.KDBGSource
}

// discover finds Windows' kernel and its page tables: from what the user says, from
// the CPUs, then from memory alone. It sets Space, KDBG and Kernel.
func (g *finder) discover(ctx context.Context, opt *Options) error {
	g.joinExtents()
	d := g.newDiscovery(ctx, opt)
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
	if why.ID == finding.OtherSystem.ID() || why.ID == finding.EncryptedMemory.ID() {
		return g.unsupported(why)
	}
	return g.Refuse(why, nil)
}

func (g *finder) newDiscovery(ctx context.Context, opt *Options) *discovery {
	return &discovery{g: g, ctx: ctx, opt: opt, cache: newPageCache(g.reader()), tried: map[triedRoot]bool{}}
}

// attempt notes why a way led nowhere.
func (d *discovery) attempt(format string, args ...any) {
	if len(d.attempts) < reasonsShown {
		d.attempts = append(d.attempts, fmt.Sprintf(format, args...))
	}
}

// vcpu is a vCPU with the machine as which it was recorded, and what it says.
type vcpu struct {
	machine.State
	machine *machine.Machine
	index   int
}

// vcpus are those with an address space.
func (d *discovery) vcpus() []vcpu {
	var list []vcpu
	cpus := d.g.Image.CPUs()
	for i := range cpus {
		m := machine.Of(&cpus[i], d.g.machines)
		if m == nil {
			continue
		}
		if s := m.State(&cpus[i]); s.HasSystem && s.Root != 0 {
			list = append(list, vcpu{State: s, machine: m, index: i})
		}
	}
	return list
}

// memory is the kernel's memory behind a root.
func (d *discovery) memory(m *machine.Machine, root uint64, mode *vtop.Mode) kdbg.Memory {
	return m.Kernel.In(d.cache.space(root, mode))
}

// fromCPUs follows each vCPU's root, or the kernel's page tables behind it.
func (d *discovery) fromCPUs() (bool, error) {
	for _, c := range d.vcpus() {
		own := d.memory(c.machine, c.Root, c.Mode)
		if d.fromRoot(c, own, fmt.Sprintf("%s of vCPU %d", c.machine.RootName, c.index)) {
			return true, nil
		}
		// User mode with KVA shadowing runs on page tables of its own.
		for _, r := range own.KernelRoots(c.Kernel) {
			how := "a known offset"
			if r.Stub {
				how = "the offset in the entry stub"
			}
			via := fmt.Sprintf("KPRCB.KernelDirectoryTableBase of vCPU %d (KPCR+%#x, %s)", c.index, r.Offset, how)
			if d.fromRoot(c, d.memory(c.machine, r.DTB, c.Mode), via) {
				return true, nil
			}
		}
	}
	return false, nil
}

// fromRoot looks for the kernel in one address space, starting from a vCPU.
func (d *discovery) fromRoot(c vcpu, mem kdbg.Memory, via string) bool {
	if len(d.tried) >= maxCPURoots || !d.newRoot(mem.Space, false) {
		return false
	}
	if err := confirm(mem); err != nil {
		d.attempt("%s %#x: %v", via, uint64(mem.Space.DTB), err)
		return false
	}
	d.placeMapped(c.machine, mem.Space)
	hints := mem.Hints(c.Kernel)
	image, err := d.kernelAt(mem, hints)
	if err == nil {
		return d.blockIn(c.machine, mem, image, via)
	}
	d.attempt("%s %#x: %v", via, uint64(mem.Space.DTB), err)
	return d.blockNear(c.machine, mem, hints, via)
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

// confirm checks that an address space has KUSER_SHARED_DATA where the kernel's has
// it. That its page is not in the file is no contradiction.
func confirm(mem kdbg.Memory) error {
	_, err := mem.SharedUserData()
	var fault *vtop.FaultError
	if errors.As(err, &fault) && fault.Kind == vtop.PageUnreadable {
		return nil
	}
	return err
}

func (d *discovery) take(m *machine.Machine, image *peimage.Image, kernel *kdbg.Kernel, from report.KDBGSource, via string) {
	d.machine, d.image, d.kernel, d.from, d.via = m, image, kernel, from, via
}

// settle hands over what was found, with the System process' page tables where
// these can be had: those of another process go away with it.
func (d *discovery) settle() {
	g := d.g
	g.machine = d.machine
	g.KDBGSource, g.Built = d.from, g.Header == nil
	root, mode := uint64(d.kernel.Space.DTB), d.kernel.Space.Mode
	how := "it is that of a process, the System process' could not be read"
	if dtb, ok := systemDirectory(d.kernel, d.image, d.cache); ok {
		how = "the System process' own"
		root = dtb
	}
	g.settleKernel(d.kernel.In(vtop.NewSpace(g.reader(), root, mode)))
	b := g.Kernel.Block
	g.Add(finding.GuestFound.At("VA "+b.VA.String(), "Windows was found by %s: kernel %s at %s, KDBG %s, DirectoryTableBase %#x (%s)",
		d.via, kernelIdentity(d.image), vtop.VA(b.Data.KernBase), codeWord(b), uint64(g.Memory.Space.DTB), how))
	if b.Encoded {
		g.Add(finding.KDBGDecoded.At("VA "+b.VA.String(), "KDBG was encoded and is written decoded (rotation %d, constant %#x)", b.Rotation, b.Constant))
	}
}

// systemDirectory is the System process' root, which is believed when it maps KDBG
// where the space in use does.
func systemDirectory(k *kdbg.Kernel, image *peimage.Image, mem io.ReaderAt) (uint64, bool) {
	var prcb vtop.VA
	if list, err := k.Processors(1); err == nil {
		prcb = list[0].PRCB
	}
	dtb, err := k.SystemDirectory(image, prcb)
	if err != nil {
		return 0, false
	}
	system := vtop.NewSpace(mem, dtb, k.Space.Mode)
	return dtb, sameBlock(k, system) && confirm(k.Layout.In(system)) == nil
}
