package migration_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/migration"
	"windmp/physmem/physmemtest"
)

const mib = 1 << 20

// content are the bytes of a page of the guest, of a number that tells contents apart.
func content(page, turn int) []byte {
	return fixture.Pattern(uint64(page)<<12|uint64(turn)<<40, 4096)
}

// small writes a guest of 2 MiB and 8 KiB whose pages were sent in every way, some
// of them several times, and returns what its memory is.
func small(w *writer) (file, memory []byte) {
	const pages = 0x202
	memory = make([]byte, pages<<12)
	put := func(page int, b []byte) { copy(memory[page<<12:], b) }
	w.begin("pc-i440fx-7.2")
	w.start(blockSize{name: "pc.ram", size: pages << 12}, blockSize{name: "0000:00:02.0/vga.vram", size: 0x2000})
	w.part(false, func() {
		for i := range pages {
			if i%7 == 3 || i > 0x180 {
				w.zero("pc.ram", i)
				continue
			}
			w.page("pc.ram", i, content(i, 0))
			put(i, content(i, 0))
		}
		w.page("0000:00:02.0/vga.vram", 1, content(1, 9))
		w.zero("0000:00:02.0/vga.vram", 0)
	})
	w.part(false, func() {
		for _, i := range []int{5, 6, 3, 10, 0x1ff, 0x200, 0x201, 0x100} {
			w.page("pc.ram", i, content(i, 1))
			put(i, content(i, 1))
		}
		for _, i := range []int{5, 0x101, 0x102} {
			w.zero("pc.ram", i)
			put(i, make([]byte, 4096))
		}
		w.packed("pc.ram", 0x20, content(0x20, 2))
		put(0x20, content(0x20, 2))
	})
	w.part(true, func() {
		for turn, at := range []int{0, 0x7f, 0x80, 0xff8} {
			for _, i := range []int{0x20, 5, 8} { // packed, zero, and plain before
				b := content(i, 3+turn)[:8]
				w.changed("pc.ram", i, at, b)
				copy(memory[i<<12+at:], b)
			}
		}
		w.changed("pc.ram", 9, 0x123, nil)
		w.page("pc.ram", 8, content(8, 4))
		put(8, content(8, 4))
	})
	w.device("timer", 0, 1, []byte{1, 2, 3})
	w.cpu(0)
	w.cpu(1)
	w.clock(pages*4, 0)
	w.device("apic", 0, 3, make([]byte, 40), 0x7e, 0, 0, 0, 11)
	return w.end(), memory
}

func openAll(t *testing.T, file []byte) *physmem.Image {
	t.Helper()
	m, err := physmemtest.Open(file)
	require.NoError(t, err)
	require.Equal(t, physmem.FormatMigration, m.Format())
	return m
}

// checkMemory checks that an image holds just these bytes from address 0 on.
func checkMemory(t *testing.T, m *physmem.Image, memory []byte) {
	t.Helper()
	want := []physmem.Range{{Size: uint64(len(memory))}}
	require.NoError(t, physmemtest.Test(m, want, func(pa uint64) byte { return memory[pa] }))
	got := make([]byte, len(memory))
	_, err := m.ReadAt(got, 0)
	require.NoError(t, err)
	require.True(t, bytes.Equal(memory, got), "all memory in one read")
	fixture.CheckReads(t, m)
	for pa := uint64(0); pa < uint64(len(memory)); {
		next := m.NextData(pa)
		if next > pa {
			require.True(t, binio.IsZero(memory[pa:next]))
			pa = next
			continue
		}
		pa = (pa + 0x1000) &^ 0xfff
	}
}

// TestForms opens the same guest in all forms that machine types have had.
func TestForms(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]writer{
		"2.4 and later":       {},
		"2.3":                 {noConfiguration: true, noFooters: true},
		"before 2.3":          {noConfiguration: true, noFooters: true, noDescription: true},
		"suppressed vmdesc":   {noDescription: true},
		"footers, no machine": {noConfiguration: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, memory := small(&w)
			m := openAll(t, file)
			assert.Empty(t, m.Oddities())
			checkMemory(t, m, memory)
			require.Len(t, m.CPUs(), 2)
			assert.Equal(t, physmem.MachineX64, m.Machine())
		})
	}
}

// TestGrows: a stream is indexed while it is unpacked.
func TestGrows(t *testing.T) {
	t.Parallel()
	g := newGiant(1 << 10)
	large := make([]byte, g.size())
	_, err := g.ReadAt(large, 0)
	require.NoError(t, err)
	fixed, _ := mapped()
	small, _ := small(new(writer))
	for name, file := range map[string][]byte{
		"large": large, "small": small, "libvirt": withLibvirt("LibvirtQemudSave", 0, small), "mapped-ram": fixed, "cut": large[:len(large)/2],
	} {
		require.NoError(t, physmemtest.Grows(file), name)
	}
}

