package convert_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/folder"
	"windmp/convert/guest"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// TestMaxRead: with every limit, no more than that is read, and the answer is the one
// without a limit or that there is none: never OK, never FAIL, never half of one.
func TestMaxRead(t *testing.T) {
	t.Parallel()
	core := gunzip(t, "guest-bsod.vmcore")
	m := imageOf(t, core)
	for name, file := range map[string][]byte{
		"vmcore":    core,
		"dump":      gunzip(t, "guest-bsod.win-dmp.gz"),
		"kdump":     gunzip(t, "x86-live-2cpu-paging.kdump.gz"),
		"vmware":    gunzip(t, "live-2cpu.vmss.gz"),
		"migration": coretest.Migration(t, m, coretest.WithAll(m.CPUs()), "pc-i440fx-7.2"),
		"no note":   withoutHostNote(t, core),
		"no guest":  core[:len(core)/8],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			look := func(most int64) (inspect.FileCheck, *inspect.InfoReport, int64, error) {
				limits := source.Options{Limits: source.Limits{MaxRead: most}}
				one := &physmemtest.Tally{ReaderAt: bytes.NewReader(file)}
				in := source.Reader(name, one, int64(len(file)))
				r, err := inspect.Check(t.Context(), inspect.CheckOptions{Source: limits}, in)
				require.NoError(t, err)
				checked := one.Read.Swap(0)
				info, infoErr := inspect.Info(t.Context(), in, inspect.InfoOptions{Source: limits})
				assert.True(t, most == 0 || max(checked, one.Read.Load()) <= most, "%d and %d of %d", checked, one.Read.Load(), most)
				return r.Files[0], info, max(checked, one.Read.Load()), infoErr
			}
			whole, info, needed, infoErr := look(0)
			ended := 0
			limits := int64(7)
			if testing.Short() {
				limits = 3
			}
			for most := int64(1); ; most += max(1, needed/limits) {
				got, gotInfo, _, err := look(most)
				if most >= 2*needed { // requests at the end of a file ask for more than there is
					assert.Equal(t, whole, got)
					break
				}
				if got.Verdict != whole.Verdict || len(got.Findings) == 1 && got.Findings[0].ID == finding.LookEnded.ID() {
					ended++
					assert.Equal(t, "UNKNOWN", got.Verdict, most)
					require.Len(t, got.Findings, 1, most)
					assert.Equal(t, finding.LookEnded.ID(), got.Findings[0].ID)
					require.NoError(t, got.Err)
					assert.Equal(t, inspect.FileCheck{
						Path: got.Path, Size: got.Size, Format: got.Format, Kind: got.Kind, Verdict: got.Verdict, Reason: got.Reason, Findings: got.Findings,
					}, got, "nothing else is said")
				} else {
					assert.Equal(t, whole, got, most)
				}
				var over *source.LimitError
				if errors.As(err, &over) {
					assert.Nil(t, gotInfo.System, most)
					assert.Nil(t, gotInfo.Bug, most)
					assert.Empty(t, gotInfo.Findings, most)
				} else {
					assert.Equal(t, infoErr == nil, err == nil, most)
					assert.Equal(t, info.System, gotInfo.System, most)
					assert.Equal(t, info.Signature, gotInfo.Signature, most)
				}
			}
			assert.Positive(t, ended)
		})
	}
}

// TestMaxReadKeepsTheSize: a dump that is too large is, however little is read.
func TestMaxReadKeepsTheSize(t *testing.T) {
	t.Parallel()
	file := gunzip(t, "guest-bsod.win-dmp.gz")
	r, err := inspect.Check(t.Context(), inspect.CheckOptions{
		MaxSize: 1 << 20, Source: source.Options{Limits: source.Limits{MaxRead: 64 << 10}},
	}, source.Reader("dump", bytes.NewReader(file), int64(len(file))))
	require.NoError(t, err)
	assert.Equal(t, "FAIL", r.Files[0].Verdict)
}

// stuck is a reader whose reads hang from the nth on.
type stuck struct {
	io.ReaderAt
	left atomic.Int64
	free chan struct{}
}

func (s *stuck) ReadAt(p []byte, off int64) (int, error) {
	if s.left.Add(-1) < 0 {
		<-s.free
	}
	return s.ReaderAt.ReadAt(p, off)
}

