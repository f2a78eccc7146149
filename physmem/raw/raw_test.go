package raw_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

func openRaw(file []byte, holes ...physmem.Range) (*physmem.Image, error) {
	return physmemtest.OpenReader(bytes.NewReader(file), int64(len(file)), open.Options{Format: physmem.FormatRaw, Holes: holes})
}

func TestRaw(t *testing.T) {
	t.Parallel()
	type ranges = []physmem.Range
	for _, tc := range []struct {
		name  string
		size  uint64
		holes ranges
		want  ranges
		text  string
	}{
		{"no hole", 0x5000, nil, ranges{{Start: 0, Size: 0x5000}}, "raw memory of 20 KiB"},
		{"part of a page", 0x123, nil, ranges{{Start: 0, Size: 0x123}}, "raw memory of 291 B"},
		{
			"a hole", 0x5000,
			ranges{{Start: 0x2000, Size: 0x1000}},
			ranges{{Start: 0, Size: 0x2000}, {Start: 0x3000, Size: 0x3000}},
			"raw memory of 20 KiB, without [0x2000, 0x3000)",
		},
		{
			"two, not in order", 0x10000,
			ranges{{Start: 0x100000000, Size: 0x8000}, {Start: 0x1000, Size: 0xffff1000}, {Start: 0x100009000, Size: 0x1000}},
			ranges{{Start: 0, Size: 0x1000}, {Start: 0xffff2000, Size: 0xe000}, {Start: 0x100008000, Size: 0x1000}},
			"raw memory of 64 KiB, without [0x1000, 0xffff2000), [0x100000000, 0x100008000)",
		},
		{"a hole at 0", 0x2000, ranges{{Start: 0, Size: 0x100000}}, ranges{{Start: 0x100000, Size: 0x2000}}, "raw memory of 8.0 KiB, without [0x0, 0x100000)"},
		{"a hole at the end", 0x2000, ranges{{Start: 0x2000, Size: 0x1000}}, ranges{{Start: 0, Size: 0x2000}}, "raw memory of 8.0 KiB"},
		{"a hole behind the end", 0x2000, ranges{{Start: 0xc0000000, Size: 0x40000000}}, ranges{{Start: 0, Size: 0x2000}}, "raw memory of 8.0 KiB"},
		{"adjacent holes", 0x2000, ranges{{Start: 0x1000, Size: 0x1000}, {Start: 0x2000, Size: 0x1000}}, ranges{{Start: 0, Size: 0x1000}, {Start: 0x3000, Size: 0x1000}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var file []byte
			for _, r := range tc.want {
				file = append(file, fixture.Pattern(r.Start, r.Size)...)
			}
			require.Len(t, file, int(tc.size))
			m, err := openRaw(file, tc.holes...)
			require.NoError(t, err)
			assert.Equal(t, physmem.FormatRaw, m.Format())
			assert.Empty(t, m.CPUs())
			assert.Empty(t, m.Oddities())
			assert.Nil(t, m.GuestNote())
			if tc.text != "" {
				assert.Equal(t, tc.text, m.Describe())
			}
			require.NoError(t, physmemtest.Test(m, tc.want, fixture.PatternAt))
		})
	}
}

func TestRawSample(t *testing.T) {
	t.Parallel()
	truth, err := physmemtest.Open(fixture.Sample(t, "live-2cpu.vmcore.gz"))
	require.NoError(t, err)
	file, holes := coretest.Raw(t, truth)
	m, err := openRaw(file, holes...)
	require.NoError(t, err)
	fixture.AssertSameMemory(t, truth, m)
}

// TestRawIsNeverGuessed: without the option no file is raw memory.
func TestRawIsNeverGuessed(t *testing.T) {
	t.Parallel()
	for _, file := range [][]byte{make([]byte, 0x2000), fixture.Pattern(0, 0x2000)} {
		_, err := physmemtest.Open(file)
		require.ErrorIs(t, err, physmem.ErrUnknownFormat)
	}
}

// TestRawForced: a file of another kind is read if asked for, and it is said.
func TestRawForced(t *testing.T) {
	t.Parallel()
	for head, what := range map[string]string{
		"\x7fELF\x02\x01":      "an ELF file",
		"PAGEDU64":             "a Windows crash dump",
		"KDUMP   ":             "a kdump-compressed dump",
		"\x28\xb5\x2f\xfd":     "zstd-compressed data",
		"\xfd7zXZ\x00":         "xz-compressed data",
		"PK\x03\x04":           "a zip archive",
		"MZ\x90\x00\x03\x00":   "",
		"\x53\xff\x00\xf0\x53": "", // the vectors of a BIOS
	} {
		m, err := openRaw(append([]byte(head), make([]byte, 0x1000)...))
		require.NoError(t, err)
		if what == "" {
			assert.Empty(t, m.Oddities())
			continue
		}
		require.Equal(t, []physmem.OddityKind{physmem.OddityForced}, fixture.Kinds(m))
		assert.Contains(t, m.Oddities()[0].String(), "forced: the file begins like "+what)
	}
}

