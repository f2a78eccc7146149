package stack

import (
	"fmt"
	"strings"

	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// kernelName is what debuggers call the kernel, whatever its file's name.
const kernelName = "nt"

// Place is an address in a module.
type Place struct {
	// module is an index in the walker's list, -1 for code of none.
	module int
	// Name is the module's as debuggers have it, File that of its file; both are empty
	// for code of none, and of a driver that is no longer loaded Name says that.
	Name, File string
	// RVA is relative to the module's base. Of code of none it is the address.
	RVA uint64
	// Export is the function, where the module exports it; Offset is from its start.
	Export string
	Offset uint64
}

// Loaded tells whether the address is in a module that is loaded.
func (p *Place) Loaded() bool { return p.module >= 0 }

// String is the address as debuggers write it.
func (p *Place) String() string {
	switch {
	case p.Name == "":
		return fmt.Sprintf("%#x", p.RVA)
	case p.Export != "":
		return fmt.Sprintf("%s!%s+%#x", p.Name, p.Export, p.Offset)
	default:
		return fmt.Sprintf("%s+%#x", p.Name, p.RVA)
	}
}

// unloadedName is how much small dumps keep of the name of a driver that is no longer
// loaded, in characters: no more of it is used.
const unloadedName = 12

// place is where an address lies: in a module, else in a driver that is no longer loaded,
// the last one that was there.
func (w *Walker) place(va vtop.VA) Place {
	i := kdbg.ModuleAt(w.modules, va)
	for k := len(w.unloaded) - 1; i < 0 && k >= 0; k-- {
		if d := &w.unloaded[k]; va >= d.Start && va < d.End && d.Name != "" {
			name := []rune(d.Name)
			file := string(name[:min(len(name), unloadedName)])
			return Place{module: -1, Name: "<Unloaded_" + file + ">", File: file, RVA: uint64(va - d.Start)}
		}
	}
	if i < 0 {
		return Place{module: -1, RVA: uint64(va)}
	}
	return placeIn(w.modules, i, va)
}

// placeIn is an address in the module of that index.
func placeIn(modules []kdbg.Module, i int, va vtop.VA) Place {
	m := &modules[i]
	p := Place{module: i, Name: shortName(m.Name), File: m.Name, RVA: uint64(va - m.Base)}
	switch {
	case i == 0:
		p.Name = kernelName
	case p.Name == "": // it is not readable, and the base differs between machines
		p.Name = "unnamed"
	case strings.EqualFold(p.Name, kernelName):
		p.Name = m.Name
	}
	return p
}

// InModule names an address by the module that it lies in, as debuggers do: "nt+0x1234".
// It is empty for one in none.
func InModule(modules []kdbg.Module, va vtop.VA) string {
	i := kdbg.ModuleAt(modules, va)
	if i < 0 {
		return ""
	}
	p := placeIn(modules, i, va)
	return p.String()
}

// known tells whether an address is in a module, loaded or not any more.
func (w *Walker) known(va vtop.VA) bool {
	p := w.place(va)
	return p.Name != ""
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

// name is where an address lies, with the export that its function is.
func (w *Walker) name(v *view, va vtop.VA) Place {
	p := w.place(va)
	if !p.Loaded() {
		return p
	}
	for _, at := range w.points {
		if at.Exported && at.Holds(va) {
			p.Export, p.Offset = at.Name, uint64(va-at.First)
			return p
		}
	}
	im, ok := v.images.At(va)
	if !ok || im.Base != w.modules[p.module].Base {
		return p
	}
	h, err := im.Headers(v.space, w.method.Format)
	if err != nil {
		return p
	}
	exports := w.exportsOf(v, h)
	rva := uint32(p.RVA & 0xffffffff) // below the image's size
	if x, ok := exports.Nearest(v.space, rva); ok && w.belongs(v, va, h.Base+vtop.VA(x.RVA)) {
		p.Export, p.Offset = x.Name, uint64(rva-x.RVA)
	}
	return p
}

// exportsOf are an image's exports, read once; empty where they are not readable.
func (w *Walker) exportsOf(v *view, h *peimage.Headers) *peimage.Exports {
	if e := w.exports[h.Base]; e != nil {
		return e
	}
	e, err := h.ReadExports(v.space)
	if err != nil {
		e = new(peimage.Exports)
	}
	w.exports[h.Base] = e
	return e
}

// belongs tells whether an address is known to be of the function that begins at an
// export: it is that address, or the unwind data has a function from there to beyond it.
func (w *Walker) belongs(v *view, va, export vtop.VA) bool {
	begin, _, ok := w.method.Function(v.space, v.images, va)
	return va == export || ok && begin == export
}
