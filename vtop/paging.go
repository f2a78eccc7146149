package vtop

import (
	"encoding/binary"
	"fmt"
)

// Mode is the paging mode of a processor (Intel SDM vol. 3, 4.1.1).
type Mode int

const (
	// ModeX64 is 4- or 5-level paging, see Space.Levels.
	ModeX64 Mode = iota
	// ModePAE is that of 32-bit systems with CR4.PAE (bit 5) set: four
	// entries of 8 bytes at CR3, then two levels of tables as x64 has them; a
	// page has 4 KiB or 2 MiB (SDM vol. 3, 4.4).
	ModePAE
	// ModeLegacy is that of 32-bit systems without PAE: two levels of entries
	// of 4 bytes; a page has 4 KiB or 4 MiB (SDM vol. 3, 4.3). CR4.PSE, which
	// allows the latter, is taken to be set, as Windows sets it.
	ModeLegacy
)

// String names the mode.
func (m Mode) String() string {
	switch m {
	case ModeX64:
		return "x64"
	case ModePAE:
		return "32-bit with PAE"
	case ModeLegacy:
		return "32-bit without PAE"
	}
	return fmt.Sprintf("unknown paging mode %d", int(m))
}

// paging is a mode in numbers.
type paging struct {
	levels     int
	indexBits  int
	topEntries PA  // of the topmost table
	lastIndex  PA  // of the other tables
	entrySize  PA  // bytes
	rootMask   PA  // the bits of CR3 that are the address of the topmost table
	maxLarge   int // the highest level that can map a page itself
	// reserved are the bits of a present entry of each level at which the
	// processor faults, other than those of large pages. None are named for
	// x64, where they depend on the processor, or Windows uses them.
	reserved [maxLevels + 1]Entry
}

const (
	// paeHigh is bits 52-62, reserved in PAE entries that 4-level paging has
	// for software (SDM vol. 3, tables 4-9 to 4-11).
	paeHigh Entry = (1<<63 - 1) &^ (1<<52 - 1)
	// paeTop is what is reserved in the entries at CR3: bits 1-2, 5-8 and
	// 52-63 (SDM vol. 3, table 4-8), but for bit 5. A processor reads these
	// entries when CR3 is loaded, and QEMU's TCG, which reads them each time,
	// sets Accessed there (seen with 7.2).
	paeTop = paeHigh | 1<<63 | 0x1c6

	// Of a 4 MiB page's entry (SDM vol. 3, table 4-4): bits 22-31 are bits
	// 22-31 of the address, bits 13-20 its bits 32-39 (PSE-36), bit 21 is
	// reserved.
	pseAddress    Entry = 0xffc0_0000
	pseHigh       Entry = 0x001f_e000
	pseHighShift        = 32 - 13
	pseReserved   Entry = 1 << 21
	legacyPageTop Entry = 0xffff_f000 // bits 12-31
)

var (
	pagingL4 = paging{
		levels: levels4, indexBits: indexBits, topEntries: 512, lastIndex: 511, entrySize: entrySize,
		rootMask: PA(entryAddress), maxLarge: 3,
	}
	pagingL5 = paging{
		levels: maxLevels, indexBits: indexBits, topEntries: 512, lastIndex: 511, entrySize: entrySize,
		rootMask: PA(entryAddress), maxLarge: 3,
	}
	pagingPAE = paging{
		levels: 3, indexBits: indexBits, topEntries: 4, lastIndex: 511, entrySize: entrySize,
		rootMask: 0xffff_ffe0, maxLarge: 2,
		reserved: [maxLevels + 1]Entry{1: paeHigh, 2: paeHigh, 3: paeTop},
	}
	pagingLegacy = paging{
		levels: 2, indexBits: 10, topEntries: 1024, lastIndex: 1023, entrySize: 4,
		rootMask: PA(legacyPageTop), maxLarge: 2,
	}
)

func (s *Space) paging() *paging {
	switch {
	case s.Mode == ModePAE:
		return &pagingPAE
	case s.Mode == ModeLegacy:
		return &pagingLegacy
	case s.Levels == maxLevels:
		return &pagingL5
	}
	return &pagingL4
}

// shift is the logarithm of what an entry of the level covers.
func (f *paging) shift(level int) int { return pageShift + f.indexBits*(level-1) }

// decode is the entry that b begins with.
func (f *paging) decode(b []byte) Entry {
	if f.entrySize == entrySize {
		return Entry(binary.LittleEndian.Uint64(b))
	}
	return Entry(binary.LittleEndian.Uint32(b))
}

// mapsLarge reports whether a present entry with PS set is a good one: its level
// has large pages, and none of the address bits below the page's size is set,
// other than PAT: bits 13-20 of a 2 MiB page's entry, 13-29 of a 1 GiB page's.
func (f *paging) mapsLarge(e Entry, level int) bool {
	reserved := entryAddress & Entry(uint64(1)<<f.shift(level)-1) &^ entryPAT
	if f == &pagingLegacy {
		reserved = pseReserved
	}
	return level <= f.maxLarge && e&reserved == 0
}

// largeAddress is the physical address of the page that a large entry maps.
func (f *paging) largeAddress(e Entry, level int) PA {
	if f == &pagingLegacy {
		return PA(e&pseAddress | e&pseHigh<<pseHighShift)
	}
	return e.Address() &^ PA(uint64(1)<<f.shift(level)-1)
}

// kind says what a not present entry means. Transition is left to the caller.
func (f *paging) kind(e Entry) FaultKind {
	switch {
	case e == 0:
		return NotPresent
	case e.Prototype():
		return Prototype
	case e.Transition():
		return TableTransition
	case e.Pagefile(), f == &pagingLegacy && e&legacyPageTop != 0:
		return Pagefile
	default:
		return DemandZero
	}
}
