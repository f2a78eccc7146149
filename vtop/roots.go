package vtop

import (
	"context"
	"encoding/binary"
	"io"
)

// Range is Size bytes of guest-physical memory from Start.
type Range struct{ Start, Size uint64 }

// RootKind says why a page may be the root of an address space.
type RootKind int

const (
	// RootSelfMap is a page with an entry, in the kernel's half, that refers to
	// the page itself: how Windows reaches its page tables. The index is random
	// since Windows 10 1607, 0x1ed before.
	RootSelfMap RootKind = iota + 1
	// RootLowStub is the CR3 of a [LowStub].
	RootLowStub
	// RootMaps is a page that, taken for a root, maps all the addresses asked for.
	RootMaps
)

// String names the kind.
func (k RootKind) String() string {
	switch k {
	case RootSelfMap:
		return "self-map"
	case RootLowStub:
		return "low stub"
	case RootMaps:
		return "maps the kernel's addresses"
	}
	return "unknown"
}

// Root is a page that may be the root of an address space.
type Root struct {
	DTB    PA
	Levels int
	Kind   RootKind
}

const (
	tablePage  = 1 << pageShift
	tableSlots = 1 << indexBits
	rootWindow = 2 << 20 // bytes read at once
	// selfMask are the bits of an entry that a self-map settles: address, PS,
	// R/W and P (MemProcFS).
	selfMask = 0x0000fffffffff083
	selfBits = 0x3
)

// Roots searches pages of physical memory, in ascending order, for roots of
// address spaces, and hands each to visit until that returns false. The ranges are
// what mem holds. A candidate is only that: visit must check what it maps. One
// that maps itself is offered with 4 and then with 5 levels, and any other page
// only with the levels with which it maps every address of must.
//
// What can't be read is passed over. The error is ctx's.
func Roots(ctx context.Context, mem io.ReaderAt, ranges []Range, must []VA, visit func(Root) bool) error {
	return eachPage(ctx, mem, ranges, func(pa PA, page []byte) bool {
		return offer(mem, pa, page, must, visit)
	})
}

// eachPage hands the whole pages of the ranges to visit, ascending, until that
// returns false.
func eachPage(ctx context.Context, mem io.ReaderAt, ranges []Range, visit func(PA, []byte) bool) error {
	buf := make([]byte, rootWindow)
	for _, r := range ranges {
		at := (r.Start + tablePage - 1) &^ (tablePage - 1)
		for end := r.Start + r.Size; at < end && end-at >= tablePage; at += rootWindow {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			n, _ := mem.ReadAt(buf[:min(end-at, rootWindow)], int64(at)) //nolint:gosec // the caller's addresses are those of a ReaderAt
			for off := 0; off+tablePage <= n; off += tablePage {
				if !visit(PA(at)+PA(off), buf[off:off+tablePage]) {
					return nil
				}
			}
		}
	}
	return nil
}

// offer hands page to visit if it may be a root, and tells whether to go on.
func offer(mem io.ReaderAt, pa PA, page []byte, must []VA, visit func(Root) bool) bool {
	self := mapsSelf(page, pa)
	for _, levels := range []int{levels4, maxLevels} {
		switch {
		case self:
			if !visit(Root{DTB: pa, Levels: levels, Kind: RootSelfMap}) {
				return false
			}
		case len(must) > 0 && mapsAll(mem, pa, page, levels, must):
			if !visit(Root{DTB: pa, Levels: levels, Kind: RootMaps}) {
				return false
			}
		}
	}
	return true
}

// mapsSelf reports whether an entry of the kernel's half refers to its own page.
func mapsSelf(page []byte, pa PA) bool {
	for off := tablePage / 2; off < tablePage; off += entrySize {
		if binary.LittleEndian.Uint64(page[off:])&selfMask == uint64(pa)|selfBits {
			return true
		}
	}
	return false
}

// mapsAll reports whether page, as a root, maps every address. Its own entries
// are looked at first, which settles nearly all pages.
func mapsAll(mem io.ReaderAt, pa PA, page []byte, levels int, must []VA) bool {
	shift := pageShift + indexBits*(levels-1)
	for _, va := range must {
		e := Entry(binary.LittleEndian.Uint64(page[va>>shift%tableSlots*entrySize:]))
		if !e.Present() || e.Large() {
			return false
		}
	}
	s := &Space{Mem: mem, DTB: pa, Levels: levels}
	for _, va := range must {
		if _, err := s.Translate(va); err != nil {
			return false
		}
	}
	return true
}