// TestTimeout: a look ends with its time, in a read that hangs too, and says so; an
// interrupt stays one.
func TestTimeout(t *testing.T) {
	t.Parallel()
	core := gunzip(t, "guest-bsod.vmcore")
	for _, n := range []int64{0, 1, 5, 20, 40} {
		slow := &stuck{ReaderAt: bytes.NewReader(core), free: make(chan struct{})}
		t.Cleanup(func() { close(slow.free) })
		in := source.Reader("core", slow, int64(len(core)))
		limits := source.Options{Limits: source.Limits{Timeout: 20 * time.Millisecond}}
		slow.left.Store(n)
		r, err := inspect.Check(t.Context(), inspect.CheckOptions{Source: limits}, in)
		require.NoError(t, err)
		assert.Equal(t, "UNKNOWN", r.Verdict)
		assert.Contains(t, r.Files[0].Reason, "the look ended at its limit of 20ms, when ")
		slow.left.Store(n)
		_, err = inspect.Info(t.Context(), in, inspect.InfoOptions{Source: limits})
		require.ErrorContains(t, err, "the look ended at its limit of 20ms, when ")
		slow.left.Store(n)
		_, err = inspect.Stack(t.Context(), in, inspect.StackOptions{Source: limits})
		require.ErrorAs(t, err, new(*source.LimitError))
		slow.left.Store(n)
		made, err := convert.Stream(t.Context(), in, io.Discard, convert.Options{Source: limits})
		require.ErrorContains(t, err, "the look ended at its limit of 20ms, when ")
		assert.Empty(t, made.Findings)
		slow.left.Store(n)
		err = folder.With(t.Context(), in, folder.Options{Source: limits}, func(*folder.Folder) error { return nil })
		require.ErrorAs(t, err, new(*source.LimitError))
		slow.left.Store(n)
		s, err := source.Open(t.Context(), in, limits)
		for err == nil {
			_, err = s.ReadAt(make([]byte, 1), 0)
		}
		require.ErrorAs(t, err, new(*source.LimitError))

		ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errStopped)
		slow.left.Store(n)
		limits.Limits.Timeout = time.Hour
		_, err = inspect.Info(ctx, in, inspect.InfoOptions{Source: limits})
		cancel()
		require.ErrorIs(t, err, errStopped)
	}
	// Long enough, it changes nothing.
	in := source.Reader("core", bytes.NewReader(core), int64(len(core)))
	with, err := inspect.Check(t.Context(), inspect.CheckOptions{Source: source.Options{Limits: source.Limits{Timeout: time.Hour}}}, in)
	require.NoError(t, err)
	without, err := inspect.Check(t.Context(), inspect.CheckOptions{}, in)
	require.NoError(t, err)
	assert.Equal(t, without, with)
}

var errStopped = errors.New("stopped")

// TestWholeIsToldBefore: what reads all of a file says so, and how much, before it does.
func TestWholeIsToldBefore(t *testing.T) {
	t.Parallel()
	core := gunzip(t, "guest-bsod.vmcore")
	m := imageOf(t, core)
	saved := coretest.Migration(t, m, coretest.WithAll(m.CPUs()), "pc-i440fx-7.2")
	memory := make([]byte, 4<<20)
	_, err := m.ReadAt(memory[:0x9f000], 0)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		file  []byte
		level inspect.CheckLevel
		input open.Options
		want  []stage.Stage
		part  int64 // that may have been read before
	}{
		"a little does": {file: core},
		"full":          {file: core, level: inspect.CheckFull, want: []stage.Stage{stage.Read}, part: 512 << 10},
		"stream":        {file: saved, want: []stage.Stage{stage.Open}, part: 1<<20 + 64<<10},
		"search":        {file: memory, input: open.Options{Format: physmem.FormatRaw}, want: []stage.Stage{stage.Kernel}, part: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			counted := &physmemtest.Tally{ReaderAt: bytes.NewReader(c.file)}
			var mu sync.Mutex
			var told []stage.Stage
			_, err := inspect.Check(t.Context(), inspect.CheckOptions{
				Level: c.level, Source: source.Options{Input: c.input},
				Whole: func(path string, w stage.Whole) {
					if w.Table {
						return
					}
					mu.Lock()
					defer mu.Unlock()
					told = append(told, w.Stage)
					assert.Equal(t, name, path)
					assert.InDelta(t, len(c.file), w.Bytes, float64(len(c.file))/4)
					assert.LessOrEqual(t, counted.Read.Load(), c.part)
				},
			}, source.Reader(name, counted, int64(len(c.file))))
			require.NoError(t, err)
			assert.Equal(t, c.want, told)
			if c.want == nil {
				assert.Less(t, counted.Read.Load(), int64(len(c.file)))
			}
		})
	}
	// A packed file, by all that open one.
	packed := samplePath("guest-bsod.win-dmp.gz")
	st, err := os.Stat(packed)
	require.NoError(t, err)
	var told []stage.Whole
	opt := source.Options{Whole: func(w stage.Whole) { told = append(told, w) }}
	_, err = inspect.Info(t.Context(), source.File(packed), inspect.InfoOptions{Source: opt})
	require.NoError(t, err)
	require.Len(t, told, 1)
	assert.Equal(t, stage.Unpack, told[0].Stage)
	assert.Equal(t, st.Size(), told[0].Bytes)
	// More than may be read is not begun.
	opt.Limits.MaxRead = st.Size() / 2
	_, err = inspect.Info(t.Context(), source.File(packed), inspect.InfoOptions{Source: opt})
	var over *source.LimitError
	require.ErrorAs(t, err, &over)
	assert.Positive(t, over.Needs)
	assert.LessOrEqual(t, over.Read, opt.Limits.MaxRead)
	assert.Len(t, told, 1)
}

