package dump_test

import (
	"bytes"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/dump"
	"windmp/physmem"
	"windmp/winhdr"
	"windmp/winhdr/fields"
)

func pages(tb testing.TB, runs ...physmem.Run) dump.Pages {
	tb.Helper()
	p, err := dump.NewPages(slices.Values(runs))
	require.NoError(tb, err)
	return p
}

// checked goes through a layout, holds what every one of them must keep to, and
// gives the file with memory as its page frame numbers in 0x1000 bytes each.
func checked(t *testing.T, l dump.Layout) (front []byte, memory []physmem.Range) {
	t.Helper()
	at := uint64(0)
	for s := range l.Segments() {
		require.NotZero(t, s.Size)
		at += s.Size
		switch s.Kind {
		case dump.Zeros:
			front = append(front, make([]byte, s.Size)...)
		case dump.Bytes:
			front = append(front, given(t, s)...)
		case dump.Memory:
			memory = append(memory, physmem.Range{Start: s.PA, Size: s.Size})
			continue
		}
		assert.Empty(t, memory, "memory comes last")
	}
	assert.EqualValues(t, l.Size(), at)
	for n := range 3 { // whoever breaks off is not given more
		seen := 0
		for range l.Segments() {
			if seen++; seen > n {
				break
			}
		}
	}
	return front, memory
}

func TestFull(t *testing.T) {
	t.Parallel()
	header := bytes.Repeat([]byte{7}, 0x2000)
	l, err := dump.NewFull(header, 2, pages(t, physmem.Run{BasePage: 1, PageCount: 2}, physmem.Run{BasePage: 8, PageCount: 1}))
	require.NoError(t, err)
	assert.EqualValues(t, 0x5000, l.Size())
	front, memory := checked(t, l)
	assert.Equal(t, header, front)
	assert.Equal(t, []physmem.Range{{Start: 0x1000, Size: 0x2000}, {Start: 0x8000, Size: 0x1000}}, memory)
	_, err = dump.NewFull(header, 1, pages(t, physmem.Run{BasePage: 1, PageCount: 2}, physmem.Run{BasePage: 8, PageCount: 1}))
	var limit *dump.LimitError
	require.ErrorAs(t, err, &limit)
	assert.Equal(t, dump.LimitError{Limit: dump.LimitRuns, Got: 2, Most: 1}, *limit)
	_, err = dump.NewFull(header, 1, pages(t, physmem.Run{PageCount: 1 << 51}))
	require.ErrorAs(t, err, &limit)
	assert.Equal(t, dump.LimitSize, limit.Limit)
}

func TestPages(t *testing.T) {
	t.Parallel()
	for name, runs := range map[string]physmem.Runs{
		"empty":       {{BasePage: 1}},
		"overlapping": {{BasePage: 1, PageCount: 2}, {BasePage: 2, PageCount: 2}},
		"descending":  {{BasePage: 9, PageCount: 2}, {BasePage: 2, PageCount: 2}},
		"wrapping":    {{BasePage: math.MaxUint64, PageCount: 2}},
		"too high":    {{BasePage: 1 << 51, PageCount: 1}},
	} {
		_, err := dump.NewPages(slices.Values(runs))
		require.Error(t, err, name)
	}
	p := pages(t, physmem.Run{BasePage: 1<<51 - 1, PageCount: 1})
	assert.EqualValues(t, 1, p.Count())
	assert.Equal(t, uint64(1<<51), p.End())
}

// TestBitmap reads back what is written, against a bitmap made page by page.
func TestBitmap(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	header := bytes.Repeat([]byte{7}, winhdr.X64.Size())
	for _, far := range []uint64{40, 400, 1 << 19} {
		for range 5 {
			var runs physmem.Runs
			for at := rng.Uint64N(far); len(runs) < 7; at += rng.Uint64N(far) {
				n := 1 + rng.Uint64N(far)
				runs = append(runs, physmem.Run{BasePage: at, PageCount: n})
				at += n
			}
			l, err := dump.NewBitmap(header, winhdr.DumpTypeBitmapFull, pages(t, runs...))
			require.NoError(t, err)
			front, memory := checked(t, l)
			assert.Equal(t, runs.Ranges(), memory)
			assert.Zero(t, len(front)%0x1000)
			assert.Equal(t, header, front[:len(header)])
			second, err := fields.Decode[winhdr.BitmapDump64]("bitmap header", front[len(header):][:winhdr.BitmapDumpSize64], winhdr.BitmapDumpSize64)
			require.NoError(t, err)
			assert.Equal(t, &winhdr.BitmapDump64{
				Signature: winhdr.SignatureFDMP, ValidDump: winhdr.ValidDumpDUMP,
				FirstPage: uint64(len(front)), TotalPresentPages: runs.Pages(), BitmapSize: (runs[len(runs)-1].End() + 63) &^ 63,
			}, second)
			want := make([]byte, len(front)-len(header)-winhdr.BitmapDumpSize64)
			for _, r := range runs {
				for page := r.BasePage; page < r.End(); page++ {
					want[page/8] |= 1 << (page % 8)
				}
			}
			assert.True(t, bytes.Equal(want, front[len(header)+winhdr.BitmapDumpSize64:]))
		}
	}
}

