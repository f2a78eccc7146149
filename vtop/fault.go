package vtop

import (
	"errors"
	"fmt"
)

// ErrNotMapped is what every FaultError is, by errors.Is, that says that the
// guest itself has no physical page at an address: all kinds but
// TableUnreadable and PageUnreadable.
var ErrNotMapped = errors.New("not mapped by the guest")

// FaultKind says why a virtual address can't be translated or read.
type FaultKind int

const (
	// NonCanonical means that the upper bits are not all equal to the highest
	// translated one, so no page table can map the address (Intel SDM
	// vol. 1, 3.3.7.1). Also a range that goes past the highest address.
	NonCanonical FaultKind = iota + 1
	// NotPresent means that an entry is zero. Nothing was ever mapped there.
	NotPresent
	// Pagefile means that the page, or the page table on the way to it, is in a paging
	// file.
	Pagefile
	// Prototype means that the page belongs to a section, whose own entry would say
	// where it is.
	Prototype
	// DemandZero means that Windows reserved the address, but there is no page yet, or
	// no longer.
	DemandZero
	// TableTransition means that a page table on the way, not the page, is
	// in transition. Such tables are not followed: the processor would not, and
	// their entries need not be current.
	TableTransition
	// Malformed means that a present entry has a reserved bit set, at which the
	// processor would fault (SDM vol. 3, 4.7, RSVD). The table is probably
	// not one, that is, the directory table base is wrong.
	Malformed
	// TableUnreadable means that a page table could not be read, Err says
	// why. Whether the guest maps the address is not known.
	TableUnreadable
	// PageUnreadable means that the guest maps the address, but its memory
	// could not be read, Err says why. In a mode without levels it is not known
	// whether the guest maps it.
	PageUnreadable
)

// String names the kind.
func (k FaultKind) String() string {
	switch k {
	case NonCanonical:
		return "not a canonical address"
	case NotPresent:
		return "not mapped"
	case Pagefile:
		return "in a paging file"
	case Prototype:
		return "prototype entry"
	case DemandZero:
		return "demand zero"
	case TableTransition:
		return "page table in transition"
	case Malformed:
		return "reserved bit set"
	case TableUnreadable:
		return "page table unreadable"
	case PageUnreadable:
		return "page unreadable"
	}
	return fmt.Sprintf("unknown fault kind %d", int(k))
}

// FaultError says at which virtual address a translation or a read ended, and
// why. A caller tells three absences apart like this:
//
//	errors.Is(err, ErrNotMapped)             the guest has no page there
//	errors.Is(err, <the memory's not-saved>) the file does not hold the page
//	                                         (Kind PageUnreadable) or a page
//	                                         table (TableUnreadable)
//	anything else                            the file could not be read
type FaultError struct {
	VA      VA        // the first address that could not be had
	Kind    FaultKind // why
	Level   int       // of Entry: 1 is the page table, 5 the PML5; 0 if there is none
	EntryPA PA        // where Entry stands; valid if Level is not 0
	Entry   Entry     // not valid if Kind is TableUnreadable
	PA      PA        // what VA translates to, if Kind is PageUnreadable
	Err     error     // the memory's error, if Kind is TableUnreadable or PageUnreadable; mostly nil otherwise
}

// Error names the address, the kind, and the entry.
func (e *FaultError) Error() string {
	switch {
	case e.Kind == PageUnreadable && e.Level == 0: // kept by virtual address
		return fmt.Sprintf("virtual address %v: %v", e.VA, e.Err)
	case e.Kind == PageUnreadable:
		return fmt.Sprintf("virtual address %v: %v: physical address %v: %v", e.VA, e.Kind, e.PA, e.Err)
	case e.Kind == TableUnreadable && e.Level != 0:
		return fmt.Sprintf("virtual address %v: %v: level %d entry at %v: %v", e.VA, e.Kind, e.Level, e.EntryPA, e.Err)
	case e.Level != 0:
		return fmt.Sprintf("virtual address %v: %v: level %d entry 0x%x at %v",
			e.VA, e.Kind, e.Level, uint64(e.Entry), e.EntryPA)
	case e.Err != nil:
		return fmt.Sprintf("virtual address %v: %v: %v", e.VA, e.Kind, e.Err)
	default:
		return fmt.Sprintf("virtual address %v: %v", e.VA, e.Kind)
	}
}

// Is reports whether target is ErrNotMapped and the kind one of those.
func (e *FaultError) Is(target error) bool {
	return target == ErrNotMapped && e.Kind != TableUnreadable && e.Kind != PageUnreadable
}

// Faulted tells whether err is a [*FaultError] of a kind, wrapped or not.
func Faulted(err error, kind FaultKind) bool {
	var fault *FaultError
	return errors.As(err, &fault) && fault.Kind == kind
}

// Unwrap returns Err.
func (e *FaultError) Unwrap() error { return e.Err }

// RangeError says that a range is longer than Pieces takes.
type RangeError struct {
	VA        VA
	Size, Max uint64 // bytes
}

// Error gives the range and the limit.
func (e *RangeError) Error() string {
	return fmt.Sprintf("virtual range %v: got 0x%x bytes, want at most 0x%x", e.VA, e.Size, e.Max)
}
