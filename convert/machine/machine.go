// Package machine describes the machines whose Windows is read: x64, 32-bit x86 and
// 64-bit Arm.
//
// A Machine is one value in which everything stands that differs from one machine
// to another: the dump's header and CONTEXT (package winhdr), the paging modes
// (vtop), the kernel's structures (kdbg), the ELF core that the machine's state is
// written as (convert/dump), and, here, how the state of a vCPU becomes what the
// pipeline works with. The pipeline asks the Machine and never which one it is; a
// further machine is one file like x64.go.
package machine

import (
	"cmp"
	"io"
	"slices"

	"windmp/convert/dump"
	"windmp/kdbg"
	"windmp/kdbg/specials"
	"windmp/kdbg/unwind"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/wincontext"
)

// Machine is one kind of machine. It is not changed once in use.
type Machine struct {
	// Header is the form of the dump's header and of the CONTEXT. Its Name is the
	// machine's.
	Header *winhdr.Format
	// Kernel is how the kernel lays out its structures.
	Kernel *kdbg.Layout
	// Unwind is how its stacks are walked.
	Unwind *unwind.Method
	// Modes are the paging modes that the kernel may use, the likeliest first.
	Modes []*vtop.Mode
	// Flat is the mode of memory that is kept by virtual address, as in triage dumps.
	Flat *vtop.Mode
	// Likely are those of Modes that the kernel's page tables may have, the
	// likeliest first, by the dump header and the vCPUs. h is nil where there is
	// none; dump says that it is the header of a dump, as debuggers read it.
	Likely func(h *winhdr.Header, dump bool, cpus []physmem.CPU) []*vtop.Mode
	// RootName and PointerName are what people call the register that holds the root
	// of the page tables, and the instruction pointer; RootFlags, what the first has
	// beside an address and flag bits.
	RootName, PointerName, RootFlags string
	// Settles says that a vCPU that was recorded as one of this machine, with control
	// registers, runs no other machine's kernel; SettlesAlone, that it does not without
	// them either.
	Settles, SettlesAlone bool
	// Proves says that a vCPU in the kernel proves by its general registers which
	// processor it runs, so that one that does not is never taken for the processor at
	// its place.
	Proves bool
	// Stated is the mode that a header states with PaeEnabled, nil if it states none.
	Stated *vtop.Mode
	// Map is where it has RAM, and where something else.
	Map MemoryMap
	// Core is how an ELF core speaks of the machine, zero where none does.
	Core dump.ELFMachine

	// Lacking are the sets of registers that containers may not carry, larger ones
	// first.
	Lacking []Lacking
	// Owns says whether a vCPU was recorded as one of this machine.
	Owns func(c *physmem.CPU) bool
	// State reads the state of a vCPU, which need not be one that Owns claims: a
	// machine whose Windows is still starting may be recorded as another. Of a vCPU
	// whose registers it can't read it is the zero State.
	State func(c *physmem.CPU) State
	// Registers makes the registers of a vCPU of what memory holds of a processor.
	Registers func(s Saved) physmem.Registers
}

// Name is the machine's name as reports have it, such as "x64".
func (m *Machine) Name() string { return m.Header.Name }

// Digits is how many hex digits an address of the machine has.
func (m *Machine) Digits() int { return 2 * m.Kernel.PointerSize }

// State is what a vCPU's registers say, in words that do not depend on the machine.
type State struct {
	// HasSystem is set when the container recorded the control registers. Without it
	// Root, Mode, Paged, Kernel's tables and Specials mean nothing. A container may lack
	// the descriptor tables all the same: Kernel's are 0 then.
	HasSystem bool
	// Root is the register that holds the root of the page tables, flags included;
	// Mode is the paging mode by which the vCPU used it. UpperRoot is that of the upper
	// half where each has one ([vtop.Mode].Split), and Root that of the lower.
	Root, UpperRoot uint64
	Mode            *vtop.Mode
	// Paged is false for a vCPU that used no page tables; Elsewhere says what it did
	// then, as a predicate, empty where that is not known.
	Paged     bool
	Elsewhere string
	// Foreign says, of a vCPU that used page tables of a layout that is not read, what
	// that is; ForeignBy names the register that says so, with its value.
	Foreign, ForeignBy string
	// InKernel is set for a vCPU that ran at the kernel's privilege level.
	InKernel bool
	// Kernel are the addresses of the kernel's structures in it.
	Kernel kdbg.Registers
	// Context is its CONTEXT, nil if nothing could be read, registers that the
	// container does not carry with their value after reset; Carries are those of the optional ones that it does.
	Context wincontext.Context
	Carries wincontext.RegisterSet
	// Specials are its special registers, nil without HasSystem.
	Specials specials.Registers
}

