package write

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/dump"
	"windmp/internal/pack"
)

// sha is the digest of b, by one call.
func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// TestSum: the sum is that of the file as it lies, holes, packed bytes and all,
// whatever the order in which blocks are written; and the memory is read once.
func TestSum(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	sum := sha256.New()
	for name, l := range map[string]list{
		"empty": nil,
		"holes": {dump.Given([]byte{1}), {Kind: dump.Memory, Size: 3 << 20}, {Kind: dump.Memory, Size: 1 << 20, PA: 3<<20 + pageSize}, dump.Given([]byte{1})},
		"some":  someLayout(rng),
	} {
		m := holed()
		var b bytes.Buffer
		require.NoError(t, Stream(t.Context(), &b, Output{Layout: l, Memory: m}, Options{Sum: sum}))
		assert.Equal(t, sha(b.Bytes()), hex.EncodeToString(sum.Sum(nil)), name)
		for _, mode := range []Sparse{SparseAuto, SparseAlways, SparseNever} {
			for _, workers := range []int{1, MaxWorkers} {
				read := m.reads.Load()
				file := filepath.Join(t.TempDir(), "out")
				_, err := File(t.Context(), file, Output{Layout: l, Memory: m}, Options{Sparse: mode, Workers: workers, NoSync: true})
				require.NoError(t, err)
				once := m.reads.Load() - read
				_, err = File(t.Context(), file, Output{Layout: l, Memory: m}, Options{Sparse: mode, Workers: workers, NoSync: true, Force: true, Sum: sum})
				require.NoError(t, err)
				got, err := os.ReadFile(file)
				require.NoError(t, err)
				assert.Equal(t, sha(got), hex.EncodeToString(sum.Sum(nil)), "%s, %s, %d workers", name, mode, workers)
				assert.Equal(t, once, m.reads.Load()-read-once, "the same pass")
			}
		}
	}
}

// TestSumOfPacked: the digest is of the packed bytes.
func TestSumOfPacked(t *testing.T) {
	t.Parallel()
	l := list{{Kind: dump.Memory, Size: 3<<20 + 5}, {Size: 1 << 20}}
	for _, ext := range []string{".zst", ".gz", ".zip"} {
		require.NotEqual(t, pack.None, pack.MethodOf(ext))
		name, sum := filepath.Join(t.TempDir(), "guest.dmp"+ext), sha256.New()
		_, err := File(t.Context(), name, Output{Layout: l, Memory: new(pattern)}, Options{NoSync: true, Sum: sum})
		require.NoError(t, err)
		got, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.Equal(t, sha(got), hex.EncodeToString(sum.Sum(nil)), ext)
	}
}

// late is memory whose first block comes after the others that the workers can read.
type late struct{ pattern }

func (m *late) ReadAt(p []byte, pa int64) (int, error) {
	if pa == 0 {
		time.Sleep(100 * time.Millisecond)
	}
	return m.pattern.ReadAt(p, pa)
}

// TestSumWaits: the sum is in order where the first block is written last, and takes
// some buffers a worker at most.
func TestSumWaits(t *testing.T) {
	const size = 16 << 20
	l, m := list{{Kind: dump.Memory, Size: size}}, &late{}
	sum := sha256.New()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	o := Output{Layout: l, Memory: m}
	require.NoError(t, o.copyBlocks(t.Context(), &written{}, true, &Options{Workers: 4, Sum: sum}))
	runtime.ReadMemStats(&after)
	assert.Equal(t, sha(want(l, &m.pattern)), hex.EncodeToString(sum.Sum(nil)))
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20), "16 MiB were written")
}

// cancellingHash ends a context when it is written to for the nth time.
type cancellingHash struct {
	hash.Hash
	left   int
	cancel func()
}

func (c *cancellingHash) Write(p []byte) (int, error) {
	if c.left--; c.left == 0 {
		c.cancel()
	}
	return c.Hash.Write(p)
}

// TestSumEnds: a sum ends with the copy, at an error of either side and with the
// context, in a hole too.
func TestSumEnds(t *testing.T) {
	before := runtime.NumGoroutine()
	l := list{{Kind: dump.Memory, Size: 40 * blockSize, PA: 1 << 20}}
	for _, at := range []int64{1 << 20, 1<<20 + 7*blockSize + 5, 1<<20 + 40*blockSize - 1} {
		name := filepath.Join(t.TempDir(), "out")
		_, err := File(t.Context(), name, Output{Layout: l, Memory: &broken{at: at}}, Options{Sum: sha256.New(), Workers: 3})
		require.ErrorIs(t, err, errBroken)
		assert.NoFileExists(t, name)
	}
	require.ErrorIs(t, Stream(t.Context(), &brokenWriter{3}, Output{Layout: l, Memory: new(pattern)}, Options{Sum: sha256.New()}), errBroken)

	ctx, cancel := context.WithCancelCause(t.Context())
	sum := &cancellingHash{sha256.New(), 3, func() { cancel(errBroken) }}
	const huge = 1 << 50 // zeros for days
	m := &pattern{holes: [][2]uint64{{0, huge}}}
	o := Output{Layout: list{{Kind: dump.Memory, Size: huge}}, Memory: m}
	require.ErrorIs(t, o.copyBlocks(ctx, &written{}, true, &Options{Sum: sum}), errBroken)
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 5*time.Second, 10*time.Millisecond, "goroutines end, but for the one that asks")
}

// BenchmarkSum is the copy into nothing beside the sum alone.
func BenchmarkSum(b *testing.B) {
	const size = 256 << 20
	l := list{{Kind: dump.Memory, Size: size}}
	for name, copied := range map[string]func() error{
		"sum alone": func() error {
			sum := sha256.New()
			for range size / blockSize {
				_, _ = sum.Write(zeros[:])
			}
			return nil
		},
		"file": func() error {
			o := Output{Layout: l, Memory: empty{}}
			return o.copyBlocks(context.Background(), &written{}, false, &Options{Sum: sha256.New()})
		},
		"stream": func() error {
			return Stream(context.Background(), io.Discard, Output{Layout: l, Memory: empty{}}, Options{Sum: sha256.New()})
		},
	} {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				require.NoError(b, copied())
			}
		})
	}
}
