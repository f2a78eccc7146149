package kdbg

import (
	"windmp/vtop"
)

const (
	gates      = 32  // vectors of exceptions
	stubLength = 128 // bytes of a handler that are looked at
	// maxPCR bounds an offset in KPCR with KPRCB: KDBG states sizes as u16.
	maxPCR = 0x10000
)

// ShadowRoot is a root of the kernel's page tables that a vCPU's shadow page
// tables led to.
type ShadowRoot struct {
	// DTB is the value that Windows would load, without flags.
	DTB uint64
	// Offset is where in KPCR it stands, Stub whether an entry stub says so;
	// otherwise it is one of the known offsets.
	Offset vtop.VA
	Stub   bool
}

// KernelRoots returns what KPRCB.KernelDirectoryTableBase may be, as seen through
// the page tables that user mode runs on with KVA shadowing: these map the IDT, the
// entry stubs and a part of KPCR. The offset is taken from the stubs, then from
// the known ones. A root is believed only when it maps what it has to. There is none
// where no base of r is a KPCR.
func (m Memory) KernelRoots(r Registers) []ShadowRoot {
	var list []ShadowRoot
	for _, pcr := range append([]vtop.VA{r.PCR}, r.Alternates...) {
		if m.CheckPCR(pcr) == nil {
			list = m.kernelRoots(r.IDT, pcr, list)
		}
	}
	return list
}

// kernelRoots appends what one KPCR leads to.
func (m Memory) kernelRoots(idt, pcr vtop.VA, list []ShadowRoot) []ShadowRoot {
	seen := map[uint64]bool{}
	add := func(offset vtop.VA, stub bool) {
		v, err := m.Pointer(pcr + offset)
		if dtb := uint64(m.Space.Mode.Root(uint64(v))); err == nil && dtb != 0 && !seen[dtb] {
			seen[dtb] = true
			list = append(list, ShadowRoot{DTB: dtb, Offset: offset, Stub: stub})
		}
	}
	for vector := range gates {
		if offset, ok := m.stubOffset(idt, vector); ok {
			add(offset, true)
		}
	}
	for _, offset := range m.Layout.Processor.Directories {
		add(offset, false)
	}
	return list
}

// stubOffset finds the offset that a vector's entry stub loads the root from.
func (m Memory) stubOffset(idt vtop.VA, vector int) (vtop.VA, bool) {
	find := m.Layout.Processor.StubDirectory
	if find == nil {
		return 0, false
	}
	handler, err := m.Gate(idt, vector)
	if err != nil {
		return 0, false
	}
	code := make([]byte, stubLength)
	n, _ := m.Space.ReadVirtual(code, handler) // what is readable of it
	return find(code[:n])
}
