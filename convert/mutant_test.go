package convert_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/internal/qemutest"
	"windmp/kdbg"
	"windmp/physmem"
	"windmp/physmem/physmemtest"
	"windmp/vtop"
	"windmp/winhdr"
)

// mutantsDir writes the mutants out, so that a debugger engine can be asked.
var mutantsDir = flag.String("mutants", "", "folder that the mutated dumps are written to")

// mutant is a dump that differs from a good one in one thing.
type mutant struct {
	name string
	// base names the good dump, guest-bsod when empty.
	base   string
	change func(d *dump)
}

// dump is a dump in memory, and where its structures lie in the file.
type dump struct {
	tb    testing.TB
	b     []byte
	space *vtop.Space
	block *kdbg.Kernel
	cpus  []kdbg.Processor
	at    []physmem.Extent

	changed []stretch // of the file
	wide    []byte    // where a dump of another type is made
}

// stretch is a part of a file.
type stretch struct{ off, size int }

// newDump finds the structures of a good dump, whose bytes are not to be changed.
func newDump(tb testing.TB, good []byte) *dump {
	tb.Helper()
	d := &dump{tb: tb, b: good}
	d.locate()
	return d
}

// A room is where dumps are changed, one after the other. Each differs in little from its
// base: for the next one of the same base, what was changed is put back.
type room struct {
	base, d *dump
	b       []byte
}

// of is a base that may be changed.
func (r *room) of(base *dump) *dump {
	d := *base
	if r.d != nil {
		r.putBack()
		d.wide = r.d.wide
	}
	if r.base != base {
		r.check()
		r.base, r.b = base, append(r.b[:0], base.b...)
	}
	d.b = r.b
	r.d = &d
	return r.d
}

// putBack makes the room's dump its base again.
func (r *room) putBack() {
	for _, c := range r.d.changed {
		copy(r.b[min(c.off, len(r.b)):], r.base.b[min(c.off, len(r.b)):min(c.off+c.size, len(r.b))])
	}
}

// check: what was put back is all that was changed, in one mutant of a base or another.
func (r *room) check() {
	if r.base != nil {
		require.True(r.base.tb, bytes.Equal(r.base.b, r.b), "a mutant changed what it did not say")
	}
}

// part is a part of the dump that is to be changed.
func (d *dump) part(off, size int) []byte {
	d.changed = append(d.changed, stretch{off, size})
	return d.b[off:][:size:size]
}

// partAt is part at a virtual address.
func (d *dump) partAt(va vtop.VA, size int) []byte { return d.part(int(d.file(va)), size) }

// locate reads where things are before anything is changed.
func (d *dump) locate() {
	im, err := physmemtest.Open(d.b)
	require.NoError(d.tb, err)
	d.at = slices.Collect(im.Extents(0))
	h := d.header()
	layout, modes := kdbg.X64, []*vtop.Mode{vtop.X64, vtop.LA57}
	if h.Format() == winhdr.X86 {
		layout, modes = kdbg.X86, []*vtop.Mode{vtop.X86, vtop.PAE}[h.PaeEnabled&1:]
	}
	for _, mode := range modes {
		d.space = vtop.NewSpace(im, h.DirectoryTableBase, mode)
		if d.block, err = layout.In(d.space).Read(vtop.VA(h.KdDebuggerDataBlock), kdbg.Expect{}); err == nil {
			break
		}
	}
	require.NoError(d.tb, err)
	d.cpus, err = d.block.Processors(int(h.NumberProcessors))
	require.NoError(d.tb, err)
}

// header is the dump's, of the width that its second word says.
func (d *dump) header() *winhdr.Header {
	h, err := winhdr.Decode(d.b)
	require.NoError(d.tb, err)
	return h
}

// file is the file offset of a virtual address.
func (d *dump) file(va vtop.VA) int64 {
	m, err := d.space.Translate(va)
	require.NoError(d.tb, err)
	return d.phys(uint64(m.PA))
}

// phys is the file offset of a physical address.
func (d *dump) phys(pa uint64) int64 {
	for _, e := range d.at {
		if pa >= e.Start && pa-e.Start < e.Size {
			return e.Offset + int64(pa-e.Start)
		}
	}
	require.Failf(d.tb, "address outside the dump", "PA %#x", pa)
	return 0
}

func (d *dump) h32(off int, v uint32) { binary.LittleEndian.PutUint32(d.part(off, 4), v) }
func (d *dump) h64(off int, v uint64) { binary.LittleEndian.PutUint64(d.part(off, 8), v) }
func (d *dump) h64at(off int) uint64  { return binary.LittleEndian.Uint64(d.b[off:]) }
func (d *dump) get64(va vtop.VA) uint64 {
	return binary.LittleEndian.Uint64(d.b[d.file(va):])
}

