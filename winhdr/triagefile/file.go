package triagefile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/winhdr"
)

// Caps of what is read of a triage dump.
const (
	// MaxDrivers is the length of the list of drivers. It is how many modules
	// WinDbg's engine takes.
	MaxDrivers = 10000
	// MaxUnloaded is the number of unloaded drivers; Windows remembers 50.
	MaxUnloaded = 1000
	// maxBlocks is the number of data blocks; the most seen were 4908.
	maxBlocks = 1 << 18
	// maxPart is the size of a part that is read at once, in bytes. The largest
	// seen was an EPROCESS or KPRCB of some 48 KiB.
	maxPart = 1 << 20
	// maxName is the length of a driver's name in UTF-16 units. Windows' paths
	// of drivers are far shorter.
	maxName = 0x800
)

// File is a triage dump as its records say what is where. Parts are read when
// they are asked for.
type File struct {
	Header *winhdr.Header
	Record Record

	file io.ReaderAt
	size uint64
}

// Read reads TRIAGE_DUMP of the triage dump whose header is h, in a file of that
// many bytes. Nothing in it is judged. An error is a [*Error] or a
// *physmem.ReadError, as are those of the methods.
func Read(h *winhdr.Header, file io.ReaderAt, size int64) (*File, error) {
	w := h.Format().Triage
	if w == nil {
		return nil, &Error{Part: "triage dump", Reason: "none is known of this machine"}
	}
	t := &File{Header: h, file: file, size: binio.Uint64(size)}
	b, err := t.read("TRIAGE_DUMP", uint64(h.Size()), w.Record.Size()) //nolint:gosec // not negative
	if err != nil {
		return nil, err
	}
	w.Record.LoadNumbers(b, &t.Record)
	return t, nil
}

// RecordOffset is where a field of TRIAGE_DUMP stands, in bytes from the start of
// the file.
func (t *File) RecordOffset(field string) int {
	p, _ := t.Header.Format().Triage.Record.Field(field)
	return t.Header.Size() + p.Offset
}

// read reads a part that must be inside the file, of a size that no file chose alone.
func (t *File) read(what string, at uint64, size int) ([]byte, error) {
	if n := uint64(size); !binio.Within(at, n, t.size) { //nolint:gosec // not negative
		return nil, &Error{Part: what, Offset: at, Reason: fmt.Sprintf("its 0x%x bytes pass the end of the file at 0x%x", n, t.size)}
	}
	b := make([]byte, size)
	if err := binio.ReadFull(t.file, b, int64(at)); err != nil { //nolint:gosec // inside the file
		return nil, &physmem.ReadError{Offset: int64(at), Err: err} //nolint:gosec // inside the file
	}
	return b, nil
}

// Read reads a part of the file, which is called what. It must be inside the file,
// and have at most maxPart bytes.
func (t *File) Read(what string, p Part) ([]byte, error) {
	if p.Size > maxPart {
		return nil, &Error{Part: what, Offset: uint64(p.Offset), Reason: fmt.Sprintf("it has 0x%x bytes, at most 0x%x are read", p.Size, maxPart)}
	}
	return t.read(what, uint64(p.Offset), int(p.Size))
}

// Complete reports whether "TRGD" stands where SizeOfDump says: the sign of a dump
// that was written to its end.
func (t *File) Complete() (bool, error) {
	if t.Record.SizeOfDump < trgdSize {
		return false, nil
	}
	b, err := t.read("TRGD", uint64(t.Record.SizeOfDump-trgdSize), trgdSize)
	var outside *Error
	if err != nil {
		if errors.As(err, &outside) {
			err = nil
		}
		return false, err
	}
	return binary.LittleEndian.Uint32(b) == SignatureTRGD, nil
}

// MM reads the numbers of the memory manager; nil if the dump has none.
func (t *File) MM() (*MM, error) {
	at := t.Record.MmOffset
	if at == 0 {
		return nil, nil //nolint:nilnil // there need not be any
	}
	w := t.Header.Format().Triage.MM
	b, err := t.read("DUMP_MM_STORAGE", uint64(at), w.Size())
	if err != nil {
		return nil, err
	}
	mm := new(MM)
	w.LoadNumbers(b, mm)
	return mm, nil
}

