package kdump_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// mixed gives neighbouring pages different compression.
func mixed(page uint64) uint32 {
	return []uint32{zlibPage, lzoPage, rawPage, snappyPage, zstdPage, zlibPage, lzoPage}[page%7]
}

func TestKdump(t *testing.T) {
	t.Parallel()
	guest := fixture.NewNote("VMCOREINFO", 0, bytes.Repeat([]byte("PAGEDU64"), 0x400))
	for version := uint32(1); version <= 6; version++ {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) {
			t.Parallel()
			k := kdump{version: version, runs: someRuns, codec: mixed, notes: append(fixture.CPUNotes(2), guest), info: guest.Desc}
			file := k.build()
			m, err := physmemtest.Open(file)
			require.NoError(t, err)
			assert.Equal(t, physmem.FormatKdump, m.Format())
			assert.Empty(t, m.Oddities())
			assert.Empty(t, slices.Collect(m.Extents(0)))
			assert.Nil(t, m.DumpHeader())
			require.NoError(t, physmemtest.Test(m, fixture.AsRanges(someRuns), repeatAt))
			switch {
			case version >= 4:
				assert.Equal(t, "kdump-compressed dump of QEMU (zlib, lzo, snappy, zstd), 169 pages, 2 CPUs", m.Describe())
				require.Len(t, m.CPUs(), 2)
				assert.Equal(t, fixture.SeedOf(1)+203, physmem.X86Of(m.CPUs()[1]).CR3)
			default:
				assert.Equal(t, "kdump-compressed dump (zlib, lzo, snappy, zstd), 169 pages, 0 CPUs", m.Describe())
				assert.Empty(t, m.CPUs())
			}
			if version < 3 {
				assert.Nil(t, m.GuestNote())
				return
			}
			require.NotNil(t, m.GuestNote())
			assert.Equal(t, guest.Desc, m.GuestNote().Desc)
			assert.Equal(t, guest.Desc, file[m.GuestNote().Offset:][:len(guest.Desc)])
		})
	}
}

// TestKdumpCodecs uses one compression at a time, with a page of zeros that is
// like others and with one that all share.
func TestKdumpCodecs(t *testing.T) {
	t.Parallel()
	for _, flags := range []uint32{rawPage, zlibPage, lzoPage, snappyPage, zstdPage} {
		for _, noZero := range []bool{false, true} {
			k := kdump{version: 6, runs: []run{{3, 60}}, codec: func(uint64) uint32 { return flags }, noZero: noZero}
			require.NoError(t, physmemtest.Test(k.open(t), fixture.AsRanges(k.runs), repeatAt), "flags 0x%x", flags)
		}
	}
}

// TestKdumpBlocks: a block, which is a page, may have 64 KiB, as QEMU writes for Arm.
func TestKdumpBlocks(t *testing.T) {
	t.Parallel()
	k := kdump{
		version: 6, block: 0x10000, runs: []run{{0x4000, 5}, {0x4006, 2}}, notes: fixture.CPUNotes(1), noZero: true,
		codec: func(page uint64) uint32 { return []uint32{zlibPage, rawPage, snappyPage, zstdPage}[page%4] },
	}
	want := []physmem.Range{physmem.Span(0x40000000, 0x40050000), physmem.Span(0x40060000, 0x40080000)}
	file := k.build()
	m, err := physmemtest.Open(file)
	require.NoError(t, err)
	assert.Empty(t, m.Oddities())
	assert.Len(t, m.CPUs(), 1)
	require.NoError(t, physmemtest.Test(m, want, repeatAt))

	// Without the end of the data its last pages are missing, 64 KiB each.
	m, err = physmemtest.Open(file[:len(file)-0x10])
	require.NoError(t, err)
	require.Len(t, m.Oddities(), 1)
	assert.Contains(t, m.Oddities()[0].Text, "64 of 448 KiB of memory are missing")
	want[1].Size -= 0x10000
	require.NoError(t, physmemtest.Test(m, want, repeatAt))

	// So it is where a page can't be decompressed.
	bad := k
	bad.mutate = func(f []byte, at kdumpLayout) { clear(f[at.data+0x10:][:0x10]) }
	m, err = physmemtest.Open(bad.build())
	require.NoError(t, err)
	sound, err := m.Sound(t.Context())
	require.NoError(t, err)
	assert.Equal(t, physmem.Span(0x40010000, 0x40050000), sound.Ranges()[0])
}

