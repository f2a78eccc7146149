package triagefile

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf16"

	"windmp/winhdr"
)

// Contents is what a triage dump is made of, behind its header. Its zero value can be
// encoded and is opened by nobody: the header, Prcb, Stack and DebuggerData are what
// the engine wants.
type Contents struct {
	ServicePackBuild uint32 // the value of CmNtCSDVersion
	TriageOptions    uint32 // OptionsAll
	TopOfStack       uint64 // VA of Stack
	MM               *MM
	// Unloaded are the unloaded drivers, the newest first. Nil says that they are
	// not known, an empty list that there are none.
	Unloaded []Unloaded
	// Prcb, Process and Thread are KPRCB, EPROCESS and ETHREAD as memory has them,
	// and as long as KDDEBUGGER_DATA64 says. They may be empty if it says so.
	Prcb, Process, Thread []byte
	Stack                 []byte // from TopOfStack upwards
	// DebuggerData is KDDEBUGGER_DATA64, decoded. The header's KdDebuggerDataBlock
	// is the address at which it appears.
	DebuggerData []byte
	// Drivers are in the order of the loader's list: the kernel comes first.
	Drivers []Driver
	// Blocks are pieces of memory, in any order.
	Blocks []Block
	// Secondary are blobs behind the dump, see [Blob].
	Secondary []Blob
	// SecondaryBuild is the build number that stands before them.
	SecondaryBuild uint32
}

// Size is the size of the file that Pieces makes, in bytes.
func (t *Contents) Size(f *winhdr.Format) uint64 {
	l := newPlaces(f, t)
	return l.end + blobsSize(t.Secondary)
}

// Pieces returns the file of a triage dump: all its bytes, in pieces that follow
// each other. Data of blocks and blobs are not copied. The header is that of h, with
// what makes it a triage dump's: DumpType, RequiredDumpSpace, MiniDumpFields, a run
// table that was never set; h is not changed. An error is a [*Error]: the dump must be below 4 GiB, and
// names at most as long as [File.Drivers] reads them.
func (t *Contents) Pieces(h *winhdr.Header) ([][]byte, error) {
	f := h.Format()
	if f.Triage == nil {
		return nil, &Error{Part: "triage dump", Reason: "none is known of this machine"}
	}
	l := newPlaces(f, t)
	if l.end > math.MaxUint32 {
		return nil, &Error{Part: "end of the dump", Offset: l.end, Reason: "offsets in a triage dump have 32 bits"}
	}
	for i, d := range t.Drivers {
		if n := len(utf16.Encode([]rune(d.Name))); n > maxName {
			return nil, &Error{Part: fmt.Sprintf("name of driver %d", i), Offset: l.pool, Reason: fmt.Sprintf("0x%x characters, at most 0x%x", n, maxName)}
		}
	}
	front := make([]byte, l.data)
	copy(front, h.ForTriage(l.end+blobsSize(t.Secondary)).Encode())
	l.storeRecord(front)
	l.storeParts(front)
	l.storeDrivers(front)
	l.storeBlocks(front)

	pieces := make([][]byte, 0, len(t.Blocks)+2)
	pieces = append(pieces, front)
	for _, b := range t.Blocks {
		if len(b.Data) > 0 {
			pieces = append(pieces, b.Data)
		}
	}
	tail := make([]byte, l.end-l.dataEnd)
	binary.LittleEndian.PutUint32(tail[len(tail)-trgdSize:], SignatureTRGD)
	return append(append(pieces, tail), encodeBlobs(t.Secondary, t.SecondaryBuild)...), nil
}

// trgdSize is the size of SignatureTRGD in bytes.
const trgdSize = 4

// places is where everything stands, in bytes from the start of the file.
type places struct {
	f *winhdr.Format
	t *Contents

	mm, unloaded, prcb, process, thread uint64
	stack, debuggerData, drivers        uint64
	pool, poolEnd, table                uint64
	data, dataEnd                       uint64 // of the blocks
	end                                 uint64 // of the dump
}

func newPlaces(f *winhdr.Format, t *Contents) *places {
	w := f.Triage
	l := &places{f: f, t: t}
	at := uint64(f.Size() + w.Record.Size()) //nolint:gosec // not negative
	place := func(size int) uint64 {
		at = alignUp(at, align)
		start := at
		at += uint64(size) //nolint:gosec // not negative
		return start
	}
	if t.MM != nil {
		l.mm = place(w.MM.Size())
	}
	if t.Unloaded != nil {
		l.unloaded = place(w.UnloadedHead.Size() + len(t.Unloaded)*w.Unloaded.Size())
	}
	l.prcb = place(len(t.Prcb))
	l.process = place(len(t.Process))
	l.thread = place(len(t.Thread))
	l.stack = place(len(t.Stack))
	l.debuggerData = place(len(t.DebuggerData))
	l.drivers = place(len(t.Drivers) * w.Driver.Size())
	l.pool = place(0)
	for _, d := range t.Drivers {
		place(poolSize(d.Name))
	}
	l.poolEnd = at
	l.table = place(len(t.Blocks) * blockWire.Size())
	l.data = at
	for _, b := range t.Blocks {
		at += uint64(len(b.Data))
	}
	l.dataEnd = at
	l.end = alignUp(at, trgdSize) + trgdSize
	return l
}

