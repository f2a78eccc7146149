package vtop

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const faultVA VA = 0xfffff80012345678

func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind  FaultKind
		entry uint64
		level int
		text  string
	}{
		{NotPresent, 0, 1, "not mapped: level 1 entry 0x0 at"},
		{NotPresent, 0, 4, "not mapped: level 4 entry 0x0 at"},
		{Pagefile, 0x12345_0000_0080, 1, "in a paging file: level 1 entry 0x1234500000080 at"},
		{Pagefile, 0x12345_0000_0080, 2, "in a paging file: level 2 entry 0x1234500000080 at"},
		{Prototype, 0x8a8b_1234_5678_0400, 1, "prototype entry: level 1 entry 0x8a8b123456780400 at"},
		{Prototype, 1 << 10, 3, "prototype entry: level 3 entry 0x400 at"},
		{Prototype, 0x9c00, 1, "prototype entry: level 1 entry 0x9c00 at"}, // bit 11 means something else then
		{DemandZero, 0x80, 1, "demand zero: level 1 entry 0x80 at"},
		{DemandZero, 0x200, 1, "demand zero: level 1 entry 0x200 at"}, // decommitted
		{DemandZero, 0x80, 2, "demand zero: level 2 entry 0x80 at"},
		{TableTransition, 0x9800, 2, "page table in transition: level 2 entry 0x9800 at"},
		{TableTransition, 0x9880, 3, "page table in transition: level 3 entry 0x9880 at"},
		{TableTransition, 0x9800, 4, "page table in transition: level 4 entry 0x9800 at"},
		{Malformed, 0x9081, 4, "reserved bit set: level 4 entry 0x9081 at"},
		{Malformed, 0x9081, 5, "reserved bit set: level 5 entry 0x9081 at"},
		{Malformed, 0x2081, 2, "reserved bit set: level 2 entry 0x2081 at"},
		{Malformed, 0x100081, 2, "reserved bit set: level 2 entry 0x100081 at"},
		{Malformed, 0x20000081, 3, "reserved bit set: level 3 entry 0x20000081 at"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%v at level %d", tt.kind, tt.level), func(t *testing.T) {
			t.Parallel()
			g := newGuest(LA57)
			g.mapPage(faultVA, 0x9000, size4K, 0)
			entryPA := g.put(faultVA, tt.level, tt.entry)
			s := g.space()

			m, err := s.Translate(faultVA)
			assert.Zero(t, m)
			assert.Equal(t, &FaultError{
				VA: faultVA, Kind: tt.kind, Level: tt.level, EntryPA: entryPA, Entry: Entry(tt.entry),
			}, err)
			require.EqualError(t, err, fmt.Sprintf("virtual address 0xfffff80012345678: %s %v", tt.text, entryPA))
			require.ErrorIs(t, err, ErrNotMapped)
			requireModel(t, s, faultVA)

			n, readErr := s.ReadVirtual(make([]byte, 8), faultVA)
			assert.Zero(t, n)
			assert.Equal(t, err, readErr)
			pieces, piecesErr := s.Pieces(faultVA, 8)
			assert.Nil(t, pieces)
			assert.Equal(t, err, piecesErr)
		})
	}
}

func TestNonCanonical(t *testing.T) {
	t.Parallel()
	s := newGuest(X64).space()
	_, err := s.Translate(0x0000800000000000)
	assert.Equal(t, &FaultError{VA: 0x0000800000000000, Kind: NonCanonical}, err)
	require.ErrorIs(t, err, ErrNotMapped)
	require.EqualError(t, err, "virtual address 0x800000000000: not a canonical address")
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	for level := 1; level <= 5; level++ {
		g := newGuest(LA57)
		g.mapPage(faultVA, 0x9000, size4K, 0)
		entryPA := g.at(faultVA, level)
		disk := errors.New("input/output error")
		g.bad[entryPA&^0xfff] = disk
		_, err := g.space().Translate(faultVA)
		assert.Equal(t, &FaultError{
			VA: faultVA, Kind: TableUnreadable, Level: level, EntryPA: entryPA, Err: disk,
		}, err)
		require.NotErrorIs(t, err, ErrNotMapped, "it may be mapped")
		require.ErrorIs(t, err, disk)
		require.EqualError(t, err, fmt.Sprintf(
			"virtual address 0xfffff80012345678: page table unreadable: level %d entry at %v: input/output error", level, entryPA))
		requireModel(t, g.space(), faultVA)
	}
}

// shortReads says that it has read all when it has not, against io.ReaderAt's rules.
type shortReads struct{ io.ReaderAt }

func (s shortReads) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.ReaderAt.ReadAt(p, off)
	return min(n, 4), err
}

// eager returns io.EOF along with the last bytes, as io.ReaderAt allows.
type eager struct{ io.ReaderAt }

