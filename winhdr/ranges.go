package winhdr

import (
	"encoding/binary"
	"unsafe"

	"windmp/physmem"
	"windmp/winhdr/fields"
)

const (
	// RangeDumpSize64 is the size of RangeDump64. The table of ranges follows.
	RangeDumpSize64 = 0x30
	// RangeSize is the size of an entry of that table: the first page frame number
	// and the number of pages, 64 bits each.
	RangeSize = 16
	// rangeMarker is RangeDump64.Marker (kdmp-parser).
	rangeMarker uint32 = 0x40
)

// RangeDump64 stands behind the header in dumps of DumpType.listsRanges, which newer
// WinDbg writes, and the table of ranges follows it at once. From FirstPage on the file
// holds the pages of the ranges in the table's order, back to back; the run table of
// the header means nothing there. Microsoft has no public name for it. Source:
// kdmp-parser, whose tests read dumps that WinDbg wrote.
type RangeDump64 struct {
	Marker    uint32 // rangeMarker
	Signature uint32 // SignatureRDMP
	ValidDump uint32 // ValidDumpDUMP
	Unused    uint32
	// MetadataSize is FirstPage less the size of the dump header and 0x20.
	MetadataSize uint64
	FirstPage    uint64 // file offset of the first page
	// Ranges and Pages count the table and its pages in DumpTypeLiveComplete; in the
	// other types they are unknown, and a range from page 0 on ends the table.
	Ranges  uint32
	Unknown uint32
	Pages   uint64
}

var _ = [1]byte{}[unsafe.Sizeof(RangeDump64{})-RangeDumpSize64]

// DecodeRangeDump64 decodes b, which must hold RangeDumpSize64 bytes: less or more is a
// *fields.SizeError. Nothing else is judged.
func DecodeRangeDump64(b []byte) (*RangeDump64, error) {
	return fields.Decode[RangeDump64]("header of the ranges", b, RangeDumpSize64)
}

// Encode returns the RangeDumpSize64 bytes of d.
func (d *RangeDump64) Encode() []byte { return fields.Encode(d, RangeDumpSize64) }

// DecodeRange decodes an entry of the table, of which b must hold RangeSize bytes.
func DecodeRange(b []byte) physmem.Run {
	le := binary.LittleEndian
	return physmem.Run{BasePage: le.Uint64(b), PageCount: le.Uint64(b[8:])}
}

// ListsPages reports whether dumps of the type say behind the header, page by page or by
// ranges, what memory they hold: their header's run table means nothing.
func (t DumpType) ListsPages() bool {
	switch t {
	case DumpTypeBitmapFull, DumpTypeBitmapKernel, DumpTypeSummary:
		return true
	default:
		return t.listsRanges()
	}
}

// listsRanges reports whether dumps of the type have RangeDump64.
func (t DumpType) listsRanges() bool {
	switch t {
	case DumpTypeLiveKernel, DumpTypeLiveKernelUser, DumpTypeLiveComplete:
		return true
	default:
		return false
	}
}
