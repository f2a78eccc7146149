package convert

import (
	"context"
	"errors"
	"io"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/convert/write"
)

// Stdout as an output name means: stream the dump.
const Stdout = "-"

// File converts the file in into the dump out, or streams it to stdout when out
// is [Stdout]. The report is never nil: after an error it tells how far the
// conversion came. Errors to expect: [*stage.UsageError], [write.ErrExists],
// [*write.SpaceError], [*finding.RefusedError], those of open.File, and what the
// system says of a file, in a [*stage.Error] that names the stage.
//
// The source is opened read-only and never written. Unless the whole dump was
// written, no file is left under the name out.
func File(ctx context.Context, in, out string, stdout io.Writer, opt Options) (*report.Report, error) {
	r := report.New(in, out, opt.DryRun)
	err := run(ctx, r, stdout, opt)
	r.Finish(err)
	return r, err
}

// run is the pipeline: open, examine, plan, write.
func run(ctx context.Context, r *report.Report, stdout io.Writer, opt Options) (err error) {
	opt.Source.Progress, opt.Guest.Progress, opt.Write.Progress = opt.Progress, opt.Progress, opt.Progress
	if err := opt.Source.CheckInput(); err != nil {
		return err
	}
	toFile := r.Output.Path != Stdout
	if toFile {
		if err := write.Check(r.Input.Path, r.Output.Path, opt.Write.Force); err != nil {
			return err
		}
	}
	im, closeInput, err := source.Open(ctx, r.Input.Path, opt.Source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeInput()) }()
	r.DescribeImage(im)
	g, err := guest.Find(ctx, im, opt.Guest)
	r.DescribeImage(g.Image())
	guest.Describe(r, g)
	if err != nil {
		return err
	}
	stage.Enter(opt.Progress, stage.Plan)
	p, err := plan.New(g, opt.Plan)
	plan.Describe(r, p)
	if err == nil {
		err = p.Readable()
	}
	if err != nil || opt.DryRun {
		return err
	}
	if toFile {
		var leftovers []string
		leftovers, err = WriteFile(ctx, p, r.Output.Path, opt.Write)
		for _, name := range leftovers {
			r.Findings = append(r.Findings, leftover(name))
		}
	} else {
		err = Write(ctx, p, stdout, opt.Write)
	}
	r.Output.Written = err == nil
	return err
}

// leftover is what there is to say of an unfinished file that was removed.
func leftover(name string) finding.Finding {
	return finding.Leftover.At("", "%s was left by a run that was killed, and is removed", finding.Quote(name))
}
