package search

import (
	"errors"
	"fmt"
	"strings"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// given follows what the user says of the guest. Each address is checked, and
// refused when it can't be right; what is not given is looked for with what is.
func (d *discovery) given() (bool, error) {
	if !d.opt.Given() {
		return false, nil
	}
	spaces, err := d.givenSpaces()
	if err != nil {
		return false, err
	}
	var why error
	for _, s := range spaces {
		found, err := d.givenIn(s)
		switch {
		case found:
			return true, nil
		case why == nil || errors.Is(err, errNoBlock):
			why = err // the likeliest machine's
		}
	}
	if f, ok := d.kernelWithoutBlock(); ok && errors.Is(why, errNoBlock) {
		return false, d.known.Findings.Refuse(f, nil) // what was given is right
	}
	return false, d.refuseGiven(why)
}

// errNoBlock is of addresses that lead to the kernel, which has no block.
var errNoBlock = errors.New("the kernel has no KDBG")

// place is a machine's kernel memory to look in.
type place struct {
	kdbg.Memory
	machine *machine.Machine
}

// givenSpaces are the address spaces to look in: that of the given root, else those
// of the vCPUs and, failing these, of the roots in memory.
func (d *discovery) givenSpaces() ([]place, error) {
	if d.opt.DTB == 0 {
		return d.spacesOfCPUs(), nil
	}
	var list []place
	var why error
	for _, m := range d.candidates() {
		for _, mode := range d.modesOf(m) {
			mem := d.memory(m, d.opt.DTB, mode)
			err := confirm(mem)
			switch {
			case err == nil:
				list = append(list, place{mem, m})
			case why == nil:
				why = err
			}
		}
	}
	if len(list) == 0 {
		return nil, d.known.Findings.Refuse(finding.GivenWrong.WithAdvice("Leave it out, or give the "+d.known.Machine.RootName+" of the System process.").At(fmt.Sprintf("PA %#x", uint64(d.known.Modes(d.known.Machine)[0].Root(d.opt.DTB))),
			"the given root can't be the kernel's page tables").Because(why), why)
	}
	return list, nil
}

// spacesOfCPUs are the spaces that have KUSER_SHARED_DATA, from the vCPUs, else
// from memory.
func (d *discovery) spacesOfCPUs() []place {
	var list []place
	add := func(m *machine.Machine, mem kdbg.Memory) bool {
		if confirm(mem) != nil {
			return false
		}
		list = append(list, place{mem, m})
		return true
	}
	for _, c := range d.vcpus() {
		own := d.own(&c)
		if add(c.machine, own) {
			continue
		}
		for _, r := range own.KernelRoots(c.Kernel) {
			add(c.machine, d.memory(c.machine, r.DTB, c.Mode))
		}
	}
	if len(list) > 0 {
		return list
	}
	for _, m := range d.candidates() {
		must := []vtop.VA{m.Kernel.SharedUserData}
		_ = d.findRoots(m, must, func(r vtop.Root) bool {
			return !add(m, d.memory(m, uint64(r.DTB), r.Mode))
		})
	}
	return list
}

// givenIn checks the given kernel and block in one address space.
func (d *discovery) givenIn(p place) (bool, error) {
	const via = "the addresses given"
	base := vtop.VA(d.opt.KernelBase)
	var image *peimage.Image
	if base != 0 {
		// It may be without headers: then KDBG has to say that it is the kernel.
		image, _ = p.ReadImage(base)
	}
	if d.opt.KDBG == 0 {
		return d.givenBlock(p, base, image, via)
	}
	kernel, err := readGiven(p.Memory, vtop.VA(d.opt.KDBG), kdbg.Expect{KernBase: base})
	if err != nil {
		return false, err
	}
	if image == nil {
		image, _ = p.ReadImage(vtop.VA(kernel.Data.KernBase))
	}
	d.take(p.machine, image, kernel, report.KDBGGiven, via)
	return true, nil
}

// givenBlock looks for the block of the kernel at base, 0 if that is not given.
func (d *discovery) givenBlock(p place, base vtop.VA, image *peimage.Image, via string) (bool, error) {
	switch {
	case image == nil && base == 0:
		if image = d.imageWithoutHint(p); image == nil {
			return false, nil
		}
		if !d.blockIn(p.machine, p.Memory, image, via) {
			return false, errNoBlock
		}
		return true, nil
	case image != nil:
		switch {
		case d.blockIn(p.machine, p.Memory, image, via):
			return true, nil
		case !IsKernel(p.Memory, image):
			return false, fmt.Errorf("the image at %s is %s, not the kernel", base, ImageName(image))
		}
		return false, errNoBlock
	}
	_, err := p.ReadImage(base)
	if p.IsKernel(base) && d.blockNear(p.machine, p.Memory, []vtop.VA{base}, via) && vtop.VA(d.found.Kernel.Data.KernBase) == base {
		return true, nil
	}
	d.found.Kernel = nil
	return false, err
}

// imageWithoutHint finds the kernel in a space of which nothing else is known.
func (d *discovery) imageWithoutHint(p place) *peimage.Image {
	cpus := d.view.Image.CPUs()
	for i := range cpus {
		if image, err := d.kernelAt(p.Memory, p.Hints(p.machine.State(&cpus[i]).Kernel)); err == nil {
			return image
		}
	}
	return d.searchImages(p.Memory)
}

// readGiven reads a block, plain or encoded.
func readGiven(mem kdbg.Memory, va vtop.VA, want kdbg.Expect) (*kdbg.Kernel, error) {
	kernel, err := mem.Read(va, want)
	if err == nil || !mem.Layout.Encodes {
		return kernel, err
	}
	decoded, derr := mem.Decode(va, want)
	if derr != nil {
		return nil, fmt.Errorf("plain: %w; encoded: %w", err, derr)
	}
	return decoded, nil
}

// refuseGiven refuses addresses with which no kernel is found.
func (d *discovery) refuseGiven(why error) error {
	var what []string
	for _, o := range []struct {
		name  string
		value uint64
	}{{"root", d.opt.DTB}, {"kernel base", d.opt.KernelBase}, {"KDBG", d.opt.KDBG}} {
		if o.value != 0 {
			what = append(what, "the given "+o.name)
		}
	}
	if why == nil {
		why = fmt.Errorf("no kernel with a KDBG was found by it: %s", d.reasons())
	}
	return d.known.Findings.Refuse(finding.GivenWrong.At("", "%s can't be right", strings.Join(what, ", ")).Because(why), why)
}
