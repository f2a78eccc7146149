package winhdr

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"windmp/winhdr/fields"
)

// Sizes of what follows the header in dumps that list their pages one by one.
const (
	// BitmapDumpSize64 is the size of BitmapDump64. The bitmap follows.
	BitmapDumpSize64 = 0x38
	// SummaryDumpSize64 is the size of SummaryDump64, with which X64's bitmap
	// begins; see Format.SummarySize.
	SummaryDumpSize64 = 0x28
)

// Signatures of BitmapDump64 and SummaryDump64, read as little-endian 32-bit
// numbers.
const (
	// SignatureFDMP is "FDMP". Windows writes it into dumps of
	// DumpTypeBitmapFull, but Microsoft's debugger engine takes either
	// signature in types 5 and 6 (observed with 10.0.10240).
	SignatureFDMP uint32 = 0x504d4446
	// SignatureSDMP is "SDMP": dumps of DumpTypeBitmapKernel, and, with
	// another layout behind it, of DumpTypeSummary.
	SignatureSDMP uint32 = 0x504d4453
	// SignatureRDMP is "RDMP", four bytes behind the header in what newer
	// WinDbg writes: DumpTypeLiveKernel to DumpTypeLiveComplete
	// (kdmp-parser).
	SignatureRDMP uint32 = 0x504d4452
)

// BitmapDump64 is what Microsoft calls BITMAP_DUMP: it stands behind the header in
// dumps of DumpTypeBitmapFull and DumpTypeBitmapKernel, and the bitmap follows
// it at once. Bit i of the bitmap's byte n is page frame 8n+i. From FirstPage on
// the file holds the pages whose bit is set, ascending, back to back; the run
// table of the header means nothing there. Sources: kdmp-parser, LeechCore and
// radare2, which agree; the engine of Microsoft's debuggers opens dumps made
// like this. Volatility 2 and Ghidra give TotalPresentPages and BitmapSize the
// other's name, which only fits files where they are equal.
type BitmapDump64 struct {
	Signature   uint32 // SignatureFDMP or SignatureSDMP
	ValidDump   uint32 // ValidDumpDUMP; no reader depends on it
	DumpOptions uint32
	Unused      [20]byte
	// FirstPage is the file offset of the first page. The engine takes any,
	// LeechCore wants a multiple of physmem.PageSize of at most 16 MiB.
	FirstPage         uint64
	TotalPresentPages uint64 // set bits of the bitmap
	// BitmapSize is in bits. Not every reader takes one that is no multiple
	// of 64.
	BitmapSize uint64
}

// SummaryDump64 is what Microsoft calls SUMMARY_DUMP: it stands behind the
// header in dumps of DumpTypeSummary, the kernel dumps of Windows 7 and older, and the
// bitmap follows it at once. Bitmap and pages are as with BitmapDump64. Sources:
// Ghidra, and dumps that the engine of Microsoft's debuggers opens.
type SummaryDump64 struct {
	Signature    uint32 // SignatureSDMP
	ValidDump    uint32 // ValidDumpDUMP; no reader depends on it
	DumpOptions  uint32 // 1: kernel addresses only, 2: the current process's too
	HeaderSize   uint32 // file offset of the first page
	BitmapSize   uint32 // bits
	Pages        uint32 // set bits of the bitmap
	SizeOfBitMap uint32 // RTL_BITMAP, bits once more
	UnusedAlign  uint32
	Buffer       uint64 // RTL_BITMAP, a pointer of no use in a file
}

var (
	_ = [1]byte{}[unsafe.Sizeof(BitmapDump64{})-BitmapDumpSize64]
	_ = [1]byte{}[unsafe.Sizeof(SummaryDump64{})-SummaryDumpSize64]
)

// Encode returns the BitmapDumpSize64 bytes of d.
func (d *BitmapDump64) Encode() []byte { return fields.Encode(d, BitmapDumpSize64) }

// Encode returns the SummaryDumpSize64 bytes of d.
func (d *SummaryDump64) Encode() []byte { return fields.Encode(d, SummaryDumpSize64) }

// PageList is what BITMAP_DUMP or SUMMARY_DUMP, whichever a dump's type has, says
// of the bitmap behind it and of the pages that the bitmap lists. Nothing in it is
// judged.
type PageList struct {
	Signature uint32
	FirstPage uint64 // file offset of the first page
	Pages     uint64 // set bits of the bitmap
	Bits      uint64 // of the bitmap

	// BitmapAt is the file offset of the bitmap, the others are those of the
	// three numbers above.
	BitmapAt, FirstPageAt, PagesAt, BitsAt int
}

var bitmapWire, summaryWire = fields.Of[BitmapDump64](), fields.Of[SummaryDump64]()

// PageListSize is the size of the header of the bitmap that stands behind the dump
// header; 0 if dumps of that type have none.
func (f *Format) PageListSize(t DumpType) int {
	switch t {
	case DumpTypeBitmapFull, DumpTypeBitmapKernel:
		return bitmapWire.Size()
	case DumpTypeSummary:
		return f.SummarySize
	default:
		return 0
	}
}

// DecodePageList decodes the header of the bitmap: b must hold PageListSize bytes,
// less or more is a *fields.SizeError, as is any b where there is none.
func (f *Format) DecodePageList(t DumpType, b []byte) (*PageList, error) {
	size := f.PageListSize(t)
	if size == 0 || len(b) != size {
		return nil, &fields.SizeError{Structure: fmt.Sprintf("bitmap header of a dump of type 0x%x", uint32(t)), Got: len(b), Want: size}
	}
	wire, first, pages := bitmapWire, "FirstPage", "TotalPresentPages"
	if t == DumpTypeSummary {
		wire, first, pages = summaryWire, "HeaderSize", "Pages"
	}
	number := func(name string) (uint64, int) {
		field, _ := wire.Field(name)
		return field.Load(b, 0), f.Size() + field.Offset
	}
	l := &PageList{Signature: binary.LittleEndian.Uint32(b), BitmapAt: f.Size() + size}
	l.FirstPage, l.FirstPageAt = number(first)
	l.Pages, l.PagesAt = number(pages)
	l.Bits, l.BitsAt = number("BitmapSize")
	return l, nil
}