// TestKdumpFlattened: records in any order and of any size are the file, and of
// several that write the same bytes the last one counts.
func TestKdumpFlattened(t *testing.T) {
	t.Parallel()
	guest := fixture.NewNote("VMCOREINFO", 0, bytes.Repeat([]byte("PAGEDU64"), 0x400))
	k := kdump{version: 6, runs: someRuns, codec: mixed, notes: append(fixture.CPUNotes(2), guest)}
	file := k.build()
	shuffled := func(each int) []piece {
		list := pieces(file, each)
		random := rand.New(rand.NewPCG(1, uint64(each)))
		random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		return list
	}
	garbage := bytes.Repeat([]byte{0xee}, len(file))
	var holes []piece // as QEMU leaves them behind the header and the sub header
	for _, p := range pieces(file, 512) {
		if !bytes.Equal(p.data, make([]byte, len(p.data))) {
			holes = append(holes, p)
		}
	}
	for name, list := range map[string][]piece{
		"one record":      pieces(file, len(file)),
		"in order":        pieces(file, 0x4000),
		"shuffled":        shuffled(0x3001),
		"small, shuffled": shuffled(37),
		"holes":           append(holes, piece{len(file) - 1, file[len(file)-1:]}),
		"rewritten":       append([]piece{{0, garbage}}, shuffled(0x1003)...),
		"parts rewritten": append(append(pieces(garbage, 0x777), shuffled(0x2001)...), piece{0x1000, file[0x1000:0x1800]}, piece{5, nil}),
		"same twice":      append(shuffled(0x999), shuffled(0x777)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flat := flatten(list)
			m, err := physmemtest.Open(flat)
			require.NoError(t, err)
			assert.Empty(t, m.Oddities())
			assert.Equal(t, "kdump-compressed dump of QEMU (zlib, lzo, snappy, zstd, flattened), 169 pages, 2 CPUs", m.Describe())
			assert.Equal(t, guest.Desc, m.GuestNote().Desc)
			// Offsets are those of the flattened file.
			assert.Equal(t, guest.Desc[0], flat[m.GuestNote().Offset])
			assert.Positive(t, m.CPUs()[1].NoteOffset)
			require.NoError(t, physmemtest.Test(m, fixture.AsRanges(someRuns), repeatAt))
			require.NoError(t, physmemtest.Grows(flat))
		})
	}
}

