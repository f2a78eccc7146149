package hyperv

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"unsafe"

	"windmp/internal/binio"
	"windmp/physmem"
)

// objectTable is the head of a table of objects.
type objectTable struct {
	Signature uint32
	Entries   uint32
}

// objectEntry is an entry of it, 18 bytes: an object of the file.
type objectEntry struct {
	Type     uint8
	Checksum uint32
	Offset   uint64
	Size     uint32
	Flags    uint8
}

const (
	objectSignature = 0x01110001
	objectHead      = 8  // size of objectTable in the file
	objectSize      = 18 // and of objectEntry
)

// Types of objects. The others are empty (0), memory and other data (3), and free (4).
const (
	objectTableType = 1 // the next table; in the last entry alone
	objectKeys      = 2
)

// keyTable is a table of keys, and where it is.
type keyTable struct {
	Signature uint16
	Index     uint16 // from 1
	Sequence  uint16 // the later table of an index counts
	Checksum  uint32 // of these ten bytes
}

const (
	keySignature   = 2
	objectChecksum = 1 // offset of the checksum in an entry
	keyChecksum    = 6 // offset of the checksum in a table of keys
	keyTableHeader = 10
)

var (
	_ = [1]byte{}[unsafe.Sizeof(objectTable{})-8]
	_ = [1]byte{}[unsafe.Offsetof(keyTable{}.Sequence)-4]
)

const (
	// maxObjectTables and maxObjects cap the tables of objects and their entries. A
	// guest's memory takes an object for each MiB, so these are 8 TiB of it.
	maxObjectTables = 1 << 16
	maxObjects      = 1 << 23
	// maxKeyTables caps the tables of keys, of which each can be there in several
	// states: their numbers have 16 bits.
	maxKeyTables = 1 << 18
	// tablePiece is how much of a table is read at once, in bytes, and how often the
	// walk looks whether it was cancelled, in entries.
	tablePiece = 1 << 16
)

// keyPlace is a table of keys in the file.
type keyPlace struct {
	index, sequence uint16
	off             uint64
	size            uint32
}

