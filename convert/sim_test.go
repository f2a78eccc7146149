package convert_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/convert/write"
	"windmp/internal/guestsim"
	"windmp/winhdr"
	"windmp/winhdr/wincontext"
)

// crash is a bug check with its four parameters.
var crash = [5]uint64{0x7e, 0xffffffffc0000005, 0xfffff80412d00123, 0xfffff80410001000, 0xfffff80410002000}

// writeCore puts a synthetic guest's vmcore, read-only as QEMU makes it, into
// the test's folder.
func writeCore(t *testing.T, g *guestsim.Guest) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "guest.vmcore")
	require.NoError(t, os.WriteFile(path, g.ELF(), 0o400))
	return path
}

// convertSim converts a synthetic guest in memory; the dump is nil after an error.
func convertSim(t *testing.T, g *guestsim.Guest, opt convert.Options) ([]byte, *report.Report, error) {
	t.Helper()
	dmp, r, err := convertBytes(t, g.ELF(), opt)
	assertSaid(t, r.Findings)
	assertSaidOf(t, err)
	return dmp, r, err
}

// convertSimFile converts a synthetic guest in a file into a file.
func convertSimFile(t *testing.T, g *guestsim.Guest, opt convert.Options) ([]byte, *report.Report, error) {
	t.Helper()
	core := writeCore(t, g)
	before, err := os.ReadFile(core)
	require.NoError(t, err)
	out := filepath.Join(filepath.Dir(core), "out")
	opt.Write.NoSync = true // a third of what a small conversion takes
	r, err := convert.File(context.Background(), core, out, opt)
	after, rerr := os.ReadFile(core)
	require.NoError(t, rerr)
	require.True(t, bytes.Equal(before, after), "the source is never changed")
	assertSaid(t, r.Findings)
	assertSaidOf(t, err)
	if err != nil {
		assertOnly(t, core)
		return nil, r, err
	}
	dmp, rerr := os.ReadFile(out)
	require.NoError(t, rerr)
	return dmp, r, nil
}

// assertOnly asserts that nothing else is in the file's folder.
func assertOnly(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left behind")
}

func u16(b []byte, off int) uint16 { return binary.LittleEndian.Uint16(b[off:]) }
func u32(b []byte, off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
func u64(b []byte, off int) uint64 { return binary.LittleEndian.Uint64(b[off:]) }

// at reads n bytes of guest-virtual memory from the dump, page by page through
// the synthetic guest's own tables.
func at(t *testing.T, dmp []byte, g *guestsim.Guest, va uint64, n int) []byte {
	t.Helper()
	out := make([]byte, 0, n)
	for len(out) < n {
		from := va + uint64(len(out))
		part := min(n-len(out), 0x1000-int(from%0x1000))
		off := fileOffset(t, dmp, g.PA(from))
		out = append(out, dmp[off:off+int64(part)]...)
	}
	return out
}

// contextAt decodes the CONTEXT of a processor from the dump.
func contextAt(t *testing.T, dmp []byte, g *guestsim.Guest, cpu int) *wincontext.Context64 {
	t.Helper()
	c, err := wincontext.DecodeContext64(at(t, dmp, g, g.Processors[cpu].Context, wincontext.ContextSize64))
	require.NoError(t, err)
	return c
}

func TestLiveGuest(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2, Odd: true})
	dmp, r, err := convertSimFile(t, g, convert.Options{})
	require.NoError(t, err)
	assert.Equal(t, "OK", r.Verdict)
	assert.Equal(t, "PAGEDU64", string(dmp[:8]))
	assert.Equal(t, uint32(0x161), u32(dmp, 0x38))
	assert.Equal(t, uint64(len(dmp)), u64(dmp, 0xfa0))
	assert.Equal(t, g.MmPfnDatabase, u64(dmp, 0x18))
	assert.Equal(t, uint64(guestsim.SystemTime), u64(dmp, 0xfa8))
	assert.Equal(t, uint64(guestsim.InterruptTime), u64(dmp, 0x1030))
	for i, v := range g.VCPUs {
		c := contextAt(t, dmp, g, i)
		assert.Equal(t, v.Rip, c.Rip)
		assert.Equal(t, v.Rsp, c.Rsp)
		assert.Equal(t, v.R15, c.R15)
		special := at(t, dmp, g, g.Processors[i].Special, 0x72)
		assert.Equal(t, v.CR3, u64(special, 0x10))
		assert.Equal(t, v.CR4, u64(special, 0x18))
		assert.Equal(t, v.GDT.Base, u64(special, 0x58))
		assert.Equal(t, v.IDT.Base, u64(special, 0x68))
		assert.Equal(t, uint16(v.TR.Selector), u16(special, 0x70))
	}
	assert.Equal(t, g.VCPUs[0].Rsp, u64(dmp, 0x348+0x98), "the header shows the first processor")
	assert.Equal(t, uint32(0x80000003), u32(dmp, 0xf00))
}