func (d *dump) get32(va vtop.VA) vtop.VA {
	return vtop.VA(binary.LittleEndian.Uint32(d.b[d.file(va):]))
}
func (d *dump) v64(va vtop.VA, v uint64) { binary.LittleEndian.PutUint64(d.partAt(va, 8), v) }
func (d *dump) v32(va vtop.VA, v uint32) { binary.LittleEndian.PutUint32(d.partAt(va, 4), v) }
func (d *dump) v16(va vtop.VA, v uint16) { binary.LittleEndian.PutUint16(d.partAt(va, 2), v) }
func (d *dump) zero(va vtop.VA, n int)   { clear(d.partAt(va, n)) }

// kdbg sets a qword of the block.
func (d *dump) kdbg64(off uint64, v uint64) { d.v64(d.block.VA+vtop.VA(off), v) }
func (d *dump) kdbg16(off uint64, v uint16) { d.v16(d.block.VA+vtop.VA(off), v) }

// unmap clears the entry that maps va.
func (d *dump) unmap(va vtop.VA) {
	m, err := d.space.Translate(va)
	require.NoError(d.tb, err)
	clear(d.part(int(d.phys(uint64(m.EntryPA))), d.space.Mode.EntrySize))
}

func (d *dump) cut(n int) { d.b = d.b[:len(d.b)-n] }

// encode encodes the block in place, as Windows keeps it.
func (d *dump) encode() {
	raw := guestsim.Encode(d.block.Raw, guestsim.DefaultWaitNever, guestsim.DefaultWaitAlways, 0xfffff80041c00010)
	for i := 0; i < len(raw); i += 8 {
		d.kdbg64(uint64(i), binary.LittleEndian.Uint64(raw[i:]))
	}
}

// bitmap turns a full dump into one of type 2, 5 or 6: the pages of the runs,
// behind a bitmap of bits bits (0: rounded up to 64).
func (d *dump) bitmap(kind uint32, signature string, bits uint64) {
	h := d.header()
	runs, _ := h.Runs()
	require.NotNil(d.tb, runs)
	last := runs[len(runs)-1]
	if bits == 0 {
		bits = (last.BasePage + last.PageCount + 63) &^ 63
	}
	set := make([]byte, (bits+7)/8)
	n := uint64(0)
	for _, r := range runs {
		for p := r.BasePage; p < r.BasePage+r.PageCount; p++ {
			set[p/8] |= 1 << (p % 8)
			n++
		}
	}
	le := binary.LittleEndian
	at := 0x38
	if kind == 2 {
		at = 0x28
	}
	first := (uint64(h.Size()+at+len(set)) + 0xfff) &^ 0xfff
	second := make([]byte, first-uint64(h.Size()))
	copy(second, signature+"DUMP")
	if kind == 2 {
		le.PutUint32(second[0xc:], uint32(first))
		le.PutUint32(second[0x10:], uint32(bits))
		le.PutUint32(second[0x14:], uint32(n))
		le.PutUint32(second[0x18:], uint32(bits))
	} else {
		le.PutUint64(second[0x20:], first)
		le.PutUint64(second[0x28:], n)
		le.PutUint64(second[0x30:], bits)
	}
	copy(second[at:], set)
	d.wide = append(append(append(d.wide[:0], d.b[:h.Size()]...), second...), d.b[h.Size():]...)
	d.b = d.wide
	d.h32(h.Offset("DumpType"), kind)
	d.h64(0xfa0, uint64(len(d.b)))
}

// build makes the mutated dump in a room.
func (m mutant) build(bases map[string]*dump, r *room) []byte {
	base := m.base
	if base == "" {
		base = "guest-bsod"
	}
	d := r.of(bases[base])
	if m.change != nil {
		m.change(d)
	}
	return d.b
}

// mutantBases are QEMU's own dumps.
func mutantBases(tb testing.TB) map[string]*dump {
	tb.Helper()
	bases := map[string]*dump{}
	for _, s := range qemutest.Samples() {
		if bases[s.Guest] == nil {
			bases[s.Guest] = newDump(tb, gunzip(tb, s.Guest+".win-dmp.gz"))
		}
	}
	return bases
}

// TestWriteMutants writes the mutants where -mutants says.
func TestWriteMutants(t *testing.T) {
	t.Parallel()
	if *mutantsDir == "" {
		t.Skip("-mutants=FOLDER writes the mutated dumps there")
	}
	bases := mutantBases(t)
	var made room
	for _, m := range mutants() {
		require.NoError(t, os.WriteFile(filepath.Join(*mutantsDir, m.name+".dmp"), m.build(bases, &made), 0o644))
	}
}
