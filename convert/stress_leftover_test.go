package convert_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/stage"
	"windmp/convert/write"
	"windmp/internal/guestsim"
)

// names lists a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// TestLeftoverIsRemoved: what a killed run left of the same output goes, and the
// report says so. Everything that only looks like it stays.
func TestLeftoverIsRemoved(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	for _, base := range []string{"out.dmp", "out.dmp.gz", strings.Repeat("ü", 120) + ".dmp"} {
		dir := t.TempDir()
		prefix := base
		if len(prefix) > 200 {
			prefix = strings.Repeat("ü", 100)
		}
		dead := filepath.Join(dir, "."+prefix+".4711.windmp-part")
		require.NoError(t, os.WriteFile(dead, []byte("PAGEDU64"), 0o600))
		others := []string{
			".other.dmp.4711.windmp-part", ".out.dmp.x.4711.windmp-part", ".out.dmp.windmp-part",
			".out.dmp.4711.windmp-part.txt", ".out.dmp.47x11.windmp-part", "out.dmp.4711.windmp-part",
		}
		for _, name := range others {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("precious"), 0o600))
		}
		require.NoError(t, os.Mkdir(filepath.Join(dir, ".out.dmp.1.windmp-part"), 0o700))

		r, err := convert.File(t.Context(), core, filepath.Join(dir, base), convert.Options{})
		require.NoError(t, err)
		assert.NoFileExists(t, dead)
		assert.Len(t, names(t, dir), len(others)+2)
		f := findingOf(r, finding.Leftover.ID())
		require.NotNil(t, f, base)
		assert.Contains(t, f.Message, "4711.windmp-part")
		assert.Equal(t, "OK", r.Verdict)
	}
}

// TestLeftoverOfTheLiving: the unfinished file of a conversion that still runs is
// left alone by another one to the same name, which finishes first.
func TestLeftoverOfTheLiving(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	out := filepath.Join(t.TempDir(), "out.dmp")
	ran := false
	opt := convert.Options{Write: write.Options{Force: true}, Progress: func(p stage.Progress) {
		if ran || p.Stage != stage.Write {
			return
		}
		ran = true
		assert.Len(t, names(t, filepath.Dir(out)), 1)
		r, err := convert.File(t.Context(), core, out, convert.Options{Write: write.Options{Force: true}})
		require.NoError(t, err)
		assert.Nil(t, findingOf(r, finding.Leftover.ID()))
		assert.Len(t, names(t, filepath.Dir(out)), 2)
	}}
	_, err := convert.File(t.Context(), core, out, opt)
	require.NoError(t, err)
	require.True(t, ran)
	assertOnly(t, out)
}

// TestManyConversions runs eight at a time in one process: into names of their own,
// and into one name, which one of them gets.
func TestManyConversions(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{CPUs: 2}))
	want := converted(t, core)
	for name, opt := range map[string]convert.Options{"one wins": {}, "the last wins": {Write: write.Options{Force: true}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "same.dmp")
			errs := make([]error, 8)
			var all sync.WaitGroup
			for i := range errs {
				all.Go(func() { _, errs[i] = convert.File(t.Context(), core, out, opt) })
			}
			all.Wait()
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
					continue
				}
				require.ErrorIs(t, err, write.ErrExists)
			}
			if opt.Write.Force {
				assert.Equal(t, len(errs), won)
			} else {
				assert.Equal(t, 1, won)
			}
			assertOnly(t, out)
			got, err := os.ReadFile(out)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
	t.Run("own names", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				_, err := convert.File(t.Context(), core, filepath.Join(dir, strings.Repeat("x", i+1)), convert.Options{})
				assert.NoError(t, err)
			})
		}
		all.Wait()
		for _, name := range names(t, dir) {
			got, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
		assert.Len(t, names(t, dir), 8)
	})
}