// TestPagesAreCopied compares every byte of the dump's pages with the guest's
// memory, but for the edits of the report.
func TestPagesAreCopied(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 3, Odd: true, Encoded: true})
	dmp, r, err := convertSimFile(t, g, convert.Options{})
	require.NoError(t, err)
	want := make([]byte, 0, len(dmp))
	for _, run := range g.Runs() {
		want = append(want, g.ReadPhys(run.Start, int(run.Size))...)
	}
	got := dmp[winhdr.X64.Size():]
	require.Len(t, got, len(want))
	for _, e := range r.Edits {
		from := fileOffset(t, dmp, uint64(e.PA)) - int64(winhdr.X64.Size())
		copy(want[from:from+int64(e.Size)], got[from:])
	}
	assert.True(t, bytes.Equal(want, got))
}

func TestCrashedGuest(t *testing.T) {
	t.Parallel()
	opt := guestsim.Options{CPUs: 3, BugCheck: crash}
	t.Run("auto keeps what Windows saved", func(t *testing.T) {
		t.Parallel()
		g := guestsim.New(opt)
		dmp, r, err := convertSim(t, g, convert.Options{})
		require.NoError(t, err)
		assert.Equal(t, uint32(crash[0]), u32(dmp, 0x38))
		assert.Equal(t, crash[4], u64(dmp, 0x58))
		for i := range g.Processors {
			assert.Equal(t, report.FromSaved, r.Processors[i].Contexts, r.Processors[i].Note)
			assert.True(t, r.Processors[i].Differs)
			assert.Equal(t, g.Processors[i].SavedRip, contextAt(t, dmp, g, i).Rip)
		}
	})
	t.Run("vcpu overwrites it", func(t *testing.T) {
		t.Parallel()
		g := guestsim.New(opt)
		dmp, _, err := convertSim(t, g, convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU}})
		require.NoError(t, err)
		assert.Equal(t, g.VCPUs[1].Rip, contextAt(t, dmp, g, 1).Rip)
	})
	t.Run("auto takes the vCPU where the saved one is not valid", func(t *testing.T) {
		t.Parallel()
		g := guestsim.New(opt)
		g.Write64(g.Processors[1].Context+0xf8, 0xfffff90000000000) // Rip in no image
		dmp, r, err := convertSim(t, g, convert.Options{})
		require.NoError(t, err)
		assert.Equal(t, report.FromVCPU, r.Processors[1].Contexts)
		assert.Equal(t, report.FromSaved, r.Processors[2].Contexts)
		assert.Equal(t, g.VCPUs[1].Rip, contextAt(t, dmp, g, 1).Rip)
	})
	t.Run("the processor that called KeBugCheckEx is shown first", func(t *testing.T) {
		t.Parallel()
		g := guestsim.New(opt)
		for i := range g.Processors {
			c := g.Processors[i].Context
			g.Write64(c+0x80, 0) // Rcx
			if i == 2 {
				g.Write64(c+0x80, crash[0])
				g.Write64(c+0x88, crash[1])
				g.Write64(c+0xb8, crash[2])
				g.Write64(c+0xc0, crash[3])
			}
		}
		dmp, r, err := convertSim(t, g, convert.Options{})
		require.NoError(t, err)
		assert.True(t, r.Processors[2].ShownFirst)
		assert.Equal(t, contextAt(t, dmp, g, 2).Rsp, u64(dmp, 0x348+0x98))
		assert.Equal(t, u32(dmp, 0x348+0x34), u32(dmp, 0x348+0x118), "both MxCsr of the header's CONTEXT are equal")
	})
	t.Run("saved leaves a live guest's memory alone", func(t *testing.T) {
		t.Parallel()
		g := guestsim.New(guestsim.Options{CPUs: 2})
		_, r, err := convertSim(t, g, convert.Options{Plan: plan.Options{Contexts: plan.ContextsSaved}})
		require.NoError(t, err)
		assert.Empty(t, r.Edits)
	})
}

