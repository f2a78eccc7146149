package sourceflag

import (
	"strings"

	"github.com/spf13/pflag"

	"windmp/cmd/windmp/internal/flagvalue"
	"windmp/cmd/windmp/internal/heading"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/physmem"
	"windmp/physmem/open"
)

// Input are the flags of every command that opens an image, for what the
// file itself does not say.
type Input struct {
	format   string
	snapshot string
	holes    flagvalue.Holes
	web      Web
}

// Register adds the flags.
func (f *Input) Register(fs *pflag.FlagSet) {
	heading.File.Put(fs, f.register)
	heading.URL.Put(fs, f.web.register)
}

func (f *Input) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.format, "format", "auto", "format of the input: auto, "+joinFormats()+"; raw memory is never recognised by itself")
	fs.StringVar(&f.snapshot, "snapshot", "", "of a qcow2 image with the memory of several snapshots: the name or id of one")
	fs.Var(&f.holes, "hole", "with --format=raw: physical addresses that the file leaves out, START-END, hexadecimal or such as 3G; repeatable (default: what the guest's structures confirm)")
}

// Options turns the flags into options; the error is a *stage.UsageError.
func (f *Input) Options() (source.Options, error) {
	input, err := f.container()
	if err != nil {
		return source.Options{}, err
	}
	web, err := f.web.options()
	return source.Options{Input: input, Web: web}, err
}

// container turns the flags for the format into options; the error is a *stage.UsageError.
func (f *Input) container() (open.Options, error) {
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
