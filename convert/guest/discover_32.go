package guest

import (
	"fmt"
	"math"
	"slices"

	"windmp/kdbg"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
)

// is32 tells whether a space is one of a 32-bit guest.
func Is32(space *vtop.Space) bool { return space.PointerSize() == pointerSize32 }

// FormatOf is the dump header's format of the machine that has such a space.
func FormatOf(space *vtop.Space) *winhdr.Format {
	formats := winhdr.Formats()
	i := slices.IndexFunc(formats, func(f *winhdr.Format) bool { return f.PointerSize == space.PointerSize() })
	return formats[max(i, 0)]
}

// widths are the widths that the guest's Windows may have, likelier first, true
// being 32 bits. An address that the user gives has one, and a processor in 64-bit
// mode runs no 32-bit kernel. Else, the blocks found say what to try first.
func (d *discovery) widths() []bool {
	for _, va := range []uint64{d.opt.KernelBase, d.opt.KDBG} {
		if va != 0 {
			return []bool{va <= math.MaxUint32}
		}
	}
	if d.g.Header != nil {
		return []bool{d.g.Is32()}
	}
	for _, c := range d.g.Image.CPUs() {
		if c.HasSystem && !c.Is32 {
			return []bool{false}
		}
	}
	first := d.g.Image.Machine() == physmem.MachineX86
	if len(d.blocks) > 0 {
		first = !slices.ContainsFunc(d.blocks, func(c kdbg.Candidate) bool { return !c.Is32 })
	}
	return []bool{first, !first}
}

// pcrOf is the KPCR of the processor that a vCPU of a 32-bit guest runs: FS leads to it
// in the kernel, and the GDT says what FS is there.
func pcrOf(space *vtop.Space, c *physmem.CPU) vtop.VA {
	fs := vtop.VA(c.KernelFS())
	if kdbg.CheckPCR(space, fs) == nil {
		return fs
	}
	if pcr, err := kdbg.PCR32(space, vtop.VA(c.GDT.Base)); err == nil {
		return pcr
	}
	return fs
}

// versionHint is the kernel's base as the version block has it to which a vCPU's
// KPCR refers, 0 if that is not readable. In a 32-bit guest the first processor's
// always refers to it.
func versionHint(space *vtop.Space, c *physmem.CPU) vtop.VA {
	v, err := kdbg.ReadVersionOf(space, pcrOf(space, c))
	if err != nil {
		return 0
	}
	return v.KernBase
}

func rootVia(r vtop.Root) string {
	return fmt.Sprintf("page tables found in memory (%s)", r.Kind)
}
