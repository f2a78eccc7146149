package vtop

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// unreadable is memory with pages whose reading fails, alone or as part of more.
type unreadable struct {
	flat
	bad   func(page int) bool
	reads *int
	// all is set where a read that fails gives nothing, not even what lies before
	// the page.
	all bool
}

func (m unreadable) ReadAt(p []byte, off int64) (int, error) {
	*m.reads++
	for at := off &^ 0xfff; at < off+int64(len(p)); at += 0x1000 {
		if m.bad(int(at >> 12)) {
			n := 0
			if at > off && !m.all {
				n = copy(p[:at-off], m.flat[off:])
			}
			return n, errors.New("bad sector")
		}
	}
	return m.flat.ReadAt(p, off)
}

// TestRootsUnreadable: pages that can't be read hide no others.
func TestRootsUnreadable(t *testing.T) {
	t.Parallel()
	const size = 6 << 20
	var want []Root
	m := make(flat, size)
	for _, pa := range []int{0, 0x3000, 0x7000, 0x1ff000, 0x201000, size - 0x1000} {
		m.set32(pa+4*0x300, uint32(pa)|0x63)
		want = append(want, Root{DTB: PA(pa), Mode: X86, Kind: RootSelfMap})
	}
	bad := map[int]bool{1: true, 2: true, 6: true, 0x200: true}
	for _, all := range []bool{false, true} {
		reads := 0
		u := unreadable{flat: m, bad: func(page int) bool { return bad[page] }, reads: &reads, all: all}
		for range 2 { // the same each time
			var found []Root
			require.NoError(t, FindRoots(context.Background(), u, []physmem.Range{{Start: 0, Size: size}}, []*Mode{X86, PAE}, nil,
				func(r Root) bool { found = append(found, r); return true }))
			assert.Equal(t, want, found)
		}
		assert.LessOrEqual(t, reads, 2*(3+2*512))
	}
}

// TestRootsUnreadableEnds: of memory that gives nothing, the pages are tried, but not
// all of any number.
func TestRootsUnreadableEnds(t *testing.T) {
	t.Parallel()
	const size = 1 << 32 // 16 times as many pages
	reads := 0
	u := unreadable{bad: func(int) bool { return true }, reads: &reads}
	require.NoError(t, FindRoots(context.Background(), u, []physmem.Range{{Start: 0, Size: size}}, []*Mode{X64}, nil,
		func(Root) bool { return true }))
	assert.Less(t, reads, maxUnreadable+size/rootWindow+1)

	// Once it has given up, what can be read is still searched.
	m := make(flat, 0x1000)
	m.set32(4*0x300, 0x63)
	u = unreadable{flat: m, reads: &reads, bad: func(page int) bool { return page != 0 }}
	found := 0
	require.NoError(t, FindRoots(context.Background(), u, []physmem.Range{{Start: 1 << 30, Size: 1 << 29}, {Start: 0, Size: 0x1000}}, []*Mode{X86}, nil,
		func(Root) bool { found++; return true }))
	assert.Equal(t, 1, found)
}
