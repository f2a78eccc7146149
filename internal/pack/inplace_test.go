package pack_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/pack"
	"windmp/physmem"
	"windmp/physmem/open"
)

// openFrames opens packed data to be read in place as it is; nil if it is not.
func openFrames(tb testing.TB, b []byte) *pack.Frames {
	tb.Helper()
	f, err := pack.OpenFrames(tb.Context(), bytes.NewReader(b), int64(len(b)), pack.Options{Input: raw})
	require.NoError(tb, err)
	return f
}

// framed packs content, in frames of that size, as another program would.
func framed(tb testing.TB, content []byte, size int) []byte {
	tb.Helper()
	// The encoder's own window of 8 MiB takes longer to make than the content to pack.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(mib))
	require.NoError(tb, err)
	defer enc.Close()
	var out bytes.Buffer
	w, err := seekable.NewWriter(&out, enc)
	require.NoError(tb, err)
	for len(content) > 0 {
		n := min(size, len(content))
		_, err := w.Write(content[:n])
		require.NoError(tb, err)
		content = content[n:]
	}
	require.NoError(tb, w.Close())
	return out.Bytes()
}

// TestInPlace: what was packed is read at any offset, holes are known, and reads at the
// end are short.
func TestInPlace(t *testing.T) {
	t.Parallel()
	want := append(pages(mib), content()...)
	for name, b := range map[string][]byte{"ours": packed(t, "a.zst", want), "small frames": framed(t, want, 70_001)} {
		f := openFrames(t, b)
		require.NotNil(t, f, name)
		require.Equal(t, int64(len(want)), f.Size())
		r, room := rand.New(rand.NewPCG(1, 1)), make([]byte, 300_000)
		for range 40 {
			off, n := r.IntN(len(want)+10), r.IntN(len(room))
			p := room[:n]
			got, err := f.ReadAt(p, int64(off))
			left := want[min(off, len(want)):]
			require.Equal(t, min(n, len(left)), got)
			if got < n {
				require.Equal(t, io.EOF, err)
			} else {
				require.NoError(t, err)
			}
			require.True(t, bytes.Equal(left[:got], p[:got]), "%s: %#x at %#x", name, n, off)
		}
		assert.Equal(t, int64(mib+mib/2), f.NextData(mib+mib/2), name)
		assert.InDelta(t, mib+holeEnd, f.NextData(3*mib), mib, "the hole is known: %s", name)
		assert.Equal(t, f.Size(), f.NextData(f.Size()))
		require.NoError(t, f.Close())
		_, err := f.ReadAt(make([]byte, 1), 0)
		require.Error(t, err)
	}
}

// TestInPlaceHole: the end of a file that ends in frames of zeros is told, whoever
// asks, and what of the file is read for it is little.
func TestInPlaceHole(t *testing.T) {
	t.Parallel()
	b := packed(t, "a.zst", append(noise(mib), make([]byte, 20*mib)...))
	c := &countingReader{r: bytes.NewReader(b)}
	f, err := pack.OpenFrames(t.Context(), c, int64(len(b)), pack.Options{Input: raw})
	require.NoError(t, err)
	defer f.Close()
	c.n = 0
	assert.Equal(t, f.Size(), f.NextData(mib))
	assert.Equal(t, f.Size(), f.NextData(2*mib+5))
	assert.Equal(t, int64(5), f.NextData(5))
	assert.Less(t, c.n, int64(20_000))
	assert.Equal(t, int64(-1), f.NextData(-1))
}

// TestInPlaceTogether: many read at once, near each other and far; frames that are not
// kept are unpacked again. Run with -race this is its test.
func TestInPlaceTogether(t *testing.T) {
	t.Parallel()
	want := pages(2 * mib)
	f := openFrames(t, framed(t, want, 40_000))
	require.NotNil(t, f)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			p := make([]byte, 100_000)
			for k := range 25 {
				off := r.IntN(len(want) - len(p))
				if i < 4 { // as those do who copy
					off = (k*4 + i) * len(p) % (len(want) - len(p))
				}
				if _, err := f.ReadAt(p, int64(off)); !assert.NoError(t, err) || !assert.True(t, bytes.Equal(want[off:off+len(p)], p)) {
					return
				}
				f.NextData(int64(off))
			}
		})
	}
	all.Wait()
	require.NoError(t, f.Close())
}

// patched is packed data with a table that was changed: f gets the entries, 12 bytes
// each, and the 9 bytes behind them.
func patched(b []byte, frames int, f func(entries, footer []byte)) []byte {
	b = bytes.Clone(b)
	footer := b[len(b)-9:]
	f(b[len(b)-9-12*frames:len(b)-9], footer)
	return b
}

