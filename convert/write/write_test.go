package write

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/dump"
	"windmp/convert/stage"
	_ "windmp/internal/testheap"
	"windmp/physmem"
)

// list is a layout of these segments.
type list []dump.Segment

func (l list) Size() int64 {
	n := uint64(0)
	for _, s := range l {
		n += s.Size
	}
	return int64(n)
}

func (l list) Segments() iter.Seq[dump.Segment] { return slices.Values(l) }

// pattern is memory in which every byte depends on its page and its place in that, but
// for its holes, which are zeros.
type pattern struct {
	holes [][2]uint64 // start and end, ascending
	reads atomic.Int64
	asked atomic.Int64
}

func (m *pattern) hole(pa uint64) (end uint64, ok bool) {
	for _, h := range m.holes {
		if pa >= h[0] && pa < h[1] {
			return h[1], true
		}
	}
	return 0, false
}

func (m *pattern) ReadAt(p []byte, pa int64) (int, error) {
	m.reads.Add(int64(len(p)))
	const period = 256
	for at, left := uint64(pa), p; len(left) > 0; {
		part := left[:min(uint64(len(left)), pageSize-at%pageSize)]
		for i := range min(len(part), period) {
			part[i] = byte(at/pageSize*7) + byte(at) + byte(i) | 1
		}
		for n := period; n < len(part); n *= 2 {
			copy(part[n:], part[:n])
		}
		at, left = at+uint64(len(part)), left[len(part):]
	}
	for _, h := range m.holes {
		from, to := max(int64(h[0])-pa, 0), min(int64(h[1])-pa, int64(len(p)))
		if from < to {
			clear(p[from:to])
		}
	}
	return len(p), nil
}

func (m *pattern) NextData(pa uint64) uint64 {
	m.asked.Add(1)
	if end, ok := m.hole(pa); ok {
		return end
	}
	return pa
}

// want is the file that a layout means, made without any of what is tested.
func want(l dump.Layout, m Memory) []byte {
	b := make([]byte, l.Size())
	left := b
	for s := range l.Segments() {
		part := left[:s.Size]
		switch s.Kind {
		case dump.Zeros:
		case dump.Bytes:
			_, _ = s.Read(part, nil)
		case dump.Memory:
			_, _ = m.ReadAt(part, int64(s.PA))
		}
		left = left[s.Size:]
	}
	return b
}

// someLayout is made of all kinds of segments, most of them small.
func someLayout(rng *rand.Rand) list {
	var l list
	pa := uint64(0)
	for range 1 + rng.IntN(12) {
		n := 1 + rng.Uint64N(1<<uint(4+rng.IntN(19)))
		s := dump.Segment{Kind: dump.Kind(rng.IntN(3)), Size: n}
		switch s.Kind {
		case dump.Bytes:
			s = dump.Given(bytes.Repeat([]byte{byte(n) | 1}, int(n)))
		case dump.Memory:
			s.PA = pa + rng.Uint64N(2)*4096
			pa = s.PA + n
		case dump.Zeros:
		}
		l = append(l, s)
	}
	return l
}

// holed is memory with holes of which one ends within a page.
func holed() *pattern {
	return &pattern{holes: [][2]uint64{{1 << 20, 3 << 20}, {3<<20 + 5, 5 << 20}}}
}

// TestSameBytes: whatever the layout, file and stream are what it says.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	rounds := 12
	if testing.Short() {
		rounds = 6
	}
	for range rounds {
		l := someLayout(rng)
		m := holed()
		expected := want(l, m)
		var b bytes.Buffer
		var said []stage.Progress
		listen := func(p stage.Progress) { said = append(said, p) }
		all := stage.Progress{Stage: stage.Write, Done: l.Size(), Total: l.Size()}
		require.NoError(t, Stream(t.Context(), &b, Output{Layout: l, Memory: m}, Options{Workers: 3, Progress: listen}))
		assert.True(t, bytes.Equal(expected, b.Bytes()))
		assert.Equal(t, all, said[len(said)-1])
		for _, mode := range []Sparse{"", SparseAuto, SparseAlways, SparseNever} {
			said = nil
			name := filepath.Join(dir, "out")
			left, err := File(t.Context(), name, Output{Layout: l, Memory: m}, Options{Sparse: mode, Force: true, NoSync: mode == SparseNever, Progress: listen})
			require.NoError(t, err)
			if mode != SparseNever {
				assert.Equal(t, stage.Progress{Stage: stage.Sync}, said[len(said)-1])
				said = said[:len(said)-1]
			}
			assert.Equal(t, all, said[len(said)-1])
			assert.Empty(t, left)
			got, err := os.ReadFile(name)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(expected, got), "%s", mode)
		}
	}
}

