//go:build unix

package open_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/open"
)

// TestOpenPipe must not wait for a writer.
func TestOpenPipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	_, err := open.File(t.Context(), path, open.Options{})
	require.ErrorIs(t, err, physmem.ErrUnsupported)
	assert.Contains(t, err.Error(), "a pipe, which can be read only once and in order")
}