func TestVariants(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		opt   guestsim.Options
		poke  func(g *guestsim.Guest)
		want  string // a finding that must be there
		check func(t *testing.T, dmp []byte, g *guestsim.Guest)
	}{
		{name: "encoded, the copy is used", opt: guestsim.Options{Encoded: true}, want: finding.KDBGCopy.ID()},
		{
			name: "encoded without a copy", opt: guestsim.Options{Encoded: true, Odd: true},
			poke: func(g *guestsim.Guest) { clear(g.Header()[0x40:0x48]) }, want: finding.KDBGDecoded.ID(),
			check: func(t *testing.T, dmp []byte, g *guestsim.Guest) {
				t.Helper()
				assert.Equal(t, g.Plain, at(t, dmp, g, g.KDBG, len(g.Plain)))
			},
		},
		{name: "shadow page tables", opt: guestsim.Options{Shadow: true, CPUs: 2}, want: finding.KDBGFound.ID()},
		{name: "flags in the DTB", opt: guestsim.Options{PCID: true}, want: finding.DTBMasked.ID()},
		{
			name: "wrong DTB", want: finding.DTBReplaced.ID(),
			poke: func(g *guestsim.Guest) { binary.LittleEndian.PutUint64(g.Header()[0x10:], g.Runs()[0].Start) },
		},
		{name: "5 levels", opt: guestsim.Options{LA57: true}, want: finding.KDBGFound.ID()},
		{name: "software bits", opt: guestsim.Options{SoftwareBits: true}, want: finding.KDBGFound.ID()},
		{name: "stopped in user mode", opt: guestsim.Options{CPUs: 2, UserMode: []int{1}}, want: finding.KDBGFound.ID()},
		{
			name: "vCPUs in another order", opt: guestsim.Options{CPUs: 3, VCPUOrder: []int{2, 0, 1}}, want: finding.VCPUOrder.ID(),
			check: func(t *testing.T, dmp []byte, g *guestsim.Guest) {
				t.Helper()
				assert.Equal(t, g.VCPUs[0].Rip, contextAt(t, dmp, g, 2).Rip)
			},
		},
		{
			name: "null PRCB in the middle", opt: guestsim.Options{CPUs: 3}, want: finding.ProcessorsFewer.ID(),
			poke: func(g *guestsim.Guest) { g.Write64(g.KiProcessorBlock+8, 0) },
			check: func(t *testing.T, dmp []byte, _ *guestsim.Guest) {
				t.Helper()
				assert.Equal(t, uint32(1), u32(dmp, 0x34))
			},
		},
		{
			name: "null Context of the first CPU", opt: guestsim.Options{CPUs: 2}, want: finding.ProcessorLeftOut.ID(),
			poke: func(g *guestsim.Guest) { g.Write64(g.Processors[0].ContextPtr, 0) },
			check: func(t *testing.T, dmp []byte, _ *guestsim.Guest) {
				t.Helper()
				assert.Equal(t, uint32(2), u32(dmp, 0x34))
			},
		},
		{
			name: "too many processors claimed", opt: guestsim.Options{CPUs: 2}, want: finding.ProcessorsFewer.ID(),
			poke: func(g *guestsim.Guest) { binary.LittleEndian.PutUint32(g.Header()[0x34:], 0x40000000) },
		},
		{name: "no CPU notes", opt: guestsim.Options{File: guestsim.FileOptions{NoCPUNotes: true}}, want: finding.NoVCPUState.ID()},
		{name: "count in the section header", opt: guestsim.Options{File: guestsim.FileOptions{PNXNUM: true}}, want: finding.KDBGFound.ID()},
		{name: "notes behind the memory", opt: guestsim.Options{File: guestsim.FileOptions{NotesLast: true}}, want: finding.KDBGFound.ID()},
		{name: "paging on", opt: guestsim.Options{File: guestsim.FileOptions{Paging: true}}, want: finding.Recovered.ID()},
		{name: "long note", opt: guestsim.Options{File: guestsim.FileOptions{GuestNoteSize: 0x2004}}, want: finding.NoteSize.ID()},
		{
			name: "broken module list", opt: guestsim.Options{}, want: finding.ModuleList.ID(),
			poke: func(g *guestsim.Guest) { g.Write64(g.Modules[1].Entry, 0xfffff80400000000) },
		},
		{
			name: "build number not set", want: finding.HeaderRepaired.ID(),
			poke: func(g *guestsim.Guest) { copy(g.Header()[0xc:], "PAGE") },
			check: func(t *testing.T, dmp []byte, _ *guestsim.Guest) {
				t.Helper()
				assert.Equal(t, uint32(19041), u32(dmp, 0xc))
			},
		},
		{
			name: "lists not set", want: finding.HeaderRepaired.ID(),
			poke: func(g *guestsim.Guest) { copy(g.Header()[0x20:], "PAGEPAGEPAGEPAGE") },
			check: func(t *testing.T, dmp []byte, g *guestsim.Guest) {
				t.Helper()
				assert.Equal(t, g.PsLoadedModuleList, u64(dmp, 0x20))
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(tt.opt)
			if tt.poke != nil {
				tt.poke(g)
			}
			dmp, r, err := convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			assert.Contains(t, ids(r), tt.want)
			if tt.check != nil {
				tt.check(t, dmp, g)
			}
		})
	}
}

