package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/internal/guestsim"
	"windmp/physmem"
)

func TestGrownCoreConverts(t *testing.T) {
	t.Parallel()
	const size = 1 << 21
	dir := t.TempDir()
	big, dump := filepath.Join(dir, "big.vmcore"), filepath.Join(dir, "big.dmp")
	require.NoError(t, run("", big, size))

	im, err := physmem.Open(big)
	require.NoError(t, err)
	defer func() { assert.NoError(t, im.Close()) }()
	ranges := im.Ranges()
	assert.Equal(t, uint64(size), ranges[len(ranges)-1].Size)

	r, err := convert.File(t.Context(), big, dump, nil, convert.Options{NoSync: true})
	require.NoError(t, err)
	assert.Equal(t, "OK", r.Verdict)
	assert.Greater(t, r.Output.Size, int64(size))
}

func TestGrowRefuses(t *testing.T) {
	t.Parallel()
	good := guestsim.New(guestsim.Options{}).ELF()
	none := guestsim.New(guestsim.Options{File: guestsim.FileOptions{NoGuestNote: true}}).ELF()
	tests := map[string][]byte{
		"empty":     {},
		"no ELF":    make([]byte, 0x1000),
		"cut table": good[:0xd0],
		"no note":   none,
	}
	for name, core := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := grow(core, 1<<20)
			require.Error(t, err)
			assert.Nil(t, out)
		})
	}
}
