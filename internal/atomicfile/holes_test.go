package atomicfile

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// countingWriter counts what is written through it.
type countingWriter struct {
	f *os.File
	n int
}

func (c *countingWriter) WriteAt(p []byte, off int64) (int, error) {
	c.n += len(p)
	return c.f.WriteAt(p, off)
}

func TestHoleWriter(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	for _, grain := range []int{64 << 10, 4 << 10} {
		f, err := os.Create(filepath.Join(t.TempDir(), "out"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
		const size = 1<<20 + 12345
		want := make([]byte, size)
		for range 6 {
			at := rng.IntN(size - 5000)
			for i := range rng.IntN(5000) {
				want[at+i] = byte(rng.Uint32())
			}
		}
		require.NoError(t, f.Truncate(size))
		c := &countingWriter{f: f}
		w := NewHoleWriter(c, grain)
		for at := 0; at < size; {
			n := min(1+rng.IntN(300000), size-at)
			got, err := w.WriteAt(want[at:at+n], int64(at))
			require.NoError(t, err)
			require.Equal(t, n, got)
			at += n
		}
		got, err := os.ReadFile(f.Name())
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.Less(t, c.n, size, "holes were left")
	}
}
