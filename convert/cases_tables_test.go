package convert_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/guestsim"
	"windmp/physmem/open"
	"windmp/vtop"
)

// TestTableCases: a page in transition, in whose entry Windows has set a high bit.
func TestTableCases(t *testing.T) {
	t.Parallel()
	t.Run("M06.elf", func(t *testing.T) {
		t.Parallel()
		w := walkTo(t, caseFile(t, "M06.elf"), 0xffffb980_10103000, inspect.WalkOptions{})
		assert.True(t, w.Transition)
		assert.Equal(t, report.Hex(0x110000), w.PA)
	})
	t.Run("M07.elf", func(t *testing.T) {
		t.Parallel()
		dmp, _ := convertAll(t, source.File(caseFile(t, "M07.elf")), convert.Options{Plan: plan.Options{Type: plan.OutputKernel}})
		assert.Contains(t, pagesOf(t, dmp, "SDMP"), uint64(0x110))
	})
}

// TestSwizzledPages: the same of pages that the kernel's lists are in, in guests of all
// widths, by bits of which those of the cases are one choice.
func TestSwizzledPages(t *testing.T) {
	t.Parallel()
	simulated := func(opt guestsim.Options) func(*testing.T) string {
		return func(t *testing.T) string {
			t.Helper()
			return writeCore(t, guestsim.New(opt))
		}
	}
	committed := func(name string) func(*testing.T) string {
		return func(t *testing.T) string { t.Helper(); return sample(t, name) }
	}
	pae, paeCrashed, nopae := committed("x86-live-2cpu-paging.vmcore.gz"), committed("x86-bsod-2cpu.vmcore.gz"), committed("x86-nopae-live-2cpu.vmcore.gz")
	for _, tt := range []struct {
		name      string
		file      func(*testing.T) string
		high, low int
		marked    bool // the entry was left as it was
	}{
		{"19041", simulated(guestsim.Options{CPUs: 2}), 45, 4, false},
		{"26100", simulated(guestsim.Options{Build: 26100, Seed: 3}), 38, 4, false},
		{"marked", simulated(guestsim.Options{Seed: 4}), 20, 9, true},
		{"crashed", simulated(guestsim.Options{BugCheck: [5]uint64{0x50, 1, 2, 3, 4}, Odd: true}), 51, 2, false},
		{"five levels", simulated(guestsim.Options{LA57: true, Build: 26100}), 45, 4, false},
		{"PAE", pae, 35, 4, false},
		{"PAE, marked", pae, 45, 9, true},
		{"PAE, crashed", paeCrashed, 45, 4, false},
		{"no PAE", nopae, 45, 4, true}, // no entry has such a bit
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := tt.file(t)
			verdict := kernelVerdict(t, path)
			was := findIn(t, path)
			va := was.Modules()[1].Entry
			page := swizzle(t, path, va, tt.high, tt.low, tt.marked)

			g := findIn(t, path)
			assert.Equal(t, was.Modules(), g.Modules(), "the list goes through the page")
			for _, opt := range []inspect.WalkOptions{{}, {DTB: uint64(g.Memory().Space.DTB)}} {
				w := walkTo(t, path, va, opt)
				assert.Empty(t, w.Error)
				assert.True(t, w.Transition)
				assert.Equal(t, report.Hex(page)|report.Hex(va)&0xfff, w.PA)
				assert.Equal(t, []string{"transition"}, w.Steps[len(w.Steps)-1].Flags)
			}
			out := kernelDump(t, path)
			im, err := open.File(t.Context(), out, open.Options{})
			require.NoError(t, err)
			defer im.Close()
			_, err = im.ReadAt(make([]byte, 0x1000), int64(page))
			require.NoError(t, err, "the page is in the dump")
			assert.Equal(t, was.Modules(), findIn(t, out).Modules())
			assert.Equal(t, verdict, kernelVerdict(t, path))
		})
	}
}

// swizzle takes a page out of the kernel's working set, in a core, as a kernel does
// whose KDBG states these bits. It returns where the page lies.
func swizzle(t *testing.T, path string, va vtop.VA, high, mark int, marked bool) uint64 {
	t.Helper()
	im, err := open.File(t.Context(), path, open.Options{})
	require.NoError(t, err)
	defer im.Close()
	g := findIn(t, path)
	m, err := g.Memory().Space.Translate(va)
	require.NoError(t, err)
	require.Equal(t, 1, m.Level)
	block, err := g.Memory().Space.Translate(g.Kernel().VA + 0x2c2)
	require.NoError(t, err)

	require.NoError(t, os.Chmod(path, 0o600))
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer file.Close()
	set := func(pa vtop.PA, b []byte) {
		at, ok := im.FileOffset(uint64(pa))
		require.True(t, ok)
		_, err := file.WriteAt(b, at)
		require.NoError(t, err)
	}
	page := uint64(m.PA) &^ 0xfff
	e := page | 1<<11 | 0x60
	if marked {
		e |= 1 << mark
	} else {
		e |= 1 << high
	}
	set(block.PA, []byte{byte(high), byte(mark)})
	set(m.EntryPA, binary.LittleEndian.AppendUint64(nil, e)[:g.Mode().EntrySize])
	return page
}

// kernelDump is a kernel dump of a file.
func kernelDump(t *testing.T, path string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.dmp")
	_, err := convert.File(t.Context(), path, out, convert.Options{Plan: plan.Options{Type: plan.OutputKernel}})
	require.NoError(t, err)
	return out
}

// kernelVerdict is what check says of it.
func kernelVerdict(t *testing.T, path string) string {
	t.Helper()
	return checkOf(t, kernelDump(t, path), inspect.CheckOptions{}).Verdict
}

// walkTo translates an address of a file.
func walkTo(t *testing.T, path string, va vtop.VA, opt inspect.WalkOptions) inspect.AddressWalk {
	t.Helper()
	r, err := inspect.Walk(t.Context(), source.File(path), []uint64{uint64(va)}, opt)
	require.NoError(t, err)
	require.Len(t, r.Walks, 1)
	return r.Walks[0]
}
