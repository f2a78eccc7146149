package convert_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/qemutest"
	"windmp/winhdr"
)

// allowed is a stretch of the dump in which windmp may differ from QEMU's
// win-dmp of the same stopped guest, by name, file offset and length.
type allowed struct {
	name         string
	offset, size int64
}

// shape is what the layout of a dump of one width says of its witness.
type shape struct {
	headerSize, runs int64 // of the header; where PhysicalMemoryBlock is in it
	runSize          int64 // a run: page and count, of half that size each
	dumpType         int   // where it is in the header
	contextSize      int
	// lacking are the fields of a CONTEXT that QEMU's notes do not carry.
	lacking []allowed
	// unfilled are those that QEMU leaves empty in its win-dmp, though it knows them
	// and writes them into its migration stream: the x87 and SSE state.
	unfilled []allowed
	// behind is how many bytes behind each CONTEXT QEMU writes as well.
	behind int64
	// improved are the header fields that windmp states better than the
	// guest's driver, and so QEMU, does.
	improved []allowed
	// improvedIn are header fields that differ in some variants only.
	improvedIn map[string]allowed
	// specials are the parts of KSPECIAL_REGISTERS that windmp sets, by the
	// words in the reason of the edit.
	specials map[string]int
}

var shape64 = shape{
	headerSize: 0x2000, runs: 0x88, runSize: 16, dumpType: 0xf98, contextSize: 0x4d0,
	lacking: []allowed{
		{"MxCsr", 0x34, 4},
		{"Dr0", 0x48, 8},
		{"Dr1", 0x50, 8},
		{"Dr2", 0x58, 8},
		{"Dr3", 0x60, 8},
		{"Dr6", 0x68, 8},
		{"Dr7", 0x70, 8},
		{"FltSave.MxCsr", 0x118, 4},
	},
	unfilled: []allowed{{"FltSave, below MxCsr", 0x100, 0x18}, {"FltSave, above MxCsr", 0x11c, 0x1e4}},
	improved: []allowed{
		{"ContextRecord", 0x348, 0x4d0},
		{"Exception", 0xf00, 0x98},
		{"SystemTime", 0xfa8, 8},
		{"SystemUpTime", 0x1030, 8},
	},
	improvedIn: map[string]allowed{
		"pcid": {"DirectoryTableBase", 0x10, 8},
		// The words of this sample are "live shadow user pcid".
		"shadow-user": {"DirectoryTableBase", 0x10, 8},
		"ncpu":        {"NumberProcessors", 0x34, 4},
		"nobug":       {"BugCheckCode and BugCheckParameters", 0x38, 40},
	},
	specials: map[string]int{
		"CR0, CR2, CR3, CR4": 0x20, "GDTR": 10, "IDTR": 10, "TR": 2,
		"DR0 to DR3, DR6, DR7": 0x30, "MXCSR": 4, "GS bases, STAR, LSTAR, CSTAR, SFMASK": 0x30,
	},
}

// shape32 is that of 32-bit guests. QEMU's C structure of a CONTEXT has 0x2d0
// bytes, since it is aligned to 16, where Windows' has 0x2cc.
var shape32 = shape{
	headerSize: 0x1000, runs: 0x64, runSize: 8, dumpType: 0xf88, contextSize: 0x2cc, behind: 4,
	lacking: []allowed{
		{"Dr0", 0x04, 4},
		{"Dr1", 0x08, 4},
		{"Dr2", 0x0c, 4},
		{"Dr3", 0x10, 4},
		{"Dr6", 0x14, 4},
		{"Dr7", 0x18, 4},
	},
	unfilled: []allowed{{"ContextFlags", 0, 4}, {"ExtendedRegisters", 0xcc, 0x200}},
	improved: []allowed{
		{"ContextRecord", 0x320, 0x2cc},
		{"Exception", 0x7d0, 0x50},
		// To QEMU it is a number of 32 bits.
		{"RequiredDumpSpace, upper half", 0xfa4, 4},
		{"SystemUpTime", 0xfb8, 8},
		{"SystemTime", 0xfc0, 8},
	},
	improvedIn: map[string]allowed{
		"ncpu":  {"NumberProcessors", 0x24, 4},
		"nobug": {"BugCheckCode and BugCheckParameters", 0x28, 20},
	},
	specials: map[string]int{"CR0, CR2, CR3, CR4": 0x10, "GDTR": 6, "IDTR": 6, "TR": 2, "DR0 to DR3, DR6, DR7": 0x18},
}

