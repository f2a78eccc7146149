package windump_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
	"windmp/winhdr"
	"windmp/winhdr/problem"
)

// run is a run of pages.
type run struct{ BasePage, PageCount uint64 }

// dmp lays out a Windows crash dump whose memory is patternAt.
type dmp struct {
	typ    winhdr.DumpType
	runs   []run // as in the header; the pages of a bitmap
	mutate func(h *header)
	bitmap func(h *winhdr.BitmapDump64)
	table  func(b []byte) // changes what ranges has written
	// loose leaves FirstPage right behind the bitmap.
	loose bool
	is32  bool // a dump of a 32-bit system; mutate is not called
}

// pages returns the memory of the runs in order.
func (d *dmp) pages() []byte {
	var b []byte
	for _, r := range d.runs {
		b = append(b, fixture.Pattern(r.BasePage*physmem.PageSize, r.PageCount*physmem.PageSize)...)
	}
	return b
}

// header is a dump header with a run table that need not be right.
type header struct {
	*winhdr.Header
	PhysicalMemory struct {
		NumberOfRuns  uint32
		NumberOfPages uint64
		Run           [42]physmem.Run
	}
}

// Encode is that of the header, with the table in it.
func (h *header) Encode() []byte {
	b := h.Header.Encode()
	put := func(name string, v uint64) {
		field, _ := h.Format().Header.Field(name)
		for i := range field.Size {
			b[field.Offset+i] = byte(v >> (8 * i))
		}
	}
	m := &h.PhysicalMemory
	put("NumberOfRuns", uint64(m.NumberOfRuns))
	put("NumberOfPages", m.NumberOfPages)
	for i, r := range &m.Run {
		put(fmt.Sprintf("Run[%d].BasePage", i), r.BasePage)
		put(fmt.Sprintf("Run[%d].PageCount", i), r.PageCount)
	}
	return b
}

func (d *dmp) header() []byte {
	format, build := winhdr.X64, uint32(19041)
	if d.is32 {
		format, build = winhdr.X86, 7601
	}
	decoded, err := format.Decode(make([]byte, format.Size()))
	if err != nil {
		panic(err)
	}
	h := &header{Header: decoded}
	h.Signature, h.ValidDump, h.MinorVersion = winhdr.SignaturePAGE, format.ValidDump, build
	h.MachineImageType, h.DumpType, h.NumberProcessors = format.Machine, d.typ, 1
	if d.typ == winhdr.DumpTypeFull {
		h.PhysicalMemory.NumberOfRuns = uint32(len(d.runs))
		for i, r := range d.runs {
			h.PhysicalMemory.Run[i] = physmem.Run(r)
			h.PhysicalMemory.NumberOfPages += r.PageCount
		}
	}
	if d.mutate != nil {
		d.mutate(h)
	}
	return h.Encode()
}

// bits returns the bitmap of the runs and the number of its set bits.
func (d *dmp) bits() (b []byte, size, set uint64) {
	for _, r := range d.runs {
		size = max(size, r.BasePage+r.PageCount)
	}
	b = make([]byte, (size+7)/8)
	for _, r := range d.runs {
		for p := r.BasePage; p < r.BasePage+r.PageCount; p++ {
			b[p/8] |= 1 << (p % 8)
			set++
		}
	}
	return b, size, set
}

