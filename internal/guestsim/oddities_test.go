package guestsim_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/vmcore"
	"windmp/vtop"
)

// opened is the image in a guest's core.
func opened(t *testing.T, file []byte) *physmem.Image {
	t.Helper()
	src := physmem.NewSource("", bytes.NewReader(file), int64(len(file)))
	opener := vmcore.Opener()
	c, err := opener.Open(t.Context(), src)
	require.NoError(t, err)
	return physmem.NewImage(opener.Format, src, c)
}

func TestFileOddities(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		file  guestsim.FileOptions
		cpus  int
		note  bool
		count uint16 // e_phnum
	}{
		{"as QEMU", guestsim.FileOptions{}, 2, true, 5},
		{"PN_XNUM", guestsim.FileOptions{PNXNUM: true}, 2, true, 0xffff},
		{"no CPU notes", guestsim.FileOptions{NoCPUNotes: true}, 0, true, 5},
		{"no guest note", guestsim.FileOptions{NoGuestNote: true}, 2, false, 5},
		{"notes last", guestsim.FileOptions{NotesLast: true, NoGuestNote: true}, 2, false, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{CPUs: 2, NoSelfMap: true, File: tt.file})
			file := g.ELF()
			assert.Equal(t, tt.count, binary.LittleEndian.Uint16(file[0x38:]))
			assert.Equal(t, "\x00.shstrtab\x00", string(file[len(file)-11:]))
			im := opened(t, file)
			assert.Len(t, im.CPUs(), tt.cpus)
			assert.Equal(t, tt.note, im.GuestNote() != nil)
			assert.Len(t, im.Ranges(), 4)
		})
	}
}

// TestPagingCoversLittle: as QEMU's paging-on files, the PT_LOADs overlap, cut
// at the end of RAM blocks, and software bits hide most of memory.
func TestPagingCoversLittle(t *testing.T) {
	t.Parallel()
	covered := func(opt guestsim.Options) (loads int, size uint64) {
		opt.File.Paging = true
		g := guestsim.New(opt)
		file := g.ELF()
		im := opened(t, file)
		for _, r := range im.Ranges() {
			size += r.Size
		}
		return int(binary.LittleEndian.Uint16(file[0x38:])) - 1, size
	}
	loads, all := covered(guestsim.Options{MapAll: true})
	assert.Greater(t, loads, 10)
	_, some := covered(guestsim.Options{})
	_, few := covered(guestsim.Options{SoftwareBits: true})
	_, image := covered(guestsim.Options{Shadow: true})
	assert.Greater(t, all, some)
	assert.Greater(t, some, few)
	// nt's first page, the IDT, the handler, and two pages of KPCR.
	assert.Equal(t, uint64(5*0x1000), image)
}

// TestSelfMap reads a page-table entry through the self-map that KDBG.PteBase
// names.
func TestSelfMap(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	s := vtop.NewSpace(g.Memory(), g.DTB, vtop.X64)
	pte := g.Field("PteBase") + g.KDBG>>12<<3&(1<<39-1)
	m, err := s.Translate(vtop.VA(pte))
	require.NoError(t, err)
	assert.Equal(t, vtop.PA(g.PTE(g.KDBG)), m.PA)
}

func TestMapTo(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	const va = 0xffffa00040000000
	g.MapTo(va, 0x100000000, 3)
	m, err := vtop.NewSpace(g.Memory(), g.DTB, vtop.X64).Translate(va + 0x5123)
	require.NoError(t, err)
	assert.Equal(t, vtop.PA(0x100005123), m.PA)
	assert.Equal(t, uint64(1<<30), m.PageSize)
	assert.Equal(t, uint64(0x100005123), g.PA(va+0x5123))
}

func TestMisusePanics(t *testing.T) {
	t.Parallel()
	for name, misuse := range map[string]func(){
		"unknown build":  func() { guestsim.New(guestsim.Options{Build: 7601}) },
		"too little RAM": func() { guestsim.New(guestsim.Options{RAM: []guestsim.Range{{Size: 0x4000}}}) },
		"no such field":  func() { guestsim.New(guestsim.Options{}).Field("NoSuchField") },
		"no RAM":         func() { guestsim.New(guestsim.Options{}).WritePhys(1<<40, []byte{1}) },
		"read a hole":    func() { guestsim.New(guestsim.Options{}).ReadPhys(1<<40, 1) },
		"no page table":  func() { guestsim.New(guestsim.Options{}).Unmap(0xffffa00000000000) },
	} {
		assert.Panics(t, misuse, name)
	}
}

// A test pokes the guest, then wraps it.
func ExampleNew() {
	g := guestsim.New(guestsim.Options{CPUs: 2, Encoded: true, BugCheck: [5]uint64{0xd1}})
	g.Write64(g.Processors[1].ContextPtr, 0)
	g.Options.File.Paging = true
	file := g.ELF()
	fmt.Println(string(file[1:4]), len(file) < 400<<10)
	// Output: ELF true
}
