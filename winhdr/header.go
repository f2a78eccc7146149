package winhdr

import "reflect"

// Header is a dump header of either width, by the fields that have the same
// meaning in both. Addresses of a 32-bit header are not sign-extended. What a
// width does not have is left alone and never written. The bytes behind the
// fields, Context, exception record and run table among them, are those of the
// header that it was made of.
type Header struct {
	Signature           uint32
	ValidDump           uint32
	MajorVersion        uint32
	MinorVersion        uint32
	DirectoryTableBase  uint64
	PfnDataBase         uint64
	PsLoadedModuleList  uint64
	PsActiveProcessHead uint64
	MachineImageType    uint32
	NumberProcessors    uint32
	BugCheckCode        uint32
	BugCheckCodePad     uint32 // 64-bit only
	BugCheckParameters  [4]uint64
	PaeEnabled          uint8 // 32-bit only
	KdDebuggerDataBlock uint64
	Comment             [128]byte
	DumpType            DumpType
	RequiredDumpSpace   uint64
	SystemTime          uint64
	SystemUpTime        uint64
	ProductType         uint32
	SuiteMask           uint32
	WriterStatus        uint32
	KdSecondaryVersion  uint8
	Attributes          uint32
	BootID              uint32

	// One of the two is set.
	wide   *Header64
	narrow *Header32
}

// layout is what both widths can do.
type layout interface {
	Encode() []byte
	Check() []Problem
	Runs() ([]PhysicalMemoryRun64, []Problem)
	SetRuns(runs []PhysicalMemoryRun64) error
	runTable() runTable
}

// HeaderSize is the size in bytes of a header of that width.
func HeaderSize(is32 bool) int {
	if is32 {
		return Size32
	}
	return Size64
}

// DecodeHeader decodes b, whose size says which width it is: Size64 or Size32,
// otherwise the error is a *SizeError. Nothing else is judged, see Check.
func DecodeHeader(b []byte) (*Header, error) {
	h := new(Header)
	var err error
	if len(b) == Size32 {
		h.narrow, err = Decode32(b)
	} else {
		h.wide, err = Decode64(b)
	}
	if err != nil {
		return nil, err
	}
	copyFields(reflect.ValueOf(h).Elem(), reflect.ValueOf(h.layout()).Elem(), false)
	return h, nil
}

// NewHeader returns the header of a full dump without memory: signatures, machine
// and type are set; run table, bug check, context and exception are zero; the rest
// is Fill, as Windows leaves what it does not set.
func NewHeader(is32 bool) *Header {
	raw := make([]byte, HeaderSize(is32))
	PageFill(raw)
	h, _ := DecodeHeader(raw) // which has the right size
	h.Signature, h.ValidDump, h.MachineImageType = SignaturePAGE, ValidDumpDU64, MachineAMD64
	h.DumpType = DumpTypeFull
	h.BugCheckCode, h.BugCheckCodePad, h.BugCheckParameters = 0, 0, [4]uint64{}
	if w := h.wide; w != nil {
		w.PhysicalMemory, w.PhysicalMemoryTail = PhysicalMemoryDescriptor64{}, [len(w.PhysicalMemoryTail)]byte{}
		w.Context, w.ContextTail, w.Exception = Context64{}, [len(w.ContextTail)]byte{}, ExceptionRecord64{}
		return h
	}
	n := h.narrow
	h.ValidDump, h.MachineImageType = ValidDumpDUMP, MachineI386
	n.PhysicalMemory, n.PhysicalMemoryTail = PhysicalMemoryDescriptor32{}, [len(n.PhysicalMemoryTail)]byte{}
	n.Context, n.ContextTail, n.Exception = Context32{}, [len(n.ContextTail)]byte{}, ExceptionRecord32{}
	return h
}

// copyFields copies between the fields of Header and those of the same names in a
// layout, to the layout or from it. Numbers that a narrower field can't hold lose
// their upper bits.
func copyFields(header, layout reflect.Value, to bool) {
	for i := range header.NumField() {
		f := header.Type().Field(i)
		in := layout.FieldByName(f.Name)
		if !f.IsExported() || !in.IsValid() {
			continue
		}
		from, into := in, header.Field(i)
		if to {
			from, into = into, from
		}
		if from.Kind() != reflect.Array {
			into.SetUint(from.Uint())
			continue
		}
		for j := range from.Len() {
			into.Index(j).SetUint(from.Index(j).Uint())
		}
	}
}

