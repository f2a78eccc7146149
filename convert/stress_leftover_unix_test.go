//go:build unix

package convert_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/write"
	"windmp/internal/guestsim"
)

// TestLeftoverIsATrap: links and pipes with the name of an unfinished file are not
// followed, not waited for and not removed; a locked file is somebody's.
func TestLeftoverIsATrap(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	dir := t.TempDir()
	out := filepath.Join(dir, "out.dmp")
	place := func(n string) string { return filepath.Join(dir, ".out.dmp."+n+".windmp-part") }
	require.NoError(t, os.Symlink(core, place("1")))
	require.NoError(t, unix.Mkfifo(place("2"), 0o600))
	f, err := os.Create(place("3"))
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))

	r, err := convert.File(t.Context(), core, out, convert.Options{})
	require.NoError(t, err)
	assert.Nil(t, findingOf(r, finding.Leftover.ID()))
	assert.Len(t, names(t, dir), 4)

	require.NoError(t, f.Close())
	r, err = convert.File(t.Context(), core, out, convert.Options{Write: write.Options{Force: true}})
	require.NoError(t, err)
	require.NotNil(t, findingOf(r, finding.Leftover.ID()))
	assert.NoFileExists(t, place("3"))
}
