package inspect

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/source"
)

// The details of a check are what Info says, of each kind of file, and are no part of the
// document.
func TestDetailsAreInfos(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"bsod-4cpu-q35.vmcore.gz", "bsod-4cpu-q35.win-dmp.gz", "live-2cpu-cut.vmcore.gz", "x86-live-2cpu-paging.kdump.gz", "x86-nopae-live-2cpu.win-dmp.gz",
	} {
		in := source.File(filepath.Join("..", "..", "testdata", name))
		checked, err := Check(t.Context(), CheckOptions{Details: true}, in)
		require.NoError(t, err, name)
		info, err := Info(t.Context(), in, allLists)
		require.NoError(t, err, name)
		got := checked.Files[0].Details
		require.NotNil(t, got, name)
		want, err := json.MarshalIndent(info, "", " ")
		require.NoError(t, err)
		have, err := json.MarshalIndent(got, "", " ")
		require.NoError(t, err)
		assert.Equal(t, string(want), string(have), name)
		require.NotNil(t, got.Memory.Picture, name)
		assert.Equal(t, info.Memory.Picture.Rows[:2], got.Memory.Picture.Rows[:2], name)

		plain, err := Check(t.Context(), CheckOptions{}, in)
		require.NoError(t, err, name)
		assert.Nil(t, plain.Files[0].Details)
		want, err = json.Marshal(plain)
		require.NoError(t, err)
		have, err = json.Marshal(checked)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, have), name)
	}
}

// What a default conversion would write is a row of the picture, where there is such.
func TestDetailsDrawThePlan(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string]int{"live-2cpu.vmcore.gz": 3, "live-2cpu-cut.vmcore.gz": 2, "live-2cpu.win-dmp.gz": 2} {
		r, err := Check(t.Context(), CheckOptions{Details: true}, source.File(filepath.Join("..", "..", "testdata", name)))
		require.NoError(t, err)
		p := r.Files[0].Details.Memory.Picture
		require.NotNil(t, p, name)
		require.Len(t, p.Rows, rows, name)
		if rows == 3 {
			assert.Equal(t, r.Files[0].Output.Pages*0x1000, p.Rows[2].Size)
		}
	}
}
