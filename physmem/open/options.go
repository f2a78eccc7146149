package open

import (
	"fmt"
	"slices"
	"strings"

	"windmp/physmem"
)

// Options say what the file itself does not. The zero value recognises the format.
type Options struct {
	// Format is the format that the file must have; empty means to recognise
	// it. physmem.FormatRaw is never recognised, it has to be given.
	Format physmem.Format
	// Holes are physical addresses that a file of raw memory leaves out, such as
	// [0xc0000000, 0x100000000) of a PC with more memory than fits below: what
	// follows in the file is the memory behind the hole. Bounds are multiples of
	// physmem.PageSize; holes behind the end of memory mean nothing.
	Holes []physmem.Range
	// Snapshot is the name, or the id, of a snapshot in a file that may hold the memory of
	// several; empty if the file is to have one.
	Snapshot string
	// Openers are further formats, which are tried before those of this package.
	Openers []physmem.Opener
}

// Validate returns a *physmem.OptionError if the options make no sense for any
// file.
func (o Options) Validate() error {
	known := o.formats()
	if o.Format != "" && !slices.Contains(known, o.Format) {
		return &physmem.OptionError{Option: "format", Reason: fmt.Sprintf("%q is not one of %s", string(o.Format), join(known))}
	}
	if len(o.Holes) > 0 && o.Format != physmem.FormatRaw {
		return &physmem.OptionError{
			Option: "holes",
			Reason: fmt.Sprintf("only raw memory has holes that are given; its format is %s", physmem.FormatRaw),
		}
	}
	return physmem.CheckHoles(o.Holes)
}

// Formats returns the formats that are read here, those that are recognised first,
// in the order in which they are tried.
func Formats() []physmem.Format { return Options{}.formats() }

func (o Options) formats() []physmem.Format {
	var list []physmem.Format
	for _, x := range slices.Concat(o.Openers, openers(o.Snapshot)) {
		if !slices.Contains(list, x.Format) {
			list = append(list, x.Format)
		}
	}
	return append(list, physmem.FormatRaw)
}

func join(formats []physmem.Format) string {
	s := make([]string, 0, len(formats))
	for _, f := range formats {
		s = append(s, string(f))
	}
	return strings.Join(s, ", ")
}
