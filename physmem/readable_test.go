package physmem_test

import (
	"bytes"
	"encoding/binary"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/testtime"
	"windmp/physmem"
	"windmp/physmem/open"
)

// everyOther is a file of which every other page can't be read, up to an offset.
type everyOther struct{ end int64 }

func (e everyOther) ReadAt(p []byte, off int64) (int, error) {
	for at := off; at < off+int64(len(p)); at = (at/physmem.PageSize + 1) * physmem.PageSize {
		if at < e.end && at/physmem.PageSize%2 == 1 {
			return int(at - off), syscall.EIO
		}
	}
	return len(p), nil
}

// TestReadableScattered: as many bad pages as are allowed, no two side by side, take no
// longer than to read them; one more is a disk that has failed.
func TestReadableScattered(t *testing.T) {
	t.Parallel()
	const most = 1 << 16
	size := int64(2*most+2) * physmem.PageSize
	readable := func(bad int64) (*physmem.Image, error) {
		src := physmem.NewSource("", everyOther{end: 2 * bad * physmem.PageSize}, size)
		m, err := open.Source(t.Context(), src, open.Options{Format: physmem.FormatRaw})
		require.NoError(t, err)
		return m.Readable(t.Context())
	}
	begun := time.Now()
	m, err := readable(most)
	require.NoError(t, err)
	assert.Less(t, time.Since(begun), testtime.Limit(5*time.Second))
	assert.Len(t, m.Ranges(), most+1)
	assert.Equal(t, "256 MiB of memory in 65536 pages can't be read from the disk and count as missing", m.Oddities()[0].Text)
	_, err = readable(most + 1)
	require.ErrorIs(t, err, syscall.EIO)
}

// TestReadablePart: a page of which the file has only a part is counted, too.
func TestReadablePart(t *testing.T) {
	t.Parallel()
	b := []byte("EMiL\x01\x00\x00\x00") // LiME: version 1, first address and last, 8 bytes reserved
	for _, v := range []uint64{0x1800, 0x1fff, 0} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	file := &failsFrom{Reader: bytes.NewReader(append(b, make([]byte, 0x800)...)), from: 1 << 20}
	m, err := open.Source(t.Context(), physmem.NewSource("", file, file.Size()), open.Options{Format: physmem.FormatLiME})
	require.NoError(t, err)
	file.from = int64(len(b))
	before := len(m.Oddities())
	m, err = m.Readable(t.Context())
	require.NoError(t, err)
	assert.Empty(t, m.Ranges())
	assert.Equal(t, "2.0 KiB of memory in 1 page can't be read from the disk and count as missing", m.Oddities()[before].Text)
}

// failsFrom is a file that can't be read from an offset on.
type failsFrom struct {
	*bytes.Reader
	from int64
}

func (f *failsFrom) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, syscall.EIO
	}
	return f.Reader.ReadAt(p, off)
}

// TestReadableTakesHoles: raw memory without what can't be read is laid out around holes as
// the file is: what can't be read is so wherever it is then.
func TestReadableTakesHoles(t *testing.T) {
	t.Parallel()
	const page = physmem.PageSize
	file := &sector{Reader: bytes.NewReader(make([]byte, 4*page)), at: 2 * page}
	m, err := open.Source(t.Context(), physmem.NewSource("", file, file.Size()), open.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	m, err = m.Readable(t.Context())
	require.NoError(t, err)
	require.True(t, m.TakesHoles())
	assert.Equal(t, []physmem.Range{{Size: 2 * page}, {Start: 3 * page, Size: page}}, m.Ranges())
	assert.Equal(t, []physmem.Range{{Size: 4 * page}}, m.Laid())
	odd := m.Oddities()
	require.Len(t, odd, 1)

	m, err = m.WithHoles([]physmem.Range{{Start: page, Size: 2 * page}})
	require.NoError(t, err)
	assert.Equal(t, []physmem.Range{{Size: page}, {Start: 3 * page, Size: page}, {Start: 5 * page, Size: page}}, m.Ranges())
	assert.Equal(t, []physmem.Range{{Size: page}, {Start: 3 * page, Size: 3 * page}}, m.Laid())
	assert.Equal(t, odd, m.Oddities())
	_, err = m.ReadAt(make([]byte, page), 4*page)
	require.ErrorIs(t, err, physmem.ErrNotInImage)
	at, ok := m.FileOffset(5 * page)
	assert.True(t, ok)
	assert.EqualValues(t, 3*page, at)
}
