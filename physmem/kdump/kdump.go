// Package kdump opens kdump-compressed dumps, which QEMU and makedumpfile write,
// flattened or not.
package kdump

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"unsafe"

	"windmp/internal/binio"
	"windmp/internal/elfcore"
	"windmp/physmem"
	"windmp/physmem/vmcore"
)

const kdumpSignature = "KDUMP   "

// Header versions (makedumpfile diskdump_mod.h): the sub header has had more
// fields from time to time, and a version of the header says which are there.
const (
	kdumpMaxVersion  = 6
	kdumpHasSplit    = 2
	kdumpHasInfo     = 3 // offset_vmcoreinfo
	kdumpHasNotes    = 4
	kdumpHas64BitPFN = 6
)

// kdumpHeader is the first block of a kdump-compressed file of a 64-bit machine
// (makedumpfile diskdump_mod.h, disk_dump_header; QEMU dump/dump.h,
// DiskDumpHeader64). A 32-bit one differs from the padding on.
type kdumpHeader struct {
	Signature      [8]byte
	HeaderVersion  uint32
	Utsname        [6][65]byte // as uname(2) of Linux; QEMU sets the machine only
	_              [6]byte
	Timestamp      [2]uint64
	Status         uint32 // kdumpZlib and so on
	BlockSize      uint32 // bytes; the size of a page
	SubHdrSize     uint32 // blocks; with the notes
	BitmapBlocks   uint32 // of both bitmaps
	MaxMapnr       uint32 // page frame numbers; see MaxMapnr64
	TotalRAMBlocks uint32
	DeviceBlocks   uint32
	WrittenBlocks  uint32
	CurrentCPU     uint32
	NrCPUs         uint32
}

const (
	utsMachine = 4 // index in Utsname
	// kdumpBlockSize32 is the offset of BlockSize in the 32-bit header.
	kdumpBlockSize32 = 0x1a0
)

// blockSizes are the sizes of a block, which is a page, that are read: that of x86's
// pages, and the largest that a page of Arm may have, which QEMU takes for all guests of
// that machine (QEMU target/arm/arch_dump.c, cpu_get_dump_info).
var blockSizes = []uint32{0x1000, 0x10000}

// kdumpSubHeader is the second block (kdump_sub_header; QEMU's
// KdumpSubHeader64). Notes and vmcoreinfo may lie anywhere.
type kdumpSubHeader struct {
	PhysBase         uint64
	DumpLevel        uint32 // what was left out
	Split            uint32 // not 0: one of several files that belong together
	StartPFN         uint64
	EndPFN           uint64
	OffsetVMCoreInfo uint64 // file offset of the payload of the guest's note
	SizeVMCoreInfo   uint64
	OffsetNote       uint64 // file offset of ELF notes
	SizeNote         uint64
	OffsetEraseInfo  uint64
	SizeEraseInfo    uint64
	StartPFN64       uint64
	EndPFN64         uint64
	MaxMapnr64       uint64
}

var (
	_ = [1]byte{}[unsafe.Sizeof(kdumpHeader{})-0x1d0]
	_ = [1]byte{}[unsafe.Sizeof(kdumpSubHeader{})-0x68]
)

// maxGuestNote caps the payload of the guest's note (QEMU dump/dump.c,
// MAX_GUEST_NOTE_SIZE).
const maxGuestNote = 1 << 20

// kdumpFile is a kdump-compressed file while it is opened. Offsets are those of
// the file as makedumpfile -R would write it.
type kdumpFile struct {
	ctx      context.Context // of opening
	r        io.ReaderAt
	size     uint64
	fileSize uint64     // of the file as it is
	flat     *flattened // nil if it is not flattened
	hdr      kdumpHeader
	sub      kdumpSubHeader
	writer   string // what the notes say of who wrote the file
	odd      physmem.Oddities
}

// Opener returns the opener of kdump-compressed dumps.
func Opener() physmem.Opener { return physmem.Opener{Format: physmem.FormatKdump, Open: open} }

// open opens a kdump-compressed dump, flattened or not.
func open(ctx context.Context, src physmem.Source) (*physmem.Container, error) {
	f := &kdumpFile{ctx: ctx}
	if err := f.recognise(src); err != nil {
		return nil, err
	}
	if err := f.readHeaders(); err != nil {
		return nil, err
	}
	c := new(physmem.Container)
	m, err := f.openMemory()
	if err != nil {
		return nil, err
	}
	c.Memory = m
	f.readNotes(c)
	c.Description = f.describe(m, len(c.CPUs))
	c.State = physmem.State{Product: f.writer, Encoding: f.encoding()}
	c.Oddities = f.odd.All()
	return c, nil
}

