package convert_test

import (
	"bytes"
	"encoding/binary"
	"os"

	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
	"windmp/winhdr"
)

// listedIn is the table of memory of a dump's header.
func listedIn(t *testing.T, dmp []byte) physmem.Runs {
	t.Helper()
	h, err := winhdr.Decode(dmp)
	require.NoError(t, err)
	runs, problems := h.Runs()
	require.Empty(t, problems)
	return runs
}

// TestCasesRuns: the kernel's own table of memory decides.
func TestCasesRuns(t *testing.T) {
	t.Parallel()
	small := physmem.Runs{{BasePage: 1, PageCount: 0x9e}, {BasePage: 0x100, PageCount: 0x2e0}}
	plugged := append(slices.Clone(small), physmem.Run{BasePage: 0x100000, PageCount: 0x200})
	for name, want := range map[string]physmem.Runs{"N01.elf": plugged, "N03.elf": small, "K09.elf": plugged} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dmp, r := convertCase(t, name)
			assert.Equal(t, "WARN", r.Verdict)
			assert.NotNil(t, findingOf(r, finding.RunsReplaced.ID()))
			assert.Nil(t, findingOf(r, finding.EditOutside.ID()), "the registers of all processors are written")
			assert.Equal(t, want, listedIn(t, dmp))
			for _, c := range r.Processors {
				assert.Equal(t, c.VCPU, c.Index)
				assert.NotZero(t, c.IP)
			}
			f := checkFile(t.Context(), caseFile(t, name), inspect.CheckOptions{})
			assert.Equal(t, "WARN", f.Verdict, "check says so before")
			assert.Equal(t, findingOf(r, finding.RunsReplaced.ID()).Message, f.Reason)
		})
	}
	t.Run("M03.elf", func(t *testing.T) {
		t.Parallel()
		im, err := open.File(t.Context(), caseFile(t, "M03.elf"), open.Options{})
		require.NoError(t, err)
		defer im.Close()
		g, err := guest.Find(t.Context(), im, guest.Options{})
		require.NoError(t, err)
		assert.Len(t, g.Runs(), 1503)
		for _, f := range g.Findings() {
			assert.NotEqual(t, finding.MemoryGuessed.ID(), f.ID)
		}
		_, err = plan.New(g, plan.Options{})
		require.NoError(t, err)
	})
	t.Run("K08.dmp", func(t *testing.T) {
		t.Parallel()
		f := checkFile(t.Context(), caseFile(t, "K08.dmp"), inspect.CheckOptions{})
		assert.Equal(t, "WARN", f.Verdict)
		assert.Equal(t, "*MmPhysicalMemoryBlock lists 512 pages that the dump lacks", f.Reason)
	})
}

// badTables are what becomes of a header's table of memory, of a form in which
// NumberOfRuns stands at n, and each number takes size bytes.
var badTables = map[string]func(table []byte, size int){
	"one run less":    func(b []byte, _ int) { b[0]-- },
	"one run":         func(b []byte, _ int) { binary.LittleEndian.PutUint32(b, 1) },
	"never set":       func(b []byte, _ int) { winhdr.PageFill(b) },
	"zeros":           func(b []byte, _ int) { clear(b) },
	"too many":        func(b []byte, _ int) { binary.LittleEndian.PutUint32(b, 200) },
	"2^32 runs":       func(b []byte, _ int) { binary.LittleEndian.PutUint32(b, 0xffffffff) },
	"a run wraps":     func(b []byte, n int) { copy(b[3*n:4*n], bytes.Repeat([]byte{0xff}, n)) },
	"a run elsewhere": func(b []byte, n int) { b[4*n]++ },
	"a longer run":    func(b []byte, n int) { b[3*n]++ },
	"a shorter run":   func(b []byte, n int) { b[3*n]-- },
}

// tableOf is the table of memory in a header.
func tableOf(t *testing.T, header []byte) ([]byte, int) {
	t.Helper()
	s := shapeOf(t, header)
	return header[s.runs:s.improved[0].offset], int(s.runSize / 2)
}

