package report

import "fmt"

// Stack are the frames of a processor, or of a thread.
type Stack struct {
	// Processor is the processor's index, -1 for none.
	Processor int        `json:"processor"`
	Start     StackStart `json:"start"`
	// Frames begin where the crash was, else where the processor stopped.
	Frames []StackFrame `json:"frames"`
	// Handlers are the frames from where Windows stopped the processor to where the
	// crash was: together with Frames they are what debuggers list.
	Handlers []StackFrame `json:"handlers,omitempty"`
	// Complete is true where the walk came to the end of the stack, or to user mode;
	// Stop says why there are no more frames.
	Complete bool   `json:"complete"`
	Stop     string `json:"stop"`
	// Seen are addresses in modules that lie on the stack behind the last frame, where
	// neither unwind data nor code is in memory to tell what they are: they may be no
	// frames.
	Seen []SeenAddress `json:"seen,omitempty"`
}

// SeenAddress is an address that lies on a stack.
type SeenAddress struct {
	Address Hex    `json:"address"`
	Place   string `json:"place"`
}

// StackStart is where the frames of a stack begin, and why.
type StackStart struct {
	// Source is context or trap-frame for one that a parameter of the bug check names,
	// machine-frame for the exception that the walk came to, stack for one found on the
	// stack by the instruction that a parameter names, saved for what Windows saved of
	// the processor, vcpu for its vCPU's state, processor or thread for one that a
	// parameter names, given for an address of the user's.
	Source string `json:"source"`
	// Parameter is that of the bug check, 1 to 4.
	Parameter int `json:"parameter,omitempty"`
	// Address is the structure's.
	Address Hex `json:"address,omitempty"`
	// Instruction is where a parameter says that it happened, if no state of it was
	// found; Place names it.
	Instruction Hex    `json:"instruction,omitempty"`
	Place       string `json:"place,omitempty"`
}

// StackFrame is a function call.
type StackFrame struct {
	// Index counts from the innermost of all frames, handlers included.
	Index int `json:"index"`
	PC    Hex `json:"pc"`
	SP    Hex `json:"sp"`
	// Module is the file's name as the guest has it, empty for code of none; RVA is
	// relative to its base.
	Module string `json:"module,omitempty"`
	RVA    Hex    `json:"rva"`
	// Export is the module's export that the function is, Offset is from that; both
	// only where the function is known to begin there.
	Export string `json:"export,omitempty"`
	Offset Hex    `json:"offset,omitempty"`
	// Place is the address as debuggers write it, as in nt!KeBugCheckEx+0x0.
	Place string `json:"place"`
	// How says by what the frame was found: context, registers, trap-frame, switch-frame, entry,
	// unwind, leaf, epilogue, machine-frame, frame-pointer; scan for an address that was
	// seen on the stack and may be none of a call.
	How string `json:"how"`
}

// Signature is the same for equal crashes. It does not name the cause.
type Signature struct {
	// Text is the whole of it, as in 0x7e_c0000005!mydrv+0x1234.
	Text string `json:"text"`
	// Code is the bug check's, without what a minidump's header adds.
	Code Hex `json:"code"`
	// Exception is the exception's code, of bug checks that have one.
	Exception Hex `json:"exception,omitempty"`
	// Module is the first that is not Windows' own, as Chosen says, by the name of its
	// file; RVA is where in it. Timestamp and Size identify its version, 0 where they
	// are not readable.
	Module    string `json:"module,omitempty"`
	RVA       Hex    `json:"rva"`
	Timestamp Hex    `json:"timestamp"`
	Size      uint32 `json:"size"`
	// Chosen is instruction, frame, scan, parameter, or kernel where nothing but Windows'
	// core was found; Reason says it in words.
	Chosen string `json:"chosen"`
	Reason string `json:"reason"`
	// MayBeVictim is set for bug checks that find memory damaged: whoever is named may
	// be the victim.
	MayBeVictim bool `json:"may_be_victim"`
}

// From says where the walk began, as in "frames from ...". crashed tells whether the
// guest did: of one that did not, Windows saved nothing by itself.
func (s *Stack) From(crashed bool) string {
	at := ""
	if s.Start.Address != 0 {
		at = fmt.Sprintf(" at %#x", uint64(s.Start.Address))
	}
	by := ""
	if s.Start.Parameter != 0 {
		by = fmt.Sprintf(" that parameter %d names", s.Start.Parameter)
	}
	switch s.Start.Source {
	case "context":
		return "the CONTEXT" + at + by
	case "trap-frame":
		return "the trap frame" + at + by
	case "machine-frame":
		return "the exception on its stack"
	case "stack":
		return "the trap frame" + at + ", which has the instruction" + by
	case "processor":
		return "the registers of the processor" + by
	case "thread":
		return "the thread" + at + by
	case "given":
		return "the address given" + at
	case "vcpu":
		return "the vCPU's registers"
	default:
		if s.Start.Instruction != 0 {
			return fmt.Sprintf("what Windows saved; parameter %d names the instruction %s", s.Start.Parameter, s.Start.Place)
		}
		if !crashed {
			return "the registers that the file has of it"
		}
		return "what Windows saved"
	}
}
