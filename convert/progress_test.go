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
	"windmp/internal/guestsim"
)

// progressLog is what was reported: the stages as they began, and the last word
// on the bytes of each.
type progressLog struct {
	stages []convert.Stage
	last   map[convert.Stage]convert.Progress
}

func (l *progressLog) add(p convert.Progress) {
	if n := len(l.stages); n == 0 || l.stages[n-1] != p.Stage {
		l.stages = append(l.stages, p.Stage)
	}
	if l.last == nil {
		l.last = map[convert.Stage]convert.Progress{}
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
	r, err := convert.File(context.Background(), in, filepath.Join(dir, "guest.dmp"), nil, convert.Options{Progress: l.add})
	require.NoError(t, err)
	assert.Equal(t, []convert.Stage{
		convert.StageOpen, convert.StageUnpack, convert.StageHeader, convert.StageKernel,
		convert.StageCPUs, convert.StagePlan, convert.StageWrite, convert.StageSync,
	}, l.stages)
	size := int64(packed.Len())
	assert.Equal(t, convert.Progress{Stage: convert.StageUnpack, Done: size, Total: size}, l.last[convert.StageUnpack])
	assert.Equal(t, convert.Progress{Stage: convert.StageWrite, Done: r.Output.Size, Total: r.Output.Size}, l.last[convert.StageWrite])
}

// TestProgressOfASearch: without note and registers all memory is read.
func TestProgressOfASearch(t *testing.T) {
	t.Parallel()
	var opt guestsim.Options
	opt.File.NoGuestNote = true
	opt.File.NoCPUNotes = true
	var l progressLog
	core := writeCore(t, guestsim.New(opt))
	_, err := convert.File(context.Background(), core, "", nil, convert.Options{DryRun: true, Progress: l.add})
	require.NoError(t, err)
	assert.Positive(t, l.last[convert.StageKernel].Total)
	assert.LessOrEqual(t, l.last[convert.StageKernel].Done, l.last[convert.StageKernel].Total)
}

func TestProgressOfAFullCheck(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	st, err := os.Stat(core)
	require.NoError(t, err)
	var l progressLog
	r := convert.CheckFiles(context.Background(), []string{core, core}, convert.CheckOptions{Level: convert.CheckFull, Progress: l.add})
	assert.Equal(t, "OK", r.Verdict)
	size := 2 * st.Size()
	assert.Equal(t, convert.Progress{Stage: convert.StageRead, Done: size, Total: size}, l.last[convert.StageRead])
}
