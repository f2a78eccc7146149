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

// twoBlocks is a guest with RAM at [0, 0x5000) and [0x10000, 0x13000).
func twoBlocks(cpus int) *builder {
	return &builder{
		notes: fixture.CPUNotes(cpus),
		loads: []load{
			{vaddr: 0, paddr: 0, filesz: 0x5000, memsz: 0x5000, off: 0},
			{vaddr: 0x10000, paddr: 0x10000, filesz: 0x3000, memsz: 0x3000, off: 0x5000},
		},
		memory: append(fixture.Pattern(0, 0x5000), fixture.Pattern(0x10000, 0x3000)...),
	}
}

var twoBlockRanges = []physmem.Range{{Start: 0, Size: 0x5000}, {Start: 0x10000, Size: 0x3000}}

func TestOpenELF(t *testing.T) {
	t.Parallel()
	guest := fixture.NewNote("VMCOREINFO", 0, bytes.Repeat([]byte("PAGEDU64"), 0x400))
	for name, change := range map[string]func(*builder){
		"as QEMU writes it":        func(*builder) {},
		"notes behind the memory":  func(b *builder) { b.notesLast = true },
		"two PT_NOTE headers":      func(b *builder) { b.twoNotes = true },
		"PN_XNUM":                  func(b *builder) { b.xnum = true },
		"EI_VERSION 0, VirtualBox": func(b *builder) { b.mutate = func(h *elf.Header64) { h.Ident[elf.EI_VERSION] = 0 } },
		"e_version 0":              func(b *builder) { b.mutate = func(h *elf.Header64) { h.Version = 0 } },
		"e_ehsize 64":              func(b *builder) { b.mutate = func(h *elf.Header64) { h.Ehsize = 64 } },
		"no sections, QEMU 7.1": func(b *builder) {
			b.mutate = func(h *elf.Header64) { h.Shoff, h.Shnum, h.Shentsize, h.Shstrndx = 0, 0, 0, 0 }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := twoBlocks(2)
			b.notes = append(b.notes, guest)
			change(b)
			file := b.build()
			m, err := physmemtest.Open(file)
			require.NoError(t, err)
			assert.Equal(t, physmem.FormatELF, m.Format())
			assert.Equal(t, int64(len(file)), m.FileSize())
			assert.Contains(t, m.Describe(), "ELF64 vmcore of QEMU, ")
			assert.Contains(t, m.Describe(), ", 2 CPUs")
			assert.Empty(t, m.Oddities())
			assert.Equal(t, twoBlockRanges, m.Ranges())
			require.Len(t, m.CPUs(), 2)
			require.NotNil(t, m.GuestNote())
			assert.Equal(t, guest.Desc, m.GuestNote().Desc)
			assert.Equal(t, guest.Desc, file[m.GuestNote().Offset:][:len(guest.Desc)])
			p := make([]byte, 0x100)
			_, err = m.ReadAt(p, 0x10010)
			require.NoError(t, err)
			assert.Equal(t, fixture.Pattern(0x10010, 0x100), p)
			assert.Nil(t, place(&m, []physmem.Range{{Start: 0, Size: 0x20000}}), "nothing to recover with paging off")
			require.NoError(t, m.Close())
		})
	}
}

// TestAgainstDebugELF compares the program headers with the standard library's
// reading of the same file, where that can read it.
func TestAgainstDebugELF(t *testing.T) {
	t.Parallel()
	for _, b := range []*builder{twoBlocks(1), twoBlocks(4)} {
		file := b.build()
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
}

func TestRefusedELF(t *testing.T) {
	t.Parallel()
	be := func(h *elf.Header64) {
		h.Ident[elf.EI_DATA] = byte(elf.ELFDATA2MSB)
		h.Type, h.Machine = h.Type<<8, h.Machine<<8
	}
	for name, c := range map[string]struct {
		mutate func(h *elf.Header64)
		what   string
	}{
		"executable":      {func(h *elf.Header64) { h.Type = 2 }, "an ELF executable (EM_X86_64), not a memory core"},
		"shared object":   {func(h *elf.Header64) { h.Type = 3 }, "an ELF shared object or executable (EM_X86_64), not a memory core"},
		"object":          {func(h *elf.Header64) { h.Type = 1 }, "an ELF object file (EM_X86_64), not a memory core"},
		"type 9":          {func(h *elf.Header64) { h.Type = 9 }, "an ELF file of type 9 (EM_X86_64), not a memory core"},
		"another machine": {func(h *elf.Header64) { h.Machine = 8 }, "an ELF core of another machine (EM_MIPS); only x86 and 64-bit Arm are read"},
		"machine 0x4321":  {func(h *elf.Header64) { h.Machine = 0x4321 }, "an ELF core of another machine (machine number 17185); only x86 and 64-bit Arm are read"},
		"x86-64 in ELF32": {func(h *elf.Header64) { h.Ident[elf.EI_CLASS] = 1 }, "a 32-bit ELF core (EM_X86_64); only 64-bit ones are read"},
		"big-endian":      {be, "a big-endian ELF core (EM_X86_64); Windows guests are little-endian"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := twoBlocks(1)
			b.mutate = c.mutate
			_, err := physmemtest.Open(b.build())
			require.ErrorIs(t, err, physmem.ErrUnsupported)
			require.NotErrorIs(t, err, physmem.ErrUnknownFormat)
			var ue *physmem.UnsupportedError
			require.ErrorAs(t, err, &ue)
			assert.Equal(t, c.what, ue.What)
			assert.Equal(t, physmem.FormatELF, ue.Format)
		})
	}
}

