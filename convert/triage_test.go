package convert_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/processor"
	"windmp/convert/report"
	"windmp/convert/triage"
	"windmp/convert/write"
	"windmp/kdbg"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/triagefile"
)

// small is a triage dump that was read back.
type small struct {
	*triagefile.File
	t     *testing.T
	bytes []byte
}

// readSmall reads a triage dump.
func readSmall(t *testing.T, b []byte) *small {
	t.Helper()
	h, err := winhdr.Decode(b)
	require.NoError(t, err)
	require.Equal(t, winhdr.DumpTypeTriage, h.DumpType)
	assert.EqualValues(t, len(b), h.RequiredDumpSpace)
	f, err := triagefile.Read(h, bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	complete, err := f.Complete()
	require.NoError(t, err)
	require.True(t, complete)
	return &small{f, t, b}
}

// blocks are the data blocks by address, as the machine's pointers have it.
func (s *small) blocks() map[uint64][]byte {
	s.t.Helper()
	list, err := s.Blocks()
	require.NoError(s.t, err)
	out := map[uint64][]byte{}
	for _, b := range list {
		at := b.Address & (^uint64(0) >> (64 - 8*s.Header.Format().PointerSize))
		require.NotContains(s.t, out, at)
		out[at] = s.bytes[b.Offset:][:b.Size]
	}
	return out
}

// holds tells whether an address is in a data block.
func (s *small) holds(va uint64) bool {
	s.t.Helper()
	for at, b := range s.blocks() {
		if at <= va && va-at < uint64(len(b)) {
			return true
		}
	}
	return false
}

// at is a part of the file.
func (s *small) at(offset, size uint32) []byte { return s.bytes[offset:][:size] }

// inside is the report that travels in it, as JSON reads it.
func (s *small) inside() map[string]any {
	s.t.Helper()
	blobs, err := s.File.Blobs()
	require.NoError(s.t, err)
	require.Len(s.t, blobs, 1)
	require.Equal(s.t, report.InsideTag, blobs[0].Tag)
	var r map[string]any
	require.NoError(s.t, json.Unmarshal(s.at(uint32(blobs[0].Offset), blobs[0].Size), &r))
	return r
}

// asJSON is a value as JSON reads it.
func asJSON(t *testing.T, v any) (out any) {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &out))
	return out
}

// field is what stands at a path in a document.
func field(t *testing.T, document map[string]any, path ...string) any {
	t.Helper()
	var at any = document
	for _, name := range path {
		object, ok := at.(map[string]any)
		require.True(t, ok, name)
		at = object[name]
	}
	return at
}

// smallOptions ask for a small dump.
func smallOptions(size int64) convert.Options {
	return convert.Options{Plan: plan.Options{Type: plan.OutputTriage, Size: size}, Write: write.Options{NoSync: true}}
}

// smallSample converts a sample.
func smallSample(t *testing.T, name string, opt convert.Options) (*small, *report.Report) {
	t.Helper()
	b, r := convertSample(t, name, opt)
	return readSmall(t, b), r
}

// dumpGuest is what a full dump of a sample holds, as debuggers see it.
func dumpGuest(t *testing.T, name string) (*guest.Guest, *winhdr.Header) {
	t.Helper()
	full, _ := convertSample(t, name, convert.Options{Plan: plan.Options{Missing: report.MissingZero}})
	g, err := guest.Find(t.Context(), openBytes(t, full), guest.Options{})
	require.NoError(t, err)
	h := g.Header()
	return g, h
}

// smallSamples are samples, of x64 and x86, crashed and live, with 4 and 5 levels, and
// whether their small dump shows the CONTEXT of an exception.
var smallSamples = map[string]bool{
	"guest-bsod.vmcore": true, "stack-trap-2cpu.vmcore.gz": false, "live-2cpu-paging.vmcore.gz": false,
	"la57-1cpu.vmcore.gz": false, "encoded-2cpu.vmcore.gz": false, "shadow-user-2cpu.vmcore.gz": false,
	"swapcpu-3cpu.vmcore.gz": false, "x86-nopae-2cpu.vmcore.gz": true, "x86-live-2cpu-paging.vmcore.gz": false,
}

// TestSmallIsTheFullDump: header, registers, modules, thread, process and all memory of
// a small dump are those of the full dump of the same guest, at any size; and it has
// no address of the user's half.
func TestSmallIsTheFullDump(t *testing.T) {
	t.Parallel()
	for name, exception := range smallSamples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, full := dumpGuest(t, name)
			for _, size := range []int64{0, 124 << 10} {
				s, r := smallSample(t, name, smallOptions(size))
				assert.LessOrEqual(t, int64(len(s.bytes)), r.Output.Triage.Limit)
				assert.Equal(t, int64(len(s.bytes)), r.Output.Size)
				s.sameHeader(full, exception)
				s.sameParts(g)
				s.sameMemory(g)
				s.sameReport(r)
			}
		})
	}
}

// sameHeader compares with the full dump's.
func (s *small) sameHeader(full *winhdr.Header, exception bool) {
	s.t.Helper()
	h := s.Header
	code := full.BugCheckCode
	if exception {
		code |= 0x10000000
	} else {
		assert.Equal(s.t, full.Context(), h.Context())
	}
	assert.Equal(s.t, code, h.BugCheckCode)
	assert.Equal(s.t, full.BugCheckParameters, h.BugCheckParameters)
	assert.Equal(s.t, full.KdDebuggerDataBlock, h.KdDebuggerDataBlock)
	assert.Equal(s.t, full.PsLoadedModuleList, h.PsLoadedModuleList)
	assert.Equal(s.t, full.NumberProcessors, h.NumberProcessors)
	assert.Equal(s.t, full.SystemTime, h.SystemTime)
	assert.Equal(s.t, full.MinorVersion, h.MinorVersion)
}

