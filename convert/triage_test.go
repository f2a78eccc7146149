package convert_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/machine"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/convert/triage"
	"windmp/internal/guestsim"
	"windmp/kdbg"
	"windmp/physmem"
	"windmp/physmem/open"
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
	return convert.Options{Plan: plan.Options{Type: plan.OutputTriage, Size: size}}
}

// smallSample converts a sample.
func smallSample(t *testing.T, name string, opt convert.Options) (*small, *report.Report) {
	t.Helper()
	out, r := convertSample(t, name, opt)
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	return readSmall(t, b), r
}

// dumpGuest is what a full dump of a sample holds, as debuggers see it.
func dumpGuest(t *testing.T, name string) (*guest.Guest, *winhdr.Header) {
	t.Helper()
	out, _ := convertSample(t, name, convert.Options{Plan: plan.Options{Missing: report.MissingZero}})
	im, err := open.File(t.Context(), out, open.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = im.Close() })
	g, err := guest.Find(t.Context(), im, guest.Options{})
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
	i := slices.IndexFunc(g.Processors(), func(p guest.Processor) bool {
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

// TestSmallSizes: a budget is kept to the byte, whatever it is; below the floor none
// is made, and the floor is named.
func TestSmallSizes(t *testing.T) {
	t.Parallel()
	path := sample(t, "stack-trap-2cpu.vmcore.gz")
	_, r := smallSample(t, "stack-trap-2cpu.vmcore.gz", smallOptions(0))
	floor, most := r.Output.Triage.Floor, r.Output.Size
	assert.Greater(t, floor, int64(60<<10))
	last := int64(0)
	for size := floor; size < most+5000; size += 3331 {
		out := filepath.Join(t.TempDir(), "out.dmp")
		r, err := convert.File(t.Context(), path, out, smallOptions(size))
		require.NoError(t, err)
		b, err := os.ReadFile(out)
		require.NoError(t, err)
		readSmall(t, b)
		assert.LessOrEqual(t, int64(len(b)), size)
		assert.GreaterOrEqual(t, int64(len(b)), floor)
		left := findingOf(r, finding.TriageContents.ID())
		assert.Equal(t, size < most, left != nil, "%d: what has no room is said", size)
		last = int64(len(b))
	}
	assert.InDelta(t, most, last, 8, "the report in the dump states the limit, whose digits count")

	out := filepath.Join(t.TempDir(), "out.dmp")
	r, err := convert.File(t.Context(), path, out, smallOptions(floor-1))
	var refused *finding.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, finding.TriageFloor.ID(), refused.Finding.ID)
	assert.Contains(t, refused.Finding.Message, "at least")
	assert.Equal(t, "FAIL", r.Verdict)
	assert.NoFileExists(t, out)
}

// TestSmallUsage: what a small dump does not go together with.
func TestSmallUsage(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]plan.Options{
		"elf":       {Type: plan.OutputTriage, To: plan.FormatELF},
		"zeros":     {Type: plan.OutputTriage, Missing: report.MissingZero},
		"too large": {Type: plan.OutputTriage, Size: triage.MaxSize + 1},
		"negative":  {Type: plan.OutputTriage, Size: -1},
		"full":      {Type: plan.OutputFull, Size: 1 << 20},
	} {
		var usage *stage.UsageError
		require.ErrorAs(t, opt.Validate(), &usage, name)
	}
}

// TestSmallKeepsAProcess: memory of a process is in a small dump only where that is
// asked for, and only that of the shown processor.
func TestSmallKeepsAProcess(t *testing.T) {
	t.Parallel()
	const name = "live-2cpu-paging.vmcore.gz"
	users := func(s *small) (n int) {
		for at := range s.blocks() {
			if at < 1<<47 {
				n++
			}
		}
		return n
	}
	s, _ := smallSample(t, name, smallOptions(0))
	assert.Zero(t, users(s))

	opt := smallOptions(0)
	opt.Plan.KeepProcesses = []uint64{4}
	s, r := smallSample(t, name, opt)
	assert.EqualValues(t, 4, r.Output.Triage.Process)
	assert.NotNil(t, findingOf(r, finding.TriageUser.ID()))
	assert.InDelta(t, 4, field(t, s.inside(), "output", "triage", "process"), 0)

	opt.Plan.KeepProcesses = []uint64{4711}
	_, err := convert.File(t.Context(), sample(t, name), filepath.Join(t.TempDir(), "out.dmp"), opt)
	var usage *stage.UsageError
	require.ErrorAs(t, err, &usage)
	assert.Contains(t, usage.Reason, "4711")
}

// TestSmallOfLess: pages that the source lacks refuse no small dump, but those without
// which debuggers reject it.
func TestSmallOfLess(t *testing.T) {
	t.Parallel()
	s, r := smallSample(t, "live-2cpu-cut.vmcore.gz", smallOptions(0))
	assert.NotEqual(t, "FAIL", r.Verdict)
	s.sameReport(r)

	g := guestsim.New(guestsim.Options{CPUs: 1, BugCheck: crash})
	ownTables(g)
	_, r, err := convertSim(t, g, smallOptions(0))
	require.NoError(t, err)
	require.NotNil(t, r.Output.Triage)
}