// equalDumps asserts that two dumps are the same byte for byte.
func equalDumps(t *testing.T, want, got []byte) {
	t.Helper()
	require.Len(t, got, len(want))
	if !bytes.Equal(want, got) {
		at := slices.IndexFunc(want, func(byte) bool { return false })
		for i := range want {
			if want[i] != got[i] {
				at = i
				break
			}
		}
		assert.Failf(t, "the dumps differ", "first at %#x: want %#x, got %#x", at, want[at], got[at])
	}
}

// TestKernelsTableDecides: whatever the header's table has become, the dump is that of
// the guest with a good one, and it is said.
func TestKernelsTableDecides(t *testing.T) {
	t.Parallel()
	cores := map[string][]byte{
		"x86-live-2cpu":  gunzip(t, samplePath("x86-live-2cpu-paging.vmcore.gz")),
		"x86-nopae-2cpu": gunzip(t, samplePath("x86-nopae-2cpu.vmcore.gz")),
		"live-paging":    gunzip(t, samplePath("live-2cpu-paging.vmcore.gz")),
	}
	for name, opt := range map[string]guestsim.Options{
		"plain":   {CPUs: 2},
		"encoded": {CPUs: 3, Encoded: true, BugCheck: crash, Build: 26100},
		"odd":     {Odd: true, LA57: true, Seed: 7, VGA: true},
		"9600":    {Build: 9600, BugCheck: crash},
	} {
		cores[name] = guestsim.New(opt).ELF()
	}
	for name, core := range cores {
		want, _, err := convertBytes(t, core, convert.Options{})
		require.NoError(t, err)
		for what, change := range badTables {
			t.Run(name+", "+what, func(t *testing.T) {
				t.Parallel()
				b := bytes.Clone(core)
				note := max(bytes.Index(b, []byte("PAGEDU64")), bytes.Index(b, []byte("PAGEDUMP")))
				require.Positive(t, note)
				table, size := tableOf(t, b[note:])
				change(table, size)
				got, r, err := convertBytes(t, b, convert.Options{})
				require.NoError(t, err)
				assert.Contains(t, ids(r), finding.RunsReplaced.ID())
				assert.Equal(t, "WARN", r.Verdict)
				assert.Equal(t, listedIn(t, want), listedIn(t, got))
				// What stands behind the last run is the driver's.
				table, _ = tableOf(t, want)
				s := shapeOf(t, want)
				behind := s.runs + 2*int64(size) + int64(len(listedIn(t, want)))*s.runSize
				copy(got[behind:s.runs+int64(len(table))], want[behind:])
				equalDumps(t, want, got)
			})
		}
	}
}

// TestPluggedMemory: memory that was plugged in after the driver's start is in the dump;
// without it the processor's CONTEXT would be lost.
func TestPluggedMemory(t *testing.T) {
	t.Parallel()
	for _, opt := range []guestsim.Options{{CPUs: 2, Seed: 3}, {CPUs: 2, Encoded: true, BugCheck: crash}} {
		g := guestsim.New(opt)
		runs := g.Runs()
		g.SetHeaderRuns(runs[:len(runs)-1])
		dmp, r, err := convertSim(t, g, convert.Options{})
		require.NoError(t, err)
		f := findingOf(r, finding.RunsReplaced.ID())
		require.NotNil(t, f)
		assert.Contains(t, f.Message, "is older than the kernel's: it lacks 16 pages that the guest uses")
		assert.Len(t, listedIn(t, dmp), len(runs))
	}
}

