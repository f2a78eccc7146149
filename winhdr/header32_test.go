package winhdr

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/winhdr/bugcheck"
	"windmp/winhdr/problem"
	"windmp/winhdr/wincontext"
)

// goodHeader32 returns a header that Check has nothing against.
func goodHeader32() *Header {
	h := X86.New()
	h.MajorVersion = 0xf
	h.MinorVersion = 7601
	h.DirectoryTableBase = 0x185000
	h.PfnDataBase = 0x82b7d708
	h.PsLoadedModuleList = 0x82b4e4d0
	h.PsActiveProcessHead = 0x82b46df8
	h.NumberProcessors = 2
	h.BugCheckCode = bugcheck.LiveSystemDump
	h.PaeEnabled = 1
	h.KdDebuggerDataBlock = 0x82b2fbe8
	h.SystemTime = 0x01d9c0ffee000000
	return withTable(h, 2, 0x1f7e, physmem.Run{BasePage: 0x1, PageCount: 0x9e}, physmem.Run{BasePage: 0x100, PageCount: 0x1ee0})
}

var header32Layout = []layoutRow{
	{"Signature", 0x000, wdk + qemu},
	{"ValidDump", 0x004, wdk + qemu},
	{"MajorVersion", 0x008, wdk + qemu},
	{"MinorVersion", 0x00c, wdk + qemu},
	{"DirectoryTableBase", 0x010, wdk + qemu},
	{"PfnDataBase", 0x014, wdk + qemu},
	{"PsLoadedModuleList", 0x018, wdk + qemu},
	{"PsActiveProcessHead", 0x01c, wdk + qemu},
	{"MachineImageType", 0x020, wdk + qemu},
	{"NumberProcessors", 0x024, wdk + qemu},
	{"BugCheckCode", 0x028, wdk + qemu},
	{"BugCheckParameters", 0x02c, wdk + qemu},
	{"VersionUser", 0x03c, wdk + qemu},
	{"PaeEnabled", 0x05c, wdk},
	{"KdSecondaryVersion", 0x05d, wdk},
	{"Spare", 0x05e, wdk},
	{"KdDebuggerDataBlock", 0x060, wdk + qemu},
	{"descriptor32", 0x064, wdk + qemu},
	{"RunTail", 0x31c, "0x64 + 8 + 86 * 8, to the end of the 700 bytes"},
	{"Context", 0x320, wdk},
	{"Exception", 0x7d0, wdk},
	{"Comment", 0x820, wdk},
	{"Attributes", 0x8a0, wdk},
	{"BootID", 0x8a4, wdk},
	{"Reserved0", 0x8a8, wdk},
	{"DumpType", 0xf88, wdk + " and file(1)"},
	{"MiniDumpFields", 0xf8c, wdk},
	{"SecondaryDataState", 0xf90, wdk},
	{"ProductType", 0xf94, wdk},
	{"SuiteMask", 0xf98, wdk},
	{"WriterStatus", 0xf9c, wdk},
	{"RequiredDumpSpace", 0xfa0, wdk + qemu},
	{"Reserved2", 0xfa8, wdk},
	{"SystemUpTime", 0xfb8, wdk},
	{"SystemTime", 0xfc0, wdk},
	{"Reserved3", 0xfc8, wdk},
}

