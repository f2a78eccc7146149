package stack

import (
	"fmt"

	"windmp/kdbg"
	"windmp/vtop"
)

// kernelName is what debuggers call the kernel, whatever its file's name.
const kernelName = "nt"

// Place is an address in a module.
type Place struct {
	// Module is an index in the walker's list, -1 for code of none.
	Module int
	// Name is the module's as debuggers have it, File that of its file.
	Name, File string
	RVA        uint64 // relative to the module's base
	// Export is the function, where the module exports it; Offset is from its start.
	Export string
	Offset uint64
}

// String is the address as debuggers write it.
func (p *Place) String() string {
	switch {
	case p.Module < 0:
		return fmt.Sprintf("%#x", p.RVA)
	case p.Export != "":
		return fmt.Sprintf("%s!%s+%#x", p.Name, p.Export, p.Offset)
	default:
		return fmt.Sprintf("%s+%#x", p.Name, p.RVA)
	}
}

// place is where an address lies. Without a module, RVA is the address.
func (w *Walker) place(va vtop.VA) Place {
	i := kdbg.ModuleAt(w.modules, va)
	if i < 0 {
		return Place{Module: -1, RVA: uint64(va)}
	}
	m := &w.modules[i]
	p := Place{Module: i, Name: shortName(m.Name), File: m.Name, RVA: uint64(va - m.Base)}
	switch {
	case i == 0:
		p.Name = kernelName
	case p.Name == "": // its name is not readable
		p.Name = fmt.Sprintf("%#x", uint64(m.Base))
	}
	return p
}

// rankAt is how close to the kernel the module is in which an address lies: other
// for code of none.
func (w *Walker) rankAt(va vtop.VA) rank {
	switch i := kdbg.ModuleAt(w.modules, va); {
	case i < 0:
		return other
	case i == 0: // whatever its file is called
		return core
	default:
		return rankOf(w.modules[i].Name)
	}
}
