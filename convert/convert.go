package convert

import (
	"context"
	"errors"
	"io"
)

// Stdout as an output name means: stream the dump.
const Stdout = "-"

// File converts the file in into the dump out, or streams it to stdout when out
// is [Stdout]. The report is never nil: after an error it tells how far the
// conversion came. Errors to expect: [*UsageError], [ErrExists], [*SpaceError],
// [*RefusedError], those of physmem.Open, and what the system says of a file,
// in a [*StageError] that names the stage.
//
// The source is opened read-only and never written. Unless the whole dump was
// written, no file is left under the name out.
func File(ctx context.Context, in, out string, stdout io.Writer, opt Options) (*Report, error) {
	r := newReport(in, out, opt.DryRun)
	err := run(ctx, r, stdout, opt)
	r.finish(err)
	return r, err
}

// run is the pipeline: open, examine, plan, write.
func run(ctx context.Context, r *Report, stdout io.Writer, opt Options) (err error) {
	opt.Source.Progress, opt.Guest.Progress, opt.Write.Progress = opt.Progress, opt.Progress, opt.Progress
	if err := opt.Source.checkInput(); err != nil {
		return err
	}
	toFile := r.Output.Path != Stdout
	if toFile {
		if err := checkOutput(r.Input.Path, r.Output.Path, opt.Write.Force); err != nil {
			return &StageError{Stage: StageOutput, Err: err}
		}
	}
	im, closeInput, err := openSource(ctx, r.Input.Path, opt.Source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeInput()) }()
	r.describeImage(im)
	g, err := ExamineWith(ctx, im, opt.Guest)
	r.describeImage(g.Image)
	r.describeGuest(g)
	if err != nil {
		return err
	}
	enter(opt.Progress, StagePlan)
	p, err := NewPlan(g, opt.Plan)
	r.describePlan(p)
	if err == nil {
		err = p.readable()
	}
	if err != nil || opt.DryRun {
		return err
	}
	if toFile {
		said := len(p.list)
		err = p.WriteFile(ctx, r.Output.Path, opt.Write)
		r.Findings = append(r.Findings, p.list[said:]...)
	} else {
		err = p.Write(ctx, stdout, opt.Write)
	}
	r.Output.Written = err == nil
	return err
}
