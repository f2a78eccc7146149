package convert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/internal/guestsim"
)

// info describes a synthetic guest's vmcore.
func info(t *testing.T, g *guestsim.Guest) *inspect.InfoReport {
	t.Helper()
	r, err := inspect.Info(context.Background(), source.File(writeCore(t, g)), inspect.InfoOptions{Modules: true, Processes: true})
	require.NoError(t, err)
	return r
}

func TestInfo(t *testing.T) {
	t.Parallel()
	for _, build := range []uint32{9600, 19041, 26100} {
		g := guestsim.New(guestsim.Options{Build: build, CPUs: 2, BugCheck: crash, Encoded: true})
		r := info(t, g)
		assert.Equal(t, build, r.System.Build)
		assert.NotEmpty(t, r.System.Name)
		assert.Contains(t, r.System.BuildLab, fmt.Sprint(build))
		assert.Equal(t, "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED", r.Bug.Name)
		assert.True(t, r.Bug.Crashed)
		assert.Equal(t, report.Hex(crash[1]), r.Bug.Parameters[0].Value)
		require.Len(t, r.CPUs, 2)
		assert.Equal(t, "kernel", r.CPUs[1].Mode)
		assert.Equal(t, report.Hex(g.DTB), r.CPUs[0].Root)
		require.Len(t, r.Modules, 3)
		assert.Equal(t, "ntkrnlmp.pdb", r.Modules[0].PDB.Name)
		assert.NotEmpty(t, r.Modules[1].Error, "its image is not mapped")
		require.Len(t, r.Processes, 1)
		assert.Equal(t, "System", r.Processes[0].Name)
		assert.Len(t, r.Memory.Ranges, r.Memory.Count)
	}
}

// TestInfoPartsStandAlone breaks one structure a time: the others are there.
func TestInfoPartsStandAlone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(g *guestsim.Guest)
		lost   func(r *inspect.InfoReport) bool
		id     string
	}{
		"modules":   {func(g *guestsim.Guest) { g.Write64(g.Modules[1].Entry, g.Modules[1].Entry) }, func(r *inspect.InfoReport) bool { return len(r.Modules) == 2 }, finding.ModuleList.ID()},
		"processes": {func(g *guestsim.Guest) { g.Write64(g.PsActiveProcessHead, 0) }, func(r *inspect.InfoReport) bool { return len(r.Processes) == 0 }, finding.ProcessList.ID()},
		"bug check": {func(g *guestsim.Guest) { g.Unmap(g.KiBugcheckData) }, func(r *inspect.InfoReport) bool { return r.Bug == nil }, finding.BugCheckUnread.ID()},
		"kuser":     {func(g *guestsim.Guest) { g.Unmap(guestsim.SharedUserData) }, func(r *inspect.InfoReport) bool { return r.System.Version == "" }, finding.TimeStale.ID()},
		"unloaded":  {func(g *guestsim.Guest) { g.Write64(g.Field("MmUnloadedDrivers"), 0x41) }, func(r *inspect.InfoReport) bool { return len(r.Unloaded) == 0 }, finding.ListUnread.ID()},
		"kernel":    {func(g *guestsim.Guest) { g.Unmap(guestsim.KernBase) }, func(r *inspect.InfoReport) bool { return r.Kernel.PDB == nil && r.Kernel.Error != "" }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{CPUs: 2, BugCheck: crash})
			g.Map(g.Field("MmUnloadedDrivers"), 8)
			tt.change(g)
			r := info(t, g)
			assert.True(t, tt.lost(r))
			found := tt.id == ""
			for _, f := range r.Findings {
				found = found || f.ID == tt.id
			}
			assert.True(t, found, "%v", r.Findings)
			assert.Equal(t, uint32(19041), r.System.Build)
			assert.Len(t, r.CPUs, 2)
			assert.NotZero(t, r.Memory.Held)
			assert.NotZero(t, r.ModuleCount)
		})
	}
}

// TestInfoWithoutKDBG: the header leads to the modules all the same.
func TestInfoWithoutKDBG(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	g.Write(g.KDBG, make([]byte, 0x100))
	g.Write(g.KDBGCopy, make([]byte, 0x100))
	r, err := inspect.Info(context.Background(), source.File(writeCore(t, g)), inspect.InfoOptions{})
	require.Error(t, err)
	assert.Equal(t, 3, r.ModuleCount)
	assert.Equal(t, "ntoskrnl.exe", r.Kernel.Name)
	assert.Equal(t, "10.0", r.System.Version)
	assert.NotNil(t, r.Error)
}