// build returns the file.
func (d *dmp) build() []byte {
	file := d.header()
	bitmap, size, set := d.bits()
	behind := uint64(len(file))
	summary := winhdr.SummaryDumpSize64
	if d.is32 {
		summary = 0x20
	}
	switch d.typ {
	case winhdr.DumpTypeBitmapFull, winhdr.DumpTypeBitmapKernel:
		h := winhdr.BitmapDump64{Signature: winhdr.SignatureFDMP, ValidDump: winhdr.ValidDumpDUMP, TotalPresentPages: set, BitmapSize: size}
		h.FirstPage = behind + winhdr.BitmapDumpSize64 + uint64(len(bitmap))
		if !d.loose {
			h.FirstPage = (h.FirstPage + 0xfff) &^ 0xfff
		}
		first := h.FirstPage
		if d.bitmap != nil {
			d.bitmap(&h)
		}
		file = append(append(file, h.Encode()...), bitmap...)
		file = append(file, make([]byte, first-uint64(len(file)))...)
	case winhdr.DumpTypeSummary:
		h := winhdr.SummaryDump64{
			Signature: winhdr.SignatureSDMP, ValidDump: winhdr.ValidDumpDUMP,
			HeaderSize: uint32(behind) + uint32(summary+len(bitmap)),
			BitmapSize: uint32(size), SizeOfBitMap: uint32(size), Pages: uint32(set),
		}
		file = append(append(file, h.Encode()[:summary]...), bitmap...)
	case winhdr.DumpTypeLiveKernel, winhdr.DumpTypeLiveKernelUser, winhdr.DumpTypeLiveComplete:
		file = append(file, d.ranges(behind, set)...)
	default:
	}
	return append(file, d.pages()...)
}

// ranges is what stands behind the header of a dump that lists ranges, up to its first
// page: written from the description in docs/formats.md, number by number.
func (d *dmp) ranges(behind, set uint64) []byte {
	le := binary.LittleEndian
	table := make([]byte, 0x30)
	for _, r := range d.runs {
		table = le.AppendUint64(le.AppendUint64(table, r.BasePage), r.PageCount)
	}
	table = append(table, make([]byte, 16)...)
	if !d.loose {
		table = append(table, make([]byte, -len(table)&0xfff)...)
	}
	first := behind + uint64(len(table))
	copy(table, "\x40\x00\x00\x00RDMPDUMP")
	le.PutUint64(table[0x10:], first-behind-0x20)
	le.PutUint64(table[0x18:], first)
	if d.typ == winhdr.DumpTypeLiveComplete {
		le.PutUint32(table[0x20:], uint32(len(d.runs)))
		le.PutUint64(table[0x28:], set)
	} else {
		copy(table[0x20:], "nobody knows yet")
	}
	if d.table != nil {
		d.table(table)
	}
	return table
}

func (d *dmp) open(tb testing.TB) *physmem.Image {
	tb.Helper()
	m, err := physmemtest.Open(d.build())
	require.NoError(tb, err)
	return m
}

// someRuns has runs that begin and end in the middle of words and chunks of a
// bitmap, an adjacent one, and a whole chunk.
var someRuns = []run{{1, 0x9e}, {0x100, 3}, {0x103, 1}, {0x13f, 2}, {0x7ffe, 4}, {0x8010, 1}}

