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
	"windmp/physmem/physmemtest"
)

// guest32 is a core of a 32-bit machine with two processors.
func guest32() *builder {
	b := twoBlocks(0)
	b.notes = []fixture.Note{
		fixture.Core32Note(0, 0x80001000), fixture.Core32Note(1, 0x80002000), fixture.QEMUNote(0x80001000, 440), fixture.QEMUNote(0x80002000, 440),
		fixture.NewNote("VMCOREINFO", 0, bytes.Repeat([]byte("PAGEDUMP"), 0x200)),
	}
	b.mutate = func(h *elf.Header64) { h.Machine = uint16(elf.EM_386) }
	return b
}

// elf32 is the file of the builder with the tables of ELF32, which are smaller:
// what follows keeps its place.
func (b *builder) elf32(tb testing.TB) []byte {
	tb.Helper()
	file := b.build()
	var h elf.Header64
	_, err := binary.Decode(file, binary.LittleEndian, &h)
	require.NoError(tb, err)
	n := elf.Header32{
		Ident: h.Ident, Type: h.Type, Machine: h.Machine, Version: h.Version, Phoff: uint32(h.Phoff), Shoff: uint32(h.Shoff),
		Ehsize: h.Ehsize, Phentsize: 32, Phnum: h.Phnum, Shentsize: 40, Shnum: h.Shnum, Shstrndx: h.Shstrndx,
	}
	n.Ident[elf.EI_CLASS] = byte(elf.ELFCLASS32)
	var sections [2]elf.Section64
	_, err = binary.Decode(file[h.Shoff:], binary.LittleEndian, &sections)
	require.NoError(tb, err)
	progs := make([]elf.Prog64, b.phnum())
	_, err = binary.Decode(file[h.Phoff:], binary.LittleEndian, &progs)
	require.NoError(tb, err)
	copy(file, fixture.Encode(n))
	for i, s := range sections {
		copy(file[int(h.Shoff)+40*i:], fixture.Encode(elf.Section32{
			Name: s.Name, Type: s.Type, Off: uint32(s.Off), Size: uint32(s.Size), Info: s.Info,
		}))
	}
	for i, p := range progs {
		copy(file[int(h.Phoff)+32*i:], fixture.Encode(elf.Prog32{
			Type: p.Type, Off: uint32(p.Off), Vaddr: uint32(p.Vaddr), Paddr: uint32(p.Paddr),
			Filesz: uint32(p.Filesz), Memsz: uint32(p.Memsz),
		}))
	}
	return file
}

func TestOpen32(t *testing.T) {
	t.Parallel()
	xnum := guest32()
	xnum.xnum = true
	for name, tt := range map[string]struct {
		file     []byte
		describe string
	}{
		"EM_386 in ELF64": {guest32().build(), "ELF64 vmcore of QEMU, 32-bit guest, 3 program headers, 2 CPUs"},
		"ELF32":           {guest32().elf32(t), "ELF32 vmcore of QEMU, 32-bit guest, 3 program headers, 2 CPUs"},
		"ELF32, PN_XNUM":  {xnum.elf32(t), "ELF32 vmcore of QEMU, 32-bit guest, 3 program headers, 2 CPUs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := physmemtest.Open(tt.file)
			require.NoError(t, err)
			assert.Empty(t, m.Oddities())
			assert.Equal(t, physmem.MachineX86, m.Machine())
			assert.Equal(t, tt.describe, m.Describe())
			assert.Equal(t, twoBlockRanges, m.Ranges())
			p := make([]byte, 0x100)
			_, err = m.ReadAt(p, 0x10010)
			require.NoError(t, err)
			assert.Equal(t, fixture.Pattern(0x10010, 0x100), p)
			assert.Len(t, m.GuestNote().Desc, 0x1000)

			require.Len(t, m.CPUs(), 2)
			for i, c := range m.CPUs() {
				seed := 0x80001000 + 0x1000*uint64(i)
				want := wantCPU(i, uint32(i), seed)
				want.NoteOffset, physmem.X86Of(want).Is32 = c.NoteOffset, true
				assert.Equal(t, want, c)
				assert.Equal(t, seed+103, physmem.X86Of(c).KernelFS(), "the base of FS in QEMU's note")
			}
		})
	}
}

