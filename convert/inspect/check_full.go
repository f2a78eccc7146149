package inspect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"windmp/convert/finding"
	"windmp/internal/binio"
	"windmp/physmem"
)

// readBlock is how much of a file is read at once.
const readBlock = 1 << 20

// hashFile reads every byte of the file.
func hashFile(ctx context.Context, r io.ReaderAt, size int64) (string, error) {
	sum := sha256.New()
	n, err := io.CopyBuffer(sum, &cancellable{ctx, io.NewSectionReader(r, 0, size)}, make([]byte, readBlock))
	if err != nil && ctx.Err() == nil {
		err = &physmem.ReadError{Offset: n, Err: err}
	}
	if err != nil {
		return "", fmt.Errorf("reading all of the file: %w", err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil)), nil
}

// readMemory reads every page of a container that does not keep them byte by
// byte; of others the hash has read all.
func (c *fileChecker) readMemory(ctx context.Context) error {
	im, err := c.src.Image(ctx)
	if err != nil || im.Located() {
		return nil //nolint:nilerr // the check before has said so
	}
	return c.readPages(ctx, im)
}

// cancellable is a reader that ends with its context.
type cancellable struct {
	ctx context.Context // io.Reader has no room for it
	r   io.Reader
}

func (c *cancellable) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// badPagesNamed bounds how many unreadable places are named.
const badPagesNamed = 4

// readPages reads all memory through the image.
func (c *fileChecker) readPages(ctx context.Context, im *physmem.Image) error {
	buf := make([]byte, readBlock)
	c.opt.Source.Count.Grow(int64(physmem.TotalSize(im.Ranges()))) //nolint:gosec // what a file holds
	bad := uint64(0)
	var first []error
	for _, r := range im.Ranges() {
		for at := r.Start; at < r.End(); {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			n := min(uint64(len(buf)), r.End()-at)
			got, err := im.ReadAt(buf[:n], int64(at)) //nolint:gosec // physical addresses have 52 bits
			c.opt.Source.Count.Add(got)
			at += uint64(got) //nolint:gosec // not negative
			if err == nil {
				continue
			}
			if len(first) < badPagesNamed {
				first = append(first, err)
			}
			next := min(at&^(physmem.PageSize-1)+physmem.PageSize, r.End())
			bad += next - at
			at = next
		}
	}
	if bad > 0 {
		c.Add(finding.Unreadable.At("", "%s of memory can't be read", binio.Bytes(bad)).Because(errors.Join(first...)))
	}
	return nil
}
