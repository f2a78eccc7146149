package unwind

import (
	"windmp/kdbg/peimage"
	"windmp/winhdr"
)

// X86 walks the stacks of 32-bit x86.
var X86 = &Method{
	Format: peimage.X86, pointer: 4, stackPointer: 4,
	fromContext: frame32, step: (*walk).step32,
}

func frame32(winhdr.Context) (Frame, bool) { return Frame{}, false }

func (w *walk) step32(f Frame) (Step, error) {
	return Step{}, &StopError{Reason: NoFrame, PC: f.PC, At: f.SP}
}
