package kdbg

import (
	"windmp/vtop"
)

// HeldAddress is an address that a register of a processor and its KPCR both hold
// while the kernel runs on it.
type HeldAddress struct {
	// At is where it stands in KPCR.
	At vtop.VA
	// Register is the register's, 0 for one that is not known.
	Register func(r Registers) vtop.VA
}

// gdtBase, idtBase and tssBase are the bases of the tables that KPCR of x64 and x86
// names.
func gdtBase(r Registers) vtop.VA { return r.GDT }
func idtBase(r Registers) vtop.VA { return r.IDT }
func tssBase(r Registers) vtop.VA { return r.TSS }

// Owners tells by its registers which of a kernel's processors a vCPU runs.
type Owners struct {
	memory Memory
	by     map[claim]int
}

// claim is an address that a register holds: the KPCR itself, or one of the layout's
// [ProcessorLayout.Held], by its place in that list.
type claim struct {
	held int
	va   vtop.VA
}

const (
	thePCR    = -1 // the KPCR as a claim
	ambiguous = -1 // an address that several processors have
)

// Owners reads what the KPCRs of processors hold. A field that is null or not
// readable proves nothing.
func (m Memory) Owners(list []Processor) *Owners {
	o := &Owners{memory: m, by: map[claim]int{}}
	for i := range list {
		pcr := list[i].PCR
		if list[i].PRCB == 0 {
			continue
		}
		o.add(claim{thePCR, pcr}, i)
		for k, h := range m.Layout.Processor.Held {
			if va, err := m.Pointer(pcr + h.At); err == nil {
				o.add(claim{k, va}, i)
			}
		}
	}
	return o
}

// add notes whose an address is: an address of two is nobody's.
func (o *Owners) add(c claim, index int) {
	if c.va == 0 {
		return
	}
	if _, ok := o.by[c]; ok {
		index = ambiguous
	}
	o.by[c] = index
}

// Of returns the place in the list of the processor that a vCPU with the registers r
// runs: that of which most addresses are in them, and how many these are; 0 if no
// register speaks for any, or as much for one as for another. Of the registers count
// those for which believe is true; it is asked for the address.
func (o *Owners) Of(r Registers, believe func(va vtop.VA) bool) (index, proofs int) {
	votes := map[int]int{}
	vote := func(held int, list ...vtop.VA) {
		for _, va := range list {
			if i, ok := o.by[claim{held, va}]; ok && i != ambiguous && believe(va) {
				votes[i]++
				return
			}
		}
	}
	// Of the bases that may be the KPCR, one is.
	vote(thePCR, append([]vtop.VA{o.memory.PCR(r)}, r.Alternates...)...)
	for k, h := range o.memory.Layout.Processor.Held {
		vote(k, h.Register(r))
	}
	second := 0
	for i, n := range votes {
		switch {
		case n > proofs:
			index, proofs, second = i, n, proofs
		case n > second:
			second = n
		}
	}
	if proofs == second {
		return 0, 0
	}
	return index, proofs
}
