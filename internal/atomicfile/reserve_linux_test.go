package atomicfile

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestReserver: what is written is there, what is not stays a hole, and the size is
// that of the writes.
func TestReserver(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	require.NoError(t, err)
	defer f.Close()
	r := &reserver{f: f}
	first, last := bytes.Repeat([]byte{1}, 64<<10), bytes.Repeat([]byte{2}, 1000)
	_, err = r.WriteAt(last, 8<<20)
	require.NoError(t, err)
	_, err = r.WriteAt(first, 64<<10)
	require.NoError(t, err)
	got, err := io.ReadAll(f)
	require.NoError(t, err)
	want := make([]byte, 8<<20+len(last))
	copy(want[64<<10:], first)
	copy(want[8<<20:], last)
	assert.True(t, bytes.Equal(want, got))
	assert.Less(t, onDisk(t, f), int64(1<<20))
}

// TestReserverRefused: a file for which nothing can be reserved is written all the
// same, and is not asked again.
func TestReserverRefused(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer read.Close()
	r := &reserver{f: pipe{write}}
	n, err := r.WriteAt([]byte("abc"), 0)
	require.NoError(t, err)
	assert.Equal(t, 3, n)
	assert.True(t, r.refused.Load())
	require.NoError(t, write.Close())
	got, err := io.ReadAll(read)
	require.NoError(t, err)
	assert.Equal(t, "abc", string(got))
}

// pipe is a Writable that no room can be reserved for.
type pipe struct{ *os.File }

func (p pipe) WriteAt(b []byte, _ int64) (int, error) { return p.Write(b) }

// onDisk is how many bytes a file takes in its file system.
func onDisk(t *testing.T, f *os.File) int64 {
	t.Helper()
	var st unix.Stat_t
	require.NoError(t, unix.Fstat(int(f.Fd()), &st))
	return st.Blocks * 512
}