// TestTablesThatCantBe: a table without what debuggers need first is not believed,
// whosever it is.
func TestTablesThatCantBe(t *testing.T) {
	t.Parallel()
	without := func(g *guestsim.Guest, pa uint64) []guestsim.Range {
		var out []guestsim.Range
		for _, r := range g.Runs() {
			if pa -= pa & 0xfff; pa < r.Start || pa >= r.End() {
				out = append(out, r)
				continue
			}
			for _, part := range []guestsim.Range{{Start: r.Start, Size: pa - r.Start}, {Start: pa + 0x1000, Size: r.End() - pa - 0x1000}} {
				if part.Size > 0 {
					out = append(out, part)
				}
			}
		}
		return out
	}
	for name, va := range map[string]func(g *guestsim.Guest) uint64{
		"page tables":   func(g *guestsim.Guest) uint64 { return g.DTB },
		"KDBG":          func(g *guestsim.Guest) uint64 { return g.PA(g.KDBG) },
		"a table to it": func(g *guestsim.Guest) uint64 { return g.PTE(g.KDBG) },
		"processors":    func(g *guestsim.Guest) uint64 { return g.PA(g.KiProcessorBlock) },
		"KPRCB":         func(g *guestsim.Guest) uint64 { return g.PA(g.Processors[0].PRCB) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{CPUs: 2})
			want, _, err := convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			good, bad := slices.Clone(g.Runs()), without(g, va(g))

			g.SetHeaderRuns(bad)
			got, r, err := convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			assert.Contains(t, ids(r), finding.RunsReplaced.ID())
			assert.Equal(t, listedIn(t, want), listedIn(t, got))

			g.SetHeaderRuns(good)
			g.SetKernelRuns(bad)
			got, r, err = convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			assert.Contains(t, ids(r), finding.RunsKept.ID())
			assert.Equal(t, listedIn(t, want), listedIn(t, got))

			g.SetHeaderRuns(bad)
			got, r, err = convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			assert.Contains(t, ids(r), finding.MemoryGuessed.ID())
			for _, run := range good {
				assert.True(t, listedIn(t, got).Contains(run.Start, run.Size))
			}
		})
	}
}

// TestKernelsTableUnreadable: the header's fills in, as it always did.
func TestKernelsTableUnreadable(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2})
	want, _, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	block := g.Read64(g.Field("MmPhysicalMemoryBlock"))
	g.Write32(block, 0x12345678)
	got, r, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	assert.Contains(t, ids(r), finding.RunsKept.ID())
	assert.Equal(t, listedIn(t, want), listedIn(t, got))

	winhdr.PageFill(g.Header()[0x88:0x344])
	got, r, err = convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	assert.Contains(t, ids(r), finding.MemoryGuessed.ID())
	assert.Equal(t, "WARN", r.Verdict)
	assert.Greater(t, listedIn(t, got).Pages(), listedIn(t, want).Pages(), "ROM is no RAM, but the last page of low memory may be")
}

// TestThousandsOfRuns: a machine whose memory grew in blocks has a run for each.
func TestThousandsOfRuns(t *testing.T) {
	t.Parallel()
	const blocks = 3000
	for _, noNote := range []bool{true, false} {
		usual := guestsim.New(guestsim.Options{})
		opt := guestsim.Options{CPUs: 2, RAM: usual.RAM(), Runs: usual.Runs(), File: guestsim.FileOptions{NoGuestNote: noNote}}
		opt.RAM = append(slices.Clone(opt.RAM), guestsim.Range{Start: 1 << 33, Size: 0x100000})
		opt.Runs = append(slices.Clone(opt.Runs), guestsim.Range{Start: 1 << 33, Size: 0x100000})
		for i := range uint64(blocks) {
			opt.RAM = append(opt.RAM, guestsim.Range{Start: 1<<34 + i*0x3000, Size: 0x1000})
		}
		g := guestsim.New(opt)
		runs := slices.Clone(opt.Runs)
		for i := range uint64(blocks) {
			runs = append(runs, guestsim.Range{Start: 1<<34 + i*0x3000, Size: 0x1000})
		}
		g.SetKernelRuns(runs)
		dmp, r, err := convertSim(t, g, convert.Options{})
		require.NoError(t, err)
		assert.Contains(t, ids(r), finding.TooManyRuns.ID())
		assert.NotContains(t, ids(r), finding.MemoryGuessed.ID())
		assert.Equal(t, len(runs), r.Output.Runs)
		pages := pagesOf(t, dmp, "FDMP")
		for i := range uint64(blocks) {
			assert.Contains(t, pages, 1<<22+i*3)
		}
	}
}

