package convert_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/inspect"
	"windmp/convert/source"
	"windmp/internal/pack"
)

// TestInPlace: zstd in frames is not unpacked, by no command: the folder for it is not
// there. Of the same image all of them say the same, and a damaged frame is an error.
func TestInPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	core := sampleCopy(t, "guest-bsod.vmcore")
	var packed bytes.Buffer
	w, err := pack.NewWriter(&packed, "a.zst")
	require.NoError(t, err)
	_, err = w.Write(core)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(path("core"), core, 0o600))
	require.NoError(t, os.WriteFile(path("core.zst"), packed.Bytes(), 0o600))
	opt := source.Options{TempDir: path("none")}

	_, err = convert.File(t.Context(), path("core"), path("plain.dmp"), convert.Options{})
	require.NoError(t, err)
	r, err := convert.File(t.Context(), path("core.zst"), path("a.dmp.zst"), convert.Options{Source: opt})
	require.NoError(t, err)
	assert.Equal(t, "zstd", r.Input.State.Packing)
	_, err = convert.File(t.Context(), path("a.dmp.zst"), path("again.dmp"), convert.Options{Source: opt})
	require.NoError(t, err)
	want, err := os.ReadFile(path("plain.dmp"))
	require.NoError(t, err)
	got, err := os.ReadFile(path("again.dmp"))
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got))

	for _, level := range []inspect.CheckLevel{inspect.CheckHeader, inspect.CheckQuick, inspect.CheckFull} {
		c, err := inspect.Check(t.Context(), inspect.CheckOptions{Source: opt, Level: level}, source.File(path("plain.dmp")), source.File(path("a.dmp.zst")))
		require.NoError(t, err)
		assert.Equal(t, c.Files[0].Findings, c.Files[1].Findings, level)
		assert.Equal(t, c.Files[0].Verdict, c.Files[1].Verdict, level)
		require.NoError(t, c.Files[1].Err)
	}

	damaged := packed.Bytes()
	damaged[len(damaged)/2] ^= 1
	require.NoError(t, os.WriteFile(path("damaged.zst"), damaged, 0o600))
	_, err = convert.File(t.Context(), path("damaged.zst"), path("damaged.dmp"), convert.Options{Source: opt})
	var frame *pack.FrameError
	require.ErrorAs(t, err, &frame)
	assert.NoFileExists(t, path("damaged.dmp"))
}
