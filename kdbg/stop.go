package kdbg

import (
	"bytes"

	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// stopFunctions are the exports of every kernel that end in a bug check.
var stopFunctions = []string{"KeBugCheckEx", "KeBugCheck"}

// breakReach is how far from BreakpointWithStatus a processor is that hit it, in bytes:
// a breakpoint and a return stand there.
const breakReach = 0x10

// StopPoint is a place at which Windows saves the registers of the processor that
// raises a bug check.
type StopPoint struct {
	// Name is for people.
	Name string
	// First and Last are where its instruction pointer then is.
	First, Last vtop.VA
	// Rank is the higher, the surer the place says it.
	Rank int
	// Exported says that Name is the kernel's export that First is.
	Exported bool
	// Called says that it is not the instruction pointer that is there, but the return
	// address of the function in which the registers were saved.
	Called bool
}

// StopPoints are these places: the exports of the kernel's image, as
// far as they are readable, and the breakpoint that KDBG names, where a processor waits
// for a kernel debugger that was enabled. image may be nil.
func (k *Kernel) StopPoints(image *peimage.Image) []StopPoint {
	var list []StopPoint
	if image != nil {
		for _, name := range stopFunctions {
			if va, err := image.Export(k.Space, name); err == nil {
				list = append(list, StopPoint{Name: name, First: va, Last: va + k.Layout.StopReach, Rank: 2, Exported: true, Called: k.Layout.StopCalls})
			}
		}
	}
	if at := vtop.VA(k.Data.BreakpointWithStatus); k.IsKernel(at) {
		list = append(list, StopPoint{Name: "DbgBreakPointWithStatus", First: at - breakReach, Last: at + breakReach, Rank: 1})
	}
	return list
}

// Holds tells whether an instruction pointer is at the place.
func (s *StopPoint) Holds(ip vtop.VA) bool { return ip >= s.First && ip <= s.Last }

// Stops tells by the code there whether an instruction is the first of KeBugCheckEx,
// where the kernel's exports do not tell.
func (l *Layout) Stops(s *vtop.Space, ip vtop.VA) bool {
	if len(l.StopCode) == 0 {
		return false
	}
	code := make([]byte, len(l.StopCode))
	_, err := s.ReadVirtual(code, ip)
	return err == nil && bytes.Equal(code, l.StopCode)
}
