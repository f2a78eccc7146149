package ramblock

import (
	"errors"
)

// XBZRLE (QEMU migration/xbzrle.c, docs/devel/migration): the record is a byte of
// encoding, 1, and a length u16; then by turns how many bytes stay and how many are new,
// each a LEB128 number of at most two bytes, and the new bytes. The rest of the page
// stays.
const (
	// XBZRLEHeader is the size of the encoding and the length, bytes.
	XBZRLEHeader = 3
	// XBZRLEEncoding is the only encoding that there is.
	XBZRLEEncoding = 1
)

var errXBZRLE = errors.New("XBZRLE changes that do not fit a page")

// applyChanges changes a page.
func applyChanges(page, b []byte) error {
	for at := 0; len(b) > 0; {
		stay, rest, ok := leb128(b)
		if !ok {
			return errXBZRLE
		}
		n, rest, ok := leb128(rest)
		if !ok || at+stay+n > len(page) || n > len(rest) {
			return errXBZRLE
		}
		at += stay
		copy(page[at:], rest[:n])
		at, b = at+n, rest[n:]
	}
	return nil
}

// leb128 reads a number of at most two bytes, 14 bits.
func leb128(b []byte) (n int, rest []byte, ok bool) {
	const more = 0x80
	switch {
	case len(b) > 0 && b[0]&more == 0:
		return int(b[0]), b[1:], true
	case len(b) > 1 && b[1]&more == 0:
		return int(b[0]&^more) | int(b[1])<<7, b[2:], true
	default:
		return 0, nil, false
	}
}
