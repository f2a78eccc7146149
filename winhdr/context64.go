package winhdr

import "unsafe"

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
// is a *SizeError. Nothing else is judged, see Plausible.
func DecodeContext64(b []byte) (*Context64, error) {
	return decode[Context64]("context", b, ContextSize64)
}

// Encode returns the ContextSize64 bytes of c.
func (c *Context64) Encode() []byte {
	return encode(c, ContextSize64)
}