func shapeOf(t *testing.T, dmp []byte) *shape {
	t.Helper()
	if string(dmp[:8]) == "PAGEDUMP" {
		return &shape32
	}
	require.Equal(t, "PAGEDU64", string(dmp[:8]))
	return &shape64
}

// fileOffset is where guest-physical memory lies in a full dump, by the run
// table in its header: read here once more, by hand.
func fileOffset(t *testing.T, dmp []byte, pa uint64) int64 {
	t.Helper()
	s := shapeOf(t, dmp)
	half := s.runSize / 2
	number := func(at int64) uint64 {
		if half == 4 {
			return uint64(binary.LittleEndian.Uint32(dmp[at:]))
		}
		return binary.LittleEndian.Uint64(dmp[at:])
	}
	off := s.headerSize
	n := int64(binary.LittleEndian.Uint32(dmp[s.runs:]))
	first := s.runs + 2*half // behind NumberOfRuns and NumberOfPages
	for at := first; at < first+n*s.runSize; at += s.runSize {
		base, size := number(at)<<12, number(at+half)<<12
		if pa >= base && pa-base < size {
			return off + int64(pa-base)
		}
		off += int64(size)
	}
	require.Failf(t, "address outside the dump", "PA %#x", pa)
	return 0
}

// differences lists what may differ, from the edits of the report: a CONTEXT
// in the fields that are lacking, the special registers whole.
func differences(t *testing.T, dmp []byte, r *report.Report, variant string) []allowed {
	t.Helper()
	return differencesAs(t, shapeOf(t, dmp), dmp, r, variant)
}

// differencesAs is differences of a source that carries what the shape does not say it
// lacks.
func differencesAs(t *testing.T, s *shape, dmp []byte, r *report.Report, variant string) []allowed {
	t.Helper()
	list := slices.Clone(s.improved)
	for v, a := range s.improvedIn {
		if strings.Contains(variant, v) {
			list = append(list, a)
		}
	}
	done := make(map[string]int) // bytes of each CONTEXT so far: it may come in pieces
	swapped := strings.Contains(variant, "swapcpu")
	for _, e := range r.Edits {
		at := fileOffset(t, dmp, uint64(e.PA))
		if !strings.Contains(e.Reason, "CONTEXT") {
			_, name, _ := strings.Cut(e.Reason, ": ")
			require.Contains(t, s.specials, name, "an edit that the witness does not know: %s", e.Reason)
			require.LessOrEqual(t, e.Size, s.specials[name])
			list = append(list, allowed{e.Reason, at, int64(e.Size)})
			continue
		}
		if swapped { // QEMU writes by position, see assertSwapped
			list = append(list, allowed{e.Reason, at, int64(e.Size)})
		}
		for _, f := range s.lacking {
			begin := int64(done[e.Reason])
			from, to := max(f.offset, begin), min(f.offset+f.size, begin+int64(e.Size))
			if from < to {
				list = append(list, allowed{e.Reason + " " + f.name, at + from - begin, to - from})
			}
		}
		if done[e.Reason] += e.Size; done[e.Reason] == s.contextSize {
			list = append(list, allowed{"behind " + e.Reason, at + int64(e.Size), s.behind})
		}
	}
	for reason, n := range done {
		require.Equal(t, s.contextSize, n, "%s is written whole", reason)
	}
	return list
}