// recognise finds out whether a file is a dump as it was written, or what describes one.
func (f *kdumpFile) recognise(src physmem.Source) error {
	head, err := physmem.Head(src, len(kdumpSignature))
	if err != nil {
		return err
	}
	if f.flat, err = openFlattened(f.ctx, src); err != nil {
		return err
	}
	if f.flat == nil && string(head) != kdumpSignature {
		return physmem.NotMine("no KDUMP signature at its start")
	}
	f.fileSize = binio.Uint64(src.Size())
	if f.r, f.size = src, f.fileSize; f.flat != nil {
		f.r, f.size = f.flat, f.flat.size
	}
	return nil
}

// block is the size of a block, and of a page, bytes.
func (f *kdumpFile) block() uint64 { return uint64(f.hdr.BlockSize) }

// place returns where the file as it is holds what is at an offset of the rearranged one.
func (f *kdumpFile) place(off uint64) int64 {
	if f.flat != nil {
		return f.flat.place(off)
	}
	at, _ := binio.Int64(off)
	return at
}

// read reads n bytes at an offset.
func (f *kdumpFile) read(off uint64, n int) ([]byte, error) {
	at, ok := binio.Int64(off)
	b := make([]byte, n)
	if !ok {
		return nil, &physmem.ReadError{Err: io.ErrUnexpectedEOF}
	}
	if err := binio.ReadFull(f.r, b, at); err != nil {
		return nil, &physmem.ReadError{Offset: f.place(off), Err: err}
	}
	return b, nil
}

// readHeaders reads the header and the sub header, and refuses by name what is
// recognised and cannot be read.
func (f *kdumpFile) readHeaders() error {
	head, err := f.read(0, int(min(f.size, uint64(unsafe.Sizeof(f.hdr)))))
	if err != nil {
		return err
	}
	switch {
	case !bytes.HasPrefix(head, []byte(kdumpSignature)):
		return &physmem.UnsupportedError{
			Format: physmem.FormatKdump, What: "a flattened file of makedumpfile that is not kdump-compressed",
			Hint: "rearrange it first: makedumpfile -R OUTPUT < INPUT",
		}
	case len(head) < int(unsafe.Sizeof(f.hdr)):
		return f.tooShort("a header", uint64(unsafe.Sizeof(f.hdr)))
	}
	if err := f.checkMachine(head); err != nil {
		return err
	}
	_, _ = binary.Decode(head, binary.LittleEndian, &f.hdr) // a fixed size, which is there
	if err := f.checkHeader(); err != nil {
		return err
	}
	if end := f.block() + uint64(unsafe.Sizeof(f.sub)); f.size < end {
		return f.tooShort("a header and a sub header", end)
	}
	sub, err := f.read(f.block(), int(unsafe.Sizeof(f.sub)))
	if err != nil {
		return err
	}
	_, _ = binary.Decode(sub, binary.LittleEndian, &f.sub)
	if f.hdr.HeaderVersion >= kdumpHasSplit && f.sub.Split != 0 {
		return &physmem.UnsupportedError{
			Format: physmem.FormatKdump, What: "one part of a kdump-compressed dump that was split",
			Hint: "put the parts together first: makedumpfile --reassemble PART1 PART2... OUTPUT",
		}
	}
	return nil
}

// tooShort is the error for a file that ends before what it must have, size bytes.
func (f *kdumpFile) tooShort(what string, size uint64) error {
	return &physmem.FormatError{
		Format: physmem.FormatKdump, Field: "header", Got: fmt.Sprintf("a file of 0x%x bytes", f.size),
		Want: fmt.Sprintf("%s, 0x%x bytes", what, size), Hint: physmem.HintIncomplete, Cut: &physmem.Cut{Size: f.fileSize},
	}
}

// utsMachines are the machines that are read, by their name in new_utsname; the
// notes tell which it is. Not every writer gives one: QEMU 10 writes "Unknown" for
// every machine, and 7.2 does for Arm.
var utsMachines = []string{"", "Unknown", "x86_64", "i686", "aarch64"}

// checkMachine refuses dumps of other machines. What it looks at is at the same
// place in 32-bit dumps. QEMU takes the layout of 64 bits for 32-bit guests too if
// their memory ends above 4 GiB, which a BIOS does: the notes tell them.
func (f *kdumpFile) checkMachine(head []byte) error {
	at := unsafe.Offsetof(f.hdr.Utsname) + utsMachine*unsafe.Sizeof(f.hdr.Utsname[0])
	name, _, _ := bytes.Cut(head[at:][:len(f.hdr.Utsname[0])], []byte{0})
	blockSize := binary.LittleEndian.Uint32(head[unsafe.Offsetof(f.hdr.BlockSize):])
	blockSize32 := binary.LittleEndian.Uint32(head[kdumpBlockSize32:])
	switch {
	case !slices.Contains(blockSizes, blockSize) && slices.Contains(blockSizes, blockSize32):
		return &physmem.UnsupportedError{
			Format: physmem.FormatKdump, What: "a kdump-compressed dump in the layout of 32-bit machines, which is not read here",
			Hint: "dump the guest in ELF format instead",
		}
	case !slices.Contains(utsMachines, string(name)):
		return &physmem.UnsupportedError{
			Format: physmem.FormatKdump, What: fmt.Sprintf("a kdump-compressed dump of another machine (%q); those of x86 and of 64-bit Arm are read", name),
		}
	}
	return nil
}

