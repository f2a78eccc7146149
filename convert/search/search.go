// Package search finds Windows in memory that no header leads to: the kernel, its
// debugger data block and its page tables, from what the user says, from the vCPUs,
// then from memory alone. Each is believed through the other. Where it finds none, it
// says why.
package search

import (
	"context"
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/kdbg"
	"windmp/kdbg/locate"
	"windmp/kdbg/peimage"
	"windmp/vtop"
)

const (
	// maxRoots bounds the page-table roots that are tried. A guest has one or two
	// for each process.
	maxRoots = 8192
	// MaxCPURoots bounds the page tables of vCPUs that are tried, maxImageScans the
	// images that are searched for KDBG, and maxSearches the address spaces that are
	// searched for the kernel's image: a file made to waste time has many of each.
	MaxCPURoots   = 256
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

// Options are what the user knows of the guest: the physical address of the kernel's
// page tables (a CR3 value), and the virtual addresses of the kernel's image and of
// KDDEBUGGER_DATA64. 0 is not known.
type Options struct {
	DTB, KernelBase, KDBG uint64
	// Progress is called as that of a conversion.
	Progress func(stage.Progress)
	// Whole, when set, is called each time before all of memory is read.
	Whole func(stage.Whole)
	// Seen is what earlier searches of the same memory saw, or nil.
	Seen *Seen
	// Trial says that the memory is only supposed to lie as it does: nobody asks why
	// there is no Windows in it.
	Trial bool
}

// Given tells whether an address of the guest is given.
func (o *Options) Given() bool { return o.DTB != 0 || o.KernelBase != 0 || o.KDBG != 0 }

// Known is what is known of a guest before the search.
type Known struct {
	// View is where it is looked for.
	View *View
	// Machines are those that the guest may be of, Machine the likeliest of them;
	// Settled says that it is certain.
	Machines []*machine.Machine
	Machine  *machine.Machine
	Settled  bool
	// Modes are the paging modes that the kernel's page tables may have on a machine,
	// the likeliest first.
	Modes func(m *machine.Machine) []*vtop.Mode
	// Findings takes why there is none.
	Findings *finding.List
}

// Found is a kernel that was found.
type Found struct {
	Machine *machine.Machine
	// Kernel is read by the page tables that led to it, which may be
	// a process'.
	Kernel *kdbg.Kernel
	// Image is nil where the headers of the kernel's image are not readable.
	Image *peimage.Image
	// Via says by which way it was found, Source what led to the block.
	Via    string
	Source report.KDBGSource
}

// discovery is one search. Each way is believed only when another structure confirms it.
type discovery struct {
	known *Known
	view  *View
	ctx   context.Context //nolint:containedctx // lives as long as one call
	opt   *Options

	tried       map[triedRoot]bool
	located     bool
	blocks      []locate.Candidate
	foreign     []locate.Candidate // of kernels with pages that are not read
	places      int                // of candidates for KDBG, looked for
	rootsSought bool               // memory was searched for page tables
	scans       int                // of images for KDBG
	searches    int                // of address spaces for the kernel
	images      int                // looked at in these
	placed      bool               // placeMapped did its work
	attempts    []string
	evidence    evidence

	found Found
}

// Find finds Windows' kernel and its page tables. The error is a
// [*finding.RefusedError] that says why there is none, or why ctx ended.
func Find(ctx context.Context, known Known, opt Options) (*Found, error) {
	known.View.joinExtents()
	d := newDiscovery(ctx, &known, &opt)
	for _, way := range []func() (bool, error){d.given, d.fromCPUs, d.fromMemory} {
		found, err := way()
		if err != nil {
			return nil, err
		}
		if found {
			return &d.found, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	why := d.noWindows()
	if !d.opt.Trial {
		why = d.diagnose()
	}
	refused := known.Findings.Refuse(why, nil)
	refused.Unsupported = why.ID == finding.OtherSystem.ID() || why.ID == finding.EncryptedMemory.ID()
	return nil, refused
}

// Contradicts is an error where the vCPUs run another kernel than k, to which the
// guest's note led: that is of an earlier boot, of which memory still has all. It is nil
// where a vCPU runs k, and where nothing tells what they run.
func Contradicts(ctx context.Context, known Known, opt Options, k *kdbg.Kernel) error {
	d := newDiscovery(ctx, &known, &opt)
	for _, c := range d.vcpus() {
		own := d.own(&c)
		if k.MappedBy(own.Space) {
			return nil
		}
		for _, r := range own.KernelRoots(c.Kernel) {
			if k.MappedBy(d.memory(c.machine, r.DTB, c.Mode).Space) {
				return nil
			}
		}
	}
	other := &d.found
	if found, err := d.fromCPUs(); err != nil || !found || k.MappedBy(other.Kernel.Space) || other.Kernel.MappedBy(k.Space) {
		return nil //nolint:nilerr // there is no other kernel
	}
	return fmt.Errorf("it leads to the kernel at %s with KDBG at %s, but by %s another one runs, at %s with KDBG at %s",
		vtop.VA(k.Data.KernBase), k.VA, other.Via, vtop.VA(other.Kernel.Data.KernBase), other.Kernel.VA)
}

func newDiscovery(ctx context.Context, known *Known, opt *Options) *discovery {
	return &discovery{known: known, view: known.View, ctx: ctx, opt: opt, tried: map[triedRoot]bool{}}
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
	cpus := d.view.Image.CPUs()
	for i := range cpus {
		m := machine.Of(&cpus[i], d.known.Machines)
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
	return m.Kernel.In(d.view.Space(root, mode))
}

// own is the kernel's memory in the address space of a vCPU.
func (d *discovery) own(c *vcpu) kdbg.Memory { return c.machine.Kernel.In(c.Space(d.view)) }

// fromCPUs follows each vCPU's root, or the kernel's page tables behind it.
func (d *discovery) fromCPUs() (bool, error) {
	for _, c := range d.vcpus() {
		own := d.own(&c)
		if d.fromRoot(c, own, fmt.Sprintf("%s of vCPU %d", c.machine.RootName, c.index)) {
			return true, nil
		}
		// User mode with KVA shadowing runs on page tables of its own.
		for _, r := range own.KernelRoots(c.Kernel) {
			how := "a known offset"
			if r.Stub {
				how = "the offset in the entry stub"
			}
			via := fmt.Sprintf("KPRCB.KernelDirectoryTableBase of vCPU %d (%s)", c.index, how)
			if d.fromRoot(c, d.memory(c.machine, r.DTB, c.Mode), via) {
				return true, nil
			}
		}
	}
	return false, nil
}

// fromRoot looks for the kernel in one address space, starting from a vCPU.
func (d *discovery) fromRoot(c vcpu, mem kdbg.Memory, via string) bool {
	if len(d.tried) >= MaxCPURoots || !d.newRoot(mem.Space, false) {
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
	if vtop.Faulted(err, vtop.PageUnreadable) {
		return nil
	}
	return err
}

func (d *discovery) take(m *machine.Machine, image *peimage.Image, kernel *kdbg.Kernel, from report.KDBGSource, via string) {
	d.found = Found{Machine: m, Kernel: kernel, Image: image, Via: via, Source: from}
}

// SystemSpace is the address space of the System process, which is believed when it maps
// KDBG where the space in use does. Its paging mode may be another of the machine's: a
// table below the root of five levels is a root of four, but no process'.
func SystemSpace(m *machine.Machine, k *kdbg.Kernel, image *peimage.Image) (*vtop.Space, bool) {
	var prcb vtop.VA
	if list, err := k.Processors(1); err == nil {
		prcb = list[0].PRCB
	}
	dtb, err := k.SystemDirectory(image, prcb)
	if err != nil {
		return nil, false
	}
	for _, mode := range append([]*vtop.Mode{k.Space.Mode}, m.Modes...) {
		same := *k.Space
		same.Mode = mode
		system := same.At(dtb)
		if mode.Split == k.Space.Mode.Split && k.MappedBy(system) && confirm(k.Layout.In(system)) == nil {
			return system, true
		}
	}
	return nil, false
}
