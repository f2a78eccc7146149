package convert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"time"

	"windmp/convert/cause"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/identity"
	"windmp/convert/judge"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/convert/write"
	"windmp/physmem"
)

// Stdout is the output's name in the report of a [Stream].
const Stdout = "-"

// File converts the file in, or what is behind the URL in (see [source.Named]), into the
// dump out. The report is never nil: after an error it tells how far the conversion came.
// Errors to expect are a [*stage.UsageError], and in a [*stage.Error], which names the stage,
// [write.ErrExists], a [*write.SpaceError], a [*finding.RefusedError], those of
// package physmem/open, and what the system says of a file.
//
// The source is opened read-only and never written. Unless the whole dump was
// written, no file is left under the name out.
func File(ctx context.Context, in, out string, opt Options) (*report.Report, error) {
	start := time.Now()
	input := source.Named(in)
	r := report.New(input.Path(), out, opt.DryRun)
	err := opt.Validate()
	if err == nil && out == Stdout {
		err = &stage.UsageError{Reason: "- is no name of a file", Hint: "stream the dump"}
	}
	if err == nil {
		err = checkOutput(ctx, local(input), out, &opt)
		if opt.DryRun && errors.Is(err, write.ErrExists) {
			r.Output.Exists, err = true, nil
		}
	}
	if err == nil {
		var leftovers []string
		err = run(ctx, r, input, &opt, output{
			check: func(p *plan.Plan) error { return checkPlanned(ctx, local(input), out, p) },
			write: func(p *plan.Plan) error {
				names, err := WriteFile(ctx, p, out, opt.Write)
				leftovers = append(leftovers, names...)
				return err
			},
		})
		for _, name := range leftovers {
			r.Findings = append(r.Findings, leftover(name))
		}
	}
	if r.Output.Written {
		r.Output.FileSize, r.Output.OnDisk = write.Stored(out)
	}
	finish(r, start, err)
	return r, err
}

// Stream converts an input into a dump that is written to w from its first byte to its
// last. The report and the errors are those of [File].
func Stream(ctx context.Context, input source.Input, w io.Writer, opt Options) (*report.Report, error) {
	start := time.Now()
	r := report.New(input.Path(), Stdout, opt.DryRun)
	opt.SHA256 = true // what went into a pipe can't be summed afterwards
	err := opt.Validate()
	if err == nil && w == nil && !opt.DryRun {
		err = &stage.UsageError{Reason: "there is nothing to write the dump to", Hint: "name a file"}
	}
	if err == nil {
		err = run(ctx, r, input, &opt, output{once: true, write: func(p *plan.Plan) error { return Write(ctx, p, w, opt.Write) }})
	}
	finish(r, start, err)
	return r, err
}

// finish ends a report: what was written, since start, or why it was not.
func finish(r *report.Report, start time.Time, err error) {
	if r.Output.Written {
		r.Seconds = time.Since(start).Seconds()
	}
	r.Finish(err)
}

// local is the name of an input in this system, empty if it is elsewhere.
func local(in source.Input) string {
	if in.IsURL() {
		return ""
	}
	return in.Path()
}

// output is where the dump goes.
type output struct {
	// check refuses what must not be written there, before anything is; nil refuses
	// nothing.
	check func(*plan.Plan) error
	write func(*plan.Plan) error
	// once is set where what is written can't be taken back.
	once bool
}

// again is the output of a plan that takes the place of one whose writing ended with err:
// that is the end where what is written can't be taken back.
func (o output) again(err error) output {
	if o.once {
		o.write = func(*plan.Plan) error { return err }
	}
	return o
}

// run is the pipeline, from the open on.
func run(ctx context.Context, r *report.Report, in source.Input, opt *Options, to output) error {
	opt.Source.Progress, opt.Guest.Progress, opt.Write.Progress = opt.Progress, opt.Progress, opt.Progress
	from := opt.Source
	from.Closing = func(s *source.Source) { r.Input.Transferred = s.Transferred() }
	unread, planned := *r, false
	write := to.write
	to.write = func(p *plan.Plan) error {
		planned = true
		return write(p)
	}
	err := source.With(ctx, in, from, func(ctx context.Context, s *source.Source) error {
		defer func() { r.Findings = append(r.Findings, changed(s)...) }()
		strictly(s, opt)
		im, err := s.Image(ctx)
		if err != nil {
			return err
		}
		before, first, sound := *r, convertImage, SoundFirst(opt.Plan.Missing, to.once)
		if sound {
			first = convertSound
		}
		view, err := first(ctx, r, opt, im, to)
		if err != nil && ctx.Err() == nil && im.MetDamage() && !sound {
			*r = before
			view, err = convertSound(ctx, r, opt, im, to.again(err))
		}
		switch {
		case err == nil || ctx.Err() != nil || errors.Is(err, physmem.ErrSource):
			return err
		case to.once && planned: // a stream ends where the disk fails
			return err
		case acceptsGaps(opt.Plan.Missing) && failedDisk(im, err):
			*r = before
			if im.TakesHoles() {
				view = im // which holes it has is found again, and said
			}
			return convertReadable(ctx, r, opt, view, to)
		}
		return err
	})
	if errors.Is(err, physmem.ErrSource) && !planned {
		// What else was found may be otherwise for that alone.
		unread.Input.Size, unread.Input.Transferred = r.Input.Size, r.Input.Transferred
		*r = unread
		opt.examined(nil, nil)
	}
	return err
}

