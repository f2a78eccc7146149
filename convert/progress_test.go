package convert_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/inspect"
	"windmp/convert/stage"
	"windmp/internal/guestsim"
)

// progressLog is what was reported: the stages as they began, and the last word
// on the bytes of each.
type progressLog struct {
	stages []stage.Stage
	last   map[stage.Stage]stage.Progress
}

func (l *progressLog) add(p stage.Progress) {
	if n := len(l.stages); n == 0 || l.stages[n-1] != p.Stage {
		l.stages = append(l.stages, p.Stage)
	}
	if l.last == nil {
		l.last = map[stage.Stage]stage.Progress{}
	}
	l.last[p.Stage] = p
}

func TestProgressOfAConversion(t *testing.T) {
	t.Parallel()
	core := guestsim.New(guestsim.Options{}).ELF()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(core)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	dir := t.TempDir()
	in := filepath.Join(dir, "guest.vmcore.gz")
	require.NoError(t, os.WriteFile(in, packed.Bytes(), 0o400))

	var l progressLog
	r, err := convert.File(context.Background(), in, filepath.Join(dir, "guest.dmp"), convert.Options{Progress: l.add})
	require.NoError(t, err)
	assert.Equal(t, []stage.Stage{
		stage.Open, stage.Unpack, stage.Header, stage.Kernel,
		stage.CPUs, stage.Plan, stage.Write, stage.Sync,
	}, l.stages)
	size := int64(packed.Len())
	assert.Equal(t, stage.Progress{Stage: stage.Unpack, Done: size, Total: size}, l.last[stage.Unpack])
	assert.Equal(t, stage.Progress{Stage: stage.Write, Done: r.Output.Size, Total: r.Output.Size}, l.last[stage.Write])
}

// TestProgressOfASearch: without note and registers all memory is read.
func TestProgressOfASearch(t *testing.T) {
	t.Parallel()
	var opt guestsim.Options
	opt.File.NoGuestNote = true
	opt.File.NoCPUNotes = true
	var l progressLog
	core := writeCore(t, guestsim.New(opt))
	_, err := convert.File(context.Background(), core, "", convert.Options{DryRun: true, Progress: l.add})
	require.NoError(t, err)
	assert.Positive(t, l.last[stage.Kernel].Total)
	assert.LessOrEqual(t, l.last[stage.Kernel].Done, l.last[stage.Kernel].Total)
}

func TestProgressOfAFullCheck(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	st, err := os.Stat(core)
	require.NoError(t, err)
	var l progressLog
	r := checkFiles(context.Background(), []string{core, core}, inspect.CheckOptions{Level: inspect.CheckFull, Progress: l.add})
	assert.Equal(t, "OK", r.Verdict)
	size := 2 * st.Size()
	assert.Equal(t, stage.Progress{Stage: stage.Read, Done: size, Total: size}, l.last[stage.Read])
}
