package convert_test

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
)

// toELF converts a dump into an ELF core.
func toELF(t *testing.T, dmp []byte) []byte {
	t.Helper()
	core, _, err := convertBytes(t, dmp, convert.Options{Plan: plan.Options{To: plan.FormatELF}})
	require.NoError(t, err)
	return core
}

// TestRoundTrip: a dump that becomes an ELF core becomes the same dump again.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, s := range slices.Concat(samples, samples32) {
		if s.win == "live-2cpu" && s.core != "live-2cpu.vmcore.gz" {
			continue // the same guest
		}
		t.Run(s.win, func(t *testing.T) {
			t.Parallel()
			ours, _ := convertSample(t, s.core, convert.Options{})
			for i, want := range [][]byte{ours, gunzip(t, samplePath(s.win+".win-dmp.gz"))} {
				got, _, err := convertBytes(t, toELF(t, want), convert.Options{})
				require.NoError(t, err)
				list := []allowed(nil)
				if i > 0 {
					// QEMU leaves the driver's context, exception and times.
					list = slices.Clone(shapeOf(t, want).improved)
				}
				if s.win == "shadow-user-2cpu" {
					list = append(list, shapeOf(t, want).improvedIn["pcid"])
				}
				equalButFor(t, want, got, list)
			}
		})
	}
}

// TestELFIsReadByOthers: debug/elf, readelf and gdb read the core, and find
// QEMU's notes and memory in it.
func TestELFIsReadByOthers(t *testing.T) {
	t.Parallel()
	dmp, _ := convertSample(t, "guest-bsod.vmcore", convert.Options{})
	core := writeFile(t, toELF(t, dmp))
	f, err := elf.Open(core)
	require.NoError(t, err)
	defer f.Close()
	assert.Equal(t, elf.ET_CORE, f.Type)
	im := openBytes(t, dmp)
	loads := 0
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		loads++
		got, err := io.ReadAll(p.Open())
		require.NoError(t, err)
		want := make([]byte, p.Filesz)
		_, err = im.ReadAt(want, int64(p.Paddr))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, got))
	}
	assert.Equal(t, 2, loads)
	for _, tool := range [][]string{
		{"readelf", "-hln", core},
		{"gdb", "-q", "-nx", "-batch", "-ex", "core-file " + core, "-ex", "info registers rip", "-ex", "info threads"},
	} {
		if _, err := exec.LookPath(tool[0]); err != nil {
			t.Logf("NOT RUN: %s is not installed", tool[0])
			continue
		}
		out, err := exec.Command(tool[0], tool[1:]...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		if tool[0] == "readelf" {
			assert.Contains(t, string(out), "NT_PRSTATUS")
			assert.Contains(t, string(out), "VMCOREINFO")
			assert.NotContains(t, string(out), "Warning")
		} else {
			assert.Contains(t, string(out), "0xfffff800")
		}
	}
}

// TestELFKeepsWhatIsAsked: a user who asks for the kernel's memory gets no other, and
// the report states the guest.
func TestELFKeepsWhatIsAsked(t *testing.T) {
	t.Parallel()
	const userVA = 0x7ff600001000
	g := guestsim.New(guestsim.Options{CPUs: 2, BugCheck: crash})
	g.Map(userVA, 0x1000)
	secret := []byte("a secret of user mode")
	g.Write(userVA, secret)
	core := writeCore(t, g)
	convertTo := func(opt plan.Options) ([]byte, *report.Report) {
		opt.To = plan.FormatELF
		out := filepath.Join(t.TempDir(), "out.vmcore")
		r, err := convert.File(t.Context(), core, out, convert.Options{Plan: opt})
		require.NoError(t, err)
		b, err := os.ReadFile(out)
		require.NoError(t, err)
		return b, r
	}
	all, r := convertTo(plan.Options{})
	assert.True(t, bytes.Contains(all, secret))
	require.NotNil(t, r.Guest.BugCheck)
	assert.Equal(t, report.Hex(crash[0]), r.Guest.BugCheck.Code)
	assert.Equal(t, report.Hex(crash[4]), r.Guest.BugCheck.Parameters[3])
	assert.InDelta(t, float64(guestsim.InterruptTime)/1e7, r.Guest.UpTime, 0.1)

	kernel, r := convertTo(plan.Options{Type: plan.OutputKernel})
	assert.False(t, bytes.Contains(kernel, secret))
	assert.Less(t, len(kernel), len(all))
	assert.Positive(t, r.Output.LeftOut)
	im := openBytes(t, kernel)
	found, err := guest.Find(t.Context(), im, guest.Options{})
	require.NoError(t, err)
	assert.Len(t, found.Processors(), 2)

	const system = 4 // the process
	kept, _ := convertTo(plan.Options{Type: plan.OutputKernel, KeepProcesses: []uint64{system}})
	assert.True(t, bytes.Contains(kept, secret))
	assert.Less(t, len(kernel), len(kept))

	saved, _ := convertTo(plan.Options{Contexts: plan.ContextsSaved})
	found, err = guest.Find(t.Context(), openBytes(t, saved), guest.Options{})
	require.NoError(t, err)
	for i, v := range found.VCPUs() {
		assert.Equal(t, g.Processors[i].SavedRip, v.Context.IP())
	}
}

// TestELFOfAPart: a core is held to the guest's memory as a dump is. What the source lacks
// refuses it, or is left out and said.
func TestELFOfAPart(t *testing.T) {
	t.Parallel()
	part := gunzip(t, "live-2cpu-cut.vmcore.gz")
	for _, kind := range []plan.OutputType{plan.OutputFull, plan.OutputKernel} {
		opt := plan.Options{To: plan.FormatELF, Type: kind}
		_, r, err := convertBytes(t, part, convert.Options{Plan: opt})
		var refused *finding.RefusedError
		require.ErrorAs(t, err, &refused, kind)
		assert.Equal(t, finding.Missing.ID(), refused.Finding.ID)
		assert.Equal(t, finding.AdviceCoreGaps, refused.Finding.Advice)
		assert.False(t, r.Output.Written)

		opt.Missing = report.MissingDrop
		core, r, err := convertBytes(t, part, convert.Options{Plan: opt})
		require.NoError(t, err)
		assert.Equal(t, "WARN", r.Verdict)
		assert.Contains(t, ids(r), finding.MissingDropped.ID())
		assert.Positive(t, r.Memory.Dropped)
		for _, x := range openBytes(t, core).Ranges() {
			for _, gone := range r.Memory.Ranges {
				assert.Empty(t, physmem.Within([]physmem.Range{x}, physmem.Range{Start: uint64(gone.PA), Size: gone.Size}))
			}
		}
	}
}

// openBytes opens a file that is in memory.
func openBytes(t *testing.T, b []byte) *physmem.Image {
	t.Helper()
	im, err := open.Source(t.Context(), physmem.NewSource("", bytes.NewReader(b), int64(len(b))), open.Options{})
	require.NoError(t, err)
	return im
}
