package convert

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/write"
	"windmp/internal/binio"
	"windmp/internal/guestsim"
	"windmp/internal/qemutest"
	"windmp/internal/testheap"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// badSectors is a file of which a stretch can't be read.
type badSectors struct {
	*bytes.Reader
	from, to int64
}

func (b *badSectors) ReadAt(p []byte, off int64) (int, error) {
	if off >= b.to || off+int64(len(p)) <= b.from {
		return b.Reader.ReadAt(p, off)
	}
	n := max(0, b.from-off)
	_, _ = b.Reader.ReadAt(p[:n], off)
	return int(n), syscall.EIO
}

// TestBadSectors: of a file on a disk that fails nothing is written, unless gaps are
// accepted: then all that can be read is, and what can't be is counted.
func TestBadSectors(t *testing.T) {
	t.Parallel()
	core, err := os.ReadFile(filepath.Join("..", "testdata", "guest-bsod.vmcore"))
	require.NoError(t, err)
	dumpOf := func(from, to int64, missing report.MissingMode) ([]byte, *report.Report, error) {
		f := &badSectors{bytes.NewReader(core), from, to}
		r := report.New("", "", false)
		var out bytes.Buffer
		opt := Options{Plan: plan.Options{Missing: missing}, Write: write.Options{NoSync: true, Workers: 1}}
		err := run(t.Context(), r, source.Reader("x", f, f.Size()), &opt, output{write: func(p *plan.Plan) error {
			out.Reset()
			return Write(t.Context(), p, &out, opt.Write)
		}})
		return out.Bytes(), r, err
	}
	good, _, err := dumpOf(0, 0, report.MissingZero)
	require.NoError(t, err)
	const page, bad = 0x27a8 + 0x300000, 100 // where the memory of the sample begins
	_, _, err = dumpOf(page, page+bad, report.MissingFail)
	require.ErrorIs(t, err, syscall.EIO)

	got, r, err := dumpOf(page, page+bad, report.MissingZero)
	require.NoError(t, err)
	assert.Equal(t, "WARN", finding.Verdict(r.Findings))
	i := 0
	for i < len(r.Findings) && r.Findings[i].ID != finding.DamagedPages.ID() {
		i++
	}
	require.Less(t, i, len(r.Findings))
	assert.Equal(t, "4.0 KiB of memory in 1 page can't be read from the disk and count as missing", r.Findings[i].Message)
	assert.Equal(t, finding.AdviceOtherCopy, r.Findings[i].Advice)
	i = slices.IndexFunc(r.Findings, func(f finding.Finding) bool { return f.ID == finding.MissingZeroed.ID() })
	require.NotEqual(t, -1, i)
	assert.Equal(t, "Structures there read as zeros in WinDbg. Take another copy of the file to have them.", r.Findings[i].Advice)
	require.Len(t, got, len(good))
	differ := 0
	for at := 0; at < len(good); at += physmem.PageSize {
		if !bytes.Equal(good[at:at+physmem.PageSize], got[at:at+physmem.PageSize]) {
			differ++
			assert.Equal(t, make([]byte, physmem.PageSize), got[at:at+physmem.PageSize])
		}
	}
	assert.Equal(t, 1, differ)
}

// TestBadFirstPage: the header of a 32-bit dump is a page. What makes a plan of one reads no
// second, the first of memory.
func TestBadFirstPage(t *testing.T) {
	t.Parallel()
	core := qemutest.Unpacked(t, "x86-bsod-2cpu.vmcore.gz")
	good, err := physmemtest.Open(core)
	require.NoError(t, err)
	const first = 0x1000 // of memory, physical address
	at, ok := good.FileOffset(first)
	require.True(t, ok)
	f := &badSectors{bytes.NewReader(core), at, at + physmem.PageSize}
	im, err := open.Source(t.Context(), physmem.NewSource("", f, f.Size()), open.Options{})
	require.NoError(t, err)
	g, err := guest.Find(t.Context(), im, guest.Options{})
	require.NoError(t, err)
	p, err := Prepare(t.Context(), report.New("", "", true), g, &Options{})
	require.NoError(t, err)
	assert.EqualValues(t, first, slices.Collect(p.Ranges())[0].Start)
}

