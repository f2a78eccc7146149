package source_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/source"
	"windmp/physmem"
)

// refusing is a reader of a source of which nothing comes.
type refusing struct{}

func (refusing) ReadAt([]byte, int64) (int, error) {
	return 0, &physmem.SourceError{Err: io.ErrClosedPipe}
}

// TestLookEndsWithTheSource: after the first read that a limit or the source refuses, who
// looks need not go through the rest of a large file to find that out.
func TestLookEndsWithTheSource(t *testing.T) {
	t.Parallel()
	limit, refused := new(*source.LimitError), new(*physmem.SourceError)
	for name, c := range map[string]struct {
		reader io.ReaderAt
		limits source.Limits
		cause  any // nil if the look goes on
	}{
		"all well": {reader: zeros{}, limits: source.Limits{MaxRead: 100}},
		"limit":    {reader: zeros{}, limits: source.Limits{MaxRead: 99}, cause: limit},
		"refused":  {reader: refusing{}, cause: refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opt := source.Options{Limits: c.limits}
			ctx, stop := opt.Begin(t.Context())
			defer stop()
			s, err := source.Open(ctx, source.Reader("r", c.reader, 1<<40), opt)
			require.NoError(t, err)
			require.NoError(t, ctx.Err())
			_, err = s.ReadAt(make([]byte, 100), 0)
			if c.cause == nil {
				require.NoError(t, err)
				require.NoError(t, ctx.Err())
			} else {
				require.ErrorAs(t, err, c.cause)
				require.ErrorAs(t, context.Cause(ctx), c.cause)
			}
			assert.NoError(t, s.Close())
		})
	}
}

// zeros is a reader of zeros.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}