// layout returns the header's own form, as it was decoded.
func (h *Header) layout() layout {
	if h.narrow != nil {
		return h.narrow
	}
	return h.wide
}

// current returns the header's own form with the fields as they are now.
func (h *Header) current() layout {
	l := h.layout()
	copyFields(reflect.ValueOf(h).Elem(), reflect.ValueOf(l).Elem(), true)
	return l
}

// Is32 reports whether h is the header of a 32-bit dump.
func (h *Header) Is32() bool { return h.narrow != nil }

// Size is the size of the header in bytes: what follows begins there.
func (h *Header) Size() int { return HeaderSize(h.Is32()) }

// MaxRuns is how many runs the header has room for.
func (h *Header) MaxRuns() int {
	if h.Is32() {
		return MaxRuns32
	}
	return MaxRuns64
}

// MaxProcessors is the greatest NumberProcessors that can be.
func (h *Header) MaxProcessors() int {
	if h.Is32() {
		return MaxProcessors32
	}
	return MaxProcessors
}

// MinBuild is the least build number that can be.
func (h *Header) MinBuild() uint32 {
	if h.Is32() {
		return minBuild32
	}
	return minBuild
}

// Machine is the MachineImageType that a header of this width must have.
func (h *Header) Machine() uint32 {
	if h.Is32() {
		return MachineI386
	}
	return MachineAMD64
}

// ValidDumpOf is the second signature of a header of that width.
func ValidDumpOf(is32 bool) uint32 {
	if is32 {
		return ValidDumpDUMP
	}
	return ValidDumpDU64
}

// Clone returns a copy that shares nothing with h.
func (h *Header) Clone() *Header {
	c := *h
	if h.wide != nil {
		w := *h.wide
		c.wide = &w
	} else {
		n := *h.narrow
		c.narrow = &n
	}
	return &c
}

// Encode returns the Size bytes of h.
func (h *Header) Encode() []byte { return h.current().Encode() }

// Check is that of [Header64] or of [Header32].
func (h *Header) Check() []Problem { return h.current().Check() }

// Runs is that of [Header64] or of [Header32].
func (h *Header) Runs() ([]PhysicalMemoryRun64, []Problem) { return h.layout().Runs() }

// SetRuns is that of [Header64] or of [Header32].
func (h *Header) SetRuns(runs []PhysicalMemoryRun64) error { return h.layout().SetRuns(runs) }

// ListedPages is NumberOfPages, which need not be the sum over the runs.
func (h *Header) ListedPages() uint64 { return h.layout().runTable().pages }

// ClearAlignment zeroes the two fields of a 64-bit header that only fill room, as
// QEMU does (dump/win_dump.c, since 7.2).
func (h *Header) ClearAlignment() {
	if h.wide != nil {
		h.wide.PhysicalMemory.Unused, h.wide.PadF9C = 0, [4]byte{}
	}
}

// Offset is where the field of that name stands, in bytes from the start of the
// header; 0 if the width does not have it. Names are those of Header64 and
// Header32.
func (h *Header) Offset(field string) int {
	f, _ := reflect.TypeOf(h.layout()).Elem().FieldByName(field)
	return int(f.Offset)
}

// Context is the header's: of the processor that the debugger shows first.
func (h *Header) Context() Context {
	if h.narrow != nil {
		c := h.narrow.Context
		return &c
	}
	c := h.wide.Context
	return &c
}

// Show sets the header's context, and its exception record to a breakpoint there
// with these flags, as Windows does at a bug check. c must have the header's width.
func (h *Header) Show(c Context, exceptionFlags uint32) {
	switch c := c.(type) {
	case *Context64:
		h.wide.Context = *c
		h.wide.Exception = ExceptionRecord64{ExceptionCode: StatusBreakpoint, ExceptionFlags: exceptionFlags, ExceptionAddress: c.Rip}
	case *Context32:
		h.narrow.Context = *c
		h.narrow.Exception = ExceptionRecord32{ExceptionCode: StatusBreakpoint, ExceptionFlags: exceptionFlags, ExceptionAddress: c.Eip}
	}
}
