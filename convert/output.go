package convert

import (
	"context"
	"io"
	"runtime"

	"windmp/convert/plan"
	"windmp/convert/stage"
	"windmp/convert/write"
)

// Write streams what a plan decided to w, in the order of the file. The error is a
// [*stage.Error].
func Write(ctx context.Context, p *plan.Plan, w io.Writer, opt write.Options) error {
	if err := p.Readable(); err != nil {
		return err
	}
	return write.Stream(ctx, w, writing(p, &opt), opt)
}

// WriteFile writes what a plan decided to the file of that name, as [write.File]
// does. It returns the names of what killed runs had left, and is removed. The error
// is a [*stage.Error].
func WriteFile(ctx context.Context, p *plan.Plan, name string, opt write.Options) (leftovers []string, err error) {
	if err := p.Readable(); err != nil {
		return nil, err
	}
	return write.File(ctx, name, writing(p, &opt), opt)
}

// foretellCopy tells how much is read for the copy: the memory in it, and no more than the
// file of a container that compresses memory.
func foretellCopy(opt *Options, p *plan.Plan) {
	if opt.Source.Whole == nil {
		return
	}
	o, n := write.Output{Layout: p.Layout()}, int64(0)
	for r := range o.Reads() {
		n += int64(r.Size) //nolint:gosec // no more than the output has
	}
	if im := p.Guest().Image(); !im.Located() {
		n = min(n, im.FileSize())
	}
	stage.Foretell(opt.Source.Whole, stage.Write, n)
}

// writing is what the plan decided. Memory that does not lie in its file byte by byte is
// unpacked by its readers, so there is one for each processor, unless opt says how many.
func writing(p *plan.Plan, opt *write.Options) write.Output {
	im := p.Guest().Image()
	if opt.Workers <= 0 && !im.Located() {
		opt.Workers = max(write.DefaultWorkers, runtime.GOMAXPROCS(0))
	}
	o := write.Output{Layout: p.Layout(), Memory: p.Memory(), Held: im.Ranges()}
	im.WillRead(o.Reads())
	return o
}