// TestCheckComparesTables: check counts what a dump lacks of what Windows uses, by
// Windows' own table.
func TestCheckComparesTables(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		typ     plan.OutputType
		verdict string
	}{
		"full": {plan.OutputFull, "WARN"}, "bitmap": {plan.OutputBitmap, "WARN"},
		"kernel": {plan.OutputKernel, "OK"}, // it lacks most of them on purpose
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{CPUs: 2, BugCheck: crash})
			more := append(slices.Clone(g.Runs()), guestsim.Range{Start: 1 << 33, Size: 0x7000})
			dmp, _, err := convertSim(t, g, convert.Options{Plan: plan.Options{Type: tt.typ}})
			require.NoError(t, err)
			assert.Equal(t, "OK", checkBytes(dmp, inspect.CheckQuick).Verdict)

			// Memory that neither the header nor the file has.
			g.SetKernelRuns(more)
			dmp, r, err := convertSim(t, g, convert.Options{Plan: plan.Options{Type: tt.typ}})
			require.NoError(t, err)
			cut := findingOf(r, finding.RunsCut.ID())
			require.NotNil(t, cut)
			assert.Contains(t, cut.Message, "7 are neither in the source nor in the header's table")
			f := checkBytes(dmp, inspect.CheckQuick)
			assert.Equal(t, tt.verdict, f.Verdict)
			if tt.verdict == "WARN" {
				assert.Equal(t, "*MmPhysicalMemoryBlock lists 7 pages that the dump lacks", f.Reason)
			}
		})
	}
	// 32 bits: a dump whose header lists a run less, with its pages.
	dmp := gunzip(t, samplePath("x86-live-2cpu.win-dmp.gz"))
	runs := listedIn(t, dmp)
	last := runs[len(runs)-1]
	h, err := winhdr.Decode(dmp)
	require.NoError(t, err)
	shorter := slices.Clone(runs)
	shorter[len(runs)-1].PageCount = last.PageCount - 5
	require.NoError(t, h.SetRuns(shorter))
	copy(dmp, h.Encode())
	f := checkBytes(dmp[:len(dmp)-5*0x1000], inspect.CheckQuick)
	assert.Equal(t, "WARN", f.Verdict)
	assert.Equal(t, "*MmPhysicalMemoryBlock lists 5 pages that the dump lacks", f.Reason)
}

// TestKernelCountsProcessors: the kernel's own count decides how many processors the
// dump has, and not the header's, nor the filled entries of KiProcessorBlock.
func TestKernelCountsProcessors(t *testing.T) {
	t.Parallel()
	crashed := guestsim.Options{CPUs: 3, BugCheck: crash}
	for name, tt := range map[string]struct {
		opt   guestsim.Options
		noted uint32
		want  uint32
	}{
		"as noted":                    {crashed, 3, 3},
		"plugged in later":            {crashed, 1, 3},
		"too many noted":              {crashed, 9, 3},
		"none noted":                  {crashed, 0, 3},
		"never set":                   {crashed, winhdr.Fill, 3},
		"NT 5.2":                      {guestsim.Options{CPUs: 3, NumberProcessors: 3}, 3, 3},
		"NT 5.2, one starting":        {guestsim.Options{CPUs: 3, NumberProcessors: 2}, 2, 2},
		"NT 5.2, one starting, noted": {guestsim.Options{CPUs: 3, NumberProcessors: 2, BugCheck: crash}, 3, 2},
		"NT 5.2, noted before":        {guestsim.Options{CPUs: 3, NumberProcessors: 3, Encoded: true}, 1, 3},
		"NT 5.2, the count can't be":  {guestsim.Options{CPUs: 2, NumberProcessors: 200}, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(tt.opt)
			binary.LittleEndian.PutUint32(g.Header()[0x34:], tt.noted)
			dmp, r, err := convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			assert.Equal(t, tt.want, u32(dmp, 0x34))
			assert.Equal(t, tt.noted != tt.want, findingOf(r, finding.ProcessorsFewer.ID()) != nil)
			g.Options.File.NoGuestNote = true
			dmp, _, err = convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			assert.Equal(t, tt.want, u32(dmp, 0x34), "without the note")
		})
	}
	// 32 bits.
	for _, noted := range []uint32{1, 7, 0} {
		core := gunzip(t, samplePath("x86-bsod-2cpu.vmcore.gz"))
		want, _, err := convertBytes(t, core, convert.Options{})
		require.NoError(t, err)
		binary.LittleEndian.PutUint32(core[bytes.Index(core, []byte("PAGEDUMP"))+0x24:], noted)
		got, r, err := convertBytes(t, core, convert.Options{})
		require.NoError(t, err)
		assert.NotNil(t, findingOf(r, finding.ProcessorsFewer.ID()))
		equalDumps(t, want, got)
	}
}