// TestBadSectorsStream: so it is for a stream, if the disk fails before its first byte; it
// ends where the disk fails behind that.
func TestBadSectorsStream(t *testing.T) {
	t.Parallel()
	core, err := os.ReadFile(filepath.Join("..", "testdata", "guest-bsod.vmcore"))
	require.NoError(t, err)
	const memory = 0x27a8 // where it begins in the sample; at the first address is KUSER_SHARED_DATA
	for at, fails := range map[int64]bool{0x29e000: false, 0x300000: true} {
		f := &badSectors{bytes.NewReader(core), memory + at, memory + at + 100}
		begun := 0
		opt := Options{Plan: plan.Options{Missing: report.MissingZero}, Write: write.Options{NoSync: true, Workers: 1}}
		r := report.New("", "", false)
		err := run(t.Context(), r, source.Reader("x", f, f.Size()), &opt, output{once: true, write: func(p *plan.Plan) error {
			begun++
			return Write(t.Context(), p, io.Discard, opt.Write)
		}})
		assert.Equal(t, 1, begun)
		if fails {
			require.ErrorIs(t, err, syscall.EIO)
			continue
		}
		require.NoError(t, err)
		assert.True(t, slices.ContainsFunc(r.Findings, func(f finding.Finding) bool { return f.ID == finding.DamagedPages.ID() }))
	}
}

// TestBadSectorAtStart: raw memory whose first bytes can't be read is raw memory all the
// same. Windows does not use its first page, without which the dump is as good.
func TestBadSectorAtStart(t *testing.T) {
	t.Parallel()
	core, err := os.ReadFile(filepath.Join("..", "testdata", "guest-bsod.vmcore"))
	require.NoError(t, err)
	memory := core[0x27a8:][:4<<20] // all of it
	dumpOf := func(to int64, missing report.MissingMode) ([]byte, error) {
		f := &badSectors{bytes.NewReader(memory), 0, to}
		var out bytes.Buffer
		opt := Options{Plan: plan.Options{Missing: missing}, Write: write.Options{NoSync: true, Workers: 1}}
		opt.Source.Input.Format = physmem.FormatRaw
		err := run(t.Context(), report.New("", "", false), source.Reader("x", f, f.Size()), &opt, output{write: func(p *plan.Plan) error {
			out.Reset()
			return Write(t.Context(), p, &out, opt.Write)
		}})
		return out.Bytes(), err
	}
	good, err := dumpOf(0, report.MissingFail)
	require.NoError(t, err)
	_, err = dumpOf(100, report.MissingFail)
	require.ErrorIs(t, err, syscall.EIO, "Windows was looked for there, too")
	for _, missing := range []report.MissingMode{report.MissingZero, report.MissingDrop} {
		got, err := dumpOf(100, missing)
		require.NoError(t, err, missing)
		assert.True(t, bytes.Equal(good, got), missing)
	}
}

// TestBadSectorsAndDamage: of a file that has pages that can't be decoded, on a disk that
// fails at others, all others are converted.
func TestBadSectorsAndDamage(t *testing.T) {
	t.Parallel()
	file, err := testheap.File(t, filepath.Join("..", "testdata", "live-2cpu.kdump.gz"))
	require.NoError(t, err)
	file = testheap.Clone(t, file)
	dumpOf := func(from, to int64, missing report.MissingMode, once bool) ([]byte, *report.Report, error) {
		f := &badSectors{bytes.NewReader(file), from, to}
		r := report.New("", "", false)
		var out bytes.Buffer
		opt := Options{Plan: plan.Options{Missing: missing}, Write: write.Options{NoSync: true, Workers: 1}}
		err := run(t.Context(), r, source.Reader("x", f, f.Size()), &opt, output{once: once, write: func(p *plan.Plan) error {
			out.Reset()
			return Write(t.Context(), p, &out, opt.Write)
		}})
		return out.Bytes(), r, err
	}
	good, _, err := dumpOf(0, 0, report.MissingFail, false)
	require.NoError(t, err)
	const damaged, bad = 0x44cf2, 0x44d22 // in the data of two pages without which the guest is found
	require.Equal(t, []byte{0x78, 0x01}, file[damaged-2:damaged], "as QEMU's pages begin")
	copy(file[damaged:], "\xff\xff\xff\xff")
	_, _, err = dumpOf(bad, bad+4, report.MissingFail, false)
	require.Error(t, err)
	for _, once := range []bool{false, true} {
		got, r, err := dumpOf(bad, bad+4, report.MissingZero, once)
		require.NoError(t, err)
		var said []string
		for _, f := range r.Findings {
			if f.ID == finding.DamagedPages.ID() {
				said = append(said, f.Message)
			}
		}
		assert.Equal(t, []string{"4.0 KiB of memory in 1 page can't be read from the disk and count as missing", "4.0 KiB of memory in 1 page are damaged and count as missing"}, said)
		require.Len(t, got, len(good))
		differ := 0
		for at := 0; at < len(good); at += physmem.PageSize {
			if !bytes.Equal(good[at:at+physmem.PageSize], got[at:at+physmem.PageSize]) {
				differ++
				assert.True(t, binio.IsZero(got[at:at+physmem.PageSize]))
			}
		}
		assert.Equal(t, 2, differ)
	}
}