func TestKdumpRefused(t *testing.T) {
	t.Parallel()
	put32 := func(off int, v uint32) func([]byte, kdumpLayout) {
		return func(f []byte, _ kdumpLayout) { binary.LittleEndian.PutUint32(f[off:], v) }
	}
	machine := func(name string) func([]byte, kdumpLayout) {
		return func(f []byte, _ kdumpLayout) { copy(f[0x110:], name+"\x00") }
	}
	for text, c := range map[string]struct {
		mutate      func([]byte, kdumpLayout)
		unsupported bool
	}{
		"header_version at file offset 0x8: got 0x0, want 0x1 to 0x6":             {put32(8, 0), false},
		"header_version at file offset 0x8: got 0x7":                              {put32(8, 7), false},
		"block_size at file offset 0x1ac: got 0x2000, want 0x1000 or 0x10000":     {put32(0x1ac, 0x2000), false},
		"sub_hdr_size at file offset 0x1b0: got 0x0":                              {put32(0x1b0, 0), false},
		"bitmap_blocks at file offset 0x1b4: got 0x3":                             {put32(0x1b4, 3), false},
		"bitmap_blocks at file offset 0x1b4: got 0x0":                             {put32(0x1b4, 0), false},
		"header: bitmaps at file offset 0x1b4: got 0x1003 bytes at 0x80000001000": {put32(0x1b4, 0xfffffffe), false},
		"one part of a kdump-compressed dump that was split":                      {put32(0x100c, 1), true},
		"32-bit by its block size":                                                {nil, true},
		`of another machine ("ppc64le")`:                                          {machine("ppc64le"), true},
		"pages at file offset":                                                    {func(f []byte, at kdumpLayout) { clear(f[at.bitmap2:at.descs]) }, false},
	} {
		if c.mutate == nil {
			text = "in the layout of 32-bit machines"
			c.mutate = func(f []byte, _ kdumpLayout) { copy(f[0x1a0:], f[0x1ac:0x1b0]); clear(f[0x1ac:0x1b0]) }
		}
		k := kdump{version: 6, runs: someRuns, codec: func(uint64) uint32 { return rawPage }, mutate: c.mutate}
		file := k.build()
		_, err := physmemtest.Open(file)
		require.Error(t, err, text)
		assert.Contains(t, err.Error(), text)
		var fe *physmem.FormatError
		if c.unsupported {
			require.ErrorIs(t, err, physmem.ErrUnsupported)
		} else {
			require.ErrorAs(t, err, &fe)
		}
		_, err = physmemtest.Open(flatten(pieces(file, 0x400)))
		require.Error(t, err, text)
	}
	for text, file := range map[string][]byte{
		"header at file offset 0x0: got a file of 0x8 bytes":      []byte("KDUMP   "),
		"flattened header at file offset 0x0: got a file of 0x10": []byte("makedumpfile\x00\x00\x00\x00"),
		"type and version at file offset 0x10: got 0x0":           append([]byte("makedumpfile"), make([]byte, 0x2000)...),
		"that is not kdump-compressed":                            flatten(pieces(bytes.Repeat([]byte("\x7fELF"), 0x800), 0x1000)),
		"a diskdump dump":                                         []byte("DISKDUMP"),
	} {
		_, err := physmemtest.Open(file)
		require.Error(t, err, text)
		assert.Contains(t, err.Error(), text)
	}
}

// TestKdumpCut cuts files at many places: the pages that are there are found
// and right, and the others are said to be missing.
func TestKdumpCut(t *testing.T) {
	t.Parallel()
	for _, flat := range []bool{false, true} {
		k := kdump{version: 6, runs: []run{{3, 40}, {0x2000, 30}}, codec: mixed, notes: fixture.CPUNotes(1)}
		var data int
		k.mutate = func(_ []byte, at kdumpLayout) { data = at.data }
		file := k.build()
		first := data + physmem.PageSize
		if flat {
			file = flatten(pieces(file, 0x40))
			first += first / 0x40 * 16
		}
		for cut := 1; cut < len(file); cut += len(file)/61 + 1 {
			m, err := physmemtest.Open(file[:cut])
			if err != nil {
				assert.Less(t, cut, first+0x1200, "cut at 0x%x: %v", cut, err)
				continue
			}
			require.NotEmpty(t, m.Oddities(), "cut at 0x%x", cut)
			odd := m.Oddities()[0]
			assert.Equal(t, physmem.OddityTruncated, odd.Kind)
			assert.Regexp(t, `^truncated: the file is cut: [\d.]+ of 280 KiB of memory are missing \(file offset 0x0\): .*; 0x[0-9a-f]+ of 0x46 pages$`, odd.String())
			for _, r := range m.Ranges() {
				p := make([]byte, r.Size+1)
				n, err := m.ReadAt(p, int64(r.Start))
				require.ErrorIs(t, err, physmem.ErrNotInImage, "cut at 0x%x", cut)
				require.EqualValues(t, r.Size, n)
				require.True(t, isRepeated(p[:n], r.Start), "cut at 0x%x: memory of %v", cut, r)
			}
		}
	}
}

// TestKdumpIncomplete: a writer without space says so, and leaves descriptors
// of zeros for the pages that did not fit.
func TestKdumpIncomplete(t *testing.T) {
	t.Parallel()
	k := kdump{version: 6, runs: []run{{3, 40}}, codec: mixed}
	k.mutate = func(f []byte, at kdumpLayout) {
		f[0x1a8] |= 8
		clear(f[at.descs+30*24 : at.data])
	}
	m := k.open(t)
	require.Len(t, m.Oddities(), 1)
	assert.Equal(t, "its writer ran out of space and marked it incomplete; 0xa of 0x28 pages", m.Oddities()[0].Detail)
	require.NoError(t, physmemtest.Test(m, fixture.AsRanges([]run{{3, 30}}), repeatAt))
}

