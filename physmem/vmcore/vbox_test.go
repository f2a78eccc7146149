package vmcore_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// vboxFile lays out a core as VirtualBox' DBGFCoreWrite.cpp does: ELF header
// with EI_VERSION 0 and no sections, one PT_NOTE, PT_LOADs (of device memory
// with p_filesz 0), notes whose names count no NUL and are padded to 8, memory.
// Every offset is written by hand.
type vboxFile struct {
	format, version uint32
	count           uint32 // processors in the VBCORE note
	cpus            [][]byte
	loads           []load         // those with filesz 0 are device memory; off is not used
	notes           []fixture.Note // more notes behind
	noCore          bool
	magic           uint32
}

// vboxNote is a note as VirtualBox writes it.
func vboxNote(name string, typ uint32, desc []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(name)))
	b = binary.LittleEndian.AppendUint32(b, uint32((len(desc)+7)&^7))
	b = binary.LittleEndian.AppendUint32(b, typ)
	for _, part := range [][]byte{[]byte(name), desc} {
		b = append(b, part...)
		b = append(b, make([]byte, -len(part)&7)...)
	}
	return b
}

func (f *vboxFile) build() []byte {
	le := binary.LittleEndian
	var notes []byte
	if !f.noCore {
		d := make([]byte, 24)
		for i, v := range []uint32{f.magic, f.format, 24, f.version, 160000, f.count} {
			le.PutUint32(d[4*i:], v)
		}
		notes = vboxNote("VBCORE", 0xb00, d)
	}
	for _, c := range f.cpus {
		notes = append(notes, vboxNote("VBCPU", 0xb01, c)...)
	}
	for _, n := range f.notes {
		notes = append(notes, vboxNote(n.Name, n.Type, n.Desc)...)
	}
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01")
	le.PutUint16(b[16:], 4)
	le.PutUint16(b[18:], 62)
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], uint16(1+len(f.loads)))
	header := func(typ uint32, off, paddr, filesz, memsz uint64) {
		p := make([]byte, 56)
		le.PutUint32(p, typ)
		le.PutUint32(p[4:], 4) // PF_R
		for i, v := range []uint64{off, 0, paddr, filesz, memsz} {
			le.PutUint64(p[8+8*i:], v)
		}
		b = append(b, p...)
	}
	at := uint64(64 + 56*(1+len(f.loads)))
	header(4, at, 0, uint64(len(notes)), uint64(len(notes)))
	at += uint64(len(notes))
	for _, l := range f.loads {
		header(1, at, l.paddr, l.filesz, l.memsz)
		at += l.filesz
	}
	b = append(b, notes...)
	for _, l := range f.loads {
		b = append(b, fixture.Pattern(l.paddr, l.filesz)...)
	}
	return b
}

// vboxRegisters is a DBGFCORECPU of format 1.5 or 1.6 in which every register
// is seed plus its place in it, but for the selectors.
func vboxRegisters(format uint32, seed uint64) []byte {
	le := binary.LittleEndian
	size, shift := 0x2240, 0
	if format == 0x10006 {
		size, shift = 0x2248, 8
	}
	d := make([]byte, size)
	for at := 0; at < 0x90; at += 8 {
		le.PutUint64(d[at:], seed+uint64(at))
	}
	// cs ds es fs gs ss, then ldtr tr
	for i, at := range []int{0x90, 0xa8, 0xc0, 0xd8, 0xf0, 0x108, 0x1a0, 0x1b8} {
		le.PutUint64(d[at:], seed+uint64(at))
		le.PutUint32(d[at+8:], uint32(at+8))
		le.PutUint32(d[at+12:], []uint32{0xa09b, 0xc0f3, 0x10000, 0x40f3, 0xc0f3, 0x4093, 0x82, 0x8b}[i])
		le.PutUint16(d[at+16:], []uint16{0x10, 0x2b, 0, 0x53, 0x2b, 0x18, 0, 0x40}[i])
		le.PutUint16(d[at+18:], 0xdead)
	}
	for at := 0x120; at < 0x180; at += 8 {
		le.PutUint64(d[at:], seed+uint64(at))
	}
	for _, at := range []int{0x180, 0x190} { // gdtr idtr
		le.PutUint64(d[at:], seed+uint64(at))
		le.PutUint32(d[at+8:], uint32(at+8))
	}
	for at := 0x1d0; at < 0x228+shift; at += 8 {
		le.PutUint64(d[at:], seed+uint64(at))
	}
	le.PutUint64(d[0x1e8:], seed+0x1e8|1<<10) // EFER.LMA: 64-bit
	le.PutUint64(d[0x228+shift:], 7)          // xcr0
	le.PutUint32(d[0x238+shift:], 0x340)
	for i := range 512 {
		d[0x240+shift+i] = byte(seed>>16) ^ byte(i*7)
	}
	return d
}

