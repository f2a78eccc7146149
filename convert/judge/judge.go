// Package judge says whether debuggers open a Windows dump, and what they show of
// it, by the rules of Microsoft's debugger engine as it was seen to behave
// (10.0.10240), and of other readers. The rules are one table. By them a check
// judges files, and a conversion its plan, seen as the file that it will be
// ([Plan]), so that neither can say better of a dump than the other.
package judge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"windmp/convert/cause"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/machine"
	"windmp/internal/binio"
	"windmp/kdbg"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/windump"
	"windmp/winhdr"
	"windmp/winhdr/fields"
)

// Options say how far the judgement goes.
type Options struct {
	// HeaderOnly looks at the container and the header, and not into memory.
	HeaderOnly bool
	// MaxSize is the most bytes that the receiver of the file takes, 0 for no limit;
	// Size is what the file has there, which is less than the dump when it is packed.
	MaxSize, Size int64
	// Input says how the file is to be opened, Machines of which machines it may be;
	// empty means all that are described.
	Input    open.Options
	Machines []*machine.Machine
}

// input says how a dump is opened: as one of the machines.
func (o *Options) input() open.Options {
	in := o.Input
	if len(o.Machines) > 0 {
		in.Openers = append(slices.Clip(in.Openers), windump.Opener(formats(o.Machines)...))
	}
	return in
}

// Verdict is what there is to say of a dump.
type Verdict struct {
	// Description is the container in words.
	Description string
	// Header is the dump's, nil when it is cut off.
	Header *winhdr.Header
	// Image is the dump's memory, nil when that was not reached.
	Image *physmem.Image
	// Guest is what the dump is of, as a debugger sees it; nil when the header alone
	// was looked at.
	Guest *guest.Guest
	// Triage is what else a triage dump says, nil for all others.
	Triage *guest.Triage
	// Findings are in the order of the rules.
	Findings []finding.Finding
}

// IsDump tells whether a file begins like a Windows dump, if only a damaged one, and
// so is judged by the rules. It reads the header alone, and no context ends that. The
// error is a [*physmem.ReadError].
func IsDump(src physmem.Source, machines ...*machine.Machine) (bool, error) {
	head, err := readHead(src, formats(machines))
	if err != nil {
		return false, err
	}
	_, ok := winhdr.Recognise(head, formats(machines)...)
	return ok, nil
}

// formats are those of the machines' headers, of all when none is given.
func formats(machines []*machine.Machine) []*winhdr.Format {
	return machine.Formats(machine.OrAll(machines))
}