// TestVolume: a block device goes on behind the stream, with an older one.
func TestVolume(t *testing.T) {
	t.Parallel()
	var w, older writer
	file, memory := small(&w)
	old, _ := small(&older)
	for _, behind := range [][]byte{make([]byte, 5000), old[3:], []byte("garbage \x00\x06\x00\x00\x00\x10{\"page_size\":")} {
		m := openAll(t, append(bytes.Clone(file), behind...))
		assert.Empty(t, m.Oddities())
		checkMemory(t, m, memory)
		require.Len(t, m.CPUs(), 2)
	}
}

func TestRegisters(t *testing.T) {
	t.Parallel()
	var w writer
	file, _ := small(&w)
	cpus := openAll(t, file).CPUs()
	require.Len(t, cpus, 2)
	x := physmem.X86Of(cpus[1])
	assert.EqualValues(t, 1, cpus[1].ID)
	seg := func(i uint64) physmem.Segment {
		return physmem.Segment{Selector: uint16(8 * i), Base: 0xffff800000000000 + i<<12, Limit: uint32(0x1000 + i), Flags: uint32(0x209b00 + i<<8)}
	}
	const one = 1 << 32
	want := physmem.X86{
		Rax: one + 1, Rcx: one + 2, Rdx: one + 3, Rbx: one + 4, Rsp: one + 5, Rbp: one + 6, Rsi: one + 7, Rdi: one + 8,
		R8: one + 9, R9: one + 10, R10: one + 11, R11: one + 12, R12: one + 13, R13: one + 14, R14: one + 15, R15: one + 16,
		Rip: one + 17, Rflags: one + 18,
		ES: seg(0), CS: seg(1), SS: seg(2), DS: seg(3), FS: seg(4), GS: seg(5), LDT: seg(6), TR: seg(7), GDT: seg(8), IDT: seg(9),
		HasSystem: true, CR0: 0xc0, CR2: 0xc1, CR3: 0xc2, CR4: 0xc3, KernelGSBase: 0xe5, HasKernelGSBase: true,
		Debug: &physmem.DebugRegs{Dr0: 0xd0, Dr1: 0xd1, Dr2: 0xd2, Dr3: 0xd3, Dr6: 0xd6, Dr7: 0xd7},
		MSR:   &physmem.MSRs{EFER: 0xe0, STAR: 0xe1, LSTAR: 0xe2, CSTAR: 0xe3, SFMASK: 0xe4, PAT: 0x70106},
		FX:    x.FX,
	}
	assert.Equal(t, want, *x)
	le := binary.LittleEndian
	assert.Equal(t, []uint64{0x27f, 0x81, 0x1fa0, 0x8000000000000000, 0x3fff, 0x1515, 0x5151}, []uint64{
		uint64(le.Uint16(x.FX)), uint64(x.FX[4]), uint64(le.Uint32(x.FX[24:])), le.Uint64(x.FX[32:]), uint64(le.Uint16(x.FX[40:])),
		le.Uint64(x.FX[160+15*16:]), le.Uint64(x.FX[168+15*16:]),
	})
}

// guest writes a guest without content: pages of zeros in blocks.
func guest(machine string, low, high int, blocks ...blockSize) []byte {
	var w writer
	w.begin(machine)
	w.start(blocks...)
	w.part(true, func() {
		for n, b := range blocks {
			for i := range b.size >> 12 {
				w.zero(b.name, int(i))
			}
			w.page(b.name, 0, content(n, 7)) // the first page says which block it is
		}
	})
	if low > 0 {
		w.clock(low>>10, high>>10)
	}
	return w.end()
}