func TestBitmapKinds(t *testing.T) {
	t.Parallel()
	l, err := dump.NewBitmap(make([]byte, 0x1000), winhdr.DumpTypeBitmapKernel, pages(t, physmem.Run{BasePage: 3, PageCount: 1}))
	require.NoError(t, err)
	front, _ := checked(t, l)
	assert.Equal(t, "SDMPDUMP", string(front[0x1000:][:8]))
	assert.EqualValues(t, 8, front[0x1000+winhdr.BitmapDumpSize64])
	_, err = dump.NewBitmap(nil, winhdr.DumpTypeFull, pages(t))
	require.Error(t, err)
	assert.NotErrorAs(t, err, new(*dump.LimitError))

	most := uint64(dump.MaxBitmapBits) &^ 63
	_, err = dump.NewBitmap(nil, winhdr.DumpTypeBitmapFull, pages(t, physmem.Run{BasePage: most - 1, PageCount: 1}))
	require.NoError(t, err)
	_, err = dump.NewBitmap(nil, winhdr.DumpTypeBitmapFull, pages(t, physmem.Run{BasePage: most, PageCount: 1}))
	var limit *dump.LimitError
	require.ErrorAs(t, err, &limit)
	assert.Equal(t, dump.LimitBitmap, limit.Limit)
	assert.Equal(t, "2147483648 bits of the bitmap: at most 2147483647", limit.Error())
}

// TestBitmapMemory: a bitmap of 256 MiB is not held.
func TestBitmapMemory(t *testing.T) {
	const end = dump.MaxBitmapBits &^ 63
	l, err := dump.NewBitmap(nil, winhdr.DumpTypeBitmapFull, pages(t, physmem.Run{BasePage: 5, PageCount: 3}, physmem.Run{BasePage: end - 1, PageCount: 1}))
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	for range l.Segments() {
		n++
	}
	runtime.ReadMemStats(&after)
	assert.Less(t, n, 10, "zeros are not made")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestSegment(t *testing.T) {
	t.Parallel()
	b := dump.Given([]byte{1, 2, 3})
	assert.Equal(t, dump.Given([]byte{1}), b.First(1))
	assert.Equal(t, dump.Given([]byte{2, 3}), b.Behind(1))
	m := dump.Segment{Kind: dump.Memory, Size: 3, PA: 7}
	assert.Equal(t, dump.Segment{Kind: dump.Memory, Size: 1, PA: 7}, m.First(1))
	assert.Equal(t, dump.Segment{Kind: dump.Memory, Size: 2, PA: 8}, m.Behind(1))
	z := dump.Segment{Size: 3}
	assert.Equal(t, dump.Segment{Size: 2}, z.Behind(1))
}

// scattered are the pages of 1 TiB: every second stretch of 16 pages.
func scattered(yield func(physmem.Run) bool) {
	const pages, stretch = 1 << 28, 16
	for at := uint64(0); at < pages; at += 2 * stretch {
		if !yield(physmem.Run{BasePage: at + 3, PageCount: stretch}) {
			return
		}
	}
}

// BenchmarkBitmap makes the bitmap of a guest of 1 TiB.
func BenchmarkBitmap(b *testing.B) {
	one := slices.Values(physmem.Runs{{PageCount: 1 << 28}})
	for name, runs := range map[string]iter.Seq[physmem.Run]{"one run": one, "8 million runs": scattered} {
		b.Run(name, func(b *testing.B) {
			p, err := dump.NewPages(runs)
			require.NoError(b, err)
			l, err := dump.NewBitmap(nil, winhdr.DumpTypeBitmapFull, p)
			require.NoError(b, err)
			b.SetBytes(1 << 25)
			b.ReportAllocs()
			for b.Loop() {
				for s := range l.Segments() {
					if s.Kind == dump.Memory {
						break
					}
				}
			}
		})
	}
}