// TestCheckHoldsNoMemory: a report can be attached to a ticket.
func TestCheckHoldsNoMemory(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	const secret = "correct horse battery staple"
	g.Map(0xfffff80417000000, 0x1000)
	g.Write(0xfffff80417000000, bytes.Repeat([]byte(secret), 10))
	r := checkFiles(context.Background(), []string{writeCore(t, g)}, inspect.CheckOptions{Level: inspect.CheckFull})
	b, err := json.Marshal(r)
	require.NoError(t, err)
	assert.NotContains(t, string(b), secret)
	assert.Equal(t, "OK", r.Verdict)
	assert.Len(t, r.Files[0].SHA256, 64)
}

func TestCheckFilesCounts(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	text := filepath.Join(t.TempDir(), "a.txt")
	require.NoError(t, os.WriteFile(text, []byte("hello"), 0o600))
	r := checkFiles(context.Background(), []string{core, text, "missing", core, os.TempDir()}, inspect.CheckOptions{Jobs: 3})
	assert.Equal(t, inspect.CheckCounts{OK: 2, Unknown: 2, Fail: 1}, r.Counts)
	assert.Equal(t, "FAIL", r.Verdict)
	assert.Equal(t, core, r.Files[3].Path)
	require.ErrorIs(t, r.Files[2].Err, os.ErrNotExist)
}

func TestCheckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f := checkFile(ctx, writeCore(t, guestsim.New(guestsim.Options{})), inspect.CheckOptions{Level: inspect.CheckFull})
	require.ErrorIs(t, f.Err, context.Canceled)
}

func TestSymbols(t *testing.T) {
	t.Parallel()
	r, err := inspect.Symbols(context.Background(), source.File(samplePath("guest-bsod.vmcore")), inspect.SymbolsOptions{Server: "https://example.org"})
	require.NoError(t, err)
	require.Len(t, r.Modules, 4)
	for _, m := range r.Modules {
		assert.True(t, m.Readable, m.Error)
	}
	assert.Len(t, r.URLs(), 8)
	assert.Equal(t, 8, strings.Count(r.Manifest(), "\n"))
	assert.Contains(t, r.Manifest(), "ntoskrnl.exe,8d0e7b2a1046000,1\n")
}

// TestProcessorsAreNamedAsFrames: where a processor is, info says in the words of the stack.
func TestProcessorsAreNamedAsFrames(t *testing.T) {
	t.Parallel()
	r, err := inspect.Info(t.Context(), source.File(samplePath("bsod-4cpu-q35.vmcore.gz")), inspect.InfoOptions{})
	require.NoError(t, err)
	require.Len(t, r.CPUs, 4)
	assert.Equal(t, "nt+0x3fc923", r.CPUs[0].Symbol)
	assert.Equal(t, "fwcfg+0x1080", r.CPUs[1].Symbol)
}

func TestWalk(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{LA57: true})
	g.Transition(g.KDBG)
	core := writeCore(t, g)
	r, err := inspect.Walk(context.Background(), source.File(core), []uint64{guestsim.SharedUserData, g.KDBG, 0}, inspect.WalkOptions{Read: 16})
	require.NoError(t, err)
	require.Len(t, r.Walks, 3)
	shared := r.Walks[0]
	assert.Equal(t, "PML5E", shared.Steps[0].Name)
	assert.Len(t, shared.Steps, 5)
	assert.Equal(t, report.Hex(g.PA(guestsim.SharedUserData)), shared.PA)
	file, err := os.ReadFile(core)
	require.NoError(t, err)
	assert.Equal(t, file[shared.FileOffset:shared.FileOffset+16], shared.Data)
	assert.True(t, r.Walks[1].Transition)
	assert.Equal(t, []string{"transition"}, r.Walks[1].Steps[4].Flags)
	assert.False(t, r.Walks[2].Mapped)
	assert.NotEmpty(t, r.Walks[2].Error)
}

func TestWalkRefuses(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	for name, opt := range map[string]inspect.WalkOptions{
		"too much": {Read: inspect.MaxWalkRead + 1}, "levels": {Levels: 6}, "two spaces": {DTB: 0x1000, HasPID: true}, "no process": {PID: 99, HasPID: true},
	} {
		_, err := inspect.Walk(context.Background(), source.File(core), []uint64{0}, opt)
		var usage *stage.UsageError
		require.ErrorAs(t, err, &usage, name)
	}
}

func Example_check() {
	r, err := inspect.Check(context.Background(), inspect.CheckOptions{}, source.File("../testdata/guest-bsod.vmcore"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Verdict, r.Files[0].Output.Size)
	// Output: OK 3670016
}
