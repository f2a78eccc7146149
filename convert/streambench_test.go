package convert_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/write"
	"windmp/internal/coretest"
	"windmp/physmem/open"
)

// BenchmarkStreamFile converts a migration stream of a guest of 2 GiB, pages of zeros among
// others, and has cp copy the dump that comes of it: neither waits for the disk.
func BenchmarkStreamFile(b *testing.B) {
	dir := b.TempDir()
	core, stream, out := filepath.Join(dir, "core"), filepath.Join(dir, "stream"), filepath.Join(dir, "out")
	said, err := exec.Command("go", "run", "../scripts/mkbig", "-gib", "2", core).CombinedOutput()
	require.NoError(b, err, "%s", said)
	im, err := open.File(b.Context(), core, open.Options{})
	require.NoError(b, err)
	defer im.Close()
	f, err := os.Create(stream)
	require.NoError(b, err)
	coretest.WriteMigration(b, f, im, coretest.WithAll(im.CPUs()), "pc-q35-9.0")
	require.NoError(b, f.Close())
	to := func(in string) {
		require.NoError(b, os.RemoveAll(out)) // each writes a file of its own, as cp below
		_, err := convert.File(b.Context(), in, out, convert.Options{Write: write.Options{NoSync: true}})
		require.NoError(b, err)
	}
	to(stream)
	st, err := os.Stat(out)
	require.NoError(b, err)
	for name, in := range map[string]string{"windmp": stream, "core": core} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(st.Size())
			for b.Loop() {
				to(in)
			}
		})
	}
	b.Run("open", func(b *testing.B) {
		b.SetBytes(st.Size())
		for b.Loop() {
			m, err := open.File(b.Context(), stream, open.Options{})
			require.NoError(b, err)
			require.NoError(b, m.Close())
		}
	})
	b.Run("cp", func(b *testing.B) {
		b.SetBytes(st.Size())
		for b.Loop() {
			require.NoError(b, os.RemoveAll(out+".copy"))
			require.NoError(b, exec.Command("cp", out, out+".copy").Run())
		}
	})
}
