package unwind

import (
	"errors"
	"slices"
)

// The flag of an entry, which says what its second word is: an RVA, or packed unwind data
// of a whole function or of a part without prologue and epilogue.
const (
	flagRecord, flagPacked, flagFragment = 0, 1, 2
)

// The values of CR: lr is saved alone, or with x29 in a chain of frames, or so and signed.
const (
	savesLR, chainsSigned, chains = 1, 2, 3
)

const (
	// largestFPLR is the largest area that one instruction makes as it saves x29 and lr,
	// firstStep what the first of two subtractions takes, bytes.
	largestFPLR, firstStep = 512, 4080
	// homeSize is the area for eight parameters, bytes.
	homeSize = 64
	// savedRegisters is how many there are from x19 to x28.
	savedRegisters = 10
)

var errPacked = errors.New("packed unwind data that describes no function")

// packedARM64 is packed unwind data.
type packedARM64 struct {
	integers, floats int // how many of each are saved
	homes            bool
	cr               int
	frame            uint64 // bytes
}

func decodePacked(word uint32) packedARM64 {
	p := packedARM64{
		integers: int(word >> 16 & 15), floats: int(word >> 13 & 7),
		homes: word>>20&1 != 0, cr: int(word >> 21 & 3), frame: uint64(word>>23) * 16,
	}
	if p.floats != 0 {
		p.floats++
	}
	return p
}

// codes are the unwind codes that the data stands for, of the prologue and of the
// epilogue, both from the body outwards.
func (p packedARM64) codes() (prologue, epilogue []codeARM64, err error) {
	area, local, ok := p.areas()
	if !ok {
		return nil, nil, errPacked
	}
	codes := []codeARM64{{op: endARM64}} // in the prologue's order, end first
	if p.cr == chainsSigned {
		codes = append(codes, codeARM64{}) // lr is signed
	}
	codes = append(codes, p.saves(area)...)
	frame := p.local(local)
	mirror := slices.Concat(codes, frame)
	if p.homes && area > 0 {
		codes = append(codes, make([]codeARM64, 4)...) // four pairs are stored
	}
	codes = append(codes, frame...)
	if p.cr >= chainsSigned {
		codes = append(codes, codeARM64{op: setFrameARM64})
	}
	slices.Reverse(codes)
	slices.Reverse(mirror)
	return codes, mirror, nil
}

// areas are the sizes of the area where registers are saved and of the rest. Parameters
// that are homed lie in the first if there is one.
func (p packedARM64) areas() (area, local uint64, ok bool) {
	n := p.integers + p.floats
	if p.cr == savesLR {
		n++
	}
	area = uint64(n) * 8 //nolint:gosec // 0..24
	if p.homes && area > 0 {
		area += homeSize
	}
	area = (area + 15) &^ 15
	if p.integers > savedRegisters || area > p.frame {
		return 0, 0, false
	}
	local = p.frame - area
	return area, local, p.cr < chainsSigned || local >= 16
}

// saves are the codes for the area of saved registers; the first one makes it.
func (p packedARM64) saves(area uint64) []codeARM64 {
	var codes []codeARM64
	at := uint64(0)
	add := func(c codeARM64, registers int) {
		if len(codes) == 0 {
			c.up = area
		}
		c.offset = at
		codes = append(codes, c)
		at += uint64(registers) * 8 //nolint:gosec // 1 or 2
	}
	lr := p.cr == savesLR
	if lr && p.integers == 1 { // no instruction makes the area and saves x19 and lr
		codes = append(codes, allocation(area))
	}
	for i := 0; i+1 < p.integers; i += 2 {
		add(integer(firstSaved+i, 2, 0, 0), 2)
	}
	last := integer(firstSaved+p.integers-1, 1, 0, 0)
	switch odd := p.integers%2 == 1; {
	case odd && lr:
		last.second = lrARM64
		add(last, 2)
	case odd:
		add(last, 1)
	case lr:
		add(integer(lrARM64, 1, 0, 0), 1)
	}
	for i := 0; i < p.floats; i += 2 {
		n := min(2, p.floats-i)
		add(float(n, 0), n)
	}
	return codes
}

// local are the codes for the rest of the frame, but for what sets x29.
func (p packedARM64) local(size uint64) []codeARM64 {
	chained := p.cr >= chainsSigned
	if chained && size <= largestFPLR {
		return []codeARM64{integer(fpARM64, 2, 0, size)}
	}
	var codes []codeARM64
	if size > firstStep {
		codes, size = append(codes, allocation(firstStep)), size-firstStep
	}
	if size > 0 {
		codes = append(codes, allocation(size))
	}
	if chained {
		codes = append(codes, integer(fpARM64, 2, 0, 0))
	}
	return codes
}
