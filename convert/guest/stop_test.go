package guest_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/guest"
	"windmp/convert/stage"
	"windmp/internal/guestsim"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// TestFindStops: an interrupt is heard between the stages, also where the header leads to
// the kernel and nothing is searched for.
func TestFindStops(t *testing.T) {
	t.Parallel()
	file := guestsim.New(guestsim.Options{CPUs: 2}).ELF()
	ctx, end := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	counted := &physmemtest.Tally{ReaderAt: bytes.NewReader(file)}
	im, err := physmemtest.OpenReader(counted, int64(len(file)), open.Options{})
	require.NoError(t, err)
	counted.Before = func(int64) { end(why) }
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
