package atomicfile

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.ErrorIs(t, Check(dir, true), ErrFolder)
	_, _, err := Create(filepath.Join(dir, "none", "x.dmp"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Contains(t, err.Error(), "does not exist")
	assert.NotContains(t, err.Error(), tempSuffix, "the temporary name is nobody's business")
}
