package main

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"windmp/convert/guest"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/vtop"
	"windmp/winhdr"
)

const (
	progSize    = uint64(unsafe.Sizeof(elf.Prog64{}))
	sectionSize = uint64(unsafe.Sizeof(elf.Section64{}))
	// alignment of the new memory's physical address: where the run begins does
	// not matter, as long as it is behind all other memory.
	alignment = 1 << 30
)

// grow returns core with a program header more, and a run more in the kernel's table
// of memory and, unless noNote is set, in its Windows header, for size bytes of memory
// that the caller appends to it.
// The core is taken for a good one: this is a tool for measurements.
func grow(core []byte, size uint64, noNote bool) ([]byte, error) {
	var hdr elf.Header64
	if _, err := binary.Decode(core, binary.LittleEndian, &hdr); err != nil {
		return nil, fmt.Errorf("ELF header: %w", err)
	}
	if string(hdr.Ident[:4]) != elf.ELFMAG || hdr.Phnum == 0 || hdr.Phnum >= 0xfffe {
		return nil, fmt.Errorf("no ELF core with 1 to 0xfffd program headers (e_phnum 0x%x)", hdr.Phnum)
	}
	progs, err := table[elf.Prog64](core, hdr.Phoff, uint64(hdr.Phnum), progSize)
	if err != nil {
		return nil, fmt.Errorf("program headers: %w", err)
	}
	sections, err := table[elf.Section64](core, hdr.Shoff, uint64(hdr.Shnum), sectionSize)
	if err != nil {
		return nil, fmt.Errorf("section headers: %w", err)
	}
	run := physmem.Run{BasePage: behind(progs) / physmem.PageSize, PageCount: size / physmem.PageSize}
	out := bytes.Clone(core)
	if !noNote {
		if err := addRun(out, run); err != nil {
			return nil, err
		}
	}
	if err := addKernelRun(out, run); err != nil {
		return nil, err
	}

	// Everything behind the table moves by one entry.
	at := hdr.Phoff + uint64(len(progs))*progSize
	moved := func(off uint64) uint64 {
		if off >= at {
			return off + progSize
		}
		return off
	}
	out = bytes.Join([][]byte{out[:at], make([]byte, progSize), out[at:]}, nil)
	for i := range progs {
		progs[i].Off = moved(progs[i].Off)
	}
	for i := range sections {
		sections[i].Off = moved(sections[i].Off)
	}
	progs = append(progs, elf.Prog64{
		Type: uint32(elf.PT_LOAD), Off: uint64(len(out)),
		Vaddr: run.Range().Start, Paddr: run.Range().Start, Filesz: size, Memsz: size,
	})
	hdr.Phnum++
	hdr.Shoff = moved(hdr.Shoff)
	return out, errors.Join(put(out, 0, hdr), put(out, hdr.Phoff, progs), put(out, hdr.Shoff, sections))
}

// table decodes n entries at off.
func table[T any](core []byte, off, n, each uint64) ([]T, error) {
	if off > uint64(len(core)) || n > (uint64(len(core))-off)/each {
		return nil, fmt.Errorf("0x%x entries at 0x%x, the file ends at 0x%x", n, off, len(core))
	}
	entries := make([]T, n)
	_, err := binary.Decode(core[off:], binary.LittleEndian, entries)
	return entries, err
}

// put encodes v at off, which lies in core.
func put(core []byte, off uint64, v any) error {
	_, err := binary.Encode(core[off:], binary.LittleEndian, v)
	return err
}

// behind is the first aligned physical address behind all memory.
func behind(progs []elf.Prog64) uint64 {
	var end uint64
	for _, p := range progs {
		if p.Type == uint32(elf.PT_LOAD) {
			end = max(end, p.Paddr+p.Memsz)
		}
	}
	return (end + alignment - 1) &^ (alignment - 1)
}

// addRun lists one run more in core's Windows header.
func addRun(core []byte, run physmem.Run) error {
	at := bytes.Index(core, []byte("PAGEDU64"))
	if at < 0 {
		return errors.New("no Windows header note")
	}
	h, err := winhdr.Decode(core[at:])
	if err != nil {
		return err
	}
	runs, problems := h.Runs()
	if runs == nil {
		return fmt.Errorf("run table: %v", problems)
	}
	if err := h.SetRuns(append(runs, run)); err != nil {
		return err
	}
	copy(core[at:], h.Encode())
	return nil
}

// addKernelRun lists one run more in *MmPhysicalMemoryBlock, which decides what memory
// the guest has: a ULONG and the sum of the pages, then the runs, all of them as wide
// as pointers (Microsoft ntddk.h, PHYSICAL_MEMORY_DESCRIPTOR). What lies behind the
// table in its page is lost.
func addKernelRun(core []byte, run physmem.Run) error {
	im, err := open.Source(context.Background(), physmem.NewSource("", bytes.NewReader(core), int64(len(core))), open.Options{})
	if err != nil {
		return err
	}
	g, err := guest.Find(context.Background(), im, guest.Options{})
	if err != nil {
		return err
	}
	at, err := g.Kernel().Pointer(vtop.VA(g.Kernel().Data.MmPhysicalMemoryBlock))
	if err != nil {
		return err
	}
	place, err := g.Memory().Space.Translate(at)
	if err != nil {
		return err
	}
	off, ok := im.FileOffset(uint64(place.PA))
	if !ok {
		return errors.New("the kernel's table of memory is not in the core")
	}
	const wide = 8
	table := core[off:][:physmem.PageSize-uint64(place.PA)%physmem.PageSize]
	n := binary.LittleEndian.Uint32(table)
	end := uint64(len(table)) / (2 * wide)
	if uint64(n)+2 > end {
		return fmt.Errorf("the kernel's table of memory has %d runs, its page has no room for one more", n)
	}
	binary.LittleEndian.PutUint32(table, n+1)
	binary.LittleEndian.PutUint64(table[wide:], binary.LittleEndian.Uint64(table[wide:])+run.PageCount)
	_, err = binary.Encode(table[(n+1)*2*wide:], binary.LittleEndian, run)
	return err
}
