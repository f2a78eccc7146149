package convert_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/convert/write"
	"windmp/internal/guestsim"
)

func TestOutputIsRefused(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken.dmp")
	require.NoError(t, os.WriteFile(taken, []byte("precious"), 0o600))
	link := filepath.Join(dir, "link.vmcore")
	require.NoError(t, os.Link(core, link))
	same := []string{core, link}
	symlink := filepath.Join(dir, "symlink.vmcore")
	linkErr := os.Symlink(core, symlink) // Windows may refuse, and old Wine only says that it did it
	if _, err := os.Stat(symlink); err == nil {
		same = append(same, symlink)
	} else {
		t.Logf("NOT RUN with a symbolic link: %v", linkErr)
	}

	// A dump must not look like a packed file that it is not.
	notPacked := []string{filepath.Join(dir, "x.dmp.bz2"), filepath.Join(dir, "x.dmp.XZ"), filepath.Join(dir, "x.7z")}
	for _, out := range append(append(same, notPacked...), dir) {
		var usage *stage.UsageError
		_, err := convert.File(context.Background(), core, out, convert.Options{Write: write.Options{Force: true}})
		require.ErrorAs(t, err, &usage, out)
	}
	_, err := convert.File(context.Background(), core, taken, convert.Options{})
	require.ErrorIs(t, err, write.ErrExists)
	b, err := os.ReadFile(taken)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(b))

	_, err = convert.File(context.Background(), core, taken, convert.Options{Write: write.Options{Force: true}})
	require.NoError(t, err)
	b, err = os.ReadFile(taken)
	require.NoError(t, err)
	assert.Equal(t, "PAGEDU64", string(b[:8]))
}

// TestOutputAppearsMeanwhile: a file that takes the name while the dump is
// written is not replaced.
func TestOutputAppearsMeanwhile(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	dir := t.TempDir()
	out := filepath.Join(dir, "out.dmp")
	opt := convert.Options{Progress: func(p stage.Progress) {
		if p.Stage == stage.Write && p.Done == p.Total {
			_ = os.WriteFile(out, []byte("first"), 0o600)
		}
	}}
	_, err := convert.File(context.Background(), core, out, opt)
	require.ErrorIs(t, err, write.ErrExists)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file is left")
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := convert.File(ctx, core, filepath.Join(filepath.Dir(core), "out.dmp"), convert.Options{})
	require.ErrorIs(t, err, context.Canceled)
	_, err = convert.Stream(ctx, source.Named(core), io.Discard, convert.Options{})
	require.ErrorIs(t, err, context.Canceled)
	assertOnly(t, core)
}

// fullWriter fails after n bytes, as a pipe whose reader died.
type fullWriter struct{ n int }

var errFull = errors.New("full")

func (w *fullWriter) Write(p []byte) (int, error) {
	if w.n -= len(p); w.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestStreamFails(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	for _, n := range []int{0, 0x2000, 0x2001} {
		_, err := convert.Stream(context.Background(), source.Named(core), &fullWriter{n}, convert.Options{})
		require.ErrorIs(t, err, errFull)
		var failed *stage.Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, stage.Write, failed.Stage)
	}
}

func TestFolderIsMissing(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	_, err := convert.File(context.Background(), core, filepath.Join(t.TempDir(), "no", "such.dmp"), convert.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{CPUs: 2}))
	r, err := convert.File(context.Background(), core, core+".dmp", convert.Options{DryRun: true})
	require.NoError(t, err)
	assertOnly(t, core)
	assert.NotEmpty(t, r.Edits)
	assert.NotZero(t, r.Output.Size)
	assert.False(t, r.Output.Written)
}
