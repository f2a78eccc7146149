package write

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/dump"
	"windmp/convert/stage"
	"windmp/internal/atomicfile"
	"windmp/internal/pack"
)

// failingFile is a file on a disk that is full from the n-th write on, or whose
// one other operation fails.
type failingFile struct {
	*atomicfile.File
	writesLeft atomic.Int64
	fails      string
}

func (f *failingFile) fail(op string) error {
	if f.fails == op {
		return &fs.PathError{Op: op, Path: f.Name(), Err: syscall.ENOSPC}
	}
	return nil
}

// full writes half of what it is asked to, as a disk does that fills up.
func (f *failingFile) full(p []byte, write func([]byte) (int, error)) (int, error) {
	if f.writesLeft.Add(-1) >= 0 {
		return write(p)
	}
	n, err := write(p[:len(p)/2])
	return n, errors.Join(err, &fs.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC})
}

func (f *failingFile) Write(p []byte) (int, error) { return f.full(p, f.File.Write) }

func (f *failingFile) WriteAt(p []byte, off int64) (int, error) {
	return f.full(p, func(p []byte) (int, error) { return f.File.WriteAt(p, off) })
}

func (f *failingFile) Truncate(size int64) error {
	return errors.Join(f.fail("truncate"), f.File.Truncate(size))
}

// InMemory says no, so that it is written by writing.
func (f *failingFile) InMemory() bool { return false }

func (f *failingFile) Sync() error { return errors.Join(f.fail("sync"), f.File.Sync()) }

// Close closes the file also when it fails, as the system does.
func (f *failingFile) Close() error {
	err := f.File.Close()
	if failed := f.fail("close"); err == nil && failed != nil {
		return failed
	}
	return err
}

// writeFailing writes a layout into a file that fails, and tells what happened and
// whether it came to that.
func writeFailing(t *testing.T, name string, l dump.Layout, opt Options, writes int64, fails string) (failed bool, err error) {
	t.Helper()
	dir := t.TempDir()
	tmp, _, err := atomicfile.Create(filepath.Join(dir, name))
	require.NoError(t, err)
	f := &failingFile{File: tmp, fails: fails}
	f.writesLeft.Store(writes)
	o := Output{Layout: l, Memory: new(pattern)}
	err = o.complete(t.Context(), f, name, &opt)
	entries, rerr := os.ReadDir(dir)
	require.NoError(t, rerr)
	if err != nil {
		assert.Empty(t, entries, "%s, write %d %s: %v", name, writes, fails, err)
	} else {
		assert.Len(t, entries, 1)
	}
	return f.writesLeft.Load() < 0 || fails != "", err
}

// assertFull holds that err says once, in one line, that the disk is full.
func assertFull(t *testing.T, err error, step stage.Stage) {
	t.Helper()
	require.ErrorIs(t, err, syscall.ENOSPC)
	var st *stage.Error
	require.ErrorAs(t, err, &st)
	assert.Equal(t, step, st.Stage)
	assert.Equal(t, 1, strings.Count(err.Error(), syscall.ENOSPC.Error()), "%v", err)
	assert.NotContains(t, err.Error(), "\n")
}

// TestDiskFillsUp fails every write of every way of writing in turn, and what
// follows the writes. It runs alone, so that goroutines can be counted.
func TestDiskFillsUp(t *testing.T) { //nolint:paralleltest // counts goroutines
	l := list{
		dump.Given(bytes.Repeat([]byte{1}, 0x2000)),
		{Kind: dump.Zeros, Size: 2 << 20},
		{Kind: dump.Memory, Size: 1 << 20, PA: 0x3000},
	}
	for name, opt := range map[string]Options{
		"full.dmp":     {Sparse: SparseNever},
		"sparse.dmp":   {Sparse: SparseAlways, Workers: 4},
		"nosync.dmp":   {NoSync: true},
		"full.dmp.gz":  {},
		"full.dmp.zst": {},
		"full.dmp.zip": {},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			n := int64(0)
			for ; ; n++ {
				failed, err := writeFailing(t, name, l, opt, n, "")
				if !failed {
					require.NoError(t, err)
					break
				}
				assertFull(t, err, stage.Write)
			}
			require.Positive(t, n)
			for op, step := range map[string]stage.Stage{"truncate": stage.Write, "sync": stage.Sync, "close": stage.Write} {
				if op == "truncate" && pack.MethodOf(name) != pack.None || op == "sync" && opt.NoSync {
					continue
				}
				_, err := writeFailing(t, name, l, opt, 1<<30, op)
				assertFull(t, err, step)
			}
			for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
				require.True(t, time.Now().Before(end), "%d goroutines, there were %d", runtime.NumGoroutine(), before)
			}
		})
	}
}