// asListed is a full dump with the table of memory of another, and with its pages: the
// header of some guests lists less than their kernels' own table does, and ours has
// that.
func asListed(t *testing.T, got, want []byte) []byte {
	t.Helper()
	s := shapeOf(t, want)
	const requiredSpace = 0xfa0
	out := bytes.Clone(got[:s.headerSize])
	copy(out[s.runs:s.improved[0].offset], want[s.runs:])
	copy(out[requiredSpace:], want[requiredSpace:requiredSpace+8])
	h, err := winhdr.Decode(want)
	require.NoError(t, err)
	for _, run := range h.RunTable().Runs {
		for page := range run.PageCount {
			at := fileOffset(t, got, (run.BasePage+page)<<12)
			out = append(out, got[at:at+0x1000]...)
		}
	}
	return out
}

// equalButFor asserts that got is want everywhere but in the allowed places.
func equalButFor(t *testing.T, want, got []byte, list []allowed) {
	t.Helper()
	require.Len(t, got, len(want), "size of the dump")
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b allowed) int { return cmp.Compare(a.offset, b.offset) })
	from := int64(0)
	for _, a := range append(list, allowed{"the end", int64(len(want)), 0}) {
		if from < a.offset && !equalFrom(t, want, got, from, a.offset) {
			return
		}
		from = max(from, a.offset+a.size)
	}
}

// equalFrom asserts that got is want from an offset up to another.
func equalFrom(t *testing.T, want, got []byte, from, to int64) bool {
	t.Helper()
	if bytes.Equal(want[from:to], got[from:to]) {
		return true
	}
	shown := 0
	for i := from; i < to && shown < 20; i++ {
		if want[i] != got[i] {
			assert.Failf(t, "differs", "file offset %#x: QEMU has %#02x, windmp %#02x", i, want[i], got[i])
			shown++
		}
	}
	return false
}

// unpack puts a gzipped sample into a file of the test's folder.
func unpack(t *testing.T, path string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(path), ".gz"))
	require.NoError(t, os.WriteFile(out, qemutest.Unpacked(t, filepath.Base(path)), 0o400))
	return out
}

// gunzip unpacks a sample; the bytes are not to be changed.
func gunzip(tb testing.TB, path string) []byte {
	tb.Helper()
	return qemutest.Unpacked(tb, filepath.Base(path))
}

// witness converts core as QEMU does and compares with QEMU's own dump.
func witness(t *testing.T, core source.Input, want []byte, variant string) *report.Report {
	t.Helper()
	return witnessAs(t, shapeOf(t, want), core, want, variant)
}

// witnessAs is witness of a source that carries what the shape does not say it lacks.
func witnessAs(t *testing.T, s *shape, core source.Input, want []byte, variant string) *report.Report {
	t.Helper()
	got, report, err := inMemory(t, core, convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU}})
	require.NoError(t, err)
	if findingOf(report, finding.RunsReplaced.ID()) != nil {
		got = asListed(t, got, want)
	}
	equalButFor(t, want, got, differencesAs(t, s, got, report, variant))
	if strings.Contains(variant, "swapcpu") {
		assertSwapped(t, s, want, got, report)
	}
	return report
}

// assertSwapped: where Windows' processors are in another order than QEMU's,
// QEMU gives processor i the registers of vCPU i, whichever it is. windmp's
// CONTEXT of a processor is the one that QEMU put where its vCPU's number says.
func assertSwapped(t *testing.T, s *shape, want, got []byte, r *report.Report) {
	t.Helper()
	contexts := func(dmp []byte) [][]byte {
		list := make([][]byte, len(r.Processors))
		for _, e := range r.Edits {
			var i int
			if _, err := fmt.Sscanf(e.Reason, "processor %d: CONTEXT", &i); err == nil {
				at := fileOffset(t, dmp, uint64(e.PA))
				list[i] = append(list[i], dmp[at:at+int64(e.Size)]...)
			}
		}
		for _, c := range list {
			for _, f := range s.lacking {
				clear(c[f.offset : f.offset+f.size])
			}
		}
		return list
	}
	qemu, ours := contexts(want), contexts(got)
	moved := false
	for i, c := range ours {
		assert.Equal(t, qemu[r.Processors[i].VCPU], c, "processor %d", i)
		moved = moved || r.Processors[i].VCPU != i
	}
	assert.True(t, moved)
}

