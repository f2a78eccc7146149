package hyperv

import (
	"encoding/binary"
	"errors"
)

// errXpress says that packed data makes no sense, or has another size than it must.
var errXpress = errors.New("the compressed data is damaged")

// Lengths of a match ([MS-XCA] 2.4.4): three bits in the match itself, four in half a
// byte, eight in a byte, then 16 or 32; each is taken if the one before is full.
const (
	xpressLeast = 3   // length that 0 stands for
	xpressBits3 = 7   // full three bits
	xpressBits4 = 15  // full half byte
	xpressBits8 = 255 // full byte
)

// expand unpacks src, which Xpress packed by plain LZ77 ([MS-XCA] 2.4), to dst, which it
// must fill exactly.
func expand(dst, src []byte) error {
	x := xpress{src: src}
	n := 0
	flags, left := uint32(0), 0
	for n < len(dst) {
		if left == 0 {
			b, ok := x.next(4)
			if !ok {
				return errXpress
			}
			flags, left = binary.LittleEndian.Uint32(b), 32
		}
		left--
		if flags&(1<<left) == 0 {
			if x.at == len(src) {
				return errXpress
			}
			dst[n] = src[x.at]
			x.at++
			n++
			continue
		}
		distance, length, ok := x.match()
		if !ok || distance > n || length > len(dst)-n {
			return errXpress
		}
		// A match may go on into what it makes itself: a part at a time, of which each
		// doubles what there is to copy from.
		for from, end := n-distance, n+length; n < end; {
			n += copy(dst[n:end], dst[from:n])
		}
	}
	return nil
}

// xpress reads packed data.
type xpress struct {
	src  []byte
	at   int
	half int // position behind the byte whose upper half is still to be used; 0 if none
}

// next returns the next n bytes, false if there are fewer.
func (x *xpress) next(n int) ([]byte, bool) {
	if n > len(x.src)-x.at {
		return nil, false
	}
	x.at += n
	return x.src[x.at-n : x.at], true
}

// match returns how far back a match begins, and its length.
func (x *xpress) match() (distance, length int, ok bool) {
	b, ok := x.next(2)
	if !ok {
		return 0, 0, false
	}
	m := int(binary.LittleEndian.Uint16(b))
	distance, length = m>>3+1, m&xpressBits3
	if length == xpressBits3 {
		more, ok := x.length()
		if !ok {
			return 0, 0, false
		}
		length = more
	}
	return distance, length + xpressLeast, true
}

// length returns a length that does not fit three bits.
func (x *xpress) length() (int, bool) {
	n, ok := x.halfByte()
	if !ok || n < xpressBits4 {
		return n + xpressBits3, ok
	}
	b, ok := x.next(1)
	if !ok || b[0] < xpressBits8 {
		if ok {
			n += int(b[0])
		}
		return n + xpressBits3, ok
	}
	if b, ok = x.next(2); !ok {
		return 0, false
	}
	whole := uint32(binary.LittleEndian.Uint16(b))
	if whole == 0 {
		if b, ok = x.next(4); !ok {
			return 0, false
		}
		whole = binary.LittleEndian.Uint32(b)
	}
	// No page is longer than what 31 bits hold; what is shorter than what the steps
	// before could say was not written like this.
	if whole < xpressBits3+xpressBits4 || whole > 1<<31-1-xpressLeast {
		return 0, false
	}
	return int(whole), true
}

// halfByte returns four bits: the lower half of a byte, and for the next match that
// needs one its upper half.
func (x *xpress) halfByte() (int, bool) {
	if x.half > 0 {
		n := int(x.src[x.half-1] >> 4)
		x.half = 0
		return n, true
	}
	b, ok := x.next(1)
	if !ok {
		return 0, false
	}
	x.half = x.at
	return int(b[0] & xpressBits4), true
}
