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
	c := copier{o, w, meter, newFollower(opt.Sum, o.Layout.Size(), opt.workers())}
	work := make(chan block)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return o.handOut(ctx, work, skip) })
	if c.follower != nil {
		group.Go(func() error { return c.follower.run(ctx) })
	}
	for range opt.workers() {
		group.Go(func() error { return c.work(ctx, work) })
	}
	err := group.Wait()
	c.follower.release()
	if err != nil {
		return err
	}
	meter.Finish()
	return nil
}

// handOut hands the blocks of the layout to the workers, in their order.
func (o *Output) handOut(ctx context.Context, work chan<- block, skip func(int64)) error {
	defer close(work)
	for b := range o.blocks(skip) {
		select {
		case work <- b:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// copier is what the workers share.
type copier struct {
	*Output
	to       io.WriterAt
	meter    *stage.Meter
	follower *follower // nil where no sum is wanted
}

// work copies the blocks that it gets.
func (c *copier) work(ctx context.Context, work <-chan block) error {
	defer c.follower.leave()
	buf, err := c.follower.buffer(ctx)
	if err != nil {
		return err
	}
	defer func() { buffers.Put(buf) }()
	for b := range work {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		data := buf[:b.size]
		if err := fill(c.Memory, b.parts, data); err != nil {
			return err
		}
		if _, err := c.to.WriteAt(data, b.off); err != nil {
			return fmt.Errorf("writing at file offset %#x: %w", b.off, err)
		}
		c.meter.Add(len(data))
		if buf, err = c.follower.follow(ctx, b, buf); err != nil {
			return err
		}
	}
	return nil
}
