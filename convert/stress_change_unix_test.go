//go:build unix

package convert_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/plan"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/convert/write"
	"windmp/internal/guestsim"
	"windmp/physmem"
)

// convertWhile converts path, and does something to it when the dump begins to be
// written, or with during to another stage.
func convertWhile(t *testing.T, path string, during stage.Stage, do func()) ([]byte, error) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.dmp")
	var once sync.Once
	opt := convert.Options{Source: source.Options{TempDir: t.TempDir()}, Progress: func(p stage.Progress) {
		if p.Stage == during {
			once.Do(do)
		}
	}}
	_, err := convert.File(t.Context(), path, out, opt)
	assert.Empty(t, names(t, opt.Source.TempDir))
	if err != nil {
		assert.Empty(t, names(t, filepath.Dir(out)))
		return nil, err
	}
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	return b, nil
}

// TestSourceChanges: a source that becomes shorter while it is read is an error with
// the offset; one that grows, or whose name goes to another file, is read as it was
// when it was opened.
func TestSourceChanges(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"guest-bsod.vmcore", "live-2cpu.kdump.gz", "guest-bsod.win-dmp.gz"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := gunzip(t, samplePath(name))
			path, kept := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "kept")
			require.NoError(t, os.WriteFile(path, file, 0o600))
			require.NoError(t, os.Link(path, kept))
			want, _, err := convertBytes(t, file, convert.Options{})
			require.NoError(t, err)

			got, err := convertWhile(t, path, stage.Write, func() { assert.NoError(t, os.Truncate(path, int64(len(file)*2))) })
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, got), "it has grown")
			require.NoError(t, os.Truncate(path, int64(len(file))))

			other := filepath.Join(t.TempDir(), "other")
			require.NoError(t, os.WriteFile(other, []byte("another file"), 0o600))
			got, err = convertWhile(t, path, stage.Write, func() { assert.NoError(t, os.Rename(other, path)) })
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, got), "it was replaced")

			gone := filepath.Join(t.TempDir(), "gone")
			require.NoError(t, os.Link(kept, gone))
			got, err = convertWhile(t, gone, stage.Write, func() { assert.NoError(t, os.Remove(gone)) })
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, got), "it was removed")

			_, err = convertWhile(t, kept, stage.Write, func() { assert.NoError(t, os.Truncate(kept, int64(len(file)/2))) })
			var read *physmem.ReadError
			require.ErrorAs(t, err, &read)
			assert.Contains(t, err.Error(), "file offset 0x")
		})
	}
	t.Run("packed", func(t *testing.T) {
		t.Parallel()
		file, err := os.ReadFile(samplePath("live-2cpu.vmcore.gz"))
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "source.gz")
		require.NoError(t, os.WriteFile(path, file, 0o600))
		_, err = convertWhile(t, path, stage.Open, func() { assert.NoError(t, os.Truncate(path, int64(len(file)/2))) })
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "\n")
	})
}

// TestSourceWrittenTo: a source that somebody writes to while it is read has a warning, a
// dump of it too, and no dump where warnings refuse one.
func TestSourceWrittenTo(t *testing.T) {
	t.Parallel()
	file := sampleCopy(t, "guest-bsod.vmcore")
	path := filepath.Join(t.TempDir(), "source")
	scribble := func() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if assert.NoError(t, err) {
			_, err = f.WriteAt(file[0x3000:0x3010], 0x3000)
			assert.NoError(t, errors.Join(err, f.Close()))
		}
	}
	for _, during := range []stage.Stage{stage.Plan, stage.Write} {
		for _, strict := range []bool{false, true} {
			require.NoError(t, os.WriteFile(path, file, 0o600))
			require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)))
			out, opt := filepath.Join(t.TempDir(), "out.dmp"), convert.Options{Plan: plan.Options{Strict: strict}}
			var once sync.Once
			opt.Progress = func(p stage.Progress) {
				if p.Stage == during {
					once.Do(scribble)
				}
			}
			r, err := convert.File(t.Context(), path, out, opt)
			assert.Contains(t, ids(r), finding.FileChanged.ID())
			var refused *finding.RefusedError
			if strict {
				require.ErrorAs(t, err, &refused)
				assert.Empty(t, names(t, filepath.Dir(out)))
				continue
			}
			require.NoError(t, err)
			assert.Equal(t, "WARN", r.Verdict)
		}
	}
}

// TestOddOutputs: what OUT may be besides a new name.
func TestOddOutputs(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	want := converted(t, core)
	dir, disk := t.TempDir(), t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	file := filepath.Join(disk, "big.bin")
	fill := func() { require.NoError(t, os.WriteFile(file, []byte("old"), 0o644)) }
	fill()
	require.NoError(t, os.Link(file, filepath.Join(disk, "second name")))
	require.NoError(t, os.Symlink(disk, in("folder")))
	require.NoError(t, os.Symlink("folder/big.bin", in("link.dmp")))
	require.NoError(t, os.Symlink("nothing", in("dangling.dmp")))
	require.NoError(t, os.Symlink("loop.dmp", in("loop.dmp")))
	require.NoError(t, os.Symlink("link.dmp", in("second.dmp")))
	require.NoError(t, os.Link(core, in("core.dmp")))
	require.NoError(t, os.Symlink(core, in("tocore.dmp")))
	require.NoError(t, unix.Mkfifo(in("pipe.dmp"), 0o600))
	before := names(t, dir)

	for _, out := range []string{
		in("dangling.dmp"), in("core.dmp"), in("tocore.dmp"), in("pipe.dmp"), in("folder"), dir,
		"/dev/null", "/dev/zero", "",
	} {
		var usage *stage.UsageError
		_, err := convert.File(t.Context(), core, out, convert.Options{Write: write.Options{Force: true}})
		require.ErrorAs(t, err, &usage, "%q", out)
	}
	for out, want := range map[string]error{in("loop.dmp"): unix.ELOOP, in("no/x.dmp"): os.ErrNotExist, core + "/x.dmp": unix.ENOTDIR} {
		_, err := convert.File(t.Context(), core, out, convert.Options{Write: write.Options{Force: true}})
		require.ErrorIs(t, err, want, out)
	}
	for _, link := range []string{"link.dmp", "second.dmp"} {
		_, err := convert.File(t.Context(), core, in(link), convert.Options{})
		require.ErrorIs(t, err, write.ErrExists)
		_, err = convert.File(t.Context(), core, in(link), convert.Options{Write: write.Options{Force: true}})
		require.NoError(t, err)
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, got), "the file that the link leads to")
		st, err := os.Stat(file)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), st.Mode())
		fill()
	}
	old, err := os.ReadFile(filepath.Join(disk, "second name"))
	require.NoError(t, err)
	assert.Equal(t, "old", string(old), "another name of a replaced file keeps what it had")
	assert.Equal(t, before, names(t, dir))
	assert.Equal(t, []string{"big.bin", "second name"}, names(t, disk))

	for _, source := range []string{in("pipe.dmp"), "/dev/null", "/dev/zero", dir} {
		_, err := convert.File(t.Context(), source, in("x"), convert.Options{})
		require.ErrorIs(t, err, physmem.ErrUnsupported, source)
	}
}
