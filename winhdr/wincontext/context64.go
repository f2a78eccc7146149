package wincontext

import (
	"bytes"
	"fmt"
	"unsafe"

	"windmp/winhdr/fields"
	"windmp/winhdr/problem"
)

// ContextSize64 is the size of the x64 CONTEXT in bytes (winnt.h).
const ContextSize64 = 0x4d0

// M128A is a 128-bit register (winnt.h).
type M128A struct {
	Low, High uint64
}

// XSaveFormat is XSAVE_FORMAT of winnt.h, the 512 bytes that the FXSAVE64
// instruction writes (Intel SDM vol. 1, 10.5.1).
type XSaveFormat struct {
	ControlWord    uint16
	StatusWord     uint16
	TagWord        uint8
	Reserved1      uint8
	ErrorOpcode    uint16
	ErrorOffset    uint32
	ErrorSelector  uint16
	Reserved2      uint16
	DataOffset     uint32
	DataSelector   uint16
	Reserved3      uint16
	MxCsr          uint32
	MxCsrMask      uint32
	FloatRegisters [8]M128A
	XmmRegisters   [16]M128A
	Reserved4      [96]byte
}

// Context64 is the x64 CONTEXT (winnt.h): the registers of a processor.
//
// MxCsr stands in it twice. Windows does not keep the two equal (observed in
// build 9600 dumps), kdmp-parser refuses a header where they differ.
type Context64 struct {
	P1Home               uint64
	P2Home               uint64
	P3Home               uint64
	P4Home               uint64
	P5Home               uint64
	P6Home               uint64
	ContextFlags         ContextFlags // which registers are valid
	MxCsr                uint32
	SegCs                uint16
	SegDs                uint16
	SegEs                uint16
	SegFs                uint16
	SegGs                uint16
	SegSs                uint16
	EFlags               uint32
	Dr0                  uint64
	Dr1                  uint64
	Dr2                  uint64
	Dr3                  uint64
	Dr6                  uint64
	Dr7                  uint64
	Rax                  uint64
	Rcx                  uint64
	Rdx                  uint64
	Rbx                  uint64
	Rsp                  uint64
	Rbp                  uint64
	Rsi                  uint64
	Rdi                  uint64
	R8                   uint64
	R9                   uint64
	R10                  uint64
	R11                  uint64
	R12                  uint64
	R13                  uint64
	R14                  uint64
	R15                  uint64
	Rip                  uint64
	FltSave              XSaveFormat
	VectorRegister       [26]M128A
	VectorControl        uint64
	DebugControl         uint64
	LastBranchToRip      uint64
	LastBranchFromRip    uint64
	LastExceptionToRip   uint64
	LastExceptionFromRip uint64
}

var (
	_ = [1]byte{}[unsafe.Sizeof(Context64{})-ContextSize64]
	_ = [1]byte{}[unsafe.Sizeof(XSaveFormat{})-512]
)

// DecodeContext64 decodes b, which must hold ContextSize64 bytes: less or more
// is a *fields.SizeError. Nothing else is judged, see Plausible.
func DecodeContext64(b []byte) (*Context64, error) {
	return fields.Decode[Context64]("context", b, ContextSize64)
}

// Machine is MachineAMD64.
func (c *Context64) Machine() uint32 { return MachineAMD64 }

// IP is Rip.
func (c *Context64) IP() uint64 { return c.Rip }

// SP is Rsp.
func (c *Context64) SP() uint64 { return c.Rsp }

// Mode goes by SegCs.
func (c *Context64) Mode() string { return modeOf(c.SegCs) }

// Arguments are Rcx, Rdx, R8 and R9 (the x64 calling convention of Windows).
func (c *Context64) Arguments() []uint64 { return []uint64{c.Rcx, c.Rdx, c.R8, c.R9} }

// Encode returns the ContextSize64 bytes of c.
func (c *Context64) Encode() []byte {
	return fields.Encode(c, ContextSize64)
}

// CheckMode refuses a code segment that debuggers take for that of 32-bit code,
// whatever ContextFlags says: any but the kernel's and that of 64-bit processes.
func (c *Context64) CheckMode() error {
	if c.SegCs != kernelCS && c.SegCs != userCS {
		return contextProblem("SegCs", unsafe.Offsetof(c.SegCs), problem.Hex(c.SegCs), "0x10 or 0x33").Saying(faultCode)
	}
	return nil
}

// MxCsrError says that the two MxCsr of a CONTEXT differ, see [Context64].
type MxCsrError struct {
	Context, FltSave uint32 // MxCsr of each
}

// Error gives both, and who refuses them.
func (e *MxCsrError) Error() string {
	return fmt.Sprintf("two MxCsr, %#x and %#x: kdmp-parser refuses the dump", e.Context, e.FltSave)
}

// CheckForReaders returns a *MxCsrError when the two MxCsr differ.
func (c *Context64) CheckForReaders() error {
	if c.MxCsr != c.FltSave.MxCsr {
		return &MxCsrError{Context: c.MxCsr, FltSave: c.FltSave.MxCsr}
	}
	return nil
}

// ForHeader returns a copy whose two MxCsr are equal.
func (c *Context64) ForHeader() Context {
	same := *c
	same.FltSave.MxCsr = same.MxCsr
	return &same
}

// Clone returns a copy.
func (c *Context64) Clone() Context { return new(*c) }

// Same compares all but homes of parameters, vector and branch registers, which
// no source carries, and ContextFlags.
func (c *Context64) Same(other Context, more RegisterSet) bool {
	o, ok := other.(*Context64)
	if !ok {
		return false
	}
	a := *c
	a.ContextFlags = o.ContextFlags
	if !more.Has(DebugRegisters) {
		a.Dr0, a.Dr1, a.Dr2, a.Dr3, a.Dr6, a.Dr7 = o.Dr0, o.Dr1, o.Dr2, o.Dr3, o.Dr6, o.Dr7
	}
	if !more.Has(FloatRegisters) {
		a.MxCsr, a.FltSave = o.MxCsr, o.FltSave
	}
	from, to := unsafe.Offsetof(a.ContextFlags), unsafe.Offsetof(a.VectorRegister)
	return bytes.Equal(a.Encode()[from:to], o.Encode()[from:to])
}