var context32Layout = []layoutRow{
	{"ContextFlags", 0x00, sdk + qemu},
	{"Dr0", 0x04, sdk + qemu},
	{"Dr1", 0x08, sdk + qemu},
	{"Dr2", 0x0c, sdk + qemu},
	{"Dr3", 0x10, sdk + qemu},
	{"Dr6", 0x14, sdk + qemu},
	{"Dr7", 0x18, sdk + qemu},
	{"FloatSave", 0x1c, sdk + qemu},
	{"SegGs", 0x8c, sdk + qemu},
	{"SegFs", 0x90, sdk + qemu},
	{"SegEs", 0x94, sdk + qemu},
	{"SegDs", 0x98, sdk + qemu},
	{"Edi", 0x9c, sdk + qemu},
	{"Esi", 0xa0, sdk + qemu},
	{"Ebx", 0xa4, sdk + qemu},
	{"Edx", 0xa8, sdk + qemu},
	{"Ecx", 0xac, sdk + qemu},
	{"Eax", 0xb0, sdk + qemu},
	{"Ebp", 0xb4, sdk + qemu},
	{"Eip", 0xb8, sdk + qemu},
	{"SegCs", 0xbc, sdk + qemu},
	{"EFlags", 0xc0, sdk + qemu},
	{"Esp", 0xc4, sdk + qemu},
	{"SegSs", 0xc8, sdk + qemu},
	{"ExtendedRegisters", 0xcc, sdk + qemu},
}

var exception32Layout = []layoutRow{
	{"ExceptionCode", 0x00, sdk},
	{"ExceptionFlags", 0x04, sdk},
	{"ExceptionRecord", 0x08, sdk},
	{"ExceptionAddress", 0x0c, sdk},
	{"NumberParameters", 0x10, sdk},
	{"ExceptionInformation", 0x14, sdk},
}

var floatSaveLayout = []layoutRow{
	{"ControlWord", 0x00, sdk},
	{"StatusWord", 0x04, sdk},
	{"TagWord", 0x08, sdk},
	{"ErrorOffset", 0x0c, sdk},
	{"ErrorSelector", 0x10, sdk},
	{"DataOffset", 0x14, sdk},
	{"DataSelector", 0x18, sdk},
	{"RegisterArea", 0x1c, sdk},
	{"Cr0NpxState", 0x6c, sdk},
}

func TestLayout32(t *testing.T) {
	t.Parallel()
	testLayouts(t, []layoutCase{
		{header32{}, 0x1000, header32Layout},
		{descriptor32{}, 0x2b8, []layoutRow{
			{"NumberOfRuns", 0, wdk + qemu},
			{"NumberOfPages", 4, wdk + qemu},
			{"Run", 8, wdk + qemu},
		}},
		{run32{}, 8, []layoutRow{{"BasePage", 0, wdk + qemu}, {"PageCount", 4, wdk + qemu}}},
		{exception32{}, 0x50, exception32Layout},
		{wincontext.Context32{}, 0x2cc, context32Layout},
		{wincontext.FloatingSaveArea{}, 0x70, floatSaveLayout},
	})
}

