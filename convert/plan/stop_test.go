package plan_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/stage"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// stopped is a guest whose file counts what is read of it.
type stopped struct {
	*guest.Guest
	file *physmemtest.Tally
}

func newStopped(t *testing.T, sim *guestsim.Guest) *stopped {
	t.Helper()
	b := sim.ELF()
	s := &stopped{file: &physmemtest.Tally{ReaderAt: bytes.NewReader(b)}}
	im, err := open.Source(t.Context(), physmem.NewSource("guest", s.file, int64(len(b))), open.Options{})
	require.NoError(t, err)
	s.Guest, err = guest.Find(t.Context(), im, guest.Options{})
	require.NoError(t, err)
	return s
}

// offset is where memory lies in the file.
func (s *stopped) offset(t *testing.T, pa uint64) int64 {
	t.Helper()
	all := slices.Collect(s.Image().Extents(0))
	i := slices.IndexFunc(all, func(e physmem.Extent) bool { return e.Start <= pa && pa < e.End() })
	require.GreaterOrEqual(t, i, 0)
	return all[i].Offset + int64(pa-all[i].Start)
}

// TestKernelPlanStops: an interrupt is heard within the walk of page tables, of the
// kernel's and of a process': no table is read behind it.
func TestKernelPlanStops(t *testing.T) {
	t.Parallel()
	const kernelVA, userVA, tables, mapped = 0xffffe00000000000, 0x7ff600000000, 8, 2 << 20 // by a page table
	opt := plan.Options{Type: plan.OutputKernel, KeepProcesses: []uint64{4}}
	for name, va := range map[string]uint64{"kernel": kernelVA, "process": userVA} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := guestsim.New(guestsim.Options{CPUs: 1})
			for i := range uint64(tables) {
				sim.Map(va+i*mapped, physmem.PageSize)
			}
			g := newStopped(t, sim)
			ctx, end := context.WithCancelCause(t.Context())
			why := errors.New("interrupted")
			at, read := g.offset(t, sim.PTE(va)), int64(-1)
			g.file.Before = func(off int64) {
				if off == at && read < 0 {
					read = g.file.Read.Load() + physmem.PageSize
					end(why)
				}
			}
			p, err := plan.New(ctx, g.Guest, opt)
			require.ErrorIs(t, err, why)
			var failed *stage.Error
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, stage.Plan, failed.Stage)
			assert.Nil(t, p.Layout())
			assert.Equal(t, read, g.file.Read.Load(), "bytes read, the last of them in the table at which it ended")
		})
	}
}

// TestTriagePlanStops: an interrupt is heard wherever a small dump is collected. What may
// be read behind it is what is read in one step: registers, a list.
func TestTriagePlanStops(t *testing.T) {
	t.Parallel()
	const most, step = 24 << 10, 7 // bytes; reads, of which not each has to be tried
	opt := plan.Options{Type: plan.OutputTriage}
	g := newStopped(t, guestsim.New(guestsim.Options{CPUs: 4, BugCheck: [5]uint64{0x7e, 0xffffffffc0000005, 2, 3, 4}}))
	before, reads := g.file.Read.Load(), 0
	g.file.Before = func(int64) { reads++ }
	_, err := plan.New(t.Context(), g.Guest, opt)
	require.NoError(t, err)
	require.Greater(t, g.file.Read.Load()-before, int64(3*most), "bytes of a whole plan")
	stops := 0
	for last := 1; last < reads; last += step {
		ctx, end := context.WithCancelCause(t.Context())
		why := errors.New("interrupted")
		n, at := 0, int64(0)
		g.file.Before = func(int64) {
			if n++; n == last {
				at = g.file.Read.Load()
				end(why)
			}
		}
		p, err := plan.New(ctx, g.Guest, opt)
		require.Less(t, g.file.Read.Load()-at, int64(most), "bytes behind read %d", last)
		if err != nil {
			stops++
			require.ErrorIs(t, err, why)
			require.Nil(t, p.Layout())
		}
	}
	assert.Greater(t, stops, reads/step*9/10, "the last reads are for the numbers in the dump")
}

// TestPlanOfEndedContext: where the context has ended before, nothing is read.
func TestPlanOfEndedContext(t *testing.T) {
	t.Parallel()
	ctx, end := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	end(why)
	g := newStopped(t, guestsim.New(guestsim.Options{CPUs: 1}))
	before := g.file.Read.Load()
	for name, opt := range map[string]plan.Options{
		"full": {}, "kernel": {Type: plan.OutputKernel}, "triage": {Type: plan.OutputTriage}, "core": {To: plan.FormatELF},
	} {
		p, err := plan.New(ctx, g.Guest, opt)
		require.ErrorIs(t, err, why, name)
		assert.Nil(t, p.Layout(), name)
	}
	assert.Equal(t, before, g.file.Read.Load())
}