// samples are the committed vmcores of real QEMU, each with the win-dmp that the
// same QEMU made of the same stopped guest.
var samples = []struct{ core, win string }{
	{"guest-bsod.vmcore", "guest-bsod"},
	{"live-2cpu.vmcore.gz", "live-2cpu"},
	{"live-2cpu-paging.vmcore.gz", "live-2cpu"},
	{"live-2cpu-filtered.vmcore.gz", "live-2cpu"},
	{"bsod-4cpu-q35.vmcore.gz", "bsod-4cpu-q35"},
	{"encoded-2cpu.vmcore.gz", "encoded-2cpu"},
	{"swbits-2cpu-vga-paging.vmcore.gz", "swbits-2cpu-vga"},
	{"shadow-user-2cpu.vmcore.gz", "shadow-user-2cpu"},
	{"shadow-user-2cpu-paging.vmcore.gz", "shadow-user-2cpu"},
	{"odd-runs-2cpu.vmcore.gz", "odd-runs-2cpu"},
	{"swapcpu-3cpu.vmcore.gz", "swapcpu-3cpu"},
	{"la57-1cpu.vmcore.gz", "la57-1cpu"},
}

// samples32 are those of 32-bit guests.
var samples32 = []struct{ core, win string }{
	{"x86-bsod-2cpu.vmcore.gz", "x86-bsod-2cpu"},
	{"x86-live-2cpu-paging.vmcore.gz", "x86-live-2cpu"},
	{"x86-live-2cpu-paging.kdump.gz", "x86-live-2cpu"},
	{"x86-nopae-2cpu.vmcore.gz", "x86-nopae-2cpu"},
	{"x86-nopae-live-2cpu.vmcore.gz", "x86-nopae-live-2cpu"},
}

func samplePath(name string) string { return filepath.Join("..", "testdata", name) }

// sample is the path of an uncompressed vmcore.
func sample(t *testing.T, name string) string {
	t.Helper()
	if strings.HasSuffix(name, ".gz") {
		return unpack(t, samplePath(name))
	}
	return samplePath(name)
}

func TestSamples(t *testing.T) {
	t.Parallel()
	for _, s := range slices.Concat(samples, samples32) {
		t.Run(s.core, func(t *testing.T) {
			t.Parallel()
			witness(t, sampleInput(t, s.core), gunzip(t, samplePath(s.win+".win-dmp.gz")), s.core)
		})
	}
}

// TestSampleCut: of the guest that was dumped in part, the pages that the file
// holds are those of QEMU's dump.
func TestSampleCut(t *testing.T) {
	t.Parallel()
	core := sample(t, "live-2cpu-cut.vmcore.gz")
	want := gunzip(t, samplePath("live-2cpu.win-dmp.gz"))
	_, err := convert.File(context.Background(), core, filepath.Join(t.TempDir(), "x"), convert.Options{})
	var refused *finding.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, finding.Missing.ID(), refused.Finding.ID)

	out := filepath.Join(t.TempDir(), "out.dmp")
	opt := convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU, Missing: report.MissingZero}}
	r, err := convert.File(context.Background(), core, out, opt)
	require.NoError(t, err)
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	list := differences(t, got, r, "")
	for _, m := range r.Memory.Ranges {
		list = append(list, allowed{"missing", fileOffset(t, got, uint64(m.PA)), int64(m.Size)})
	}
	equalButFor(t, want, got, list)

	dropped := filepath.Join(t.TempDir(), "dropped.dmp")
	opt.Plan.Missing = report.MissingDrop
	r, err = convert.File(context.Background(), core, dropped, opt)
	require.NoError(t, err)
	assert.Equal(t, r.Memory.Listed-r.Memory.Dropped, r.Output.Pages*0x1000)
}
