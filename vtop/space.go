package vtop

import (
	"io"
	"math"
	"sync"
)

const (
	pageShift = 12
	indexBits = 9 // a table of x64 has 512 entries of 8 bytes
	entrySize = 8
	maxLevels = 5
	levels4   = 4
)

// Space is a guest-virtual address space. It only reads; any number of
// goroutines may use one at the same time if Mem allows it. Its fields must not
// change meanwhile.
type Space struct {
	// Mem is guest-physical memory, the offset being the physical address.
	// It must answer what it does not hold with an error; no other meaning
	// is given to the error here. Who made it closes it.
	Mem io.ReaderAt
	// DTB is the topmost page table, of the highest level.
	DTB PA
	// Levels is 5 when the processor translates 57-bit addresses (CR4.LA57,
	// bit 12, is set; SDM vol. 3, 4.5), otherwise 4. It means nothing in the
	// 32-bit modes.
	Levels int
	// Mode is the paging mode, ModeX64 if it is not set.
	Mode Mode
}

// NewSpace returns the space whose CR3 has the value dtb. Only bits 12-51 of it
// count: bits 0-11 are flags or a PCID, bit 63 belongs to the instruction that
// loads CR3 (SDM vol. 3, 4.5.2 and 4.10.4.1). Levels other than 5 are 4.
func NewSpace(mem io.ReaderAt, dtb uint64, levels int) *Space {
	if levels != maxLevels {
		levels = levels4
	}
	return &Space{Mem: mem, DTB: Entry(dtb).Address(), Levels: levels}
}

// NewSpace32 returns the space of a 32-bit guest whose CR3 has the value dtb,
// with PAE or without it. Bits 5-31 of dtb count with PAE, 12-31 without (SDM
// vol. 3, 4.3 and 4.4.1).
func NewSpace32(mem io.ReaderAt, dtb uint64, pae bool) *Space {
	mode := ModeLegacy
	if pae {
		mode = ModePAE
	}
	s := &Space{Mem: mem, Mode: mode}
	s.DTB, s.Levels = PA(dtb)&s.paging().rootMask, s.paging().levels
	return s
}

// Canonical reports whether va can be translated at all: bits 47-63, or 56-63
// with 5 levels, are all equal; in the 32-bit modes bits 32-63 are zero.
func (s *Space) Canonical(va VA) bool {
	if s.Mode != ModeX64 {
		return va <= math.MaxUint32
	}
	unused := 64 - (pageShift + indexBits*s.levels())
	return VA(int64(va)<<unused>>unused) == va //nolint:gosec // sign extension is the point
}

// PointerSize is the size of a pointer of the guest's kernel in bytes, 8 or 4.
func (s *Space) PointerSize() int {
	if s.Mode != ModeX64 {
		return 4
	}
	return 8
}

// Pointer reads a pointer of the guest's kernel. Errors are ReadVirtual's.
func (s *Space) Pointer(va VA) (VA, error) {
	if s.PointerSize() == 4 {
		v, err := s.Uint32(va)
		return VA(v), err
	}
	v, err := s.Uint64(va)
	return VA(v), err
}

func (s *Space) levels() int { return s.paging().levels }

// Mapping is where a virtual address leads.
type Mapping struct {
	VA         VA
	PA         PA     // of the byte at VA
	PageSize   uint64 // bytes: 4 KiB, 2 MiB, 1 GiB, or 4 MiB in ModeLegacy; pages are aligned to it
	Entry      Entry  // the one that maps the page
	EntryPA    PA
	Level      int  // of Entry: 1, 2 or 3
	Transition bool // Entry is in transition, see Entry.Transition
}

// Step is one entry on the way from the DTB to a page.
type Step struct {
	Level   int // from 5, 4, 3 (PAE) or 2 (legacy) down to 1
	EntryPA PA
	Entry   Entry
}

// Translate walks the page tables (Intel SDM vol. 3, 4.3, 4.4 and 4.5.4). Every error is a
// *FaultError; PageUnreadable is not among its kinds, as the page itself is not
// read.
//
// A page in transition is followed, as debuggers do: its contents are still
// there. Access rights are not looked at. In the entry of a 2 MiB or 1 GiB
// page, bit 12 is the memory type, and the other bits below the page's size are
// reserved.
func (s *Space) Translate(va VA) (Mapping, error) {
	w := borrow()
	defer w.giveBack()
	return w.walk(s, va)
}

// Walk returns every entry that Translate reads, from the top down, also when
// there is an error, which is as Translate's. The entry that could not be read
// is not among them.
func (s *Space) Walk(va VA) ([]Step, error) {
	w := borrow()
	defer w.giveBack()
	_, err := w.walk(s, va)
	return append([]Step(nil), w.steps[:w.count]...), err
}

// walker is what a walk writes to. What an interface method gets a pointer to
// must live on the heap, so walkers are kept for reuse.
type walker struct {
	entry [entrySize]byte
	value [8]byte
	steps [maxLevels]Step
	count int
}

var walkers sync.Pool

func borrow() *walker {
	if w, ok := walkers.Get().(*walker); ok {
		return w
	}
	return new(walker)
}

func (w *walker) giveBack() { walkers.Put(w) }
