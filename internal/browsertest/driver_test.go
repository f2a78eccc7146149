package browsertest

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What fails in a script is its failure, and no other script's; a driver that has ended says so.
func TestFailures(t *testing.T) {
	b := Start(t, filepath.Join("..", ".."), "chromium")
	d, err := start(b)
	require.NoError(t, err)
	t.Cleanup(d.close)
	said, err := d.run("missing.mjs", nil)
	require.EqualError(t, err, "1 failures")
	assert.Contains(t, said, "FAIL Error")
	said, err = d.run("axe.mjs", nil) // which tries nothing
	require.NoError(t, err)
	assert.Empty(t, said)
	d.close()
	_, err = d.run("axe.mjs", nil)
	require.ErrorContains(t, err, "it ended, or took longer than")
}