// TestBlocks: blocks cover the file once, and end at multiples of their size.
func TestBlocks(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]list{
		"two runs":  {dump.Given(make([]byte, 0x2000)), {Kind: dump.Memory, Size: 3<<20 + 1, PA: 1 << 20}, {Kind: dump.Memory, Size: 3, PA: 1 << 40}},
		"touching":  {{Kind: dump.Memory, Size: 4096, PA: 4096}, {Kind: dump.Memory, Size: 4096, PA: 8192}},
		"scattered": {{Kind: dump.Memory, Size: 1, PA: 1}, {Kind: dump.Memory, Size: 1, PA: 3}, {Kind: dump.Memory, Size: 1, PA: 5}},
		"zeros":     {{Size: 5 << 20}, {Size: 1}, dump.Given([]byte{1})},
	} {
		off := int64(0)
		for b := range (&Output{Layout: l, Memory: new(pattern)}).blocks(nil) {
			assert.Equal(t, off, b.off, name)
			assert.LessOrEqual(t, b.size, blockSize, name)
			assert.Positive(t, b.size, name)
			assert.Equal(t, off/blockSize, (off+int64(b.size)-1)/blockSize, name)
			n := uint64(0)
			for _, s := range b.parts {
				n += s.Size
			}
			assert.EqualValues(t, b.size, n, name)
			off += int64(b.size)
			if name == "touching" {
				assert.Len(t, b.parts, 1, "one read")
			}
		}
		assert.Equal(t, l.Size(), off, name)
	}
}

// TestHolesAreNotRead: what is known to be zeros costs neither a read nor a write,
// nor memory.
func TestHolesAreNotRead(t *testing.T) {
	const size, data = 1 << 40, 3 << 20
	m := &pattern{holes: [][2]uint64{{1 << 20, size - data + 1<<20}}}
	l := list{{Kind: dump.Memory, Size: size}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := &written{}
	o := Output{Layout: l, Memory: m}
	require.NoError(t, o.copyBlocks(t.Context(), w, true, &Options{Workers: 4}))
	runtime.ReadMemStats(&after)
	assert.EqualValues(t, data, m.reads.Load())
	assert.Equal(t, data, w.n)
	assert.LessOrEqual(t, m.asked.Load(), int64(5))
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2<<20))

	asked := m.asked.Load()
	assert.Equal(t, int64(size), o.space(SparseAuto), "what is claimed needs space")
	assert.Equal(t, asked, m.asked.Load(), "and is not looked through")
	o.Held = []physmem.Range{{Size: size}}
	assert.Equal(t, int64(data+2*64<<10), o.space(SparseAuto))
	assert.Equal(t, int64(size), o.space(SparseNever))
}

// written counts what is written.
type written struct {
	mu sync.Mutex
	n  int
}

func (w *written) WriteAt(p []byte, _ int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n += len(p)
	return len(p), nil
}

// TestMemoryUse: a stream holds some blocks a worker, however long it is. The race detector
// has a quarter of the buffers lost that come back (sync.Pool.Put).
func TestMemoryUse(t *testing.T) {
	l := list{{Kind: dump.Zeros, Size: 1 << 30}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.NoError(t, Stream(t.Context(), io.Discard, Output{Layout: l, Memory: new(pattern)}, Options{Workers: 2}))
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(384<<20), "a GiB was streamed")
}

// broken is memory that fails at an address.
type broken struct {
	pattern
	at int64
}

var errBroken = errors.New("broken")

func (m *broken) ReadAt(p []byte, pa int64) (int, error) {
	if m.at >= pa && m.at < pa+int64(len(p)) {
		return 0, errBroken
	}
	return m.pattern.ReadAt(p, pa)
}

