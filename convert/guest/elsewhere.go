package guest

import (
	"fmt"
	"slices"
	"strings"

	"windmp/convert/machine"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// The images of Windows' hypervisor and of what runs beside Windows above it
// (virtualization-based security), without their suffix.
var (
	hypervisors   = []string{"hvix64", "hvax64", "hvaa64", "hvloader"}
	secureKernels = []string{"securekernel", "securekernella57"}
)

// elsewhere says, as far as can be told, what a vCPU did instead of running this guest,
// as a predicate; false for one that may run it. With look, it looks for the image that
// the vCPU ran in.
func (g *finder) elsewhere(s *machine.State, cache *pageCache, look bool) (string, bool) {
	if !s.HasSystem {
		return "", false
	}
	if !s.Paged {
		if s.Elsewhere != "" {
			return s.Elsewhere, true
		}
		return fmt.Sprintf("ran without paging, at %s", s.Kernel.IP), true
	}
	space := cache.space(s.Root, s.Mode)
	if g.mapsThisKernel(space) {
		return "", false
	}
	root := uint64(s.Mode.Root(s.Root))
	t, err := space.Translate(s.Kernel.IP)
	switch {
	case tableAbsent(err):
		return fmt.Sprintf("ran on page tables that are not in the source (root %#x): a hypervisor, another guest or system management mode (SMM)", root), true
	case err == nil && uint64(t.PA) == uint64(s.Kernel.IP):
		return fmt.Sprintf("ran where addresses are physical ones, as firmware does (UEFI, or SMM), at %s", s.Kernel.IP), true
	case err == nil && look:
		mem := g.machine.Kernel.In(space)
		if im, err := mem.FindImage(s.Kernel.IP); err == nil {
			return imageRole(mem, im), true
		}
	}
	return fmt.Sprintf("ran at %s on page tables that are not this Windows' (root %#x): a hypervisor, another guest or system management mode (SMM)", s.Kernel.IP, root), true
}

// mapsThisKernel tells whether page tables have what only this guest's have: the page
// of its debugger data block, or, with KVA shadowing, where that is not, the page of a
// processor's descriptor table.
func (g *finder) mapsThisKernel(space *vtop.Space) bool {
	kernel := g.Memory.Space
	witnesses := []vtop.VA{g.Kernel.VA}
	for i := range g.Processors {
		if r := g.Processors[i].Specials; r != nil && len(witnesses) <= maxSeen {
			witnesses = append(witnesses, r.CodeTable().Base)
		}
	}
	for _, va := range witnesses {
		got, err := space.Translate(va)
		want, werr := kernel.Translate(va)
		if err == nil && werr == nil && got.PA == want.PA {
			return true
		}
	}
	return false
}

// imageRole says what a vCPU ran, by the image that it ran in.
func imageRole(mem kdbg.Memory, im *peimage.Image) string {
	switch name := imageName(im); {
	case imageIs(im, hypervisors):
		return fmt.Sprintf("ran the hypervisor, %s (virtualization-based security or Hyper-V)", name)
	case imageIs(im, secureKernels):
		return fmt.Sprintf("ran the secure kernel, %s (virtualization-based security)", name)
	case isKernel(mem, im):
		return fmt.Sprintf("ran another Windows, of which the kernel is at %s: a nested guest, or one of before", im.Base)
	default:
		return fmt.Sprintf("ran %s on page tables that are not this Windows'", name)
	}
}

// imageIs tells whether an image has one of these names: that of its exports or of its
// symbols, without the suffix.
func imageIs(im *peimage.Image, names []string) bool {
	list := []string{im.Name}
	if im.PDB != nil {
		list = append(list, im.PDB.Name)
	}
	return slices.ContainsFunc(list, func(n string) bool {
		stem, _, _ := strings.Cut(strings.ToLower(n), ".")
		return slices.Contains(names, stem)
	})
}
