package guest

import (
	"windmp/convert/machine"
	"windmp/kdbg"
	"windmp/vtop"
)

// Behind is the guest as far as its header alone leads, for one whose KDBG was not
// found: page tables, KUSER_SHARED_DATA and modules. Nothing of it was verified.
func (g *Guest) Behind() *Guest {
	if g.Kernel != nil || g.Header == nil || g.Memory.Space != nil {
		return g
	}
	behind := *g
	behind.Memory = g.HeaderMemory()
	if k, err := behind.Memory.SharedUserData(); err == nil {
		behind.SharedUserData = k
	}
	// What is wrong with the list is less than what the examination said.
	behind.Modules, _ = behind.Memory.ModulesAt(vtop.VA(g.Header.PsLoadedModuleList))
	return &behind
}

// HeaderMemory is the kernel's memory behind the page tables that the header names.
func (g *Guest) HeaderMemory() kdbg.Memory {
	return g.machine.Kernel.In(vtop.NewSpace(g.reader(), g.Header.DirectoryTableBase, g.Mode()))
}

// modes are the paging modes that the guest's page tables may have, the likeliest
// first. Where the container does not settle it for a dump, that is the first by
// which its header's page tables map the kernel.
func (g *Guest) modes() []*vtop.Mode {
	list := g.machine.Likely(g.Header, g.isDumpFile(), g.Image.CPUs())
	if !g.isDumpFile() || g.Header == nil {
		return list
	}
	for i, m := range list {
		if g.mapsKernel(m) {
			return append([]*vtop.Mode{m}, append(list[:i:i], list[i+1:]...)...)
		}
	}
	return list
}

// Mode is the paging mode, the likeliest before it is known.
func (g *Guest) Mode() *vtop.Mode {
	if g.Kernel != nil {
		return g.Memory.Space.Mode
	}
	return g.modes()[0]
}

// States are what the vCPUs say, in the order of the container.
func (g *Guest) States() []machine.State {
	cpus := g.Image.CPUs()
	list := make([]machine.State, 0, len(cpus))
	for i := range cpus {
		list = append(list, g.machine.State(&cpus[i]))
	}
	return list
}

// recordedMachine is the machine that the container says, the first of those that
// may be where it says none.
func (g *Guest) recordedMachine() *machine.Machine {
	if m := machine.ByName(string(g.Image.Machine()), g.machines); m != nil {
		return m
	}
	return g.machines[0]
}

// Roots are the registers that hold the vCPUs' page tables, flags included.
func (g *Guest) Roots() []uint64 {
	var list []uint64
	for _, s := range g.States() {
		list = append(list, s.Root)
	}
	return list
}
