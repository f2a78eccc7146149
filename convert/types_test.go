package convert_test

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/winhdr"
)

// convertSample converts a committed vmcore in memory.
func convertSample(t *testing.T, name string, opt convert.Options) ([]byte, *report.Report) {
	t.Helper()
	dmp, r, err := inMemory(t, sampleInput(t, name), opt)
	require.NoError(t, err)
	return dmp, r
}

// pagesOf reads a bitmap dump by hand: page frame number to page, as the layout
// in kdmp-parser and LeechCore has it.
func pagesOf(t *testing.T, dmp []byte, tag string) map[uint64][]byte {
	t.Helper()
	second := dmp[shapeOf(t, dmp).headerSize:]
	require.Equal(t, tag+"DUMP", string(second[:8]))
	first, present, size := u64(second, 0x20), u64(second, 0x28), u64(second, 0x30)
	require.Zero(t, first%0x1000, "readers want the first page aligned")
	require.Zero(t, size%64, "readers take whole words of the bitmap")
	require.Equal(t, uint64(len(dmp)), first+present*0x1000)
	require.Equal(t, uint64(len(dmp)), u64(dmp, 0xfa0), "RequiredDumpSpace")
	bitmap := second[0x38 : 0x38+size/8]
	set := 0
	for i := 0; i < len(bitmap); i += 8 {
		set += bits.OnesCount64(binary.LittleEndian.Uint64(bitmap[i:]))
	}
	require.Equal(t, present, uint64(set))
	pages := make(map[uint64][]byte, set)
	at := first
	for pfn := range size {
		if bitmap[pfn/8]>>(pfn%8)&1 != 0 {
			pages[pfn] = dmp[at : at+0x1000]
			at += 0x1000
		}
	}
	return pages
}

func TestBitmapOutput(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"guest-bsod.vmcore", "odd-runs-2cpu.vmcore.gz", "x86-bsod-2cpu.vmcore.gz", "x86-nopae-2cpu.vmcore.gz"} {
		full, fullReport := convertSample(t, name, convert.Options{})
		dmp, r := convertSample(t, name, convert.Options{Plan: plan.Options{Type: plan.OutputBitmap}})
		assert.Equal(t, uint32(5), u32(dmp, shapeOf(t, dmp).dumpType))
		pages := pagesOf(t, dmp, "FDMP")
		assert.Len(t, pages, int(fullReport.Output.Pages))
		assert.Equal(t, fullReport.Edits, r.Edits)
		for pfn, page := range pages {
			at := fileOffset(t, full, pfn<<12)
			require.True(t, bytes.Equal(full[at:at+0x1000], page), "page %#x", pfn)
		}
	}
}

func TestKernelOutput(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"guest-bsod.vmcore", "encoded-2cpu.vmcore.gz", "la57-1cpu.vmcore.gz",
		"x86-bsod-2cpu.vmcore.gz", "x86-nopae-live-2cpu.vmcore.gz",
	} {
		full, fullReport := convertSample(t, name, convert.Options{})
		dmp, r := convertSample(t, name, convert.Options{Plan: plan.Options{Type: plan.OutputKernel}})
		assert.Equal(t, uint32(6), u32(dmp, shapeOf(t, dmp).dumpType))
		pages := pagesOf(t, dmp, "SDMP")
		assert.Equal(t, fullReport.Output.Pages, r.Output.Pages+r.Output.LeftOut)
		assert.NotZero(t, r.Output.LeftOut)
		assert.Equal(t, fullReport.Edits, r.Edits, "every structure that is edited is kept")
		for pfn, page := range pages {
			at := fileOffset(t, full, pfn<<12)
			require.True(t, bytes.Equal(full[at:at+0x1000], page), "page %#x", pfn)
		}
		assertSameGuest(t, full, dmp)
		again, _, err := convertBytes(t, dmp, convert.Options{Plan: plan.Options{Type: plan.OutputKernel}})
		require.NoError(t, err)
		assert.True(t, bytes.Equal(dmp, again), "the machine's table of memory stays, too: %s", name)
	}
}

// TestTableWithoutThePages: a kernel dump's table of memory which lacks pages that are
// there is no machine's; the list of these takes its place.
func TestTableWithoutThePages(t *testing.T) {
	t.Parallel()
	dmp, _ := convertSample(t, "guest-bsod.vmcore", convert.Options{Plan: plan.Options{Type: plan.OutputKernel}})
	for _, run := range []physmem.Run{{BasePage: 0, PageCount: 2}, {BasePage: 1 << 30, PageCount: 2}} {
		header, err := winhdr.Decode(dmp)
		require.NoError(t, err)
		require.NoError(t, header.SetRuns(physmem.Runs{run}))
		copy(dmp, header.Encode())
		again, r, err := convertBytes(t, dmp, convert.Options{Plan: plan.Options{Type: plan.OutputKernel}})
		require.NoError(t, err)
		assert.Equal(t, "OK", r.Verdict)
		assert.Equal(t, len(dmp), len(again), "no bits for what is not there") //nolint:testifylint // the bytes would be printed
		header, err = winhdr.Decode(again)
		require.NoError(t, err)
		runs, problems := header.Runs()
		assert.Empty(t, problems)
		assert.True(t, runs.Contains(header.DirectoryTableBase, physmem.PageSize))
	}
}

