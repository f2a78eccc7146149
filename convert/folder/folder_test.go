package folder_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/folder"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/internal/guestsim"
	"windmp/internal/testheap"
	"windmp/physmem"
)

// written is what convert writes for each name in a folder.
var written = map[string]plan.Options{
	"memory.dmp":    {},
	"kernel.dmp":    {Type: plan.OutputKernel},
	"triage.dmp":    {Type: plan.OutputTriage},
	"memory.vmcore": {To: plan.FormatELF},
}

// names are those of files.
func names(f *folder.Folder) (list []string) {
	for _, x := range f.Files() {
		list = append(list, x.Name())
	}
	return list
}

// read is all that a file holds.
func read(t *testing.T, f *folder.Folder, name string) []byte {
	t.Helper()
	file := f.Find(name)
	require.NotNil(t, file, name)
	c, err := file.Open(t.Context())
	require.NoError(t, err)
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	require.NoError(t, err)
	return b
}

// said is the report, as its readers have it.
type said struct {
	Files []struct {
		Name    string
		Present bool
		Report  json.RawMessage
	}
}

// TestIdentity: each file is byte for byte what convert writes, and the report of each
// is that of a conversion that writes nothing.
func TestIdentity(t *testing.T) {
	t.Parallel()
	for _, sample := range []string{"guest-bsod.vmcore", "live-2cpu.kdump.gz", "live-2cpu-paging.vmcore.gz", "encoded-2cpu.vmcore.gz", "x86-bsod-2cpu.vmcore.gz"} {
		t.Run(sample, func(t *testing.T) {
			t.Parallel()
			in := filepath.Join("..", "..", "testdata", sample)
			if core, packed := strings.CutSuffix(sample, ".vmcore.gz"); packed { // once, not for each conversion
				b, err := testheap.File(t, in)
				require.NoError(t, err)
				in = filepath.Join(t.TempDir(), core+".vmcore")
				require.NoError(t, os.WriteFile(in, b, 0o600))
			}
			err := folder.With(t.Context(), source.File(in), folder.Options{}, func(f *folder.Folder) error {
				require.Equal(t, []string{"memory.dmp", "kernel.dmp", "triage.dmp", "memory.vmcore", "report.json"}, names(f))
				var all said
				require.NoError(t, json.Unmarshal(read(t, f, "report.json"), &all))
				require.Len(t, all.Files, len(written))
				for _, file := range all.Files {
					out := filepath.Join(t.TempDir(), file.Name)
					_, err := convert.File(t.Context(), in, out, convert.Options{Plan: written[file.Name]})
					require.NoError(t, err)
					want, err := os.ReadFile(out)
					require.NoError(t, err)
					assert.True(t, bytes.Equal(want, read(t, f, file.Name)), "%s differs", file.Name)

					r, err := convert.File(t.Context(), in, file.Name, convert.Options{Plan: written[file.Name], DryRun: true})
					require.NoError(t, err)
					same, err := json.Marshal(r)
					require.NoError(t, err)
					assert.JSONEq(t, string(same), string(file.Report))
					assert.True(t, file.Present)
				}
				return nil
			})
			require.NoError(t, err)
		})
	}
}

// core is a guest's vmcore as a file.
func core(t *testing.T, opt guestsim.Options) []byte {
	t.Helper()
	return guestsim.New(opt).ELF()
}

// in is a source in memory.
func in(b []byte) source.Input { return source.Reader("core", bytesReader(b), int64(len(b))) }

// bytesReader is a file that is there.
type bytesReader []byte

func (b bytesReader) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// counted counts what is read.
type counted struct {
	bytesReader
	mu   sync.Mutex
	read int
	fail error
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return 0, c.fail
	}
	n, err := c.bytesReader.ReadAt(p, off)
	c.read += n
	return n, err
}

func (c *counted) reads() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read
}

func (c *counted) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

// TestFirstUse: the folder is there before a kernel or triage dump is planned, and
// listing it plans none; each is planned once, however many ask.
func TestFirstUse(t *testing.T) {
	t.Parallel()
	b := core(t, guestsim.Options{CPUs: 2})
	src := &counted{bytesReader: b}
	err := folder.With(t.Context(), source.Reader("core", src, int64(len(b))), folder.Options{}, func(f *folder.Folder) error {
		before := src.reads()
		require.Len(t, f.Files(), 5)
		assert.Equal(t, before, src.reads(), "listing reads nothing")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				c, err := f.Find("kernel.dmp").Open(t.Context())
				if assert.NoError(t, err) {
					assert.Positive(t, c.Size())
				}
			})
		}
		wg.Wait()
		once := src.reads() - before
		assert.Positive(t, once)
		_, err := f.Find("kernel.dmp").Open(t.Context())
		require.NoError(t, err)
		assert.Equal(t, once, src.reads()-before)
		return nil
	})
	require.NoError(t, err)
}