// TestTablesAreToldBefore: what reads a table that grows with the memory says so, and how
// large it is, before it does.
func TestTablesAreToldBefore(t *testing.T) {
	t.Parallel()
	m := imageOf(t, gunzip(t, "guest-bsod.vmcore"))
	pages := int64(physmem.TotalSize(m.Ranges()) / physmem.PageSize)
	x := coretest.NewXen(t, m, coretest.WithAll(m.CPUs()))
	for name, c := range map[string]struct {
		file  []byte
		least int64 // of the table
	}{
		"flattened":    {gunzip(t, "live-2cpu.kdump.gz"), pages / 8},
		"kdump":        {gunzip(t, "x86-live-2cpu-paging.kdump.gz"), pages / 8},
		"Xen":          {x.Core(), 8 * pages},
		"Hyper-V":      {coretest.HyperV{}.Write(t, m, coretest.WithAll(m.CPUs())), 100},
		"ELF segments": {gunzip(t, "guest-bsod.vmcore"), 2 * 56},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			counted := &physmemtest.Tally{ReaderAt: bytes.NewReader(c.file)}
			var told int64
			opt := source.Options{Whole: func(w stage.Whole) {
				if w.Table {
					told += w.Bytes
				}
				assert.LessOrEqual(t, counted.Read.Load()-told, int64(256<<10))
			}}
			require.NoError(t, source.With(t.Context(), source.Reader(name, counted, int64(len(c.file))), opt, image))
			assert.GreaterOrEqual(t, told, c.least)
			assert.LessOrEqual(t, told, int64(len(c.file)))
		})
	}
}

// failing is a source of which nothing more comes after some reads.
type failing struct {
	io.ReaderAt
	left atomic.Int64
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.left.Add(-1) < 0 {
		return 0, &physmem.SourceError{Err: io.ErrClosedPipe}
	}
	return f.ReaderAt.ReadAt(p, off)
}

// TestSourceFails: wherever a look is when nothing more comes, that is what it says: not
// that somebody interrupted it, and nothing of what it found before.
func TestSourceFails(t *testing.T) {
	t.Parallel()
	file := gunzip(t, "x86-live-2cpu-paging.kdump.gz")
	ended, planned := 0, false
	for n := int64(0); ; n += 1 + n/6 {
		input := func() (source.Input, *failing) {
			r := &failing{ReaderAt: bytes.NewReader(file)}
			r.left.Store(n)
			return source.Reader("kdump", r, int64(len(file))), r
		}
		in, r := input()
		f := checkInput(t.Context(), in, inspect.CheckOptions{Level: inspect.CheckFull})
		if r.left.Load() >= 0 {
			require.NoError(t, f.Err)
			break
		}
		ended++
		require.ErrorIs(t, f.Err, io.ErrClosedPipe, "check, %d reads", n)
		assert.Equal(t, "UNKNOWN", f.Verdict)
		assert.Empty(t, f.Findings)

		in, r = input()
		_, err := inspect.Info(t.Context(), in, inspect.InfoOptions{})
		if r.left.Load() < 0 {
			require.ErrorIs(t, err, io.ErrClosedPipe, "info, %d reads", n)
		}
		in, r = input()
		var last *guest.Guest
		opt := convert.Options{Examined: func(g *guest.Guest, _ *plan.Plan) { last = g }}
		made, err := convert.Stream(t.Context(), in, io.Discard, opt)
		require.Equal(t, made.Input.Format != "", last != nil, "what is told beside the report is taken back with it")
		if r.left.Load() < 0 {
			require.ErrorIs(t, err, io.ErrClosedPipe, "conversion, %d reads", n)
			require.Empty(t, warned(made.Findings), "conversion, %d reads", n)
			planned = planned || made.Guest != nil
			require.True(t, planned || made.Verdict == "UNKNOWN", "conversion, %d reads: %s", n, made.Verdict)
		}
	}
	assert.Greater(t, ended, 5)
	assert.True(t, planned, "some reads are those of the copy")
}