// TestCheckCountsProcessors: check says that a dump counts fewer than its kernel.
func TestCheckCountsProcessors(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 3, BugCheck: crash})
	dmp, _, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	require.Equal(t, "OK", checkBytes(dmp, inspect.CheckQuick).Verdict)
	binary.LittleEndian.PutUint32(dmp[0x34:], 2)
	f := checkBytes(dmp, inspect.CheckQuick)
	assert.Equal(t, "WARN", f.Verdict)
	assert.Equal(t, "the header counts 2 processors, the kernel 3", f.Reason)
	again, r, err := convertBytes(t, dmp, convert.Options{})
	require.NoError(t, err)
	assert.NotNil(t, findingOf(r, finding.ProcessorsFewer.ID()))
	assert.Equal(t, uint32(3), u32(again, 0x34))
}

// TestCaseBridged: memory that neither a full dump's table nor a bitmap can list.
func TestCaseBridged(t *testing.T) {
	t.Parallel()
	core := caseFile(t, "M05.elf")
	for _, typ := range []plan.OutputType{plan.OutputAuto, plan.OutputFull} {
		r, err := convert.File(t.Context(), core, core+".dmp", convert.Options{DryRun: true, Plan: plan.Options{Type: typ}})
		require.NoError(t, err)
		require.NotNil(t, findingOf(r, finding.RunsBridged.ID()))
		assert.Equal(t, 42, r.Output.Runs)
		assert.Equal(t, "full", r.Output.DumpType)
	}
}

