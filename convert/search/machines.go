package search

import (
	"slices"

	"windmp/convert/machine"
	"windmp/kdbg/locate"
	"windmp/vtop"
)

// candidates are the machines that the guest's Windows may be of, the likelier
// first. An address that the user gives may be one of a single machine's kernel, and
// a processor in 64-bit mode runs no 32-bit kernel. Else, the blocks found say what
// to try first.
func (d *discovery) candidates() []*machine.Machine {
	for _, va := range []uint64{d.opt.KernelBase, d.opt.KDBG} {
		if va != 0 {
			return machine.Narrowest(vtop.VA(va), d.known.Machines)
		}
	}
	if d.known.Settled {
		return []*machine.Machine{d.known.Machine}
	}
	cpus := d.view.Image.CPUs()
	for i := range cpus {
		m := machine.Of(&cpus[i], d.known.Machines)
		if m != nil && (m.SettlesAlone || m.Settles && m.State(&cpus[i]).HasSystem) {
			return []*machine.Machine{m}
		}
	}
	first := d.known.Machine
	if len(d.blocks) > 0 {
		first = d.firstWithBlock()
	}
	list := slices.Clone(d.known.Machines)
	slices.SortStableFunc(list, func(a, b *machine.Machine) int {
		switch {
		case a == first && b != first:
			return -1
		case b == first && a != first:
			return 1
		}
		return 0
	})
	return list
}

// firstWithBlock is the first machine of which there is a candidate for KDBG.
func (d *discovery) firstWithBlock() *machine.Machine {
	for _, m := range d.known.Machines {
		if slices.ContainsFunc(d.blocks, func(c locate.Candidate) bool { return c.Layout == m.Kernel }) {
			return m
		}
	}
	return nil
}

// modesOf are the paging modes of a machine to try, the likelier first.
func (d *discovery) modesOf(m *machine.Machine) []*vtop.Mode {
	list := slices.Clone(d.known.Modes(m))
	for _, mode := range m.Modes {
		if !slices.Contains(list, mode) {
			list = append(list, mode)
		}
	}
	return list
}
