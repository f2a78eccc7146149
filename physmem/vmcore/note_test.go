package vmcore_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// withNotes is a guest with these notes.
func withNotes(notes ...fixture.Note) *builder {
	b := twoBlocks(0)
	b.notes = notes
	return b
}

// wantCPU is what coreNote and qemuNote of a seed say.
func wantCPU(index int, id uint32, seed uint64) physmem.CPU {
	s := func(i int, selector uint16) physmem.Segment {
		return physmem.Segment{Selector: selector, Limit: uint32(0x1000 + i), Flags: uint32(0x209b00 + i), Base: seed + 100 + uint64(i)}
	}
	return physmem.CPU{Index: index, ID: id, Registers: &physmem.X86{
		Rax: seed, Rbx: seed + 1, Rcx: seed + 2, Rdx: seed + 3, Rsi: seed + 4, Rdi: seed + 5, Rsp: seed + 6, Rbp: seed + 7,
		R8: seed + 8, R9: seed + 9, R10: seed + 10, R11: seed + 11, R12: seed + 12, R13: seed + 13, R14: seed + 14, R15: seed + 15,
		Rip: seed + 16, Rflags: seed + 17,
		CS: s(0, 0x10), DS: s(1, 0x2b), ES: s(2, 0x2b), FS: s(3, 0x53), GS: s(4, 0x2b), SS: s(5, 0x18),
		LDT: s(6, 0), TR: s(7, 0x40), GDT: s(8, 0), IDT: s(9, 0),
		HasSystem: true,
		CR0:       seed + 200, CR2: seed + 202, CR3: seed + 203, CR4: seed + 204,
		KernelGSBase: seed + 300, HasKernelGSBase: true,
	}}
}

func TestCPUs(t *testing.T) {
	t.Parallel()
	m := withNotes(fixture.CPUNotes(3)...).open(t)
	assert.Empty(t, m.Oddities())
	cpus := m.CPUs()
	require.Len(t, cpus, 3)
	for i, c := range cpus {
		assert.Positive(t, c.NoteOffset)
		c.NoteOffset = 0
		assert.Equal(t, wantCPU(i, uint32(i), fixture.SeedOf(i)), c)
	}
	assert.Nil(t, m.GuestNote())
}

func TestCPUNumbersAreTheWriters(t *testing.T) {
	t.Parallel()
	m := withNotes(fixture.CoreNote(5, 0), fixture.CoreNote(2, 1), fixture.QEMUNote(0, 440), fixture.QEMUNote(1, 440)).open(t)
	require.Len(t, m.CPUs(), 2)
	assert.Equal(t, uint32(5), m.CPUs()[0].ID)
	assert.Equal(t, uint32(2), m.CPUs()[1].ID)
	assert.Equal(t, 1, m.CPUs()[1].Index)
}

func TestQEMUNoteWithoutKernelGS(t *testing.T) {
	t.Parallel()
	m := withNotes(fixture.CoreNote(0, 0x1000), fixture.QEMUNote(0x1000, 432)).open(t)
	assert.Empty(t, m.Oddities())
	require.Len(t, m.CPUs(), 1)
	c := physmem.X86Of(m.CPUs()[0])
	assert.True(t, c.HasSystem)
	assert.False(t, c.HasKernelGSBase)
	assert.Zero(t, c.KernelGSBase)
	assert.Equal(t, uint64(0x1000+204), c.CR4)
}

func TestCPUWithoutQEMUNote(t *testing.T) {
	t.Parallel()
	m := withNotes(fixture.CoreNote(0, 0x1000)).open(t)
	assert.Empty(t, m.Oddities(), "a writer that is not QEMU")
	require.Len(t, m.CPUs(), 1)
	c := physmem.X86Of(m.CPUs()[0])
	assert.False(t, c.HasSystem)
	assert.Equal(t, uint64(0x1000+16), c.Rip)
	assert.Equal(t, physmem.Segment{Selector: 0x2b, Base: 0x1000 + 104}, c.GS)
	assert.Equal(t, uint16(0x10), c.CS.Selector)
	assert.Zero(t, c.CR3)
}

