package migration

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/migration/internal/ramblock"
)

// affinity is what the machine's ACPI tables say of its memory: QEMU gives a machine with
// NUMA nodes, or with room for DIMMs, a system resource affinity table (ACPI 6.5, 5.2.16;
// QEMU hw/i386/acpi-build.c, build_srat).
type affinity struct {
	// nodes are the bytes of the board's memory of each node, by its number; those without
	// memory are left out.
	nodes []uint64
	// window is the address from which on memory may be plugged in, 0 if none may.
	window uint64
}

const (
	// tablesBlock ends the name of the block that has the ACPI tables.
	tablesBlock = "etc/acpi/tables"
	// maxTables caps them; QEMU gives them 128 KiB, or 2 MiB.
	maxTables = 4 << 20

	sratSignature = "SRAT"
	sratHeader    = 48 // with the twelve bytes before its entries
	tableSizeAt   = 4
	// sratReservedAt is a field that is 1.
	sratReservedAt = 36
	sratMemory     = 1 // type of an entry of 40 bytes: the other numbers are places in it
	sratEntry      = 40
	sratDomainAt   = 2
	sratBaseAt     = 8
	sratLengthAt   = 16
	sratFlagsAt    = 28
	sratEnabled    = 1 << 0
	sratPluggable  = 1 << 1
	maxDomains     = 1 << 10

	// The nodes' memory leaves out what a PC has there since the first one.
	hole640K    = 640 << 10
	hole640KEnd = 1 << 20
)

// affinity reads the table, nil if there is none.
func (s *stream) affinity() (*affinity, error) {
	i := slices.IndexFunc(s.ram.blocks, func(b *ramblock.Block) bool { return strings.HasSuffix(b.Name, tablesBlock) })
	if i < 0 || s.ram.blocks[i].IsEmpty() {
		return nil, nil
	}
	b := s.ram.blocks[i]
	text := make([]byte, min(b.Size, maxTables))
	m, ok := ramblock.NewMemory(s.c.src, []ramblock.Place{{Range: physmem.Range{Size: b.Size}, Block: b}}, &s.ram.index)
	if !ok {
		return nil, nil
	}
	n, err := m.ReadAt(text, 0)
	if _, failed := err.(*physmem.ReadError); failed { //nolint:errorlint // as it is made here
		return nil, err
	}
	for text = text[:n]; ; text = text[1:] {
		at := bytes.Index(text, []byte(sratSignature))
		if at < 0 {
			return nil, nil
		}
		text = text[at:]
		if entries := tableOf(text); entries != nil {
			return decodeAffinity(entries), nil
		}
	}
}

// tableOf returns the entries of the table that b begins with, nil if it is none: they
// fill it. Its checksum is not looked at, since the firmware computes it in its own copy
// (QEMU hw/acpi/bios-linker-loader.c).
func tableOf(b []byte) []byte {
	if len(b) < sratHeader {
		return nil
	}
	n := binary.LittleEndian.Uint32(b[tableSizeAt:])
	if n < sratHeader || uint64(n) > uint64(len(b)) || binary.LittleEndian.Uint32(b[sratReservedAt:]) != 1 {
		return nil
	}
	entries := b[sratHeader:n]
	for left := entries; len(left) > 0; left = left[left[1]:] {
		if len(left) < 2 || left[1] < 2 || int(left[1]) > len(left) {
			return nil
		}
	}
	return entries
}

// decodeAffinity decodes the entries of a table, as [tableOf] has checked them.
func decodeAffinity(b []byte) *affinity {
	var a affinity
	sizes := make(map[uint32]uint64)
	le := binary.LittleEndian
	var end uint64 // of the entry before
	for ; len(b) > 0; b = b[b[1]:] {
		e := b[:b[1]]
		if e[0] != sratMemory || len(e) != sratEntry {
			continue
		}
		domain, base, length, flags := le.Uint32(e[sratDomainAt:]), le.Uint64(e[sratBaseAt:]), le.Uint64(e[sratLengthAt:]), le.Uint32(e[sratFlagsAt:])
		switch {
		case flags&sratEnabled == 0 || length == 0 || domain >= maxDomains || !binio.Within(base, length, physmem.MaxAddress):
			continue
		case flags&sratPluggable != 0:
			a.window = base
			continue
		case end == hole640K && base == hole640KEnd:
			length += hole640KEnd - hole640K
		}
		sizes[domain] += length
		end = base + le.Uint64(e[sratLengthAt:])
	}
	for domain := range uint32(maxDomains) {
		if n := sizes[domain]; n > 0 {
			a.nodes = append(a.nodes, n)
		}
	}
	return &a
}

// byNodes returns the blocks that are the nodes' memory, in the order of the nodes, by
// their sizes; nil if there are no such. The blocks' names are what an administrator chose.
// It tells whether other blocks have the same sizes: then the order of the stream decides,
// which is that in which blocks of one size were made.
func (a *affinity) byNodes(list []*ramblock.Block) (nodes []*ramblock.Block, unsure bool) {
	if a == nil || len(a.nodes) < 2 {
		return nil, false
	}
	left := slices.Clone(list)
	for _, n := range a.nodes {
		i := slices.IndexFunc(left, func(b *ramblock.Block) bool { return b.Size == n })
		if i < 0 {
			return nil, false
		}
		nodes = append(nodes, left[i])
		left = slices.Delete(left, i, i+1)
		unsure = unsure || slices.ContainsFunc(left, func(b *ramblock.Block) bool { return b.Size == n })
	}
	return nodes, unsure
}

// pluggable returns where a block lies that a virtio-mem device brings: its section has
// the address and the sizes of the block and of the pieces that it is plugged in by, u64
// each, and the node, u32 (QEMU hw/virtio/virtio-mem.c,
// vmstate_virtio_mem_sanity_checks).
func (s *stream) pluggable(b *ramblock.Block) (pa uint64, ok bool, err error) {
	const device, record, sizeAt, pieceAt, nodeAt, size = "virtio-mem", 4096, 8, 16, 24, 28
	be := binary.BigEndian
	for _, x := range slices.Concat(s.early, s.devices) {
		if !strings.Contains(x.name, device) {
			continue
		}
		data, err := s.data(x, record)
		if err != nil {
			return 0, false, err
		}
		for ; len(data) >= size; data = data[1:] {
			at, piece := be.Uint64(data), be.Uint64(data[pieceAt:])
			if be.Uint64(data[sizeAt:]) != b.Size || piece < pageSize || piece > b.Size || piece&(piece-1) != 0 || at%piece != 0 || at < end4G || be.Uint32(data[nodeAt:]) >= maxDomains {
				continue
			}
			if ok && at != pa {
				return 0, false, nil // two of one size
			}
			pa, ok = at, true
		}
	}
	return pa, ok, nil
}
