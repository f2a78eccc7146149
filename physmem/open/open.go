// Package open opens a file that holds the memory of a virtual machine, whatever
// the container: it has the ordered list of the formats that are read, to which a
// caller may add, and names what is recognised and not read.
package open

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"windmp/physmem"
	"windmp/physmem/hyperv"
	"windmp/physmem/kdump"
	"windmp/physmem/lime"
	"windmp/physmem/migration"
	"windmp/physmem/qcow2"
	"windmp/physmem/raw"
	"windmp/physmem/vmcore"
	"windmp/physmem/vmware"
	"windmp/physmem/windump"
	"windmp/physmem/xen"
)

// openers returns the formats that are recognised, in the order in which they are
// tried. One that has no signature, such as raw memory, must not be in it: it
// would claim everything. The snapshot is [Options.Snapshot].
func openers(snapshot string) []physmem.Opener {
	return []physmem.Opener{
		vmcore.Opener(), windump.Opener(), kdump.Opener(), migration.Opener(), qcow2.Opener(snapshot), vmware.Opener(), xen.Opener(),
		hyperv.Opener(), lime.Opener(),
	}
}

// File opens a memory image, read-only; mode 0400, which QEMU gives its dumps,
// is enough. The Image must be closed. The errors are those of [Source] and
// [NewFileSource].
func File(ctx context.Context, path string, opt Options) (*physmem.Image, error) {
	src, err := NewFileSource(path)
	var unsupported *physmem.UnsupportedError
	switch {
	case errors.As(err, &unsupported):
		return nil, fmt.Errorf("%s: %w", path, err)
	case err != nil:
		return nil, err
	}
	m, err := Source(ctx, src, opt)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), src.Close())
	}
	return m.WithCloser(src), nil
}

// openable refuses what cannot be read at any offset, or has no end.
func openable(mode fs.FileMode) error {
	what, hint := "", "save the memory image to a regular file first"
	switch {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		what, hint = "a folder, not a file", "name a file in it"
	case mode&fs.ModeNamedPipe != 0:
		what = "a pipe, which can be read only once and in order"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	case mode&fs.ModeCharDevice != 0:
		what = "a character device"
	case mode&fs.ModeDevice != 0:
		return nil // a block device
	default:
		what = "not a regular file"
	}
	return &physmem.UnsupportedError{What: what, Hint: hint, Unread: true}
}

// Source opens the memory image in src, which stays the caller's to close and must
// not be closed while the Image is used. The context is that of opening: reads of
// the Image go on when it is over.
//
// A file that no format claims gives a *physmem.UnknownFormatError; one that is
// recognised and not read here a *physmem.UnsupportedError; one that is malformed
// beyond use a *physmem.FormatError; options that make no sense a
// *physmem.OptionError.
func Source(ctx context.Context, src physmem.Source, opt Options) (*physmem.Image, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	if opt.Format == physmem.FormatRaw && src.Size() <= 0 {
		return nil, unrecognised(src, opt.Format, nil)
	}
	m, tried, err := claimed(ctx, src, opt)
	if m == nil && err == nil {
		return nil, unrecognised(src, opt.Format, tried)
	}
	return m, err
}

// claimed returns the image of the opener that claims a file, or its error. Without
// either, all of them were tried.
func claimed(ctx context.Context, src physmem.Source, opt Options) (*physmem.Image, []physmem.Refusal, error) {
	var tried []physmem.Refusal
	var unread error
	for _, o := range opt.openers() {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		c, err := o.Open(ctx, src)
		if err == nil && opt.Snapshot != "" && !o.Snapshots {
			return nil, nil, &physmem.OptionError{Option: "snapshot", Reason: fmt.Sprintf("a file of format %s has no snapshots", o.Format)}
		}
		if err == nil {
			return physmem.NewImage(o.Format, src, c), nil, nil
		}
		reason, ok := physmem.WhyNotMine(err)
		switch {
		case ok:
			tried = append(tried, physmem.Refusal{Format: o.Format, Reason: reason})
		case unreadStart(err):
			unread = err // another may know the file by its name
		default:
			return nil, nil, err
		}
	}
	return nil, tried, unread
}

// unreadStart tells whether the first bytes of a file could not be read, for a bad sector.
func unreadStart(err error) bool {
	read, refused := physmem.RefusedRead(err)
	return refused && read.Offset == 0
}

// openers returns the openers of the formats that the options allow.
func (o Options) openers() []physmem.Opener {
	list := slices.Concat(o.Openers, openers(o.Snapshot))
	if o.Format == "" {
		return list
	}
	if o.Format == physmem.FormatRaw {
		list = append(list, raw.Opener(o.Holes, looksLike))
	}
	return slices.DeleteFunc(list, func(x physmem.Opener) bool { return x.Format != o.Format })
}
