package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/guest"
	"windmp/convert/write"
	"windmp/internal/guestpages"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
)

// build writes a file and returns the image in it.
func build(t *testing.T, opt options) (path string, im *physmem.Image) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "big")
	require.NoError(t, run(path, opt))
	im, err := open.File(t.Context(), path, open.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, im.Close()) })
	ranges := im.Ranges()
	assert.Equal(t, opt.size, ranges[len(ranges)-1].Size)
	return path, im
}

// converted is the dump that a file becomes.
func converted(t *testing.T, path string) []byte {
	t.Helper()
	dump := filepath.Join(t.TempDir(), "big.dmp")
	r, err := convert.File(t.Context(), path, dump, convert.Options{Write: write.Options{NoSync: true}})
	require.NoError(t, err)
	assert.Equal(t, "OK", r.Verdict)
	b, err := os.ReadFile(dump)
	require.NoError(t, err)
	return b
}

// TestGrownCoreConverts: a core and a kdump-compressed file of the same memory
// become the same dump, in which the pages are.
func TestGrownCoreConverts(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	core, _ := build(t, options{size: size, data: size})
	kdump, im := build(t, options{size: size, data: size, kdump: true})
	assert.Equal(t, physmem.FormatKdump, im.Format())
	assert.Less(t, im.FileSize(), int64(size/2))
	want := converted(t, core)
	assert.True(t, bytes.Equal(want, converted(t, kdump)))
	memory := make([]byte, size)
	guestpages.Fill(memory, 0)
	assert.True(t, bytes.Equal(memory, want[len(want)-size:]))
}

// TestHoles: the pieces of data are where they belong, and what is between them is
// a hole.
func TestHoles(t *testing.T) {
	t.Parallel()
	const size, data, stride, each = 512 << 20, 16 << 20, 32 << 20, 1 << 20
	_, im := build(t, options{size: size, data: data})
	start := int64(im.Ranges()[len(im.Ranges())-1].Start)
	want, got := make([]byte, each), make([]byte, each)
	for at := int64(0); at < size; at += stride {
		guestpages.Fill(want, uint64(at)/guestpages.Size)
		_, err := im.ReadAt(got, start+at)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, got))
		_, err = im.ReadAt(got, start+at+each)
		require.NoError(t, err)
		assert.Equal(t, each, bytes.Count(got, []byte{0}))
	}
}

// TestWithoutNote: the guest is there, its header note is not.
func TestWithoutNote(t *testing.T) {
	t.Parallel()
	_, im := build(t, options{size: 1 << 20, data: 1 << 20, noNote: true})
	assert.Nil(t, im.GuestNote())
	assert.Empty(t, im.CPUs())
	_, err := guest.Find(t.Context(), im, guest.Options{})
	require.NoError(t, err)
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
			out, err := grow(core, 1<<20, false)
			require.Error(t, err)
			assert.Nil(t, out)
		})
	}
}