func TestMalformedELF(t *testing.T) {
	t.Parallel()
	xnum := func(f func(h *elf.Header64)) func(h *elf.Header64) {
		return func(h *elf.Header64) { h.Phnum = 0xffff; f(h) }
	}
	for name, c := range map[string]struct {
		mutate func(h *elf.Header64)
		field  string
	}{
		"class 7":             {func(h *elf.Header64) { h.Ident[elf.EI_CLASS] = 7 }, "ELF header: EI_CLASS"},
		"data 0":              {func(h *elf.Header64) { h.Ident[elf.EI_DATA] = 0 }, "ELF header: EI_DATA"},
		"EI_VERSION 2":        {func(h *elf.Header64) { h.Ident[elf.EI_VERSION] = 2 }, "ELF header: EI_VERSION"},
		"e_version 2":         {func(h *elf.Header64) { h.Version = 2 }, "ELF header: e_version"},
		"no program header":   {func(h *elf.Header64) { h.Phnum = 0 }, "ELF header: e_phnum"},
		"e_phentsize 32":      {func(h *elf.Header64) { h.Phentsize = 32 }, "ELF header: e_phentsize"},
		"e_phoff wraps":       {func(h *elf.Header64) { h.Phoff = 0xfffffffffffffff0 }, "program headers"},
		"e_phoff behind":      {func(h *elf.Header64) { h.Phoff = 1 << 40 }, "program headers"},
		"e_phnum too many":    {func(h *elf.Header64) { h.Phnum = 0xfffe }, "program headers"},
		"xnum, no sections":   {xnum(func(h *elf.Header64) { h.Shoff = 0 }), "ELF header: e_phnum"},
		"xnum, e_shentsize":   {xnum(func(h *elf.Header64) { h.Shentsize = 40 }), "ELF header: e_phnum"},
		"xnum, e_shoff wraps": {xnum(func(h *elf.Header64) { h.Shoff = 0xfffffffffffffff0 }), "ELF header: e_phnum"},
		"xnum, sh_info 0":     {xnum(func(*elf.Header64) {}), "ELF header: e_phnum"},
		// sh_info is then 8 bytes of the notes: more than the cap.
		"xnum, over the cap": {xnum(func(h *elf.Header64) { h.Shoff = 0x40 + 64 }), "program headers"},
		// Section 1's headers read as program headers: no PT_LOAD among them.
		"no memory": {func(h *elf.Header64) { h.Phoff, h.Phnum = 0x40, 1 }, "program headers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := twoBlocks(1)
			b.mutate = c.mutate
			file := b.build()
			if name == "xnum, over the cap" {
				binary.LittleEndian.PutUint32(file[0x40+64+44:], 1<<22+1)
			}
			m, err := physmemtest.Open(file)
			require.Nil(t, m)
			var fe *physmem.FormatError
			require.ErrorAs(t, err, &fe)
			assert.Equal(t, c.field, fe.Field)
			assert.Equal(t, physmem.FormatELF, fe.Format)
		})
	}
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	b := twoBlocks(1)
	b.mutate = func(h *elf.Header64) { h.Phoff = 1 << 40 }
	_, err := physmemtest.Open(b.build())
	require.EqualError(t, err, "the file is cut: it ends after 33 KiB; elf: program headers at file offset 0x20: got 0x3 of 0x38 bytes at 0x10000000000: "+
		"the file ends at 0x84a3; Copy the file again, or dump again with enough space.")
	b.mutate = func(h *elf.Header64) { h.Phnum = 0xffff }
	_, err = physmemtest.Open(b.build())
	require.EqualError(t, err, "elf: ELF header: e_phnum at file offset 0x38: got 0xffff: "+
		"the count must be in section header 0: its sh_info is 0")
	_, err = twoBlocks(1).open(t).ReadAt(make([]byte, 1), 0x5000)
	require.EqualError(t, err, "guest physical memory at 0x5000 (0xb000 bytes) is not in the image")
	_, err = twoBlocks(1).open(t).ReadAt(make([]byte, 1), 0x13000)
	require.EqualError(t, err, "guest physical memory at 0x13000 and all behind it is not in the image")
}

