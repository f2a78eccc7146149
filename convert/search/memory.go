package search

import (
	"context"
	"errors"
	"fmt"
	"io"

	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/kdbg"
	"windmp/kdbg/locate"
	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/vtop"
)

// maxImagePage is the largest page, in bytes, in which the kernel's image may begin
// elsewhere than at its start: 4 MiB without PAE.
const maxImagePage = 4 << 20

// fromMemory finds the guest in what the file holds, without a vCPU: debugger data
// blocks by their words, roots of page tables by the low stub, by self-maps and by
// what they map. Each is believed through the other.
func (d *discovery) fromMemory() (bool, error) {
	if err := d.locate(); err != nil {
		return false, err
	}
	for _, m := range d.candidates() {
		// What one machine was tried with is no loss to the other.
		clear(d.tried)
		d.places, d.scans, d.searches, d.images = 0, 0, 0, 0
		if found, err := d.fromMemoryOf(m); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// fromMemoryOf is fromMemory for a guest on one machine.
func (d *discovery) fromMemoryOf(m *machine.Machine) (bool, error) {
	for _, stub := range vtop.LowStubs(d.view, DataRanges(d.view.Image), m.Modes) {
		const via = "the low stub"
		if d.fromRootAlone(m, d.memory(m, stub.Root, stub.Mode), via, stub.SystemCall, stub.Target) {
			return true, nil
		}
	}
	// With no more roots than self-maps, all of memory is read at most once.
	err := d.findRoots(m, d.must(m), func(r vtop.Root) bool {
		via := fmt.Sprintf("page tables found in memory (%s)", r.Kind)
		return len(d.tried) < maxRoots && !d.fromRootAlone(m, d.memory(m, uint64(r.DTB), r.Mode), via)
	})
	return d.found.Kernel != nil, err
}

// findRoots hands what may be the root of a machine's page tables, which map the
// addresses, to visit until that returns false.
func (d *discovery) findRoots(m *machine.Machine, must []vtop.VA, visit func(vtop.Root) bool) error {
	ranges, known, err := d.possibleRoots(m)
	switch {
	case err != nil:
		return err
	case known:
		return vtop.FindRoots(d.ctx, d.view, ranges, m.Modes, must, visit)
	}
	var survey *vtop.RootSurvey
	if d.notes() {
		survey = d.opt.Seen.newSurvey(d.known.Machines)
	}
	whole := true
	err = vtop.FindRootsAnd(d.ctx, d.counted(), DataRanges(d.view.Image), m.Modes, must, func(r vtop.Root) bool {
		whole = visit(r)
		return whole
	}, survey)
	if err == nil && whole && survey != nil {
		d.opt.Seen.keepRoots(survey, d.known.Machines)
	}
	return err
}

// notes tells whether a search of all memory for one machine's page tables notes what may
// be those of others, or in another view.
func (d *discovery) notes() bool {
	seen := d.opt.Seen
	return seen.several(len(d.candidates())) && !seen.surveyed() && seen.isAll(d.view.Image)
}

// possibleRoots are the pages in which roots of a machine's page tables are looked for;
// false for all memory. To know them all of it has to be read, for which the first search
// does not wait, as it may end early: it notes them where it can, or does without where
// something of the kernel is known.
func (d *discovery) possibleRoots(m *machine.Machine) ([]physmem.Range, bool, error) {
	first, seen := !d.rootsSought, d.opt.Seen
	d.rootsSought = true
	likely := d.opt.Given() || len(d.blocks) > 0
	if !seen.several(len(d.candidates())) || first && !seen.surveyed() && (likely || d.notes()) {
		return nil, false, nil
	}
	return seen.rootsIn(d.ctx, d.view.Image, d.countedOf, m, d.known.Machines)
}

// must are addresses that the kernel's page tables map.
func (d *discovery) must(m *machine.Machine) []vtop.VA {
	list := []vtop.VA{m.Kernel.SharedUserData}
	for _, c := range d.blocks {
		if c.Layout != m.Kernel {
			continue
		}
		// All candidates of a guest name the same kernel, unless they are decoys.
		if len(list) > 1 && list[1] != c.KernBase {
			return list[:1]
		}
		if len(list) == 1 {
			list = append(list, c.KernBase)
		}
	}
	return list
}

// counted is all memory, for a search that is said and whose progress is reported.
func (d *discovery) counted() io.ReaderAt { return d.countedOf(d.view) }

// countedOf is counted for memory as another view has it.
func (d *discovery) countedOf(mem io.ReaderAt) io.ReaderAt {
	stage.Foretell(d.opt.Whole, stage.Kernel, int64(physmem.TotalSize(DataRanges(d.view.Image)))) //nolint:gosec // what a file holds
	held := physmem.TotalSize(d.view.Image.Ranges())
	return stage.NewMeter(stage.Kernel, int64(held), 0, d.opt.Progress).Reader(mem) //nolint:gosec // what a file holds
}

// locate searches all memory for debugger data blocks, once.
func (d *discovery) locate() error {
	if d.located {
		return nil
	}
	d.located = true
	if list, ok := d.opt.Seen.blocksIn(d.view.Image); ok {
		d.takeBlocks(list)
		return nil
	}
	list, err := locate.Blocks(d.ctx, d.counted(), DataRanges(d.view.Image), machine.Layouts(d.known.Machines)...)
	if d.ctx.Err() != nil {
		return context.Cause(d.ctx)
	}
	if err != nil {
		d.attempt("%v", err)
	}
	d.takeBlocks(list)
	d.opt.Seen.keepBlocks(d.view.Image, list)
	return nil
}

// takeBlocks takes the candidates that were found in memory.
func (d *discovery) takeBlocks(list []locate.Candidate) {
	for _, c := range list {
		if c.PageSize == physmem.PageSize {
			d.blocks = append(d.blocks, c)
		} else {
			d.foreign = append(d.foreign, c)
		}
	}
}

// fromRootAlone tries the candidates in an address space, then looks for the
// kernel's image in it: a block in scattered pages is no candidate.
func (d *discovery) fromRootAlone(m *machine.Machine, mem kdbg.Memory, via string, hints ...vtop.VA) bool {
	if !d.newRoot(mem.Space, true) {
		return false
	}
	if err := confirm(mem); err != nil {
		d.evidence.unset = d.evidence.unset || errors.Is(err, kdbg.ErrNotSet)
		return false
	}
	d.placeMapped(m, mem.Space)
	// An image without its MZ is no likely one, but some protectors wipe it.
	if d.fromBlocks(m, mem, via, true) || d.fromBlocks(m, mem, via, false) {
		return true
	}
	image, err := d.kernelAt(mem, hints)
	if err != nil {
		image = d.searchImages(mem)
	}
	return image != nil && d.blockIn(m, mem, image, via)
}

// fromBlocks tries the candidates whose kernel the address space maps, as an image or
// without the MZ of one.
func (d *discovery) fromBlocks(m *machine.Machine, mem kdbg.Memory, via string, image bool) bool {
	var copies []string
	for i := range d.blocks {
		c := &d.blocks[i]
		if c.Layout != mem.Layout || d.places >= maxPlaces || !mapsPage(mem.Space, c.KernBase) || peimage.Begins(mem.Space, c.KernBase) != image {
			continue
		}
		d.places++
		va, ok := c.Place(mem.Space)
		if !ok {
			copies = append(copies, copyOutside(c))
			continue
		}
		kernel, err := c.Read(mem.Space, va)
		switch {
		case err != nil:
			d.attempt("%s: %v", via, err)
			continue
		case !kernel.InImage():
			copies = append(copies, copyOutside(c))
			continue
		}
		image, _ := mem.ReadImage(c.KernBase)
		d.take(m, image, kernel, report.KDBGScan, via)
		return true
	}
	if len(copies) > 0 {
		d.attempt("%s: %s", via, copies[0])
	}
	return false
}

func copyOutside(c *locate.Candidate) string {
	return fmt.Sprintf("the block at PA %#x is a copy outside the kernel's image", c.At)
}

// searchImages goes through the pages in which the system's images lie, for the
// kernel.
func (d *discovery) searchImages(mem kdbg.Memory) (found *peimage.Image) {
	if d.searches++; d.searches > maxSearches {
		return nil
	}
	looked := 0
	mem.Space.Mapped(mem.Layout.FirstImage, mem.Layout.LastImage, maxEntries, func(m vtop.Mapping) bool {
		// A kernel may begin anywhere in the large pages that map it.
		for off := uint64(0); off < min(m.PageSize, maxImagePage) && found == nil; off += physmem.PageSize {
			if looked++; looked > maxEntries {
				return false
			}
			va := m.VA + vtop.VA(off)
			if !peimage.Begins(mem.Space, va) {
				continue
			}
			if d.images++; d.images > maxImages || d.ctx.Err() != nil {
				return false
			}
			if image, err := mem.ReadImage(va); err == nil && IsKernel(mem, image) {
				found = image
			}
		}
		return found == nil
	})
	return found
}

// mapsPage tells whether the page tables map va.
func mapsPage(space *vtop.Space, va vtop.VA) bool {
	_, err := space.Translate(va)
	return err == nil
}
