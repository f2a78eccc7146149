package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/physmem"
	"windmp/physmem/open"
)

// inputFlags are the flags of every command that opens an image, for what the
// file itself does not say.
type inputFlags struct {
	format   string
	snapshot string
	holes    holes
	web      webFlags
}

func (f *inputFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.format, "format", "auto", "format of the input: auto, "+joinFormats()+"; raw memory is never recognised by itself")
	fs.StringVar(&f.snapshot, "snapshot", "", "name or id of the snapshot, of a qcow2 image that holds the memory of several")
	fs.Var(&f.holes, "hole", "with --format=raw: physical addresses that the file leaves out, START-END, hexadecimal or such as 3G; repeatable (default: what the guest's structures confirm)")
	f.web.register(fs)
}

// source turns the flags into options; the error is a *stage.UsageError.
func (f *inputFlags) source() (source.Options, error) {
	input, err := f.options()
	if err != nil {
		return source.Options{}, err
	}
	web, err := f.web.options()
	return source.Options{Input: input, Web: web}, err
}

// options turns the flags for the format into options; the error is a *stage.UsageError.
func (f *inputFlags) options() (open.Options, error) {
	opt := open.Options{Format: physmem.Format(f.format), Holes: f.holes, Snapshot: f.snapshot}
	if f.format == "auto" {
		opt.Format = ""
	}
	if len(opt.Holes) > 0 && opt.Format != physmem.FormatRaw {
		return opt, &stage.UsageError{Reason: "--hole goes with --format=raw"}
	}
	if err := opt.Validate(); err != nil {
		return opt, &stage.UsageError{Reason: "--" + strings.Replace(err.Error(), "holes:", "hole:", 1)}
	}
	return opt, nil
}

func joinFormats() string {
	formats := open.Formats()
	names := make([]string, 0, len(formats))
	for _, f := range formats {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// holes is a flag's value: ranges of physical addresses.
type holes []physmem.Range

// String is the flag's default, for its help.
func (h *holes) String() string { return "" }

// Type names the value in the help.
func (h *holes) Type() string { return "range" }

// Set adds START-END. END is the address behind the hole or its last byte: holes
// are made of pages, so the two cannot be mistaken for each other.
func (h *holes) Set(s string) error {
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