func TestCheck32(t *testing.T) {
	t.Parallel()
	assert.Empty(t, goodHeader32().Check())
	for name, tt := range map[string]struct {
		spoil      func(h *Header)
		want       string
		repairable bool
	}{
		"signature":   {func(h *Header) { h.Signature = 1 }, "Signature at 0x0", false},
		"64-bit":      {func(h *Header) { h.ValidDump = ValidDumpDU64 }, "ValidDump at 0x4", false},
		"build":       {func(h *Header) { h.MinorVersion = 1381 }, "MinorVersion at 0xc: got 0x565", true},
		"no DTB":      {func(h *Header) { h.DirectoryTableBase = uint64(problem.Fill) }, "DirectoryTableBase at 0x10: got 0x45474150 ('PAGE' fill", false},
		"DTB flags":   {func(h *Header) { h.DirectoryTableBase |= 0x18 }, "got 0x185018, want 0x185000, the address alone", true},
		"DTB outside": {func(h *Header) { h.DirectoryTableBase = 0xff000000 }, "want an address inside one of the runs", false},
		"DTB flags without PAE": {func(h *Header) {
			h.PaeEnabled = 0
			h.DirectoryTableBase |= 0x20
		}, "got 0x185020, want 0x185000, the address alone", true},
		"PFN database": {func(h *Header) { h.PfnDataBase = 0x7fffffff }, "PfnDataBase at 0x14", true},
		"modules":      {func(h *Header) { h.PsLoadedModuleList = uint64(problem.Fill) }, "PsLoadedModuleList at 0x18", true},
		"processes":    {func(h *Header) { h.PsActiveProcessHead = 0 }, "PsActiveProcessHead at 0x1c", true},
		"machine":      {func(h *Header) { h.MachineImageType = wincontext.MachineAMD64 }, "got 0x8664 (x64), want 0x14c (32-bit x86)", false},
		"CPUs":         {func(h *Header) { h.NumberProcessors = 33 }, "NumberProcessors at 0x24: got 0x21, want 1 to 32", true},
		"PAE":          {func(h *Header) { h.PaeEnabled = 'P' }, "PaeEnabled at 0x5c: got 0x50, want 0 or 1", true},
		"KDBG":         {func(h *Header) { h.KdDebuggerDataBlock = 0x1000 }, "KdDebuggerDataBlock at 0x60", true},
		"runs":         {func(h *Header) { withCount(h, 87) }, "NumberOfRuns at 0x64: got 0x57, want 1 to 86 runs", false},
		"pages":        {func(h *Header) { withPages(h, h.RunTable().Pages+1) }, "NumberOfPages at 0x68", true},
		"run order": {func(h *Header) {
			r := h.RunTable().Runs
			withTable(h, 2, 0x1f7e, r[1], r[0])
		}, "Run[1].BasePage at 0x74", true},
		"run too long": {func(h *Header) {
			withTable(h, 2, 0x1f7e, physmem.Run{BasePage: 1, PageCount: 0x9e}, physmem.Run{BasePage: 0x100, PageCount: 0xffffffff})
		}, "Run[1].PageCount at 0x78", false},
		"type": {func(h *Header) { h.DumpType = DumpTypeTriage }, "DumpType at 0xf88: got 0x4 (triage)", true},
		"time": {func(h *Header) { h.SystemTime = problem.Fill64 }, "SystemTime at 0xfc0", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := goodHeader32()
			tt.spoil(h)
			problems := h.Check()
			require.NotEmpty(t, problems)
			// A run table that can't be used is one problem and hides none.
			require.Len(t, problems, 1)
			assert.Contains(t, problems[0].Error(), tt.want)
			assert.Equal(t, tt.repairable, problems[0].Repairable)
		})
	}
}

func TestSetRuns32(t *testing.T) {
	t.Parallel()
	h := goodHeader32()
	many := make(physmem.Runs, X86.MaxRuns())
	for i := range many {
		many[i] = physmem.Run{BasePage: uint64(i) * 0x10, PageCount: 8}
	}
	require.NoError(t, h.SetRuns(many))
	assert.Equal(t, RunTable{86, 86 * 8, many}, h.RunTable())
	runs, problems := h.Runs()
	assert.Empty(t, problems)
	assert.Equal(t, many, runs)

	require.NoError(t, h.SetRuns(many[:1]))
	at := X86.Offset("Run")
	assert.Equal(t, make([]byte, 85*8), h.Encode()[at+8:at+86*8])
	before := h.Clone()
	for name, runs := range map[string]physmem.Runs{
		"none":       nil,
		"too many":   make(physmem.Runs, 87),
		"not sorted": {{BasePage: 8, PageCount: 1}, {BasePage: 0, PageCount: 1}},
		"too high":   {{BasePage: X86.PFNLimit, PageCount: 1}},
		"too long":   {{BasePage: 1, PageCount: X86.PFNLimit}},
	} {
		require.Error(t, h.SetRuns(runs), name)
		assert.Equal(t, before, h, name)
	}
	require.EqualError(t, h.SetRuns(nil), "NumberOfRuns at 0x64: got 0x0, want 1 to 86 runs with pages")
	require.NoError(t, h.SetRuns(physmem.Runs{{BasePage: 0, PageCount: X86.PFNLimit}}))
	_, problems = h.Runs()
	assert.Empty(t, problems)
}
