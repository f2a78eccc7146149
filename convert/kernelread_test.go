package convert_test

import (
	"io"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/internal/guestsim"
	"windmp/physmem"
)

// readPages is a file that remembers which of its bytes were read, by blocks of
// 512 bytes.
type readPages struct {
	r    io.ReaderAt
	mu   sync.Mutex
	read map[int64]bool
}

const readGrain = 512

func (p *readPages) ReadAt(b []byte, off int64) (int, error) {
	p.mu.Lock()
	for at := off &^ (readGrain - 1); at < off+int64(len(b)); at += readGrain {
		p.read[at] = true
	}
	p.mu.Unlock()
	return p.r.ReadAt(b, off)
}

// touched are the pages of memory of which something was read. Blocks at the ends
// of an extent that hold other bytes too are passed over.
func (p *readPages) touched(im *physmem.Image) map[uint64]bool {
	pages := map[uint64]bool{}
	for _, e := range im.Extents() {
		first := (e.Offset + readGrain - 1) &^ (readGrain - 1)
		for at := first; at+readGrain <= e.Offset+int64(e.Size); at += readGrain {
			pa := e.Start + uint64(at-e.Offset)
			// The block may lie in two pages: who read which is not known.
			if p.read[at] && pa/physmem.PageSize == (pa+readGrain-1)/physmem.PageSize {
				pages[pa/physmem.PageSize] = true
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
			file := &readPages{r: core, read: map[int64]bool{}}
			im, err := physmem.New(file, core.size)
			require.NoError(t, err)
			g, err := convert.Examine(im)
			require.NoError(t, err)
			p, err := convert.NewPlan(g, convert.Options{Type: convert.OutputKernel})
			require.NoError(t, err)
			out := filepath.Join(t.TempDir(), "kernel.dmp")
			require.NoError(t, p.WriteFile(t.Context(), out, convert.Options{NoSync: true}))

			dump, err := physmem.Open(out)
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
