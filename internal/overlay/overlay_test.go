package overlay_test

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/overlay"
	"windmp/internal/testtime"
	"windmp/physmem"
)

// memory is bytes from address 0 on, of which it knows the holes.
type memory struct {
	b     []byte
	reads int // calls
	asked int
}

var errOutside = errors.New("outside")

func (m *memory) ReadAt(p []byte, pa int64) (int, error) {
	m.reads++
	if pa < 0 || pa > int64(len(m.b)) {
		return 0, errOutside
	}
	if n := copy(p, m.b[pa:]); n < len(p) {
		return n, errOutside
	}
	return len(p), nil
}

func (m *memory) NextData(pa uint64) uint64 {
	m.asked++
	for pa < uint64(len(m.b)) && m.b[pa] == 0 {
		pa++
	}
	return pa
}

// TestOverlay holds the overlay against memory that is edited byte by byte, in the
// order of the edits.
func TestOverlay(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		const size = 500
		m := &memory{b: make([]byte, size)}
		for i := range m.b {
			v := rng.Uint32() // most bytes have few bits
			m.b[i] = byte(v) & byte(v>>8) & byte(v>>16) & byte(v>>24)
		}
		want, source := bytes.Clone(m.b), bytes.Clone(m.b)
		edited := make([]bool, size)
		var edits []overlay.Edit
		for range rng.IntN(12) {
			at := rng.IntN(size - 40)
			b := bytes.Repeat([]byte{byte(rng.Uint32N(3))}, rng.IntN(40))
			edits = append(edits, overlay.Edit{PA: uint64(at), Bytes: b})
			copy(want[at:], b)
			for i := range b {
				edited[at+i] = true
			}
		}
		o := overlay.New(m, edits)
		for range 5 {
			from := rng.IntN(size)
			got := make([]byte, rng.IntN(size-from)+1)
			n, err := o.ReadAt(got, int64(from))
			require.NoError(t, err)
			assert.Equal(t, want[from:from+len(got)], got[:n])
		}
		var next, said [size]uint64
		for pa := size - 1; pa >= 0; pa-- {
			next[pa] = uint64(pa)
			if want[pa] == 0 && !edited[pa] && m.b[pa] == 0 {
				next[pa] = size
				if pa+1 < size {
					next[pa] = next[pa+1]
				}
			}
			said[pa] = o.NextData(uint64(pa))
		}
		require.Equal(t, next, said)
		assert.Equal(t, source, m.b, "nothing is written")
	}
}

func TestOverlayErrors(t *testing.T) {
	t.Parallel()
	m := &memory{b: make([]byte, 10)}
	o := overlay.New(m, []overlay.Edit{{PA: 8, Bytes: []byte{1, 2, 3, 4}}, {PA: math.MaxUint64 - 1, Bytes: []byte{1}}})
	p := make([]byte, 10)
	n, err := o.ReadAt(p, 5)
	require.ErrorIs(t, err, errOutside)
	assert.Equal(t, []byte{0, 0, 0, 1, 2}, p[:n], "what can't be read below is not made up")
	_, err = o.ReadAt(p, -1)
	require.ErrorIs(t, err, errOutside)
	assert.Equal(t, uint64(math.MaxUint64-1), o.NextData(math.MaxUint64-1))
	assert.EqualValues(t, 8, o.NextData(2))
}

// TestOverlayHostile: many edits, all overlapping, in one hole. Comparing each with
// each takes three times the limit; and below, the hole is looked for once.
func TestOverlayHostile(t *testing.T) {
	t.Parallel()
	const n = 1 << 16
	edits := make([]overlay.Edit, n)
	long := bytes.Repeat([]byte{9}, n)
	for i := range edits {
		edits[i] = overlay.Edit{PA: uint64(2 * i), Bytes: long[:n-i]}
	}
	m := &memory{b: make([]byte, 4*n)}
	begun := time.Now()
	o := overlay.New(m, edits)
	assert.EqualValues(t, 3, o.NextData(3))
	p := make([]byte, 8)
	wrong := 0 // an assertion for each takes longer than the reads
	for i := range n {
		if _, err := o.ReadAt(p, int64(i)); err != nil {
			wrong++
		}
	}
	assert.Zero(t, wrong)
	assert.Equal(t, n, m.reads)

	for i := range edits {
		edits[i] = overlay.Edit{PA: uint64(4*i + 2), Bytes: long[:1]}
	}
	m = &memory{b: make([]byte, 4*n)}
	o = overlay.New(m, edits)
	for i := range uint64(n) {
		if o.NextData(4*i) != 4*i+2 {
			wrong++
		}
	}
	assert.Less(t, time.Since(begun), testtime.Limit(time.Second))
	assert.Zero(t, wrong)
	assert.Equal(t, 1, m.asked)
}

func TestFill(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		const size = 300
		m := &memory{b: bytes.Repeat([]byte{0xaa}, size)}
		want := bytes.Clone(m.b)
		var absent []physmem.Range
		for at := uint64(rng.IntN(50)); at < size-60; at += uint64(rng.IntN(50)) {
			r := physmem.Range{Start: at, Size: 1 + uint64(rng.IntN(50))}
			absent = append(absent, r)
			clear(want[r.Start:r.End()])
			at = r.End()
		}
		f := overlay.Fill(m, absent)
		from := rng.IntN(size)
		got := make([]byte, rng.IntN(size-from)+1)
		n, err := f.ReadAt(got, int64(from))
		require.NoError(t, err)
		assert.Equal(t, want[from:from+len(got)], got[:n])
		for _, r := range absent {
			assert.Equal(t, r.End(), f.NextData(r.Start))
		}
		assert.EqualValues(t, size-1, f.NextData(size-1))
	}
	f := overlay.Fill(&memory{b: []byte{1, 2}}, []physmem.Range{{Start: 5, Size: 1}})
	p := make([]byte, 7)
	n, err := f.ReadAt(p, 0)
	require.ErrorIs(t, err, errOutside, "what else is not there is an error")
	assert.Equal(t, []byte{1, 2}, p[:n])
	_, err = f.ReadAt(p, -1)
	require.ErrorIs(t, err, errOutside)
}
