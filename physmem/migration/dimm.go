package migration

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"windmp/physmem"
	"windmp/physmem/migration/internal/ramblock"
)

// placeDIMMs adds memory that is not on the board. Libvirt says where DIMMs are, and a
// virtio-mem device where its memory is; of the others the place is supposed ([endToEnd]),
// or they are left out.
func (s *stream) placeDIMMs(list []ramblock.Place, rest []*ramblock.Block, known map[string]uint64, a *affinity) ([]ramblock.Place, error) {
	rest = slices.DeleteFunc(slices.Clone(rest), func(b *ramblock.Block) bool { return b.IsEmpty() || b.Size < leastPlugged })
	window := windowOf(list, a)
	isPC := list[0].Start == 0
	var left, dimms []*ramblock.Block
	add := func(b *ramblock.Block, pa uint64) {
		x := physmem.Range{Start: pa, Size: b.Size}
		if slices.ContainsFunc(list, func(p ramblock.Place) bool { return p.Start < x.End() && x.Start < p.End() }) || x.Start%pageSize != 0 || x.End() > physmem.MaxAddress {
			left = append(left, b)
			return
		}
		list = append(list, ramblock.Place{Range: x, Block: b})
	}
	for _, b := range rest {
		at, ok := known[dimmName(b.Name)]
		if !ok {
			var err error
			if at, ok, err = s.pluggable(b); err != nil {
				return nil, err
			}
		}
		if !ok {
			dimms = append(dimms, b)
			continue
		}
		add(b, at)
	}
	ordered, ok := plugOrder(dimms)
	if ok && isPC && len(known) == 0 && len(dimms) == len(rest) {
		s.endToEnd(ordered, window, add)
	} else {
		left = append(left, dimms...)
	}
	if len(left) > 0 {
		s.odd.Add(physmem.OddityLimit, 0, "memory beside the board's, of which the stream does not say where it lies, is left out: %s", namesOf(left))
	}
	slices.SortStableFunc(list, func(a, b ramblock.Place) int { return cmp.Compare(a.Start, b.Start) })
	return list, nil
}

// leastPlugged is the least memory that can be plugged in, bytes: QEMU aligns it so
// (include/qemu/osdep.h, QEMU_VMALLOC_ALIGN). Smaller blocks are pages of devices, which
// have no path in front: tpm-ppi and tpm-crb-cmd of a TPM, synic-0-msg-page and
// synic-0-event-page of each processor with Hyper-V's interrupt controller, vmsvga.fifo.
const leastPlugged = 2 * mib

// endToEnd adds all DIMMs of a PC from where the window for such begins: by the ACPI tables,
// else at the next GiB, from 4 GiB on (QEMU hw/i386/pc.c, pc_memory_init). QEMU gives each
// the first room there (hw/mem/memory-device.c, memory_device_get_free_addr). That none
// was unplugged is supposed, and said of several.
func (s *stream) endToEnd(dimms []*ramblock.Block, window uint64, add func(b *ramblock.Block, pa uint64)) {
	if len(dimms) > 1 {
		s.odd.Add(physmem.OddityLimit, 0, "the stream does not say where its DIMMs lie: they are taken to have been plugged in one after the other: %s", namesOf(dimms)).Because("from 0x%x on", window)
	}
	for _, b := range dimms {
		add(b, window)
		window += b.Size
	}
}

const digits = "0123456789"

// cutNumber cuts a name in front of the number in which it ends: of its last nine digits,
// if it has more.
func cutNumber(name string) (prefix string, n int, ok bool) {
	const most = 9
	at := max(len(strings.TrimRight(name, digits)), len(name)-most)
	n, err := strconv.Atoi(name[at:])
	return name[:at], n, err == nil
}

// plugOrder returns DIMMs in the order in which they were plugged in; false where nothing
// tells it. Hosts number their backends as they make them, libvirt memdimm0, memdimm1,
// Proxmox mem-dimm0, mem-dimm1; and blocks of one size are in the stream in the order in
// which they were made (QEMU softmmu/physmem.c, ram_block_add), which must be the same.
func plugOrder(dimms []*ramblock.Block) ([]*ramblock.Block, bool) {
	bySize := slices.Clone(dimms)
	slices.SortStableFunc(bySize, func(a, b *ramblock.Block) int { return cmp.Compare(b.Size, a.Size) })
	isOneSize := len(dimms) == 0 || bySize[0].Size == bySize[len(bySize)-1].Size
	numbers, ok := numbersOf(dimms)
	if !ok {
		return dimms, isOneSize
	}
	for i := range bySize[1:] {
		if a, b := bySize[i], bySize[i+1]; a.Size == b.Size && numbers[a] >= numbers[b] {
			return nil, false
		}
	}
	slices.SortFunc(bySize, func(a, b *ramblock.Block) int { return cmp.Compare(numbers[a], numbers[b]) })
	return bySize, true
}

// numbersOf returns the numbers of blocks whose names differ by nothing else; false for
// other blocks.
func numbersOf(list []*ramblock.Block) (map[*ramblock.Block]int, bool) {
	numbers := make(map[*ramblock.Block]int, len(list))
	seen := make(map[int]bool, len(list))
	prefix := ""
	for i, b := range list {
		before, n, ok := cutNumber(b.Name)
		if !ok || seen[n] || i > 0 && before != prefix {
			return nil, false
		}
		prefix = before
		numbers[b], seen[n] = n, true
	}
	return numbers, len(list) > 0
}

// windowOf returns where a machine has room for DIMMs, as far as is known.
func windowOf(board []ramblock.Place, a *affinity) uint64 {
	var end uint64 = end4G
	for _, p := range board {
		end = max(end, p.End())
	}
	if a != nil && a.window >= end {
		return a.window
	}
	return (end + gib - 1) &^ (gib - 1)
}

// objects is in front of the names of blocks where machine types before 4.0 ask for
// canonical paths.
const objects = "/objects/"

// dimmName is the name of a DIMM's backend.
func dimmName(block string) string { return strings.TrimPrefix(block, objects) }
