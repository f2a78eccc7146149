package plan

import (
	"encoding/binary"
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/report"
	"windmp/kdbg"
	"windmp/vtop"
	"windmp/winhdr"
)

// showFirst picks the processor that WinDbg shall show first: the one that crashed,
// else the first of which the registers say most.
func (p *Plan) showFirst() {
	most := 0
	for i := range p.cpus {
		if n := p.worthShowing(&p.cpus[i]); n > most {
			most, p.shown = n, &p.cpus[i]
		}
	}
	if p.shown == nil || !guest.Crashed(p.guest) {
		return
	}
	c, how, alike := p.crashed()
	if len(alike) > 1 {
		p.shown = alike[0]
		p.Add(finding.ShownFirst.At("", "%d processors stopped as if each had raised the bug check; processor %d is shown first", len(alike), p.shown.Index))
		return
	}
	if c == nil {
		p.Add(finding.ShownFirst.At("", "which processor raised the bug check is not known; processor %d is shown first", p.shown.Index))
		return
	}
	p.shown = c
	p.Add(finding.ShownFirst.At("", "processor %d raised the bug check and is shown first%s", c.Index, how))
}

// worthShowing ranks a processor: 0 for one without registers. What memory holds of a
// processor that no vCPU runs may never have been written.
func (p *Plan) worthShowing(c *CPU) int {
	switch {
	case c.Context == nil:
		return 0
	case c.Context.PlausibleSaved() != nil:
		return 1
	case c.Source == report.FromForeign:
		return 2
	default:
		return 3
	}
}

// sure is what a place at which a bug check stops says more than any argument of the
// call.
const sure = 16

// crashed recognises the processor that raised the bug check: by where its saved
// instruction pointer is, else by the arguments of the call; and the only one there is.
// It is nil where none is known. how says by what. Where there is as much to say for
// several, as after an NMI that all got, they are in alike.
func (p *Plan) crashed() (c *CPU, how string, alike []*CPU) {
	points := p.guest.Kernel().StopPoints(p.guest.Origin().Image)
	most := 0
	for i := range p.cpus {
		cpu := &p.cpus[i]
		if cpu.Context == nil || cpu.Saved == nil || cpu.Saved.PlausibleSaved() != nil {
			continue
		}
		n, at := p.stopped(cpu.Saved, points)
		switch {
		case n == 0:
		case n > most:
			c, how, most, alike = cpu, at, n, append(alike[:0], cpu)
		case n == most:
			alike = append(alike, cpu)
		}
	}
	if c == nil && len(p.cpus) == 1 {
		return p.shown, ": it is the only one", nil
	}
	return c, how, alike
}

// stopped says how much speaks for a saved CONTEXT being that of the processor that
// raised the bug check, 0 for nothing. A place outweighs arguments, which Windows may
// have changed in its record, and arguments tell two at such places apart.
func (p *Plan) stopped(c winhdr.Context, points []kdbg.StopPoint) (n int, how string) {
	n = p.argumentsOf(c)
	for _, at := range points {
		if at.Holds(vtop.VA(c.IP())) {
			return n + sure*at.Rank, ": it stopped in " + at.Name
		}
	}
	return n, ": by the arguments of the call"
}

// leastArguments is how many parameters a call must share with the bug check, beside
// the code, if that many are known of it.
const leastArguments = 2

// argumentsOf counts the parameters of the bug check that a CONTEXT has where the
// call's arguments are, 0 where these are another call's.
func (p *Plan) argumentsOf(c winhdr.Context) int {
	if arguments := c.Arguments(); arguments != nil {
		return p.sharedArguments(arguments)
	}
	most := 0
	call := 1 + len(p.guest.BugCheck().Parameters)
	for stack := p.stackWords(c.SP()); len(stack) >= call; stack = stack[1:] {
		most = max(most, p.sharedArguments(stack[:call]))
	}
	return most
}

// minidumpCode is the flag with which a minidump's header states a code for which it
// shows the exception's CONTEXT, as in 0x1000007e. The call has it without.
const minidumpCode = 0x10000000

// sharedArguments compares the arguments of a call, as far as they are known, with the
// bug check. Windows states some parameters otherwise than it was given them, such as
// the third of 0x50, so that not all need be the same. Zeros are common: where a
// parameter is none, one that is none must be among the same, else all must be.
func (p *Plan) sharedArguments(arguments []uint64) int {
	bc := p.guest.BugCheck()
	least := min(leastArguments, len(arguments)-1)
	if least < 1 || uint32(arguments[0]&0xffffffff)&^minidumpCode != bc.Code&^minidumpCode {
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

// argumentsSearched is how much of a stack is searched for the arguments of
// KeBugCheckEx, in bytes: the frames of the functions that save the CONTEXT.
const argumentsSearched = 0x400

// stackWords are the pointers on a stack from sp up, where no register passes
// arguments (stdcall).
func (p *Plan) stackWords(sp uint64) []uint64 {
	stack := make([]byte, argumentsSearched)
	n, _ := p.guest.Memory().Space.ReadVirtual(stack, vtop.VA(sp)) // what of it is mapped
	size := p.header.Format().PointerSize
	list := make([]uint64, 0, n/size)
	for b := stack[:n]; len(b) >= size; b = b[size:] {
		var word [8]byte
		copy(word[:size], b)
		list = append(list, binary.LittleEndian.Uint64(word[:]))
	}
	return list
}

// exceptionNoncontinuable is EXCEPTION_NONCONTINUABLE, the flag that the
// headers of real bug check dumps carry (observed in builds 9600 to 26100).
const exceptionNoncontinuable = 1

// patchShown writes the header's CONTEXT and exception record. The engine takes
// the processor whose CONTEXT has this Rsp for the current one; readers refuse
// a header CONTEXT whose two MxCsr differ, as those of real contexts do.
func (p *Plan) patchShown() error {
	if p.shown == nil || p.finished() && p.headerShows() {
		return nil
	}
	ctx := p.shown.Context.ForHeader()
	var flags uint32
	if guest.Crashed(p.guest) {
		flags = exceptionNoncontinuable
	}
	if err := p.header.Show(ctx, flags); err != nil {
		return err
	}
	who := fmt.Sprintf("processor %d", p.shown.Index)
	const was = "the guest driver's"
	p.reasons = append(p.reasons,
		report.Reason{Field: "ContextRecord", Why: "WinDbg shows the processor with this CONTEXT first", From: was, To: who},
		report.Reason{Field: "Exception", Why: "an unset exception record is shown as an unknown exception", From: was, To: p.Text(fmt.Sprintf("%#x at %s", winhdr.StatusBreakpoint, vtop.VA(ctx.IP())))})
	return nil
}

// headerShows tells whether the header's CONTEXT already names a processor, as
// the engine looks for it: by the stack pointer.
func (p *Plan) headerShows() bool {
	h := p.guest.Header().Context()
	if h.Plausible() != nil {
		return false
	}
	for _, c := range p.cpus {
		if c.Context != nil && c.Context.SP() == h.SP() {
			return true
		}
	}
	return false
}