// TestAbsent: a dump that can't be made is not in the folder, and the report says why.
func TestAbsent(t *testing.T) {
	t.Parallel()
	b := core(t, guestsim.Options{CPUs: 1})
	opt := folder.Options{Plan: plan.Options{KeepProcesses: []uint64{987654}}}
	err := folder.With(t.Context(), in(b), opt, func(f *folder.Folder) error {
		kernel := f.Find("kernel.dmp")
		_, err := kernel.Open(t.Context())
		require.ErrorIs(t, err, fs.ErrNotExist)
		var usage *stage.UsageError
		require.ErrorAs(t, err, &usage)
		assert.Nil(t, f.Find("kernel.dmp"))
		assert.NotContains(t, names(f), "kernel.dmp")
		var all said
		require.NoError(t, json.Unmarshal(read(t, f, "report.json"), &all))
		for _, x := range all.Files {
			if x.Name == "kernel.dmp" {
				assert.False(t, x.Present)
				assert.Contains(t, string(x.Report), "987654")
			}
		}
		assert.NotEmpty(t, read(t, f, "memory.dmp"))
		return nil
	})
	require.NoError(t, err)
}

// TestFailingSource: a read that fails is an error of that read, said once a file, and
// of the folder in the end. What could not be planned for it may be next time.
func TestFailingSource(t *testing.T) {
	t.Parallel()
	b := core(t, guestsim.Options{CPUs: 1})
	src := &counted{bytesReader: b}
	gone := fmt.Errorf("the disk is gone: %w", syscall.EIO)
	var said []string
	opt := folder.Options{Failed: func(name string, err error) {
		require.ErrorIs(t, err, gone)
		said = append(said, name)
	}}
	err := folder.With(t.Context(), source.Reader("core", src, int64(len(b))), opt, func(f *folder.Folder) error {
		c, err := f.Find("memory.dmp").Open(t.Context())
		require.NoError(t, err)
		page := make([]byte, physmem.PageSize)
		_, err = c.ReadAt(page, c.Size()-physmem.PageSize)
		require.NoError(t, err)
		src.end(gone)
		for range 2 {
			_, err = c.ReadAt(page, c.Size()-physmem.PageSize)
			require.ErrorIs(t, err, gone)
		}
		_, err = f.Find("kernel.dmp").Open(t.Context())
		require.Error(t, err)
		require.NotErrorIs(t, err, fs.ErrNotExist)
		assert.Contains(t, names(f), "kernel.dmp")
		src.end(nil)
		_, err = c.ReadAt(page, c.Size()-physmem.PageSize)
		require.NoError(t, err)
		_, err = f.Find("kernel.dmp").Open(t.Context())
		require.NoError(t, err)
		return nil
	})
	require.ErrorIs(t, err, gone)
	assert.Equal(t, []string{"memory.dmp", "kernel.dmp"}, said)
}

// interrupted is a file of which one read fails; before the next one, something happens.
type interrupted struct {
	bytesReader
	mu      sync.Mutex
	armed   bool
	happens func()
}

func (i *interrupted) ReadAt(p []byte, off int64) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.armed:
		i.armed = false
		return 0, syscall.EIO
	case i.happens != nil:
		i.happens()
		i.happens = nil
	}
	return i.bytesReader.ReadAt(p, off)
}

// TestOpenedWhilePlanned: a read that failed while a dump is planned counts for that, also
// when another file is opened meanwhile.
func TestOpenedWhilePlanned(t *testing.T) {
	t.Parallel()
	b := core(t, guestsim.Options{CPUs: 1})
	src := &interrupted{bytesReader: b}
	err := folder.With(t.Context(), source.Reader("core", src, int64(len(b))), folder.Options{}, func(f *folder.Folder) error {
		src.armed, src.happens = true, func() {
			_, err := f.Find("memory.dmp").Open(t.Context())
			assert.NoError(t, err)
		}
		_, err := f.Find("kernel.dmp").Open(t.Context())
		require.ErrorIs(t, err, syscall.EIO)
		assert.Nil(t, src.happens)
		_, err = f.Find("kernel.dmp").Open(t.Context())
		require.NoError(t, err)
		return nil
	})
	require.ErrorIs(t, err, syscall.EIO)
}

