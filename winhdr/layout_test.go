package winhdr

import (
	"encoding/binary"
	"reflect"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/winhdr/wincontext"
)

// Where the offsets below come from.
const (
	// Microsoft mindumpdef.h (WDK): DUMP_HEADER64, PHYSICAL_MEMORY_DESCRIPTOR64,
	// and its fixed buffer sizes (700 for the runs, 3000 for the context).
	wdk = "mindumpdef.h"
	// Microsoft winnt.h (SDK): CONTEXT, XSAVE_FORMAT, EXCEPTION_RECORD64.
	sdk = "winnt.h"
	// QEMU include/qemu/win_dump_defs.h agrees, where it has the field.
	qemu = " and qemu win_dump_defs.h"
	// Seen in dumps of builds 9600, 19041 and 26100.
	seen = " and real dumps"
)

type layoutRow struct {
	field  string
	offset uintptr // from the start of its structure
	source string
}

var headerLayout = []layoutRow{
	{"Signature", 0x000, wdk + qemu + seen},
	{"ValidDump", 0x004, wdk + qemu + seen},
	{"MajorVersion", 0x008, wdk + qemu + seen},
	{"MinorVersion", 0x00c, wdk + qemu + seen},
	{"DirectoryTableBase", 0x010, wdk + qemu + seen},
	{"PfnDataBase", 0x018, wdk + qemu + seen},
	{"PsLoadedModuleList", 0x020, wdk + qemu + seen},
	{"PsActiveProcessHead", 0x028, wdk + qemu + seen},
	{"MachineImageType", 0x030, wdk + qemu + seen},
	{"NumberProcessors", 0x034, wdk + qemu + seen},
	{"BugCheckCode", 0x038, wdk + qemu + seen},
	{"BugCheckCodePad", 0x03c, "alignment of the next; " + qemu},
	{"BugCheckParameters", 0x040, wdk + qemu + seen},
	{"VersionUser", 0x060, wdk + qemu},
	{"KdDebuggerDataBlock", 0x080, wdk + qemu + seen},
	{"descriptor64", 0x088, wdk + qemu + seen},
	{"RunTail", 0x338, "0x88 + 16 + 42 * 16, to the end of the 700 bytes"},
	{"Pad344", 0x344, "0x88 + 700, alignment of the next; 'PAGE' in real dumps"},
	{"Context", 0x348, wdk + qemu + seen},
	{"Exception", 0xf00, wdk + qemu + seen},
	{"DumpType", 0xf98, wdk + qemu + seen},
	{"DumpTypePad", 0xf9c, "alignment of the next; " + qemu},
	{"RequiredDumpSpace", 0xfa0, wdk + qemu + seen},
	{"SystemTime", 0xfa8, wdk + qemu + seen},
	{"Comment", 0xfb0, wdk + qemu},
	{"SystemUpTime", 0x1030, wdk + qemu + seen},
	{"MiniDumpFields", 0x1038, wdk + qemu + seen},
	{"SecondaryDataState", 0x103c, wdk + qemu},
	{"ProductType", 0x1040, wdk + qemu + seen},
	{"SuiteMask", 0x1044, wdk + qemu + seen},
	{"WriterStatus", 0x1048, wdk + qemu + seen},
	{"Unused1", 0x104c, wdk + qemu},
	{"KdSecondaryVersion", 0x104d, wdk + qemu + seen},
	{"Unused", 0x104e, wdk},
	{"Attributes", 0x1050, wdk},
	{"BootID", 0x1054, wdk},
	{"Reserved", 0x1058, wdk},
}

var memoryLayout = []layoutRow{
	{"NumberOfRuns", 0x0, wdk + qemu + seen},
	{"NumberOfRunsPad", 0x4, "alignment of the next; " + qemu},
	{"NumberOfPages", 0x8, wdk + qemu + seen},
	{"Run", 0x10, wdk + qemu + seen},
}

var runLayout = []layoutRow{
	{"BasePage", 0x0, wdk + qemu + seen},
	{"PageCount", 0x8, wdk + qemu + seen},
}

var exceptionLayout = []layoutRow{
	{"ExceptionCode", 0x00, sdk + qemu + seen},
	{"ExceptionFlags", 0x04, sdk + qemu + seen},
	{"ExceptionRecord", 0x08, sdk + qemu + seen},
	{"ExceptionAddress", 0x10, sdk + qemu + seen},
	{"NumberParameters", 0x18, sdk + qemu + seen},
	{"UnusedAlignment", 0x1c, sdk + qemu},
	{"ExceptionInformation", 0x20, sdk + qemu + seen},
}

