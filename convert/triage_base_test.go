package convert_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/convert/guest"
	"windmp/convert/stack"
	"windmp/internal/qemutest"
	"windmp/physmem/physmemtest"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/bugcheck"
	"windmp/winhdr/fields"
	"windmp/winhdr/triagefile"
)

// triageSamples are the guests of which triage dumps are made, and whether mutants of
// them are.
var triageSamples = []struct {
	name, sample string
	mutants      bool
}{{"x64", "guest-bsod", true}, {"x86", "x86-bsod-2cpu", true}, {"x64-live", "live-2cpu", false}, {"x64-la57", "la57-1cpu", false}}

// winDump is QEMU's own dump of a sample.
func winDump(tb testing.TB, name string) []byte {
	tb.Helper()
	samples := qemutest.Samples()
	i := slices.IndexFunc(samples, func(s qemutest.Sample) bool { return s.Guest == name })
	return samples[i].WinDump(tb)
}

// triageOf makes a triage dump of a dump with all memory, as Windows would at the
// crash, with little memory beside what must be there.
func triageOf(tb testing.TB, full []byte) *triageDump {
	tb.Helper()
	im, err := physmemtest.Open(full)
	require.NoError(tb, err)
	g, err := guest.Find(tb.Context(), im, guest.Options{})
	require.NoError(tb, err)
	k, cpu := g.Kernel(), g.Processors()[max(0, stack.RaisedBy(g).Index)]
	read := func(va vtop.VA, n int) []byte {
		b := make([]byte, n)
		_, err := k.Space.ReadVirtual(b, va)
		require.NoError(tb, err, va)
		return b
	}
	current, err := k.CurrentProcess(cpu.PRCB)
	require.NoError(tb, err)
	d := &k.Data
	h := g.Header()
	bc := g.BugCheck()
	h.BugCheckCode, h.BugCheckParameters = bc.Code, bc.Parameters
	if bc.Code == 0 {
		h.BugCheckCode = bugcheck.LiveSystemDump
	}
	require.NoError(tb, h.Show(cpu.Saved, 1))
	sp := vtop.VA(cpu.Saved.SP())
	t := &triagefile.Contents{
		TriageOptions: triagefile.OptionsAll, TopOfStack: uint64(sp), MM: &triagefile.MM{},
		Unloaded:     []triagefile.Unloaded{{Name: "dump_storpor", StartAddress: h.Format().KernelStart + 0x10000, EndAddress: h.Format().KernelStart + 0x20000}},
		Prcb:         read(cpu.PRCB, int(d.SizePrcb)),
		Process:      read(current.Process, int(d.SizeEProcess)),
		Thread:       read(current.Thread, int(d.SizeEThread)),
		Stack:        read(sp, int(0x1000-sp%0x1000)),
		DebuggerData: k.Raw,
	}
	block := func(va vtop.VA, n int) {
		t.Blocks = append(t.Blocks, triagefile.Block{Address: uint64(va), Data: read(va, n)})
	}
	block(vtop.VA(d.NtBuildLab), 0x100)
	block(vtop.VA(cpu.Saved.IP())&^0xfff, 0x1000)
	if d.SizeEThread == 0 {
		block(current.Thread, 0x200)
	}
	for _, m := range g.Modules() {
		im, err := k.ReadImage(m.Base)
		require.NoError(tb, err)
		t.Drivers = append(t.Drivers, triagefile.Driver{Name: m.FullName, DllBase: uint64(m.Base), SizeOfImage: m.Size, TimeDateStamp: im.Timestamp, CheckSum: 0x1234})
	}
	pieces, err := t.Pieces(h)
	require.NoError(tb, err)
	out := &triageDump{tb: tb, b: slices.Concat(pieces...), kdbg: k.Raw}
	out.load()
	return out
}

// triageDump is a triage dump in memory, with what its record says.
type triageDump struct {
	tb   testing.TB
	b    []byte
	f    *winhdr.Format
	r    triagefile.Record
	kdbg []byte
}

// load reads the record.
func (d *triageDump) load() {
	h, err := winhdr.Decode(d.b)
	require.NoError(d.tb, err)
	file, err := triagefile.Read(h, bytes.NewReader(d.b), int64(len(d.b)))
	require.NoError(d.tb, err)
	d.f, d.r = h.Format(), file.Record
}

// clone is a copy to be changed.
func (d *triageDump) clone() *triageDump {
	c := *d
	c.b = bytes.Clone(d.b)
	return &c
}

// put writes a number into a field of a structure that begins at an offset.
func (d *triageDump) put(at int, w *fields.Structure, field string, v uint64) {
	f, ok := w.Field(field)
	require.True(d.tb, ok, field)
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], v)
	copy(d.b[at+f.Offset:][:f.Size/f.Count], word[:])
}

// record sets a field of TRIAGE_DUMP, header one of the header.
func (d *triageDump) record(field string, v uint64) { d.put(d.f.Size(), d.f.Triage.Record, field, v) }
func (d *triageDump) header(field string, v uint64) { d.put(0, d.f.Header, field, v) }

// driver sets a field of an entry of the list of drivers, block one of a data block.
func (d *triageDump) driver(i int, field string, v uint64) {
	w := d.f.Triage.Driver
	d.put(int(d.r.DriverListOffset)+i*w.Size(), w, field, v)
}

func (d *triageDump) block(i int, address uint64, offset, size uint32) {
	at := d.b[int(d.r.DataBlocksOffset)+16*i:]
	binary.LittleEndian.PutUint64(at, address)
	binary.LittleEndian.PutUint32(at[8:], offset)
	binary.LittleEndian.PutUint32(at[12:], size)
}

// blockAt is what the table says of a data block.
func (d *triageDump) blockAt(i int) (address uint64, offset, size uint32) {
	at := d.b[int(d.r.DataBlocksOffset)+16*i:]
	return binary.LittleEndian.Uint64(at), binary.LittleEndian.Uint32(at[8:]), binary.LittleEndian.Uint32(at[12:])
}

// pointer writes a pointer of the machine.
func (d *triageDump) pointer(at uint32, v uint64) { copy(d.b[at:], d.f.Pointers(v)) }

// kdbg16 and so on set a field of KDBG, by its offset.
func (d *triageDump) kdbg16(off int, v uint16) {
	binary.LittleEndian.PutUint16(d.b[int(d.r.DebuggerDataOffset)+off:], v)
}

func (d *triageDump) kdbg32(off int, v uint32) {
	binary.LittleEndian.PutUint32(d.b[int(d.r.DebuggerDataOffset)+off:], v)
}

func (d *triageDump) kdbg64(off int, v uint64) {
	binary.LittleEndian.PutUint64(d.b[int(d.r.DebuggerDataOffset)+off:], v)
}
