package convert_test

import (
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
}

// newDump finds the structures of a good dump, whose bytes are not to be changed.
func newDump(tb testing.TB, good []byte) *dump {
	tb.Helper()
	d := &dump{tb: tb, b: good}
	d.locate()
	return d
}

// in is the dump in memory that may be changed: in room, as far as it is large enough.
func (d *dump) in(room []byte) *dump {
	c := *d
	c.b = slices.Grow(room[:0], len(d.b))[:len(d.b)]
	copy(c.b, d.b)
	return &c
}

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

func (d *dump) h32(off int, v uint32) { binary.LittleEndian.PutUint32(d.b[off:], v) }
func (d *dump) h64(off int, v uint64) { binary.LittleEndian.PutUint64(d.b[off:], v) }
func (d *dump) h64at(off int) uint64  { return binary.LittleEndian.Uint64(d.b[off:]) }
func (d *dump) get64(va vtop.VA) uint64 {
	return binary.LittleEndian.Uint64(d.b[d.file(va):])
}

func (d *dump) get32(va vtop.VA) vtop.VA {
	return vtop.VA(binary.LittleEndian.Uint32(d.b[d.file(va):]))
}
func (d *dump) v64(va vtop.VA, v uint64) { binary.LittleEndian.PutUint64(d.b[d.file(va):], v) }
func (d *dump) v32(va vtop.VA, v uint32) { binary.LittleEndian.PutUint32(d.b[d.file(va):], v) }
func (d *dump) v16(va vtop.VA, v uint16) { binary.LittleEndian.PutUint16(d.b[d.file(va):], v) }
func (d *dump) zero(va vtop.VA, n int)   { clear(d.b[d.file(va):][:n]) }

// kdbg sets a qword of the block.
func (d *dump) kdbg64(off uint64, v uint64) { d.v64(d.block.VA+vtop.VA(off), v) }
func (d *dump) kdbg16(off uint64, v uint16) { d.v16(d.block.VA+vtop.VA(off), v) }

// unmap clears the entry that maps va.
func (d *dump) unmap(va vtop.VA) {
	m, err := d.space.Translate(va)
	require.NoError(d.tb, err)
	clear(d.b[d.phys(uint64(m.EntryPA)):][:d.space.Mode.EntrySize])
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
	d.b = slices.Insert(d.b, h.Size(), second...)
	d.h32(h.Offset("DumpType"), kind)
	d.h64(0xfa0, uint64(len(d.b)))
}

// build makes the mutated dump, in room if that is large enough.
func (m mutant) build(bases map[string]*dump, room []byte) []byte {
	base := m.base
	if base == "" {
		base = "guest-bsod"
	}
	d := bases[base].in(room)
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
	for _, m := range mutants() {
		require.NoError(t, os.WriteFile(filepath.Join(*mutantsDir, m.name+".dmp"), m.build(bases, nil), 0o644))
	}
}
