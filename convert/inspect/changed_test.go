package inspect

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/source"
	"windmp/physmem"
)

// A written source is one that may be written to while it is read.
type written struct {
	physmem.Source
	time time.Time
}

// ModTime implements [physmem.Dated].
func (w *written) ModTime() time.Time { return w.time }

// onRead does something before a read.
type onRead struct {
	io.ReaderAt
	do func()
}

// ReadAt implements io.ReaderAt.
func (r onRead) ReadAt(p []byte, off int64) (int, error) {
	r.do()
	return r.ReaderAt.ReadAt(p, off)
}

// TestCheckOfChanged: what was written to while it was checked is not OK.
func TestCheckOfChanged(t *testing.T) {
	t.Parallel()
	f, err := os.Open(filepath.Join("..", "..", "testdata", "guest-bsod.vmcore"))
	require.NoError(t, err)
	defer f.Close()
	st, err := f.Stat()
	require.NoError(t, err)
	for _, changes := range []bool{false, true} {
		w := &written{time: st.ModTime()}
		w.Source = physmem.NewSource("guest.vmcore", onRead{f, func() {
			if changes {
				w.time = time.Now()
			}
		}}, st.Size())
		r, err := Check(t.Context(), CheckOptions{Jobs: 1}, source.Of(w))
		require.NoError(t, err)
		verdict, reason := "OK", ""
		if changes {
			verdict, reason = "WARN", "the file was written to while it was read: what was read of it may be of different moments"
		}
		assert.Equal(t, verdict, r.Verdict)
		assert.Equal(t, reason, r.Files[0].Reason)
	}
}