// keyTables goes through the tables of objects, and returns the tables of keys that
// count, by their index.
func (f *file) keyTables() ([]keyPlace, error) {
	w := &objectWalk{file: f, seen: map[uint64]bool{}, at: objectsAt}
	for w.at != 0 {
		if err := w.table(); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(w.found, func(a, b keyPlace) int { return cmp.Compare(a.index, b.index) })
	out := w.found[:0]
	for _, k := range w.found {
		n := len(out)
		switch {
		case n == 0 || out[n-1].index != k.index:
			out = append(out, k)
		case later(k.sequence, out[n-1].sequence):
			out[n-1] = k
		}
	}
	return out, nil
}

// objectWalk goes from one table of objects to the next.
type objectWalk struct {
	*file
	seen    map[uint64]bool // tables of objects, by offset
	at      uint64          // the next table of objects, 0 behind the last
	entries uint64          // of all tables so far
	keys    int             // entries of tables of keys so far
	found   []keyPlace
}

// table goes through the table of objects at w.at, and sets that to the next one.
func (w *objectWalk) table() error {
	at := w.at
	w.at, w.seen[at] = 0, true
	if !binio.Within(at, objectHead, w.size) {
		w.lacks(at, objectHead)
		return w.tableLost(at, "it is behind the end of the file")
	}
	var t objectTable
	b := make([]byte, objectHead)
	if err := w.read(b, at); err != nil {
		return err
	}
	if _, err := binary.Decode(b, binary.LittleEndian, &t); err != nil {
		return err
	}
	if t.Signature != objectSignature {
		return w.tableLost(at, fmt.Sprintf("its signature is 0x%x, want 0x%x", t.Signature, uint32(objectSignature)))
	}
	return w.objects(at+objectHead, w.readable(at, t.Entries), uint64(t.Entries))
}

// readable is how many of the entries of the table at a file offset are looked at: those
// that the file has, up to a limit.
func (w *objectWalk) readable(at uint64, entries uint32) uint64 {
	n := min(uint64(entries), (w.size-at-objectHead)/objectSize)
	if n < uint64(entries) {
		w.lacks(at, objectHead+uint64(entries)*objectSize)
	}
	if n > maxObjects-w.entries {
		n = maxObjects - w.entries
		w.odd.Add(physmem.OddityLimit, place(at), "more than %d objects; the others are left out", maxObjects)
	}
	w.entries += n
	return n
}

// objects goes through n entries from a file offset on, of a table that has so many.
func (w *objectWalk) objects(at, n, all uint64) error {
	physmem.ReadsTable(w.r, n*objectSize)
	r := bufio.NewReaderSize(io.NewSectionReader(w.r, place(at), place(n*objectSize)), int(min(n*objectSize, tablePiece)))
	b := make([]byte, objectSize)
	for i := range n {
		if i%tablePiece == 0 && w.ctx.Err() != nil {
			return w.ended()
		}
		if _, err := io.ReadFull(r, b); err != nil {
			return &physmem.ReadError{Offset: place(at + i*objectSize), Err: err}
		}
		if err := w.entry(b, at+i*objectSize, i+1 == all); err != nil {
			return err
		}
	}
	return nil
}

// entry takes the bytes of an entry, which are at a file offset, if they are of an object
// that leads on.
func (w *objectWalk) entry(b []byte, at uint64, isLast bool) error {
	if b[0] != objectTableType && b[0] != objectKeys {
		return nil
	}
	var e objectEntry
	if _, err := binary.Decode(b, binary.LittleEndian, &e); err != nil {
		return err
	}
	if want := sum(b, objectChecksum); e.Checksum != want && w.hdr.Version >= versionObjects {
		w.odd.Add(physmem.OddityBadSegment, place(at), "an object's entry has a wrong checksum").Because("checksum 0x%x, its bytes give 0x%x", e.Checksum, want)
	}
	return w.object(e, at, isLast)
}

// tableLost is the error for a first table of objects that can't be read. What is in
// later ones is left out.
func (w *objectWalk) tableLost(at uint64, why string) error {
	if at != objectsAt {
		w.odd.Add(physmem.OddityBadSegment, place(at), "a further table of objects is left out").Because("%s", why)
		return nil
	}
	e := &physmem.FormatError{Format: physmem.FormatHyperV, Offset: place(at), Field: "object table", Reason: why}
	if w.until > w.size {
		e.Hint, e.Cut = physmem.HintIncomplete, w.cut()
	}
	return e
}

// object takes an entry of a table of objects.
func (w *objectWalk) object(e objectEntry, entryAt uint64, last bool) error {
	if e.Type == objectTableType {
		switch {
		case !last:
			w.odd.Add(physmem.OddityBadSegment, place(entryAt), "an entry that is not the last leads to a further table of objects; it is left out")
		case w.seen[e.Offset] || len(w.seen) >= maxObjectTables:
			w.odd.Add(physmem.OddityBadSegment, place(entryAt), "a further table of objects was there before, or is one too many").Because("it is at 0x%x", e.Offset)
		default:
			w.at = e.Offset
		}
		return nil
	}
	var k keyTable
	if !binio.Within(e.Offset, uint64(e.Size), w.size) {
		w.lacks(e.Offset, uint64(e.Size))
	}
	if e.Size < keyTableHeader || !binio.Within(e.Offset, keyTableHeader, w.size) {
		return nil
	}
	if w.keys++; w.keys > maxKeyTables {
		w.odd.Add(physmem.OddityLimit, place(entryAt), "more than %d tables of keys; the others are left out", maxKeyTables)
		return nil
	}
	b := make([]byte, keyTableHeader)
	if err := w.read(b, e.Offset); err != nil {
		return err
	}
	if _, err := binary.Decode(b, binary.LittleEndian, &k); err != nil {
		return err
	}
	if want := sum(b, keyChecksum); k.Signature != keySignature || k.Checksum != want {
		w.odd.Add(physmem.OddityBadSegment, place(e.Offset), "a table of keys is left out: its signature or its checksum is wrong").Because("signature 0x%x, want 0x%x; checksum 0x%x, its bytes give 0x%x",
			k.Signature, keySignature, k.Checksum, want)
		return nil
	}
	w.found = append(w.found, keyPlace{index: k.Index, sequence: k.Sequence, off: e.Offset, size: e.Size})
	return nil
}

// ended is the error of an open that was cancelled.
func (f *file) ended() error { return context.Cause(f.ctx) }
