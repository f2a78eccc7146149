package winhdr

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/winhdr/bugcheck"
	"windmp/winhdr/problem"
	"windmp/winhdr/wincontext"
)

// goodHeader returns a header that Check has nothing against.
func goodHeader() *Header {
	h := X64.New()
	h.MajorVersion = 0xf
	h.MinorVersion = 19041
	h.DirectoryTableBase = 0x1ad000
	h.PfnDataBase = 0xfffff8000a4fc508
	h.PsLoadedModuleList = 0xfffff8000a42a2d0
	h.PsActiveProcessHead = 0xfffff8000a41e0c0
	h.NumberProcessors = 2
	h.BugCheckCode = bugcheck.LiveSystemDump
	h.KdDebuggerDataBlock = 0xfffff8000a400b20
	h.SystemTime = 0x01d9c0ffee000000
	return withTable(h, 2, 0x1f7e, physmem.Run{BasePage: 0x1, PageCount: 0x9e}, physmem.Run{BasePage: 0x100, PageCount: 0x1ee0})
}

func TestDecodeReadsWhereTheFileHasIt(t *testing.T) {
	t.Parallel()
	b := make([]byte, X64.Size())
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	h, err := X64.Decode(b)
	require.NoError(t, err)
	le := binary.LittleEndian
	assert.Equal(t, le.Uint32(b[0:]), h.Signature)
	assert.Equal(t, le.Uint64(b[0x10:]), h.DirectoryTableBase)
	assert.Equal(t, le.Uint64(b[0x58:]), h.BugCheckParameters[3])
	assert.Equal(t, le.Uint64(b[0x90:]), h.RunTable().Pages)
	assert.Equal(t, le.Uint64(b[0x98+41*16+8:]), h.RunTable().Runs[41].PageCount)
	c, ok := h.Context().(*wincontext.Context64)
	require.True(t, ok)
	assert.Equal(t, le.Uint64(b[0x348+0xf8:]), c.Rip)
	assert.Equal(t, le.Uint64(b[0x348+0x290:]), c.FltSave.XmmRegisters[15].Low)
	assert.Equal(t, b[0x348:0x348+wincontext.ContextSize64], c.Encode())
	assert.Equal(t, DumpType(le.Uint32(b[0xf98:])), h.DumpType)
	assert.Equal(t, b[0xfb0:0x1030], h.Comment[:])
	assert.Equal(t, le.Uint32(b[0x1054:]), h.BootID)

	h, err = X86.Decode(b[:X86.Size()])
	require.NoError(t, err)
	assert.EqualValues(t, le.Uint32(b[0x60:]), h.KdDebuggerDataBlock)
	assert.EqualValues(t, le.Uint32(b[0x320+0xb8:]), h.Context().IP())
	assert.Equal(t, le.Uint64(b[0xfc0:]), h.SystemTime)
	assert.EqualValues(t, le.Uint32(b[0x68:]), h.RunTable().Pages)
}

func TestPageFill(t *testing.T) {
	t.Parallel()
	b := make([]byte, 10)
	problem.PageFill(b)
	assert.Equal(t, "PAGEPAGEPA", string(b))
	problem.PageFill(nil)
	assert.Equal(t, problem.Fill, binary.LittleEndian.Uint32(b))
	assert.Equal(t, problem.Fill64, binary.LittleEndian.Uint64(b))
}

func TestSignaturesAreText(t *testing.T) {
	t.Parallel()
	for text, value := range map[string]uint32{"PAGE": SignaturePAGE, "DU64": ValidDumpDU64, "DUMP": ValidDumpDUMP} {
		assert.Equal(t, text, string(binary.LittleEndian.AppendUint32(nil, value)))
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	names := map[DumpType]string{
		DumpTypeFull:           "full",
		DumpTypeSummary:        "summary",
		DumpTypeHeader:         "header only",
		DumpTypeTriage:         "triage",
		DumpTypeBitmapFull:     "bitmap full",
		DumpTypeBitmapKernel:   "bitmap kernel",
		DumpTypeAutomatic:      "automatic",
		DumpTypeLiveKernel:     "live kernel",
		DumpTypeLiveKernelUser: "live kernel and user",
		DumpTypeLiveComplete:   "live complete",
		DumpTypeUnset:          "unset",
		0:                      "unknown (0)",
		0xffffffff:             "unknown (4294967295)",
	}
	for dumpType, want := range names {
		assert.Equal(t, want, dumpType.String())
	}
}