func TestOddCPUNotes(t *testing.T) {
	t.Parallel()
	short := fixture.CoreNote(0, 0)
	short.Desc = short.Desc[:144] // what a 32-bit guest has
	version := fixture.QEMUNote(0, 440)
	version.Desc[0] = 2
	newer := fixture.QEMUNote(0, 440)
	newer.Desc = append(newer.Desc, make([]byte, 64)...)
	type K = physmem.OddityKind
	for name, c := range map[string]struct {
		notes []fixture.Note
		cpus  int
		odd   []K
		text  string
	}{
		"disagree":           {[]fixture.Note{fixture.CoreNote(0, 7), fixture.QEMUNote(0, 440)}, 1, []K{physmem.OddityCPU}, "0x0 in QEMU's and 0x7 in CORE's"},
		"one CORE missing":   {[]fixture.Note{fixture.CoreNote(0, 0), fixture.QEMUNote(0, 440), fixture.QEMUNote(0, 440)}, 2, []K{physmem.OddityCPU}, "1 CORE notes and 2 QEMU notes"},
		"one QEMU missing":   {[]fixture.Note{fixture.CoreNote(0, 0), fixture.CoreNote(1, 0), fixture.QEMUNote(0, 440)}, 2, []K{physmem.OddityCPU}, "2 CORE notes and 1 QEMU notes"},
		"CORE of other size": {[]fixture.Note{short, fixture.QEMUNote(0, 440)}, 1, []K{physmem.OddityNoteSkipped}, "CORE note of 0x90 bytes, want 0x150"},
		"QEMU too short":     {[]fixture.Note{fixture.CoreNote(0, 0), fixture.QEMUNote(0, 431)}, 1, []K{physmem.OddityNoteSkipped}, "QEMU note of 0x1af bytes"},
		"QEMU version 2":     {[]fixture.Note{fixture.CoreNote(0, 0), version}, 1, []K{physmem.OddityNoteSkipped}, "version 0x2"},
		"both unusable":      {[]fixture.Note{short, version}, 0, []K{physmem.OddityNoteSkipped, physmem.OddityNoteSkipped}, "processor 0"},
		"QEMU longer":        {[]fixture.Note{fixture.CoreNote(0, 0), newer}, 1, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := withNotes(c.notes...).open(t)
			assert.Len(t, m.CPUs(), c.cpus)
			require.Equal(t, c.odd, fixture.Kinds(m))
			if c.text != "" {
				assert.Contains(t, m.Oddities()[0].String(), c.text)
			}
		})
	}
}

func TestTooManyCPUs(t *testing.T) {
	t.Parallel()
	m := withNotes(fixture.CPUNotes(4099)...).open(t)
	assert.Len(t, m.CPUs(), 4096)
	require.Equal(t, []physmem.OddityKind{physmem.OddityLimit}, fixture.Kinds(m))
	assert.Contains(t, m.Oddities()[0].Text, "6 processor notes")
}

func TestGuestNotes(t *testing.T) {
	t.Parallel()
	guest := func(size int, fill byte) fixture.Note {
		return fixture.NewNote("VMCOREINFO", 0, bytes.Repeat([]byte{fill}, size))
	}
	for _, size := range []int{0, 1, 8176, 8192, 8196, 1 << 20} {
		m := withNotes(append(fixture.CPUNotes(1), guest(size, 'x'))...).open(t)
		assert.Empty(t, m.Oddities())
		require.NotNil(t, m.GuestNote())
		assert.Equal(t, "VMCOREINFO", m.GuestNote().Name)
		assert.Len(t, m.GuestNote().Desc, size)
	}
	m := withNotes(append(fixture.CPUNotes(1), guest(16, 'a'), guest(24, 'b'))...).open(t)
	assert.Equal(t, guest(16, 'a').Desc, m.GuestNote().Desc)
	assert.Equal(t, []physmem.OddityKind{physmem.OddityNoteDuplicate}, fixture.Kinds(m))
}

// TestOverflowingNotes damages the sizes of the second note of a file: what is
// before it is used, the memory too.
func TestOverflowingNotes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ namesz, descsz uint32 }{
		"namesz":      {0xffffffff, 440},
		"descsz":      {5, 0xffffffff},
		"both":        {0xffffffff, 0xffffffff},
		"one too far": {5, 440 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := withNotes(fixture.CoreNote(0, 0), fixture.QEMUNote(0, 440))
			file := b.build()
			at := bytes.Index(file, []byte("QEMU\x00")) - 12
			binary.LittleEndian.PutUint32(file[at:], c.namesz)
			binary.LittleEndian.PutUint32(file[at+4:], c.descsz)
			m, err := physmemtest.Open(file)
			require.NoError(t, err)
			require.Equal(t, []physmem.OddityKind{physmem.OddityNoteSkipped}, fixture.Kinds(m))
			assert.Equal(t, int64(at), m.Oddities()[0].Offset)
			assert.Contains(t, m.Oddities()[0].Detail, "past the end of its segment")
			require.Len(t, m.CPUs(), 1)
			assert.False(t, physmem.X86Of(m.CPUs()[0]).HasSystem)
			assert.Equal(t, twoBlockRanges, m.Ranges())
		})
	}
}