// wantVBox is what vboxRegisters says.
func wantVBox(index int, seed uint64, fx bool) physmem.CPU {
	at := func(off uint64) uint64 { return seed + off }
	s := func(off uint64, selector uint16, flags uint32) physmem.Segment {
		return physmem.Segment{Selector: selector, Limit: uint32(off + 8), Flags: flags, Base: seed + off}
	}
	c := &physmem.X86{
		Rax: at(0), Rbx: at(8), Rcx: at(0x10), Rdx: at(0x18), Rsi: at(0x20), Rdi: at(0x28),
		R8: at(0x30), R9: at(0x38), R10: at(0x40), R11: at(0x48), R12: at(0x50), R13: at(0x58), R14: at(0x60), R15: at(0x68),
		Rip: at(0x70), Rsp: at(0x78), Rbp: at(0x80), Rflags: at(0x88),
		CS: s(0x90, 0x10, 0xa09b00), DS: s(0xa8, 0x2b, 0xc0f300), ES: s(0xc0, 0, 0),
		FS: s(0xd8, 0x53, 0x40f300), GS: s(0xf0, 0x2b, 0xc0f300), SS: s(0x108, 0x18, 0x409300),
		LDT: s(0x1a0, 0, 0x8200), TR: s(0x1b8, 0x40, 0x8b00),
		GDT:       physmem.Segment{Base: at(0x180), Limit: 0x188},
		IDT:       physmem.Segment{Base: at(0x190), Limit: 0x198},
		HasSystem: true,
		CR0:       at(0x120), CR2: at(0x128), CR3: at(0x130), CR4: at(0x138),
		Debug: &physmem.DebugRegs{Dr0: at(0x140), Dr1: at(0x148), Dr2: at(0x150), Dr3: at(0x158), Dr6: at(0x170), Dr7: at(0x178)},
		MSR: &physmem.MSRs{
			EFER: at(0x1e8) | 1<<10, STAR: at(0x1f0), PAT: at(0x1f8), LSTAR: at(0x200), CSTAR: at(0x208), SFMASK: at(0x210),
		},
		KernelGSBase: at(0x218), HasKernelGSBase: true,
	}
	if fx {
		c.FX = make([]byte, 512)
		for i := range c.FX {
			c.FX[i] = byte(seed>>16) ^ byte(i*7)
		}
	}
	return physmem.CPU{Index: index, ID: uint32(index), Registers: c}
}

// vbox is a guest of two processors with device memory among its RAM.
func vbox(format uint32) *vboxFile {
	return &vboxFile{
		magic: 0xc01ac0de, format: format, version: 7<<24 | 0<<16 | 14, count: 2,
		cpus: [][]byte{vboxRegisters(format, fixture.SeedOf(0)), vboxRegisters(format, fixture.SeedOf(1))},
		loads: []load{
			{paddr: 0, filesz: 0x3000, memsz: 0x3000},
			{paddr: 0xe0000000, memsz: 0x1000000},
			{paddr: 0xfec00000, memsz: 0x1000},
			{paddr: 0x100000000, filesz: 0x2000, memsz: 0x2000},
		},
	}
}

var vboxRanges = []physmem.Range{{Start: 0, Size: 0x3000}, {Start: 0x100000000, Size: 0x2000}}

func TestVirtualBox(t *testing.T) {
	t.Parallel()
	for format, name := range map[uint32]string{0x10004: "1.4", 0x10005: "1.5", 0x10006: "1.6"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := physmemtest.Open(vbox(format).build())
			require.NoError(t, err)
			assert.Equal(t, physmem.FormatELF, m.Format())
			assert.Equal(t, "VirtualBox core (format "+name+", VirtualBox 7.0.14), 5 program headers, 2 CPUs", m.Describe())
			assert.Empty(t, fixture.Untried(t, m))
			assert.Nil(t, m.GuestNote())
			require.NoError(t, physmemtest.Test(m, vboxRanges, fixture.PatternAt))
			cpus := m.CPUs()
			require.Len(t, cpus, 2)
			for i, c := range cpus {
				assert.NotZero(t, c.NoteOffset)
				c.NoteOffset = 0
				assert.Equal(t, wantVBox(i, fixture.SeedOf(i), true), c)
			}
			assert.Equal(t, physmem.X86Of(cpus[0]).GS.Base, physmem.X86Of(cpus[0]).KernelGS())
		})
	}
}

// TestVirtualBoxWithoutFX: with cbExt 0 the area behind it says nothing.
func TestVirtualBoxWithoutFX(t *testing.T) {
	t.Parallel()
	f := vbox(0x10006)
	binary.LittleEndian.PutUint32(f.cpus[1][0x240:], 0)
	m, err := physmemtest.Open(f.build())
	require.NoError(t, err)
	cpus := m.CPUs()
	require.Len(t, cpus, 2)
	assert.NotNil(t, physmem.X86Of(cpus[0]).FX)
	assert.Nil(t, physmem.X86Of(cpus[1]).FX)
	assert.NotNil(t, physmem.X86Of(cpus[1]).Debug)
}

