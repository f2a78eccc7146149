package judge

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// TestDumpStops: an interrupt is heard between the steps by which a dump is opened. A step
// that has begun is read to its end, and the one that reads the list of images does not
// begin.
func TestDumpStops(t *testing.T) {
	t.Parallel()
	const modules, away = 300, 0xfffff80500000000 // images that are not mapped
	sim := guestsim.Options{CPUs: 2, BugCheck: [5]uint64{0x7e, 1, 2, 3, 4}}
	for i := range uint64(modules) {
		base := away + i*0x10000
		sim.Modules = append(sim.Modules, guestsim.Module{Base: base, EntryPoint: base, Size: 0x8000, Name: "a.sys", FullName: "a.sys"})
	}
	for kind, tc := range map[plan.OutputType]struct {
		last int   // read before the end: of the memory, or of the records
		most int64 // bytes behind it
	}{
		plan.OutputFull:   {5, 24 << 10},
		plan.OutputTriage: {2, 4 << 10},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			file := dumpOfSim(t, sim, plan.Options{Type: kind})
			ctx, end := context.WithCancelCause(t.Context())
			why := errors.New("interrupted")
			counted := &physmemtest.Tally{ReaderAt: bytes.NewReader(file)}
			reads, at := 0, int64(0)
			counted.Before = func(int64) {
				if reads++; reads == tc.last {
					at = counted.Read.Load()
					end(why)
				}
			}
			src := physmem.NewSource("dump", counted, int64(len(file)))
			v, err := Dump(ctx, src, Options{})
			require.ErrorIs(t, err, why)
			assert.Less(t, counted.Read.Load()-at, tc.most, "bytes behind the end")
			if v.Guest != nil {
				assert.Empty(t, v.Guest.Modules())
			}

			before := counted.Read.Load()
			v, err = Dump(t.Context(), src, Options{})
			require.NoError(t, err)
			assert.Len(t, v.Guest.Modules(), 3+modules)
			assert.Greater(t, counted.Read.Load()-before, 3*tc.most, "bytes of a whole judgement")
		})
	}
}

// TestFindHeaderReadsNoMemory: an image has its header, so that FindHeader takes no context.
func TestFindHeaderReadsNoMemory(t *testing.T) {
	t.Parallel()
	file := dumpOf(t, plan.Options{})
	counted := &physmemtest.Tally{ReaderAt: bytes.NewReader(file)}
	im, err := physmemtest.OpenReader(counted, int64(len(file)), open.Options{})
	require.NoError(t, err)
	before := counted.Read.Load()
	_, err = guest.FindHeader(im, guest.Options{})
	require.NoError(t, err)
	assert.Equal(t, before, counted.Read.Load())
}
