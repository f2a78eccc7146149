//go:build unix

package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPublishNew: a name that is free is taken, one that is not stays as it is, by
// each of the ways.
func TestPublishNew(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]func(from, to string) error{
		"publish": func(from, to string) error { return publish(from, to, false) },
		"link":    linkNew,
	} {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		require.NoError(t, os.WriteFile(from, []byte("new"), 0o600))
		require.NoError(t, way(from, to), name)
		assert.NoFileExists(t, from, name)
		require.NoError(t, os.WriteFile(from, []byte("newer"), 0o600))
		err := way(from, to)
		require.Error(t, err, name)
		if name == "publish" {
			require.ErrorIs(t, err, ErrExists)
		} else {
			require.ErrorIs(t, err, fs.ErrExist)
		}
		got, err := os.ReadFile(to)
		require.NoError(t, err)
		assert.Equal(t, "new", string(got), name)
		assert.FileExists(t, from, name)
	}
}