// TestKdumpMapnr: the header counts more page frames than its bitmap has.
func TestKdumpMapnr(t *testing.T) {
	t.Parallel()
	k := kdump{version: 6, runs: []run{{3, 40}}}
	k.mutate = func(f []byte, _ kdumpLayout) { binary.LittleEndian.PutUint64(f[0x1060:], 1<<60) }
	m := k.open(t)
	require.Len(t, m.Oddities(), 1)
	assert.Equal(t, "the header counts 1152921504606846976 page frames, its bitmap has 32768", m.Oddities()[0].Text)
	require.NoError(t, physmemtest.Test(m, fixture.AsRanges(k.runs), repeatAt))

	// Version 5 has the count of 32 bits only.
	k.version = 5
	assert.Empty(t, k.open(t).Oddities())
}

// TestKdumpBadPage: what is wrong with a page is known when it is read, and
// costs that page.
func TestKdumpBadPage(t *testing.T) {
	t.Parallel()
	const bad = 13 // not a page of zeros
	for _, flags := range []uint32{rawPage, zlibPage, lzoPage, snappyPage, zstdPage} {
		desc := func(change func(f, desc []byte)) func([]byte, kdumpLayout) {
			return func(f []byte, at kdumpLayout) { change(f, f[at.descs+(bad-3)*24:]) }
		}
		le := binary.LittleEndian
		for name, mutate := range map[string]func([]byte, kdumpLayout){
			"size 0":      desc(func(_, d []byte) { le.PutUint32(d[8:], 0) }),
			"large":       desc(func(_, d []byte) { le.PutUint32(d[8:], 0x1001) }),
			"huge":        desc(func(_, d []byte) { le.PutUint32(d[8:], ^uint32(0)) }),
			"short":       desc(func(_, d []byte) { le.PutUint32(d[8:], le.Uint32(d[8:])-1) }),
			"long":        desc(func(_, d []byte) { le.PutUint32(d[8:], le.Uint32(d[8:])+1) }),
			"flags":       desc(func(_, d []byte) { d[12] ^= 0x40 }),
			"two flags":   desc(func(_, d []byte) { d[12] = 3 }),
			"nowhere":     desc(func(_, d []byte) { le.PutUint64(d, 1<<63) }),
			"wraps":       desc(func(_, d []byte) { le.PutUint64(d, ^uint64(0)) }),
			"empty":       desc(func(_, d []byte) { clear(d[:24]) }),
			"other bytes": desc(func(f, d []byte) { f[le.Uint64(d)] ^= 0xff }),
		} {
			if flags == rawPage && name == "other bytes" || flags == zlibPage && name == "long" {
				continue // it decompresses to the page all the same
			}
			k := kdump{version: 6, runs: []run{{3, 40}}, codec: func(uint64) uint32 { return flags }, mutate: mutate}
			m := k.open(t)
			p := make([]byte, 40*physmem.PageSize)
			n, err := m.ReadAt(p, 3*physmem.PageSize)
			var re *physmem.ReadError
			require.ErrorAs(t, err, &re, "%s, flags 0x%x", name, flags)
			require.NotErrorIs(t, err, physmem.ErrNotInImage)
			assert.Equal(t, (bad-3)*physmem.PageSize, n, "%s, flags 0x%x", name, flags)
			require.True(t, isRepeated(p[:n], 3*physmem.PageSize), "%s, flags 0x%x", name, flags)
			_, err = m.ReadAt(p[:physmem.PageSize], (bad+1)*physmem.PageSize)
			require.NoError(t, err, "the page behind it")
		}
	}
}

