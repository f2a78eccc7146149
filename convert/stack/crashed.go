package stack

import (
	"encoding/binary"
	"sync"

	"windmp/convert/guest"
	"windmp/kdbg"
	"windmp/kdbg/unwind"
	"windmp/vtop"
	"windmp/winhdr/bugcheck"
	"windmp/winhdr/wincontext"
)

// Raised says which processor raised the bug check.
type Raised struct {
	// Index is the processor's place in [guest.Guest.Processors], -1 where none is
	// known.
	Index int
	// How says by what it is known, as the end of a sentence.
	How string
	// Alike are the processors for which there is as much to say, as after an NMI that
	// all got; more than one.
	Alike []int
}

// sure is what a place at which a bug check stops says more than any argument of the
// call.
const sure = 16

// RaisedBy recognises the processor of a crashed guest that raised the bug check: by
// where its saved instruction pointer is, else by the arguments of the call; and the
// only one there is.
func RaisedBy(g *guest.Guest) Raised {
	if i, ok := guest.OfProcessor(g); ok {
		return Raised{Index: i, How: ": the dump is of it"}
	}
	r := Raised{Index: -1}
	processors := g.Processors()
	points := stopPoints(g)
	images := sync.OnceValue(func() *unwind.List { return Images(g.Modules()) }) // seldom asked for
	most, usable := 0, 0
	var alike []int
	for i := range processors {
		p := &processors[i]
		if p.Err != nil || p.Saved == nil {
			continue
		}
		usable++
		if p.Saved.PlausibleSaved() != nil {
			continue
		}
		n, at := stopped(g, p.Saved, points, images)
		switch {
		case n == 0:
		case n > most:
			r.Index, r.How, most, alike = i, at, n, append(alike[:0], i)
		case n == most:
			alike = append(alike, i)
		}
	}
	switch {
	case len(alike) > 1:
		r.Alike = alike
	case r.Index < 0 && len(processors) == 1 && usable == 1:
		return Raised{Index: 0, How: ": it is the only one"}
	}
	return r
}

// stopPoints are the places at which the kernel saves the registers of the processor
// that raises a bug check.
func stopPoints(g *guest.Guest) []kdbg.StopPoint {
	k := g.Kernel()
	if k == nil {
		return nil
	}
	return k.StopPoints(g.Origin().Image)
}

// stopped says how much speaks for a saved CONTEXT being that of the processor that
// raised the bug check, 0 for nothing. A place outweighs arguments, which Windows may
// have changed in its record, and arguments tell two at such places apart.
func stopped(g *guest.Guest, c wincontext.Context, points []kdbg.StopPoint, images func() *unwind.List) (n int, how string) {
	n = argumentsOf(g, c)
	for _, at := range points {
		pc := vtop.VA(c.IP())
		if at.Called {
			pc = callerOf(g, c, images())
		}
		if at.Holds(pc) {
			return n + sure*at.Rank, ": it stopped in " + at.Name
		}
	}
	return n, ": by the arguments of the call"
}

// callerOf is the return address of the function that a CONTEXT is in, 0 where none is
// found.
func callerOf(g *guest.Guest, c wincontext.Context, images *unwind.List) vtop.VA {
	method := g.Machine().Unwind
	if method == nil {
		return 0
	}
	f, _ := method.Frame(c)
	step, _ := method.Step(g.Memory().Space, images, f, unwind.Limits{})
	return step.Caller.PC
}

// leastArguments is how many parameters a call must share with the bug check, beside
// the code, if that many are known of it.
const leastArguments = 2

// argumentsOf counts the parameters of the bug check that a CONTEXT has where the
// call's arguments are, 0 where these are another call's.
func argumentsOf(g *guest.Guest, c wincontext.Context) int {
	if arguments := c.Arguments(); arguments != nil {
		return sharedArguments(g, arguments)
	}
	most := 0
	call := 1 + len(g.BugCheck().Parameters)
	for stack := stackWords(g, c.SP(), argumentsSearched); len(stack) >= call; stack = stack[1:] {
		most = max(most, sharedArguments(g, stack[:call]))
	}
	return most
}

// sharedArguments compares the arguments of a call, as far as they are known, with the
// bug check. Windows states some parameters otherwise than it was given them, such as
// the third of 0x50, so that not all need be the same. Zeros are common: where a
// parameter is none, one that is none must be among the same, else all must be.
func sharedArguments(g *guest.Guest, arguments []uint64) int {
	bc := g.BugCheck()
	arguments = arguments[:min(len(arguments), 1+len(bc.Parameters))]
	least := min(leastArguments, len(arguments)-1)
	if least < 1 || calledCode(uint32(arguments[0]&0xffffffff)) != calledCode(bc.Code) {
		return 0
	}
	same, telling, zeros := 0, false, true
	for i, v := range bc.Parameters {
		zeros = zeros && v == 0
		if i+1 < len(arguments) && arguments[i+1] == v {
			same++
			telling = telling || v != 0
		}
	}
	if same < least || !telling && !(zeros && same == len(arguments)-1) {
		return 0
	}
	return same
}

// calledCode is a code as KeBugCheckEx got it. Codes such as 0xdeaddead have the bit
// as well.
func calledCode(code uint32) uint32 {
	if code&0xf0000000 == bugcheck.Miniature {
		return code &^ bugcheck.Miniature
	}
	return code
}

// argumentsSearched is how much of a stack is searched for the arguments of
// KeBugCheckEx, in bytes: the frames of the functions that save the CONTEXT.
const argumentsSearched = 0x400

// stackWords are the pointers in so many bytes of a stack from sp up, as far as they are
// mapped.
func stackWords(g *guest.Guest, sp uint64, length int) []uint64 {
	stack := make([]byte, length)
	n, _ := g.Memory().Space.ReadVirtual(stack, vtop.VA(sp)) // what of it is mapped
	size := g.Machine().Kernel.PointerSize
	list := make([]uint64, 0, n/size)
	for b := stack[:n]; len(b) >= size; b = b[size:] {
		var word [8]byte
		copy(word[:size], b)
		list = append(list, binary.LittleEndian.Uint64(word[:]))
	}
	return list
}
