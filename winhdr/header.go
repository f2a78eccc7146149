package winhdr

import (
	"bytes"
	"fmt"
	"reflect"

	"windmp/winhdr/fields"
	"windmp/winhdr/problem"
	"windmp/winhdr/wincontext"
)

// Header is a dump header, by the fields that have the same meaning on every
// machine. Addresses of a 32-bit header are not sign-extended. What its format
// does not have reads as 0 and is never written. The bytes behind the fields,
// CONTEXT, exception record and run table among them, are those of the header
// that it was made of.
//
// A Header is a value: to assign it copies it, and the methods that return
// something change nothing. It is made by [Decode], [Format.Decode] or
// [Format.New].
type Header struct {
	Signature           uint32 // SignaturePAGE
	ValidDump           uint32 // Format.ValidDump
	MajorVersion        uint32 // 0xf free build, 0xc checked build
	MinorVersion        uint32 // build number, such as 19041
	DirectoryTableBase  uint64 // CR3 of the System process, see Format.TableBase
	PfnDataBase         uint64 // VA of the variable nt!MmPfnDatabase (its value since build 26100)
	PsLoadedModuleList  uint64 // VA of the list head
	PsActiveProcessHead uint64 // VA of the list head
	MachineImageType    uint32 // Format.Machine
	NumberProcessors    uint32
	BugCheckCode        uint32
	BugCheckCodePad     uint32 // alignment; 64-bit headers only
	BugCheckParameters  [4]uint64
	PaeEnabled          uint8  // 1: page-table entries have 64 bits; 32-bit headers only
	KdDebuggerDataBlock uint64 // VA of KDDEBUGGER_DATA64
	Comment             [128]byte
	DumpType            DumpType
	RequiredDumpSpace   uint64 // bytes of the whole file
	SystemTime          uint64 // FILETIME, see Time
	SystemUpTime        uint64 // 100 ns units
	ProductType         uint32 // 1 workstation, 2 domain controller, 3 server
	SuiteMask           uint32
	WriterStatus        uint32 // 0: no trouble while writing
	KdSecondaryVersion  uint8
	Attributes          Attributes
	BootID              uint32

	format *Format
	// raw is the whole header in the file's form; the fields above stand over it.
	// It is replaced, never written to, so that copies may share it.
	raw []byte
}

// headerFields are the names of Header's fields that stand in the file, by their
// index: they come first.
var headerFields = func() (names []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Header]()) {
		if f.IsExported() {
			names = append(names, f.Name)
		}
	}
	return names
}()

// Decode decodes b, which must hold Size bytes: less or more is a *fields.SizeError.
// Nothing else is judged, see Check.
func (f *Format) Decode(b []byte) (*Header, error) {
	if len(b) != f.Size() {
		return nil, &fields.SizeError{Structure: f.Name + " dump header", Got: len(b), Want: f.Size()}
	}
	h := &Header{format: f, raw: bytes.Clone(b)}
	v := reflect.ValueOf(h).Elem()
	for i, name := range headerFields {
		part, ok := f.Header.Field(name)
		switch to := v.Field(i); {
		case !ok:
		case to.Kind() != reflect.Array:
			to.SetUint(part.Load(b, 0))
		default:
			for j := range min(part.Count, to.Len()) {
				to.Index(j).SetUint(part.Load(b, j))
			}
		}
	}
	return h, nil
}

// New returns the header of a full dump without memory: signatures, machine and
// type are set; run table, bug check, CONTEXT and exception are zero; the rest is
// Fill, as Windows leaves what it does not set.
func (f *Format) New() *Header {
	raw := make([]byte, f.Size())
	problem.PageFill(raw)
	for _, name := range []string{
		"BugCheckCode", "BugCheckCodePad", "BugCheckParameters",
		"NumberOfRuns", "NumberOfRunsPad", "NumberOfPages", "Run", "RunTail", "Context", "Exception",
	} {
		part := f.part(name)
		clear(raw[part.Offset:part.End()])
	}
	h, _ := f.Decode(raw) // which has the right size
	h.Signature, h.ValidDump, h.MachineImageType = SignaturePAGE, f.ValidDump, f.Machine
	h.DumpType = DumpTypeFull
	return h
}

