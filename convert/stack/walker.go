package stack

import (
	"cmp"

	"windmp/convert/guest"
	"windmp/convert/processor"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/kdbg/unwind"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr/wincontext"
)

// CPU is a processor and the registers by which its stack is walked.
type CPU struct {
	// Index is the processor's place in [guest.Guest.Processors].
	Index int
	// Context is its state, nil where none is known. Live says that it is a vCPU's, of
	// which Windows has saved nothing.
	Context wincontext.Context
	Live    bool
}

// Walker walks the stacks of a guest. What it reads of images is kept. It is for one
// goroutine.
type Walker struct {
	guest   *guest.Guest
	method  *unwind.Method
	modules []kdbg.Module
	// unloaded are the drivers that are no longer loaded, the oldest first.
	unloaded []kdbg.UnloadedDriver
	// processors are the guest's; block is its kernel's block, with what hangs off it, nil
	// where that is not known.
	processors []processor.Processor
	block      *kdbg.Kernel
	// kernel is memory as the kernel's page tables show it.
	kernel  *view
	points  []kdbg.StopPoint
	exports map[vtop.VA]*peimage.Exports // of the images by base
}

// view is memory by some page tables, and the images in it.
type view struct {
	space  *vtop.Space
	images *unwind.List
}

// New returns a walker for a guest whose memory is known; false for another.
func New(g *guest.Guest) (*Walker, bool) {
	if g.Memory().Space == nil || g.Machine().Unwind == nil {
		return nil, false
	}
	w := &Walker{
		guest: g, method: g.Machine().Unwind, modules: g.Modules(), processors: g.Processors(), block: g.Kernel(),
		points: stopPoints(g), exports: map[vtop.VA]*peimage.Exports{},
	}
	w.unloaded, _ = guest.UnloadedDrivers(g) // what of them is readable
	w.addKernel()
	w.kernel = w.in(g.Memory().Space)
	return w, true
}

// addKernel puts the kernel first in the list where the loader's does not have it.
func (w *Walker) addKernel() {
	k := w.block
	if k == nil || len(w.modules) > 0 && uint64(w.modules[0].Base) == k.Data.KernBase {
		return
	}
	base := vtop.VA(k.Data.KernBase)
	if size, err := w.guest.Memory().ImageSize(base); err == nil {
		w.modules = append([]kdbg.Module{{Base: base, Size: size, Name: kernelName}}, w.modules...)
	}
}

// in is the guest's memory as page tables show it.
func (w *Walker) in(s *vtop.Space) *view { return &view{space: s, images: Images(w.modules)} }

// Images are loaded modules as package unwind takes them, for one address space.
func Images(modules []kdbg.Module) *unwind.List {
	list := make([]*unwind.Image, 0, len(modules))
	for i := range modules {
		m := &modules[i]
		list = append(list, &unwind.Image{Base: m.Base, Size: m.Size, Functions: unwind.Span{VA: m.Functions, Size: m.FunctionsSize}})
	}
	return unwind.NewList(list)
}

// of is memory as a thread saw it: by the page tables of the process that it was in,
// which have the modules of a session, where they have the kernel and the stack too.
func (w *Walker) of(thread, sp vtop.VA) *view {
	k := w.block
	if k == nil || thread == 0 {
		return w.kernel
	}
	root, err := k.DirectoryOf(thread)
	own := w.kernel.space.At(root)
	if err != nil || own.DTB == w.kernel.space.DTB {
		return w.kernel
	}
	for _, va := range []vtop.VA{k.VA, sp} {
		ours, err := w.kernel.space.Translate(va)
		theirs, other := own.Translate(va)
		if err != nil || other != nil || ours.PA != theirs.PA {
			return w.kernel
		}
	}
	return w.in(own)
}

// current is the thread that a processor ran, 0 where that is not known.
func (w *Walker) current(cpu int) vtop.VA {
	k := w.block
	if k == nil || cpu < 0 || cpu >= len(w.processors) {
		return 0
	}
	current, _ := k.CurrentProcess(w.processors[cpu].PRCB) // the process does not matter
	return current.Thread
}

