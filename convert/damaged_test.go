package convert_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/binio"
	"windmp/internal/testheap"
	"windmp/physmem"
	"windmp/physmem/open"
)

// damagedKdump is a sample of which each of some pages' data is damaged: the file, and
// what the pages hold in the sound one.
func damagedKdump(t *testing.T, name string, every int) (path string, pages map[uint64][]byte) {
	t.Helper()
	file := testheap.Clone(t, gunzip(t, samplePath(name)))
	whole := filepath.Join(t.TempDir(), "whole.kdump")
	require.NoError(t, os.WriteFile(whole, file, 0o600))
	zlib := []byte{0x78, 0x01} // how QEMU's pages begin, at its level of compression
	for i, at := 0, 0; ; i++ {
		next := bytes.Index(file[at:], zlib)
		if next < 0 {
			break
		}
		at += next + len(zlib)
		if i%every == every-1 && at+8 < len(file) {
			copy(file[at:], "\xff\xff\xff\xff")
		}
	}
	path = filepath.Join(t.TempDir(), "damaged.kdump")
	require.NoError(t, os.WriteFile(path, file, 0o600))
	sound, err := open.File(t.Context(), whole, open.Options{})
	require.NoError(t, err)
	defer sound.Close()
	bad, err := open.File(t.Context(), path, open.Options{})
	require.NoError(t, err)
	defer bad.Close()
	pages = map[uint64][]byte{}
	for _, r := range bad.Ranges() {
		for pa := r.Start; pa < r.End(); pa += physmem.PageSize {
			page := make([]byte, physmem.PageSize)
			if _, err := bad.ReadAt(page, int64(pa)); err != nil {
				_, err := sound.ReadAt(page, int64(pa))
				require.NoError(t, err)
				pages[pa] = page
			}
		}
	}
	return path, pages
}

// TestDamagedPages: a page of a kdump-compressed dump that can't be decoded is missing
// like any other: refused, written as zeros or left out, and counted.
func TestDamagedPages(t *testing.T) {
	t.Parallel()
	for name, every := range map[string]int{"live-2cpu.kdump.gz": 61, "x86-live-2cpu-paging.kdump.gz": 43} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, damaged := damagedKdump(t, name, every)
			whole := unpack(t, samplePath(name))
			ctx, dir := context.Background(), t.TempDir()
			good, want := filepath.Join(dir, "good.dmp"), filepath.Join(dir, "out.dmp")
			_, err := convert.File(ctx, whole, good, convert.Options{})
			require.NoError(t, err)
			goodImage, err := open.File(t.Context(), good, open.Options{})
			require.NoError(t, err)
			defer goodImage.Close()
			listed := 0 // of the damaged pages
			for pa := range damaged {
				if len(goodImage.Missing(physmem.Range{Start: pa, Size: physmem.PageSize})) == 0 {
					listed++
				}
			}
			require.Positive(t, listed)

			r, err := convert.File(ctx, path, want, convert.Options{})
			var refused *finding.RefusedError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, finding.Missing.ID(), refused.Finding.ID)
			assert.Regexp(t, `^[\d.]+ KiB of memory in \d+ pages are damaged and count as missing; [\d.]+ [KM]iB of the guest's memory`, refused.Finding.Message)
			assert.Contains(t, ids(r), finding.DamagedPages.ID())
			assert.EqualValues(t, listed*physmem.PageSize, r.Memory.Missing)
			assert.NoFileExists(t, want)

			for _, mode := range []report.MissingMode{report.MissingZero, report.MissingDrop} {
				out := filepath.Join(dir, string(mode)+".dmp")
				opt := convert.Options{Plan: plan.Options{Missing: mode}}
				r, err := convert.File(ctx, path, out, opt)
				require.NoError(t, err)
				assert.Equal(t, "WARN", r.Verdict)
				assert.Contains(t, ids(r), finding.DamagedPages.ID())
				assert.EqualValues(t, listed*physmem.PageSize, r.Memory.Missing)
				checkDamaged(t, out, goodImage, damaged, mode)
				var stream bytes.Buffer
				_, err = convert.Stream(ctx, source.Named(path), &stream, opt)
				require.NoError(t, err)
				b, err := os.ReadFile(out)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(b, stream.Bytes()), "a stream is the same")
			}

			// A stream that has begun ends with the page that can't be decoded.
			var stream bytes.Buffer
			_, err = convert.Stream(ctx, source.Named(path), &stream, convert.Options{})
			require.Error(t, err)
			assert.Less(t, int64(stream.Len()), goodImage.FileSize())

			c := checkOf(t, path, inspect.CheckOptions{Level: inspect.CheckFull})
			assert.Equal(t, "FAIL", c.Verdict)
			assert.Contains(t, worseThanInfo(c), finding.Unreadable.ID())
		})
	}
}

// checkDamaged holds a dump against the sound one: the damaged pages are zeros, or not
// there; but for what was edited, all others are as they were.
func checkDamaged(t *testing.T, path string, good *physmem.Image, damaged map[uint64][]byte, mode report.MissingMode) {
	t.Helper()
	im, err := open.File(t.Context(), path, open.Options{})
	require.NoError(t, err)
	defer im.Close()
	a, b := make([]byte, physmem.PageSize), make([]byte, physmem.PageSize)
	for _, r := range good.Ranges() {
		for pa := r.Start; pa < r.End(); pa += physmem.PageSize {
			_, err := good.ReadAt(a, int64(pa))
			require.NoError(t, err)
			_, err = im.ReadAt(b, int64(pa))
			switch {
			case damaged[pa] == nil:
				require.NoError(t, err)
				require.Equal(t, a, b)
			case mode == report.MissingDrop:
				require.ErrorIs(t, err, physmem.ErrNotInImage)
			default:
				require.NoError(t, err)
				require.True(t, binio.IsZero(b))
			}
		}
	}
}