// LowStub is what a PROCESSOR_START_BLOCK tells: the page below 1 MiB through which
// Windows starts its other processors, and wakes them, left from the last start.
// Machines without such a page exist.
type LowStub struct {
	PA     PA
	CR3    uint64 // of the kernel, as it was loaded
	Levels int
	// Target is LmTarget, the code to which the stub goes, in the kernel or the HAL;
	// SystemCall is IA32_LSTAR, 0 if it was not yet set.
	Target, SystemCall VA
}

const (
	lowStubLimit = 1 << 20
	stubTarget   = 0x70
	stubCR3      = 0xa0 // ProcessorState.SpecialRegisters.Cr3
	stubCR4      = 0xa8
	stubLStar    = 0x150
	cr4LA57      = 1 << 12 // Intel SDM vol. 3, 2.5
)

// LowStubs returns the low stubs of a guest (layout: MemProcFS and several public
// definitions of PROCESSOR_START_BLOCK). ranges are what mem holds.
func LowStubs(mem io.ReaderAt, ranges []Range) []LowStub {
	var out []LowStub
	le := binary.LittleEndian
	for _, r := range ranges {
		for pa := (r.Start + tablePage - 1) &^ (tablePage - 1); pa < lowStubLimit && pa < r.Start+r.Size; pa += tablePage {
			var page [tablePage]byte
			if n, _ := mem.ReadAt(page[:], int64(pa)); n < len(page) {
				continue
			}
			target, cr3, lstar := le.Uint64(page[stubTarget:]), le.Uint64(page[stubCR3:]), le.Uint64(page[stubLStar:])
			// A 16-bit jump over the header, CompletionFlag 1; a kernel address; a
			// page below 1 TiB.
			if le.Uint64(page[:])&0xffffffffffff00ff != 0x00000001000600e9 ||
				target&0xfffff80000000003 != 0xfffff80000000000 || cr3 == 0 || cr3&0xffffff0000000fff != 0 {
				continue
			}
			stub := LowStub{PA: PA(pa), CR3: cr3, Levels: levels4, Target: VA(target), SystemCall: VA(lstar)}
			if le.Uint64(page[stubCR4:])&cr4LA57 != 0 {
				stub.Levels = maxLevels
			}
			out = append(out, stub)
		}
	}
	return out
}

// Mapped visits the pages that the address space maps in [from, to], ascending,
// until visit returns false or limit entries of page tables were looked at; it
// reports whether all was visited. Tables that can't be read are passed over, as
// are pages in transition.
func (s *Space) Mapped(from, to VA, limit int, visit func(Mapping) bool) bool {
	f := s.paging()
	m := mapped{mem: s.Mem, paging: f, signed: s.Mode == ModeX64, from: from, to: to, left: limit, visit: visit}
	return m.table(s.DTB&f.rootMask, f.levels, 0)
}

type mapped struct {
	mem      io.ReaderAt
	paging   *paging
	signed   bool // the highest bit of an address is extended
	from, to VA
	left     int
	visit    func(Mapping) bool
}

// table goes through one page table, which maps addresses from base on.
func (m *mapped) table(pa PA, level int, base VA) bool {
	f := m.paging
	entries := f.lastIndex + 1
	if level == f.levels {
		entries = f.topEntries
	}
	page := make([]byte, entries*f.entrySize)
	if n, _ := readFull(m.mem, page, pa); n < len(page) {
		return true
	}
	shift := f.shift(level)
	for i := range entries {
		va := base | VA(i)<<shift
		if level == f.levels && m.signed {
			unused := 64 - shift - f.indexBits
			va = VA(int64(va) << unused >> unused) //nolint:gosec // sign extension is the point
		}
		if last := va | (1<<shift - 1); last < m.from || va > m.to {
			continue
		}
		if m.left--; m.left < 0 {
			return false
		}
		e := f.decode(page[i*f.entrySize:])
		if !e.Present() || e&f.reserved[level] != 0 {
			continue
		}
		step := Step{Level: level, EntryPA: pa + i*f.entrySize, Entry: e}
		more := true
		switch {
		case level == 1:
			more = m.visit(step.page(va, e.Address(), 1<<shift))
		case !e.Large():
			more = m.table(e.Address(), level-1, va)
		case f.mapsLarge(e, level):
			more = m.visit(step.page(va, f.largeAddress(e, level), 1<<shift))
		}
		if !more {
			return false
		}
	}
	return true
}