// TestSmallStream: a pipe gets the same bytes as a file, and a packed file holds them.
func TestSmallStream(t *testing.T) {
	t.Parallel()
	path := sample(t, "guest-bsod.vmcore")
	s, _ := smallSample(t, "guest-bsod.vmcore", smallOptions(0))
	var b bytes.Buffer
	_, err := convert.Stream(t.Context(), path, &b, smallOptions(0))
	require.NoError(t, err)
	assert.True(t, bytes.Equal(s.bytes, b.Bytes()))
	packed := filepath.Join(t.TempDir(), "out.dmp.gz")
	_, err = convert.File(t.Context(), path, packed, smallOptions(0))
	require.NoError(t, err)
	assert.True(t, bytes.Equal(s.bytes, ungzip(t, packed)))
	info, err := os.Stat(packed)
	require.NoError(t, err)
	if runtime.GOOS != "windows" { // which has no such modes
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

// TestSmallDryRun: what would go in is said, and nothing is written.
func TestSmallDryRun(t *testing.T) {
	t.Parallel()
	opt := smallOptions(0)
	opt.DryRun = true
	out := filepath.Join(t.TempDir(), "out.dmp")
	r, err := convert.File(t.Context(), sample(t, "guest-bsod.vmcore"), out, opt)
	require.NoError(t, err)
	assert.NotEmpty(t, r.Output.Triage.Contents)
	assert.Equal(t, "headers", r.Output.Triage.Contents[0].Kind)
	assert.NoFileExists(t, out)
	assert.True(t, slices.ContainsFunc(r.Output.Triage.Contents, func(p report.TriagePart) bool {
		return p.Kind == "stack" && p.Bytes > 0 && strings.Contains(p.What, "stack")
	}))
}

// TestSmallException: for 0x7E the exception's CONTEXT is shown, and the stack begins
// at the call that raised the bug check.
func TestSmallException(t *testing.T) {
	t.Parallel()
	g, full := dumpGuest(t, "guest-bsod.vmcore")
	s, _ := smallSample(t, "guest-bsod.vmcore", smallOptions(0))
	at := vtop.VA(full.BugCheckParameters[3])
	raw := memoryOf(t, g.Kernel(), at, full.Format().Registers.Size())
	c, err := full.Format().DecodeContext(raw)
	require.NoError(t, err)
	assert.Equal(t, c.IP(), s.Header.Context().IP())
	assert.Equal(t, c.SP(), s.Header.Context().SP())
	assert.LessOrEqual(t, s.Record.TopOfStack, c.SP())
	assert.Greater(t, s.Record.TopOfStack+uint64(s.Record.SizeOfCallStack), c.SP())
	exception := s.bytes[full.Format().Offset("Exception"):]
	assert.Equal(t, winhdr.StatusBreakpoint, binary.LittleEndian.Uint32(exception))
	assert.Equal(t, c.IP(), binary.LittleEndian.Uint64(exception[0x10:]))
}

// countingMemory counts the pages that are read of an image's file.
type countingMemory struct {
	physmem.Source
	pages map[int64]bool
}

func (c *countingMemory) ReadAt(p []byte, off int64) (int, error) {
	for at := off &^ 0xfff; at < off+int64(len(p)); at += 0x1000 {
		c.pages[at] = true
	}
	return c.Source.ReadAt(p, off)
}

// TestSmallReadsLittle: a small dump of 64 GiB reads no more of them than it holds, and
// what leads there.
func TestSmallReadsLittle(t *testing.T) {
	t.Parallel()
	core, _ := giantFiles(t)
	f, err := os.Open(core)
	require.NoError(t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(t, err)
	src := &countingMemory{physmem.NewSource("giant", f, info.Size()), map[int64]bool{}}
	im, err := open.Source(context.Background(), src, open.Options{})
	require.NoError(t, err)
	g, err := guest.Find(context.Background(), im, guest.Options{})
	require.NoError(t, err)
	p, err := plan.New(g, smallOptions(0).Plan)
	require.NoError(t, err)
	assert.Less(t, p.Size(), int64(1<<20))
	assert.Less(t, len(src.pages), 1000, "pages of 64 GiB")
}

// BenchmarkSmallGiant is the whole of it, from the file of 64 GiB to the small dump.
func BenchmarkSmallGiant(b *testing.B) {
	core, dmp := giantFiles(b)
	for name, path := range map[string]string{"core": core, "dump": dmp} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			out := filepath.Join(b.TempDir(), "out.dmp")
			opt := smallOptions(0)
			opt.Write.Force, opt.Write.NoSync = true, true
			for b.Loop() {
				if _, err := convert.File(b.Context(), path, out, opt); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestSmallStrict: that debuggers can't walk 5 levels of page tables is no warning of a
// dump that needs none, and --strict takes it; a warning of its own refuses it.
func TestSmallStrict(t *testing.T) {
	t.Parallel()
	opt := smallOptions(0)
	opt.Plan.Strict = true
	_, r := smallSample(t, "la57-1cpu.vmcore.gz", opt)
	assert.Equal(t, "OK", r.Verdict)
	assert.Nil(t, findingOf(r, finding.FiveLevels.ID()))
	_, err := convert.File(t.Context(), sample(t, "shadow-user-2cpu.vmcore.gz"), filepath.Join(t.TempDir(), "out.dmp"), opt)
	var refused *finding.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, finding.TriageLacks.ID(), refused.Finding.ID)
}

// TestSmallOfAThirdMachine: of a machine whose small dumps nobody described none is made.
func TestSmallOfAThirdMachine(t *testing.T) {
	t.Parallel()
	in := boxOf(t, guest3(make([]uint64, 5)), nil)
	opt := smallOptions(0)
	opt.Source.Input.Openers = []physmem.Opener{box}
	opt.Guest.Machines = append(machine.All(), third)
	_, err := convert.File(t.Context(), in, in+".dmp", opt)
	var usage *stage.UsageError
	require.ErrorAs(t, err, &usage)
	assert.Contains(t, usage.Reason, "machine third")
}