var contextLayout = []layoutRow{
	{"P1Home", 0x00, sdk + qemu},
	{"P2Home", 0x08, sdk + qemu},
	{"P3Home", 0x10, sdk + qemu},
	{"P4Home", 0x18, sdk + qemu},
	{"P5Home", 0x20, sdk + qemu},
	{"P6Home", 0x28, sdk + qemu},
	{"ContextFlags", 0x30, sdk + qemu + seen},
	{"MxCsr", 0x34, sdk + qemu + seen},
	{"SegCs", 0x38, sdk + qemu + seen},
	{"SegDs", 0x3a, sdk + qemu + seen},
	{"SegEs", 0x3c, sdk + qemu + seen},
	{"SegFs", 0x3e, sdk + qemu + seen},
	{"SegGs", 0x40, sdk + qemu + seen},
	{"SegSs", 0x42, sdk + qemu + seen},
	{"EFlags", 0x44, sdk + qemu + seen},
	{"Dr0", 0x48, sdk + qemu},
	{"Dr1", 0x50, sdk + qemu},
	{"Dr2", 0x58, sdk + qemu},
	{"Dr3", 0x60, sdk + qemu},
	{"Dr6", 0x68, sdk + qemu},
	{"Dr7", 0x70, sdk + qemu},
	{"Rax", 0x78, sdk + qemu + seen},
	{"Rcx", 0x80, sdk + qemu + seen},
	{"Rdx", 0x88, sdk + qemu + seen},
	{"Rbx", 0x90, sdk + qemu + seen},
	{"Rsp", 0x98, sdk + qemu + seen},
	{"Rbp", 0xa0, sdk + qemu + seen},
	{"Rsi", 0xa8, sdk + qemu + seen},
	{"Rdi", 0xb0, sdk + qemu + seen},
	{"R8", 0xb8, sdk + qemu + seen},
	{"R9", 0xc0, sdk + qemu + seen},
	{"R10", 0xc8, sdk + qemu + seen},
	{"R11", 0xd0, sdk + qemu + seen},
	{"R12", 0xd8, sdk + qemu + seen},
	{"R13", 0xe0, sdk + qemu + seen},
	{"R14", 0xe8, sdk + qemu + seen},
	{"R15", 0xf0, sdk + qemu + seen},
	{"Rip", 0xf8, sdk + qemu + seen},
	{"FltSave", 0x100, sdk + qemu + seen},
	{"VectorRegister", 0x300, sdk + qemu},
	{"VectorControl", 0x4a0, sdk + qemu},
	{"DebugControl", 0x4a8, sdk + qemu},
	{"LastBranchToRip", 0x4b0, sdk + qemu},
	{"LastBranchFromRip", 0x4b8, sdk + qemu},
	{"LastExceptionToRip", 0x4c0, sdk + qemu},
	{"LastExceptionFromRip", 0x4c8, sdk + qemu},
}

// The manual's own offsets: Intel SDM vol. 1, table 10-2 (FXSAVE64).
const fxsave = sdk + " and Intel SDM vol. 1, table 10-2"

var xsaveLayout = []layoutRow{
	{"ControlWord", 0x00, fxsave},
	{"StatusWord", 0x02, fxsave},
	{"TagWord", 0x04, fxsave},
	{"Reserved1", 0x05, fxsave},
	{"ErrorOpcode", 0x06, fxsave},
	{"ErrorOffset", 0x08, fxsave},
	{"ErrorSelector", 0x0c, fxsave},
	{"Reserved2", 0x0e, fxsave},
	{"DataOffset", 0x10, fxsave},
	{"DataSelector", 0x14, fxsave},
	{"Reserved3", 0x16, fxsave},
	{"MxCsr", 0x18, fxsave},
	{"MxCsrMask", 0x1c, fxsave},
	{"FloatRegisters", 0x20, fxsave},
	{"XmmRegisters", 0xa0, fxsave},
	{"Reserved4", 0x1a0, fxsave},
}

type layoutCase struct {
	value any
	size  uintptr
	rows  []layoutRow
}

func TestLayout(t *testing.T) {
	t.Parallel()
	testLayouts(t, []layoutCase{
		{header64{}, 0x2000, headerLayout},
		{descriptor64{}, 0x2b0, memoryLayout},
		{run64{}, 0x10, runLayout},
		{exception64{}, 0x98, exceptionLayout},
		{wincontext.Context64{}, 0x4d0, contextLayout},
		{wincontext.XSaveFormat{}, 0x200, xsaveLayout},
		{BitmapDump64{}, 0x38, bitmapLayout},
		{SummaryDump64{}, 0x28, summaryLayout},
		{RangeDump64{}, 0x30, rangeLayout},
		{wincontext.M128A{}, 0x10, []layoutRow{{"Low", 0, sdk}, {"High", 8, sdk}}},
	})
}

func testLayouts(t *testing.T, tests []layoutCase) {
	t.Helper()
	for _, tt := range tests {
		typ := reflect.TypeOf(tt.value)
		t.Run(typ.Name(), func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.size, typ.Size(), "in memory")
			assert.Equal(t, int(tt.size), binary.Size(tt.value), "in the file")
			require.Len(t, tt.rows, typ.NumField(), "every field has a row")
			var end uintptr
			for i, row := range tt.rows {
				field := typ.Field(i)
				assert.Equal(t, row.field, field.Name)
				assert.Equal(t, row.offset, field.Offset, "%s: source %s", row.field, row.source)
				assert.Equal(t, end, field.Offset, "%s leaves no gap", row.field)
				end = field.Offset + field.Type.Size()
			}
			assert.Equal(t, tt.size, end)
		})
	}
}

// Absolute offsets that other tools state as such.
func TestLayoutAbsolute(t *testing.T) {
	t.Parallel()
	context := X64.Offset("Context")
	var c wincontext.Context64
	assert.Equal(t, 0x90, X64.Offset("NumberOfPages"), "file(1) reads the page count there")
	assert.Equal(t, 0x98, X64.Offset("Run"))
	assert.Equal(t, 0x37c, context+int(unsafe.Offsetof(c.MxCsr)), "kdmp-parser compares this MxCsr")
	assert.Equal(t, 0x460, context+int(unsafe.Offsetof(c.FltSave)+unsafe.Offsetof(c.FltSave.MxCsr)),
		"kdmp-parser compares it with this one")
	assert.EqualValues(t, 0x1a0, unsafe.Offsetof(c.FltSave)+unsafe.Offsetof(c.FltSave.XmmRegisters), "Xmm0")
	assert.Equal(t, 0x68, X86.Offset("NumberOfPages"), "file(1) reads the page count there")
	assert.Equal(t, 0x6c, X86.Offset("Run"))
}