// Unloaded reads the unloaded drivers, the newest first; nil if the dump does not
// have the list. What was read before an error is returned with it.
func (t *File) Unloaded() ([]Unloaded, error) {
	at := uint64(t.Record.UnloadedDriversOffset)
	if at == 0 {
		return nil, nil
	}
	f := t.Header.Format()
	const what = "list of unloaded drivers"
	head, err := t.read(what, at, f.Triage.UnloadedHead.Size())
	if err != nil {
		return nil, err
	}
	count := f.Triage.UnloadedHead.Load(head, "Count")
	if count > MaxUnloaded {
		return nil, &Error{Part: what, Offset: at, Reason: fmt.Sprintf("it claims 0x%x entries, at most %d are read", count, MaxUnloaded)}
	}
	entry := f.Triage.Unloaded.Size()
	b, err := t.read(what, at+uint64(len(head)), int(count)*entry)
	if err != nil {
		return nil, err
	}
	list := make([]Unloaded, count)
	for i := range list {
		list[i] = loadUnloaded(f.Triage, b[i*entry:][:entry])
	}
	return list, nil
}

// loadUnloaded decodes an unloaded driver. A name that is longer than there is room
// for is cut.
func loadUnloaded(w *winhdr.TriageFormat, b []byte) Unloaded {
	units, _ := w.Unloaded.Field("DriverName")
	name := make([]uint16, min(w.Unloaded.Load(b, "Length")/2, uint64(units.Count))) //nolint:gosec // of a field of a structure
	for i := range name {
		name[i] = uint16(units.Load(b, i)) //nolint:gosec // the field has 16 bits
	}
	return Unloaded{
		Name:         string(utf16.Decode(name)),
		StartAddress: w.Unloaded.Load(b, "StartAddress"), EndAddress: w.Unloaded.Load(b, "EndAddress"),
	}
}

// Listed is a driver with what is wrong with its name.
type Listed struct {
	Driver
	// NameErr says why the name is empty: a [*Error].
	NameErr error
}

// Drivers reads the list of drivers. A name that can't be read only costs the name.
func (t *File) Drivers() ([]Listed, error) {
	const what = "list of drivers"
	at, count := uint64(t.Record.DriverListOffset), t.Record.DriverCount
	if at == 0 || count == 0 {
		return nil, nil
	}
	if count > MaxDrivers {
		return nil, &Error{Part: what, Offset: at, Reason: fmt.Sprintf("it claims 0x%x entries, at most %d are read", count, MaxDrivers)}
	}
	w := t.Header.Format().Triage.Driver
	b, err := t.read(what, at, int(count)*w.Size())
	if err != nil {
		return nil, err
	}
	list := make([]Listed, count)
	for i := range list {
		entry := b[i*w.Size():][:w.Size()]
		d := &list[i]
		w.LoadNumbers(entry, &d.Driver)
		d.Name, err = t.name(w.Load(entry, "NameOffset"))
		var bad *Error
		if err != nil && !errors.As(err, &bad) {
			return list[:i], err
		}
		d.NameErr = err
	}
	return list, nil
}

// name reads a string of the pool.
func (t *File) name(at uint64) (string, error) {
	const what = "name of a driver"
	head, err := t.read(what, at, 4)
	if err != nil {
		return "", err
	}
	units := binary.LittleEndian.Uint32(head)
	if units > maxName {
		return "", &Error{Part: what, Offset: at, Reason: fmt.Sprintf("it claims 0x%x characters, at most 0x%x are read", units, maxName)}
	}
	b, err := t.read(what, at+4, int(2*units))
	if err != nil {
		return "", err
	}
	text := make([]uint16, units)
	for i := range text {
		text[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(text)), nil
}

// Blocks reads the table of data blocks, in its order. That their data are inside the
// file is not judged.
func (t *File) Blocks() ([]Span, error) {
	const what = "table of data blocks"
	at, count := uint64(t.Record.DataBlocksOffset), t.Record.DataBlocksCount
	if count > maxBlocks {
		return nil, &Error{Part: what, Offset: at, Reason: fmt.Sprintf("it claims 0x%x entries, at most 0x%x are read", count, maxBlocks)}
	}
	b, err := t.read(what, at, int(count)*blockWire.Size())
	if err != nil {
		return nil, err
	}
	f := t.Header.Format()
	list := make([]Span, count)
	for i := range list {
		var e blockEntry
		// The size is that of the entry: it can't fail.
		_, _ = binary.Decode(b[i*blockWire.Size():][:blockWire.Size()], binary.LittleEndian, &e)
		list[i] = Span{Address: pointer(f, e.Address), Lost: signExtend(f, e.Address) != e.Address, Part: Part{Offset: e.Offset, Size: e.Size}}
	}
	return list, nil
}
