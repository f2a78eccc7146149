package unwind

import (
	"encoding/binary"

	"windmp/vtop"
)

// longestCallX86 is the longest form of a call that is looked for, bytes: FF /2 with SIB
// and disp32.
const longestCallX86 = 7

// returnCheck says whether a word may be a return address.
type returnCheck int

const (
	noReturn  returnCheck = iota
	maybe                 // the code before it is not in memory
	behindOne             // right behind a call
)

// checkReturn looks whether an address is in code, and right behind a call.
func (w *walk) checkReturn(va vtop.VA) returnCheck {
	im, ok := w.images.At(va)
	longest := vtop.VA(w.m.longestCall) //nolint:gosec // a few bytes
	if !ok || !im.Holds(va) || va-im.Base < longest {
		return noReturn
	}
	if h, err := im.Headers(w.space, w.m.Format); err == nil {
		s := h.Section(uint32(va - im.Base)) //nolint:gosec // below Size
		if s == nil || !s.Executable() {
			return noReturn
		}
	}
	b := make([]byte, longest)
	if _, err := w.space.ReadVirtual(b, va-longest); err != nil {
		return maybe
	}
	if w.m.isCall(w, b, va) {
		return behindOne
	}
	return noReturn
}

// isCallX86 looks for a call of an address where code may be, or an indirect one.
func (w *walk) isCallX86(b []byte, va vtop.VA) bool { return w.directCall(b, va) || indirectCall(b) }

// directCall looks for E8 rel32 before va, to an address in an image or, as kernels keep
// stubs for their calls behind images, in other memory.
func (w *walk) directCall(b []byte, va vtop.VA) bool {
	if b[longestCallX86-5] != 0xe8 {
		return false
	}
	rel := int32(binary.LittleEndian.Uint32(b[longestCallX86-4:])) //nolint:gosec // it is signed
	to := (va + vtop.VA(int64(rel))) & w.m.highest()               //nolint:gosec // wraps as the processor does
	if _, ok := w.images.At(to); ok {
		return true
	}
	var code [1]byte
	_, err := w.space.ReadVirtual(code[:], to)
	return err == nil && w.space.Mode.IsKernel(to)
}

// indirectCall looks for FF /2 at the end of b: through a register or memory (Intel SDM
// vol. 2, CALL and table 2-2).
func indirectCall(b []byte) bool {
	for n := 2; n <= longestCallX86; n++ {
		at := b[len(b)-n:]
		if at[0] == 0xff && at[1]>>3&7 == 2 && callLength(at) == n {
			return true
		}
	}
	return false
}

// callLength is the length of an instruction of an opcode byte, ModRM and what that
// wants.
func callLength(b []byte) int {
	mod, rm := b[1]>>6, b[1]&7
	n := 2
	if mod != 3 && rm == 4 {
		n++ // SIB
	}
	switch {
	case mod == 1:
		return n + 1
	case mod == 2, mod == 0 && rm == 5, mod == 0 && rm == 4 && len(b) > 2 && b[2]&7 == 5:
		return n + 4
	}
	return n
}