// Format is the header's: what it says of the machine holds for h.
func (h *Header) Format() *Format { return h.format }

// Size is the size of the header in bytes: what follows begins there.
func (h *Header) Size() int { return h.format.Size() }

// Offset is where the field of that name stands, in bytes from the start of the
// header; 0 if the header does not have it.
func (h *Header) Offset(field string) int { return h.format.Offset(field) }

// Clone returns a copy: a change of one is none of the other.
func (h *Header) Clone() *Header {
	c := *h
	return &c
}

// Encode returns the Size bytes of h. Of a decoded header these are the bytes
// that it was decoded from, but for fields set since. A number that the file's
// field can't hold loses its upper bits.
func (h *Header) Encode() []byte {
	b := bytes.Clone(h.raw)
	v := reflect.ValueOf(h).Elem()
	for i, name := range headerFields {
		part, ok := h.format.Header.Field(name)
		switch from := v.Field(i); {
		case !ok:
		case from.Kind() != reflect.Array:
			part.Store(b, 0, from.Uint())
		default:
			for j := range min(part.Count, from.Len()) {
				part.Store(b, j, from.Index(j).Uint())
			}
		}
	}
	return b
}

// edit replaces the bytes behind the fields by a copy that change has changed.
func (h *Header) edit(change func(b []byte)) {
	b := bytes.Clone(h.raw)
	change(b)
	h.raw = b
}

// ClearAlignment zeroes the fields that only fill room, as QEMU does
// (dump/win_dump.c, since 7.2).
func (h *Header) ClearAlignment() {
	h.edit(func(b []byte) {
		for _, name := range h.format.Padding {
			part := h.format.part(name)
			clear(b[part.Offset:part.End()])
		}
	})
}

// Context is the header's CONTEXT: of the processor that the debugger shows
// first. It is a copy.
func (h *Header) Context() wincontext.Context {
	at := h.Offset("Context")
	c, _ := h.format.DecodeContext(h.raw[at : at+h.format.Registers.Size()]) // which has the right size
	return c
}

// Show sets the header's CONTEXT, and its exception record to a breakpoint there
// with these flags, as Windows does at a bug check. The error is a Problem: a
// CONTEXT of another machine, or none, is refused and nothing is changed.
func (h *Header) Show(c wincontext.Context, exceptionFlags uint32) error {
	f := h.format
	if c == nil || c.Machine() != f.Machine {
		got := "none"
		if c != nil {
			got = "that of machine " + machine(c.Machine())
		}
		return problem.Problem{Field: "Context", Offset: h.Offset("Context"), Got: got, Want: "that of machine " + f.machineText(), Fault: "is not that of this machine"}
	}
	registers := c.Encode()
	if len(registers) != f.Registers.Size() {
		return problem.Problem{
			Field: "Context", Offset: h.Offset("Context"),
			Got: fmt.Sprintf("0x%x bytes", len(registers)), Want: fmt.Sprintf("0x%x", f.Registers.Size()), Fault: "has another size than that of this machine",
		}
	}
	h.edit(func(b []byte) {
		copy(b[h.Offset("Context"):], registers)
		exception := f.part("Exception")
		clear(b[exception.Offset:exception.End()])
		f.Header.Store(b, "Exception.ExceptionCode", uint64(StatusBreakpoint))
		f.Header.Store(b, "Exception.ExceptionFlags", uint64(exceptionFlags))
		f.Header.Store(b, "Exception.ExceptionAddress", c.IP())
	})
	return nil
}

// Field is the number in the field of that name, 0 if the header has none.
func (h *Header) Field(name string) uint64 { return h.format.Header.Load(h.raw, name) }