func ids(r *report.Report) []string {
	list := make([]string, 0, len(r.Findings))
	for _, f := range r.Findings {
		list = append(list, f.ID)
	}
	return list
}

func TestRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		opt  guestsim.Options
		poke func(g *guestsim.Guest)
		want string
	}{
		{
			name: "a Linux guest", want: finding.NotWindows.ID(),
			poke: func(g *guestsim.Guest) { copy(g.Header(), "OSRELEASE=6.1.0-13-amd64\nPAGESIZE=4096\n") },
		},
		{
			name: "no KDBG", want: finding.NotBooted.ID(),
			poke: func(g *guestsim.Guest) {
				g.Unmap(g.KDBG)
				clear(g.Header()[0x40:0x48])
			},
		},
		{
			name: "no usable processor", want: finding.NoProcessors.ID(),
			poke: func(g *guestsim.Guest) { g.Write64(g.KiProcessorBlock, 0) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(tt.opt)
			if tt.poke != nil {
				tt.poke(g)
			}
			_, r, err := convertSimFile(t, g, convert.Options{})
			var refused *finding.RefusedError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, tt.want, refused.Finding.ID)
			assert.Equal(t, "FAIL", r.Verdict)
			assert.NotEmpty(t, r.Error.Message)
			assert.NotContains(t, err.Error(), "\x1b", "no escape sequence of the guest's gets out")
		})
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	sim := func() *guestsim.Guest {
		g := guestsim.New(guestsim.Options{CPUs: 1})
		// A run that the machine has no RAM for, behind the others.
		g.SetRuns(append(slices.Clone(g.Runs()), guestsim.Range{Start: 0x900000000, Size: 3 * 0x1000}))
		return g
	}
	_, r, err := convertSim(t, sim(), convert.Options{})
	var refused *finding.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, finding.Missing.ID(), refused.Finding.ID)
	assert.Contains(t, err.Error(), "0x900000000", "the range is named")
	assert.Contains(t, err.Error(), "12 KiB of the guest's memory in 1 range are not in the source")
	assert.Equal(t, uint64(3*0x1000), r.Memory.Missing)

	dmp, r, err := convertSim(t, sim(), convert.Options{Plan: plan.Options{Missing: report.MissingZero}})
	require.NoError(t, err)
	assert.Equal(t, uint64(3*0x1000), r.Memory.Zeroed)
	assert.Equal(t, make([]byte, 3*0x1000), dmp[len(dmp)-3*0x1000:])
	assert.Equal(t, "WARN", r.Verdict)

	smaller, r, err := convertSim(t, sim(), convert.Options{Plan: plan.Options{Missing: report.MissingDrop}})
	require.NoError(t, err)
	assert.Equal(t, uint64(3*0x1000), r.Memory.Dropped)
	assert.Len(t, smaller, len(dmp)-3*0x1000)
	assert.Equal(t, uint64(len(smaller)), u64(smaller, 0xfa0))

	_, _, err = convertSim(t, sim(), convert.Options{Plan: plan.Options{Missing: report.MissingZero, Strict: true}})
	require.ErrorAs(t, err, &refused)
}

