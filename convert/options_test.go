package convert_test

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/guest"
	"windmp/convert/inspect"
	"windmp/convert/machine"
	"windmp/convert/plan"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/convert/write"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
)

// TestOptionsAreChecked: a word that means nothing is a usage error before any work,
// and nothing is written.
func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	for name, opt := range map[string]convert.Options{
		"type":     {Plan: plan.Options{Type: "ful"}},
		"contexts": {Plan: plan.Options{Contexts: "mine"}},
		"missing":  {Plan: plan.Options{Missing: "what"}},
		"to":       {Plan: plan.Options{To: "pdf"}},
		"sparse":   {Write: write.Options{Sparse: "very"}},
		"workers":  {Write: write.Options{Workers: -1}},
		"format":   {Source: source.Options{Input: open.Options{Format: "vhd"}}},
		"holes":    {Source: source.Options{Input: open.Options{Holes: []physmem.Range{{Start: 0x1000, Size: 0x1000}}}}},
		"machines": {Guest: guest.Options{Machines: []*machine.Machine{nil}}},
	} {
		var usage *stage.UsageError
		r, err := convert.File(t.Context(), core, core+".dmp", opt)
		require.ErrorAs(t, err, &usage, name)
		assert.False(t, r.Output.Written)
		_, err = convert.Stream(t.Context(), source.Named(core), io.Discard, opt)
		require.ErrorAs(t, err, &usage, name)
		assertOnly(t, core)
	}
}

// TestNowhereToWrite: neither no writer nor the name that stands for standard output
// is a place for a dump.
func TestNowhereToWrite(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	var usage *stage.UsageError
	_, err := convert.Stream(t.Context(), source.Named(core), nil, convert.Options{})
	require.ErrorAs(t, err, &usage)
	_, err = convert.File(t.Context(), core, convert.Stdout, convert.Options{})
	require.ErrorAs(t, err, &usage)
	_, err = convert.File(t.Context(), core, "", convert.Options{})
	require.ErrorAs(t, err, &usage)
	r, err := convert.Stream(t.Context(), source.Named(core), nil, convert.Options{DryRun: true})
	require.NoError(t, err)
	assert.Equal(t, "OK", r.Verdict)
}

// TestInspectOptionsAreChecked: as those of a conversion.
func TestInspectOptionsAreChecked(t *testing.T) {
	t.Parallel()
	in := source.File(writeCore(t, guestsim.New(guestsim.Options{})))
	var usage *stage.UsageError
	for _, opt := range []inspect.CheckOptions{
		{Level: "deep"},
		{Jobs: -1},
		{Jobs: write.MaxWorkers + 1},
		{MaxSize: -1},
		{Source: source.Options{Input: open.Options{Format: "vhd"}}},
	} {
		r, err := inspect.Check(t.Context(), opt, in)
		require.ErrorAs(t, err, &usage)
		require.NotNil(t, r)
	}
	bad := source.Options{Input: open.Options{Format: "vhd"}}
	_, err := inspect.Info(t.Context(), in, inspect.InfoOptions{Source: bad})
	require.ErrorAs(t, err, &usage)
	_, err = inspect.Symbols(t.Context(), in, inspect.SymbolsOptions{Source: bad})
	require.ErrorAs(t, err, &usage)
	_, err = inspect.Walk(t.Context(), in, nil, inspect.WalkOptions{Source: bad})
	require.ErrorAs(t, err, &usage)
}

// TestWalkFindsTheHole: addresses of raw memory are translated in the memory in which
// the guest was found, with the hole that its table of memory confirms.
func TestWalkFindsTheHole(t *testing.T) {
	t.Parallel()
	const gib, mib = 1 << 30, 1 << 20
	ram := []guestsim.Range{{Start: 0, Size: 3 * gib}, {Start: 4 * gib, Size: 600 * mib}}
	g := guestsim.New(guestsim.Options{CPUs: 1, RAM: ram, Runs: ram[1:]}) // all of it lies behind the hole
	f := rawFile{g: g}
	in := source.Reader("memory", f, f.size())
	opt := inspect.WalkOptions{Read: 16, Source: source.Options{Input: open.Options{Format: physmem.FormatRaw}}, Guest: guest.Options{DTB: g.DTB}}
	opt.DTB = g.DTB
	r, err := inspect.Walk(t.Context(), in, []uint64{g.KDBG, guestsim.SharedUserData}, opt)
	require.NoError(t, err)
	require.Len(t, r.Walks, 2)
	for _, w := range r.Walks {
		assert.True(t, w.Mapped, "%+v", w)
		assert.Empty(t, w.Error)
		assert.Len(t, w.Data, 16)
	}
}

// TestCheckOfSparseFile: what a file leaves out is not read. Reading it would take
// minutes.
func TestCheckOfSparseFile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("holes are not known here")
	}
	path := filepath.Join(t.TempDir(), "memory")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, 24<<30))
	var opt inspect.CheckOptions
	opt.Source.Input.Format = physmem.FormatRaw
	f := checkFile(t.Context(), path, opt)
	assert.Equal(t, "FAIL", f.Verdict)
	assert.Equal(t, string(physmem.FormatRaw), f.Format)
}
