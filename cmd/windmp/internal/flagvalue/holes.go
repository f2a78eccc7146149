package flagvalue

import (
	"fmt"
	"strconv"
	"strings"

	"windmp/physmem"
)

// Holes is a flag's value: ranges of physical addresses.
type Holes []physmem.Range

// String is the flag's default, for its help.
func (h *Holes) String() string { return "" }

// Type names the value in the help.
func (h *Holes) Type() string { return "range" }

// Set adds START-END. END is the address behind the hole or its last byte: holes
// are made of pages, so the two cannot be mistaken for each other.
func (h *Holes) Set(s string) error {
	from, to, found := strings.Cut(s, "-")
	if !found {
		return fmt.Errorf("%q is not START-END", s)
	}
	start, err := parsePlace(from)
	if err != nil {
		return err
	}
	end, err := parsePlace(to)
	if err != nil {
		return err
	}
	if end%physmem.PageSize == physmem.PageSize-1 {
		end++
	}
	if end <= start {
		return fmt.Errorf("%q ends before it begins", s)
	}
	*h = append(*h, physmem.Range{Start: start, Size: end - start})
	return nil
}

// parsePlace parses a physical address: hexadecimal with or without 0x, or a decimal
// number with K, M, G or T behind it, or KiB and so on, for powers of 1024.
func parsePlace(s string) (uint64, error) {
	text := strings.ToUpper(strings.TrimSpace(s))
	digits, base, shift := strings.TrimPrefix(text, "0X"), 16, 0
	if number := strings.TrimSuffix(text, "IB"); number != "" {
		if i := strings.IndexByte("KMGT", number[len(number)-1]); i >= 0 {
			digits, base, shift = number[:len(number)-1], 10, 10*(i+1)
		}
	}
	v, err := strconv.ParseUint(digits, base, 64)
	if err != nil || v<<shift>>shift != v {
		return 0, fmt.Errorf("%q is not an address: want c0000000, 0xc0000000 or 3G", s)
	}
	return v << shift, nil
}
