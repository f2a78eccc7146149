package convert_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/internal/guestsim"
	"windmp/internal/testheap"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/winhdr"
	"windmp/winhdr/problem"
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
		_, err = plan.New(t.Context(), g, plan.Options{})
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
	"never set":       func(b []byte, _ int) { problem.PageFill(b) },
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
			if underRace && len(what)%5 > 0 {
				continue
			}
			t.Run(name+", "+what, func(t *testing.T) {
				t.Parallel()
				b := testheap.Clone(t, core)
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

	problem.PageFill(g.Header()[0x88:0x344])
	got, r, err = convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	assert.Contains(t, ids(r), finding.MemoryGuessed.ID())
	assert.Equal(t, "WARN", r.Verdict)
	assert.Greater(t, listedIn(t, got).Pages(), listedIn(t, want).Pages(), "ROM is no RAM, but the last page of low memory may be")
}

// TestThousandsOfRuns: a machine whose memory grew in blocks has a run for each.
func TestThousandsOfRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
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
	dmp := testheap.Clone(t, gunzip(t, samplePath("x86-live-2cpu.win-dmp.gz")))
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
