package convert_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/internal/guestsim"
)

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
