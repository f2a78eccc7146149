package vtop

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// flatMemory is physical memory from address 0 on.
type flatMemory []byte

func (m flatMemory) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m)) {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}

// recorder visits each table once a level.
type recorder struct {
	tables     map[[2]uint64]bool
	pages      map[PA]uint64
	unreadable []PA
}

func (r *recorder) Table(pa PA, level int) bool {
	key := [2]uint64{uint64(pa), uint64(level)}
	if r.tables[key] {
		return false
	}
	r.tables[key] = true
	return true
}

// Page keeps the largest size: through the self-map a large page shows as a small
// one as well.
func (r *recorder) Page(pa PA, size uint64)          { r.pages[pa] = max(r.pages[pa], size) }
func (r *recorder) Unreadable(pa PA, _ int, _ error) { r.unreadable = append(r.unreadable, pa) }

func newRecorder() *recorder {
	return &recorder{tables: map[[2]uint64]bool{}, pages: map[PA]uint64{}}
}

func TestVisit(t *testing.T) {
	t.Parallel()
	mem := make(flatMemory, 0x8000)
	set := func(table PA, index int, e uint64) { binary.LittleEndian.PutUint64(mem[int(table)+8*index:], e) }
	const root, pdpt, pd, pt, user = 0x1000, 0x2000, 0x3000, 0x4000, 0x5000
	set(root, 0, user|1)
	set(root, 256, pdpt|1)
	set(root, 300, root|1)     // self-map
	set(root, 301, 0x900000|1) // a table outside memory
	set(pdpt, 3, pd|1)
	set(pdpt, 4, 0x40000000|0x81) // 1 GiB
	set(pdpt, 5, 0x40002000|0x81) // reserved bit
	set(pd, 1, pt|1)
	set(pd, 2, 0x800000|0x81) // 2 MiB
	set(pt, 7, 0x6000|1)
	set(pt, 8, 0x7000|1<<11) // in transition
	set(pt, 9, 0x7000)       // neither
	set(user, 0, 0xabc000|0x81)

	r := newRecorder()
	NewSpace(mem, root, X64).Visit(KernelHalf, r)
	assert.Equal(t, uint64(0x1000), r.pages[0x6000])
	assert.Equal(t, uint64(0x1000), r.pages[0x7000])
	assert.Equal(t, uint64(1<<21), r.pages[0x800000])
	assert.Equal(t, uint64(1<<30), r.pages[0x40000000])
	assert.Equal(t, uint64(0x1000), r.pages[pt], "the self-map maps the tables as pages")
	assert.Contains(t, r.unreadable, PA(0x900000))

	r = newRecorder()
	NewSpace(mem, root, X64).Visit(UserHalf, r)
	assert.Empty(t, r.pages, "a malformed 1 GiB entry is passed over")
	assert.Len(t, r.tables, 2)
}

// everyTable never says no.
type everyTable struct{ n int }

func (e *everyTable) Table(PA, int) bool        { e.n++; return true }
func (e *everyTable) Page(PA, uint64)           {}
func (e *everyTable) Unreadable(PA, int, error) {}

// TestVisitEnds: tables that refer to themselves lead down the levels and no
// further.
func TestVisitEnds(t *testing.T) {
	t.Parallel()
	mem := make(flatMemory, 0x2000)
	for i := range 3 {
		binary.LittleEndian.PutUint64(mem[0x1000+8*(256+i):], 0x1001)
	}
	v := &everyTable{}
	NewSpace(mem, 0x1000, LA57).Visit(KernelHalf, v)
	assert.Equal(t, 1+3+9+27+81, v.n)
}

// TestUsual: the short way to judge most entries judges none otherwise than the
// mode's forms do, and does judge most.
func TestUsual(t *testing.T) {
	t.Parallel()
	unlike := *X64
	unlike.Levels = []Level{{Bits: 9, Page: Form{Mask: bitP, Address: address64}}, pde64} // "present" with P clear: none is
	r := rand.New(rand.NewPCG(3, 9))
	for _, m := range []*Mode{X64, LA57, PAE, X86, ARM64, &unlike} {
		var tb tables
		tb.prepare(m)
		usual := 0
		for range 20000 {
			n := &tb.levels[r.IntN(len(tb.levels))]
			e := Entry(randomEntry(r)) & (1<<(8*m.EntrySize) - 1)
			if r.IntN(2) == 0 {
				e &^= n.Table.Reserved | n.Page.Reserved
			}
			if !n.usual.is(e) {
				continue
			}
			usual++
			to, pa := (&Space{Mode: m}).judge(n, e)
			if to != n.usual.to || pa != PA(e&n.usual.address) {
				require.Fail(t, "judged otherwise", "%s, level %d, entry %#x: %v, %v", m.Name, n.level, e, to, pa)
			}
		}
		if m != &unlike {
			assert.Greater(t, usual, 2000, m.Name)
		}
	}
}

// TestMappedLimit: the limit counts entries in the order of addresses, and what was
// found before it is told.
func TestMappedLimit(t *testing.T) {
	t.Parallel()
	mem := make(flatMemory, 0x6000)
	set := func(table PA, index int, e uint64) { binary.LittleEndian.PutUint64(mem[int(table)+8*index:], e) }
	const pdpt, pd, pt = 0x1000, 0x2000, 0x3000
	set(0, 3, pdpt|1)
	set(pdpt, 2, pd|1)
	set(pd, 1, pt|1)
	for i := range 500 {
		set(pt, i, uint64(i)<<12|1)
	}
	const before = 3 + 1 + 2 + 1 + 1 + 1 // entries up to the page table's
	for _, pages := range []int{0, 1, 63, 64, 65, 200, 500} {
		n := 0
		all := NewSpace(mem, 0, X64).Mapped(0, 1<<47-1, before+pages, func(m Mapping) bool {
			assert.Equal(t, PA(n)<<12, m.PA)
			n++
			return true
		})
		assert.False(t, all)
		assert.Equal(t, pages, n)
		n = 0
		assert.Equal(t, pages == 0, NewSpace(mem, 0, X64).Mapped(0, 1<<47-1, 1<<20, func(Mapping) bool { n++; return n < pages || pages == 0 }))
	}
}
