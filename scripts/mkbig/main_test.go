package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/judge"
	"windmp/convert/plan"
	"windmp/convert/write"
	"windmp/internal/guestpages"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
)

// build writes a file and returns the image in it.
func build(t *testing.T, opt options) *physmem.Image {
	t.Helper()
	path := filepath.Join(t.TempDir(), "big")
	require.NoError(t, run(path, opt))
	im, err := open.File(t.Context(), path, open.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, im.Close()) })
	ranges := im.Ranges()
	assert.Equal(t, opt.size, ranges[len(ranges)-1].Size)
	return im
}

// converted is the dump that an image becomes.
func converted(t *testing.T, im *physmem.Image) []byte {
	t.Helper()
	g, err := guest.Find(t.Context(), im, guest.Options{})
	require.NoError(t, err)
	p, err := plan.New(t.Context(), g, plan.Options{})
	require.NoError(t, err)
	v, err := judge.Plan(t.Context(), p)
	require.NoError(t, err)
	assert.Equal(t, "OK", finding.Verdict(slices.Concat(p.Findings(), v.Findings)))
	dump := bytes.NewBuffer(make([]byte, 0, p.Layout().Size()))
	require.NoError(t, write.Stream(t.Context(), dump, write.Output{Layout: p.Layout(), Memory: p.Memory()}, write.Options{}))
	return dump.Bytes()
}

// TestGrownCoreConverts: a core and a kdump-compressed file of the same memory
// become the same dump, in which the pages are.
func TestGrownCoreConverts(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	core := build(t, options{size: size, data: size})
	kdump := build(t, options{size: size, data: size, kdump: true})
	assert.Equal(t, physmem.FormatKdump, kdump.Format())
	assert.Less(t, kdump.FileSize(), int64(size/2))
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
	const size, data, stride, each = 128 << 20, 4 << 20, 8 << 20, 256 << 10
	im := build(t, options{size: size, data: data})
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
	im := build(t, options{size: 1 << 20, data: 1 << 20, noNote: true})
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
