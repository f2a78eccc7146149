package atomicfile

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// mapped is a new file in dir of so many bytes, and its writer.
func mapped(t *testing.T, dir string, size int64) (*os.File, *Mapped) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "f"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	m, err := Map(f, size)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, m.Close()) })
	return f, m
}

// TestMapped: many writers, across the windows' ends; what is not written stays a hole,
// and few windows are mapped.
func TestMapped(t *testing.T) {
	t.Parallel()
	const size, piece = 9*windowSize + 1234, windowSize/4 + 1000
	f, m := mapped(t, t.TempDir(), size)
	var next atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				off := (next.Add(1) - 1) * piece
				if off >= size {
					return
				}
				if off/windowSize == 5 || off/windowSize == 6 {
					continue // a hole
				}
				p := bytes.Repeat([]byte{byte(off/piece) | 1}, int(min(piece, size-off)))
				if n, err := m.WriteAt(p, off); !assert.NoError(t, err) || !assert.Len(t, p, n) {
					return
				}
			}
		})
	}
	all.Wait()
	assert.LessOrEqual(t, len(m.windows), mostWindows)
	require.NoError(t, m.Close())
	st, err := f.Stat()
	require.NoError(t, err)
	assert.EqualValues(t, size, st.Size())
	assert.Less(t, onDisk(t, f), int64(size-windowSize))
	p := make([]byte, piece)
	for off := int64(0); off < size; off += piece {
		p = p[:min(piece, size-off)]
		_, err := f.ReadAt(p, off)
		require.NoError(t, err)
		want := byte(off/piece) | 1
		if off/windowSize == 5 || off/windowSize == 6 {
			want = 0
		}
		require.Empty(t, bytes.Trim(p, string(rune(want))), off)
	}
}

// TestMappedCut: a file that becomes shorter is an error, and not the end.
func TestMappedCut(t *testing.T) {
	t.Parallel()
	f, m := mapped(t, t.TempDir(), 1<<20)
	_, err := m.WriteAt([]byte("abc"), 0x4000)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(0x2000))
	n, err := m.WriteAt(make([]byte, 0x3000), 0)
	require.ErrorIs(t, err, syscall.EIO)
	assert.Zero(t, n)
	_, err = m.WriteAt([]byte("abc"), 0x1000)
	require.NoError(t, err, "what is there can be written to")
	for _, off := range []int64{-1, 1<<20 - 2, 1 << 40} {
		_, err = m.WriteAt([]byte("abc"), off)
		require.ErrorIs(t, err, io.ErrShortWrite)
	}
}

// TestMappedFull: a file system that is full is the error that a write gets; and when
// it shows in the memory itself, an error too.
func TestMappedFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("NOT RUN: a full file system needs the right to mount one: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	f, m := mapped(t, dir, 4<<20)
	assert.True(t, inMemory(f))
	full := func() error {
		for off := int64(0); off < 4<<20; off += 64 << 10 {
			if _, err := m.WriteAt(bytes.Repeat([]byte{1}, 64<<10), off); err != nil {
				assert.GreaterOrEqual(t, off, int64(900<<10))
				return err
			}
		}
		return nil
	}
	require.ErrorIs(t, full(), syscall.ENOSPC)
	w, err := m.take(0)
	require.NoError(t, err)
	require.ErrorIs(t, storeCaught(w.memory[3<<20:], []byte("abc")), syscall.EIO)
	require.NoError(t, m.leave(0))
}

// TestMapNothing: what can't be mapped says so before anything is written.
func TestMapNothing(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer read.Close()
	defer write.Close()
	_, err = Map(pipe{write}, 100)
	require.Error(t, err)
	_, err = Map(pipe{write}, 0)
	require.Error(t, err)
	assert.False(t, inMemory(write))
}

// BenchmarkMapped writes 256 MiB to a file in memory by some writers, by writes and
// through mappings. On two processors mappings lose; how many it takes for them to win is
// for a machine with more to say (docs/performance.md).
func BenchmarkMapped(b *testing.B) {
	const size, block = 256 << 20, 256 << 10
	dir, err := os.MkdirTemp("/dev/shm", "windmp-bench.")
	if err != nil {
		b.Skipf("no /dev/shm: %v", err)
	}
	defer os.RemoveAll(dir)
	run := func(b *testing.B, writers int, through func(f *os.File) (io.WriterAt, func() error)) {
		b.Helper()
		b.SetBytes(size)
		for b.Loop() {
			f, err := os.Create(filepath.Join(dir, "f"))
			require.NoError(b, err)
			w, end := through(f)
			var next atomic.Int64
			var all sync.WaitGroup
			for range writers {
				all.Go(func() {
					p := bytes.Repeat([]byte{1}, block)
					for off := (next.Add(1) - 1) * block; off < size; off = (next.Add(1) - 1) * block {
						if _, err := w.WriteAt(p, off); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
			require.NoError(b, end())
			require.NoError(b, f.Close())
			require.NoError(b, os.Remove(f.Name()))
		}
	}
	for _, writers := range []int{1, 2, 4, 8, 16} {
		b.Run(fmt.Sprintf("written by %d", writers), func(b *testing.B) {
			run(b, writers, func(f *os.File) (io.WriterAt, func() error) { return f, func() error { return nil } })
		})
		b.Run(fmt.Sprintf("mapped by %d", writers), func(b *testing.B) {
			run(b, writers, func(f *os.File) (io.WriterAt, func() error) {
				m, err := Map(f, size)
				require.NoError(b, err)
				return m, m.Close
			})
		})
	}
}
