package migration

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/migration/internal/ramblock"
)

// Places of a PC's memory.
const (
	mib   = 1 << 20
	gib   = 1 << 30
	end4G = 4 * gib
	// hyperTransport is where the range begins that AMD's processors keep for themselves
	// (QEMU hw/i386/pc.c, AMD_HT_START).
	hyperTransport = 0xfd_0000_0000
)

// A split says how much of the board's memory, which is one stretch in the blocks, is
// below its hole and how much from 4 GiB on, bytes; and where it begins.
type split struct{ low, high, start uint64 }

// versioned are machine types whose memory has no hole, and where it begins: QEMU's virt of
// Arm, whose name has a version, where those of other processors have none
// (hw/arm/virt.c, VIRT_MEM, in all versions).
var versioned = []struct {
	before string // the version
	start  uint64
}{{"virt-", gib}}

// whole is the split of a board of so many bytes without a hole; false for machine types
// that have one.
func whole(machine string, board uint64) (split, bool) {
	for _, m := range versioned {
		if version, ok := strings.CutPrefix(machine, m.before); ok && strings.IndexAny(version, digits) == 0 {
			return split{low: board, start: m.start}, true
		}
	}
	return split{}, false
}

// Bytes of the CMOS in which the board leaves the sizes of memory for its firmware (QEMU
// hw/i386/pc.c, pc_cmos_init; Bochs' rombios.c reads them): for all machine types, and
// whatever max-ram-below-4g is.
const (
	cmosSize     = 128
	cmosExtended = 0x30 // memory from 1 MiB on, KiB, 63 MiB at most
	cmosAbove16M = 0x34 // memory from 16 MiB on, 64 KiB
	cmosHigh     = 0x5b // memory from 4 GiB on, 64 KiB, three bytes
	cmosGrain    = 64 << 10
	cmosWraps    = cmosGrain << 24
)

// splitOf returns what the CMOS says.
func splitOf(cmos []byte) split {
	var s split
	if n := uint64(cmos[cmosAbove16M]) | uint64(cmos[cmosAbove16M+1])<<8; n > 0 {
		s.low = 16*mib + n*cmosGrain
	} else {
		s.low = mib + (uint64(cmos[cmosExtended])|uint64(cmos[cmosExtended+1])<<8)<<10
	}
	s.high = (uint64(cmos[cmosHigh]) | uint64(cmos[cmosHigh+1])<<8 | uint64(cmos[cmosHigh+2])<<16) * cmosGrain
	return s
}

// fits returns the split with all of the board's bytes: the CMOS counts in 64 KiB, and
// starts again at 1 TiB.
func (s split) fits(board uint64) (split, bool) {
	if board < s.low+s.high || (board-s.low-s.high)%cmosWraps >= cmosGrain {
		return s, false
	}
	s.high += (board - s.low - s.high) / cmosWraps * cmosWraps
	s.low = board - s.high
	return s, true
}

// A machineSplit is where machine types have the hole if nobody says otherwise (QEMU
// hw/i386/pc_piix.c and pc_q35.c): from so much memory on, so much is low.
type machineSplit struct {
	// names are how the types' names begin.
	names     []string
	from, low uint64
}

// defaultMachine begins the name of the type that streams are of which name none.
const defaultMachine = "pc-i440fx-"

var machineSplits = []machineSplit{
	{[]string{"pc-q35-"}, 0xb0000000, 0x80000000},
	{[]string{defaultMachine, "pc-1.", "pc-0."}, 0xe0000000, 0xc0000000},
}

// isOf reports whether a machine is of these types.
func (m *machineSplit) isOf(machine string) bool {
	return slices.ContainsFunc(m.names, func(name string) bool { return strings.HasPrefix(machine, name) })
}

// guess is the split of a machine type for a board of so many bytes: for streams that
// end before the CMOS.
func guess(machine string, board uint64) (split, bool) {
	if machine == "" {
		machine = defaultMachine
	}
	for _, m := range machineSplits {
		if !m.isOf(machine) {
			continue
		}
		if board < m.from {
			return split{low: board}, true
		}
		return split{low: m.low, high: board - m.low}, true
	}
	return split{}, false
}

// isDevice reports whether a block is known not to be memory of the board: video memory,
// firmware, tables, option ROMs. Blocks of devices have their path in front.
func isDevice(name string) bool {
	return strings.HasPrefix(name, "/rom@") || strings.HasSuffix(name, ".rom") || strings.HasSuffix(name, "vram") ||
		strings.Contains(name, ":") || strings.HasPrefix(name, "system.flash") || strings.HasPrefix(name, "virt.flash") || name == "pc.bios" || name == "pc.rom" || name == "isa-bios"
}

// ramBlocks returns the blocks that may be memory, in the order of the stream, which is
// by size and not by address.
func ramBlocks(all []*ramblock.Block) []*ramblock.Block {
	return slices.DeleteFunc(slices.Clone(all), func(b *ramblock.Block) bool { return isDevice(b.Name) })
}

// nodeNumber is the number of the NUMA node whose memory libvirt calls so; false for what
// is none's.
func nodeNumber(block string) (int, bool) {
	number, ok := strings.CutPrefix(strings.TrimPrefix(strings.TrimPrefix(block, "/"), "objects/"), "ram-node")
	prefix, n, isNumber := cutNumber(number)
	return n, ok && isNumber && prefix == ""
}

