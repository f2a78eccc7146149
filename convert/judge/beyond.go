package judge

import (
	"errors"
	"fmt"

	"windmp/convert/finding"
	"windmp/internal/binio"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/vtop"
)

// symbolised is of how many modules, from the list's head on, debuggers load symbols when
// they open a dump: the kernel and the HAL.
const symbolised = 2

// beyond: of a dump with a bitmap, debuggers complain of each page that page tables name
// and the bitmap does not reach, and not of one that is not mapped. These are the places
// that Microsoft's engine reads when it opens a dump.
func (c *subject) beyond() error {
	if !c.h.DumpType.ListsPages() {
		return nil
	}
	l, ok := c.pageList()
	if !ok {
		return nil
	}
	a := asked{space: c.mem.Space, bits: l.Bits}
	for i := range c.modules {
		m := &c.modules[i]
		if i > 0 { // the first has a rule of its own
			a.at("the headers of an image", m.Base)
		}
		a.page("the name of an image", m.Entry, pageLacking(m.NameErr))
		if i < symbolised {
			a.symbols(m.Base, c.mem.Layout.Image)
		}
	}
	if c.kernel != nil {
		a.at("KDBG.NtBuildLab", vtop.VA(c.kernel.Data.NtBuildLab))
		a.at("KDBG.CmNtCSDVersion", vtop.VA(c.kernel.Data.CmNtCSDVersion))
	}
	for _, parameter := range c.h.BugCheckParameters { // of some bug checks an instruction
		a.at("a parameter of the bug check", vtop.VA(parameter))
	}
	for i := range c.cpus {
		c.askRegisters(&a, &c.cpus[i])
	}
	if a.count > 0 {
		c.Add(finding.PlaceBeyond.At("", "the page tables lead from %s to memory that the bitmap does not reach", a.places()).Because(a.detail))
	}
	return nil
}

// askRegisters asks for what debuggers show beside a processor's registers.
func (c *subject) askRegisters(a *asked, p *kdbg.Processor) {
	if p.Context == 0 {
		return
	}
	if x, err := c.readContext(p.Context); err == nil {
		a.at(fmt.Sprintf("the instruction of processor %d", p.Index), vtop.VA(x.IP()))
		a.at(fmt.Sprintf("the stack of processor %d", p.Index), vtop.VA(x.SP()))
	}
}

// asked counts the places that debuggers ask for and page tables map beyond a bitmap.
type asked struct {
	space *vtop.Space
	bits  uint64 // of the bitmap
	count int
	// first is the first such place in words, detail where it is.
	first, detail string
}

// places says which there are.
func (a *asked) places() string {
	if a.count == 1 {
		return a.first
	}
	return fmt.Sprintf("%s and %s", a.first, binio.Plural(a.count-1, "other place"))
}

// at asks for an address, and reports whether it is beyond.
func (a *asked) at(what string, va vtop.VA) bool { return a.page(what, va, pageAsked(a.space, va)) }

// page asks for an address on whose way pa is the last that is read, 0 if it is not known.
func (a *asked) page(what string, va vtop.VA, pa vtop.PA) bool {
	if uint64(pa)/physmem.PageSize < a.bits {
		return false
	}
	if a.count++; a.count == 1 {
		a.first, a.detail = what, fmt.Sprintf("at %v PA %#x is needed, the bitmap has %#x pages", va, uint64(pa), a.bits)
	}
	return true
}

// symbols asks for what tells the symbols of an image: its exports and debug data.
func (a *asked) symbols(base vtop.VA, f peimage.Format) {
	h, err := peimage.ReadHeaders(a.space, base, f)
	if err != nil {
		return
	}
	a.directory("the exports of an image", base, h.Exports)
	if a.directory("the debug directory of an image", base, h.Debug) {
		return
	}
	if d, ok := h.CodeView(a.space); ok {
		a.directory("the record of an image's symbols", base, d)
	}
}

// directory asks for each page of a directory, and reports whether one is beyond.
func (a *asked) directory(what string, base vtop.VA, d peimage.Directory) bool {
	// Of offsets, which do not wrap where an image lies at the end of all addresses.
	start, end := uint64(d.RVA), uint64(d.RVA)+uint64(d.Size)
	for at := start; at < end; at = at&^(physmem.PageSize-1) + physmem.PageSize {
		if a.at(what, base+vtop.VA(at)) {
			return true
		}
	}
	return false
}

// pageAsked is the physical address that a debugger reads last on the way to va: va's own,
// or that of a table's entry which can't be read; 0 where va is not mapped.
func pageAsked(s *vtop.Space, va vtop.VA) vtop.PA {
	to, err := s.Translate(va)
	if err == nil {
		return to.PA
	}
	return pageLacking(err)
}

// pageLacking is the physical address at which a read failed; 0 if that is not why.
func pageLacking(err error) vtop.PA {
	var fault *vtop.FaultError
	if !errors.As(err, &fault) {
		return 0
	}
	switch fault.Kind {
	case vtop.TableUnreadable:
		return fault.EntryPA
	case vtop.PageUnreadable:
		return fault.PA
	default:
		return 0
	}
}