// TestPlaces: where the blocks of a machine are follows from its CMOS.
func TestPlaces(t *testing.T) {
	t.Parallel()
	const end4G = 4 << 30
	span := physmem.Span
	for name, tt := range map[string]struct {
		low, high int
		blocks    []blockSize
		ranges    []physmem.Range
		first     []uint64 // address of the first page of each block
	}{
		"one MiB and more": {low: 3 * mib, blocks: []blockSize{{name: "pc.ram", size: 3 * mib}}, ranges: []physmem.Range{span(0, 3*mib)}, first: []uint64{0}},
		"16 MiB":           {low: 16 * mib, blocks: []blockSize{{name: "pc.ram", size: 16 * mib}}, ranges: []physmem.Range{span(0, 16*mib)}, first: []uint64{0}},
		"above 4 GiB": {
			low: 20 * mib, high: 12 * mib, blocks: []blockSize{{name: "pc.ram", size: 32 * mib}},
			ranges: []physmem.Range{span(0, 20*mib), span(end4G, end4G+12*mib)}, first: []uint64{0},
		},
		"another name": {
			low: 20 * mib, blocks: []blockSize{{name: "mem0", size: 20 * mib}, {name: "0000:00:02.0/vga.vram", size: 20 * mib}},
			ranges: []physmem.Range{span(0, 20*mib)}, first: []uint64{0},
		},
		"NUMA, the larger node first": {
			low: 20 * mib, high: 12 * mib,
			blocks: []blockSize{{name: "ram-node1", size: 24 * mib}, {name: "ram-node0", size: 8 * mib}},
			ranges: []physmem.Range{span(0, 20*mib), span(end4G, end4G+12*mib)}, first: []uint64{8 * mib, 0},
		},
		"a DIMM": {
			low: 20 * mib, high: 4 * mib, blocks: []blockSize{{name: "pc.ram", size: 24 * mib}, {name: "dimm0", size: 8 * mib}},
			ranges: []physmem.Range{span(0, 20*mib), span(end4G, end4G+4*mib), span(end4G+1<<30, end4G+1<<30+8*mib)}, first: []uint64{0, end4G + 1<<30},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := openAll(t, guest("pc-q35-9.0", tt.low, tt.high, tt.blocks...))
			assert.Equal(t, tt.ranges, m.Ranges())
			assert.Empty(t, m.Oddities())
			for i, pa := range tt.first {
				b := make([]byte, 4096)
				_, err := m.ReadAt(b, int64(pa))
				require.NoError(t, err)
				assert.True(t, bytes.Equal(content(i, 7), b), "block %d at 0x%x", i, pa)
			}
		})
	}
}

// TestUnplaced: what can't be placed is named.
func TestUnplaced(t *testing.T) {
	t.Parallel()
	_, err := physmemtest.Open(guest("pc-q35-9.0", 20*mib, 0, blockSize{name: "a", size: 12 * mib}, blockSize{name: "b", size: 4 * mib}))
	require.ErrorIs(t, err, physmem.ErrUnsupported)
	require.ErrorContains(t, err, `20 MiB below 4 GiB and 0 B above, its blocks are "a" of 12 MiB, "b" of 4.0 MiB`)

	m := openAll(t, guest("pc-q35-9.0", 20*mib, 0, blockSize{name: "pc.ram", size: 20 * mib}, blockSize{name: "here", size: 4 * mib}, blockSize{name: "there", size: 2 * mib}))
	require.Len(t, m.Oddities(), 1)
	assert.Contains(t, m.Oddities()[0].Text, `left out: "here" of 4.0 MiB, "there" of 2.0 MiB`)
}

// TestWithoutCMOS: a stream that is cut before the clock is placed by the machine's type.
func TestWithoutCMOS(t *testing.T) {
	t.Parallel()
	m := openAll(t, guest("pc-q35-9.0", 0, 0, blockSize{name: "pc.ram", size: 20 * mib}))
	assert.Equal(t, []physmem.Range{{Size: 20 * mib}}, m.Ranges())
	require.NotEmpty(t, m.Oddities())
	assert.Contains(t, m.Oddities()[0].Text, "placed as the type of the machine has it")
	_, err := physmemtest.Open(guest("sbsa-ref", 0, 0, blockSize{name: "sbsa-ref.ram", size: 2 * mib}))
	require.ErrorIs(t, err, physmem.ErrUnsupported)
	m = openAll(t, guest("virt-9.0", 0, 0, blockSize{name: "mach-virt.ram", size: 2 * mib}))
	assert.Equal(t, []physmem.Range{{Start: 1 << 30, Size: 2 * mib}}, m.Ranges(), "there is no other place")
	assert.Empty(t, m.Oddities())
}

// TestFixed opens a mapped-ram stream.
func TestFixed(t *testing.T) {
	t.Parallel()
	file, memory := mapped()
	m := openAll(t, file)
	assert.Empty(t, m.Oddities())
	checkMemory(t, m, memory)
	assert.Contains(t, m.Describe(), "mapped-ram")
	m = openAll(t, withLibvirtAt(file))
	checkMemory(t, m, memory)
}

// mapped writes a guest of 70 pages in the form mapped-ram.
func mapped() (file, memory []byte) { return mappedAt(0) }

