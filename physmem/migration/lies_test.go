package migration_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// TestLies: sizes and names that can't be so are refused where they stand, and nothing is
// allocated for them.
func TestLies(t *testing.T) {
	t.Parallel()
	const machine = "pc-q35-9.0"
	pages := func(f func(w *writer)) []byte {
		var w writer
		w.begin(machine)
		w.start(blockSize{name: "pc.ram", size: 0x4000})
		w.part(true, func() { f(&w) })
		w.clock(1<<10, 0)
		return w.end()
	}
	for name, tt := range map[string]struct {
		file []byte
		want string
	}{
		"version":         {[]byte("QEVM\x00\x00\x00\x02\x01"), "of version 2; version 3"},
		"only the header": {[]byte("QEVM\x00\x00\x00\x03"), "before any memory"},
		"section":         {[]byte("QEVM\x00\x00\x00\x03\x09"), "type of a section"},
		"machine":         {append([]byte("QEVM\x00\x00\x00\x03\x07\xff\xff\xff\xff"), make([]byte, 99)...), "name of the machine"},
		"postcopy":        {append([]byte("QEVM\x00\x00\x00\x03\x08\x00\x05\x00\x04"), make([]byte, 99)...), "postcopy"},
		"capability": {func() []byte {
			w := writer{capabilities: []string{"x-colo"}}
			w.begin(machine)
			return w.Bytes()
		}(), `the capability "x-colo"`},
		"block of 2^60": {func() []byte {
			var w writer
			w.begin(machine)
			w.start(blockSize{name: "pc.ram", size: 1 << 60})
			return w.Bytes()
		}(), "list of blocks"},
		"part of nobody": {[]byte("QEVM\x00\x00\x00\x03\x02\x00\x00\x00\x02"), "did not begin"},
		"page behind":    {pages(func(w *writer) { w.zero("pc.ram", 4) }), "section ram: page at file offset 0x51: got 0x4000 in block"},
		"no such block":  {pages(func(w *writer) { w.zero("other", 0) }), `"other", which is not in the list`},
		"no block":       {pages(func(w *writer) { w.last = "pc.ram"; w.zero("pc.ram", 0) }), "none, as in the word before"},
		"flags":          {pages(func(w *writer) { w.word("pc.ram", 0, 0x80) }), "flags of a word"},
		"filled page":    {pages(func(w *writer) { w.word("pc.ram", 0, 2); w.u8(7) }), "before 2009"},
		"packed size":    {pages(func(w *writer) { w.word("pc.ram", 0, 0x100); w.u32(1 << 30) }), "got 0x40000000 bytes"},
		"change of none": {pages(func(w *writer) { w.changed("pc.ram", 1, 0, []byte{1}) }), "not sent before"},
		"another list":   {pages(func(w *writer) { w.u64(0x4000 | 4) }), "another one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := physmemtest.Open(tt.file)
			require.Nil(t, m)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// TestBadPages: a page that can't be put together is an error of reading, and the others
// are there.
func TestBadPages(t *testing.T) {
	t.Parallel()
	var w writer
	w.begin("pc-q35-9.0")
	w.start(blockSize{name: "pc.ram", size: 1 << 20})
	w.part(true, func() {
		for i := range 0x100 {
			w.page("pc.ram", i, content(i, 0))
		}
		w.word("pc.ram", 1, 0x100)
		w.u32(9)
		w.WriteString("no zlib !")
		w.packed("pc.ram", 2, content(2, 1)[:77])
		w.packed("pc.ram", 3, bytes.Repeat([]byte{1}, 5000))
		w.word("pc.ram", 4, 0x40)
		w.u8(1)
		w.be(uint16(2))
		w.Write([]byte{0x80, 0x80})
	})
	w.clock(1<<10, 0)
	m := openAll(t, w.end())
	b := make([]byte, 4096)
	for page := range int64(6) {
		n, err := m.ReadAt(b, page<<12)
		if page == 0 || page == 5 {
			require.NoError(t, err)
			assert.Equal(t, content(int(page), 0), b)
			continue
		}
		var bad *physmem.ReadError
		require.ErrorAs(t, err, &bad, "page %d", page)
		assert.Zero(t, n)
		assert.True(t, bad.Damaged)
		require.NotErrorIs(t, err, physmem.ErrNotInImage)
	}
	sound, err := m.Sound(t.Context())
	require.NoError(t, err)
	require.NoError(t, physmemtest.Test(sound, []physmem.Range{physmem.Span(0, 0x1000), physmem.Span(0x5000, 0x100000)}, fixture.PatternAt))
	require.Len(t, sound.Oddities(), 1)
	assert.Contains(t, sound.Oddities()[0].Text, "16 KiB of memory in 4 pages are damaged")
}

// TestMissingPages: what was never sent is missing, and not zeros.
func TestMissingPages(t *testing.T) {
	t.Parallel()
	var w writer
	w.begin("pc-q35-9.0")
	w.start(blockSize{name: "pc.ram", size: 0x300000})
	w.part(true, func() {
		for i := range 0x300 {
			if i%0x100 != 0x20 && i != 0x21 && i < 0x2f0 {
				w.page("pc.ram", i, content(i, 0))
			}
		}
	})
	w.clock(3<<10, 0)
	m := openAll(t, w.end())
	require.NoError(t, physmemtest.Test(m, []physmem.Range{
		physmem.Span(0, 0x20000), physmem.Span(0x22000, 0x120000), physmem.Span(0x121000, 0x220000), physmem.Span(0x221000, 0x2f0000),
	}, fixture.PatternAt))
}

// TestGuestNote: the note that the guest left is in its memory, where a device says.
func TestGuestNote(t *testing.T) {
	t.Parallel()
	build := func(size, pa uint64) []byte {
		var note bytes.Buffer
		for _, v := range []uint32{11, 0x20, 0} {
			_ = binary.Write(&note, binary.LittleEndian, v)
		}
		note.WriteString("VMCOREINFO\x00\x00" + strings.Repeat("d", 0x20))
		var w writer
		w.begin("pc-q35-9.0")
		w.start(blockSize{name: "pc.ram", size: 1 << 20})
		w.part(true, func() {
			for i := range 0x100 {
				w.zero("pc.ram", i)
			}
			w.page("pc.ram", 0x30, append(note.Bytes(), make([]byte, 4096-note.Len())...))
		})
		w.clock(1<<10, 0)
		b := []byte{1, 0, 1, 0, 1}
		b = binary.BigEndian.AppendUint32(b, uint32(size))
		w.device("vmcoreinfo", 0, 1, binary.BigEndian.AppendUint64(b, pa))
		return w.end()
	}
	file := build(12+12+0x20, 0x30000)
	note := openAll(t, file).GuestNote()
	require.NotNil(t, note)
	assert.Equal(t, "VMCOREINFO", note.Name)
	assert.Equal(t, strings.Repeat("d", 0x20), string(note.Desc))
	assert.Equal(t, note.Desc, file[note.Offset:][:0x20])
	for _, bad := range [][2]uint64{{3, 0x30000}, {1 << 31, 0x30000}, {0x38, 0xfffffffffffffff0}, {0x38, 1 << 30}, {0x20, 0x30000}} {
		m := openAll(t, build(bad[0], bad[1]))
		assert.Nil(t, m.GuestNote())
		assert.NotEmpty(t, m.Oddities(), bad)
	}
}

// TestScattered: a stream whose pages lie in more places than are kept is refused, with
// bounded memory, long before its end.
func TestScattered(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes over a second")
	}
	var w writer
	const chunks = 900_000
	w.begin("pc-q35-9.0")
	w.start(blockSize{name: "pc.ram", size: chunks << 21})
	w.u8(3)
	w.u32(ramID)
	w.zero("pc.ram", 0)
	b := w.Bytes()
	for i := range uint64(chunks) { // one page of each 2 MiB, zeros
		b = append(binary.BigEndian.AppendUint64(b, i<<21|0x22), 0)
	}
	_, err := physmemtest.Open(b)
	require.ErrorIs(t, err, physmem.ErrUnsupported)
	assert.ErrorContains(t, err, "in more places than are kept (144 MiB")
}
