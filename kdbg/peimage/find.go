package peimage

import (
	"errors"
	"fmt"

	"windmp/vtop"
)

// Find returns the image of which va is a part: the nearest MZ below it, on a page
// boundary, whose headers are those of an image of the format that reaches beyond va.
// It looks at most [MaxSize] down. What lies between need not be mapped. The error is
// an [Error] about va.
func Find(s *vtop.Space, va vtop.VA, f Format) (*Image, error) {
	page := va &^ (pageSize - 1)
	for down := vtop.VA(0); down < MaxSize && down <= page; {
		base := page - down
		m, err := s.Translate(base)
		if err != nil {
			down += base&(span(s, err)-1) + pageSize // to where another entry maps
			continue
		}
		down += pageSize
		if !Begins(s, base) {
			continue
		}
		if n, err := Size(s, m.VA, f); err == nil && uint64(va-base) < uint64(n) {
			return Read(s, base, f)
		}
	}
	return nil, &Error{Base: va, Field: "e_magic", Want: fmt.Sprintf("an image that holds this address, at most %#x bytes below", MaxSize)}
}

// NextEntry is how far up from va, in bytes, the next address is that another entry
// of the page tables maps; err is what translating va gave.
func NextEntry(s *vtop.Space, va vtop.VA, err error) vtop.VA {
	size := span(s, err)
	return size - va&(size-1)
}

// span is how much the entry covers at which a translation ended, bytes.
func span(s *vtop.Space, err error) vtop.VA {
	size := vtop.VA(pageSize)
	var fault *vtop.FaultError
	if errors.As(err, &fault) && fault.Level > 1 {
		for _, level := range s.Mode.Levels[:fault.Level-1] {
			size <<= level.Bits
		}
	}
	return size
}
