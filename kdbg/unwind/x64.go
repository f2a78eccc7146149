package unwind

import (
	"windmp/kdbg/peimage"
	"windmp/winhdr"
)

// X64 walks the stacks of x64.
var X64 = &Method{
	Format: peimage.X64, pointer: 8, stackPointer: 4,
	fromContext: frame64, step: (*walk).step64,
}

func frame64(winhdr.Context) (Frame, bool) { return Frame{}, false }

func (w *walk) step64(f Frame) (Step, error) {
	return Step{}, &StopError{Reason: NoUnwindData, PC: f.PC, At: f.PC}
}