// changed says that a source was written to while it was read.
func changed(s *source.Source) []finding.Finding {
	if f, ok := s.Changed(); ok {
		return []finding.Finding{f}
	}
	return nil
}

// strictly has a dump refused whose source was written to while it was read, when all of
// that was.
func strictly(s *source.Source, opt *Options) {
	if !opt.Plan.Strict {
		return
	}
	given := opt.Write.Complete
	opt.Write.Complete = func() error {
		if f, ok := s.Changed(); ok {
			return &finding.RefusedError{Finding: f}
		}
		if given == nil {
			return nil
		}
		return given()
	}
}

// convertSound converts what is sound of an image, and returns the view as [convertImage].
func convertSound(ctx context.Context, r *report.Report, opt *Options, im *physmem.Image, to output) (*physmem.Image, error) {
	sound, err := Sound(ctx, im, opt.Source.Whole)
	if err != nil {
		return im, err
	}
	view, err := convertImage(ctx, r, opt, sound, to)
	return view, finding.NameDamage(sound, err)
}

// failedDisk tells whether the system refused to read an image, or what ended with err.
func failedDisk(im *physmem.Image, err error) bool {
	_, refused := physmem.RefusedRead(err)
	return refused || im.ReadFailure() != nil
}

// convertReadable converts what can be read of an image on a disk that fails.
func convertReadable(ctx context.Context, r *report.Report, opt *Options, im *physmem.Image, to output) error {
	readable, err := Readable(ctx, im, opt.Source.Whole)
	if err != nil {
		return err
	}
	im.TryAgain()
	_, err = convertImage(ctx, r, opt, readable, to)
	return finding.NameDamage(readable, err)
}

// convertImage is the pipeline behind the open: find, plan, judge, write. It returns the
// view of the image in which the guest was found, or looked for.
func convertImage(ctx context.Context, r *report.Report, opt *Options, im *physmem.Image, to output) (*physmem.Image, error) {
	g, err := guest.Find(ctx, im, opt.Guest)
	return g.Image(), convertGuest(ctx, r, opt, g, err, to)
}

// convertGuest is the pipeline behind a guest, or behind why there is none.
func convertGuest(ctx context.Context, r *report.Report, opt *Options, g *guest.Guest, err error, to output) error {
	r.DescribeImage(g.Image())
	identity.Describe(r, g)
	if err != nil {
		opt.examined(g, nil)
		return err
	}
	p, err := Prepare(ctx, r, g, opt)
	if err == nil && to.check != nil {
		err = to.check(p)
	}
	if err != nil || opt.DryRun {
		return err
	}
	var sum hash.Hash
	if opt.SHA256 || opt.Plan.Type == plan.OutputTriage {
		sum = sha256.New()
	}
	opt.Write.Sum = sum
	foretellCopy(opt, p)
	err = to.write(p)
	r.Output.Written = err == nil
	if err == nil && sum != nil {
		r.Output.SHA256 = hex.EncodeToString(sum.Sum(nil))
	}
	return err
}

// Prepare is what [File] does between finding a guest and writing: it plans the output,
// describes it in r, which the guest is described in, and judges it. The error is a
// [*stage.Error]: of what can't be planned, what debuggers reject, a read of the
// source that failed, and the cause of ctx, which ends all that.
func Prepare(ctx context.Context, r *report.Report, g *guest.Guest, opt *Options) (*plan.Plan, error) {
	stage.Enter(opt.Progress, stage.Plan)
	p, err := plan.New(ctx, g, opt.Plan)
	plan.Describe(r, p)
	if r.Guest != nil && ctx.Err() == nil { // a guest without a header is none
		r.Guest.Signature = p.Signature()
	}
	opt.examined(g, p)
	if err == nil {
		err = judged(ctx, r, p, opt)
	}
	var refused *finding.RefusedError
	if failed := p.Readable(); failed != nil && (err == nil || errors.As(err, &refused)) {
		said := finding.List{All: r.Findings}
		_ = said.BlameDisk(g.Image(), err) // as failed says
		r.Findings = said.All
		if r.Guest != nil {
			r.Guest.Signature = nil
		}
		err = failed
	}
	return p, err
}

// judged adds to the report what a check will say of the dump, and refuses one that
// debuggers reject, or that is not all well if that is asked for.
func judged(ctx context.Context, r *report.Report, p *plan.Plan, opt *Options) error {
	if opt.Plan.To == plan.FormatELF {
		return nil // no dump
	}
	v, err := judge.Plan(ctx, p)
	for _, f := range v.Warnings(r.Findings) {
		r.Findings = append(r.Findings, f)
		if err == nil && (f.Severity == finding.SeverityFail || opt.Plan.Strict) {
			err = &finding.RefusedError{Finding: f}
		}
	}
	if err != nil {
		return &stage.Error{Stage: stage.Plan, Err: err}
	}
	return nil
}

// leftover is what there is to say of an unfinished file that was removed.
func leftover(name string) finding.Finding {
	return finding.Leftover.At("", "%s was left by a run that was killed, and is removed", cause.Name(name))
}