// TestNotInPlace: what has no table, or one that can't be right or asks for too much,
// is not read in place, and unpacks as before.
func TestNotInPlace(t *testing.T) {
	t.Parallel()
	le := binary.LittleEndian
	want := pages(mib / 4)
	small := framed(t, want, mib/16)
	big := framed(t, make([]byte, 9*mib), 9*mib)
	one, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	require.NoError(t, err)
	plain := one.EncodeAll(want, nil)
	for name, b := range map[string][]byte{
		"plain":       plain,
		"large frame": big,
		"cut":         small[:len(small)-1],
		"appended":    append(bytes.Clone(small), plain...),
		"two":         append(bytes.Clone(plain), small...),
		"sum":         patched(small, 4, func(e, _ []byte) { le.PutUint32(e, le.Uint32(e)+1) }),
		"empty frame": patched(small, 4, func(e, _ []byte) { le.PutUint32(e[4:], 0) }),
		"claims more": patched(small, 4, func(_, f []byte) { le.PutUint32(f, 1<<31) }),
		"claims less": patched(small, 4, func(_, f []byte) { le.PutUint32(f, 3) }),
		"reserved":    patched(small, 4, func(_, f []byte) { f[4] |= 4 }),
		"large size":  patched(small, 4, func(e, _ []byte) { le.PutUint32(e[4:], 9*mib) }),
		"a tar":       packed(t, "a.zst", tarred(t, want)),
	} {
		assert.Nil(t, openFrames(t, b), name)
	}
	got, _, err := unpackWith(t, patched(small, 4, func(e, _ []byte) { le.PutUint32(e, 7) }), pack.Options{Dir: t.TempDir(), Input: raw})
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got))

	// What is no memory image is for Unpack to refuse.
	f, err := pack.OpenFrames(t.Context(), bytes.NewReader(small), int64(len(small)), pack.Options{})
	require.NoError(t, err)
	assert.Nil(t, f)
	image := framed(t, known(mib/4), mib/16)
	f, err = pack.OpenFrames(t.Context(), bytes.NewReader(image), int64(len(image)), pack.Options{})
	require.NoError(t, err)
	require.NotNil(t, f)
	require.NoError(t, f.Close())
	f, err = pack.OpenFrames(t.Context(), bytes.NewReader(image), int64(len(image)), pack.Options{Input: open.Options{Format: physmem.FormatELF}})
	require.NoError(t, err)
	assert.Nil(t, f)
	_, err = pack.OpenFrames(t.Context(), broken{}, 1000, pack.Options{})
	require.ErrorIs(t, err, errBroken)
}

var errBroken = errors.New("broken")

// broken is a file that can't be read.
type broken struct{}

// ReadAt implements io.ReaderAt.
func (broken) ReadAt([]byte, int64) (int, error) { return 0, errBroken }

// TestFrameLies: a frame that is not what the table says, or is damaged, is an error
// that names it; the others are read.
func TestFrameLies(t *testing.T) {
	t.Parallel()
	le := binary.LittleEndian
	want := pages(mib)
	b := framed(t, want, mib/4)
	for says, lie := range map[string]func(e, f []byte){
		"size is not that":     func(e, _ []byte) { le.PutUint32(e[12+4:], mib/4-1) },
		"its size is not that": func(e, _ []byte) { le.PutUint32(e[12+4:], mib/4+1) },
		"checksum is not that": func(e, _ []byte) { e[12+8] ^= 1 },
	} {
		f := openFrames(t, patched(b, 4, lie))
		require.NotNil(t, f, says)
		_, err := f.ReadAt(make([]byte, 100), mib/4+10)
		var frame *pack.FrameError
		require.ErrorAs(t, err, &frame)
		assert.EqualValues(t, 1, frame.Frame)
		require.ErrorContains(t, err, says)
		p := make([]byte, mib/4)
		_, err = f.ReadAt(p, 0)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want[:mib/4], p))
		require.NoError(t, f.Close())
	}
	damaged := bytes.Clone(b)
	damaged[len(b)/2] ^= 0x10
	f := openFrames(t, damaged)
	require.NotNil(t, f)
	_, err := f.ReadAt(make([]byte, mib), 0)
	var frame *pack.FrameError
	require.ErrorAs(t, err, &frame)
	require.NoError(t, f.Close())
}

// flaky is a file whose reads are counted, and fail while it is told to.
type flaky struct {
	io.ReaderAt
	reads atomic.Int64
	fails atomic.Bool
}

// ReadAt implements io.ReaderAt.
func (f *flaky) ReadAt(p []byte, off int64) (int, error) {
	f.reads.Add(1)
	if f.fails.Load() {
		return 0, errBroken
	}
	return f.ReaderAt.ReadAt(p, off)
}

// TestDamageIsKept: a damaged frame is read and unpacked once, whoever asks; one that could
// not be read is read again.
func TestDamageIsKept(t *testing.T) {
	t.Parallel()
	b := patched(framed(t, pages(mib), mib/16), 16, func(e, _ []byte) { e[5*12+8] ^= 1 })
	file := &flaky{ReaderAt: bytes.NewReader(b)}
	f, err := pack.OpenFrames(t.Context(), file, int64(len(b)), pack.Options{Input: raw})
	require.NoError(t, err)
	require.NotNil(t, f)
	defer f.Close()
	p := make([]byte, 100)
	_, first := f.ReadAt(p, 5*mib/16+10)
	var frame *pack.FrameError
	require.ErrorAs(t, first, &frame)
	before := file.reads.Load()
	_, second := f.ReadAt(p, 5*mib/16+1000)
	assert.Equal(t, first, second)
	assert.Equal(t, before, file.reads.Load())

	file.fails.Store(true)
	_, err = f.ReadAt(p, mib-1000)
	require.ErrorIs(t, err, errBroken)
	file.fails.Store(false)
	_, err = f.ReadAt(p, mib-1000)
	require.NoError(t, err)
}

