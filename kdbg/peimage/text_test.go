package peimage

import (
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/vtop"
)

// cutMemory has of the page of an address only what lies before that, as the pieces of a
// small dump end anywhere.
type cutMemory struct {
	io.ReaderAt
	end int64
}

func (m cutMemory) ReadAt(b []byte, at int64) (int, error) {
	if at&^0xfff != m.end&^0xfff || at+int64(len(b)) <= m.end {
		return m.ReaderAt.ReadAt(b, at)
	}
	n, err := m.ReaderAt.ReadAt(b[:max(0, m.end-at)], at)
	if err != nil {
		return n, err
	}
	return n, physmem.ErrNotInImage
}

// TestTextAtTheEnd: a string is read where nothing behind it is in memory, and no string
// that goes on there.
func TestTextAtTheEnd(t *testing.T) {
	t.Parallel()
	const base = guestsim.KernBase + 0x2000000
	g := guestsim.New(guestsim.Options{})
	g.Map(base, 0x1000)
	text := []byte("GizmoThread\x00")
	g.Write(base+0x400, text)
	s := spaceOf(g)
	tr, err := s.Translate(base + 0x400)
	require.NoError(t, err)
	for short, want := range map[int]string{0: "GizmoThread", 1: ""} {
		cut := vtop.NewSpace(cutMemory{g.Memory(), int64(tr.PA) + int64(len(text)-short)}, g.DTB, vtop.X64)
		v := &imageView{space: cut, base: base, size: 0x1000}
		got, err := v.text(0x400)
		assert.Equal(t, want, got)
		assert.Equal(t, short > 0, err != nil, err)
	}
}
