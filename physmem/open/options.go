package physmem

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"windmp/internal/binio"
)

// Options say what the file itself does not. The zero value is what Open and
// New use: the format is recognised.
type Options struct {
	// Format is the format that the file must have; empty means to recognise
	// it. FormatRaw is never recognised, it has to be given.
	Format Format
	// Holes are physical addresses that a file of raw memory leaves out, such as
	// [0xc0000000, 0x100000000) of a PC with more memory than fits below: what
	// follows in the file is the memory behind the hole. Bounds are multiples of
	// PageSize; holes behind the end of memory mean nothing. See RawHoles.
	Holes []Range
}

// An OptionError is an option that makes no sense.
type OptionError struct {
	Option string // "format" or "holes"
	Reason string
}

func (e *OptionError) Error() string { return e.Option + ": " + e.Reason }

// maxHoles caps Options.Holes; machines have one or two.
const maxHoles = 1 << 10

// Check returns an *OptionError if the options make no sense for any file.
func (o Options) Check() error {
	if o.Format != "" && !slices.Contains(Formats(), o.Format) {
		return &OptionError{Option: "format", Reason: fmt.Sprintf("%q is not one of %s", string(o.Format), joinFormats())}
	}
	refuse := func(format string, args ...any) error {
		return &OptionError{Option: "holes", Reason: fmt.Sprintf(format, args...)}
	}
	if len(o.Holes) > 0 && o.Format != FormatRaw {
		return refuse("only raw memory has holes that are given; its format is %s", FormatRaw)
	}
	if len(o.Holes) > maxHoles {
		return refuse("%d of them, at most %d", len(o.Holes), maxHoles)
	}
	for _, h := range o.Holes {
		end, ok := binio.Sum(h.Start, h.Size)
		switch {
		case !ok || h.Size == 0 || end > maxPhysAddr:
			return refuse("0x%x bytes from 0x%x are no range of physical memory", h.Size, h.Start)
		case h.Start%PageSize != 0 || h.Size%PageSize != 0:
			return refuse("%v does not begin and end at a page", h)
		}
	}
	if a, b, found := overlap(o.Holes); found {
		return refuse("%v and %v overlap", a, b)
	}
	return nil
}

// Formats returns all formats, those that are recognised first, in the order in
// which they are tried.
func Formats() []Format {
	var list []Format
	for _, p := range probes() {
		list = append(list, p.format)
	}
	return append(list, FormatRaw)
}

func joinFormats() string {
	formats := Formats()
	s := make([]string, 0, len(formats))
	for _, f := range formats {
		s = append(s, string(f))
	}
	return strings.Join(s, ", ")
}

// probes returns the openers of the formats that the options allow.
func (o Options) probes() []probe {
	if o.Format == FormatRaw {
		return []probe{{FormatRaw, func(r io.ReaderAt, size int64) (*content, error) {
			return openRaw(r, size, o.Holes)
		}}}
	}
	list := probes()
	if o.Format == "" {
		return list
	}
	return slices.DeleteFunc(list, func(p probe) bool { return p.format != o.Format })
}