// brokenWriter fails after so many writes.
type brokenWriter struct{ left int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left--; w.left < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

// TestErrors: a failure of either side ends the writing at once, and nothing is left.
func TestErrors(t *testing.T) {
	t.Parallel()
	l := list{{Kind: dump.Memory, Size: 4 * blockSize, PA: 1 << 20}}
	dir := t.TempDir()
	name := filepath.Join(dir, "out")
	for _, at := range []int64{1 << 20, 1<<20 + blockSize + 5, 1<<20 + 4*blockSize - 1} {
		m := &broken{at: at}
		err := Stream(t.Context(), io.Discard, Output{Layout: l, Memory: m}, Options{})
		require.ErrorIs(t, err, errBroken)
		require.ErrorContains(t, err, "reading guest memory at PA")
		_, err = File(t.Context(), name, Output{Layout: l, Memory: m}, Options{})
		var step *stage.Error
		require.ErrorAs(t, err, &step)
		assert.Equal(t, stage.Write, step.Stage)
		require.ErrorIs(t, err, errBroken)
	}
	for left := range 4 {
		require.ErrorIs(t, Stream(t.Context(), &brokenWriter{left}, Output{Layout: l, Memory: new(pattern)}, Options{Workers: 4}), errBroken)
	}
	_, err := File(t.Context(), name, Output{Layout: list{{Size: 1 << 62}}, Memory: new(pattern)}, Options{})
	require.ErrorAs(t, err, new(*SpaceError))
	var step *stage.Error
	require.ErrorAs(t, err, &step)
	assert.Equal(t, stage.Output, step.Stage)
	_, err = File(t.Context(), filepath.Join(dir, "none", "out"), Output{Layout: l, Memory: new(pattern)}, Options{})
	require.ErrorIs(t, err, os.ErrNotExist)

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

// cancelling ends a context when it is read for the nth time.
type cancelling struct {
	pattern
	left   atomic.Int64
	cancel func()
}

func (c *cancelling) ReadAt(p []byte, off int64) (int, error) {
	if c.left.Add(-1) == 0 {
		c.cancel()
	}
	return c.pattern.ReadAt(p, off)
}

// TestCancel: when the context is done, its cause is the error, also when all was
// read meanwhile.
func TestCancel(t *testing.T) {
	t.Parallel()
	const blocks = 24
	l := list{{Kind: dump.Memory, Size: blocks * blockSize}}
	output := func(n int64) (context.Context, Output) {
		ctx, cancel := context.WithCancelCause(context.Background())
		m := &cancelling{cancel: func() { cancel(errBroken) }}
		m.left.Store(n)
		if n == 0 {
			m.cancel()
		}
		return ctx, Output{Layout: l, Memory: m}
	}
	for _, n := range []int64{0, 1, 2, blocks / 2, blocks} {
		ctx, o := output(n)
		require.ErrorIs(t, Stream(ctx, io.Discard, o, Options{}), errBroken, n)
		ctx, o = output(n)
		name := filepath.Join(t.TempDir(), "out")
		_, err := File(ctx, name, o, Options{})
		require.ErrorIs(t, err, errBroken, n)
		assert.NoFileExists(t, name)
	}
}

// BenchmarkStream is the copy without a file, of memory in one run and in single
// pages.
func BenchmarkStream(b *testing.B) {
	const size = 256 << 20
	var scattered list
	for pa := uint64(0); pa < 2*size; pa += 8192 {
		scattered = append(scattered, dump.Segment{Kind: dump.Memory, Size: 4096, PA: pa})
	}
	for name, l := range map[string]list{"one run": {{Kind: dump.Memory, Size: size}}, "pages": scattered} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, Stream(context.Background(), io.Discard, Output{Layout: l, Memory: empty{}}, Options{}))
			}
		})
	}
}

// empty is memory whose reading costs nothing.
type empty struct{}

func (empty) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (empty) NextData(pa uint64) uint64             { return pa }

// TestCopying: a file in memory is written through a mapping where there are many
// processors, unless few workers are asked for; on two nothing changes.
func TestCopying(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		asked      int
		inMemory   bool
		processors int
		workers    int
		mapped     bool
	}{
		{0, true, 2, DefaultWorkers, false},
		{8, true, 2, 8, false},
		{0, false, 64, DefaultWorkers, false},
		{0, true, 8, 8, true},
		{4, true, 64, 4, false},
		{100, true, 64, MaxWorkers, true},
	} {
		workers, mapped := (&Options{Workers: c.asked}).copying(c.inMemory, c.processors)
		assert.Equal(t, c.workers, workers, c)
		assert.Equal(t, c.mapped, mapped, c)
	}
}
