package physmem_test

import (
	"io"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/open"
)

// broken is a file that cannot be read from an offset on.
type broken struct {
	from int64
}

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.from {
		return 0, syscall.EIO
	}
	return len(p), nil
}

// TestFailureIsTheFiles: what one view could not read is known to all views of the
// file, in both directions.
func TestFailureIsTheFiles(t *testing.T) {
	t.Parallel()
	views := func() (m, view *physmem.Image) {
		src := physmem.NewSource("", broken{from: 0x8000}, 0x10000)
		m, err := open.Source(t.Context(), src, open.Options{Format: physmem.FormatRaw})
		require.NoError(t, err)
		view, err = m.WithHoles([]physmem.Range{{Start: 0x2000, Size: 0x1000}})
		require.NoError(t, err)
		require.NoError(t, m.ReadFailure())
		return m, view
	}
	read := func(m *physmem.Image) {
		_, err := m.ReadAt(make([]byte, 1), 0xf000)
		require.ErrorIs(t, err, syscall.EIO)
	}
	m, view := views()
	read(view)
	require.ErrorIs(t, m.ReadFailure(), syscall.EIO)
	m, view = views()
	read(m)
	require.ErrorIs(t, view.ReadFailure(), syscall.EIO)
	third, err := view.WithHoles(nil)
	require.NoError(t, err)
	require.ErrorIs(t, third.ReadFailure(), syscall.EIO)
	assert.Equal(t, []physmem.Range{{Size: 0x10000}}, m.Ranges(), "a view changes nothing")
	require.NoError(t, view.Close(), "closes nothing")
}

// refused is a source that counts how often it is to ask again.
type refused struct {
	physmem.Source
	retries int
}

func (r *refused) Retry() { r.retries++ }

// TestTryAgain: all that failed is forgotten, and a source that gave up asks again, also
// where no read of the image has failed so far: it may fetch ahead of them.
func TestTryAgain(t *testing.T) {
	t.Parallel()
	src := &refused{Source: physmem.NewSource("", broken{from: 0x8000}, 0x10000)}
	m, err := open.Source(t.Context(), src, open.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	m.TryAgain()
	assert.Equal(t, 1, src.retries)
	_, err = m.ReadAt(make([]byte, 1), 0xf000)
	require.ErrorIs(t, err, syscall.EIO)
	m.TryAgain()
	require.NoError(t, m.ReadFailure())
	assert.Equal(t, 2, src.retries)
}

// TestTryAgainDuringRead: a read that was begun before, and fails later, is no failure of
// what is read from then on.
func TestTryAgainDuringRead(t *testing.T) {
	t.Parallel()
	file := &during{broken: broken{from: 0x8000}}
	m, err := open.Source(t.Context(), physmem.NewSource("", file, 0x10000), open.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	file.happens = m.TryAgain
	_, err = m.ReadAt(make([]byte, 1), 0xf000)
	require.ErrorIs(t, err, syscall.EIO)
	require.NoError(t, m.ReadFailure())
}

// during is a file in which something happens while it is read.
type during struct {
	broken
	happens func()
}

func (d *during) ReadAt(p []byte, off int64) (int, error) {
	if d.happens != nil {
		d.happens()
	}
	return d.broken.ReadAt(p, off)
}

// sixteenZeros is a file that knows its holes: all of it.
type sixteenZeros struct{}

func (sixteenZeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }
func (sixteenZeros) NextData(int64) int64                  { return 16 }

// TestNewSource: a source keeps what its reader knows of holes.
func TestNewSource(t *testing.T) {
	t.Parallel()
	s := physmem.NewSource("name", sixteenZeros{}, 16)
	assert.Equal(t, "name", s.Name())
	assert.Equal(t, int64(16), s.Size())
	assert.Equal(t, int64(16), physmem.NextData(s, 3))
	assert.Equal(t, int64(20), physmem.NextData(s, 20), "never back")
	assert.Equal(t, int64(3), physmem.NextData(struct{ io.ReaderAt }{s}, 3), "what does not know its holes")
}
