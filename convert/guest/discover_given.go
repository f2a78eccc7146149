package guest

import (
	"fmt"
	"strings"

	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/kdbg"
	"windmp/vtop"
)

// given follows what the user says of the guest. Each address is checked, and
// refused when it can't be right; what is not given is looked for with what is.
func (d *discovery) given() (bool, error) {
	if !d.opt.overrides() {
		return false, nil
	}
	spaces, err := d.givenSpaces()
	if err != nil {
		return false, err
	}
	var why error
	for _, s := range spaces {
		if found, err := d.givenIn(s); found {
			return true, nil
		} else if err != nil {
			why = err
		}
	}
	return false, d.refuseGiven(why)
}

// givenSpaces are the address spaces to look in: that of the given root, else those
// of the vCPUs and, failing these, of the roots in memory.
func (d *discovery) givenSpaces() ([]*vtop.Space, error) {
	if d.opt.DTB == 0 {
		return d.spacesOfCPUs(), nil
	}
	var list []*vtop.Space
	var why error
	for _, narrow := range d.widths() {
		for _, mode := range d.g.likelierFirst(narrow) {
			s := d.cache.space(d.opt.DTB, mode)
			err := d.confirmSpace(s)
			switch {
			case err == nil:
				list = append(list, s)
			case why == nil:
				why = err
			}
		}
	}
	if len(list) == 0 {
		return nil, d.g.Refuse(finding.Finding{
			ID: finding.IDOverride, Where: fmt.Sprintf("PA %#x", uint64(d.g.Mode().Root(d.opt.DTB))),
			Message: fmt.Sprintf("--dtb %#x can't be the kernel's page tables: %v", d.opt.DTB, why),
			Advice:  "Leave it out, or give the CR3 of the System process.",
		}, why)
	}
	return list, nil
}

// spacesOfCPUs are the spaces that have KUSER_SHARED_DATA, from the vCPUs, else
// from memory.
func (d *discovery) spacesOfCPUs() []*vtop.Space {
	var list []*vtop.Space
	add := func(s *vtop.Space) bool {
		if d.confirmSpace(s) != nil {
			return false
		}
		list = append(list, s)
		return true
	}
	cpus := d.g.Image.CPUs()
	for i := range cpus {
		c := &cpus[i]
		own := d.cache.space(c.CR3, modeOf(c))
		if add(own) || Is32(own) {
			continue
		}
		for _, pcr := range []uint64{c.KernelGS(), c.GS.Base, c.KernelGSBase} {
			roots, _ := kdbg.KernelRoots(own, vtop.VA(c.IDT.Base), vtop.VA(pcr))
			for _, r := range roots {
				add(d.cache.space(r.DTB, modeOf(c)))
			}
		}
	}
	if len(list) > 0 {
		return list
	}
	found := func(r vtop.Root) bool { return !add(d.cache.space(uint64(r.DTB), r.Mode)) }
	for _, narrow := range d.widths() {
		_ = vtop.FindRoots(d.ctx, d.g.Image, DataRanges(d.g.Image), modes(narrow), []vtop.VA{kdbg.SharedUserDataVA}, found)
	}
	return list
}

// givenIn checks the given kernel and block in one address space.
func (d *discovery) givenIn(space *vtop.Space) (bool, error) {
	const via = "the addresses given"
	base := vtop.VA(d.opt.KernelBase)
	var image *kdbg.Image
	if base != 0 {
		var err error
		if image, err = kdbg.ReadImage(space, base); err != nil {
			return false, err
		}
		if !isKernel(image) {
			return false, fmt.Errorf("the image at %s is %s, not the kernel", base, imageName(image))
		}
	}
	if d.opt.KDBG == 0 {
		if image == nil {
			image = d.imageWithoutHint(space)
		}
		return image != nil && d.blockIn(space, image, via), nil
	}
	block, err := readGiven(space, vtop.VA(d.opt.KDBG), kdbg.Expect{KernBase: base})
	if err != nil {
		return false, err
	}
	if image == nil {
		image, _ = kdbg.ReadImage(space, vtop.VA(block.Data.KernBase))
	}
	d.take(space, image, block, report.KDBGGiven, via)
	return true, nil
}

// imageWithoutHint finds the kernel in a space of which nothing else is known.
func (d *discovery) imageWithoutHint(space *vtop.Space) *kdbg.Image {
	cpus := d.g.Image.CPUs()
	for i := range cpus {
		if image, err := d.kernelOf(space, &cpus[i]); err == nil {
			return image
		}
	}
	return d.searchImages(space)
}

// readGiven reads a block, plain or encoded. Those of 32-bit kernels never are
// encoded.
func readGiven(space *vtop.Space, va vtop.VA, want kdbg.Expect) (*kdbg.Block, error) {
	block, err := kdbg.Read(space, va, want)
	if err == nil || Is32(space) {
		return block, err
	}
	decoded, derr := kdbg.Decode(space, va, want)
	if derr != nil {
		return nil, fmt.Errorf("plain: %w; encoded: %w", err, derr)
	}
	return decoded, nil
}

// refuseGiven refuses addresses with which no kernel is found.
func (d *discovery) refuseGiven(why error) error {
	var what []string
	for _, o := range []struct {
		flag  string
		value uint64
	}{{"--dtb", d.opt.DTB}, {"--kernel-base", d.opt.KernelBase}, {"--kdbg", d.opt.KDBG}} {
		if o.value != 0 {
			what = append(what, fmt.Sprintf("%s %#x", o.flag, o.value))
		}
	}
	if why == nil {
		why = fmt.Errorf("no kernel with a KDBG was found by it: %s", d.reasons())
	}
	return d.g.Refuse(finding.Finding{
		ID: finding.IDOverride, Message: fmt.Sprintf("%s can't be right: %v", strings.Join(what, ", "), why),
		Advice: "Leave it out, or read the address from the guest's debugger.",
	}, why)
}
