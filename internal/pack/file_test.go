package pack_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/pack"
	"windmp/physmem"
)

// unpackAll unpacks all of a file.
func unpackAll(ctx context.Context, how pack.Method, r *io.SectionReader, opt pack.Options) (*pack.File, error) {
	f, err := pack.Unpack(ctx, how, r, opt)
	if err != nil {
		return f, err
	}
	if err := f.Wait(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// A gated file is read behind an offset when its gate is open.
type gated struct {
	io.ReaderAt
	at   int64
	gate chan struct{}
}

// ReadAt implements io.ReaderAt.
func (g *gated) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > g.at {
		<-g.gate
	}
	return g.ReaderAt.ReadAt(p, off)
}

// TestFileGrows: what was unpacked is read while the rest is not there yet, a hole at its
// end too; whatever needs the rest waits for it.
func TestFileGrows(t *testing.T) {
	t.Parallel()
	want := known(4 * mib)
	clear(want[mib : 2*mib])
	in := packed(t, "a.gz", want)
	g := &gated{bytes.NewReader(in), int64(len(in)) * 3 / 4, make(chan struct{})}
	f, err := pack.Unpack(t.Context(), pack.Gzip, io.NewSectionReader(g, 0, int64(len(in))), pack.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	got := make([]byte, 2*mib)
	n, err := f.ReadAt(got, 1000)
	require.NoError(t, err)
	assert.Equal(t, len(got), n)
	assert.True(t, bytes.Equal(want[1000:][:len(got)], got))
	have := physmem.Reach(f, 2*mib)
	assert.GreaterOrEqual(t, have, int64(2*mib))
	assert.Less(t, have, int64(len(want)), "the gate is closed")

	waits := make(chan int64)
	go func() { waits <- f.Size() }()
	close(g.gate)
	assert.EqualValues(t, len(want), <-waits)
	require.NoError(t, f.Wait())
	n, err = f.ReadAt(got, 3*mib)
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, mib, n)
	assert.True(t, bytes.Equal(want[3*mib:], got[:n]))
	_, err = f.ReadAt(got, -1)
	require.Error(t, err)
	assert.False(t, f.Missed())
	require.NoError(t, f.Close())
}

// TestFileBreaksOff: what is read of what breaks off is there up to that place; behind it
// the error is that of unpacking.
func TestFileBreaksOff(t *testing.T) {
	t.Parallel()
	want := known(2 * mib)
	whole := packed(t, "a.gz", want)
	dir := t.TempDir()
	for says, tc := range map[string]struct {
		in  []byte
		opt pack.Options
	}{
		"the data is cut":     {whole[:len(whole)/2], pack.Options{Dir: dir}},
		"more than the limit": {whole, pack.Options{Dir: dir, Limit: mib}},
	} {
		f, err := pack.Unpack(t.Context(), pack.Gzip, section(bytes.NewReader(tc.in)), tc.opt)
		require.NoError(t, err)
		got := make([]byte, mib/2)
		_, err = f.ReadAt(got, 0)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want[:len(got)], got))
		require.ErrorContains(t, f.Wait(), says)
		assert.False(t, f.Missed(), "nobody wanted more")
		assert.EqualValues(t, mib, f.NextData(mib))
		n, err := f.ReadAt(make([]byte, 2*mib), 0)
		require.ErrorContains(t, err, says)
		assert.EqualValues(t, f.Size(), n)
		assert.True(t, f.Missed())
		require.NoError(t, f.Close())
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// TestFileGivenUp: who waits is woken when unpacking is given up.
func TestFileGivenUp(t *testing.T) {
	t.Parallel()
	in := packed(t, "a.gz", known(4*mib))
	ctx, stop := context.WithCancel(t.Context())
	g := &gated{bytes.NewReader(in), int64(len(in)) / 2, make(chan struct{})}
	f, err := pack.Unpack(ctx, pack.Gzip, io.NewSectionReader(g, 0, int64(len(in))), pack.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	waits := make(chan int64)
	go func() { waits <- physmem.Reach(f, 4*mib) }()
	stop()
	close(g.gate)
	assert.Less(t, <-waits, int64(4*mib))
	require.ErrorIs(t, f.Wait(), context.Canceled)
	require.NoError(t, f.Close())
}

// TestFileClosed: a file that is closed is unpacked no further.
func TestFileClosed(t *testing.T) {
	t.Parallel()
	in := packed(t, "a.gz", known(4*mib))
	g := &gated{bytes.NewReader(in), int64(len(in)) / 2, make(chan struct{})}
	f, err := pack.Unpack(t.Context(), pack.Gzip, io.NewSectionReader(g, 0, int64(len(in))), pack.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	closed := make(chan error)
	go func() { closed <- f.Close() }()
	close(g.gate)
	require.NoError(t, <-closed)
	require.LessOrEqual(t, f.Size(), int64(4*mib), "it ended")
}
