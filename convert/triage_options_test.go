package convert_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/convert/triage"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/vtop"
	"windmp/winhdr"
)

// TestSmallSizes: a budget is kept to the byte, whatever it is; below the floor none
// is made, and the floor is named.
func TestSmallSizes(t *testing.T) {
	t.Parallel()
	path := sample(t, "stack-trap-2cpu.vmcore.gz")
	_, r := smallSample(t, "stack-trap-2cpu.vmcore.gz", smallOptions(0))
	floor, most := r.Output.Triage.Floor, r.Output.Size
	assert.Greater(t, floor, int64(60<<10))
	step := int64(3331)
	if testing.Short() {
		step *= 3 // all take over a second
	}
	last := int64(0)
	for size := floor; size < most+step; size += step {
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
	_, err := convert.Stream(t.Context(), source.Named(path), &b, smallOptions(0))
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
	p, err := plan.New(t.Context(), g, smallOptions(0).Plan)
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
