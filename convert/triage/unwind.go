package triage

import (
	"cmp"
	"slices"

	"windmp/convert/stack"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/kdbg/unwind"
	"windmp/vtop"
)

const (
	// headersSize is what is kept of an image's headers, bytes, if they are no longer:
	// they are read up to the table of sections.
	headersSize = 0x400
	// codeBefore and codeSize are the code that is kept around a return address, bytes:
	// debuggers look there for the call, and for the end of a function.
	codeBefore = 0x10
	codeSize   = 0x80
)

// takeUnwindData is tier 4: what a debugger without symbols and image files walks the
// stack by, image by image, those of nobody knows whom first. It reads the whole of an
// exception directory, so that a part of one is of no use to it. What names them is
// behind all of that.
func (p *planner) takeUnwindData() {
	frames := p.frames()
	p.takeStacks(frames)
	list := p.imagesOf(frames)
	for _, i := range list {
		m := &p.modules[i]
		h, _ := p.headersOf(m)
		p.take(UnwindData, m.Base, max(headersSize, uint64(h.Length)))
		p.takeDirectory(UnwindData, m, h.Functions)
		p.takeWalked(i, frames)
	}
	for _, i := range list {
		p.takeNames(&p.modules[i])
	}
}

// takeWalked keeps what the frames were walked by in an image: the unwind data that was
// read, and the code about the frames' addresses.
func (p *planner) takeWalked(image int, frames []frame) {
	for _, f := range frames {
		for _, r := range f.read {
			if kdbg.ModuleAt(p.modules, r.VA) == image {
				p.take(UnwindData, r.VA, uint64(r.Size))
			}
		}
		if kdbg.ModuleAt(p.modules, f.pc) == image {
			p.take(UnwindData, f.pc-codeBefore, codeSize)
		}
	}
}

// takeNames keeps what names an image and its functions.
func (p *planner) takeNames(m *kdbg.Module) {
	h, space := p.headersOf(m)
	if space == nil {
		return
	}
	p.takeDirectory(ImageNames, m, h.Debug)
	if d, ok := h.CodeView(space); ok {
		p.takeDirectory(ImageNames, m, d)
	}
	p.takeDirectory(ImageNames, m, h.Exports)
}

// takeDirectory keeps a data directory of an image.
func (p *planner) takeDirectory(kind Kind, m *kdbg.Module, d peimage.Directory) {
	p.take(kind, m.Base+vtop.VA(d.RVA), uint64(d.Size))
}

// headersOf reads the headers of an image, in the space that has them; the loader's
// word for its exception directory where none has.
func (p *planner) headersOf(m *kdbg.Module) (*peimage.Headers, *vtop.Space) {
	for _, s := range p.view.spaces {
		if h, err := peimage.ReadHeaders(s, m.Base, p.view.kernel.Layout.Image); err == nil {
			return h, s
		}
	}
	h := &peimage.Headers{Base: m.Base, Size: m.Size}
	if at := m.Functions - m.Base; m.Functions > m.Base && uint64(at) < uint64(m.Size) && m.FunctionsSize <= m.Size-uint32(at) { //nolint:gosec // below Size
		h.Functions = peimage.Directory{RVA: uint32(at), Size: m.FunctionsSize} //nolint:gosec // as above
	}
	return h, nil
}

// maxFrame bounds what is kept of a frame on another stack, bytes.
const maxFrame = 0x4000

// wayBack is what is kept below a frame whose callee went to another stack, bytes: what
// the callee saved before it did, by which the walk comes back.
const wayBack = 0x100

// takeStacks keeps the frames that are on another stack than the one that has a place
// of its own: a thread may have switched.
func (p *planner) takeStacks(frames []frame) {
	for i, f := range frames {
		size := vtop.VA(pageSize) - f.sp%pageSize // of one that ends a stack
		if i+1 < len(frames) && frames[i+1].sp > f.sp && frames[i+1].sp-f.sp <= maxFrame {
			size = frames[i+1].sp - f.sp
		}
		if i > 0 && (frames[i-1].sp > f.sp || f.sp-frames[i-1].sp > maxFrame) && f.sp > wayBack {
			p.take(Stacks, f.sp-wayBack, wayBack)
		}
		p.take(Stacks, f.sp, uint64(size))
	}
}

// frame is an instruction on a stack, and what of images led to it.
type frame struct {
	pc, sp vtop.VA
	read   []unwind.Span
}

// frames are those that a reader of the dump walks: from the registers that are shown,
// and from where the crash was.
func (p *planner) frames() (list []frame) {
	method := p.Guest.Machine().Unwind
	if f, ok := p.state(); ok {
		low, high := p.threadStack()
		limits := unwind.Limits{Low: low, High: high}
		if !limits.Holds(f.SP) {
			limits = unwind.Limits{}
		}
		trace := method.Walk(p.view.spaces[0], stack.Images(p.modules), f, limits)
		list = append(list, frame{pc: f.PC, sp: f.SP, read: trace.Read})
		for _, s := range trace.Steps {
			list = append(list, frame{pc: s.Caller.PC, sp: s.Caller.SP, read: s.Read})
		}
	}
	if p.Stack != nil {
		for _, f := range p.Stack.All() {
			list = append(list, frame{pc: f.PC, sp: f.SP, read: f.Read})
		}
	}
	return list
}

// imagesOf are the indices of the images on a stack, in its order, but those that are
// closer to the kernel, and the larger for it, behind others.
func (p *planner) imagesOf(frames []frame) (list []int) {
	for _, f := range frames {
		if i := kdbg.ModuleAt(p.modules, f.pc); i >= 0 && !slices.Contains(list, i) {
			list = append(list, i)
		}
	}
	rank := func(i int) int { return stack.Closeness(cmp.Or(p.modules[i].Name, p.modules[i].FullName)) }
	slices.SortStableFunc(list, func(a, b int) int { return cmp.Compare(rank(a), rank(b)) })
	return list
}

// inImage tells whether an address is in a loaded image.
func (p *planner) inImage(va vtop.VA) bool { return kdbg.ModuleAt(p.modules, va) >= 0 }