// TestKdumpReadErrors: the file fails while it is read.
func TestKdumpReadErrors(t *testing.T) {
	t.Parallel()
	k := kdump{version: 6, runs: []run{{3, 40}}}
	for _, file := range [][]byte{k.build(), flatten(pieces(k.build(), 0x400))} {
		f := &fixture.Flaky{ReaderAt: bytes.NewReader(file)}
		m, err := physmemtest.OpenReader(f, int64(len(file)), open.Options{})
		require.NoError(t, err)
		bad := fmt.Errorf("input/output error")
		f.Fail(bad)
		_, err = m.ReadAt(make([]byte, 8), 3*physmem.PageSize)
		require.ErrorIs(t, err, bad)
		_, err = physmemtest.OpenReader(f, int64(len(file)), open.Options{})
		require.ErrorIs(t, err, bad)
	}
}

// TestKdumpSample: QEMU's own file is the same memory as its ELF core of the
// same guest. That of a PC has the BIOS, as zeros, behind it.
func TestKdumpSample(t *testing.T) {
	t.Parallel()
	core, m := sampleOf(t, "live-2cpu")
	assert.Equal(t, physmem.State{Product: "QEMU", Encoding: "zlib, flattened"}, m.State())
	assert.Equal(t, "kdump-compressed dump of QEMU (zlib, flattened), 1088 pages, 2 CPUs", m.Describe())
	assert.Equal(t, core.GuestNote().Desc, m.GuestNote().Desc)
	sameMachine(t, core, m, physmem.Range{Start: 0xfffc0000, Size: 0x40000})
	core, m = sampleOf(t, "arm64-live-2cpu")
	assert.Equal(t, "kdump-compressed dump (zlib, flattened), 128 pages, 2 CPUs", m.Describe(), "it does not say who wrote it")
	assert.NotNil(t, physmem.ARM64Of(m.CPUs()[1]))
	sameMachine(t, core, m)
}

// sampleOf opens the vmcore and the kdump-compressed dump of a guest.
func sampleOf(t *testing.T, name string) (core, kdump *physmem.Image) {
	t.Helper()
	kdump, err := physmemtest.Open(fixture.Sample(t, name+".kdump.gz"))
	require.NoError(t, err)
	assert.Empty(t, kdump.Oddities())
	core, err = physmemtest.Open(fixture.Sample(t, name+".vmcore.gz"))
	require.NoError(t, err)
	return core, kdump
}

// sameMachine: both have the same vCPUs, and the same memory but for what the second
// one has more.
func sameMachine(t *testing.T, core, m *physmem.Image, more ...physmem.Range) {
	t.Helper()
	require.Equal(t, append(core.Ranges(), more...), m.Ranges())
	for _, r := range core.Ranges() {
		a, b := make([]byte, r.Size), make([]byte, r.Size)
		_, err := core.ReadAt(a, int64(r.Start))
		require.NoError(t, err)
		_, err = m.ReadAt(b, int64(r.Start))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(a, b))
	}
	require.Len(t, m.CPUs(), len(core.CPUs()))
	for i, c := range core.CPUs() {
		c.NoteOffset = m.CPUs()[i].NoteOffset
		assert.Equal(t, c, m.CPUs()[i])
	}
}

// TestKdump32: QEMU's dump of a 32-bit guest in the layout of 64 bits. Which machine it
// is, the notes tell; QEMU 10 gives no name.
func TestKdump32(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"i686", "Unknown"} {
		k := kdump{version: 6, runs: []run{{0, 3}}, notes: []fixture.Note{fixture.Core32Note(0, 0x80001000), fixture.QEMUNote(0x80001000, 440)}}
		k.mutate = func(f []byte, _ kdumpLayout) { copy(f[0x110:], name+"\x00\x00") }
		m := k.open(t)
		assert.Equal(t, physmem.MachineX86, m.Machine(), name)
		require.Len(t, m.CPUs(), 1)
		assert.Empty(t, m.Oddities())
		require.NoError(t, physmemtest.Test(m, fixture.AsRanges(k.runs), repeatAt))
	}
}

// run is a run of pages.
type run struct{ BasePage, PageCount uint64 }

// someRuns has runs that begin and end in the middle of words and chunks of a
// bitmap.
var someRuns = []run{{1, 0x9e}, {0x100, 3}, {0x103, 1}, {0x13f, 2}, {0x7ffe, 4}, {0x8010, 1}}
