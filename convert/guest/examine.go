package guest

import (
	"context"

	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/kdbg"
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
	Runs []winhdr.PhysicalMemoryRun64

	// Space translates with the DTB that was verified, not only claimed.
	Space *vtop.Space
	// KDBG is the verified, decoded debugger data block.
	KDBG *kdbg.Block
	// KDBGSource says which of the header's addresses led to it.
	KDBGSource report.KDBGSource
	// Kernel is what the kernel's image says of itself, as far as its pages are
	// readable; nil when its headers are not.
	Kernel *kdbg.Image
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
	// deeper is set when the source is an x64 dump that only makes sense with
	// 5-level paging.
	deeper bool

	finding.List
}

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
	g := &Guest{Image: im}
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