// threadOn is the thread that a processor ran on the stack at sp, 0 where none is known.
func (w *Walker) threadOn(sp vtop.VA) vtop.VA {
	for i := range w.processors {
		if thread := w.current(i); w.limits(thread, sp).High != 0 {
			return thread
		}
	}
	return 0
}

// limits are those of a thread's stack, where sp lies on it; else they are not known.
func (w *Walker) limits(thread, sp vtop.VA) unwind.Limits {
	k := w.block
	if k == nil {
		return unwind.Limits{}
	}
	low, high := k.StackLimits(thread)
	if l := (unwind.Limits{Low: low, High: high}); high != 0 && l.Holds(sp) {
		return l
	}
	return unwind.Limits{}
}

// state is where a walk begins.
type state struct {
	unwind.Frame
	// cpu is the processor, -1 for none; thread the one whose stack it is, 0 for the
	// processor's current one.
	cpu    int
	thread vtop.VA
	how    How
	// called is set at the first instruction of KeBugCheckEx or KeBugCheck.
	called bool
}

// walk lists the frames of a stack from a state on.
func (w *Walker) walk(from state) trace {
	thread := cmp.Or(from.thread, w.current(from.cpu))
	v, limits := w.of(thread, from.SP), w.limits(thread, from.SP)
	t := trace{view: v, frames: []Frame{{Frame: from.Frame, How: from.how}}}
	f := from.Frame
	if step, ok := w.entered(v, &from); ok && w.unread(v, f, limits) {
		t.add(step)
		f = step.Caller
	}
	rest := w.method.Walk(v.space, v.images, f, limits)
	for _, step := range rest.Steps {
		t.add(step)
	}
	t.stop = rest.Stop
	return t
}

// trace are the frames of a walk, before they have names.
type trace struct {
	view   *view
	frames []Frame
	stop   *unwind.StopError
}

// add appends the frame that a step led to.
func (t *trace) add(step unwind.Step) {
	t.frames = append(t.frames, Frame{Frame: step.Caller, How: How(step.How), Read: step.Read})
}

// unread tells whether there is no unwind data for a frame.
func (w *Walker) unread(v *view, f unwind.Frame, limits unwind.Limits) bool {
	_, err := w.method.Step(v.space, v.images, f, limits)
	return err != nil
}

// entered is the step out of KeBugCheckEx, whose first instruction Windows saves:
// the return address still lies where the stack pointer is. It needs no unwind data.
func (w *Walker) entered(v *view, s *state) (unwind.Step, bool) {
	f := s.Frame
	if !s.called && !w.atEntry(v, f) {
		return unwind.Step{}, false
	}
	caller, err := v.space.Pointer(f.SP)
	if _, ok := v.images.At(caller); err != nil || !ok {
		return unwind.Step{}, false
	}
	next := f
	next.PC, next.SP, next.Exact = caller, f.SP+vtop.VA(v.space.PointerSize()), false //nolint:gosec // 4 or 8
	return unwind.Step{Caller: next, How: unwind.How(Entry)}, true
}

// atEntry tells whether a frame is at the first instruction of KeBugCheckEx or
// KeBugCheck: by the kernel's exports, or by the code.
func (w *Walker) atEntry(v *view, f unwind.Frame) bool {
	for _, at := range w.points {
		if exact := at.First == at.Last; exact && at.Holds(f.PC) {
			return true
		}
	}
	return w.block != nil && w.block.Layout.Stops(v.space, f.PC)
}

// maxSeen bounds the addresses that are listed as seen on a stack.
const maxSeen = 64

// seen are the words on a stack from sp up that lie in a module, whose code is not in
// memory to tell whether it had been a call's. Many are none: old ones, and addresses
// of data.
func (w *Walker) seen(v *view, sp vtop.VA) []vtop.VA {
	var list []vtop.VA
	for _, word := range stackWords(w.guest, uint64(sp), stackSearched) {
		va := vtop.VA(word)
		if len(list) == maxSeen || kdbg.ModuleAt(w.modules, va) < 0 || va%physmem.PageSize == 0 {
			continue
		}
		var call [longestCall]byte
		if _, err := v.space.ReadVirtual(call[:], va-longestCall); err != nil {
			list = append(list, va)
		}
	}
	return list
}

// longestCall is the length of the longest instruction that calls, in bytes.
const longestCall = 7