// TestVirtualBoxUnusable: what is wrong with the notes costs registers, not
// memory, and is said.
func TestVirtualBoxUnusable(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		edit func(f *vboxFile)
		cpus int
		want physmem.OddityKind
		text string
	}{
		{"raw CPUMCTX of VirtualBox 4", func(f *vboxFile) { f.format = 0x10000; f.cpus = [][]byte{make([]byte, 0x400)} }, 0, physmem.OddityNoteSkipped, "format 1.0, of VirtualBox 4"},
		{"not published", func(f *vboxFile) { f.format = 0x10002 }, 0, physmem.OddityNoteSkipped, "format 1.2 of the processors' notes is not published"},
		{"newer", func(f *vboxFile) { f.format = 0x10007 }, 0, physmem.OddityNoteSkipped, "format 1.7 of the processors' notes is newer than 1.6"},
		{"sizes of another version", func(f *vboxFile) { f.format, f.count, f.cpus = 0x10005, 1, f.cpus[:1] }, 0, physmem.OddityNoteSkipped, "VBCPU note of 0x2248 bytes, want 0x2240 in format 1.5"},
		{"one short", func(f *vboxFile) { f.cpus[0] = f.cpus[0][:0x2000] }, 1, physmem.OddityNoteSkipped, "VBCPU note of 0x2000 bytes"},
		{"no VBCORE", func(f *vboxFile) { f.noCore = true }, 0, physmem.OddityNoteSkipped, "without a usable VBCORE note the registers of 2 processors can't be read"},
		{"magic", func(f *vboxFile) { f.magic = 1 }, 0, physmem.OddityNoteSkipped, "VBCORE note with magic 0x1, want 0xc01ac0de"},
		{"count", func(f *vboxFile) { f.count = 3 }, 2, physmem.OddityCPU, "counts 3 processors, there are 2 VBCPU notes"},
		{"second VBCORE", func(f *vboxFile) { f.notes = []fixture.Note{fixture.NewNote("VBCORE", 0xb00, make([]byte, 24))} }, 2, physmem.OddityNoteDuplicate, "another VBCORE note"},
		{"short VBCORE", func(f *vboxFile) {
			f.noCore = true
			f.notes = []fixture.Note{fixture.NewNote("VBCORE", 0xb00, make([]byte, 16))}
		}, 0, physmem.OddityNoteSkipped, "VBCORE note of 0x10 bytes, want 0x18"},
		{"type", func(f *vboxFile) { f.notes = []fixture.Note{fixture.NewNote("VBCPU", 1, make([]byte, 8))} }, 2, physmem.OddityNoteSkipped, "its type is 0x1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := vbox(0x10006)
			tc.edit(f)
			m, err := physmemtest.Open(f.build())
			require.NoError(t, err)
			assert.Len(t, m.CPUs(), tc.cpus)
			assert.True(t, strings.HasPrefix(m.Describe(), "VirtualBox core"), m.Describe())
			require.NoError(t, physmemtest.Test(m, vboxRanges, fixture.PatternAt))
			odd := fixture.Untried(t, m)
			require.Len(t, odd, 1, "%v", odd)
			assert.Equal(t, tc.want, odd[0].Kind)
			assert.Contains(t, odd[0].String(), tc.text)
		})
	}
}

// TestVirtualBoxBesideQEMU: notes of both writers in one file, which nobody
// makes; the first kind that gives processors is used.
func TestVirtualBoxBesideQEMU(t *testing.T) {
	t.Parallel()
	b := withNotes(append(fixture.CPUNotes(1), fixture.NewNote("VBCPU", 0xb01, make([]byte, 0x2248)))...)
	m := b.open(t)
	require.Len(t, m.CPUs(), 1)
	assert.Nil(t, physmem.X86Of(m.CPUs()[0]).Debug)
	assert.Contains(t, m.Describe(), "of QEMU")
}

// TestVirtualBox32: the ELF header says nothing of the guest; its first
// processor does.
func TestVirtualBox32(t *testing.T) {
	t.Parallel()
	f := vbox(0x10006)
	m, err := physmemtest.Open(f.build())
	require.NoError(t, err)
	assert.NotEqual(t, physmem.MachineX86, m.Machine())
	binary.LittleEndian.PutUint64(f.cpus[1][0x1e8:], 0x800)
	m, err = physmemtest.Open(f.build())
	require.NoError(t, err)
	assert.NotEqual(t, physmem.MachineX86, m.Machine(), "a processor that was not started")
	assert.False(t, physmem.X86Of(m.CPUs()[1]).Is32)
	binary.LittleEndian.PutUint64(f.cpus[0][0x1e8:], 0x800)
	m, err = physmemtest.Open(f.build())
	require.NoError(t, err)
	assert.Equal(t, physmem.MachineX86, m.Machine())
	assert.Contains(t, m.Describe(), "VirtualBox core (format 1.6, VirtualBox 7.0.14), 32-bit guest, ")
	assert.True(t, physmem.X86Of(m.CPUs()[0]).Is32)
	assert.True(t, physmem.X86Of(m.CPUs()[1]).Is32)
}
