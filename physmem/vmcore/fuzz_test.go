package vmcore_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// pagedSeed is a small dump with paging on, holes and a mapping beyond a block.
func pagedSeed() *builder {
	q := &machine{blocks: rs{r(0, 0x80), r(0xc0, 0x400), r(0x800, 0x900)}}
	q.mapped(0x10, 0x20)
	q.mapped(0x60, 0x100)
	q.mapped(0x200, 0x40)
	q.mapped(0x880, 1)
	b := q.builder()
	b.memory = make([]byte, q.size())
	return b
}

// FuzzOpen opens anything: an image or an error, an image that keeps its
// promises, memory use within bounds.
func FuzzOpen(f *testing.F) {
	small := &builder{
		notes:  append(fixture.CPUNotes(1), fixture.NewNote("VMCOREINFO", 0, []byte("PAGEDU64"))),
		loads:  []load{{paddr: 0x1000, filesz: 0x20, memsz: 0x20}, {paddr: 0x1010, filesz: 0x20, memsz: 0x40, off: 0x10}},
		memory: make([]byte, 0x40),
	}
	f.Add(small.build())
	small.notesLast, small.twoNotes = true, true
	f.Add(small.build())
	small.notesLast, small.twoNotes, small.xnum = false, false, true
	f.Add(small.build())
	f.Add(pagedSeed().build())
	clash := &builder{
		notes:  fixture.CPUNotes(1),
		loads:  []load{{paddr: 8, filesz: 8, memsz: 8}, {paddr: 0, filesz: 32, memsz: 32, off: 16}, {paddr: 1 << 60, filesz: 1, memsz: 1}},
		memory: make([]byte, 0x40),
	}
	f.Add(clash.build())
	box := vbox(0x10006)
	box.count, box.cpus = 1, box.cpus[:1]
	box.loads = []load{{paddr: 0x1000, filesz: 0x20, memsz: 0x20}, {paddr: 0xe0000000, memsz: 0x1000}}
	f.Add(box.build())
	box.format, box.cpus = 0x10000, [][]byte{make([]byte, 0x40)}
	f.Add(box.build())
	small.xnum, small.notes = false, []fixture.Note{fixture.Core32Note(0, 1), fixture.QEMUNote(1, 440)}
	small.mutate = func(h *elf.Header64) { h.Machine = uint16(elf.EM_386) }
	f.Add(small.build())
	f.Add(small.elf32(f))
	f.Add([]byte("KDUMP   "))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := physmemtest.Open(file)
		if err != nil {
			require.Nil(t, m)
			return
		}
		require.NotEmpty(t, m.Ranges())
		require.LessOrEqual(t, len(m.CPUs()), 4096)
		if m.Format() == physmem.FormatKdump {
			return // memory that is not in the file as it is; FuzzKdump
		}
		require.LessOrEqual(t, len(slices.Collect(m.Extents(0))), 2*len(file)/56)
		fixture.CheckImage(t, m, file)
		if n := m.GuestNote(); n != nil {
			require.Equal(t, file[n.Offset:n.Offset+int64(len(n.Desc))], n.Desc)
		}
		ram := rs{r(0, 0x90), r(0x100, 0x2000)}
		stated := slices.Collect(m.Extents(0))
		m, _ = m.Recover(ram)
		fixture.CheckImage(t, m, file)
		checkStated(t, m, stated)
		for _, c := range m.Candidates(ram) {
			require.NotNil(t, try(m, c))
			fixture.CheckImage(t, try(m, c), file)
		}
		for _, err := range m.Mappings() {
			require.NoError(t, err)
		}
	})
}

// checkStated checks that what the headers say is still said.
func checkStated(t *testing.T, m *physmem.Image, stated []physmem.Extent) {
	t.Helper()
	var got []physmem.Extent
	for _, e := range slices.Collect(m.Extents(0)) {
		if !e.Recovered {
			got = append(got, e)
		}
	}
	require.Equal(t, stated, got)
}

// FuzzRecover makes QEMU's layout of any blocks, mappings and RAM: what is
// recovered is right if the RAM is, and harmless if it is not.
func FuzzRecover(f *testing.F) {
	f.Add([]byte{0, 10, 3, 20, 5, 5}, []byte{2, 1, 15, 9, 40, 2}, []byte{1, 8, 14, 9})
	f.Add([]byte{0, 160, 32, 255, 255, 1}, []byte{255, 1, 200, 3}, []byte{1, 159, 100, 255})
	f.Add([]byte{4, 4, 0, 4}, []byte{5, 9}, []byte{4, 8})
	f.Fuzz(func(t *testing.T, blocks, mapped, ram []byte) {
		q := &machine{}
		at := uint64(0)
		for i := 0; i+1 < min(len(blocks), 64); i += 2 {
			at += uint64(blocks[i])
			if blocks[i+1] > 0 {
				q.blocks = append(q.blocks, physmem.Range{Start: at, Size: uint64(blocks[i+1])})
			}
			at += uint64(blocks[i+1])
		}
		for i := 0; i+1 < min(len(mapped), 64); i += 2 {
			q.mapped(2*uint64(mapped[i]), uint64(mapped[i+1]))
		}
		m, err := q.tryOpen()
		if err != nil {
			return
		}
		var known, truth rs
		for i := 0; i+1 < min(len(ram), 64); i += 2 {
			x := physmem.Range{Start: 2 * uint64(ram[i]), Size: uint64(ram[i+1])}
			known = append(known, x)
			for _, b := range q.blocks {
				if start, end := max(b.Start, x.Start), min(b.End(), x.End()); start < end {
					truth = append(truth, r(start, end))
				}
			}
		}
		stated := slices.Collect(m.Extents(0))
		m, _ = m.Recover(truth)
		require.NoError(t, q.wrong(m))
		m, _ = m.Recover(known)
		checkStated(t, m, stated)
		for _, c := range m.Candidates(known) {
			require.NotNil(t, try(m, c))
		}
	})
}

// TestBoundedMemory opens small files that claim much.
func TestBoundedMemory(t *testing.T) {
	const huge = 1 << 40
	b := twoBlocks(1)
	b.mutate = func(h *elf.Header64) { h.Phnum = 0xffff }
	file := b.build()
	binary.LittleEndian.PutUint32(file[0x40+44:], 1<<18) // 14 MiB of program headers, nearly all of them zeros
	var m *physmem.Image
	var err error
	allocated := testing.AllocsPerRun(1, func() {
		m, err = physmemtest.OpenReader(fixture.Sparse{Head: file, Size: huge}, huge, open.Options{})
	})
	require.NoError(t, err)
	require.Less(t, allocated, 500.)
	assert.Equal(t, twoBlockRanges, m.Ranges())

	file = twoBlocks(1).build()
	note := bytes.Index(file, []byte("QEMU\x00")) - 12
	binary.LittleEndian.PutUint32(file[note+4:], 1<<31)
	binary.LittleEndian.PutUint64(file[0xc0+32:], 1<<39) // the PT_NOTE's size
	allocated = testing.AllocsPerRun(1, func() {
		m, err = physmemtest.OpenReader(fixture.Sparse{Head: file, Size: huge}, huge, open.Options{})
	})
	require.NoError(t, err)
	require.Less(t, allocated, 500.)
	require.Len(t, m.CPUs(), 1)
}
