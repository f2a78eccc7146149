package physmem_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// load is a PT_LOAD of a built file.
type load struct {
	vaddr, paddr, filesz, memsz uint64
	off                         uint64 // file offset; in a builder, from the start of memory if relative
}

// note is a note of a built file.
type note struct {
	name string
	typ  uint32
	desc []byte
}

// builder lays out an ELF core as QEMU 7.2 does: ELF header with e_ehsize 8,
// two section headers, program headers, notes, memory, ".shstrtab". Memory
// begins right behind the notes and is not aligned.
type builder struct {
	notes  []note
	loads  []load // off is relative to the start of memory
	memory []byte
	// memorySize says how large the memory is when it is not in memory.
	memorySize uint64

	xnum      bool // force PN_XNUM
	notesLast bool // notes behind the memory
	twoNotes  bool // a PT_NOTE for the first note and one for the others
	mutate    func(h *elf.Header64)
}

const (
	shoff    = 0x40
	phoff    = 0xc0
	shstrtab = "\x00.shstrtab\x00"
)

func encode(v any) []byte {
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		panic(err)
	}
	return b
}

func (n note) encode() []byte {
	name := append([]byte(n.name), 0)
	b := encode([3]uint32{uint32(len(name)), uint32(len(n.desc)), n.typ})
	for _, part := range [][]byte{name, n.desc} {
		b = append(b, part...)
		b = append(b, make([]byte, -len(part)&3)...)
	}
	return b
}

// noteBytes returns the notes, and the size of the first one.
func (b *builder) noteBytes() (all []byte, first int) {
	for i, n := range b.notes {
		all = append(all, n.encode()...)
		if i == 0 {
			first = len(all)
		}
	}
	return all, first
}

// memoryOffset returns the file offset of the memory.
func (b *builder) memoryOffset() uint64 {
	notes, _ := b.noteBytes()
	n := uint64(phoff + 56*b.phnum())
	if !b.notesLast {
		n += uint64(len(notes))
	}
	return n
}

func (b *builder) phnum() int {
	if b.twoNotes {
		return len(b.loads) + 2
	}
	return len(b.loads) + 1
}

// build returns the file.
func (b *builder) build() []byte {
	notes, first := b.noteBytes()
	memAt := b.memoryOffset()
	notesAt := uint64(phoff + 56*b.phnum())
	strAt := memAt + max(uint64(len(b.memory)), b.memorySize)
	if b.notesLast {
		notesAt = strAt
		strAt += uint64(len(notes))
	}
	h := elf.Header64{
		Type: uint16(elf.ET_CORE), Machine: uint16(elf.EM_X86_64), Version: 1,
		Phoff: phoff, Shoff: shoff, Ehsize: 8, Phentsize: 56, Phnum: uint16(b.phnum()),
		Shentsize: 64, Shnum: 2, Shstrndx: 1,
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = 2, 1, 1
	var section0 elf.Section64
	if b.xnum || b.phnum() >= 0xffff {
		h.Phnum = 0xffff
		section0.Info = uint32(b.phnum())
	}
	if b.mutate != nil {
		b.mutate(&h)
	}
	var out bytes.Buffer
	out.Write(encode(h))
	out.Write(encode(section0))
	out.Write(encode(elf.Section64{Name: 1, Type: uint32(elf.SHT_STRTAB), Off: strAt, Size: uint64(len(shstrtab))}))
	split := uint64(len(notes))
	if b.twoNotes {
		split = uint64(first)
	}
	pt := elf.Prog64{Type: uint32(elf.PT_NOTE), Off: notesAt, Filesz: split, Memsz: split}
	out.Write(encode(pt))
	for _, l := range b.loads {
		out.Write(encode(elf.Prog64{
			Type: uint32(elf.PT_LOAD), Off: memAt + l.off, Vaddr: l.vaddr, Paddr: l.paddr, Filesz: l.filesz, Memsz: l.memsz,
		}))
	}
	if b.twoNotes {
		pt.Off, pt.Filesz, pt.Memsz = notesAt+split, uint64(len(notes))-split, uint64(len(notes))-split
		out.Write(encode(pt))
	}
	parts := [][]byte{notes, b.memory}
	if b.notesLast {
		parts = [][]byte{b.memory, notes}
	}
	for _, p := range parts {
		out.Write(p)
	}
	out.WriteString(shstrtab)
	return out.Bytes()
}

// open opens the built file.
func (b *builder) open(tb testing.TB) *physmem.Image {
	tb.Helper()
	m, err := openBytes(b.build())
	require.NoError(tb, err)
	return m
}

func openBytes(file []byte) (*physmem.Image, error) {
	return physmem.New(bytes.NewReader(file), int64(len(file)))
}

// pattern returns memory in which every 8 bytes tell their own place.
func pattern(start, size uint64) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = patternAt(start + uint64(i))
	}
	return b
}

// patternAt is the byte at a physical address of pattern.
func patternAt(pa uint64) byte {
	x := (pa>>3 + 1) * 0x9e3779b97f4a7c15
	return byte(x >> (8 * (pa & 7)))
}

// coreNote returns the CORE NT_PRSTATUS note of a processor whose registers
// are seed+their position.
func coreNote(id uint32, seed uint64) note {
	d := make([]byte, 336)
	binary.LittleEndian.PutUint32(d[32:], id+1)
	// r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip
	// cs eflags rsp ss fs_base gs_base ds es fs gs
	order := []uint64{15, 14, 13, 12, 7, 1, 11, 10, 9, 8, 0, 2, 3, 4, 5, 99, 16, 0x10, 17, 6, 0x18, 103, 104, 0x2b, 0x2b, 0x53, 0x2b}
	for i, v := range order {
		if v < 0x10 || v == 16 || v == 17 || v >= 99 {
			v += seed
		}
		if i == 17 || i == 20 || i >= 23 { // selectors
			v = order[i]
		}
		binary.LittleEndian.PutUint64(d[112+8*i:], v)
	}
	return note{"CORE", 1, d}
}

// qemuNote returns the QEMU note that agrees with coreNote.
func qemuNote(seed uint64, size int) note {
	d := make([]byte, 440)
	le := binary.LittleEndian
	le.PutUint32(d, 1)
	le.PutUint32(d[4:], uint32(size))
	// rax rbx rcx rdx rsi rdi rsp rbp r8-r15 rip rflags
	for i := range uint64(18) {
		le.PutUint64(d[8+8*i:], seed+i)
	}
	// cs ds es fs gs ss ldt tr gdt idt
	for i, sel := range []uint32{0x10, 0x2b, 0x2b, 0x53, 0x2b, 0x18, 0, 0x40, 0, 0} {
		at := 0x98 + 24*i
		le.PutUint32(d[at:], sel)
		le.PutUint32(d[at+4:], uint32(0x1000+i))
		le.PutUint32(d[at+8:], uint32(0x209b00+i))
		le.PutUint64(d[at+16:], seed+100+uint64(i))
	}
	for i := range uint64(5) {
		le.PutUint64(d[0x188+8*i:], seed+200+i)
	}
	le.PutUint64(d[0x1b0:], seed+300)
	return note{"QEMU", 0, d[:size]}
}

// cpuNotes returns the notes of n processors in QEMU's order.
func cpuNotes(n int) []note {
	var out []note
	for i := range n {
		out = append(out, coreNote(uint32(i), seedOf(i)))
	}
	for i := range n {
		out = append(out, qemuNote(seedOf(i), 440))
	}
	return out
}

func seedOf(cpu int) uint64 { return 0xfffff80000000000 + uint64(cpu)<<16 }
