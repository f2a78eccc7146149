package vtop

import (
	"context"
	"encoding/binary"
	"io"
)

// Where 32-bit Windows maps its page tables, on all versions: at c0000000
// (Russinovich and Solomon, "Windows Internals"; Volatility reads the same). The topmost
// table of two levels is thus entry 0x300 of itself, and of PAE's four page
// directories the last one begins with entries of all four.
const (
	selfIndexLegacy = 0x300
	directories     = 4
	rootSizePAE     = directories * entrySize
	// legacySelfMask are the bits that the entry of a self-map settles: address,
	// PS, R/W and P.
	legacySelfMask = uint32(legacyPageTop) | 0x83
	// paeSelfMask are the bits that decide which table a directory's entry refers
	// to: address, PS and P.
	paeSelfMask = entryAddress | entryLarge | entryPresent
)

// Roots32 is [Roots] for 32-bit guests: it searches for page directories without
// PAE, and for the four entries of PAE, 32 bytes anywhere in a page, that have
// Windows' self-map. Levels is 2 or 3, as that of a [Space] with this root.
func Roots32(ctx context.Context, mem io.ReaderAt, ranges []Range, visit func(Root) bool) error {
	return eachPage(ctx, mem, ranges, func(pa PA, page []byte) bool {
		if pa > PA(legacyPageTop) {
			return true // CR3 has 32 bits
		}
		self := binary.LittleEndian.Uint32(page[selfIndexLegacy*pagingLegacy.entrySize:])
		if self&legacySelfMask == uint32(pa)|selfBits && !visit(Root{DTB: pa, Levels: pagingLegacy.levels, Kind: RootSelfMap}) {
			return false
		}
		for off := 0; off < tablePage; off += rootSizePAE {
			if refersPAE(page[off:]) && mapsSelfPAE(mem, page[off:off+rootSizePAE]) &&
				!visit(Root{DTB: pa + PA(off), Levels: pagingPAE.levels, Kind: RootSelfMap}) {
				return false
			}
		}
		return true
	})
}

// refersPAE reports whether b begins with an entry that may refer to a directory.
func refersPAE(b []byte) bool {
	e := Entry(binary.LittleEndian.Uint64(b))
	return e&(paeTop|entryPresent) == entryPresent && e >= tablePage
}

// mapsSelfPAE reports whether the last of the four directories that entries refer
// to begins with the same four.
func mapsSelfPAE(mem io.ReaderAt, entries []byte) bool {
	for off := 0; off < rootSizePAE; off += entrySize {
		if !refersPAE(entries[off:]) {
			return false
		}
	}
	last := Entry(binary.LittleEndian.Uint64(entries[rootSizePAE-entrySize:]))
	var self [rootSizePAE]byte
	if _, err := readFull(mem, self[:], last.Address()); err != nil {
		return false
	}
	for off := 0; off < rootSizePAE; off += entrySize {
		e, d := Entry(binary.LittleEndian.Uint64(entries[off:])), Entry(binary.LittleEndian.Uint64(self[off:]))
		if d&paeSelfMask != Entry(e.Address())|entryPresent {
			return false
		}
	}
	return true
}