// boardNames are what QEMU calls the board's memory if nobody says otherwise: a PC's, and
// that of virt of Arm.
var boardNames = []string{"pc.ram", "mach-virt.ram"}

// A board is the memory on a machine's board: blocks that lie end to end, cut once.
type board struct {
	blocks []*ramblock.Block
	split  split
}

// size is that of some blocks, in bytes.
func size(list []*ramblock.Block) uint64 {
	var n uint64
	for _, b := range list {
		n += b.Size
	}
	return n
}

// boards returns the choices of blocks for the board's memory, the likely ones first:
// the one that is called so, the nodes of a NUMA machine in their order, by their names or
// by the ACPI tables, any single one.
func boards(list []*ramblock.Block, a *affinity) [][]*ramblock.Block {
	var out [][]*ramblock.Block
	nodes := map[int]*ramblock.Block{}
	for _, b := range list {
		if slices.Contains(boardNames, b.Name) {
			out = append(out, []*ramblock.Block{b})
		}
		if n, ok := nodeNumber(b.Name); ok {
			nodes[n] = b
		}
	}
	if len(nodes) > 0 {
		numbers := slices.Sorted(maps.Keys(nodes))
		all := make([]*ramblock.Block, 0, len(numbers))
		for _, n := range numbers {
			all = append(all, nodes[n])
		}
		out = append(out, all)
	}
	if all, _ := a.byNodes(list); all != nil {
		out = append(out, all)
	}
	for _, b := range list {
		out = append(out, []*ramblock.Block{b})
	}
	return out
}

// placeBoard says where the board's memory is, and returns the blocks that are none of
// it. Without a CMOS, the machine's type says it, and the oddity that it is supposed.
func (s *stream) placeBoard(cmos []byte, a *affinity) (board, []*ramblock.Block, error) {
	list := ramBlocks(s.ram.blocks)
	for _, choice := range boards(list, a) {
		where, ok := s.cutOf(cmos, size(choice))
		if ok {
			if end4G+where.high > hyperTransport {
				s.odd.Add(physmem.OddityLimit, 0, "%s of memory above 4 GiB are taken to begin there; with an AMD processor QEMU lets them begin at 1 TiB (machine types 7.1 and later), which the stream does not say", binio.Bytes(where.high))
			}
			if nodes, unsure := a.byNodes(list); unsure && slices.Equal(nodes, choice) && !areNodes(choice) {
				s.odd.Add(physmem.OddityLimit, 0, "of the blocks %s several have one size, and the stream does not say which is whose: they are taken in its order", namesOf(choice))
			}
			rest := slices.DeleteFunc(slices.Clone(list), func(b *ramblock.Block) bool { return slices.Contains(choice, b) })
			return board{blocks: choice, split: where}, rest, nil
		}
	}
	return board{}, nil, s.unplaced(list, cmos)
}

// cutOf is where a board of so many bytes is cut; false where nothing says it.
func (s *stream) cutOf(cmos []byte, board uint64) (split, bool) {
	if where, ok := whole(s.machine, board); ok {
		return where, true
	}
	if cmos != nil {
		return splitOf(cmos).fits(board)
	}
	where, ok := guess(s.machine, board)
	if ok {
		s.odd.Add(physmem.OddityLimit, 0, "the stream does not say where memory lies, since it ends before the machine's devices; it is placed as the type of the machine has it (%s below 4 GiB)", binio.Bytes(where.low))
	}
	return where, ok
}

// unplaced is the error for memory whose place can't be told.
func (s *stream) unplaced(list []*ramblock.Block, cmos []byte) error {
	what := "a migration stream of a machine whose memory can't be placed: it does not say where memory lies"
	if cmos != nil {
		have := splitOf(cmos)
		what = fmt.Sprintf("a migration stream of a machine whose memory can't be placed: its CMOS has %s below 4 GiB and %s above", binio.Bytes(have.low), binio.Bytes(have.high))
	}
	if len(list) > 0 {
		what += ", its blocks are " + namesOf(list)
	}
	return &physmem.UnsupportedError{Format: physmem.FormatMigration, What: what}
}

// namesOf lists blocks for people.
func namesOf(list []*ramblock.Block) string {
	names := make([]string, 0, len(list))
	for _, b := range list {
		if len(names) == 8 {
			names = append(names, "and more")
			break
		}
		names = append(names, fmt.Sprintf("%q of %s", b.Name, binio.Bytes(b.Size)))
	}
	return strings.Join(names, ", ")
}

// areNodes reports whether all blocks have the names of nodes.
func areNodes(list []*ramblock.Block) bool {
	return !slices.ContainsFunc(list, func(b *ramblock.Block) bool {
		_, ok := nodeNumber(b.Name)
		return !ok
	})
}

// places returns where the board's blocks are, ascending.
func (b *board) places() []ramblock.Place {
	var out []ramblock.Place
	at := uint64(0) // of the stretch
	for _, x := range b.blocks {
		for first := uint64(0); first < x.Size; {
			pa, left := b.split.start+at, b.split.low-at
			if at >= b.split.low {
				pa, left = end4G+at-b.split.low, b.split.low+b.split.high-at
			}
			n := min(x.Size-first, left)
			if n == 0 {
				return out // the board has less
			}
			out = append(out, ramblock.Place{Range: physmem.Range{Start: pa, Size: n}, Block: x, First: first / pageSize})
			first, at = first+n, at+n
		}
	}
	return out
}
