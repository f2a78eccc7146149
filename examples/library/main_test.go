package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	t.Parallel()
	var printed strings.Builder
	out := filepath.Join(t.TempDir(), "guest.dmp")
	require.NoError(t, run(t.Context(), &printed, "../../testdata/guest-bsod.vmcore", out))
	assert.FileExists(t, out)
	assert.Contains(t, printed.String(), "OK: full dump, 894 pages\nWD306 info: ")
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"../../testdata/live-2cpu-cut.vmcore.gz": "WD501, Dump the whole guest",
		"main.go":                                "not the memory of a machine: ",
		"nothing":                                "nothing",
	} {
		var printed strings.Builder
		out := filepath.Join(t.TempDir(), "guest.dmp")
		require.ErrorContains(t, run(t.Context(), &printed, in, out), want)
		assert.Empty(t, printed.String())
		assert.NoFileExists(t, out)
	}
}
