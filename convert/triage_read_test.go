package convert_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/kdbg"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr/triagefile"
)

// triageFile writes a triage dump into a file.
func triageFile(t *testing.T, b []byte) source.Input {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.dmp")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return source.File(path)
}

// openTriage is the guest of a triage dump.
func openTriage(tb testing.TB, b []byte) *guest.Triage {
	tb.Helper()
	h, ok := guest.IsTriage(b)
	require.True(tb, ok)
	g, err := guest.OpenTriage(tb.Context(), h, bytes.NewReader(b), int64(len(b)))
	require.NoError(tb, err)
	return g
}

// TestInfoOfTriageDump: what info says of a triage dump is what it says of the dump
// with all memory that it was made of.
func TestInfoOfTriageDump(t *testing.T) {
	t.Parallel()
	for _, s := range triageSamples {
		full := winDump(t, s.sample)
		want, err := inspect.Info(t.Context(), source.Reader("", bytes.NewReader(full), int64(len(full))), inspect.InfoOptions{Modules: true})
		require.NoError(t, err)
		got, err := inspect.Info(t.Context(), triageFile(t, triageOf(t, full).b), inspect.InfoOptions{Modules: true, Processes: true})
		require.NoError(t, err)
		assert.Equal(t, "triage", got.Dump.Type)
		assert.Equal(t, want.Bug.Code, got.Bug.Code, s.name)
		assert.Equal(t, want.Bug.Parameters, got.Bug.Parameters)
		assert.Equal(t, want.System.BuildLab, got.System.BuildLab)
		assert.Zero(t, got.System.PagingLevels)
		assert.Equal(t, want.ModuleCount, got.ModuleCount)
		for i, m := range want.Modules {
			got := got.Modules[i]
			// By the file's name, which of 32-bit kernels is not that in the loader's list.
			assert.Equal(t, []any{m.Base, m.Size, m.Timestamp}, []any{got.Base, got.Size, got.Timestamp}, s.name)
			assert.Regexp(t, `^\w+\.\w+$`, got.Name)
		}
		require.Len(t, got.Unloaded, 1)
		assert.Equal(t, "dump_storpor", got.Unloaded[0].Name)

		require.NotNil(t, got.Triage)
		require.GreaterOrEqual(t, got.Triage.Processor, 0)
		cpu := got.CPUs[len(got.CPUs)-1]
		assert.Equal(t, got.Triage.Processor, cpu.Index)
		assert.Equal(t, report.FromSaved, cpu.Source)
		assert.Equal(t, want.CPUs[cpu.Index].IP, cpu.IP)
		assert.Equal(t, want.CPUs[cpu.Index].SP, cpu.SP)
		assert.NotZero(t, got.Triage.Thread)
		assert.NotZero(t, got.Triage.Process)
		assert.Equal(t, want.Signature == nil, got.Signature == nil, s.name)
	}
}

// TestSymbolsOfTriageDump: the image's keys come from the list of drivers.
func TestSymbolsOfTriageDump(t *testing.T) {
	t.Parallel()
	r, err := inspect.Symbols(t.Context(), triageFile(t, triageOf(t, winDump(t, "guest-bsod")).b), inspect.SymbolsOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, r.Modules)
	for _, m := range r.Modules {
		assert.Regexp(t, `^[\w.]+/[0-9A-F]{8}[0-9a-f]+/[\w.]+$`, m.ImageKey)
	}
}

// TestTriageDumpIsNoImage: what needs the machine's memory refuses it, and says who
// does not.
func TestTriageDumpIsNoImage(t *testing.T) {
	t.Parallel()
	in := triageFile(t, triageOf(t, winDump(t, "guest-bsod")).b)
	_, err := convert.File(context.Background(), in.Path(), in.Path()+".out", convert.Options{})
	require.ErrorIs(t, err, physmem.ErrUnsupported)
	require.ErrorContains(t, err, "check, info, symbols and stack")
	_, err = inspect.Walk(t.Context(), in, []uint64{0xfffff80041c00000}, inspect.WalkOptions{})
	require.ErrorIs(t, err, physmem.ErrUnsupported)
}

