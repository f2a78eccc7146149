package write

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"windmp/convert/dump"
)

// copyBlocks writes a layout by a pool of workers, each with a block of its own and
// positional reads and writes. With holes, blocks that are known to be zeros are
// not written.
func copyBlocks(ctx context.Context, w io.WriterAt, l dump.Layout, m Memory, holes bool, opt *Options) error {
	var skip func(int64)
	if holes {
		skip = opt.done
	}
	work := make(chan block)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(work)
		for b := range blocks(l, m, skip) {
			select {
			case work <- b:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range opt.workers() {
		group.Go(func() error {
			buf := make([]byte, blockSize)
			for b := range work {
				if err := ctx.Err(); err != nil {
					return context.Cause(ctx)
				}
				data := buf[:b.size]
				if err := fill(m, b.parts, data); err != nil {
					return err
				}
				if _, err := w.WriteAt(data, b.off); err != nil {
					return fmt.Errorf("writing at file offset %#x: %w", b.off, err)
				}
				opt.done(int64(len(data)))
			}
			return nil
		})
	}
	return group.Wait()
}