// mappedAt is mapped of a stream that begins at a file offset, from which on it is
// returned.
func mappedAt(base int) (file, memory []byte) {
	const pages = 0x180
	w := writer{capabilities: []string{"mapped-ram"}}
	w.begin("pc-q35-10.0")
	header := make([]byte, 28)
	be := binary.BigEndian
	pagesAt := mib
	be.PutUint32(header, 1)
	be.PutUint64(header[4:], 4096)
	be.PutUint64(header[20:], uint64(base+pagesAt))
	w.mark()
	w.u8(1)
	w.u32(ramID)
	w.name("ram")
	w.u32(0)
	w.u32(4)
	w.u64(pages<<12 | 4)
	w.name("pc.ram")
	w.u64(pages << 12)
	bitmapAt := w.Len() + 28
	be.PutUint64(header[12:], uint64(base+bitmapAt))
	w.Write(header)
	bitmap := make([]byte, (pages+63)/64*8)
	memory = make([]byte, pages<<12)
	area := make([]byte, pages<<12)
	for i := range pages {
		copy(area[i<<12:], content(i, 1)) // an old content where the bitmap has none
		if i%5 != 2 {
			bitmap[i/8] |= 1 << (i % 8)
			copy(memory[i<<12:], content(i, 1))
		}
	}
	w.Write(bitmap)
	w.Write(make([]byte, pagesAt-w.Len()))
	w.Write(area)
	w.u64(0x10)
	w.footer(ramID)
	w.part(true, func() {})
	w.clock(pages*4, 0)
	w.cpu(0)
	return w.end(), memory
}

// withLibvirtAt is a mapped-ram stream behind libvirt's header: its offsets are those of
// the file.
func withLibvirtAt([]byte) []byte {
	const base = 0x5c + 142
	file, _ := mappedAt(base)
	return withLibvirt("LibvirtQemudSave", 6, file)
}

// TestLibvirt opens what libvirt saves.
func TestLibvirt(t *testing.T) {
	t.Parallel()
	var w writer
	stream, memory := small(&w)
	m := openAll(t, withLibvirt("LibvirtQemudSave", 0, stream))
	checkMemory(t, m, memory)
	assert.Empty(t, m.Oddities())
	assert.Equal(t, `libvirt save file of the guest "x", which ran, QEMU migration stream (pages compressed), machine pc-i440fx-7.2`, m.Describe())
	assert.Equal(t, physmem.State{Product: "libvirt", Guest: "x", MachineType: "pc-i440fx-7.2", Encoding: "pages compressed"}, m.State())

	m = openAll(t, withLibvirt("LibvirtQemudPart", 0, stream))
	require.Len(t, m.Oddities(), 1)
	assert.Equal(t, physmem.OddityTruncated, m.Oddities()[0].Kind)

	for format, want := range map[int]string{4: "packed with lzop; unpack the stream: tail -c +235 FILE | lzop -dc > STREAM", 9: "not known, 9"} {
		_, err := physmemtest.Open(withLibvirt("LibvirtQemudSave", format, stream))
		require.ErrorIs(t, err, physmem.ErrUnsupported)
		assert.ErrorContains(t, err, want)
	}
}

// TestCut cuts the stream at every structure and between: what is left is read, or the
// error says that the file is cut.
func TestCut(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		w := writer{noFooters: old, noDescription: old, noConfiguration: old}
		file, memory := small(&w)
		for i, at := range w.marks {
			if at > 0x1000 && i%64 != 0 && at < len(file)-0x3000 {
				continue // one record is as another
			}
			for _, n := range []int{at, at + 1, at + 5} {
				m, err := physmemtest.Open(file[:min(n, len(file)-1)])
				if err != nil {
					var bad *physmem.FormatError
					if errors.As(err, &bad) {
						assert.NotNil(t, bad.Cut, err)
					} else {
						require.ErrorIs(t, err, physmem.ErrUnsupported)
					}
					continue
				}
				if !old && n <= w.marks[len(w.marks)-1] {
					require.NotEmpty(t, m.Oddities())
				}
				for _, r := range m.Ranges() {
					require.LessOrEqual(t, r.End(), uint64(len(memory)))
				}
			}
		}
	}
}

// TestDamagedDevice: a stream whose end is there is not cut, though a device in it has no
// end.
func TestDamagedDevice(t *testing.T) {
	t.Parallel()
	var w writer
	file, memory := small(&w)
	file[w.marks[len(w.marks)-1]-1]++ // the last footer's id
	m := openAll(t, file)
	checkMemory(t, m, memory)
	require.Len(t, m.Oddities(), 1)
	assert.Equal(t, physmem.OddityNoteSkipped, m.Oddities()[0].Kind)
	assert.Contains(t, m.Oddities()[0].Text, "can't be told apart")
}

// TestCancelled: an open ends with its context.
func TestCancelled(t *testing.T) {
	t.Parallel()
	var w writer
	file, _ := small(&w)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	src := physmem.NewSource("", cancelling{bytes.NewReader(file), func() { cancel(why) }}, int64(len(file)))
	_, err := migration.Opener().Open(ctx, src)
	require.ErrorIs(t, err, why)
}

// cancelling cancels when something far in the file is read.
type cancelling struct {
	io.ReaderAt
	cancel func()
}

func (c cancelling) ReadAt(p []byte, off int64) (int, error) {
	if off > 0 {
		c.cancel()
	}
	return c.ReaderAt.ReadAt(p, off)
}