func TestNoteLimits(t *testing.T) {
	t.Parallel()
	// More notes than are read: those at the beginning count.
	notes := append(fixture.CPUNotes(1), fixture.NewNote("FILL", 9, make([]byte, 8<<20)))
	m := withNotes(notes...).open(t)
	assert.Len(t, m.CPUs(), 1)
	assert.Equal(t, []physmem.OddityKind{physmem.OddityLimit, physmem.OddityNoteSkipped}, fixture.Kinds(m))
}

func TestWriters(t *testing.T) {
	t.Parallel()
	for want, notes := range map[string][]fixture.Note{
		"ELF64 vmcore of QEMU, ":              fixture.CPUNotes(1),
		"VirtualBox core, ":                   {fixture.NewNote("VBCORE", 0xb00, make([]byte, 24))},
		"ELF64 vmcore of QEMU's gdb script, ": {fixture.NewNote("NONE", 0, []byte("EMPTY"))},
		"ELF64 vmcore, ":                      {fixture.NewNote("OTHER", 1, []byte("x"))},
	} {
		assert.Contains(t, withNotes(notes...).open(t).Describe(), want)
	}
}

func TestCoreOfAProcess(t *testing.T) {
	t.Parallel()
	for _, typ := range []uint32{3, 6, 0x46494c45} {
		_, err := physmemtest.Open(withNotes(fixture.CoreNote(0, 0), fixture.NewNote("CORE", typ, make([]byte, 16))).build())
		require.ErrorIs(t, err, physmem.ErrUnsupported)
		assert.Contains(t, err.Error(), "an ELF core of a process, not of a machine")
	}
}

// TestCoreOfAHypervisor: the core of a process that runs a guest is not the guest's.
func TestCoreOfAHypervisor(t *testing.T) {
	t.Parallel()
	prpsinfo := func(name string) fixture.Note {
		b := make([]byte, 136)
		copy(b[40:56], name)
		copy(b[56:], "/usr/bin/"+name)
		return fixture.NewNote("CORE", 3, b)
	}
	files := func(path string) fixture.Note {
		return fixture.NewNote("CORE", 0x46494c45, append(make([]byte, 40), "/lib/libc.so.6\x00"+path+"\x00"...))
	}
	for _, c := range []struct {
		note fixture.Note
		want string
	}{
		{prpsinfo("qemu-system-x86"), "a core of a QEMU process, not of its guest; take the guest's memory out of it with gdb"},
		{prpsinfo("qemu-kvm"), "a core of a QEMU process"},
		{prpsinfo("kvm"), "a core of a QEMU process"},
		{files("/usr/bin/qemu-system-x86_64"), "a core of a QEMU process"},
		{prpsinfo("VBoxHeadless"), "a core of a VirtualBox process, not of its guest; dump a running machine with VBoxManage debugvm"},
		{files("/usr/lib/virtualbox/VirtualBoxVM"), "a core of a VirtualBox process"},
		{files("/usr/bin/kvmtool"), "an ELF core of a process, not of a machine"},
		{prpsinfo("kvmtool"), "an ELF core of a process, not of a machine"},
		{prpsinfo("qemu-img"), "an ELF core of a process, not of a machine"},
	} {
		_, err := physmemtest.Open(withNotes(fixture.CoreNote(0, 0), c.note).build())
		require.ErrorIs(t, err, physmem.ErrUnsupported)
		assert.Contains(t, err.Error(), c.want)
	}
}

func TestLooksLikeLinux(t *testing.T) {
	t.Parallel()
	release, ok := physmem.LooksLikeLinux([]byte("OSRELEASE=6.1.0-13-amd64\nBUILD-ID=abc\nPAGESIZE=4096\n"))
	assert.True(t, ok)
	assert.Equal(t, "6.1.0-13-amd64", release)
	release, ok = physmem.LooksLikeLinux([]byte("CRASHTIME=1\nOSRELEASE=5.4\x00\x00"))
	assert.True(t, ok)
	assert.Equal(t, "5.4", release)
	for _, desc := range []string{"", "PAGEDU64", "PAGEDU64\x0f\x00\x00\x00\nOSRELEASE=x\n", "PAGESIZE=4096\n", "OSRELEASE=\x01\n"} {
		_, ok = physmem.LooksLikeLinux([]byte(desc))
		assert.False(t, ok, "%q", desc)
	}
}

func TestCPUHelpers(t *testing.T) {
	t.Parallel()
	c := physmem.X86{CR4: 1 << 12, KernelGSBase: 2}
	c.GS.Base = 1
	assert.True(t, c.LA57())
	assert.Equal(t, 0, c.CPL())
	assert.Equal(t, uint64(1), c.KernelGS())
	c.CS.Selector, c.CR4 = 0x33, 0x6f8
	assert.False(t, c.LA57())
	assert.Equal(t, 3, c.CPL())
	assert.Equal(t, uint64(2), c.KernelGS())
}
