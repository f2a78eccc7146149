package inspect

import (
	"errors"
	"slices"

	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/vtop"
)

// lack says that a part of the image, with its verb, is not known.
func (r *ImageReport) lack(part string, err error) {
	r.Error, r.Detail = part+" "+absence(err), err.Error()
}

// absence says in words why something of the guest's memory is not known.
func absence(err error) string {
	var fault *vtop.FaultError
	switch {
	case errors.Is(err, vtop.ErrNotMapped) && errors.As(err, &fault):
		return notMapped(fault.Kind)
	case errors.Is(err, physmem.ErrNotInImage):
		return "not in the file"
	case errors.Is(err, peimage.ErrNoSuchPart):
		return "not there"
	case errors.Is(err, peimage.ErrBadString), errors.As(err, new(*peimage.Error)) && !errors.As(err, new(*physmem.ReadError)):
		return "damaged"
	default:
		return "not readable"
	}
}

// pagedOut are the faults at a page, or a page table, that Windows has elsewhere.
var pagedOut = []vtop.FaultKind{vtop.Pagefile, vtop.Prototype, vtop.DemandZero, vtop.TableTransition}

// notMapped is why the guest has no page there.
func notMapped(kind vtop.FaultKind) string {
	if slices.Contains(pagedOut, kind) {
		return "paged out"
	}
	return "not mapped"
}