// TestFrameBomb: a frame that holds far more than its table says takes no memory.
func TestFrameBomb(t *testing.T) { //nolint:paralleltest // counts memory
	le := binary.LittleEndian
	zeros := make([]byte, 24*mib)
	for name, b := range map[string][]byte{
		"size known": framed(t, zeros, len(zeros)),
		"unknown":    streamed(t, zeros),
	} {
		b = patched(b, 1, func(e, _ []byte) { le.PutUint32(e[4:], mib) })
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		assert.Nil(t, openFrames(t, b), name) // the beginning can't be read
		runtime.ReadMemStats(&after)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(12*mib), name)
	}
}

// streamed is one frame that does not say its size, with a table.
func streamed(tb testing.TB, content []byte) []byte {
	tb.Helper()
	var one, out bytes.Buffer
	w, err := zstd.NewWriter(&one, zstd.WithEncoderConcurrency(1))
	require.NoError(tb, err)
	_, err = w.Write(content)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	table, err := seekable.NewWriter(&out, ready{one.Bytes()})
	require.NoError(tb, err)
	_, err = table.Write(content)
	require.NoError(tb, err)
	require.NoError(tb, table.Close())
	return out.Bytes()
}

// ready is an encoder that has packed already.
type ready struct{ packed []byte }

// EncodeAll implements seekable.ZSTDEncoder.
func (r ready) EncodeAll(_, _ []byte) []byte { return r.packed }

// tabled is packed data with a table of cuts: sizes of a frame as it lies and of what is
// in it, two bytes each, without checksums. The last frame takes what is left.
func tabled(b, cuts []byte) []byte {
	le := binary.LittleEndian
	var entries []byte
	left := uint32(len(b))
	for ; len(cuts) >= 4; cuts = cuts[4:] {
		packed := min(uint32(le.Uint16(cuts)), left)
		if len(cuts) < 8 {
			packed = left
		}
		left -= packed
		entries = le.AppendUint32(le.AppendUint32(entries, packed), uint32(le.Uint16(cuts[2:])))
	}
	b = le.AppendUint32(le.AppendUint32(bytes.Clone(b), 0x184d2a5e), uint32(len(entries)+9))
	b = le.AppendUint32(append(b, entries...), uint32(len(entries)/8))
	return le.AppendUint32(append(b, 0), 0x8f92eab1)
}

// FuzzFrames reads damaged files of frames with tables that lie: what is read in place
// without an error is what a stream of them unpacks to, and holes are zeros there.
func FuzzFrames(f *testing.F) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(false))
	require.NoError(f, err)
	defer enc.Close()
	var b, cuts []byte
	for _, content := range [][]byte{[]byte("words and words and words"), make([]byte, 3000), {1}} {
		packed := enc.EncodeAll(content, nil)
		b = append(b, packed...)
		cuts = binary.LittleEndian.AppendUint16(cuts, uint16(len(packed)))
		cuts = binary.LittleEndian.AppendUint16(cuts, uint16(len(content)))
	}
	require.NotNil(f, openFrames(f, tabled(b, cuts)))
	f.Add(b, cuts, uint16(26))
	f.Add(b, cuts[:8], uint16(0))
	f.Add(streamed(f, make([]byte, 500)), []byte(nil), uint16(3))
	f.Add(framed(f, []byte("words"), 3), []byte(nil), uint16(4))
	f.Fuzz(func(t *testing.T, b, cuts []byte, at uint16) {
		if len(cuts) > 0 {
			b = tabled(b, cuts)
		}
		r, err := pack.OpenFrames(t.Context(), bytes.NewReader(b), int64(len(b)), pack.Options{Input: raw})
		require.NoError(t, err)
		if r == nil {
			return
		}
		defer func() { require.NoError(t, r.Close()) }()
		if r.Size() > 64*mib {
			return
		}
		p := make([]byte, min(r.Size(), 1<<16))
		n, err := r.ReadAt(p, int64(at))
		require.True(t, n == len(p) || err != nil)
		got := make([]byte, r.Size())
		if _, err := r.ReadAt(got, 0); err != nil {
			return
		}
		require.True(t, bytes.Equal(got[min(int(at), len(got)):][:n], p[:n]))
		d, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderMaxWindow(256*mib))
		require.NoError(t, err)
		defer d.Close()
		want, err := io.ReadAll(d)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), "in place it is something else")
		for off := int64(0); off < r.Size(); {
			next := r.NextData(off)
			require.GreaterOrEqual(t, next, off)
			require.LessOrEqual(t, next, r.Size())
			require.Empty(t, bytes.TrimLeft(got[off:next], "\x00"))
			off = next + 500
		}
	})
}
