package guest

import (
	"windmp/convert/machine"
	"windmp/kdbg"
	"windmp/vtop"
)

// behind is the finder as far as the header alone leads, also one that was set aside
// for leading to no KDBG: where the search found none either, it is all there is.
func (g *finder) behind() *finder {
	behind := *g
	if g.Header == nil && g.aside != nil {
		behind.takeHeader(g.aside.Clone())
	}
	if g.Kernel != nil || behind.Header == nil || g.Memory.Space != nil {
		return g
	}
	behind.Memory = behind.headerMemory()
	if k, err := behind.Memory.SharedUserData(); err == nil {
		behind.SharedUserData = k
	}
	// What is wrong with the list is less than what the examination said.
	behind.Modules, _ = behind.Memory.ModulesAt(vtop.VA(behind.Header.PsLoadedModuleList))
	return &behind
}

// headerMemory is the kernel's memory behind the page tables that the header names.
func (g *finder) headerMemory() kdbg.Memory {
	return g.machine.Kernel.In(g.Space(g.Header.DirectoryTableBase, g.mode()))
}

// modes are the paging modes that the guest's page tables may have, the likeliest
// first. Where neither the container nor the header of a dump says it, that is the
// first by which the header's page tables map the kernel.
func (g *finder) modes() []*vtop.Mode {
	list := g.machine.Likely(g.Header, g.isDumpFile(), g.Image.CPUs())
	if !g.isDumpFile() || g.Header == nil || g.machine.Stated != nil {
		return list
	}
	for i, m := range list {
		if g.mapsKernel(m) {
			return append([]*vtop.Mode{m}, append(list[:i:i], list[i+1:]...)...)
		}
	}
	return list
}

// mode is the paging mode, the likeliest before it is known.
func (g *finder) mode() *vtop.Mode {
	if g.Memory.Space != nil {
		return g.Memory.Space.Mode
	}
	return g.modes()[0]
}

// states are what the vCPUs say, in the order of the container.
func (g *finder) states() []machine.State {
	if g.Image == nil {
		return nil
	}
	cpus := g.Image.CPUs()
	list := make([]machine.State, 0, len(cpus))
	for i := range cpus {
		list = append(list, g.machine.State(&cpus[i]))
	}
	return list
}

// recordedMachine is the machine that the container says, the first of those that
// may be where it says none.
func (g *finder) recordedMachine() *machine.Machine {
	if m := machine.ByName(string(g.Image.Machine()), g.machines); m != nil {
		return m
	}
	return g.machines[0]
}
