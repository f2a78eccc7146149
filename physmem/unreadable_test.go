package physmem_test

import (
	"bytes"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/internal/testheap"
	"windmp/physmem"
	"windmp/physmem/open"
)

// sector is a file of which one sector can't be read from some time on.
type sector struct {
	*bytes.Reader
	at   int64        // 0 while all can be read
	last atomic.Int64 // where the last read began
}

const sectorSize = 512

func (s *sector) ReadAt(p []byte, off int64) (int, error) {
	s.last.Store(off)
	if s.at == 0 || off >= s.at+sectorSize || off+int64(len(p)) <= s.at {
		return s.Reader.ReadAt(p, off)
	}
	n, _ := s.Reader.ReadAt(p[:max(0, s.at-off)], off)
	return n, syscall.EIO
}

// TestReadable: of every kind of container the view lacks the pages that can't be read, and
// has all others; it lies byte by byte in the file where the image does.
func TestReadable(t *testing.T) {
	t.Parallel()
	sample := func(name string) []byte {
		b, err := testheap.File(t, filepath.Join("..", "testdata", name))
		require.NoError(t, err)
		return b
	}
	core := sample("guest-bsod.vmcore")
	opened := func(s *sector) *physmem.Image {
		m, err := open.Source(t.Context(), physmem.NewSource("", s, s.Size()), open.Options{})
		require.NoError(t, err)
		return m
	}
	whole := opened(&sector{Reader: bytes.NewReader(core)})
	for name, b := range map[string][]byte{
		"extents": core, "kdump": sample("live-2cpu.kdump.gz"),
		"migration": coretest.Migration(t, whole, whole.CPUs(), "pc-i440fx-7.2"),
	} {
		s := &sector{Reader: bytes.NewReader(b)}
		m, good := opened(s), opened(&sector{Reader: bytes.NewReader(b)})
		same, err := m.Readable(t.Context())
		require.NoError(t, err)
		assert.Same(t, m, same, name)

		last := s.last.Load() // which was of memory
		m = opened(s)         // which has kept nothing
		s.at = last
		view, err := m.Readable(t.Context())
		require.NoError(t, err, name)
		require.NotSame(t, m, view, name)
		assert.Equal(t, m.Located(), view.Located(), name)
		odd := view.Oddities()
		assert.Equal(t, physmem.OddityUnreadable, odd[len(odd)-1].Kind)
		lost := 0
		want, got := make([]byte, physmem.PageSize), make([]byte, physmem.PageSize)
		for _, r := range good.Ranges() {
			for pa := r.Start; pa < r.End(); pa += physmem.PageSize {
				n := min(physmem.PageSize, r.End()-pa)
				_, err := good.ReadAt(want[:n], int64(pa))
				require.NoError(t, err)
				_, err = view.ReadAt(got[:n], int64(pa))
				var absent *physmem.NotInImageError
				if assert.Equal(t, err == nil, len(view.Missing(physmem.Range{Start: pa, Size: n})) == 0, "%s %#x", name, pa) && err == nil {
					assert.True(t, bytes.Equal(want[:n], got[:n]), "%s %#x", name, pa)
					continue
				}
				require.ErrorAs(t, err, &absent)
				_, err = m.ReadAt(got[:n], int64(pa))
				require.ErrorIs(t, err, syscall.EIO)
				lost++
			}
		}
		assert.Positive(t, lost, name)
		assert.LessOrEqual(t, lost, 24, name) // what a sector has of packed pages at most, of one value each
	}
}