// TestBitmapReaches: the bitmap of a dump that leaves pages out reaches to the end of the
// guest's memory, and not to the last page that is there. Microsoft's engine 10.0.10240
// takes page 0x3a0 of the first one, a process's, for absent; of a bitmap up to 0x300 it
// said "Page 3a0 too large to be in the dump file" at every look.
func TestBitmapReaches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sample    string
		options   plan.Options
		last, end uint64 // of the pages and of memory, page frames
	}{
		{"x86-bsod-2cpu.vmcore.gz", plan.Options{Type: plan.OutputKernel}, 0x2fe, 0x3e0},
		{"live-2cpu-cut.vmcore.gz", plan.Options{Type: plan.OutputBitmap, Missing: report.MissingDrop}, 0x3be, 0x3e0},
	} {
		dmp, _ := convertSample(t, c.sample, convert.Options{Plan: c.options})
		header, err := winhdr.Decode(dmp)
		require.NoError(t, err)
		f := header.Format()
		list, err := f.DecodePageList(header.DumpType, dmp[header.Size():][:f.PageListSize(header.DumpType)])
		require.NoError(t, err)
		im := openBytes(t, dmp)
		ranges := im.Ranges()
		assert.Equal(t, (c.last+1)<<12, ranges[len(ranges)-1].End(), c.sample)
		assert.Equal(t, (c.end+63)&^63, list.Bits, c.sample)
	}
}

// assertSameGuest: what is known of the guest is the same in both dumps.
func assertSameGuest(t *testing.T, full, kernel []byte) {
	t.Helper()
	examine := func(dmp []byte) *guest.Guest {
		g, err := guest.Find(t.Context(), openBytes(t, dmp), guest.Options{})
		require.NoError(t, err)
		return g
	}
	a, b := examine(full), examine(kernel)
	assert.Equal(t, a.Modules(), b.Modules())
	assert.Equal(t, a.BugCheck(), b.BugCheck())
	assert.Equal(t, a.SharedUserData(), b.SharedUserData())
	require.Len(t, b.Processors(), len(a.Processors()))
	for i := range a.Processors() {
		assert.Equal(t, a.Processors()[i].Saved, b.Processors()[i].Saved)
	}
	assert.Equal(t, a.Kernel().Raw, b.Kernel().Raw)
}

// TestKernelOutputKeepsUserPages: a page that only user space maps is left out,
// and kept with --keep-process.
func TestKernelOutputKeepsUserPages(t *testing.T) {
	t.Parallel()
	const userVA = 0x7ff600001000
	g := guestsim.New(guestsim.Options{CPUs: 2})
	g.Map(userVA, 0x1000)
	g.Write(userVA, bytes.Repeat([]byte("secret"), 100))
	pfn := g.PA(userVA) >> 12
	dmp, _, err := convertSim(t, g, convert.Options{Plan: plan.Options{Type: plan.OutputKernel}})
	require.NoError(t, err)
	assert.NotContains(t, pagesOf(t, dmp, "SDMP"), pfn)

	dmp, _, err = convertSim(t, g, convert.Options{Plan: plan.Options{Type: plan.OutputKernel, KeepProcesses: []uint64{4}}})
	require.NoError(t, err)
	assert.Equal(t, "secret", string(pagesOf(t, dmp, "SDMP")[pfn][:6]))

	var usage *stage.UsageError
	_, _, err = convertSim(t, g, convert.Options{Plan: plan.Options{Type: plan.OutputKernel, KeepProcesses: []uint64{4321}}})
	require.ErrorAs(t, err, &usage)
}

// TestManyRuns: what a full dump can't list becomes a bitmap dump by itself.
func TestManyRuns(t *testing.T) {
	t.Parallel()
	const islands = 60
	usual := guestsim.New(guestsim.Options{})
	opt := guestsim.Options{RAM: usual.RAM(), Runs: usual.Runs()}
	for i := range uint64(islands) {
		opt.RAM = append(opt.RAM, guestsim.Range{Start: 1<<36 + i*0x3000, Size: 0x1000})
	}
	g := guestsim.New(opt)
	// The guest's table lists the islands and the gaps between them as one run.
	g.SetRuns(append(slices.Clone(usual.Runs()), guestsim.Range{Start: 1 << 36, Size: 0x3000 * islands}))

	dmp, r, err := convertSim(t, g, convert.Options{Plan: plan.Options{Missing: report.MissingDrop}})
	require.NoError(t, err)
	assert.Equal(t, uint32(5), u32(dmp, 0xf98))
	assert.Contains(t, ids(r), finding.TooManyRuns.ID())
	pages := pagesOf(t, dmp, "FDMP")
	for i := range uint64(islands) {
		assert.Contains(t, pages, 1<<24+i*3)
		assert.NotContains(t, pages, 1<<24+i*3+1)
	}
	assert.LessOrEqual(t, u32(dmp, 0x88), uint32(42))

	var refused *finding.RefusedError
	_, _, err = convertSim(t, g, convert.Options{Plan: plan.Options{Missing: report.MissingDrop, Type: plan.OutputFull}})
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, finding.RunsDoNotFit.ID(), refused.Finding.ID)
}

// TestBitmapLimit: memory beyond what a bitmap can list is refused, whatever
// the guest claims.
func TestBitmapLimit(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	g.SetRuns(append(slices.Clone(g.Runs()), guestsim.Range{Start: 1 << 51, Size: 0x1000}))
	var refused *finding.RefusedError
	_, _, err := convertSim(t, g, convert.Options{Plan: plan.Options{Missing: report.MissingZero, Type: plan.OutputBitmap}})
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, finding.BitmapTooLarge.ID(), refused.Finding.ID)
}
