package winhdr

import (
	"windmp/winhdr/fields"
	"windmp/winhdr/problem"
)

// A triage dump, DumpType 4, is what Windows calls a small memory dump: behind the
// header stand TRIAGE_DUMP, which says where the rest is, one processor's KPRCB, the
// current process, thread and stack, KDDEBUGGER_DATA64, the list of drivers, and
// pieces of memory by their virtual addresses. Sources: Microsoft mindumpdef.h,
// Ghidra and rizin for the structures; 72 dumps that Windows wrote, and what
// Microsoft's debugger engine 10.0.10240 writes and opens, for their use.

// TriageFormat is what a machine's triage dumps have behind the header, each as the
// file has it. Fields are found by name, those of the values in windmp/winhdr/triagefile; what a structure
// does not have reads as 0 and is not written.
type TriageFormat struct {
	// Record is TRIAGE_DUMP, which stands behind the header; see Record of windmp/winhdr/triagefile.
	Record *fields.Structure
	// MM is DUMP_MM_STORAGE; see its MM. MMChecked says that debuggers reject a
	// dump with one that is not inside the file.
	MM        *fields.Structure
	MMChecked bool
	// UnloadedHead stands before the unloaded drivers, with their Count. Unloaded is
	// an entry, with Length, MaximumLength, DriverName, StartAddress and EndAddress.
	UnloadedHead, Unloaded *fields.Structure
	// Driver is an entry of the list of drivers, with NameOffset; see its Driver.
	Driver *fields.Structure
	// Mapped are the MiniDumpFields without all of which debuggers map nothing; 0
	// where they don't ask.
	Mapped uint32
	// Prcb is the VA at which debuggers have the KPRCB: the dump does not say where it
	// was (observed with the engine).
	Prcb uint64
}

const (
	// TriageFields are the MiniDumpFields that Windows sets when it crashes: 0x100
	// stands for DUMP_MM_STORAGE, 0x200 for a data page, 0x800 for data blocks; see
	// TriageFormat.Mapped.
	TriageFields uint32 = 0xcff
	// TriageHasBlocks is the bit of data blocks.
	TriageHasBlocks uint32 = 0x800

	// unloadedNameUnits is how many UTF-16 units of an unloaded driver's name
	// there is room for.
	unloadedNameUnits = 12
)

// ForTriage is the header as a triage dump of so many bytes has it: DumpType,
// RequiredDumpSpace, MiniDumpFields, a run table that was never set. h is not changed.
func (h *Header) ForTriage(size uint64) *Header {
	out := h.Clone()
	out.DumpType = DumpTypeTriage
	out.RequiredDumpSpace = size
	out.edit(func(b []byte) {
		h.format.Header.Store(b, "MiniDumpFields", uint64(TriageFields))
		for _, name := range []string{"NumberOfRuns", "NumberOfRunsPad", "NumberOfPages", "Run", "RunTail"} {
			part := h.format.part(name)
			problem.PageFill(b[part.Offset:part.End()]) // all of these begin at a multiple of 4
		}
	})
	return out
}
