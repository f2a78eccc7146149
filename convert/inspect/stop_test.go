package inspect

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/dump"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/source"
	"windmp/internal/guestsim"
	"windmp/physmem/physmemtest"
)

// TestTriageStops: of a small dump an interrupt is what is said, wherever it comes, and not
// that no image is in it.
func TestTriageStops(t *testing.T) {
	t.Parallel()
	im, err := physmemtest.Open(guestsim.New(guestsim.Options{CPUs: 2, BugCheck: [5]uint64{0x7e, 1, 2, 3, 4}}).ELF())
	require.NoError(t, err)
	g, err := guest.Find(t.Context(), im, guest.Options{})
	require.NoError(t, err)
	p, err := plan.New(t.Context(), g, plan.Options{Type: plan.OutputTriage})
	require.NoError(t, err)
	v, err := dump.NewView(p.Layout(), p.Memory())
	require.NoError(t, err)
	defer v.Close()
	file, err := io.ReadAll(io.NewSectionReader(v, 0, v.Size()))
	require.NoError(t, err)
	for last := 1; last <= 8; last++ {
		ctx, end := context.WithCancelCause(t.Context())
		why := errors.New("interrupted")
		reads := 0
		counted := &physmemtest.Tally{ReaderAt: bytes.NewReader(file), Before: func(int64) {
			if reads++; reads == last {
				end(why)
			}
		}}
		_, err := Info(ctx, source.Reader("small.dmp", counted, int64(len(file))), InfoOptions{})
		assert.ErrorIs(t, err, why, "at read %d", last)
	}
}
