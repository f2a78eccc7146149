package guest

import (
	"context"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
)

// Guest is what [Examine] learnt of one source. Every command stands on it, so
// that what one promises is what another does. After an error the fields that
// were reached before it are set, the rest is zero.
type Guest struct {
	Image *physmem.Image

	// Header is the guest's own dump header, repaired where that was possible,
	// or the one that was built where the guest left none. It is the template of
	// the output's.
	Header *winhdr.Header
	// Runs is the header's table of physical memory: pages, ascending, disjoint,
	// none empty.
	Runs []physmem.Run

	// Memory is the kernel's, behind page tables that were verified, not only claimed.
	Memory kdbg.Memory
	// Kernel is what hangs off the verified, decoded debugger data block; nil where
	// that was not found.
	Kernel *kdbg.Kernel
	// KDBGSource says which of the header's addresses led to it.
	KDBGSource report.KDBGSource
	// KernelImage is what the kernel's image says of itself, as far as its pages are
	// readable; nil when its headers are not.
	KernelImage *peimage.Image
	// Modules are the loaded images, nt first; incomplete after a WD305 finding.
	Modules []kdbg.Module
	// BugCheck is nil when the bug check data could not be read: then it is not
	// known whether the guest crashed.
	BugCheck *kdbg.BugCheck
	// SharedUserData is nil when that page is not readable.
	SharedUserData *kdbg.SharedUserData

	// Processors has one entry for each processor that the dump will count.
	Processors []Processor

	// Improvements are the header fields that differ from what the guest (and
	// QEMU after it) would have written, with the reason.
	Improvements []report.Improvement

	Built     bool    // there is no header of the guest's own
	Flag      vtop.VA // KdpDataBlockEncoded, to be cleared; 0 if not
	Recovered uint64  // bytes placed outside PT_LOADs
	// machine is the guest's, before it is known the likeliest; machines are those
	// that it may be.
	machine  *machine.Machine
	machines []*machine.Machine

	finding.List
}

// New is a guest of which nothing is known yet. Without machines it may be of any
// that is described.
func New(im *physmem.Image, machines ...*machine.Machine) *Guest {
	if len(machines) == 0 {
		machines = machine.All()
	}
	g := &Guest{Image: im, machines: machines, machine: machines[0]}
	if im != nil {
		g.machine = g.recordedMachine()
	}
	return g
}

// OfHeader is a guest of which only a dump's header is to be had.
func OfHeader(h *winhdr.Header) *Guest {
	g := New(nil)
	g.takeHeader(h)
	return g
}

// Machine is the guest's machine, before it is known the likeliest.
func (g *Guest) Machine() *machine.Machine { return g.machine }

// Findings are the findings of the stages that ran, in order.
func (g *Guest) Findings() []finding.Finding { return g.All }

// Examine reads what every command needs to know of im: the header, the page
// tables, KDBG and the processors. It reads kilobytes, not the file. The error
// is a [*StageError]; the guest is returned with it as far as it was understood.
func Find(im *physmem.Image) (*Guest, error) {
	return FindWith(context.Background(), im, Options{})
}

// ExamineWith is [Examine] with what the user says of the guest: [GuestOptions.DTB],
// [GuestOptions.KernelBase] and [GuestOptions.KDBG]. Without a header and without a vCPU
// that leads to the kernel, all of the file is read, which ctx ends.
//
// Of raw memory for which no holes were given, Image may be another view of im's
// file, with the hole that the guest's own structures confirm.
func FindWith(ctx context.Context, im *physmem.Image, opt Options) (*Guest, error) {
	if im.Format() == physmem.FormatRaw && len(im.Ranges()) == 1 {
		return examineRaw(ctx, im, opt)
	}
	return examine(ctx, im, opt)
}

// examine runs the stages.
func examine(ctx context.Context, im *physmem.Image, opt Options) (*Guest, error) {
	g := New(im, opt.Machines...)
	g.NoteOddities()
	stages := []struct {
		stage stage.Stage
		run   func() error
	}{
		{stage.Header, g.ReadHeader},
		{stage.Kernel, func() error {
			if err := g.findGuest(ctx, &opt); err != nil {
				return err
			}
			return g.readKernel()
		}},
		{stage.CPUs, g.readProcessors},
	}
	for _, s := range stages {
		stage.Enter(opt.Progress, s.stage)
		if err := s.run(); err != nil {
			return g, &stage.Error{Stage: s.stage, Err: g.BlameDisk(im, err)}
		}
	}
	return g, nil
}