// TestTruncatedMetadata cuts a valid file at every byte up to its memory: there
// is nothing to use, and that is said.
func TestTruncatedMetadata(t *testing.T) {
	t.Parallel()
	b := twoBlocks(2)
	file := b.build()
	mem := int(b.memoryOffset())
	for n := range mem + 1 {
		m, err := physmemtest.Open(file[:n])
		if err == nil || m != nil {
			require.Fail(t, "opened", "cut at 0x%x", n)
		}
	}
	m, err := physmemtest.Open(file[:mem+1])
	require.NoError(t, err)
	assert.Equal(t, []physmem.Range{{Start: 0, Size: 1}}, m.Ranges())
	require.Len(t, m.Oddities(), 1)
	odd := m.Oddities()[0]
	assert.Equal(t, physmem.OddityTruncated, odd.Kind)
	assert.Contains(t, odd.Text, "the file is cut: 32 of 34 KiB are missing")
	assert.Contains(t, odd.Detail, "0x7fff bytes of 2 program headers")
}

// TestTruncatedNotes cuts a file whose notes come last: memory stays usable.
func TestTruncatedNotes(t *testing.T) {
	t.Parallel()
	b := twoBlocks(2)
	b.notesLast = true
	file := b.build()
	end := len(file) - len(shstrtab)
	notes, _ := b.noteBytes()
	for n := end - len(notes); n < end; n++ {
		m, err := physmemtest.Open(file[:n])
		require.NoError(t, err, "cut at 0x%x", n)
		if odd := m.Oddities(); len(odd) == 0 || odd[0].Kind != physmem.OddityTruncated || !slices.Equal(m.Ranges(), twoBlockRanges) {
			require.Fail(t, "other memory, or nothing odd", "cut at 0x%x: %v, %v", n, m.Ranges(), odd)
		}
	}
}

// TestGiant opens a guest of a tebibyte with RAM far above 4 GiB.
func TestGiant(t *testing.T) {
	t.Parallel()
	const low, high = 3 << 30, 1<<40 - 3<<30
	b := &builder{
		notes: fixture.CPUNotes(1),
		loads: []load{
			{paddr: 0, filesz: low, memsz: low},
			{paddr: 4 << 30, filesz: high, memsz: high, off: low},
		},
	}
	head := b.build()
	size := int64(b.memoryOffset() + low + high)
	m, err := physmemtest.OpenReader(fixture.Sparse{Head: head[:len(head)-len(shstrtab)], Size: size}, size, open.Options{})
	require.NoError(t, err)
	assert.Empty(t, m.Oddities())
	assert.Equal(t, []physmem.Range{{Start: 0, Size: low}, {Start: 4 << 30, Size: high}}, m.Ranges())
	p := make([]byte, 0x1000)
	n, err := m.ReadAt(p, 4<<30+high-0x800)
	assert.Equal(t, 0x800, n)
	require.ErrorIs(t, err, physmem.ErrNotInImage)
	_, err = m.ReadAt(p, 4<<30)
	require.NoError(t, err)
}

// TestManyProgramHeaders needs the count of section header 0.
func TestManyProgramHeaders(t *testing.T) {
	t.Parallel()
	file := scattered(0x10005).build()
	m, err := physmemtest.Open(file)
	require.NoError(t, err)
	assert.Len(t, slices.Collect(m.Extents(0)), 0x10005)
	assert.Empty(t, m.Oddities())
	std, err := elf.NewFile(bytes.NewReader(file))
	require.NoError(t, err)
	assert.Len(t, std.Progs, 0xffff, "if this fails, the standard library has learned PN_XNUM")
}

// scattered is a guest with n ranges of one byte each.
func scattered(n int) *builder {
	b := &builder{notes: fixture.CPUNotes(1), memory: make([]byte, n)}
	for i := range uint64(n) {
		b.loads = append(b.loads, load{paddr: 2 * i, filesz: 1, memsz: 1, off: i})
	}
	return b
}