// sameParts compares what has a place of its own.
func (s *small) sameParts(g *guest.Guest) {
	s.t.Helper()
	k, rec := g.Kernel(), &s.Record
	d := &k.Data
	assert.Equal(s.t, k.Raw, s.at(rec.DebuggerDataOffset, rec.DebuggerDataSize))
	prcb := s.at(rec.PrcbOffset, uint32(d.SizePrcb))
	i := slices.IndexFunc(g.Processors(), func(p processor.Processor) bool {
		return bytes.Equal(prcb, memoryOf(s.t, k, p.PRCB, int(d.SizePrcb)))
	})
	require.GreaterOrEqual(s.t, i, 0, "the KPRCB is a processor's")
	current, err := k.CurrentProcess(g.Processors()[i].PRCB)
	require.NoError(s.t, err)
	assert.Equal(s.t, memoryOf(s.t, k, current.Process, int(d.SizeEProcess)), s.at(rec.ProcessOffset, uint32(d.SizeEProcess)))
	assert.Equal(s.t, memoryOf(s.t, k, current.Thread, int(d.SizeEThread)), s.at(rec.ThreadOffset, uint32(d.SizeEThread)))
	if d.SizeEThread == 0 {
		assert.True(s.t, s.holds(uint64(current.Thread)), "a thread of unknown size is in a data block")
	}

	drivers, err := s.Drivers()
	require.NoError(s.t, err)
	modules := g.Modules()
	require.Len(s.t, drivers, len(modules))
	for i, m := range modules {
		timestamp, checkSum := k.ModuleStamp(&m, s.Header.MinorVersion)
		want := triagefile.Driver{
			Name: m.FullName, DllBase: uint64(m.Base), EntryPoint: uint64(m.EntryPoint), SizeOfImage: m.Size, CheckSum: checkSum, TimeDateStamp: timestamp,
			ExceptionTable: uint64(m.Functions), ExceptionTableSize: uint64(m.FunctionsSize),
		}
		assert.Equal(s.t, want, drivers[i].Driver)
		assert.NotZero(s.t, timestamp)
	}
}

// memoryOf reads the guest's.
func memoryOf(t *testing.T, k *kdbg.Kernel, va vtop.VA, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	_, err := k.Space.ReadVirtual(b, va)
	require.NoError(t, err)
	return b
}

// sameMemory holds stack and data blocks against the full dump's memory.
func (s *small) sameMemory(g *guest.Guest) {
	s.t.Helper()
	k := g.Kernel()
	blocks := s.blocks()
	stack := s.at(s.Record.CallStackOffset, s.Record.SizeOfCallStack)
	pieces := map[vtop.VA][]byte{vtop.VA(s.Record.TopOfStack): stack}
	for at, b := range blocks {
		pieces[vtop.VA(at)] = b
	}
	for at, b := range pieces {
		if len(b) > 0 {
			require.True(s.t, k.IsKernel(at), "%v is none of the kernel's addresses", at)
			require.Equal(s.t, memoryOf(s.t, k, at, len(b)), b, "memory at %v", at)
		}
	}
}

// sameReport: the report counts every byte, and travels inside without names of files.
func (s *small) sameReport(r *report.Report) {
	s.t.Helper()
	var total uint64
	for _, p := range r.Output.Triage.Contents {
		total += p.Bytes
	}
	assert.EqualValues(s.t, len(s.bytes), total)
	inside := s.inside()
	assert.Equal(s.t, "windmp/triage/v1", inside["schema"])
	assert.Equal(s.t, asJSON(s.t, r.Output.Triage), field(s.t, inside, "output", "triage"))
	assert.InDelta(s.t, r.Output.Size, field(s.t, inside, "output", "size"), 0)
	assert.Equal(s.t, asJSON(s.t, r.Guest), inside["guest"])
	assert.Empty(s.t, field(s.t, inside, "input", "path"))
	assert.NotContains(s.t, string(s.bytes), filepath.Base(r.Input.Path))
}

// TestSmallWalks: what walks the stack is in it: whole exception directories, and code
// at each frame.
func TestSmallWalks(t *testing.T) {
	t.Parallel()
	s, r := smallSample(t, "stack-trap-2cpu.vmcore.gz", smallOptions(0))
	inside := s.inside()
	assert.Contains(t, field(t, inside, "guest", "signature", "text"), "0xd1!sprocket+0x")
	assert.Equal(t, true, field(t, inside, "stack", "complete"))
	frames, ok := field(t, inside, "stack", "frames").([]any)
	require.True(t, ok)
	assert.Greater(t, len(frames), 10)
	for i := range frames {
		frame, ok := frames[i].(map[string]any)
		require.True(t, ok)
		text, ok := frame["pc"].(string)
		require.True(t, ok)
		pc, err := strconv.ParseUint(text, 0, 64)
		require.NoError(t, err)
		assert.True(t, s.holds(pc), "the code at %#x", pc)
	}
	for i := range r.Output.Triage.Contents {
		if p := &r.Output.Triage.Contents[i]; p.Kind == string(triage.UnwindData) {
			assert.Zero(t, p.LeftOut)
			assert.NotZero(t, p.Pieces)
		}
	}
}
