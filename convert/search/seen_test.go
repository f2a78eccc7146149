package search

import (
	"context"
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/machine"
	"windmp/kdbg/locate"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// TestSeen: what was seen of memory as one piece is known of each view of it that was
// expected, in its places there.
func TestSeen(t *testing.T) {
	t.Parallel()
	const size, mib = 4 << 20, 1 << 20
	data := make([]byte, size)
	hole := physmem.Span(mib, 3*mib)
	binary.LittleEndian.PutUint64(data[2*mib+8*0x1ed:], hole.Size+2*mib|0x63) // right with the hole
	mem := &counted{data: data}
	im, err := physmemtest.OpenReader(mem, size, open.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	view, err := im.WithHoles([]physmem.Range{hole})
	require.NoError(t, err)

	s := NewSeen(im)
	_, ok := s.blocksIn(im)
	assert.False(t, ok)
	s.keepBlocks(view, []locate.Candidate{{At: 7}}) // not the one piece
	s.keepBlocks(im, []locate.Candidate{{At: 8}, {At: mib - 8}, {At: mib}})
	blocks, ok := s.blocksIn(view)
	assert.True(t, ok)
	assert.Equal(t, []locate.Candidate{{At: 8}, {At: 3 * mib}}, blocks, "one is torn by the hole")

	all := []*machine.Machine{machine.X86, machine.X64}
	same := func(r io.ReaderAt) io.ReaderAt { return r }
	rootsIn := func(im *physmem.Image, m *machine.Machine) ([]physmem.Range, bool) {
		list, ok, err := s.rootsIn(context.Background(), im, same, m, all)
		require.NoError(t, err)
		return list, ok
	}
	_, ok = rootsIn(view, machine.X64)
	assert.False(t, ok, "not expected")
	s.Expect(hole)
	roots, ok := rootsIn(view, machine.X64)
	assert.True(t, ok)
	assert.Equal(t, []physmem.Range{{Start: 4 * mib, Size: physmem.PageSize}}, roots)
	reads := mem.reads
	roots, ok = rootsIn(view, machine.X86)
	assert.True(t, ok)
	assert.Empty(t, roots)
	roots, ok = rootsIn(im, machine.X64)
	assert.True(t, ok)
	assert.Equal(t, []physmem.Range{{Start: 2 * mib, Size: physmem.PageSize}}, roots, "possible")
	assert.Equal(t, reads, mem.reads, "it is read once")
	_, ok = rootsIn(im, machine.ARM64)
	assert.False(t, ok, "not asked for")
}
