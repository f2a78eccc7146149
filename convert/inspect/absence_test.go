package inspect

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/vtop"
)

// TestAbsence: why an image is not known is said in words, and the three absences stay
// apart, however deep the error lies.
func TestAbsence(t *testing.T) {
	t.Parallel()
	fault := func(kind vtop.FaultKind, err error) error { return &vtop.FaultError{VA: 0x1000, Kind: kind, Err: err} }
	image := func(err error) error { return &peimage.Error{Field: "Signature", Err: err} }
	for said, errs := range map[string][]error{
		"paged out":       {fault(vtop.Pagefile, nil), image(fault(vtop.Prototype, nil)), fault(vtop.DemandZero, nil), fault(vtop.TableTransition, nil)},
		"not mapped":      {fault(vtop.NotPresent, nil), fault(vtop.NonCanonical, nil), image(fault(vtop.Malformed, nil))},
		"not in the file": {image(fault(vtop.PageUnreadable, &physmem.NotInImageError{})), fault(vtop.TableUnreadable, &physmem.NotInImageError{})},
		"not there":       {fmt.Errorf("CodeView record: %w", peimage.ErrNoSuchPart)},
		"damaged":         {image(nil), fmt.Errorf("debug record: %w", peimage.ErrBadString)},
		"not readable":    {image(fault(vtop.PageUnreadable, &physmem.ReadError{Err: io.ErrUnexpectedEOF})), io.ErrUnexpectedEOF},
	} {
		for _, err := range errs {
			assert.Equal(t, said, absence(err), err)
		}
	}
}