func alignUp(v, to uint64) uint64 { return (v + to - 1) / to * to }

// offset32 is an offset or a count of a dump that was found to be below 4 GiB.
func offset32[T int | uint64](v T) uint32 { return uint32(v) }

// poolSize is the size of a name in the string pool: its length, and a NUL behind
// it.
func poolSize(name string) int {
	return 4 + 2*len(utf16.Encode([]rune(name))) + 2
}

// storeRecord writes TRIAGE_DUMP.
func (l *places) storeRecord(b []byte) {
	t := l.t
	r := Record{
		ServicePackBuild:      t.ServicePackBuild,
		SizeOfDump:            offset32(l.end),
		ValidOffset:           offset32(l.end - trgdSize),
		ContextOffset:         offset32(l.f.Offset("Context")),
		ExceptionOffset:       offset32(l.f.Offset("Exception")),
		MmOffset:              offset32(l.mm),
		UnloadedDriversOffset: offset32(l.unloaded),
		PrcbOffset:            offset32(l.prcb),
		ProcessOffset:         offset32(l.process),
		ThreadOffset:          offset32(l.thread),
		CallStackOffset:       offset32(l.stack),
		SizeOfCallStack:       offset32(len(t.Stack)),
		DriverListOffset:      offset32(l.drivers),
		DriverCount:           offset32(len(t.Drivers)),
		StringPoolOffset:      offset32(l.pool),
		StringPoolSize:        offset32(l.poolEnd - l.pool),
		TriageOptions:         t.TriageOptions,
		TopOfStack:            t.TopOfStack,
		DebuggerDataOffset:    offset32(l.debuggerData),
		DebuggerDataSize:      offset32(len(t.DebuggerData)),
		DataBlocksOffset:      offset32(l.table),
		DataBlocksCount:       offset32(len(t.Blocks)),
	}
	w := l.f.Triage.Record
	w.StoreNumbers(b[l.f.Size():][:w.Size()], &r)
}

// storeParts writes what stands before the list of drivers.
func (l *places) storeParts(b []byte) {
	t, w := l.t, l.f.Triage
	if t.MM != nil {
		mm := b[l.mm:][:w.MM.Size()]
		w.MM.Store(mm, "Version", mmVersion)
		w.MM.Store(mm, "Size", uint64(len(mm)))
		w.MM.StoreNumbers(mm, t.MM)
	}
	if t.Unloaded != nil {
		w.UnloadedHead.Store(b[l.unloaded:][:w.UnloadedHead.Size()], "Count", uint64(len(t.Unloaded)))
		at := b[l.unloaded:][w.UnloadedHead.Size():]
		for i, u := range t.Unloaded {
			storeUnloaded(w, at[i*w.Unloaded.Size():][:w.Unloaded.Size()], u)
		}
	}
	copy(b[l.prcb:], t.Prcb)
	copy(b[l.process:], t.Process)
	copy(b[l.thread:], t.Thread)
	copy(b[l.stack:], t.Stack)
	copy(b[l.debuggerData:], t.DebuggerData)
}

// storeUnloaded writes an unloaded driver.
func storeUnloaded(w *winhdr.TriageFormat, b []byte, u Unloaded) {
	name := utf16.Encode([]rune(u.Name))
	units, _ := w.Unloaded.Field("DriverName")
	name = name[:min(len(name), units.Count)]
	w.Unloaded.Store(b, "Length", uint64(2*len(name)))
	w.Unloaded.Store(b, "MaximumLength", uint64(2*len(name)))
	for i, c := range name {
		units.Store(b, i, uint64(c))
	}
	w.Unloaded.Store(b, "StartAddress", u.StartAddress)
	w.Unloaded.Store(b, "EndAddress", u.EndAddress)
}

// storeDrivers writes the list of drivers and their names.
func (l *places) storeDrivers(b []byte) {
	w := l.f.Triage.Driver
	pool := l.pool
	for i, d := range l.t.Drivers {
		entry := b[l.drivers:][i*w.Size():][:w.Size()]
		w.StoreNumbers(entry, &d)
		w.Store(entry, "NameOffset", pool)
		name := utf16.Encode([]rune(d.Name))
		binary.LittleEndian.PutUint32(b[pool:], offset32(len(name)))
		for j, c := range name {
			binary.LittleEndian.PutUint16(b[pool+4:][2*j:], c)
		}
		pool = alignUp(pool+uint64(poolSize(d.Name)), align) //nolint:gosec // not negative
	}
}

// storeBlocks writes the table of data blocks.
func (l *places) storeBlocks(b []byte) {
	data := l.data
	for i, block := range l.t.Blocks {
		e := blockEntry{Address: signExtend(l.f, block.Address), Offset: offset32(data), Size: offset32(len(block.Data))}
		blockWire.StoreNumbers(b[l.table:][i*blockWire.Size():][:blockWire.Size()], &e)
		data += uint64(len(block.Data))
	}
}
