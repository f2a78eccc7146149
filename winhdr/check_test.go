package winhdr

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/winhdr/problem"
	"windmp/winhdr/wincontext"
)

func TestCheckGood(t *testing.T) {
	t.Parallel()
	assert.Empty(t, goodHeader().Check())
	// LA57: a kernel address with bit 55 clear is no 48-bit one.
	h := goodHeader()
	h.PsLoadedModuleList = 0xff12345678901230
	assert.Empty(t, h.Check())
	// What is written anew with each dump, or matters to no reader.
	h = goodHeader()
	h.MajorVersion, h.RequiredDumpSpace, h.SystemUpTime, h.WriterStatus = 1, 0, 0, 7
	assert.Empty(t, h.Check())
}

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		set        func(*Header)
		text       string
		repairable bool
	}{
		{
			"signature", func(h *Header) { h.Signature = 0x50414745 },
			`Signature at 0x0: got "EGAP" (0x50414745), want "PAGE" (0x45474150)`, false,
		},
		{
			"32-bit", func(h *Header) { h.ValidDump = ValidDumpDUMP },
			`ValidDump at 0x4: got "DUMP" (0x504d5544), want "DU64" (0x34365544)`, false,
		},
		{
			"not text", func(h *Header) { h.ValidDump = 0x1b },
			`ValidDump at 0x4: got "\x1b\x00\x00\x00" (0x0000001b), want "DU64" (0x34365544)`, false,
		},
		{
			"build 1", func(h *Header) { h.MinorVersion = 1 },
			"MinorVersion at 0xc: got 0x1, want a build number from 0xece to 0xffff", true,
		},
		{
			"build never set", func(h *Header) { h.MinorVersion = problem.Fill },
			"MinorVersion at 0xc: got 0x45474150 ('PAGE' fill, never set), want a build number from 0xece to 0xffff", true,
		},
		{
			"no DTB", func(h *Header) { h.DirectoryTableBase = 0xfff },
			"DirectoryTableBase at 0x10: got 0xfff, want the physical address of a page table", false,
		},
		{
			"DTB never set", func(h *Header) { h.DirectoryTableBase = problem.Fill64 },
			"DirectoryTableBase at 0x10: got 0x4547415045474150 ('PAGE' fill, never set), want the physical address of a page table", false,
		},
		{
			"PCID", func(h *Header) { h.DirectoryTableBase = 1<<63 | 0x1ad002 },
			"DirectoryTableBase at 0x10: got 0x80000000001ad002, want 0x1ad000, the address alone", true,
		},
		{
			"DTB outside", func(h *Header) { h.DirectoryTableBase = 0x9f000 },
			"DirectoryTableBase at 0x10: got 0x9f000, want an address inside one of the runs", false,
		},
		{
			"PFN database", func(h *Header) { h.PfnDataBase = 0x1000 },
			"PfnDataBase at 0x18: got 0x1000, want a kernel address", true,
		},
		{
			"module list", func(h *Header) { h.PsLoadedModuleList = problem.Fill64 },
			"PsLoadedModuleList at 0x20: got 0x4547415045474150 ('PAGE' fill, never set), want a kernel address", true,
		},
		{
			"process list", func(h *Header) { h.PsActiveProcessHead = 0xfeffffffffffffff },
			"PsActiveProcessHead at 0x28: got 0xfeffffffffffffff, want a kernel address", true,
		},
		{
			"x86", func(h *Header) { h.MachineImageType = wincontext.MachineI386 },
			"MachineImageType at 0x30: got 0x14c (32-bit x86), want 0x8664 (x64)", false,
		},
		{
			"itanium", func(h *Header) { h.MachineImageType = wincontext.MachineIA64 },
			"MachineImageType at 0x30: got 0x200 (Itanium), want 0x8664 (x64)", false,
		},
		{
			"no machine", func(h *Header) { h.MachineImageType = 0 },
			"MachineImageType at 0x30: got 0x0, want 0x8664 (x64)", false,
		},
		{
			"no processors", func(h *Header) { h.NumberProcessors = 0 },
			"NumberProcessors at 0x34: got 0x0, want 1 to 1280", true,
		},
		{
			"too many processors", func(h *Header) { h.NumberProcessors = 0x501 },
			"NumberProcessors at 0x34: got 0x501, want 1 to 1280", true,
		},
		{
			"KDBG", func(h *Header) { h.KdDebuggerDataBlock = 0 },
			"KdDebuggerDataBlock at 0x80: got 0x0, want a kernel address", true,
		},
		{
			"run table", func(h *Header) { withCount(h, 43) },
			"NumberOfRuns at 0x88: got 0x2b, want 1 to 42 runs with pages", false,
		},
		{
			"sum", func(h *Header) { withPages(h, h.RunTable().Pages+1) },
			"NumberOfPages at 0x90: got 0x1f7f, want 0x1f7e, the sum over the runs", true,
		},
		{
			"bitmap", func(h *Header) { h.DumpType = DumpTypeBitmapFull },
			"DumpType at 0xf98: got 0x5 (bitmap full), want 0x1 (full)", true,
		},
		{
			"type never set", func(h *Header) { h.DumpType = DumpTypeUnset },
			"DumpType at 0xf98: got 0x45474150 (unset), want 0x1 (full)", true,
		},
		{
			"time never set", func(h *Header) { h.SystemTime = problem.Fill64 },
			"SystemTime at 0xfa8: got 0x4547415045474150 ('PAGE' fill, never set), want a time from 1601 to 9999 in units of 100 ns", true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := goodHeader()
			tt.set(h)
			problems := h.Check()
			require.Len(t, problems, 1, "%v", messages(problems))
			require.EqualError(t, problems[0], tt.text)
			assert.Equal(t, tt.repairable, problems[0].Repairable)
		})
	}
}

func TestCheckNamesEverything(t *testing.T) {
	t.Parallel()
	for _, f := range Formats() {
		h, err := f.Decode(make([]byte, f.Size()))
		require.NoError(t, err)
		want := []string{
			"Signature", "ValidDump", "MinorVersion", "DirectoryTableBase", "PfnDataBase", "PsLoadedModuleList",
			"PsActiveProcessHead", "MachineImageType", "NumberProcessors", "KdDebuggerDataBlock", "NumberOfRuns",
			"DumpType", "SystemTime",
		}
		var fields []string
		at := -1
		for _, p := range h.Check() {
			fields = append(fields, p.Field)
			assert.Greater(t, p.Offset, at, "%s: in the order of the header", p.Field)
			at = p.Offset
		}
		assert.Equal(t, want, fields)
	}
}