// TestBridged: where neither the table of a full dump nor a bitmap can list the memory,
// the nearest runs are joined, and between them are zeros, whatever the file has there.
func TestBridged(t *testing.T) {
	t.Parallel()
	const islands, far = 60, 9 << 40
	guestWith := func(step uint64, last guestsim.Range) *guestsim.Guest {
		usual := guestsim.New(guestsim.Options{})
		opt := guestsim.Options{CPUs: 2, RAM: slices.Clone(usual.RAM()), Runs: slices.Clone(usual.Runs())}
		extra := guestsim.Range{Start: 1 << 33, Size: 0x20000}
		opt.RAM, opt.Runs = append(opt.RAM, extra), append(opt.Runs, extra)
		runs := slices.Clone(opt.Runs)
		for i := range uint64(islands) {
			// The file has the page behind each, too.
			opt.RAM = append(opt.RAM, guestsim.Range{Start: far + i*step, Size: 0x2000})
			runs = append(runs, guestsim.Range{Start: far + i*step, Size: 0x1000})
		}
		opt.RAM, runs = append(opt.RAM, last), append(runs, last)
		g := guestsim.New(opt)
		for i := range uint64(islands) {
			g.WritePhys(far+i*step, bytes.Repeat([]byte{byte(i) + 1}, 0x2000))
		}
		g.SetKernelRuns(runs)
		return g
	}
	last := guestsim.Range{Start: far + 1<<40, Size: 0x3000}
	g := guestWith(0x5000, last)
	for _, typ := range []plan.OutputType{plan.OutputAuto, plan.OutputFull} {
		dmp, r, err := convertSim(t, g, convert.Options{Plan: plan.Options{Type: typ}})
		require.NoError(t, err)
		f := findingOf(r, finding.RunsBridged.ID())
		require.NotNil(t, f)
		runs := listedIn(t, dmp)
		assert.Len(t, runs, 42)
		assert.Equal(t, uint64(len(dmp)), 0x2000+runs.Pages()<<12)
		zeros := 0
		for i := range uint64(islands) {
			at := fileOffset(t, dmp, far+i*0x5000)
			require.Equal(t, bytes.Repeat([]byte{byte(i) + 1}, 0x1000), dmp[at:at+0x1000])
			if gap := far + i*0x5000 + 0x1000; runs.Contains(gap, 0x4000) {
				at := fileOffset(t, dmp, gap)
				require.Equal(t, make([]byte, 0x4000), dmp[at:at+0x4000])
				zeros += 4
			}
		}
		assert.Contains(t, f.Message, "pages of zeros")
		assert.Positive(t, zeros)
		assert.Equal(t, "WARN", r.Verdict)
		assert.NotEqual(t, "FAIL", checkBytes(dmp, inspect.CheckQuick).Verdict)
		// Registers are written, and not into a gap.
		assert.Nil(t, findingOf(r, finding.EditOutside.ID()))
	}
	// A bitmap is refused, and what is advised works.
	var refused *finding.RefusedError
	_, _, err := convertSim(t, g, convert.Options{Plan: plan.Options{Type: plan.OutputBitmap}})
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, finding.BitmapTooLarge.ID(), refused.Finding.ID)
	assert.Equal(t, "Choose a full dump.", refused.Finding.Advice)

	// More zeros than memory are not written unasked.
	g = guestWith(1<<24, last)
	_, _, err = convertSim(t, g, convert.Options{})
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, finding.BitmapTooLarge.ID(), refused.Finding.ID)
	assert.Equal(t, "Choose a full dump.", refused.Finding.Advice)
	core := writeCore(t, g)
	r, err := convert.File(t.Context(), core, core+".dmp", convert.Options{DryRun: true, Plan: plan.Options{Type: plan.OutputFull}})
	require.NoError(t, err)
	assert.NotNil(t, findingOf(r, finding.RunsBridged.ID()))
}

// TestCaseRawTable: the hole of raw memory is in the guest's own table.
func TestCaseRawTable(t *testing.T) {
	t.Parallel()
	raw := caseFile(t, "M11.raw")
	opt := convert.Options{}
	opt.Source.Input.Format = physmem.FormatRaw
	r, err := convert.File(t.Context(), raw, raw+".dmp", opt)
	require.NoError(t, err)
	f := findingOf(r, finding.RawHoleListed.ID())
	require.NotNil(t, f)
	assert.Contains(t, f.Message, "[0x400000, 0x100000000)")
	dmp, err := os.ReadFile(raw + ".dmp")
	require.NoError(t, err)
	assert.Equal(t, physmem.Run{BasePage: 0x100000, PageCount: 0x200}, listedIn(t, dmp)[2])
}

