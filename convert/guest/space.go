package guest

import (
	"io"

	"windmp/kdbg"
	"windmp/physmem"
	"windmp/vtop"
)

// The number of levels of page tables says which paging mode it is: 4 and 5 are
// those of x64 (Intel SDM vol. 3, 4.1.1).
const (
	LevelsLegacy = 2 // 32-bit without PAE
	levelsPAE    = 3 // 32-bit with PAE
	levelsX64    = 4
)

// newSpace is the address space whose CR3 has the value dtb.
func NewSpace(mem io.ReaderAt, dtb uint64, levels int) *vtop.Space {
	switch levels {
	case LevelsLegacy, levelsPAE:
		return vtop.NewSpace32(mem, dtb, levels == levelsPAE)
	default:
		return vtop.NewSpace(mem, dtb, vtop.ModeOf(levels))
	}
}

// rootOf is the physical address in a CR3, without PCID and flags.
func RootOf(cr3 uint64, levels int) uint64 { return uint64(NewSpace(nil, cr3, levels).DTB) }

// levelsOf is the number of levels that a vCPU's page tables have.
func levelsOf(c *physmem.CPU) int {
	switch {
	case c.Is32 && c.PAE():
		return levelsPAE
	case c.Is32:
		return LevelsLegacy
	case c.LA57():
		return MaxLevels
	default:
		return levelsX64
	}
}

// is32 tells whether the guest's Windows is a 32-bit one: by its header, before
// there is one by what the source says of the machine.
func (g *Guest) Is32() bool {
	if g.Header != nil {
		return g.Header.Format().PointerSize == pointerSize32
	}
	return g.Image.Machine() == physmem.MachineX86
}

// levelsTried are the numbers of levels that the guest's page tables may have: what
// the vCPUs say, all that can be when there are none. QEMU's cores record the
// processors of a 32-bit guest as such.
func (g *Guest) levelsTried() []int {
	if g.Is32() {
		if l := g.Levels(); l == LevelsLegacy {
			return []int{LevelsLegacy, levelsPAE}
		}
		return []int{levelsPAE, LevelsLegacy}
	}
	for _, c := range g.Image.CPUs() {
		if c.HasSystem {
			return []int{g.Levels()}
		}
	}
	return []int{levelsX64, MaxLevels}
}

// levels is the number that is most likely: of an x64 guest 5 when a vCPU ran with
// CR4.LA57 (Intel SDM vol. 3, 4.5), of a 32-bit one what the header says of PAE,
// and where it says nothing, the vCPUs' CR4.
func (g *Guest) Levels() int {
	if g.Is32() {
		return g.levels32()
	}
	if g.fiveLevels {
		return MaxLevels
	}
	for _, c := range g.Image.CPUs() {
		if c.LA57() {
			return MaxLevels
		}
	}
	return levelsX64
}

func (g *Guest) levels32() int {
	if h := g.Header; h != nil && h.PaeEnabled <= 1 {
		return LevelsLegacy + int(h.PaeEnabled)
	}
	if g.Image.DumpHeader() != nil {
		return LevelsLegacy // as debuggers take what is not 1
	}
	for _, c := range g.Image.CPUs() {
		if c.HasSystem && !c.PAE() {
			return LevelsLegacy
		}
	}
	return levelsPAE
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

// maxLevels is that of the deepest page tables (Intel SDM vol. 3, 4.5).
const MaxLevels = 5

// pointerSize32 is the size of a pointer of a 32-bit kernel in bytes.
const pointerSize32 = 4