// TestSpaceIsCheckedFirst: a table that lists a petabyte asks for more than any
// disk has, and nothing is written.
func TestSpaceIsCheckedFirst(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	g.SetRuns(append(slices.Clone(g.Runs()), guestsim.Range{Start: 1 << 44, Size: 1 << 50}))
	_, r, err := convertSimFile(t, g, convert.Options{Plan: plan.Options{Missing: report.MissingZero}})
	var space *write.SpaceError
	require.ErrorAs(t, err, &space)
	assert.Equal(t, uint64(r.Output.Size), space.Need)
	assert.Equal(t, string(stage.Output), r.Error.Stage)
}

// TestUnknownBytesArePreserved: what windmp does not set keeps the guest's
// bytes, whatever they are.
func TestUnknownBytesArePreserved(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	h := g.Header()
	for i := 0x1058; i < 0x2000; i++ {
		h[i] = byte(i * 7)
	}
	copy(h[0x60:0x80], "version of the user, kept")
	dmp, _, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	assert.Equal(t, h[0x1058:], dmp[0x1058:0x2000])
	assert.Equal(t, h[0x60:0x80], dmp[0x60:0x80])
}

func TestStreamEqualsFile(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2, Odd: true})
	dmp, _, err := convertSimFile(t, g, convert.Options{})
	require.NoError(t, err)
	var stream bytes.Buffer
	_, err = convert.Stream(context.Background(), source.Named(writeCore(t, g)), &stream, convert.Options{})
	require.NoError(t, err)
	assert.True(t, bytes.Equal(dmp, stream.Bytes()))
}

// TestSparseIsIdentical: holes change what a file takes, not what it holds.
func TestSparseIsIdentical(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2})
	var first []byte
	for _, mode := range []write.Sparse{write.SparseNever, write.SparseAuto, write.SparseAlways} {
		dmp, _, err := convertSimFile(t, g, convert.Options{Write: write.Options{Sparse: mode}})
		require.NoError(t, err)
		if first == nil {
			first = dmp
		}
		assert.True(t, bytes.Equal(first, dmp), mode)
	}
}

func TestOutputMode(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such mode: a file has the access list of its folder")
	}
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	out := filepath.Join(t.TempDir(), "x.dmp")
	_, err := convert.File(context.Background(), core, out, convert.Options{})
	require.NoError(t, err)
	st, err := os.Stat(out)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), st.Mode().Perm())
}
