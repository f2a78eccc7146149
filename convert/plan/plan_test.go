package plan_test

import (
	"bytes"
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/winhdr"
)

// find finds a synthetic guest; it may fail.
func find(t *testing.T, g *guestsim.Guest) (*guest.Guest, error) {
	t.Helper()
	b := g.ELF()
	im, err := open.Source(t.Context(), physmem.NewSource("guest", bytes.NewReader(b), int64(len(b))), open.Options{})
	require.NoError(t, err)
	return guest.Find(context.Background(), im, guest.Options{})
}

// TestOptionsAreChecked: an option that is none of those there are writes nothing.
func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	g, err := find(t, guestsim.New(guestsim.Options{CPUs: 1}))
	require.NoError(t, err)
	for name, opt := range map[string]plan.Options{
		"type": {Type: "ful"}, "contexts": {Contexts: "all"}, "missing": {Missing: "none"}, "container": {To: "zip"},
		"process without kernel": {KeepProcesses: []uint64{4}}, "bitmap of a core": {To: plan.FormatELF, Type: plan.OutputBitmap},
		"zeros in a core": {To: plan.FormatELF, Missing: report.MissingZero},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var usage *stage.UsageError
			require.ErrorAs(t, opt.Validate(), &usage)
			p, err := plan.New(t.Context(), g, opt)
			require.ErrorAs(t, err, &usage)
			assert.Nil(t, p.Layout())
			assert.Zero(t, p.Size())
			assert.Nil(t, p.Header())
		})
	}
}

// TestIncompleteGuest: of a guest that was not found there is an error and no plan.
func TestIncompleteGuest(t *testing.T) {
	t.Parallel()
	sim := guestsim.New(guestsim.Options{CPUs: 1})
	sim.Unmap(sim.KiProcessorBlock)
	g, err := find(t, sim)
	require.Error(t, err)
	require.False(t, g.Complete())
	for _, to := range []plan.OutputFormat{plan.FormatDMP, plan.FormatELF} {
		p, err := plan.New(t.Context(), g, plan.Options{To: to})
		require.ErrorIs(t, err, plan.ErrIncomplete)
		var failed *stage.Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, stage.Plan, failed.Stage)
		assert.Nil(t, p.Layout())
		assert.Empty(t, p.Improvements())
	}
}

// TestPlanIsData: what a caller does to what a guest or a plan gave changes neither.
func TestPlanIsData(t *testing.T) {
	t.Parallel()
	g, err := find(t, guestsim.New(guestsim.Options{CPUs: 2, Encoded: true}))
	require.NoError(t, err)
	p, err := plan.New(t.Context(), g, plan.Options{})
	require.NoError(t, err)
	want := p.Header().Encode()
	template := g.Header().Encode()

	h, edits, cpus, runs := p.Header(), p.Edits(), p.CPUs(), g.Runs()
	h.BugCheckCode, h.DirectoryTableBase = 1, 2
	require.NotEmpty(t, edits)
	edits[0].PA, cpus[0].Note, runs[0].PageCount = 0, "changed", 1
	g.Header().NumberProcessors = 77
	g.Modules()[0].Base, g.Processors()[0].PRCB = 1, 1
	g.BugCheck().Code = 99

	assert.Equal(t, want, p.Header().Encode())
	assert.Equal(t, template, g.Header().Encode())
	assert.NotZero(t, p.Edits()[0].PA)
	assert.NotEqual(t, "changed", p.CPUs()[0].Note)
	assert.NotEqual(t, uint64(1), g.Runs()[0].PageCount)
	assert.NotEqual(t, uint32(99), g.BugCheck().Code)
	assert.NotEqual(t, uint64(1), uint64(g.Modules()[0].Base))
}

// TestImprovementsAreTheDifference: each is a field that the two headers have
// otherwise, with what they have.
func TestImprovementsAreTheDifference(t *testing.T) {
	t.Parallel()
	g, err := find(t, guestsim.New(guestsim.Options{CPUs: 2}))
	require.NoError(t, err)
	p, err := plan.New(t.Context(), g, plan.Options{})
	require.NoError(t, err)
	diffs := winhdr.Diff(g.Origin().Original, p.Header())
	improvements := p.Improvements()
	require.NotEmpty(t, improvements)
	for _, i := range improvements {
		if i.Field == "ContextRecord" || i.Field == "Exception" {
			continue // said in words
		}
		found := false
		for _, d := range diffs {
			found = found || d.In(i.Field) && d.From == i.From && d.To == i.To
		}
		assert.True(t, found, "%+v", i)
	}
}

// TestContextsOfManyModules: what deciding about a processor takes does not grow with the
// list of modules, which a hostile guest makes long.
func TestContextsOfManyModules(t *testing.T) {
	const away = 0xfffff80500000000 // of modules that are not mapped
	allocated := func(modules int) uint64 {
		opt := guestsim.Options{CPUs: 16, BugCheck: [5]uint64{0x7e, 0xffffffffc0000005, 2, 3, 4}}
		for i := range modules {
			base := away + uint64(i)*0x10000
			opt.Modules = append(opt.Modules, guestsim.Module{Base: base, EntryPoint: base, Size: 0x8000, Name: "a.sys", FullName: "a.sys"})
		}
		sim := guestsim.New(opt)
		for _, p := range sim.Processors {
			sim.Write64(p.Context+0xf8, away+0x10)
		}
		g, err := find(t, sim)
		require.NoError(t, err)
		require.Len(t, g.Modules(), 3+modules)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		list := plan.Contexts(g, plan.ContextsAuto)
		runtime.ReadMemStats(&after)
		require.Len(t, list, 16)
		for _, c := range list {
			assert.Equal(t, report.FromSaved, c.Source, c.Note)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	assert.InDelta(t, allocated(2), allocated(300), 64<<10)
}
