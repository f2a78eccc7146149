package unwind

import (
	"encoding/binary"

	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// walk is one step's view of memory.
type walk struct {
	m      *Method
	space  *vtop.Space
	images Images
	stack  Limits

	pc    vtop.VA
	image *Image
	rva   uint32 // of pc in image
	// moved is set once the stack pointer was taken from elsewhere than the stack's own
	// order: from a frame register or a machine frame.
	moved bool
	read  []Span
}

// enter looks where the frame's instruction is.
func (w *walk) enter(f Frame) error {
	w.pc = f.PC
	switch {
	case f.User:
		return w.stop(UserMode, f.PC, "", nil)
	case f.PC == 0 && !f.Exact:
		return w.stop(AtEnd, f.PC, "", nil)
	}
	im, ok := w.images.At(f.PC)
	if !ok || !im.Holds(f.PC) {
		return w.stop(NoModule, f.PC, "", nil)
	}
	w.image, w.rva = im, uint32(f.PC-im.Base) //nolint:gosec // below Size
	return nil
}

// leave looks where the step has led: on another stack? A return address of 0 is the end of a stack. The stack pointer rises; it goes elsewhere only
// from a frame register or a machine frame, and then to mapped memory of the kernel.
func (w *walk) leave(f, c Frame) (switched bool, err error) {
	switch {
	case c.User:
		return false, nil
	case c.PC == 0 && !c.Exact:
		return false, w.stop(AtEnd, w.pc, "", nil)
	}
	rises := c.SP > f.SP || c.SP == f.SP && w.m.link && f.Exact && !c.Exact // a leaf has no frame
	inside := w.stack.High == 0 || w.stack.Holds(c.SP) || c.SP == w.stack.High
	switch {
	case rises && inside:
		return false, nil
	case !w.moved && !rises:
		return false, w.stop(NotRising, c.SP, "", nil)
	case !w.moved || !w.space.Mode.IsKernel(c.SP):
		return false, w.stop(NoStack, c.SP, "outside of its limits", nil)
	}
	if _, err := w.space.Translate(c.SP); err != nil {
		return false, w.stop(NoStack, c.SP, "", err)
	}
	return true, nil
}

// stop is the end of the walk.
func (w *walk) stop(r Reason, at vtop.VA, detail string, err error) *StopError {
	return &StopError{Reason: r, PC: w.pc, At: at, Detail: detail, Err: err}
}

// load reads a word of the stack.
func (w *walk) load(va vtop.VA) (uint64, error) {
	size := vtop.VA(w.m.pointer) //nolint:gosec // 4 or 8
	known := w.stack.High != 0
	within := known && w.stack.Holds(va) && size <= w.stack.High-va
	if !within && (known && !w.moved || !w.space.Mode.IsKernel(va)) {
		return 0, w.stop(NoStack, va, "outside of its limits", nil)
	}
	var b [8]byte
	if _, err := w.space.ReadVirtual(b[:size], va); err != nil {
		return 0, w.stop(NoStack, va, "", err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// pop takes a word off a frame's stack.
func (w *walk) pop(f *Frame) (uint64, error) {
	v, err := w.load(f.SP)
	if err != nil {
		return 0, err
	}
	return v, w.drop(f, uint64(w.m.pointer)) //nolint:gosec // 4 or 8
}

// drop takes n bytes off a frame's stack.
func (w *walk) drop(f *Frame, n uint64) error {
	if n > uint64(w.m.highest()-f.SP) {
		return w.stop(NotRising, f.SP, "past the highest address", nil)
	}
	w.m.setSP(f, f.SP+vtop.VA(n))
	return nil
}

// give ends a frame: its caller goes on at the word on the top of the stack.
func (w *walk) give(f Frame, how How) (Step, error) {
	pc, err := w.pop(&f)
	if err != nil {
		return Step{}, err
	}
	f.PC, f.Exact = vtop.VA(pc), false
	f.Known &= w.m.saved
	return Step{Caller: f, How: how}, nil
}

// highest is the highest address.
func (m *Method) highest() vtop.VA { return ^vtop.VA(0) >> (64 - 8*m.pointer) }

// use remembers that a piece of the image was used.
func (w *walk) use(p Part, va vtop.VA, size int) {
	w.read = append(w.read, Span{VA: va, Size: uint32(size), Part: p}) //nolint:gosec // within an image
}

// headers are those of the frame's image.
func (w *walk) headers() (*peimage.Headers, error) { return w.image.Headers(w.space, w.m.Format) }

// codeSize is how much code is looked at, bytes: the longest epilogue that is sensible.
const codeSize = 64

// code reads from the frame's PC on; cut says that there is more which is not in memory.
func (w *walk) code() (code []byte, cut bool) {
	n := min(codeSize, w.image.Size-w.rva)
	b := make([]byte, n)
	got, err := w.space.ReadVirtual(b, w.pc)
	w.use(Code, w.pc, int(n))
	return b[:got], err != nil
}
