package atomicfile

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEarlyWriter: pieces are handed over once, in order, and never what is still
// being written; writers do not wait for the disk.
func TestEarlyWriter(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	require.NoError(t, err)
	e := &earlyWriter{f: f, to: f, pieces: make(chan piece, earlyQueue), done: make(chan struct{})}
	close(e.done)
	block := []byte{1}
	for _, at := range []int64{0, 1, 2, 3, 3, 2, 10, 4, 9} {
		_, err := e.WriteAt(block, at*earlyPiece)
		require.NoError(t, err)
	}
	for range 2 * earlyQueue { // nobody takes them: what does not fit is dropped
		_, err := e.WriteAt(block, (e.next.Load()+earlyLag+1)*earlyPiece)
		require.NoError(t, err)
	}
	e.end()
	var got []piece
	for p := range e.pieces {
		got = append(got, p)
	}
	require.Len(t, got, earlyQueue)
	assert.Equal(t, []piece{{0, earlyPiece}, {earlyPiece, 7 * earlyPiece}, {8 * earlyPiece, earlyPiece}}, got[:3])
	require.NoError(t, f.Close())
}

// TestEarlyWriterConcurrent: writers of all workers, and an end while pieces wait.
func TestEarlyWriterConcurrent(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	require.NoError(t, err)
	e := newEarlyWriter(f, f)
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for i := range 64 {
				_, err := e.WriteAt([]byte{byte(w)}, int64(4*i+w)<<20)
				assert.NoError(t, err)
			}
		})
	}
	workers.Wait()
	e.end()
	require.NoError(t, f.Close())
}
