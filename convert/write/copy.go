package write

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"windmp/convert/stage"
)

// copyBlocks writes a layout by a pool of workers, each with a block of its own and
// positional reads and writes. With holes, blocks that are known to be zeros are
// not written.
func (o *Output) copyBlocks(ctx context.Context, w io.WriterAt, holes bool, opt *Options) error {
	meter := stage.NewMeter(stage.Write, o.Layout.Size(), 0, opt.Progress)
	var skip func(int64)
	if holes {
		skip = meter.Skip
	}
	work := make(chan block)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(work)
		for b := range o.blocks(skip) {
			select {
			case work <- b:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	f := newFollower(opt.Sum, o.Layout.Size(), opt.workers())
	if f != nil {
		group.Go(func() error { return f.run(ctx) })
	}
	for range opt.workers() {
		group.Go(func() error {
			defer f.leave()
			buf, err := f.buffer(ctx)
			if err != nil {
				return err
			}
			for b := range work {
				if err := ctx.Err(); err != nil {
					return context.Cause(ctx)
				}
				data := buf[:b.size]
				if err := fill(o.Memory, b.parts, data); err != nil {
					return err
				}
				if _, err := w.WriteAt(data, b.off); err != nil {
					return fmt.Errorf("writing at file offset %#x: %w", b.off, err)
				}
				meter.Add(len(data))
				if buf, err = f.follow(ctx, b, buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	meter.Finish()
	return nil
}