func TestRawErrors(t *testing.T) {
	t.Parallel()
	_, err := openRaw(nil)
	require.ErrorIs(t, err, physmem.ErrUnknownFormat)
	assert.Contains(t, err.Error(), "an empty file")

	broken := errors.New("broken")
	_, err = physmemtest.OpenReader(failing{broken}, 0x1000, open.Options{Format: physmem.FormatRaw})
	require.ErrorIs(t, err, broken)
	var read *physmem.ReadError
	require.ErrorAs(t, err, &read)

	_, err = openRaw(make([]byte, 0x2000), physmem.Range{Start: 0x1000, Size: 1<<52 - 0x1000})
	var format *physmem.FormatError
	require.ErrorAs(t, err, &format)
	assert.Equal(t, physmem.FormatRaw, format.Format)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	raw := func(holes ...physmem.Range) open.Options {
		return open.Options{Format: physmem.FormatRaw, Holes: holes}
	}
	for _, tc := range []struct {
		opt  open.Options
		want string
	}{
		{open.Options{Format: "vmem"}, `format: "vmem" is not one of elf, dmp, kdump, `},
		{open.Options{Holes: []physmem.Range{{Start: 0x1000, Size: 0x1000}}}, "holes: only raw memory has holes that are given; its format is raw"},
		{open.Options{Format: physmem.FormatELF, Holes: make([]physmem.Range, 1)}, "holes: only raw memory"},
		{raw(physmem.Range{Start: 0x1000}), "holes: 0x0 bytes from 0x1000 are no range of physical memory"},
		{raw(physmem.Range{Start: 1 << 63, Size: 1 << 63}), "are no range of physical memory"},
		{raw(physmem.Range{Start: 1 << 52, Size: 0x1000}), "are no range of physical memory"},
		{raw(physmem.Range{Start: 0x1000, Size: 0xfff}), "holes: [0x1000, 0x1fff) does not begin and end at a page"},
		{raw(physmem.Range{Start: 0x3000, Size: 0x2000}, physmem.Range{Start: 0x2000, Size: 0x2000}), "holes: [0x2000, 0x4000) and [0x3000, 0x5000) overlap"},
		{raw(make([]physmem.Range, 2000)...), "holes: 2000 of them, at most 1024"},
	} {
		_, err := physmemtest.OpenReader(bytes.NewReader(make([]byte, 0x1000)), 0x1000, tc.opt)
		var bad *physmem.OptionError
		require.ErrorAs(t, err, &bad)
		assert.Contains(t, err.Error(), tc.want)
	}
	require.NoError(t, raw(physmem.Range{Start: 0xc0000000, Size: 0x40000000}).Validate())
}

// TestNamedFormat: a format that is named is the only one tried.
func TestNamedFormat(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "core")
	require.NoError(t, os.WriteFile(path, fixture.Sample(t, "live-2cpu.vmcore.gz"), 0o600))
	m, err := open.File(t.Context(), path, open.Options{Format: physmem.FormatELF})
	require.NoError(t, err)
	assert.Equal(t, physmem.FormatELF, m.Format())
	_, err = m.WithHoles(nil)
	var bad *physmem.OptionError
	require.ErrorAs(t, err, &bad)
	require.NoError(t, m.Close())

	_, err = open.File(t.Context(), path, open.Options{Format: physmem.FormatDMP})
	var unknown *physmem.UnknownFormatError
	require.ErrorAs(t, err, &unknown)
	require.Len(t, unknown.Tried, 1)
	assert.Equal(t, physmem.FormatDMP, unknown.Tried[0].Format)

	m, err = open.File(t.Context(), path, open.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	assert.Equal(t, []physmem.OddityKind{physmem.OddityForced}, fixture.Kinds(m))
	require.NoError(t, m.Close())
}

func TestWithHoles(t *testing.T) {
	t.Parallel()
	m, err := openRaw(append(fixture.Pattern(0, 0x2000), fixture.Pattern(0x100000000, 0x1000)...))
	require.NoError(t, err)
	hole := physmem.Range{Start: 0x2000, Size: 0x100000000 - 0x2000}
	w, err := m.WithHoles([]physmem.Range{hole})
	require.NoError(t, err)
	require.NoError(t, physmemtest.Test(w, []physmem.Range{{Size: 0x2000}, {Start: 0x100000000, Size: 0x1000}}, fixture.PatternAt))
	assert.Equal(t, []physmem.Range{{Size: 0x3000}}, m.Ranges(), "m is as it was")
	_, err = m.WithHoles([]physmem.Range{{Start: 1, Size: 1}})
	var bad *physmem.OptionError
	require.ErrorAs(t, err, &bad)
}

// FuzzRaw lays memory around any holes: all of the file is there, in order,
// and nothing of it in a hole.
func FuzzRaw(f *testing.F) {
	f.Add(fixture.Pattern(0, 0x123), []byte{1, 2, 9, 1})
	f.Add(fixture.Pattern(0, 0x3000), []byte{0, 3, 1, 1, 200, 255})
	f.Fuzz(func(t *testing.T, file, places []byte) {
		var holes []physmem.Range
		at := uint64(0)
		for i := 0; i+1 < min(len(places), 64); i += 2 {
			at += uint64(places[i]) * physmem.PageSize
			h := physmem.Range{Start: at, Size: uint64(places[i+1]) * physmem.PageSize}
			at += h.Size
			holes = append(holes, h)
		}
		m, err := openRaw(file, holes...)
		if err != nil {
			require.Nil(t, m)
			return
		}
		fixture.CheckImage(t, m, file)
		require.True(t, bytes.Equal(file, bytes.Join(coretest.Memory(t, m), nil)))
		for _, h := range holes {
			require.Equal(t, []physmem.Range{h}, united(m.Missing(h)))
		}
	})
}

// united joins ranges that touch.
func united(list []physmem.Range) []physmem.Range {
	var out []physmem.Range
	for _, r := range list {
		if n := len(out); n > 0 && out[n-1].End() == r.Start {
			out[n-1].Size += r.Size
			continue
		}
		out = append(out, r)
	}
	return out
}

// failing is a file that cannot be read.
type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }
