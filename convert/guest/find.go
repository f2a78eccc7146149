package guest

import (
	"context"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/processor"
	"windmp/convert/report"
	"windmp/convert/search"
	"windmp/convert/stage"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
)

// Find reads what every command needs to know of im: the header, the page tables,
// KDBG and the processors. It reads kilobytes, not the file; without a header and
// without a vCPU that leads to the kernel, all of the file. ctx ends that, and is asked
// before each stage. The error is a [*stage.Error], around the cause of ctx where that
// ended; the guest is returned with it as far as it was understood.
//
// The guest's image may be another view of im's file: with memory placed that the
// guest proves, and of raw memory for which no holes were given, with the hole that
// its own structures confirm.
func Find(ctx context.Context, im *physmem.Image, opt Options) (*Guest, error) {
	opt.Whole = stage.Once(opt.Whole) // a search may begin anew, with another view of memory
	search := examine
	if im.TakesHoles() && len(im.Laid()) == 1 {
		search = examineRaw
	}
	f, err := search(ctx, im, opt)
	return &Guest{f: f, complete: err == nil}, err
}

// FindHeader is Find without what lies behind the header. It reads no memory: an image
// has its header and note, so that there is nothing for a context to end.
func FindHeader(im *physmem.Image, opt Options) (*Guest, error) {
	f := newFinder(im, opt.Machines)
	f.noteOddities()
	err := f.readHeader()
	if err == nil {
		f.notedRuns()
	}
	return &Guest{f: f}, err
}

// OfHeader is a guest of which only a dump's header is to be had.
func OfHeader(h *winhdr.Header, machines ...*machine.Machine) *Guest {
	f := newFinder(nil, machines)
	f.takeHeader(h.Clone())
	return &Guest{f: f}
}

// finder is a guest while it is being found.
type finder struct {
	// View is the image, and what was placed in it.
	*search.View
	// unplaced is the image as the container describes it.
	unplaced *physmem.Image

	// Header is the guest's own dump header, repaired where that was possible,
	// or the one that was built where the guest left none.
	Header *winhdr.Header
	// original is what the guest left, nil where it left none; reasons are why
	// Header differs from it.
	original *winhdr.Header
	reasons  []report.Reason
	// aside is the guest's header where it led nowhere: it is not believed, and may
	// say what nothing else does. noted are the findings about it, by their index.
	aside *winhdr.Header
	noted span
	// Runs is the header's table of physical memory: pages, ascending, disjoint,
	// none empty.
	Runs physmem.Runs

	// Memory is the kernel's, behind page tables that were verified, not only claimed.
	Memory kdbg.Memory
	// Kernel is nil where the debugger data block was not found.
	Kernel *kdbg.Kernel
	// KernelImage is nil when the headers of the kernel's image are not readable.
	KernelImage    *peimage.Image
	KDBGSource     report.KDBGSource
	Modules        []kdbg.Module
	BugCheck       *kdbg.BugCheck
	SharedUserData *kdbg.SharedUserData
	Processors     []processor.Processor
	// unloaded are the drivers that a triage dump lists as unloaded.
	unloaded []kdbg.UnloadedDriver
	// shown is the processor that a triage dump is of, nil for others.
	shown *processor.Processor

	Built bool    // there is no header of the guest's own
	Flag  vtop.VA // KdpDataBlockEncoded, to be cleared; 0 if not
	// machine is the guest's, before it is known the likeliest; machines are those
	// that it may be.
	machine  *machine.Machine
	machines []*machine.Machine

	finding.List
}

// newFinder knows nothing yet. Without machines the guest may be of any that is
// described.
func newFinder(im *physmem.Image, machines []*machine.Machine) *finder {
	machines = machine.OrAll(machines)
	g := &finder{View: &search.View{Image: im}, unplaced: im, machines: machines, machine: machines[0]}
	if im != nil {
		g.machine = g.recordedMachine()
	}
	return g
}

// because notes why the output's header states a field otherwise than the guest's.
func (g *finder) because(field, why string) {
	g.reasons = append(g.reasons, report.Reason{Field: field, Why: why})
}

// examine runs the stages.
func examine(ctx context.Context, im *physmem.Image, opt Options) (*finder, error) {
	g := newFinder(im, opt.Machines)
	g.noteOddities()
	stages := []struct {
		stage stage.Stage
		run   func() error
	}{
		{stage.Header, g.readHeader},
		{stage.Kernel, func() error {
			if err := g.findGuest(ctx, &opt); err != nil {
				return err
			}
			if err := g.settleRuns(); err != nil {
				return err
			}
			return g.readKernel()
		}},
		{stage.CPUs, g.readProcessors},
	}
	for _, s := range stages {
		stage.Enter(opt.Progress, s.stage)
		err := context.Cause(ctx)
		if err == nil {
			err = s.run()
		}
		if err != nil {
			return g, &stage.Error{Stage: s.stage, Err: g.BlameDisk(im, err)}
		}
	}
	return g, nil
}
