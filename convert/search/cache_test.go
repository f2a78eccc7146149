package search

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// counted counts reads of memory that ends in the middle of a page.
type counted struct {
	data  []byte
	reads int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	if off < 0 || off >= int64(len(c.data)) {
		return 0, io.EOF
	}
	n := copy(p, c.data[off:])
	if n < len(p) {
		return n, errors.New("not in the file")
	}
	return n, nil
}

// TestCache: what the view says is what memory says, and short reads of one page are
// one read of the file.
func TestCache(t *testing.T) {
	t.Parallel()
	mem := &counted{data: make([]byte, 3*physmem.PageSize+100)}
	for i := range mem.data {
		mem.data[i] = byte(i * i >> 3)
	}
	var c cache
	read := func(off int64, n, want int) {
		p := make([]byte, n)
		got, err := c.readAt(mem, p, off)
		assert.Equal(t, want, got)
		assert.Equal(t, want == n, err == nil)
		if got > 0 {
			assert.True(t, bytes.Equal(mem.data[off:][:got], p[:got]), "%#x", off)
		}
	}
	for off := range int64(500) {
		read(off*8, 8, 8)
	}
	assert.Equal(t, 1, mem.reads)
	read(physmem.PageSize-4, 8, 8) // in two pages
	read(0, smallRead+1, smallRead+1)
	assert.Equal(t, 3, mem.reads)
	// The rest of a page that is not all there: each time what there is, since more may
	// come to be.
	read(3*physmem.PageSize+96, 8, 4)
	read(3*physmem.PageSize+200, 8, 0)
	read(3*physmem.PageSize, 8, 8)
	mem.data = append(mem.data, make([]byte, physmem.PageSize)...)
	read(3*physmem.PageSize+96, 8, 8)
	_, err := c.readAt(mem, make([]byte, 8), -8)
	require.Error(t, err)
}

// TestCacheIsBounded: however much is read, few pages are kept; and several may read.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	var c cache
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			for page := range int64(2 * cacheLimit / physmem.PageSize) {
				var p [8]byte
				_, err := c.readAt(hollow{}, p[:], page*physmem.PageSize)
				assert.NoError(t, err)
			}
		})
	}
	wait.Wait()
	assert.Equal(t, int64(cacheLimit), c.pages.Held())
}

// BenchmarkCache reads as a walk does: an entry in each of four tables.
func BenchmarkCache(b *testing.B) {
	var c cache
	var p [8]byte
	for i := range int64(b.N) {
		if _, err := c.readAt(hollow{}, p[:], i%4*0x35000+i%512*8); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCacheMisses reads what is not there, as a walk of what is no table does.
func BenchmarkCacheMisses(b *testing.B) {
	var c cache
	mem := bytes.NewReader(nil)
	var p [8]byte
	for i := range int64(b.N) {
		if _, err := c.readAt(mem, p[:], i%0x1000*physmem.PageSize); err == nil {
			b.Fatal("read")
		}
	}
}
