package vtop

import (
	"encoding/binary"

	"windmp/physmem"
)

const (
	pageSize  = physmem.PageSize
	pageShift = 12
)

// Mode is a paging mode: everything in which the page tables of one kind of guest
// differ from those of another. The modes of this package are [X86], [PAE], [X64],
// [LA57], [ARM64] and [ARM64Wide]; a caller may describe others. A mode must not be changed once a
// [Space] uses it.
//
// Pages have 4 KiB in all modes. An address space has one root, unless the mode is
// Split: where a processor has two (Arm64's TTBR0 and TTBR1), both must lie in one table.
type Mode struct {
	Name        string // for people: "x64, 4 levels"
	PointerSize int    // of the kernel that uses the mode, in bytes: 8 or 4
	EntrySize   int    // of all tables, in bytes: 8 or 4

	// Levels describes the tables, the page table first: level n is
	// Levels[n-1], the topmost one is the last. Their Bits and the 12 of an
	// offset in a page are the bits of a virtual address that are translated.
	Levels []Level
	// FlatBits is set for a mode without Levels, of memory that is kept by virtual
	// address, as Windows' triage dumps have it: these lower bits of a canonical
	// address are where [Space].Mem has it, and nothing is known of page tables.
	FlatBits int
	// SignExtended says what the bits above these must be in a canonical
	// address: the copies of the highest one, otherwise zeros.
	SignExtended bool
	// Split is set where each half of the addresses has a topmost table of its own: a
	// [Space] has two roots then, chosen by the bits above, which are all equal.
	Split bool
	// KernelStart is the lowest address of the kernel.
	KernelStart VA

	// RootMask selects the physical address of the topmost table in the
	// register that holds it (CR3). Its lowest bit says how a root is aligned.
	RootMask uint64
	// Control is how the register that chooses among the modes of a processor
	// (CR4) says that it is this one.
	Control Bits

	// Unfamiliar is set where debuggers are in use that can't walk such tables.
	Unfamiliar bool

	// Present is set, all bits of it, in entries that the processor uses. An entry
	// of zeros is none of them in any mode.
	Present Entry
	// Absent are Windows' forms of all other entries.
	Absent Absent

	// SelfMap is how the topmost table refers to itself, nil if it does not.
	// Modes that differ in nothing else may share one.
	SelfMap *SelfMap
	// RootByMapping says that a page that, read as a root, maps all addresses
	// that a kernel has mapped is likely to be one. With addresses of 32 bits
	// too many pages do that by chance.
	RootByMapping bool
	// LowStub is where a processor's start block keeps its state, nil if the
	// machine has no such thing.
	LowStub *LowStubLayout
}

// Bits says that a register has Value in the bits of Mask.
type Bits struct{ Mask, Value uint64 }

// In reports whether v is such a value.
func (b Bits) In(v uint64) bool { return v&b.Mask == b.Value }

// Level is one level of page tables.
type Level struct {
	Name string // of its entries, as the processor's manual has it: "PML4E"
	Bits int    // of a virtual address, by which the entry is chosen
	// Table and Page are the forms of present entries: that refer to a table of
	// the level below, and that map a page of the size that an entry covers. None
	// has both, and one that has neither is malformed.
	Table, Page Form
	Flags       []Flag // in the order in which people read them
}

// Form is one form of an entry.
type Form struct {
	// An entry has this form if it has Value in the bits of Mask. No entry has
	// a form without a mask.
	Mask, Value Entry
	// Reserved are bits at which the processor faults when one of them is set.
	Reserved Entry
	// Address are the bits of the physical address, in their places. High are
	// further ones, which belong HighShift places above their own.
	Address   Entry
	High      Entry
	HighShift int
}

func (f *Form) has(e Entry) bool { return e&f.Mask == f.Value && f.Mask != 0 }

// valid is has without a reserved bit.
func (f *Form) valid(e Entry) bool { return e&(f.Mask|f.Reserved) == f.Value && f.Mask != 0 }

