package inspect

import (
	"context"
	"errors"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/judge"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/physmem"
	"windmp/winhdr/triagefile"
)

// found is what was found of an input.
type found struct {
	input    report.Input
	guest    *guest.Guest
	findings []finding.Finding
	// triage is what a triage dump has beside the guest, nil of all other inputs.
	triage *guest.Triage
	// err is why the guest is not all there.
	err error
}

// look finds the guest of an input, and tells f of it, however far that came. The guest
// of a triage dump, which holds no physical memory, is the one that check sees. The error is that
// of [source.With], or of the search.
func look(ctx context.Context, in source.Input, open source.Options, opt guest.Options, f func(*found)) error {
	return source.With(ctx, in, open, func(ctx context.Context, s *source.Source) error {
		im, err := s.Image(ctx)
		if isTriage(err, opt) {
			return lookAtTriage(ctx, in, s, opt, err, f)
		}
		if err != nil {
			return err
		}
		g, err := guest.Find(ctx, im, opt)
		f(&found{input: report.OfImage(in.Path(), g.Image()), guest: g, findings: g.Findings(), err: err})
		return err
	})
}

// lookAtTriage is look for a triage dump, which could not be opened as an image for that.
func lookAtTriage(ctx context.Context, in source.Input, s *source.Source, opt guest.Options, why error, f func(*found)) error {
	if broken := s.Wait(); broken != nil {
		return broken
	}
	v, err := judge.Dump(ctx, s, judge.Options{Input: s.Options(), Machines: opt.Machines})
	switch {
	case v.Triage == nil && ctx.Err() != nil:
		return &stage.Error{Stage: stage.Header, Err: context.Cause(ctx)}
	case v.Triage == nil:
		return why
	}
	if err == nil {
		err = v.Triage.Contradicts(&opt)
	}
	if err != nil {
		err = &stage.Error{Stage: stage.Header, Err: err}
	}
	x := ofTriage(in.Path(), s, v)
	x.err = err
	f(x)
	return err
}

// cutShort tells whether err is that of a look which a limit ended, or a source of which
// nothing more came.
func cutShort(err error) bool { return errors.Is(err, physmem.ErrSource) }

// certain is what was found of a guest, but for what may follow from a read of its file
// that failed: some findings, and the signature, which it would share with guests of
// another crash. The failure is said where the file is closed.
func certain(g *guest.Guest, findings []finding.Finding, signature *report.Signature) ([]finding.Finding, *report.Signature) {
	if g.Image() == nil || g.Image().ReadFailure() == nil {
		return findings, signature
	}
	list := finding.List{All: findings}
	_ = list.BlameDisk(g.Image(), nil)
	return list.All, nil
}

// opened is what is known of an input where the look was cut short: what else was found
// may be otherwise for that alone.
func opened(in report.Input) report.Input {
	return report.Input{Path: in.Path, Size: in.Size, Transferred: in.Transferred}
}

// ofTriage is what was found of a triage dump.
func ofTriage(path string, s *source.Source, v *judge.Verdict) *found {
	x := &found{guest: v.Triage.Guest, triage: v.Triage}
	x.input = report.Input{Path: path, Size: s.Size(), Format: string(physmem.FormatDMP), Description: v.Description}
	for _, said := range v.Findings {
		if said.Severity != finding.SeverityOK {
			x.findings = append(x.findings, said)
		}
	}
	return x
}

// counted are options with which a report has what an input transferred.
func counted(opt source.Options, in *report.Input) source.Options {
	opt.Closing = func(s *source.Source) {
		in.Transferred = s.Transferred()
		if in.Size == 0 {
			in.Size = s.File().Size() // where no image could be opened
		}
	}
	return opt
}

// isTriage tells whether err is that of opening a triage dump.
func isTriage(err error, opt guest.Options) bool {
	var unsupported *physmem.UnsupportedError
	if !errors.As(err, &unsupported) {
		return false
	}
	_, ok := guest.IsTriage(unsupported.DumpHeader, opt.Machines...)
	return ok
}

// TriageReport is what a triage dump holds beside what all files do.
type TriageReport struct {
	// Size is that of the dump in the file, in bytes; secondary data follow.
	Size uint32 `json:"size"`
	// Held counts the bytes of memory that the dump holds by virtual address, Blocks
	// the pieces of them that its table lists.
	Held   uint64 `json:"held"`
	Blocks int    `json:"blocks"`
	// Stack is the address of the stack's lowest byte, StackSize its size in bytes.
	Stack     report.Hex `json:"stack"`
	StackSize uint32     `json:"stack_size"`
	// Processor is the one that the dump is of, -1 where that is not known; Thread and Process are
	// the addresses of what it ran, ProcessName the name, empty where it is not known.
	Processor   int        `json:"processor"`
	Thread      report.Hex `json:"thread"`
	Process     report.Hex `json:"process"`
	ProcessName string     `json:"process_name,omitempty"`
	// Secondary are the blobs of secondary data.
	Secondary []SecondaryReport `json:"secondary"`
}

// SecondaryReport is a blob of secondary data.
type SecondaryReport struct {
	// Tag is a GUID.
	Tag string `json:"tag"`
	// Offset is where in the file the data are, Size how many bytes.
	Offset uint64 `json:"offset"`
	Size   uint32 `json:"size"`
}

// triageReport describes a triage dump; nil for none.
func triageReport(t *guest.Triage) *TriageReport {
	if t == nil || t.File == nil {
		return nil
	}
	rec := &t.File.Record
	r := &TriageReport{
		Size: rec.SizeOfDump, Held: t.HeldBytes(), Blocks: len(t.Blocks), Stack: report.Hex(rec.TopOfStack), StackSize: rec.SizeOfCallStack,
		Processor: -1, Thread: report.Hex(t.Current.Thread), Process: report.Hex(t.Current.Process), ProcessName: t.ProcessName(),
		Secondary: []SecondaryReport{},
	}
	if i, ok := guest.OfProcessor(t.Guest); ok {
		r.Processor = i
	}
	for _, b := range t.Secondary {
		r.Secondary = append(r.Secondary, SecondaryReport{Tag: triagefile.TagText(b.Tag), Offset: b.Offset, Size: b.Size})
	}
	return r
}