func (e eager) ReadAt(p []byte, off int64) (int, error) {
	n, err := e.ReaderAt.ReadAt(p, off)
	if err == nil {
		err = io.EOF
	}
	return n, err
}

func TestReaderAtRules(t *testing.T) {
	t.Parallel()
	g := newGuest(X64)
	g.mapPage(faultVA, 0x9000, size4K, 0)
	g.write(0x9678, []byte{1, 2, 3, 4, 5, 6, 7, 8})

	_, err := NewSpace(shortReads{g}, uint64(g.root), X64).Translate(faultVA)
	var fault *FaultError
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, TableUnreadable, fault.Kind)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)

	v, err := NewSpace(eager{g}, uint64(g.root), X64).Uint64(faultVA)
	require.NoError(t, err)
	assert.Equal(t, uint64(0x0807060504030201), v)
}

// The three absences that a report must not mix up: what the guest does not
// map, what it maps but the file does not hold, and what could not be read.
// Each for the page itself and for a page table on the way to it.
func TestThreeAbsences(t *testing.T) {
	t.Parallel()
	errDisk := errors.New("read /dev/sdb: input/output error")
	classify := func(err error) string {
		switch {
		case err == nil:
			return "read"
		case errors.Is(err, ErrNotMapped):
			return "not mapped by the guest"
		case errors.Is(err, errNotSaved):
			return "not saved in the file"
		default:
			return "file unreadable"
		}
	}
	const page PA = 0x9000
	tests := []struct {
		name    string
		prepare func(g *guest)
		want    string
		kind    FaultKind
		n       int // bytes read before it, of 16 that begin 8 before a page
	}{
		{"all there", func(*guest) {}, "read", 0, 16},
		{"page never mapped", func(g *guest) { g.put(faultVA, 1, 0) }, "not mapped by the guest", NotPresent, 8},
		{"table never mapped", func(g *guest) { g.put(faultVA, 2, 0) }, "not mapped by the guest", NotPresent, 0},
		{"page in a paging file", func(g *guest) { g.put(faultVA, 1, 5<<32) }, "not mapped by the guest", Pagefile, 8},
		{"page not saved", func(g *guest) { delete(g.pages, page) }, "not saved in the file", PageUnreadable, 8},
		{"table not saved", func(g *guest) { delete(g.pages, g.at(faultVA, 1)&^0xfff) }, "not saved in the file", TableUnreadable, 0},
		{"top table not saved", func(g *guest) { delete(g.pages, g.root) }, "not saved in the file", TableUnreadable, 0},
		{"page on a bad sector", func(g *guest) { g.bad[page] = errDisk }, "file unreadable", PageUnreadable, 8},
		{"table on a bad sector", func(g *guest) { g.bad[g.at(faultVA, 1)&^0xfff] = errDisk }, "file unreadable", TableUnreadable, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(X64)
			start := faultVA &^ 0xfff
			g.mapPage(start-0x1000, 0x5000, size4K, 0)
			g.mapPage(start, page, size4K, 0)
			g.write(0x5ff8, []byte("lastline"))
			g.write(page, []byte("newpage!"))
			tt.prepare(g)
			s := g.space()

			p := make([]byte, 16)
			n, err := s.ReadVirtual(p, start-8)
			assert.Equal(t, tt.want, classify(err), "%v", err)
			assert.Equal(t, tt.n, n)
			assert.Equal(t, "lastlinenewpage!"[:n], string(p[:n]), "what was read before is right")
			_, err = s.Window(start-8, 16).ReadAt(p, 0)
			assert.Equal(t, tt.want, classify(err), "through a window")
			_, err = s.Uint64(start - 4)
			assert.Equal(t, tt.want, classify(err), "as a number")
			if tt.kind == 0 {
				return
			}
			var fault *FaultError
			require.ErrorAs(t, err, &fault)
			assert.Equal(t, tt.kind, fault.Kind)
			if tt.n == 8 {
				assert.Equal(t, start, fault.VA, "the first byte that is missing")
			}
			if tt.kind == PageUnreadable {
				assert.Equal(t, page, fault.PA)
				assert.Equal(t, g.at(start, 1), fault.EntryPA)
				assert.Equal(t, 1, fault.Level)
				assert.Contains(t, err.Error(), "virtual address 0xfffff80012345000: page unreadable: physical address 0x9000: ")
			}
		})
	}
}

func TestFaultKindNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for kind := NonCanonical; kind <= PageUnreadable; kind++ {
		assert.NotContains(t, kind.String(), "unknown")
		assert.False(t, seen[kind.String()], kind)
		seen[kind.String()] = true
	}
	assert.Equal(t, "unknown fault kind 0", FaultKind(0).String())
	assert.False(t, (&FaultError{Kind: Pagefile}).Is(errNotSaved))
}
