package winhdr

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goodHeader returns a header that Check has nothing against.
func goodHeader() *Header64 {
	b := make([]byte, Size64)
	PageFill(b)
	h, _ := Decode64(b)
	h.ValidDump = ValidDumpDU64
	h.MajorVersion = 0xf
	h.MinorVersion = 19041
	h.DirectoryTableBase = 0x1ad000
	h.PfnDataBase = 0xfffff8000a4fc508
	h.PsLoadedModuleList = 0xfffff8000a42a2d0
	h.PsActiveProcessHead = 0xfffff8000a41e0c0
	h.MachineImageType = MachineAMD64
	h.NumberProcessors = 2
	h.BugCheckCode = BugCheckLiveSystemDump
	h.KdDebuggerDataBlock = 0xfffff8000a400b20
	h.PhysicalMemory.NumberOfRuns = 2
	h.PhysicalMemory.NumberOfPages = 0x1f7e
	h.PhysicalMemory.Run[0] = PhysicalMemoryRun64{0x1, 0x9e}
	h.PhysicalMemory.Run[1] = PhysicalMemoryRun64{0x100, 0x1ee0}
	h.DumpType = DumpTypeFull
	h.SystemTime = 0x01d9c0ffee000000
	return h
}

func TestDecodeReadsWhereTheFileHasIt(t *testing.T) {
	t.Parallel()
	b := make([]byte, Size64)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	h, err := Decode64(b)
	require.NoError(t, err)
	le := binary.LittleEndian
	assert.Equal(t, le.Uint32(b[0:]), h.Signature)
	assert.Equal(t, le.Uint64(b[0x10:]), h.DirectoryTableBase)
	assert.Equal(t, le.Uint64(b[0x58:]), h.BugCheckParameters[3])
	assert.Equal(t, le.Uint64(b[0x98+41*16+8:]), h.PhysicalMemory.Run[41].PageCount)
	assert.Equal(t, le.Uint64(b[0x348+0xf8:]), h.Context.Rip)
	assert.Equal(t, le.Uint64(b[0x348+0x290:]), h.Context.FltSave.XmmRegisters[15].Low)
	assert.Equal(t, le.Uint64(b[0xf90:]), h.Exception.ExceptionInformation[14])
	assert.Equal(t, DumpType(le.Uint32(b[0xf98:])), h.DumpType)
	assert.Equal(t, le.Uint32(b[0x1054:]), h.BootID)
	assert.Equal(t, b[0x1058:], h.Reserved[:])
}

func TestEncodeIsDecodesInverse(t *testing.T) {
	t.Parallel()
	random := make([]byte, Size64)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(random)
	filled := make([]byte, Size64)
	PageFill(filled)
	for name, b := range map[string][]byte{
		"random": random,
		"filled": filled,
		"zero":   make([]byte, Size64),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := bytes.Clone(b)
			h, err := Decode64(b)
			require.NoError(t, err)
			assert.Equal(t, before, h.Encode())
			assert.Equal(t, before, b, "the input is left alone")

			c, err := DecodeContext64(b[0x348 : 0x348+ContextSize64])
			require.NoError(t, err)
			assert.Equal(t, h.Context, *c)
			assert.Equal(t, b[0x348:0x348+ContextSize64], c.Encode())
		})
	}
}

func TestDecodeWantsTheExactSize(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 0x1000, Size64 - 1, Size64 + 1} {
		h, err := Decode64(make([]byte, size))
		assert.Nil(t, h)
		var sizeErr *SizeError
		require.ErrorAs(t, err, &sizeErr)
		assert.Equal(t, SizeError{"dump header", size, Size64}, *sizeErr)
	}
	c, err := DecodeContext64(make([]byte, ContextSize64+8))
	assert.Nil(t, c)
	require.EqualError(t, err, "context: got 0x4d8 bytes, want 0x4d0")
}

func TestSettingAFieldChangesOnlyIt(t *testing.T) {
	t.Parallel()
	b := goodHeader().Encode()
	h, err := Decode64(b)
	require.NoError(t, err)
	h.RequiredDumpSpace = 0x0102030405060708
	binary.LittleEndian.PutUint64(b[0xfa0:], 0x0102030405060708)
	assert.Equal(t, b, h.Encode())
}

func TestPageFill(t *testing.T) {
	t.Parallel()
	b := make([]byte, 10)
	PageFill(b)
	assert.Equal(t, "PAGEPAGEPA", string(b))
	PageFill(nil)
	assert.Equal(t, Fill, binary.LittleEndian.Uint32(b))
	assert.Equal(t, Fill64, binary.LittleEndian.Uint64(b))
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
		0:                      "unknown (0x0)",
		0xffffffff:             "unknown (0xffffffff)",
	}
	for dumpType, want := range names {
		assert.Equal(t, want, dumpType.String())
	}
	flags := map[ContextFlags]string{
		0x10001f:            "AMD64|CONTROL|INTEGER|SEGMENTS|FLOATING_POINT|DEBUG_REGISTERS",
		0x100007:            "AMD64|CONTROL|INTEGER|SEGMENTS",
		ContextControl:      "AMD64|CONTROL",
		ContextAMD64 | 0x40: "AMD64|0x40",
		0x10007:             "CONTROL|INTEGER|SEGMENTS|0x10000",
		0:                   "0x0",
	}
	for f, want := range flags {
		assert.Equal(t, want, f.String())
	}
	assert.Equal(t, "0x10001f", hex(ContextQEMU), "WIN_CTX64_ALL of QEMU's win_dump_defs.h")
}
