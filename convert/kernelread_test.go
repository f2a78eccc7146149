package convert_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/guest"
	"windmp/convert/identity"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/write"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// readPages is a file that remembers which parts of it were read.
type readPages struct {
	r    io.ReaderAt
	mu   sync.Mutex
	read []physmem.Range // of the file
}

func (p *readPages) ReadAt(b []byte, off int64) (int, error) {
	p.mu.Lock()
	p.read = append(p.read, physmem.Range{Start: uint64(off), Size: uint64(len(b))})
	p.mu.Unlock()
	return p.r.ReadAt(b, off)
}

// touched are the pages of memory of which something was read. What was read of
// the file's headers, at the front, may go on into memory: that does not count.
func (p *readPages) touched(im *physmem.Image) map[uint64]bool {
	pages := map[uint64]bool{}
	for _, e := range slices.Collect(im.Extents(0)) {
		start := uint64(e.Offset)
		for _, r := range p.read {
			if r.Start < start || r.Start >= start+e.Size {
				continue
			}
			pa := r.Start - start + e.Start
			last := min(pa+r.Size, e.End()) - 1
			for page := pa / physmem.PageSize; page <= last/physmem.PageSize; page++ {
				pages[page] = true
			}
		}
	}
	return pages
}

// TestKernelReadsNoOtherPages: of the pages that a kernel dump leaves out, none is
// read: neither by the examination nor by the choice nor by the copy.
func TestKernelReadsNoOtherPages(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]guestsim.Options{
		"live":          {CPUs: 2},
		"bug check":     {CPUs: 3, BugCheck: crash, Odd: true},
		"encoded":       {CPUs: 2, Encoded: true},
		"5 levels":      {CPUs: 1, LA57: true},
		"software bits": {CPUs: 2, SoftwareBits: true, PCID: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core := newHoleyCore(t, opt, 32<<20)
			core.holes = false
			file := &readPages{r: core}
			im, err := physmemtest.OpenReader(file, core.size, open.Options{})
			require.NoError(t, err)
			g, err := guest.Find(context.Background(), im, guest.Options{})
			require.NoError(t, err)
			p, err := plan.New(t.Context(), g, plan.Options{Type: plan.OutputKernel})
			require.NoError(t, err)
			out := filepath.Join(t.TempDir(), "kernel.dmp")
			_, err = convert.WriteFile(t.Context(), p, out, write.Options{NoSync: true})
			require.NoError(t, err)

			dump, err := open.File(t.Context(), out, open.Options{})
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, dump.Close()) })
			kept := map[uint64]bool{}
			for _, r := range dump.Ranges() {
				for page := r.Start / physmem.PageSize; page < r.End()/physmem.PageSize; page++ {
					kept[page] = true
				}
			}
			touched := file.touched(im)
			require.Less(t, len(kept), int(core.size>>12)/4, "most pages are left out")
			require.Greater(t, len(touched), len(kept)*9/10, "what is kept was read")
			for page := range touched {
				assert.True(t, kept[page], "the page at %#x was read and is not in the dump", page*physmem.PageSize)
			}
		})
	}
}

// TestPrepareOfEndedContext: where the context has ended nothing more is read, not even
// for the signature that a refused dump's report has.
func TestPrepareOfEndedContext(t *testing.T) {
	t.Parallel()
	file := gunzip(t, "guest-bsod.vmcore")
	counted := &physmemtest.Tally{ReaderAt: bytes.NewReader(file)}
	im, err := physmemtest.OpenReader(counted, int64(len(file)), open.Options{})
	require.NoError(t, err)
	g, err := guest.Find(t.Context(), im, guest.Options{})
	require.NoError(t, err)
	r := report.New("", "", false)
	identity.Describe(r, g)
	ctx, end := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	end(why)
	before := counted.Read.Load()
	_, err = convert.Prepare(ctx, r, g, &convert.Options{Plan: plan.Options{Type: plan.OutputKernel}})
	require.ErrorIs(t, err, why)
	assert.Nil(t, r.Guest.Signature)
	assert.Equal(t, before, counted.Read.Load())
}
