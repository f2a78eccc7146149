package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	t.Parallel()
	var printed strings.Builder
	require.NoError(t, run(t.Context(), &printed, "../../testdata/guest-bsod.vmcore"))
	assert.True(t, strings.HasPrefix(printed.String(), "0xfffff80041c00000 at 0x1d000 ntoskrnl.exe\n"), printed.String())
	assert.Contains(t, printed.String(), "testdrv.sys\n")
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	var printed strings.Builder
	require.ErrorContains(t, run(t.Context(), &printed, "main.go"), "not a memory image")
	assert.Empty(t, printed.String())
}