// findRaw looks for a guest in raw memory without its holes, with its root given.
func findRaw(t *testing.T, g *guestsim.Guest, size int64) (*guest.Guest, error) {
	t.Helper()
	im, err := physmemtest.OpenReader(rawFile{g, false}, size, open.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	return guest.Find(t.Context(), im, guest.Options{DTB: g.DTB})
}

// TestRawTable: raw memory of machines whose holes nobody knows, one and more, with
// memory below each that firmware keeps to itself.
func TestRawTable(t *testing.T) {
	t.Parallel()
	const gib, mib = 1 << 30, 1 << 20
	type ranges = []guestsim.Range
	r := func(start, size uint64) guestsim.Range { return guestsim.Range{Start: start, Size: size} }
	for _, tc := range []struct {
		name      string
		ram, runs ranges
		unsure    bool
	}{
		{"hugetlbfs", ranges{r(0, 16*mib), r(4*gib, mib)}, ranges{r(0x1000, 0x9e000), r(mib, 14*mib), r(4*gib, mib)}, false},
		{"a part at the end is not listed", ranges{r(0, 16*mib), r(4*gib, mib)}, ranges{r(0x1000, 0x9e000), r(mib, 15*mib), r(4*gib, mib-0x4000)}, true},
		{"high", ranges{r(0, 24*mib), r(64*gib, 2*mib)}, ranges{r(0x1000, 24*mib-0x3000), r(64*gib, 2*mib)}, false},
		{
			"two", ranges{r(0, 16*mib), r(4*gib, mib), r(16*gib, mib)}, ranges{r(0x1000, 15*mib), r(4*gib, mib), r(16*gib, mib)},
			false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			found := 0
			for seed := range uint64(12) {
				g := guestsim.New(guestsim.Options{CPUs: 2, BugCheck: crash, RAM: tc.ram, Runs: tc.runs, Seed: seed})
				size := rawFile{g, false}.size()
				got, err := findRaw(t, g, size)
				require.NoError(t, err)
				want := physmem.Normalize(rangesOf(tc.ram))
				if tc.unsure && len(got.Image().Ranges()) == 1 {
					continue // nothing that is seen lies behind the hole: it stays missing
				}
				found++
				assert.Equal(t, want, got.Image().Ranges(), "seed %d", seed)
				assert.Len(t, got.Runs(), len(tc.runs))
				var said bool
				for _, f := range got.Findings() {
					said = said || f.ID == finding.RawHoleListed.ID()
				}
				assert.True(t, said)
			}
			assert.True(t, found == 12 || tc.unsure && found > 3, "%d", found)
		})
	}
}

func rangesOf(list []guestsim.Range) []physmem.Range {
	out := make([]physmem.Range, 0, len(list))
	for _, r := range list {
		out = append(out, physmem.Range(r))
	}
	return out
}

// TestRawEndsEarly: raw memory that was cut off falls under what is said of missing
// memory, as any source does.
func TestRawEndsEarly(t *testing.T) {
	t.Parallel()
	for _, cut := range []int{0x5000, 0x1234, 0x40000} {
		ram := []guestsim.Range{{Start: 0, Size: 16 << 20}}
		var g *guestsim.Guest
		for seed := range uint64(20) {
			g = guestsim.New(guestsim.Options{CPUs: 2, BugCheck: crash, RAM: ram, Runs: []guestsim.Range{{Start: 0x1000, Size: 0x9e000}, {Start: 1 << 20, Size: 15 << 20}}, Seed: seed})
			if end := g.ReadPhys(16<<20-0x41000, 0x41000); bytes.Equal(end, make([]byte, len(end))) {
				break // nothing of the guest lies there
			}
		}
		file := g.ReadPhys(0, 16<<20-cut)
		opt := convert.Options{}
		opt.Source.Input.Format = physmem.FormatRaw
		_, r, err := convertBytes(t, file, opt)
		var refused *finding.RefusedError
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, finding.Missing.ID(), refused.Finding.ID)
		assert.Equal(t, uint64(cut), r.Memory.Missing)

		opt.Plan.Missing = report.MissingZero
		dmp, r, err := convertBytes(t, file, opt)
		require.NoError(t, err)
		assert.NotNil(t, findingOf(r, finding.MissingZeroed.ID()))
		assert.Len(t, dmp, 0x2000+0x9e000+15<<20)
		opt.Plan.Missing = report.MissingDrop
		_, r, err = convertBytes(t, file, opt)
		require.NoError(t, err)
		assert.Equal(t, uint64(cut+0xfff)&^0xfff, r.Memory.Dropped)
		assert.Nil(t, findingOf(r, finding.RawHoleListed.ID()))
	}
}
