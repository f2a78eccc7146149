package guest

import (
	"slices"

	"windmp/kdbg"
	"windmp/physmem"
	"windmp/vtop"
)

// modes are the paging modes that a guest of a width may use, the likelier first.
func modes(narrow bool) []*vtop.Mode {
	if narrow {
		return []*vtop.Mode{vtop.PAE, vtop.X86}
	}
	return []*vtop.Mode{vtop.X64, vtop.LA57}
}

// chosen is the mode that the control register of a vCPU chooses.
func chosen(list []*vtop.Mode, c *physmem.CPU) *vtop.Mode {
	for _, m := range list {
		if m.Control.In(c.CR4) {
			return m
		}
	}
	return list[0]
}

// modeOf is the mode of a vCPU's page tables.
func modeOf(c *physmem.CPU) *vtop.Mode { return chosen(modes(c.Is32), c) }

// is32 tells whether the guest's Windows is a 32-bit one: by its header, before
// there is one by what the source says of the machine.
func (g *Guest) Is32() bool {
	if g.Header != nil {
		return g.Header.Format().PointerSize == pointerSize32
	}
	return g.Image.Machine() == physmem.MachineX86
}

// modesTried are those that the guest's page tables may have: what the vCPUs say,
// all that can be when there are none. QEMU's cores record the processors of a
// 32-bit guest as such.
func (g *Guest) modesTried() []*vtop.Mode {
	list := g.likelierFirst(g.Is32())
	if g.Is32() {
		return list
	}
	for _, c := range g.Image.CPUs() {
		if c.HasSystem {
			return list[:1]
		}
	}
	return modes(false)
}

// likelierFirst are the modes of a width, that first which is the guest's by all
// that is known.
func (g *Guest) likelierFirst(narrow bool) []*vtop.Mode {
	list := modes(narrow)
	if g.Mode() == list[1] {
		slices.Reverse(list)
	}
	return list
}

// Mode is the one that is most likely: of an x64 guest that of a vCPU that ran with
// CR4.LA57 (Intel SDM vol. 3, 4.5), of a 32-bit one what the header says of PAE,
// and where it says nothing, the vCPUs' CR4.
func (g *Guest) Mode() *vtop.Mode {
	if g.Is32() {
		return g.mode32()
	}
	list := modes(false)
	if g.deeper {
		return list[1]
	}
	cpus := g.Image.CPUs()
	for i := range cpus {
		if m := chosen(list, &cpus[i]); m != list[0] {
			return m
		}
	}
	return list[0]
}

func (g *Guest) mode32() *vtop.Mode {
	if h := g.Header; h != nil && h.PaeEnabled == 1 {
		return vtop.PAE
	}
	if h := g.Header; h != nil && h.PaeEnabled == 0 || g.Image.DumpHeader() != nil {
		return vtop.X86 // as debuggers take what is not 1
	}
	for _, c := range g.Image.CPUs() {
		if c.HasSystem && !vtop.PAE.Control.In(c.CR4) {
			return vtop.X86
		}
	}
	return vtop.PAE
}

// sharedUserDataVA is the kernel's address of KUSER_SHARED_DATA.
func (g *Guest) SharedUserDataVA() vtop.VA {
	if g.Is32() {
		return kdbg.SharedUserDataVA32
	}
	return kdbg.SharedUserDataVA
}

// kernelPCR is where a vCPU's kernel finds its KPCR: by GS, of a 32-bit guest by
// FS or the GDT.
func (g *Guest) kernelPCR(c *physmem.CPU) vtop.VA {
	if g.Is32() {
		return pcrOf(g.Space, c)
	}
	return vtop.VA(c.KernelGS())
}

// pointerSize32 is the size of a pointer of a 32-bit kernel in bytes.
const pointerSize32 = 4
