package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// maxFlagData bounds the kernel data that [Code.Flag] looks at, bytes. Build 26100
// has about 3 MiB.
const maxFlagData = 16 << 20

// maxFlagPages bounds the pages that are looked at: sections of a damaged table may
// overlap.
const maxFlagPages = peimage.MaxSize / pageSize

// What is wrong with a search for the flag.
var (
	// ErrNoFlag: nothing fits.
	ErrNoFlag = errors.New("no byte of the kernel's image fits")
	// ErrAmbiguous: more than one address fits.
	ErrAmbiguous = errors.New("more than one address fits")
)

// Flag returns the address of KdpDataBlockEncoded, the byte that tells Windows that the
// block of this code is encoded; im is the kernel's image. Its address A
// is part of the code: the block's constant is
//
//	bswap64(rol64(KiWaitNever, k) ^ A) ^ KiWaitAlways
//
// with the rotation k being KiWaitNever mod 64. Both keys lie in the kernel's
// data, and so does A, where there must be a 1. Of all pairs of qwords that
// leaves one: among 2^36 pairs, a wrong one falls into the data with a chance of
// 1 in 16, and then hardly on a byte that is 1. Errors: [ErrNoFlag],
// [ErrAmbiguous].
func (c Code) Flag(s *vtop.Space, im *peimage.Image) (vtop.VA, error) {
	data := readData(s, im)
	upper := upperBits(im)
	never := c.neverBy(data)
	found := map[vtop.VA]bool{}
	data.each(func(always uint64) {
		x := bits.ReverseBytes64(c.Constant ^ always)
		for _, u := range upper {
			for _, v := range never[x>>keyShift^u] {
				if at := vtop.VA(v ^ x); data.byteAt(at) == 1 && len(found) < 2 {
					found[at] = true
				}
			}
		}
	})
	if len(found) > 1 {
		return 0, fmt.Errorf("KdpDataBlockEncoded: %w", ErrAmbiguous)
	}
	for at := range found {
		return at, nil
	}
	return 0, fmt.Errorf("KdpDataBlockEncoded: %w", ErrNoFlag)
}

// keyShift is how far an address is shifted to its upper bits, of which those in an image
// have one value or two.
const keyShift = 26

// upperBits are the upper bits of the addresses in an image.
func upperBits(im *peimage.Image) []uint64 {
	list := []uint64{uint64(im.Base) >> keyShift}
	if last := uint64(im.Base+vtop.VA(im.Size)-1) >> keyShift; last != list[0] {
		list = append(list, last)
	}
	return list
}

// neverBy are the values that KiWaitNever may have by the code's rotation, each once,
// rotated, by their upper bits.
func (c Code) neverBy(data *imageData) map[uint64][]uint64 {
	never := map[uint64][]uint64{}
	seen := map[uint64]bool{}
	data.each(func(v uint64) {
		if v&63 == uint64(c.Rotation) && !seen[v] { //nolint:gosec // 0 to 63
			seen[v] = true
			v = bits.RotateLeft64(v, c.Rotation)
			never[v>>keyShift] = append(never[v>>keyShift], v)
		}
	})
	return never
}

// imageData is the readable part of an image's data: pages by their address, and
// the addresses in the order they were read.
type imageData struct {
	order []vtop.VA
	pages map[vtop.VA][]byte
}

// readData reads the sections that change, all of the image if its section table
// is not known.
func readData(s *vtop.Space, im *peimage.Image) *imageData {
	out := &imageData{pages: map[vtop.VA][]byte{}}
	sections := im.Sections
	if len(sections) == 0 {
		sections = []peimage.Section{{Size: im.Size, Flags: ^uint32(0)}}
	}
	looked := 0
	var page []byte // to be read into
	for i := range sections {
		sec := &sections[i]
		if !sec.Writable() {
			continue
		}
		at, end := im.Base+vtop.VA(sec.RVA&^(pageSize-1)), im.Base+vtop.VA(sec.RVA)+vtop.VA(sec.Size)
		for at < end && len(out.order) < maxFlagData/pageSize && looked < maxFlagPages {
			looked++
			if page == nil {
				page = make([]byte, pageSize)
			}
			if _, err := s.ReadVirtual(page, at); err != nil {
				at += peimage.NextEntry(s, at, err)
				continue
			}
			if out.pages[at] == nil {
				out.order = append(out.order, at)
				out.pages[at], page = page, nil
			}
			at += pageSize
		}
	}
	return out
}

// each visits the aligned qwords; of equal ones in a row the first.
func (d *imageData) each(visit func(uint64)) {
	var prev uint64
	for i, at := range d.order {
		page := d.pages[at]
		for off := 0; off < pageSize; off += WordSize {
			v := binary.LittleEndian.Uint64(page[off:])
			if v != prev || i == 0 && off == 0 {
				visit(v)
			}
			prev = v
		}
	}
}

// byteAt is the byte at an address, 0 where there is none.
func (d *imageData) byteAt(at vtop.VA) byte {
	page := d.pages[at&^(pageSize-1)]
	if page == nil {
		return 0
	}
	return page[at&(pageSize-1)]
}