// TestBadSectorsAndHoles: the holes of raw memory are found without what a disk does not
// give, which is missing where the guest lists it.
func TestBadSectorsAndHoles(t *testing.T) {
	t.Parallel()
	ram := []guestsim.Range{{Size: 1 << 20}, {Start: 16 << 20, Size: 1 << 20}}
	hole := physmem.Span(ram[0].End(), ram[1].Start)
	g := guestsim.New(guestsim.Options{RAM: ram, Runs: []guestsim.Range{{Start: physmem.PageSize, Size: ram[0].Size - physmem.PageSize}, ram[1]}, CPUs: 2})
	var file []byte
	for _, r := range ram {
		file = append(file, g.ReadPhys(r.Start, int(r.Size))...)
	}
	dumpOf := func(at int64, holes ...physmem.Range) ([]byte, *report.Report) {
		f := &badSectors{bytes.NewReader(file), at, at + 100}
		r := report.New("", "", false)
		var out bytes.Buffer
		opt := Options{Plan: plan.Options{Missing: report.MissingZero}, Write: write.Options{NoSync: true, Workers: 1}}
		opt.Source.Input = open.Options{Format: physmem.FormatRaw, Holes: holes}
		require.NoError(t, run(t.Context(), r, source.Reader("x", f, f.Size()), &opt, output{write: func(p *plan.Plan) error {
			out.Reset()
			return Write(t.Context(), p, &out, opt.Write)
		}}))
		return out.Bytes(), r
	}
	// Without the first, which has a page table, the guest is found only with the hole.
	for _, page := range []uint64{0x4000, ram[1].End() - physmem.PageSize} {
		at := int64(page)
		if page >= ram[1].Start {
			at -= int64(hole.Size)
		}
		want, _ := dumpOf(at, hole)
		got, r := dumpOf(at)
		assert.True(t, bytes.Equal(want, got), page)
		assert.EqualValues(t, physmem.PageSize, r.Memory.Missing)
		assert.True(t, slices.ContainsFunc(r.Findings, func(f finding.Finding) bool { return f.ID == finding.RawHoleListed.ID() }), page)
	}
}

// TestBadSectorAndListedHole: so are those that the table of a guest that was found in one
// piece of memory has.
func TestBadSectorAndListedHole(t *testing.T) {
	t.Parallel()
	low, high := guestsim.Range{Size: 16 << 20}, guestsim.Range{Start: 4 << 30, Size: 1 << 20}
	g := guestsim.New(guestsim.Options{CPUs: 2, RAM: []guestsim.Range{low, high}, Runs: []guestsim.Range{
		{Start: physmem.PageSize, Size: 0x9e000}, {Start: 1 << 20, Size: 14 << 20}, high,
	}})
	file := slices.Concat(g.ReadPhys(low.Start, int(low.Size)), g.ReadPhys(high.Start, int(high.Size)))
	f := &badSectors{bytes.NewReader(file), 0, 100}
	im, err := open.Source(t.Context(), physmem.NewSource("", f, f.Size()), open.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	im, err = im.Readable(t.Context())
	require.NoError(t, err)
	im.TryAgain()
	got, err := guest.Find(t.Context(), im, guest.Options{DTB: g.DTB})
	require.NoError(t, err)
	assert.Equal(t, []physmem.Range{physmem.Range(low), physmem.Range(high)}, got.Image().Laid())
	assert.Equal(t, []physmem.Range{{Size: physmem.PageSize}}, got.Image().Missing(physmem.Range(low)))
}