// readHead reads the header, or what there is of it.
func readHead(src physmem.Source, formats []*winhdr.Format) ([]byte, error) {
	head, err := physmem.Head(src, winhdr.HeadSize(formats...))
	if err != nil {
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	return head, nil
}

// Dump judges the dump in src; see [IsDump]. The verdict is never nil. The error is a
// [*finding.RefusedError] for what debuggers reject, an error of opening or of
// reading, or that of ctx.
func Dump(ctx context.Context, src physmem.Source, opt Options) (*Verdict, error) {
	c := &subject{src: src, opt: opt, Verdict: Verdict{Description: "Windows crash dump"}}
	err := c.judge(ctx)
	if c.seen != nil {
		_ = c.examination() // where a rule had the last word before
	}
	if c.Image != nil {
		err = c.BlameDisk(c.Image, err)
	}
	c.Findings = c.All
	return &c.Verdict, err
}

// subject is a dump that is being judged.
type subject struct {
	src physmem.Source
	opt Options
	h   *winhdr.Header
	im  *physmem.Image
	// What debuggers see of the guest: all of it, its memory, its KDBG and modules.
	seen    *guest.Opened
	mem     kdbg.Memory
	kernel  *kdbg.Kernel // nil where there is none
	modules []kdbg.Module
	cpus    []kdbg.Processor
	Verdict
	finding.List
}

// size is the file's in bytes.
func (c *subject) size() uint64 { return uint64(max(0, c.src.Size())) }

// judge goes through the rules, up to the first that ends it.
func (c *subject) judge(ctx context.Context) error {
	if err := c.decode(); err != nil {
		return err
	}
	known, table, learn := theHeader, rules, c.learn
	if c.h.DumpType == winhdr.DumpTypeTriage && c.h.Format().Triage != nil {
		table, learn = triageRules, c.learnTriage
	}
	for i := range table {
		r := &table[i]
		for known < r.needs {
			known++
			more, err := learn(ctx, known)
			if err != nil || !more {
				return end(err)
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if r.needs == theBlock && c.kernel == nil {
			continue
		}
		if err := r.look(c); err != nil {
			return end(err)
		}
	}
	return nil
}

func end(err error) error {
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}

// learn takes the next step into the dump, and tells whether there is more to judge.
func (c *subject) learn(ctx context.Context, what knowledge) (more bool, err error) {
	switch what {
	case thePages:
		c.im, err = open.Source(ctx, c.src, c.opt.input())
		if err != nil {
			return false, c.notOpened(err)
		}
		c.Image, c.Description = c.im, c.im.Describe()
	case theMemory:
		// Of a dump of which it is not known where its memory lies, no more is known.
		if c.opt.HeaderOnly || finding.Worst(c.All) == finding.SeverityUnknown {
			return false, nil
		}
		c.seen, err = guest.Open(ctx, c.im, guest.Options{Machines: c.opt.Machines})
		c.Guest, c.mem = c.seen.Guest, c.seen.Memory()
		c.kernel, c.modules = c.seen.Kernel(), c.seen.Modules()
		return true, err
	case theHeader, theBlock:
	}
	return true, nil
}

// decode reads the header.
func (c *subject) decode() error {
	head, err := readHead(c.src, formats(c.opt.Machines))
	if err != nil {
		return err
	}
	h, err := winhdr.Decode(head, formats(c.opt.Machines)...)
	var short *fields.SizeError
	if errors.As(err, &short) {
		return c.Refuse(finding.Malformed.At(fmt.Sprintf("file offset %#x", short.Got),
			"the file has %s, a dump's header alone has %s", binio.Bytes(short.Got), binio.Bytes(short.Want)), nil)
	}
	if err != nil {
		return err
	}
	c.h, c.Header = h, h
	return nil
}

// fits compares the file with what the receiver takes.
func (c *subject) fits() error {
	TooLarge(&c.List, c.opt.Size, c.opt.MaxSize, "the dump")
	return nil
}

// TooLarge compares a size with the most that the receiver takes, 0 for no limit.
func TooLarge(list *finding.List, size, most int64, what string) {
	if most == 0 || size <= most {
		return
	}
	list.Add(finding.TooLarge.At("", "%s has %s, the limit is %s", what, binio.Bytes(size), binio.Bytes(most)))
}

// NotOpened turns an error of opening into a finding, if it says something of the file,
// and returns it.
func NotOpened(list *finding.List, err error) error {
	var format *physmem.FormatError
	var unsupported *physmem.UnsupportedError
	var unknown *physmem.UnknownFormatError
	said, hint, _ := cause.OfImage(err)
	switch {
	case errors.As(err, &unsupported) && unsupported.Unread: // nothing is known of it
	case errors.As(err, &format):
		list.Add(finding.Malformed.WithAdvice(hint).At(fmt.Sprintf("file offset %#x", format.Offset), "%s", said).Because(format))
	case errors.As(err, &unsupported) && unsupported.Encrypted:
		list.Add(finding.EncryptedDump.At("", "%s", unsupported.What))
	case errors.As(err, &unsupported), errors.As(err, &unknown):
		list.Add(finding.NotRecognised.WithAdvice(hint).At("", "%s", said))
	}
	return err
}