// checkHeader checks the fields of the header that say where the others are.
func (f *kdumpFile) checkHeader() error {
	bad := func(field string, offset uintptr, got uint32, want string) error {
		return &physmem.FormatError{
			Format: physmem.FormatKdump, Offset: f.place(uint64(offset)), Field: "header: " + field,
			Got: fmt.Sprintf("0x%x", got), Want: want,
		}
	}
	h := &f.hdr
	switch {
	case h.HeaderVersion == 0 || h.HeaderVersion > kdumpMaxVersion:
		return bad("header_version", unsafe.Offsetof(h.HeaderVersion), h.HeaderVersion, "0x1 to 0x6")
	case !slices.Contains(blockSizes, h.BlockSize):
		return bad("block_size", unsafe.Offsetof(h.BlockSize), h.BlockSize, "0x1000 or 0x10000")
	case h.SubHdrSize == 0:
		return bad("sub_hdr_size", unsafe.Offsetof(h.SubHdrSize), h.SubHdrSize, "one block or more")
	case h.BitmapBlocks < 2 || h.BitmapBlocks%2 != 0:
		return bad("bitmap_blocks", unsafe.Offsetof(h.BitmapBlocks), h.BitmapBlocks, "the blocks of two bitmaps")
	}
	return nil
}

// readNotes reads processors and the guest's note. A dump before version 4, or
// one whose notes are lost, may still have the guest's note as vmcoreinfo.
func (f *kdumpFile) readNotes(c *physmem.Container) {
	if f.hdr.HeaderVersion >= kdumpHasNotes {
		n := vmcore.ReadNotes(f.r, f.size, f.sub.OffsetNote, f.sub.SizeNote, physmem.PageSize)
		f.writer = n.Writer
		c.CPUs, c.Machine, c.GuestNote = n.CPUs, n.Machine, n.GuestNote
		n.Oddities.Relocate(f.relocate)
		f.odd.Take(&n.Oddities)
	}
	if c.GuestNote == nil && f.hdr.HeaderVersion >= kdumpHasInfo {
		c.GuestNote = f.vmcoreInfo()
	}
	// What these know are offsets of the rearranged file.
	for i := range c.CPUs {
		c.CPUs[i].NoteOffset = f.relocate(c.CPUs[i].NoteOffset)
	}
	if c.GuestNote != nil {
		c.GuestNote.Offset = f.relocate(c.GuestNote.Offset)
	}
}

// relocate returns where the file as it is holds what is at an offset.
func (f *kdumpFile) relocate(off int64) int64 { return f.place(binio.Uint64(off)) }

// vmcoreInfo returns the guest's note from the sub header's own pointer to its
// payload.
func (f *kdumpFile) vmcoreInfo() *physmem.Note {
	off, size := f.sub.OffsetVMCoreInfo, f.sub.SizeVMCoreInfo
	if off == 0 || size == 0 {
		return nil
	}
	at := int64(f.block()) + int64(unsafe.Offsetof(f.sub.OffsetVMCoreInfo)) //nolint:gosec // at most 64 KiB
	if size > maxGuestNote || !binio.Within(off, size, f.size) {
		f.odd.Add(physmem.OddityNoteSkipped, at, "the guest's note (vmcoreinfo) is too large, or goes past the end").Because("0x%x bytes at 0x%x, the file ends at 0x%x", size, off, f.size)
		return nil
	}
	desc, err := f.read(off, int(size))
	if err != nil {
		f.odd.Add(physmem.OddityNoteSkipped, at, "the guest's note (vmcoreinfo) can't be read").Because("%v", err)
		return nil
	}
	start, _ := binio.Int64(off)
	return &physmem.Note{Name: elfcore.NoteVMCoreInfo, Desc: desc, Offset: start}
}

// encoding says how the file keeps memory.
func (f *kdumpFile) encoding() string {
	var how []string
	for _, c := range []struct {
		flag uint32
		name string
	}{{kdumpZlib, "zlib"}, {kdumpLZO, "lzo"}, {kdumpSnappy, "snappy"}, {kdumpZstd, "zstd"}} {
		if f.hdr.Status&c.flag != 0 {
			how = append(how, c.name)
		}
	}
	if f.flat != nil {
		how = append(how, "flattened")
	}
	return strings.Join(how, ", ")
}

// describe says in one line what was opened.
func (f *kdumpFile) describe(m *kdumpMemory, cpus int) string {
	s := "kdump-compressed dump"
	if f.writer != "" {
		s += " of " + f.writer
	}
	if how := f.encoding(); how != "" {
		s += " (" + how + ")"
	}
	return fmt.Sprintf("%s, %s, %s", s, binio.Plural(m.described.Count(), "page"), binio.Plural(uint64(cpus), "CPU")) //nolint:gosec // a length
}
