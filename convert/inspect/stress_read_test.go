package inspect

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/write"
	"windmp/internal/testheap"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// sampleBytes reads a sample, unpacked.
func sampleBytes(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := testheap.File(tb, filepath.Join("..", "..", "testdata", name))
	require.NoError(tb, err)
	return b
}

// badDisk is a file of which reads fail: from the n-th on, or the n-th alone.
type badDisk struct {
	io.ReaderAt
	reads, failed atomic.Int64
	from          int64
	once          bool
}

func (d *badDisk) ReadAt(p []byte, off int64) (int, error) {
	n := d.reads.Add(1) - 1
	if n != d.from && (d.once || n < d.from) {
		return d.ReaderAt.ReadAt(p, off)
	}
	d.failed.Add(1)
	got, _ := d.ReaderAt.ReadAt(p[:len(p)/2], off) // what was there before the bad sector
	return got, syscall.EIO
}

// convertReader converts what r holds into a folder of its own, and returns the
// dump and the findings. After an error it holds that nothing was left.
func convertReader(t *testing.T, r io.ReaderAt, size int64, opt convert.Options) ([]byte, []finding.Finding, error) {
	t.Helper()
	dir := t.TempDir()
	out := filepath.Join(dir, "out.dmp")
	list, err := func() ([]finding.Finding, error) {
		im, err := physmemtest.OpenReader(r, size, open.Options{})
		if err != nil {
			return nil, err
		}
		g, err := guest.Find(context.Background(), im, guest.Options{})
		if err != nil {
			return g.Findings(), err
		}
		p, err := plan.New(t.Context(), g, opt.Plan)
		if err != nil {
			return g.Findings(), err
		}
		_, err = convert.WriteFile(t.Context(), p, out, opt.Write)
		return append(g.Findings(), p.Findings()...), err
	}()
	entries, rerr := os.ReadDir(dir)
	require.NoError(t, rerr)
	if err != nil {
		assert.Empty(t, entries)
		return nil, list, err
	}
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	return b, list, nil
}

// moments are the reads to fail: all of a few, else the first, the last, and some
// between; fewer of each in -short, since all of them take seconds.
func moments(n int64) []int64 {
	edge, between := int64(16), int64(24)
	if testing.Short() {
		edge, between = 4, 5
	}
	var list []int64
	for i := range n {
		if i < edge || i >= n-edge || i%max(1, n/between) == 0 {
			list = append(list, i)
		}
	}
	return list
}

// TestSourceFails fails reads of every kind of source. Either the error says so,
// with the offset, and nothing is left; or it was not needed, and a finding tells
// of any difference.
func TestSourceFails(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"guest-bsod.vmcore", "live-2cpu.kdump.gz", "guest-bsod.win-dmp.gz"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := sampleBytes(t, name)
			size := int64(len(file))
			opt := convert.Options{Write: write.Options{Workers: 1, NoSync: true}}
			good := &badDisk{ReaderAt: bytes.NewReader(file), from: 1 << 62}
			want, findings, err := convertReader(t, good, size, opt)
			require.NoError(t, err)
			failed := 0
			for _, once := range []bool{false, true} {
				for _, n := range moments(good.reads.Load()) {
					r := &badDisk{ReaderAt: bytes.NewReader(file), from: n, once: once}
					got, list, err := convertReader(t, r, size, opt)
					require.NotZero(t, r.failed.Load())
					if err != nil {
						failed++
						require.ErrorIs(t, err, syscall.EIO, "read %d, once %v", n, once)
						assert.Contains(t, err.Error(), "file offset 0x", "read %d", n)
						assert.NotContains(t, err.Error(), "\n")
						continue
					}
					if !bytes.Equal(want, got) {
						assert.NotEqual(t, findings, list, "read %d, once %v: a difference is told", n, once)
					}
				}
			}
			assert.Positive(t, failed)
		})
	}
}

// TestCheckOfFailingSource: a check of what can't be read is an error, or unknown
// parts, but never a verdict on the guest.
func TestCheckOfFailingSource(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"guest-bsod.vmcore", "live-2cpu.kdump.gz", "guest-bsod.win-dmp.gz"} {
		file := sampleBytes(t, name)
		for _, level := range []CheckLevel{CheckQuick, CheckFull} {
			check := func(r io.ReaderAt) *FileCheck {
				report, err := Check(context.Background(), CheckOptions{Level: level}, source.Reader("", r, int64(len(file))))
				require.NoError(t, err)
				return &report.Files[0]
			}
			good := &badDisk{ReaderAt: bytes.NewReader(file), from: 1 << 62}
			want := check(good)
			for _, n := range moments(good.reads.Load()) {
				c := check(&badDisk{ReaderAt: bytes.NewReader(file), from: n})
				if errors.Is(c.Err, syscall.EIO) {
					assert.Contains(t, c.Err.Error(), "file offset 0x")
					assert.NotEqual(t, "OK", c.Verdict)
					if level == CheckQuick {
						nothingFollows(t, c.Findings, c.Signature)
					}
					continue
				}
				require.NoError(t, c.Err, "%s, %s, read %d: %v", name, level, n, c.Findings)
				if c.Verdict == want.Verdict {
					continue
				}
				assert.NotEqual(t, "OK", c.Verdict)
				assert.NotEmpty(t, c.Findings)
			}
		}
	}
}

// nothingFollows holds that nothing is said of a guest that may follow from a read that
// failed.
func nothingFollows(t *testing.T, findings []finding.Finding, signature *report.Signature) {
	t.Helper()
	for _, f := range findings {
		assert.False(t, f.Severity == finding.SeverityWarn && !strings.HasPrefix(f.ID, "WD1"), "%s %s", f.ID, f.Message)
	}
	assert.Nil(t, signature)
}

// TestLookAtFailingSource: info and stack say of a guest whose file can't be read no
// warnings, and no signature, which it would share with guests of another crash.
func TestLookAtFailingSource(t *testing.T) {
	t.Parallel()
	file := sampleBytes(t, "guest-bsod.vmcore")
	input := func(from int64) (source.Input, *badDisk) {
		d := &badDisk{ReaderAt: bytes.NewReader(file), from: from, once: true}
		return source.Reader("", d, int64(len(file))), d
	}
	in, good := input(1 << 62)
	_, err := Info(t.Context(), in, InfoOptions{})
	require.NoError(t, err)
	failed := 0
	for _, n := range moments(good.reads.Load()) {
		in, _ := input(n)
		if r, err := Info(t.Context(), in, InfoOptions{}); err != nil {
			failed++
			require.ErrorIs(t, err, syscall.EIO)
			nothingFollows(t, r.Findings, r.Signature)
		}
		in, _ = input(n)
		if r, err := Stack(t.Context(), in, StackOptions{}); err != nil {
			require.ErrorIs(t, err, syscall.EIO)
			nothingFollows(t, r.Findings, r.Signature)
		}
	}
	assert.Positive(t, failed)
}
