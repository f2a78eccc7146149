package open_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/open"
)

// TestNextDataFile asks the system about a real file.
func TestNextDataFile(t *testing.T) {
	t.Parallel()
	const size, data = 64 << 20, 40 << 20
	path := filepath.Join(t.TempDir(), "memory.raw")
	f, err := os.Create(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	require.NoError(t, f.Truncate(size))
	src, err := open.NewFile(f)
	require.NoError(t, err)
	if src.NextData(0) == 0 {
		t.Skip("NOT TESTED: this file system does not tell where its holes are")
	}
	_, err = f.WriteAt([]byte("data"), data)
	require.NoError(t, err)
	m, err := open.File(t.Context(), path, open.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	next := m.NextData(0x1000)
	assert.LessOrEqual(t, next, uint64(data))
	assert.Greater(t, next, uint64(data-(2<<20)), "file systems have larger blocks than others")
	assert.Equal(t, uint64(data), m.NextData(data))
	assert.Equal(t, uint64(size), m.NextData(data+(8<<20)))
	require.NoError(t, os.Truncate(path, size/2))
	assert.Equal(t, uint64(size/2), m.NextData(1<<20), "of what was cut off, nothing is said")
	assert.Equal(t, uint64(size/2+1), m.NextData(size/2+1))
}