// TestELF32AgainstDebugELF: the standard library reads the same.
func TestELF32AgainstDebugELF(t *testing.T) {
	t.Parallel()
	file := guest32().elf32(t)
	std, err := elf.NewFile(bytes.NewReader(file))
	require.NoError(t, err)
	m, err := physmemtest.Open(file)
	require.NoError(t, err)
	var want []physmem.Extent
	for _, p := range std.Progs {
		if p.Type == elf.PT_LOAD {
			want = append(want, physmem.Extent{Range: physmem.Range{Start: p.Paddr, Size: p.Filesz}, Offset: int64(p.Off)})
		}
	}
	assert.Equal(t, want, slices.Collect(m.Extents(0)))
}

func TestCPU32WithoutQEMUNote(t *testing.T) {
	t.Parallel()
	b := guest32()
	b.notes = b.notes[:1]
	m := b.open(t)
	require.Len(t, m.CPUs(), 1)
	c := physmem.X86Of(m.CPUs()[0])
	assert.True(t, c.Is32)
	assert.False(t, c.HasSystem)
	assert.Equal(t, []uint64{0x80001000, 0x80001010, 0x80001006, 0x80001011}, []uint64{c.Rax, c.Rip, c.Rsp, c.Rflags})
	assert.Equal(t, []uint16{0x10, 0x18, 0x53}, []uint16{c.CS.Selector, c.SS.Selector, c.FS.Selector})
	assert.Zero(t, c.KernelFS())
	c.CS.Selector, c.FS.Base = 0x1b, 0x7ffde000
	assert.Zero(t, c.KernelFS(), "a user's FS is the TEB")

	// A 64-bit note in a 32-bit core is none.
	b.notes = []fixture.Note{fixture.CoreNote(0, 1)}
	m = b.open(t)
	assert.Empty(t, m.CPUs())
	require.Len(t, m.Oddities(), 1)
	assert.Contains(t, m.Oddities()[0].Detail, "CORE note of 0x150 bytes, want 0x90")
}

func TestCPUs32Disagree(t *testing.T) {
	t.Parallel()
	b := guest32()
	b.notes[2] = fixture.QEMUNote(0x80001001, 440)
	m := b.open(t)
	require.Len(t, m.Oddities(), 1)
	assert.Contains(t, m.Oddities()[0].Detail, "0x80001001 in QEMU's and 0x80001000 in CORE's")
}

func TestPAE(t *testing.T) {
	t.Parallel()
	assert.True(t, (&physmem.X86{CR4: 0x6f9}).PAE())
	assert.False(t, (&physmem.X86{CR4: 0x6d9}).PAE())
	assert.NotEqual(t, physmem.MachineX86, twoBlocks(1).open(t).Machine())
}

func TestMalformedELF32(t *testing.T) {
	t.Parallel()
	le := binary.LittleEndian
	for name, tt := range map[string]struct {
		change func(file []byte)
		want   string
	}{
		"phentsize": {func(b []byte) { le.PutUint16(b[0x2a:], 56) }, "e_phentsize at file offset 0x2a: got 0x38, want 0x20"},
		"phoff":     {func(b []byte) { le.PutUint32(b[0x1c:], 0xfffffff0) }, "program headers at file offset 0x1c: got 0x3 of 0x20 bytes at 0xfffffff0"},
		"no phnum":  {func(b []byte) { le.PutUint16(b[0x2c:], 0) }, "e_phnum at file offset 0x2c"},
		"xnum, shentsize": {func(b []byte) {
			le.PutUint16(b[0x2c:], 0xffff)
			le.PutUint16(b[0x2e:], 64)
		}, "e_shentsize is 0x40 and not 0x28"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := guest32().elf32(t)
			tt.change(file)
			_, err := physmemtest.Open(file)
			var fe *physmem.FormatError
			require.ErrorAs(t, err, &fe)
			assert.ErrorContains(t, err, tt.want)
		})
	}
}
