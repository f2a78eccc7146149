package guest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/guest"
	"windmp/convert/stage"
	"windmp/internal/guestsim"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// watched is a file that tells of each read.
type watched struct {
	io.ReaderAt
	read func()
}

func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	w.read()
	return w.ReaderAt.ReadAt(p, off)
}

// TestFindStops: an interrupt is heard between the stages, also where the header leads to
// the kernel and nothing is searched for.
func TestFindStops(t *testing.T) {
	t.Parallel()
	file := guestsim.New(guestsim.Options{CPUs: 2}).ELF()
	ctx, end := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	opened := false
	counted := &physmemtest.Tally{ReaderAt: &watched{bytes.NewReader(file), func() {
		if opened {
			end(why)
		}
	}}}
	im, err := physmemtest.OpenReader(counted, int64(len(file)), open.Options{})
	require.NoError(t, err)
	opened = true
	g, err := guest.Find(ctx, im, guest.Options{})
	require.ErrorIs(t, err, why)
	var failed *stage.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, stage.CPUs, failed.Stage)
	assert.False(t, g.Complete())
	assert.Empty(t, g.Processors())

	before := counted.Read.Load()
	g, err = guest.Find(ctx, im, guest.Options{})
	require.ErrorIs(t, err, why)
	assert.False(t, g.Complete())
	assert.Equal(t, before, counted.Read.Load(), "of a context that has ended nothing is read")
}
