package inspect

import (
	"fmt"
	"unsafe"

	"windmp/convert/finding"
	"windmp/kdbg"
	"windmp/vtop"
)

// selectorPCR32 is the kernel's FS on all 32-bit builds.
const selectorPCR32 = 0x30

// checkPCR: of a 32-bit guest, debuggers find the KPCR, and by it the current
// thread, in the GDT under the selector that KDBG states.
func (d *dumpMemory) checkPCR(p *kdbg.Processor, gdt vtop.VA) {
	data := &d.block.Data
	pcr, err := kdbg.PCR32(d.space, gdt)
	switch {
	case d.block.Has(unsafe.Offsetof(data.GdtR0Pcr), unsafe.Sizeof(data.GdtR0Pcr)) && data.GdtR0Pcr != selectorPCR32:
		err = fmt.Errorf("KDBG.GdtR0Pcr is %#x, expected %#x", data.GdtR0Pcr, selectorPCR32)
	case err == nil && pcr != p.PCR:
		err = fmt.Errorf("got %v, want %v", pcr, p.PCR)
	}
	if err != nil {
		d.Addf(finding.IDSpecials, finding.SeverityWarn, "VA "+gdt.String(), "Debuggers can't set the process of this processor.",
			"processor %d: its GDT does not lead to its KPCR: %v", p.Index, err)
	}
}
