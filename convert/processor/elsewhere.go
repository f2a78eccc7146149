package processor

import (
	"fmt"

	"windmp/convert/machine"
	"windmp/convert/search"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// elsewhere says, as far as can be told, what a vCPU did instead of running this guest,
// as a predicate; false for one that may run it. With look, it looks for the image that
// the vCPU ran in.
func (g *pairing) elsewhere(s *machine.State, look bool) (string, bool) {
	if !s.HasSystem {
		return "", false
	}
	if !s.Paged {
		if s.Elsewhere != "" {
			return s.Elsewhere, true
		}
		return "ran without paging", true
	}
	space := s.Space(g.View)
	if g.mapsThisKernel(space) {
		return "", false
	}
	t, err := space.Translate(s.Kernel.IP)
	switch {
	case tableAbsent(err):
		return "ran on page tables that are not in the source: a hypervisor, another guest or system management mode (SMM)", true
	case err == nil && uint64(t.PA) == uint64(s.Kernel.IP):
		return "ran where addresses are physical ones, as firmware does (UEFI, or SMM)", true
	case err == nil && look:
		mem := g.Machine.Kernel.In(space)
		if im, err := mem.FindImage(s.Kernel.IP); err == nil {
			return imageRole(mem, im), true
		}
	}
	return "ran on page tables that are not this Windows': a hypervisor, another guest or system management mode (SMM)", true
}

// mapsThisKernel tells whether page tables have what only this guest's have: the page
// of its debugger data block, or, with KVA shadowing, where that is not, the page of a
// processor's descriptor table.
func (g *pairing) mapsThisKernel(space *vtop.Space) bool {
	kernel := g.Kernel.Memory.Space
	witnesses := []vtop.VA{g.Kernel.VA}
	for i := range g.list {
		if r := g.list[i].Specials; r != nil && len(witnesses) <= maxForeign {
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
	switch name := search.ImageName(im); {
	case search.IsHypervisor(im):
		return fmt.Sprintf("ran the hypervisor, %s (virtualization-based security or Hyper-V)", name)
	case search.IsSecureKernel(im):
		return fmt.Sprintf("ran the secure kernel, %s (virtualization-based security)", name)
	case search.IsKernel(mem, im):
		return "ran another Windows: a nested guest, or one of before"
	default:
		return fmt.Sprintf("ran %s on page tables that are not this Windows'", name)
	}
}