// TestTriageMemory: pieces are read where they are, those that come first win, and
// what is not there says nothing of the guest.
func TestTriageMemory(t *testing.T) {
	t.Parallel()
	for _, s := range triageSamples {
		base := triageOf(t, winDump(t, s.sample))
		d := base.clone()
		// The block over the stack loses, as in the engine.
		_, offset, size := d.blockAt(1)
		d.block(1, d.r.TopOfStack, offset, size)
		g := openTriage(t, d.b)
		space := g.Memory().Space
		got := make([]byte, d.r.SizeOfCallStack)
		_, err := space.ReadVirtual(got, vtop.VA(d.r.TopOfStack))
		require.NoError(t, err)
		assert.Equal(t, d.b[d.r.CallStackOffset:][:d.r.SizeOfCallStack], got, s.name)
		_, err = space.ReadVirtual(got[:1], vtop.VA(d.r.TopOfStack)+vtop.VA(size))
		require.ErrorIs(t, err, physmem.ErrNotInImage)
		require.NotErrorIs(t, err, vtop.ErrNotMapped)
		require.ErrorContains(t, err, "not in the dump")

		// The processor's part, where debuggers have it.
		prcb := vtop.VA(d.f.Triage.Prcb)
		number, err := space.Uint16(prcb + vtop.VA(g.Kernel().Data.OffsetPrcbNumber))
		require.NoError(t, err)
		i, ok := guest.OfProcessor(g.Guest)
		require.True(t, ok)
		assert.EqualValues(t, i, number)
		assert.Equal(t, d.r.TopOfStack, g.Processors()[i].Saved.SP())
		assert.Nil(t, g.Image())
		assert.Empty(t, g.VCPUs())
		assert.False(t, g.Complete())
		assert.NotZero(t, g.Current.DirectoryTable)
	}
}

// TestTriageNotExtended: the engine does not find a block whose address of 32 bits is
// not sign-extended.
func TestTriageNotExtended(t *testing.T) {
	t.Parallel()
	d := triageOf(t, winDump(t, "x86-bsod-2cpu"))
	address, offset, size := d.blockAt(1)
	va := vtop.VA(address & 0xffffffff)
	_, err := openTriage(t, d.b).Memory().Space.Uint32(va)
	require.NoError(t, err)
	d.block(1, uint64(va), offset, size)
	_, err = openTriage(t, d.b).Memory().Space.Uint32(va)
	require.ErrorContains(t, err, "not in the dump")
	f := checkBytes(d.b, inspect.CheckQuick)
	assert.Equal(t, "WARN", f.Verdict)
	assert.Contains(t, f.Reason, "1 have addresses")
}

// failingAt is a file of which no byte from an offset on can be read.
type failingAt struct {
	b  []byte
	at int64
}

var errDisk = errors.New("the disk is gone")

func (f failingAt) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.at {
		return 0, errDisk
	}
	return bytes.NewReader(f.b).ReadAt(p, off)
}

// TestTriageReadFailure: a file that can't be read is no dump that lacks something.
func TestTriageReadFailure(t *testing.T) {
	t.Parallel()
	d := triageOf(t, winDump(t, "guest-bsod"))
	h, ok := guest.IsTriage(d.b)
	require.True(t, ok)
	for at := int64(h.Size()); at < int64(d.r.DataBlocksOffset); at += 0x333 {
		_, err := guest.OpenTriage(t.Context(), h, failingAt{d.b, at}, int64(len(d.b)))
		require.ErrorIs(t, err, errDisk, at)
	}
	r, err := inspect.Check(t.Context(), inspect.CheckOptions{}, source.Reader("", failingAt{d.b, int64(d.r.PrcbOffset)}, int64(len(d.b))))
	require.NoError(t, err)
	assert.Equal(t, "UNKNOWN", r.Files[0].Verdict)
	require.ErrorIs(t, r.Files[0].Err, errDisk)
}

// TestTriageCutInItsRecord: what ends before a triage dump's record does is said, by
// info as by check, whatever the rest of the header says.
func TestTriageCutInItsRecord(t *testing.T) {
	t.Parallel()
	for _, sample := range []string{"guest-bsod", "x86-bsod-2cpu"} {
		d := triageOf(t, winDump(t, sample))
		h, ok := guest.IsTriage(d.b)
		require.True(t, ok)
		for _, more := range []int64{0, 1, 0x53} {
			b := d.b[:int64(h.Size())+more]
			r, err := inspect.Info(t.Context(), triageFile(t, b), inspect.InfoOptions{Modules: true, Processes: true})
			var refused *finding.RefusedError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, "triage", r.Dump.Type)
			assert.Equal(t, "FAIL", checkBytes(b, inspect.CheckQuick).Verdict)
		}
		_, err := inspect.Info(t.Context(), source.Reader("", failingAt{d.b, int64(d.r.DataBlocksOffset)}, int64(len(d.b))), inspect.InfoOptions{})
		require.ErrorIs(t, err, errDisk)
	}
}