func (f *Form) address(e Entry) PA { return PA(e&f.Address | e&f.High<<(uint(f.HighShift)&63)) }

// Flag is a bit of a present entry.
type Flag struct {
	Name   string
	Bit    Entry
	OfPage bool // it means something only where the entry maps a page
}

// Absent are Windows' forms of entries that are not present, see [Entry].
type Absent struct {
	Prototype, Transition Form
	// Pagefile are the bits of a place in a paging file: an entry of neither
	// form that has one of them set says that its page is there.
	Pagefile Entry
}

// AddressBits is how many bits of a virtual address are translated: those by which
// tables are read, and with Split one more, which chooses among the roots.
func (m *Mode) AddressBits() int {
	if m.Split {
		return m.TableBits() + 1
	}
	return m.TableBits()
}

// TableBits is how many bits of a virtual address are translated from one root on.
func (m *Mode) TableBits() int {
	if m.flat() {
		return m.FlatBits
	}
	return int(m.shift(len(m.Levels))) + m.top().Bits
}

// flat tells whether memory is kept by virtual address.
func (m *Mode) flat() bool { return len(m.Levels) == 0 }

// Flat is where [Space].Mem has a canonical address in a mode without Levels.
func (m *Mode) Flat(va VA) PA { return PA(va) & (1<<m.AddressBits() - 1) }

// Root is the physical address of the topmost table, by the value of the register
// that holds it.
func (m *Mode) Root(register uint64) PA { return PA(register & m.RootMask) }

// Canonical reports whether va can be translated at all.
func (m *Mode) Canonical(va VA) bool { return m.extend(va) == va }

// IsKernel reports whether va is canonical and may be an address of the kernel.
func (m *Mode) IsKernel(va VA) bool { return va >= m.KernelStart && m.Canonical(va) }

// shift is the logarithm of what an entry of the level maps, in bytes.
func (m *Mode) shift(level int) uint {
	shift := pageShift
	for i := range m.Levels[:level-1] {
		shift += m.Levels[i].Bits
	}
	return uint(shift)
}

// extend makes an address of its lower bits.
func (m *Mode) extend(va VA) VA {
	unused := uint(64 - m.AddressBits())
	if m.SignExtended {
		return VA(int64(va) << unused >> unused) //nolint:gosec // sign extension is the point
	}
	return va << unused >> unused
}

// clip leaves what is canonical of the addresses from first to last, and reports
// whether that is anything.
func (m *Mode) clip(first, last VA) (VA, VA, bool) {
	lowerEnd := VA(1)<<m.AddressBits() - 1
	if !m.SignExtended {
		last = min(last, lowerEnd)
		return first, last, first <= last
	}
	lowerEnd >>= 1
	upperStart := ^lowerEnd
	if first > lowerEnd {
		first = max(first, upperStart)
	}
	if last < upperStart {
		last = min(last, lowerEnd)
	}
	return first, last, first <= last
}

func (m *Mode) present(e Entry) bool { return e&m.Present == m.Present }

// absent says what an entry that is not present means. Transition is that of a
// table; of a page it is no fault.
func (m *Mode) absent(e Entry) FaultKind {
	switch {
	case e == 0:
		return NotPresent
	case m.Absent.Prototype.has(e):
		return Prototype
	case m.Absent.Transition.has(e):
		return TableTransition
	case e&m.Absent.Pagefile != 0:
		return Pagefile
	default:
		return DemandZero
	}
}

// decode is the entry that b begins with.
func (m *Mode) decode(b []byte) Entry { return decode(b, m.EntrySize) }

// decode is an entry of size bytes, with which b begins.
func decode(b []byte, size int) Entry {
	if size == 4 {
		return Entry(binary.LittleEndian.Uint32(b))
	}
	return Entry(binary.LittleEndian.Uint64(b))
}

// top is the topmost level.
func (m *Mode) top() *Level { return &m.Levels[len(m.Levels)-1] }

// rootSize is the size of the topmost table in bytes.
func (m *Mode) rootSize() int { return m.EntrySize << m.top().Bits }