// TestClosed: who comes after the folder's end gets an error, and nothing runs on.
func TestClosed(t *testing.T) {
	t.Parallel()
	var late *folder.Folder
	err := folder.With(t.Context(), in(core(t, guestsim.Options{CPUs: 1})), folder.Options{}, func(f *folder.Folder) error {
		late = f
		return nil
	})
	require.NoError(t, err)
	_, err = late.Find("triage.dmp").Open(t.Context())
	require.Error(t, err)
}

// TestNoGuest: what holds no Windows gives no folder.
func TestNoGuest(t *testing.T) {
	t.Parallel()
	err := folder.With(t.Context(), in(make([]byte, 1<<16)), folder.Options{}, func(*folder.Folder) error {
		t.Error("there is a folder")
		return nil
	})
	require.ErrorIs(t, err, physmem.ErrUnknownFormat)
	ctx, end := context.WithCancel(t.Context())
	end()
	err = folder.With(ctx, in(core(t, guestsim.Options{CPUs: 1})), folder.Options{}, func(*folder.Folder) error { return nil })
	require.ErrorIs(t, err, context.Canceled)
}

// TestDamaged: a dump of which a page that can't be decoded was read is refused from then
// on, as a conversion refuses it; where gaps are accepted it is that of a conversion.
func TestDamaged(t *testing.T) {
	t.Parallel()
	in := damagedKdump(t)
	conversion := func(missing report.MissingMode, dir string) (string, *report.Report, error) {
		out := filepath.Join(dir, "memory.dmp")
		r, err := convert.File(t.Context(), in, out, convert.Options{Plan: plan.Options{Missing: missing}})
		return out, r, err
	}
	_, refused, err := conversion(report.MissingFail, t.TempDir())
	require.ErrorAs(t, err, new(*finding.RefusedError))
	opt := folder.Options{Failed: func(string, error) {}}
	err = folder.With(t.Context(), source.File(in), opt, func(f *folder.Folder) error {
		require.NotEmpty(t, read(t, f, "report.json"))
		c, err := f.Find("memory.dmp").Open(t.Context())
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, io.NewSectionReader(c, 0, c.Size()))
		require.ErrorAs(t, err, new(*physmem.ReadError))
		_, err = f.Find("memory.dmp").Open(t.Context())
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.ErrorAs(t, err, new(*finding.RefusedError))
		assert.NotContains(t, names(f), "memory.dmp")
		var all said
		require.NoError(t, json.Unmarshal(read(t, f, "report.json"), &all))
		assert.False(t, all.Files[0].Present)
		var r struct{ Error struct{ Message string } }
		require.NoError(t, json.Unmarshal(all.Files[0].Report, &r))
		assert.Equal(t, refused.Error.Message, r.Error.Message)
		_, err = c.ReadAt(make([]byte, 1), 0)
		require.NoError(t, err, "who has it open still reads the rest")
		return nil
	})
	require.ErrorAs(t, err, new(*physmem.ReadError))

	out, _, err := conversion(report.MissingZero, t.TempDir())
	require.NoError(t, err)
	want, err := os.ReadFile(out)
	require.NoError(t, err)
	opt.Plan.Missing = report.MissingZero
	require.NoError(t, folder.With(t.Context(), source.File(in), opt, func(f *folder.Folder) error {
		assert.True(t, bytes.Equal(want, read(t, f, "memory.dmp")))
		return nil
	}))
}

// damagedKdump is a sample in which some pages can't be decoded.
func damagedKdump(t *testing.T) string {
	t.Helper()
	packed, err := os.Open(filepath.Join("..", "..", "testdata", "live-2cpu.kdump.gz"))
	require.NoError(t, err)
	defer packed.Close()
	z, err := gzip.NewReader(packed)
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	for i, at := 0, 0; ; i++ {
		next := bytes.Index(b[at:], []byte{0x78, 0x01}) // how QEMU's pages begin
		if next < 0 {
			break
		}
		at += next + 2
		if i%61 == 60 {
			copy(b[at:], "\xff\xff\xff\xff")
		}
	}
	path := filepath.Join(t.TempDir(), "damaged.kdump")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}
