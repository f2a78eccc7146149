package plan

import (
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

	"windmp/convert/guest"
	"windmp/convert/stage"
	"windmp/internal/atomicfile"
	"windmp/internal/pack"
	"windmp/physmem/open"
)

// writeCase is an output in one of its kinds.
type writeCase struct {
	Plan  Options
	Write WriteOptions
}

// samplePlan plans the conversion of a sample of a few blocks.
func samplePlan(tb testing.TB, opt writeCase) *Plan {
	tb.Helper()
	im, err := open.File(tb.Context(), filepath.Join("..", "..", "testdata", "guest-bsod.vmcore"), open.Options{})
	require.NoError(tb, err)
	tb.Cleanup(func() { im.Close() })
	g, err := guest.Find(im)
	require.NoError(tb, err)
	p, err := New(g, opt.Plan)
	require.NoError(tb, err)
	return p
}

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

func (f *failingFile) Sync() error { return errors.Join(f.fail("sync"), f.File.Sync()) }

// Close closes the file also when it fails, as the system does.
func (f *failingFile) Close() error {
	err := f.File.Close()
	if failed := f.fail("close"); err == nil && failed != nil {
		return failed
	}
	return err
}

// writeFailing writes the plan into a file that fails, and tells what happened and
// whether it came to that.
func writeFailing(t *testing.T, p *Plan, name string, opt writeCase, writes int64, fails string) (failed bool, err error) {
	t.Helper()
	dir := t.TempDir()
	out := filepath.Join(dir, name)
	tmp, _, err := atomicfile.Create(out)
	require.NoError(t, err)
	f := &failingFile{File: tmp, fails: fails}
	f.writesLeft.Store(writes)
	err = p.writeTemp(t.Context(), f, out, opt.Write)
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
func assertFull(t *testing.T, err error, in stage.Stage) {
	t.Helper()
	require.ErrorIs(t, err, syscall.ENOSPC)
	var st *stage.Error
	require.ErrorAs(t, err, &st)
	assert.Equal(t, in, st.Stage)
	assert.Equal(t, 1, strings.Count(err.Error(), syscall.ENOSPC.Error()), "%v", err)
	assert.NotContains(t, err.Error(), "\n")
}

// assertGoroutines holds that no more than n goroutines are left after a while.
func assertGoroutines(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, there were %d:\n%s", runtime.NumGoroutine(), n, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// TestDiskFillsUp fails every write of every kind of output in turn, and what
// follows the writes. It runs alone, so that goroutines can be counted.
func TestDiskFillsUp(t *testing.T) { //nolint:paralleltest // counts goroutines
	for name, opt := range map[string]writeCase{
		"full.dmp":     {Write: WriteOptions{Sparse: SparseNever}},
		"sparse.dmp":   {Write: WriteOptions{Sparse: SparseAlways, Workers: 4}},
		"nosync.dmp":   {Write: WriteOptions{NoSync: true}},
		"bitmap.dmp":   {Plan: Options{Type: OutputBitmap}},
		"kernel.dmp":   {Plan: Options{Type: OutputKernel}},
		"core.vmcore":  {Plan: Options{To: FormatELF}},
		"full.dmp.gz":  {},
		"full.dmp.zst": {},
		"full.dmp.zip": {},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			p := samplePlan(t, opt)
			n := int64(0)
			for ; ; n++ {
				failed, err := writeFailing(t, p, name, opt, n, "")
				if !failed {
					require.NoError(t, err)
					break
				}
				assertFull(t, err, stage.Write)
			}
			require.Positive(t, n)
			for op, in := range map[string]stage.Stage{"truncate": stage.Write, "sync": stage.Sync, "close": stage.Write} {
				if op == "truncate" && pack.MethodOf(name) != pack.None || op == "sync" && opt.Write.NoSync {
					continue
				}
				_, err := writeFailing(t, p, name, opt, 1<<30, op)
				assertFull(t, err, in)
			}
			assertGoroutines(t, before)
		})
	}
}