// Space is the address space in which the vCPU ran, over guest-physical memory.
func (s *State) Space(mem io.ReaderAt) *vtop.Space {
	return vtop.NewSpace(mem, s.UpperRoot, s.Mode).At(s.Root)
}

// Clone returns a copy, with which s shares nothing.
func (s *State) Clone() *State {
	c := *s
	c.Kernel.Alternates = slices.Clone(c.Kernel.Alternates)
	if c.Context != nil {
		c.Context = c.Context.Clone()
	}
	if c.Specials != nil {
		c.Specials = c.Specials.Clone()
	}
	return &c
}

// Lacking is a set of registers that a container may not carry, and the values that
// they show then.
type Lacking struct {
	Set           wincontext.RegisterSet
	Names, Values string
}

// Saved is what memory holds of a processor.
type Saved struct {
	Context  wincontext.Context
	Specials specials.Registers
	// PCR is the address of the KPCR.
	PCR vtop.VA
	// Mode is the paging mode that the guest's page tables were found to have.
	Mode *vtop.Mode
	// Task reads what a descriptor table says of a task, see [kdbg.Memory].
	Task func(table vtop.VA, selector uint16) (kdbg.Segment, error)
}

// All are the machines whose Windows is read.
func All() []*Machine { return []*Machine{X64, X86, ARM64} }

// OrAll is list, or All where that is empty.
func OrAll(list []*Machine) []*Machine {
	if len(list) == 0 {
		return All()
	}
	return list
}

// Of is the machine of list as which a vCPU was recorded, nil for none.
func Of(c *physmem.CPU, list []*Machine) *Machine {
	for _, m := range list {
		if m.Owns(c) {
			return m
		}
	}
	return nil
}

// Narrowest are the machines of list with the smallest pointers that hold va.
func Narrowest(va vtop.VA, list []*Machine) []*Machine {
	var out []*Machine
	for _, m := range list {
		size := m.Kernel.PointerSize
		if uint64(va)>>(8*size-1)>>1 != 0 {
			continue
		}
		if len(out) > 0 && size < out[0].Kernel.PointerSize {
			out = nil
		}
		if len(out) == 0 || size == out[0].Kernel.PointerSize {
			out = append(out, m)
		}
	}
	return out
}

// ByFormat is the machine of list whose dump header has the format f, nil for none.
func ByFormat(f *winhdr.Format, list []*Machine) *Machine {
	for _, m := range list {
		if m.Header == f {
			return m
		}
	}
	return nil
}

// ByName is the machine of list with a name, nil for none.
func ByName(name string, list []*Machine) *Machine {
	for _, m := range list {
		if m.Name() == name {
			return m
		}
	}
	return nil
}

// OrFirst is the machine with a name, the likeliest of all where there is none of it.
func OrFirst(name string) *Machine {
	list := All()
	return cmp.Or(ByName(name, list), list[0])
}

// Formats are the dump headers of the machines, as package winhdr wants them.
func Formats(list []*Machine) []*winhdr.Format {
	out := make([]*winhdr.Format, 0, len(list))
	for _, m := range list {
		out = append(out, m.Header)
	}
	return out
}

// Layouts are the kernels of the machines, as package kdbg wants them.
func Layouts(list []*Machine) []*kdbg.Layout {
	out := make([]*kdbg.Layout, 0, len(list))
	for _, m := range list {
		out = append(out, m.Kernel)
	}
	return out
}

// Memory is the memory of the machine's kernel behind the page tables at a root.
func (m *Machine) Memory(s *vtop.Space) kdbg.Memory { return m.Kernel.In(s) }

// PaeEnabled is what a header says of a mode.
func (m *Machine) PaeEnabled(mode *vtop.Mode) uint8 {
	if m.Stated != nil && mode == m.Stated {
		return 1
	}
	return 0
}

// ordered is first, then the rest of modes.
func ordered(first *vtop.Mode, modes []*vtop.Mode) []*vtop.Mode {
	out := []*vtop.Mode{first}
	for _, m := range modes {
		if m != first {
			out = append(out, m)
		}
	}
	return out
}