// TestTriageOf32BitCode: the engine opens a dump whose CONTEXT has the code segment of
// a 32-bit process, and says that it is partially valid.
func TestTriageOf32BitCode(t *testing.T) {
	t.Parallel()
	d := triageOf(t, winDump(t, "live-2cpu"))
	f, _ := d.f.Header.Field("Context")
	binary.LittleEndian.PutUint16(d.b[f.Offset+0x38:], 0x23) // SegCs
	binary.LittleEndian.PutUint16(d.b[f.Offset+0x42:], 0x2b) // SegSs
	c := checkBytes(d.b, inspect.CheckQuick)
	assert.Equal(t, "WARN", c.Verdict)
	assert.Contains(t, c.Reason, "code segment")
}

// TestTriageProcessName: the name stands at one of the places that it has had.
func TestTriageProcessName(t *testing.T) {
	t.Parallel()
	d := triageOf(t, winDump(t, "guest-bsod"))
	peb := binary.LittleEndian.Uint16(d.kdbg[0x2aa:])
	for _, distance := range kdbg.X64.Process.NameFromPeb {
		c := d.clone()
		for _, other := range kdbg.X64.Process.NameFromPeb {
			clear(c.b[int(c.r.ProcessOffset)+int(peb)+other:][:15])
		}
		copy(c.b[int(c.r.ProcessOffset)+int(peb)+distance:], "svchost.exe\x00")
		assert.Equal(t, "svchost.exe", openTriage(t, c.b).ProcessName(), distance)
	}
}

// TestSecondaryData: blobs are listed.
func TestSecondaryData(t *testing.T) {
	t.Parallel()
	d := triageOf(t, winDump(t, "guest-bsod"))
	d.b = append(d.b, secondary(4)...)
	r, err := inspect.Info(t.Context(), triageFile(t, d.b), inspect.InfoOptions{})
	require.NoError(t, err)
	assert.Equal(t, []inspect.SecondaryReport{{Tag: "00000007-0000-0000-0000-000000000000", Offset: uint64(len(d.b) - 4), Size: 4}}, r.Triage.Secondary)
}

// TestRealTriageDumps: those that Windows wrote are OK. WINDMP_TRIAGE is a folder of
// them.
func TestRealTriageDumps(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("WINDMP_TRIAGE")
	if dir == "" {
		t.Skip("WINDMP_TRIAGE names no folder of triage dumps that Windows wrote")
	}
	list, err := filepath.Glob(filepath.Join(dir, "*.dmp"))
	require.NoError(t, err)
	require.NotEmpty(t, list)
	for _, path := range list {
		if st, err := os.Stat(path); err != nil || st.Size() == 0 {
			continue
		}
		f := checkFile(t.Context(), path, inspect.CheckOptions{})
		assert.Equal(t, "OK", f.Verdict, "%s: %s", path, f.Reason)
		r, err := inspect.Info(t.Context(), source.File(path), inspect.InfoOptions{Modules: true})
		require.NoError(t, err, path)
		assert.Greater(t, r.ModuleCount, 50, path)
		assert.Equal(t, "ntoskrnl.exe", r.Modules[0].Name)
		assert.NotEmpty(t, r.Triage.ProcessName, path)
		assert.NotNil(t, r.Signature, path)
	}
}

// FuzzTriageGuest opens damaged triage dumps: a verdict comes, in bounded time, and
// what the engine wants is either there or said.
func FuzzTriageGuest(f *testing.F) {
	var bases []*triageDump
	for _, s := range triageSamples[:2] {
		bases = append(bases, triageOf(f, winDump(f, s.sample)))
	}
	f.Add(uint8(0), uint32(0x2004), uint64(0))
	f.Add(uint8(0), uint32(0x2078), uint64(0xffffffff00000040))
	f.Add(uint8(1), uint32(0x1060), uint64(0xffffffff))
	f.Add(uint8(1), uint32(0x10d0), uint64(0x1000))
	f.Fuzz(func(t *testing.T, which uint8, at uint32, v uint64) {
		d := bases[int(which)%len(bases)].clone()
		binary.LittleEndian.PutUint64(d.b[int64(at)%int64(len(d.b)-8):], v)
		r, err := inspect.Check(t.Context(), inspect.CheckOptions{}, source.Reader("", bytes.NewReader(d.b), int64(len(d.b))))
		require.NoError(t, err)
		c := r.Files[0]
		require.NotErrorIs(t, c.Err, io.ErrUnexpectedEOF)
		h, ok := guest.IsTriage(d.b)
		if !ok {
			return
		}
		g, err := guest.OpenTriage(t.Context(), h, bytes.NewReader(d.b), int64(len(d.b)))
		if err != nil {
			require.ErrorAs(t, err, new(*triagefile.Error))
			return
		}
		require.LessOrEqual(t, len(g.Modules()), triagefile.MaxDrivers)
		if c.Verdict == "OK" {
			_, known := guest.OfProcessor(g.Guest)
			require.True(t, known && g.Kernel() != nil && len(g.Modules()) > 0)
		}
	})
}
