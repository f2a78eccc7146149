package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"windmp/physmem"
	"windmp/winhdr"
)

const (
	progSize    = uint64(unsafe.Sizeof(elf.Prog64{}))
	sectionSize = uint64(unsafe.Sizeof(elf.Section64{}))
	// alignment of the new memory's physical address: where the run begins does
	// not matter, as long as it is behind all other memory.
	alignment = 1 << 30
)

// grow returns core with a program header more, and unless noNote is set a run more
// in its Windows header, for size bytes of memory that the caller appends to it.
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
	start := behind(progs)
	out := bytes.Clone(core)
	if !noNote {
		if err := addRun(out, start, size); err != nil {
			return nil, err
		}
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
		Vaddr: start, Paddr: start, Filesz: size, Memsz: size,
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
func addRun(core []byte, start, size uint64) error {
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
	run := physmem.Run{BasePage: start / physmem.PageSize, PageCount: size / physmem.PageSize}
	if err := h.SetRuns(append(runs, run)); err != nil {
		return err
	}
	copy(core[at:], h.Encode())
	return nil
}
