package convert_test

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/stage"
	"windmp/convert/write"
	"windmp/internal/guestsim"
	"windmp/internal/overlay"
	"windmp/internal/testheap"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// holeyCore is a vmcore of which only the head has data, and that counts the bytes
// that are read of it.
type holeyCore struct {
	head  []byte
	size  int64
	holes bool // it tells where its holes are
	read  atomic.Int64
}

func (c *holeyCore) ReadAt(p []byte, off int64) (int, error) {
	n := int(min(int64(len(p)), c.size-off))
	clear(p[:n])
	if off < int64(len(c.head)) {
		copy(p[:n], c.head[off:])
	}
	c.read.Add(int64(n))
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// NextData implements physmem.DataFinder.
func (c *holeyCore) NextData(off int64) int64 {
	if off < int64(len(c.head)) || !c.holes {
		return off
	}
	return c.size
}

// newHoleyCore is a guest whose last run has size bytes, nearly all of them a
// hole.
func newHoleyCore(tb testing.TB, opt guestsim.Options, size uint64) *holeyCore {
	tb.Helper()
	g := guestsim.New(opt)
	g.SetKernelRuns(grown(g, size))
	b := g.ELF()
	f, err := elf.NewFile(bytes.NewReader(b))
	require.NoError(tb, err)
	if note := bytes.Index(b, []byte("PAGEDU64")); note > 0 {
		growRun(b[note:], size)
	}
	last := len(f.Progs) - 1
	at := binary.LittleEndian.Uint64(b[0x20:]) + 56*uint64(last)
	binary.LittleEndian.PutUint64(b[at+32:], size)
	binary.LittleEndian.PutUint64(b[at+40:], size)
	return &holeyCore{head: b, size: int64(f.Progs[last].Off + size), holes: true}
}

// planOf plans the conversion of a core, and an edit of a byte in its hole.
func planOf(tb testing.TB, c *holeyCore, opt convert.Options) write.Output {
	tb.Helper()
	im, err := physmemtest.OpenReader(c, c.size, open.Options{})
	require.NoError(tb, err)
	g, err := guest.Find(context.Background(), im, guest.Options{})
	require.NoError(tb, err)
	p, err := plan.New(tb.Context(), g, opt.Plan)
	require.NoError(tb, err)
	ranges := im.Ranges()
	edit := ranges[len(ranges)-1].Start + 5<<20 + 0x123
	edited := overlay.New(p.Memory(), []overlay.Edit{{PA: edit, Bytes: []byte{0xed}}})
	return write.Output{Layout: p.Layout(), Memory: edited, Held: ranges}
}

// expected is written what is wanted, and refuses anything else. At the end nothing is left of
// what is wanted.
type expected struct{ want []byte }

func (s *expected) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(s.want, p) {
		return 0, errors.New("not what is wanted")
	}
	s.want = s.want[len(p):]
	return len(p), nil
}

// TestHolesOfSource: the output is the same whether the source tells its holes or
// not, and they are not read.
func TestHolesOfSource(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	opt := guestsim.Options{CPUs: 2, BugCheck: crash}
	plain := newHoleyCore(t, opt, size)
	plain.holes = false
	output := planOf(t, plain, convert.Options{})
	dump := bytes.NewBuffer(testheap.Bytes(t, int(output.Layout.Size()))[:0])
	require.NoError(t, write.Stream(t.Context(), dump, output, write.Options{}))
	require.Greater(t, plain.read.Load(), int64(size))
	want := dump.Bytes()
	require.Equal(t, 1, bytes.Count(want[len(want)-size/2:], []byte{0xed}))

	for name, o := range map[string]convert.Options{
		"auto":    {Write: write.Options{Sparse: write.SparseAuto}},
		"always":  {Write: write.Options{Sparse: write.SparseAlways}},
		"never":   {Write: write.Options{Sparse: write.SparseNever}},
		"one job": {Write: write.Options{Workers: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core := newHoleyCore(t, opt, size)
			p := planOf(t, core, o)
			out := filepath.Join(t.TempDir(), "out.dmp")
			var last, total int64
			o.Write.NoSync = true
			o.Progress = func(p stage.Progress) { last, total = p.Done, p.Total }
			_, err := write.File(t.Context(), out, p, o.Write)
			require.NoError(t, err)
			f, err := os.Open(out)
			require.NoError(t, err)
			defer f.Close()
			written := expected{want: want}
			_, err = io.CopyBuffer(&written, struct{ io.Reader }{f}, make([]byte, 256<<10))
			require.NoError(t, err)
			assert.Empty(t, written.want)
			assert.Less(t, core.read.Load(), int64(size/2))
			assert.Equal(t, total, last, "holes are progress too")

			streamed := expected{want: want}
			require.NoError(t, write.Stream(t.Context(), &streamed, p, o.Write))
			assert.Empty(t, streamed.want)
			assert.Less(t, core.read.Load(), int64(size))
		})
	}
}

// TestHolesAreNotSearched: the search for Windows in memory alone reads no holes.
func TestHolesAreNotSearched(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]guestsim.Options{
		"found": {CPUs: 2, File: guestsim.FileOptions{NoGuestNote: true, NoCPUNotes: true}},
		"none":  {File: guestsim.FileOptions{NoGuestNote: true, NoCPUNotes: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core := newHoleyCore(t, opt, 8<<40)
			if name == "none" {
				clear(core.head[0x1000:]) // the memory, but not the program headers
			}
			im, err := physmemtest.OpenReader(core, core.size, open.Options{})
			require.NoError(t, err)
			_, err = guest.Find(context.Background(), im, guest.Options{})
			require.Equal(t, name == "found", err == nil, "%v", err)
			assert.Less(t, core.read.Load(), int64(256<<20), "each byte of data a few times")
		})
	}
}
