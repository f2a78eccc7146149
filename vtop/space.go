package vtop

import (
	"encoding/binary"
	"io"
	"sync"
)

// Space is a guest-virtual address space. It only reads; any number of
// goroutines may use one at the same time if Mem allows it. Its fields must not
// change meanwhile.
type Space struct {
	// Mem is guest-physical memory, the offset being the physical address.
	// It must answer what it does not hold with an error; no other meaning
	// is given to the error here. Who made it closes it.
	Mem io.ReaderAt
	// DTB is the topmost page table, of the highest level; of a mode that is Split, that
	// of the upper half.
	DTB PA
	// Lower is that of the lower half in a mode that is Split, 0 where it is not known.
	Lower PA
	// Mode is the paging mode.
	Mode *Mode
	// Swizzle is what the guest does to entries that are not present, nothing where
	// that is not known.
	Swizzle Swizzle
}

// NewSpace returns the space of a mode whose root is in a register of the value
// root: CR3, with flags or a PCID, or what Windows keeps of it. Only the bits of
// the mode's RootMask count. Of a mode that is Split it is the root of the upper half;
// [Space.At] adds that of the lower one.
func NewSpace(mem io.ReaderAt, root uint64, mode *Mode) *Space {
	return &Space{Mem: mem, DTB: mode.Root(root), Mode: mode}
}

// At is another address space of the same guest, with its root in a register of the
// value root: what Windows keeps of a process. Of a mode that is Split that is the lower
// half's, and the upper half is that of s.
func (s *Space) At(root uint64) *Space {
	other := *s
	if s.Mode.Split {
		other.Lower = s.Mode.Root(root)
	} else {
		other.DTB = s.Mode.Root(root)
	}
	return &other
}

// rootOf is the topmost table that translates va, and whether it is known.
func (s *Space) rootOf(va VA) (PA, bool) {
	if !s.Mode.Split || va >= s.Mode.KernelStart {
		return s.DTB, true
	}
	return s.Lower, s.Lower != 0
}

// Flags names the set bits of an entry of a level, or Windows' form of one that is
// not present: not-present, prototype, transition, pagefile or demand-zero.
func (s *Space) Flags(level int, e Entry) []string {
	m := s.Mode
	if !m.present(e) {
		return []string{absentNames[m.absent(s.Swizzle.undo(e))]}
	}
	names := []string{}
	l := &m.Levels[level-1]
	for _, f := range l.Flags {
		if e&f.Bit != 0 && (!f.OfPage || l.Page.has(e)) {
			names = append(names, f.Name)
		}
	}
	return names
}

var absentNames = map[FaultKind]string{
	NotPresent: "not-present", Prototype: "prototype", TableTransition: "transition", Pagefile: "pagefile", DemandZero: "demand-zero",
}

// Canonical reports whether va can be translated at all.
func (s *Space) Canonical(va VA) bool { return s.Mode.Canonical(va) }

// PointerSize is the size of a pointer of the guest's kernel in bytes, 8 or 4.
func (s *Space) PointerSize() int { return s.Mode.PointerSize }

// Pointer reads a pointer of the guest's kernel. Errors are ReadVirtual's.
func (s *Space) Pointer(va VA) (VA, error) {
	w := borrow()
	defer w.giveBack()
	b := w.value[:s.Mode.PointerSize]
	w.value = [8]byte{}
	_, err := w.read(s, b, va)
	if err != nil {
		return 0, err
	}
	return VA(binary.LittleEndian.Uint64(w.value[:])), nil
}

// Mapping is where a virtual address leads.
type Mapping struct {
	VA         VA
	PA         PA     // of the byte at VA
	PageSize   uint64 // bytes: 4 KiB, 2 MiB, 1 GiB, or 4 MiB; pages are aligned to it
	Entry      Entry  // the one that maps the page
	EntryPA    PA
	Level      int  // of Entry
	Transition bool // Entry is in transition, see Entry
}

// Step is one entry on the way from the DTB to a page.
type Step struct {
	Level   int // from that of the topmost table down to 1
	EntryPA PA
	Entry   Entry
}

// Translate walks the page tables (Intel SDM vol. 3, 4.3, 4.4 and 4.5.4). Every error is a
// *FaultError; PageUnreadable is not among its kinds, as the page itself is not
// read.
//
// A page in transition is followed, as debuggers do: its contents are still
// there. Access rights are not looked at.
func (s *Space) Translate(va VA) (Mapping, error) {
	w := borrow()
	defer w.giveBack()
	return w.walk(s, va, nil)
}

// Walk returns every entry that Translate reads, from the top down, also when
// there is an error, which is as Translate's. The entry that could not be read
// is not among them.
func (s *Space) Walk(va VA) ([]Step, error) {
	w := borrow()
	defer w.giveBack()
	var steps []Step
	_, err := w.walk(s, va, &steps)
	return steps, err
}

// walker is what a walk writes to. What an interface method gets a pointer to
// must live on the heap, so walkers are kept for reuse.
type walker struct {
	tables tables
	value  [8]byte
}

var walkers sync.Pool

func borrow() *walker {
	if w, ok := walkers.Get().(*walker); ok {
		return w
	}
	return new(walker)
}

func (w *walker) giveBack() { walkers.Put(w) }