func TestDMP(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		d    dmp
		text string
	}{
		{dmp{typ: winhdr.DumpTypeFull, runs: someRuns}, "full Windows crash dump, 169 pages"},
		{dmp{typ: winhdr.DumpTypeBitmapFull, runs: someRuns}, "bitmap Windows crash dump, all memory, 169 pages"},
		{dmp{typ: winhdr.DumpTypeBitmapKernel, runs: someRuns, loose: true}, "bitmap Windows crash dump, kernel or active memory, 169 pages"},
		{dmp{typ: winhdr.DumpTypeSummary, runs: someRuns}, "summary Windows crash dump, kernel memory, 169 pages"},
		{dmp{typ: winhdr.DumpTypeFull, runs: someRuns, is32: true}, "32-bit full Windows crash dump, 169 pages"},
		{dmp{typ: winhdr.DumpTypeBitmapFull, runs: someRuns, is32: true}, "32-bit bitmap Windows crash dump, all memory, 169 pages"},
		{dmp{typ: winhdr.DumpTypeSummary, runs: someRuns, is32: true}, "32-bit summary Windows crash dump, kernel memory, 169 pages"},
		{dmp{typ: winhdr.DumpTypeLiveKernel, runs: someRuns}, "WinDbg's kernel memory dump (.dump /k), 169 pages"},
		{dmp{typ: winhdr.DumpTypeLiveKernelUser, runs: someRuns, loose: true}, "WinDbg's kernel and user memory dump (.dump /ka), 169 pages"},
		{dmp{typ: winhdr.DumpTypeLiveComplete, runs: someRuns}, "WinDbg's complete memory dump (.dump /f), 169 pages"},
		{dmp{typ: winhdr.DumpTypeLiveComplete, runs: someRuns, is32: true, loose: true}, "32-bit WinDbg's complete memory dump (.dump /f), 169 pages"},
	} {
		t.Run(c.text, func(t *testing.T) {
			t.Parallel()
			file := c.d.build()
			m, err := physmemtest.Open(file)
			require.NoError(t, err)
			assert.Equal(t, physmem.FormatDMP, m.Format())
			assert.Equal(t, c.text, m.Describe())
			assert.Equal(t, c.d.is32, m.Machine() == physmem.MachineX86)
			assert.Equal(t, c.d.header(), m.DumpHeader())
			assert.True(t, m.IsDump())
			assert.Nil(t, m.GuestNote())
			assert.Empty(t, m.CPUs())
			if strings.Contains(c.text, "WinDbg") {
				assert.Empty(t, fixture.Untried(t, m))
			} else {
				assert.Empty(t, m.Oddities())
			}
			view, placed := m.Recover([]physmem.Range{{Size: 0x1000}})
			assert.Same(t, m, view)
			assert.Empty(t, placed)
			require.NoError(t, physmemtest.Test(m, fixture.AsRanges(someRuns), fixture.PatternAt))
			for _, e := range slices.Collect(m.Extents(0)) {
				assert.Equal(t, fixture.PatternAt(e.Start+8), file[e.Offset+8])
			}
		})
	}
	core, err := physmemtest.Open(fixture.Sample(t, "live-2cpu.vmcore.gz"))
	require.NoError(t, err)
	assert.Nil(t, core.DumpHeader())
	assert.False(t, core.IsDump())
}

// TestDMPUnset: the engine takes a type that was never set for a full dump.
func TestDMPUnset(t *testing.T) {
	t.Parallel()
	d := dmp{typ: winhdr.DumpTypeFull, runs: someRuns, mutate: func(h *header) { h.DumpType = winhdr.DumpTypeUnset }}
	require.NoError(t, physmemtest.Test(d.open(t), fixture.AsRanges(someRuns), fixture.PatternAt))
}

func TestDMPOddRuns(t *testing.T) {
	t.Parallel()
	full := func(runs []run, mutate func(h *header)) dmp {
		return dmp{typ: winhdr.DumpTypeFull, runs: runs, mutate: mutate}
	}
	for name, c := range map[string]struct {
		d    dmp
		want []run
		odd  []string
	}{
		"any order, empty ones": {full([]run{{0x20, 2}, {9, 0}, {0x10, 2}}, nil), []run{{0x10, 2}, {0x20, 2}}, nil},
		"overlapping": {
			full([]run{{0x10, 4}, {0x12, 4}}, nil),
			[]run{{0x10, 6}},
			[]string{"conflict: several runs of the header have the same pages; the first run is believed (file offset 0x88): that at physical address 0x12000, at file offsets 0x4000 and 0x6000"},
		},
		"wrong sum": {
			full([]run{{1, 2}}, func(h *header) { h.PhysicalMemory.NumberOfPages = 9 }),
			[]run{{1, 2}},
			[]string{"count: the header counts 9 pages, its runs have 2 (file offset 0x88)"},
		},
		"wrapping": {
			full([]run{{1, 2}}, func(h *header) {
				h.PhysicalMemory.NumberOfRuns = 3
				h.PhysicalMemory.Run[1] = physmem.Run{BasePage: 5, PageCount: ^uint64(0)}
				h.PhysicalMemory.Run[2] = physmem.Run{BasePage: 7, PageCount: 1}
			}),
			[]run{{1, 2}},
			[]string{"bad-segment: run 1 of the header is above the 52 bits of physical memory; it and all behind it are left out (file offset 0x88): 0xffffffffffffffff pages from page 0x5"},
		},
		"too many": {
			full(make([]run, 42), func(h *header) {
				h.PhysicalMemory.NumberOfRuns = problem.Fill
				h.PhysicalMemory.Run[0] = physmem.Run{PageCount: 1}
				h.PhysicalMemory.NumberOfPages = 1
			}), nil,
			nil,
		},
		"truncated": {
			full([]run{{1, 2}}, func(h *header) {
				h.PhysicalMemory.Run[0].PageCount = 5
				h.PhysicalMemory.NumberOfPages = 5
			}),
			[]run{{1, 2}},
			[]string{"truncated: the file is cut: 12 of 28 KiB are missing (file offset 0x0): it ends at file offset 0x4000, its memory would at 0x7000"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := c.d.build()
			if name == "too many" {
				file = append(file, fixture.Pattern(0, 0x1000)...)
				c.want = []run{{0, 1}}
				c.odd = []string{"limit: the header claims 1162297680 runs of memory and has room for 42, which are used (file offset 0x88)"}
			}
			m, err := physmemtest.Open(file)
			require.NoError(t, err)
			var odd []string
			for _, o := range m.Oddities() {
				odd = append(odd, o.String())
			}
			assert.Equal(t, c.odd, odd)
			require.NoError(t, physmemtest.Test(m, fixture.AsRanges(c.want), fixture.PatternAt))
		})
	}
}

// TestDMPCut cuts files at many places: what is there is readable, what is
// missing is counted.
func TestDMPCut(t *testing.T) {
	t.Parallel()
	for _, typ := range []winhdr.DumpType{winhdr.DumpTypeFull, winhdr.DumpTypeBitmapFull, winhdr.DumpTypeSummary} {
		d := dmp{typ: typ, runs: []run{{1, 2}, {0x10, 3}}}
		file := d.build()
		first := len(file) - 5*physmem.PageSize
		for cut := 0; cut < len(file); cut += 0x7f3 {
			m, err := physmemtest.Open(file[:cut])
			if cut <= first || typ != winhdr.DumpTypeFull && cut < first+physmem.PageSize {
				require.Error(t, err, "cut at 0x%x", cut)
				continue
			}
			require.NoError(t, err)
			require.Len(t, m.Oddities(), 1)
			odd := m.Oddities()[0]
			assert.Equal(t, physmem.OddityTruncated, odd.Kind)
			assert.Contains(t, odd.Detail, fmt.Sprintf("it ends at file offset 0x%x, its memory would at 0x%x", cut, len(file)))
			require.NoError(t, physmemtest.Test(m, m.Ranges(), fixture.PatternAt))
		}
	}
}

func TestDMPBitmapRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mutate func(h *winhdr.BitmapDump64)
		text   string
	}{
		"signature": {func(h *winhdr.BitmapDump64) { h.Signature = winhdr.SignatureRDMP }, `bitmap header: Signature at file offset 0x2000: got 0x504d4452, want "FDMP" or "SDMP"`},
		"too large": {func(h *winhdr.BitmapDump64) { h.BitmapSize = 1<<36 + 1 }, "size of the bitmap at file offset 0x2030: got 0x1000000001 bits, want at most 0x1000000000"},
		"all bits":  {func(h *winhdr.BitmapDump64) { h.BitmapSize = ^uint64(0) }, "got 0xffffffffffffffff bits"},
		"past end":  {func(h *winhdr.BitmapDump64) { h.BitmapSize = 1 << 36 }, "the file ends at 0xd000, before the bitmap does"},
		"overlap":   {func(h *winhdr.BitmapDump64) { h.FirstPage = 0x2038 }, "FirstPage at file offset 0x2020: got 0x2038, want 0x203a or more"},
		"far away":  {func(h *winhdr.BitmapDump64) { h.FirstPage = ^uint64(0) }, "the file ends at 0xd000, before its first page at 0xffffffffffffffff"},
		"no bits":   {func(h *winhdr.BitmapDump64) { h.BitmapSize = 0 }, "before its first page"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := dmp{typ: winhdr.DumpTypeBitmapFull, runs: []run{{1, 10}}, bitmap: c.mutate}
			_, err := physmemtest.Open(d.build())
			var fe *physmem.FormatError
			require.ErrorAs(t, err, &fe)
			assert.Contains(t, err.Error(), c.text)
		})
	}
	d := dmp{typ: winhdr.DumpTypeBitmapFull, runs: []run{{1, 10}}, bitmap: func(h *winhdr.BitmapDump64) { h.TotalPresentPages = 7 }}
	m := d.open(t)
	require.Len(t, m.Oddities(), 1)
	assert.Equal(t, "count: the header counts 7 pages, the bitmap has 10 (file offset 0x2028)", m.Oddities()[0].String())
	require.NoError(t, physmemtest.Test(m, fixture.AsRanges(d.runs), fixture.PatternAt))
}

func TestDMPRefused(t *testing.T) {
	t.Parallel()
	typed := func(typ winhdr.DumpType) []byte {
		d := dmp{typ: typ}
		return d.build()
	}
	for text, file := range map[string][]byte{
		"a Windows triage dump":        typed(winhdr.DumpTypeTriage),
		"header of a Windows crash":    typed(winhdr.DumpTypeHeader),
		"a Windows triage dump (small": (&dmp{typ: winhdr.DumpTypeTriage, is32: true}).build(),
	} {
		_, err := physmemtest.Open(file)
		var ue *physmem.UnsupportedError
		require.ErrorAs(t, err, &ue, text)
		assert.Contains(t, err.Error(), text)
		assert.Equal(t, file[:len(ue.DumpHeader)], ue.DumpHeader)
		if binary.LittleEndian.Uint32(file[4:]) == winhdr.ValidDumpDUMP {
			assert.Len(t, ue.DumpHeader, 0x1000)
		} else {
			assert.Len(t, ue.DumpHeader, 0x2000)
		}
	}
	for text, file := range map[string][]byte{
		"DumpType at file offset 0xf98: got 0x7":       typed(winhdr.DumpTypeAutomatic),
		"none of them says what memory the file holds": typed(winhdr.DumpTypeFull),
		"the file ends at 0x2000, before its first":    (&dmp{typ: winhdr.DumpTypeFull, runs: []run{{1, 2}}}).build()[:0x2000],
		"dump header at file offset 0x0: got a file":   []byte("PAGEDU64"),
		"want 0x1000 bytes of header":                  []byte("PAGEDUMP"),
		"DumpType at file offset 0xf88: got 0x7":       (&dmp{typ: winhdr.DumpTypeAutomatic, is32: true}).build(),
	} {
		_, err := physmemtest.Open(file)
		var fe *physmem.FormatError
		require.ErrorAs(t, err, &fe, text)
		assert.Contains(t, err.Error(), text)
	}
	_, err := physmemtest.Open([]byte("PAGEDU65"))
	require.ErrorIs(t, err, physmem.ErrUnknownFormat)
}

// TestDMPSamples opens what QEMU itself wrote as win-dmp.
func TestDMPSamples(t *testing.T) {
	t.Parallel()
	for win, core := range map[string]string{
		"live-2cpu.win-dmp.gz":     "live-2cpu.vmcore.gz",
		"odd-runs-2cpu.win-dmp.gz": "odd-runs-2cpu.vmcore.gz",
	} {
		m, err := physmemtest.Open(fixture.Sample(t, win))
		require.NoError(t, err)
		assert.Empty(t, m.Oddities())
		assert.Equal(t, "PAGEDU64", string(m.DumpHeader()[:8]))
		truth, err := physmemtest.Open(fixture.Sample(t, core))
		require.NoError(t, err)
		assert.Equal(t, fixture.HeaderRuns(t, truth), m.Ranges())
		// All pages but those that QEMU writes contexts to are the same.
		differ := 0
		for _, r := range m.Ranges() {
			a, b := make([]byte, r.Size), make([]byte, r.Size)
			_, err := m.ReadAt(a, int64(r.Start))
			require.NoError(t, err)
			_, err = truth.ReadAt(b, int64(r.Start))
			require.NoError(t, err)
			for i := 0; i < len(a); i += physmem.PageSize {
				if !bytes.Equal(a[i:][:physmem.PageSize], b[i:][:physmem.PageSize]) {
					differ++
				}
			}
		}
		assert.LessOrEqual(t, differ, 4)
	}
}
