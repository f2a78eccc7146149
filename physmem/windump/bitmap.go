package windump

import (
	"fmt"
	"unsafe"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/internal/bitmap"
	"windmp/winhdr"
)

// pageList is what the header of a bitmap says.
type pageList struct {
	bitmapAt uint64 // file offset of the bitmap
	bits     uint64
	first    uint64 // file offset of the first page
	pages    uint64 // set bits, as claimed

	firstField, bitsField, pagesField int64 // file offsets of the numbers
}

// openBitmap opens a dump of type 5 or 6.
func (f *dmpFile) openBitmap(c *physmem.Container) error {
	b, err := f.second(winhdr.BitmapDumpSize64)
	if err != nil {
		return err
	}
	h, err := winhdr.DecodeBitmapDump64(b)
	if err != nil {
		return err
	}
	if h.Signature != winhdr.SignatureFDMP && h.Signature != winhdr.SignatureSDMP {
		return f.badSecond(h.Signature, "\"FDMP\" or \"SDMP\"")
	}
	c.Description = "bitmap Windows crash dump, all memory"
	if f.typ == winhdr.DumpTypeBitmapKernel {
		c.Description = "bitmap Windows crash dump, kernel or active memory"
	}
	return f.openPages(c, pageList{
		bitmapAt: f.headerSize + winhdr.BitmapDumpSize64,
		bits:     h.BitmapSize, first: h.FirstPage, pages: h.TotalPresentPages,
		firstField: f.secondAt() + int64(unsafe.Offsetof(h.FirstPage)),
		bitsField:  f.secondAt() + int64(unsafe.Offsetof(h.BitmapSize)),
		pagesField: f.secondAt() + int64(unsafe.Offsetof(h.TotalPresentPages)),
	})
}

// openSummary opens a dump of type 2.
func (f *dmpFile) openSummary(c *physmem.Container) error {
	b, err := f.second(winhdr.SummaryDumpSize64)
	if err != nil {
		return err
	}
	h, err := winhdr.DecodeSummaryDump64(b)
	if err != nil {
		return err
	}
	if h.Signature != winhdr.SignatureSDMP {
		return f.badSecond(h.Signature, "\"SDMP\"")
	}
	c.Description = "summary Windows crash dump, kernel memory"
	return f.openPages(c, pageList{
		bitmapAt: f.headerSize + f.summarySize,
		bits:     uint64(h.BitmapSize), first: uint64(h.HeaderSize), pages: uint64(h.Pages),
		firstField: f.secondAt() + int64(unsafe.Offsetof(h.HeaderSize)),
		bitsField:  f.secondAt() + int64(unsafe.Offsetof(h.BitmapSize)),
		pagesField: f.secondAt() + int64(unsafe.Offsetof(h.Pages)),
	})
}

// secondAt returns the file offset of the second header.
func (f *dmpFile) secondAt() int64 { return int64(f.headerSize) } //nolint:gosec // 0x2000 or 0x1000

// second reads the n bytes of the second header. Those of a 32-bit summary dump
// end in its bitmap, which does no harm.
func (f *dmpFile) second(n uint64) ([]byte, error) {
	if !binio.Within(f.headerSize, n, f.size) {
		return nil, f.noMemory(f.headerSize + n)
	}
	b := make([]byte, n)
	if err := binio.ReadFull(f.r, b, f.secondAt()); err != nil {
		return nil, &physmem.ReadError{Offset: f.secondAt(), Err: err}
	}
	return b, nil
}

// badSecond is the error for a second header of an unknown kind.
func (f *dmpFile) badSecond(signature uint32, want string) error {
	return &physmem.FormatError{
		Format: physmem.FormatDMP, Offset: f.secondAt(), Field: "bitmap header: Signature",
		Got: fmt.Sprintf("0x%08x", signature), Want: want,
	}
}

// openPages reads the bitmap.
func (f *dmpFile) openPages(c *physmem.Container, l pageList) error {
	bytes := l.bits/8 + (l.bits%8+7)/8
	switch {
	case l.bits > bitmap.MaxPages:
		return &physmem.FormatError{
			Format: physmem.FormatDMP, Offset: l.bitsField, Field: "bitmap header: size of the bitmap",
			Got: fmt.Sprintf("0x%x bits", l.bits), Want: fmt.Sprintf("at most 0x%x", uint64(bitmap.MaxPages)),
		}
	case !binio.Within(l.bitmapAt, bytes, f.size):
		return &physmem.FormatError{
			Format: physmem.FormatDMP, Offset: l.bitsField, Field: "bitmap header: size of the bitmap",
			Got: fmt.Sprintf("0x%x bits", l.bits), Reason: fmt.Sprintf("the file ends at 0x%x, before the bitmap does", f.size),
			Hint: physmem.HintIncomplete,
		}
	case l.first < l.bitmapAt+bytes:
		return &physmem.FormatError{
			Format: physmem.FormatDMP, Offset: l.firstField, Field: "bitmap header: FirstPage",
			Got: fmt.Sprintf("0x%x", l.first), Want: fmt.Sprintf("0x%x or more, behind the bitmap", l.bitmapAt+bytes),
		}
	}
	at := int64(l.bitmapAt) //nolint:gosec // inside the file
	present, err := bitmap.Read(f.r, at, l.bits, bitmap.Place{Format: physmem.FormatDMP, Offset: at})
	if err != nil {
		return err
	}
	if present.Count() != l.pages {
		f.odd.Add(physmem.OddityCount, l.pagesField, "the header counts 0x%x pages, the bitmap has 0x%x", l.pages, present.Count())
	}
	first, ok := binio.Int64(l.first)
	have := binio.Clip(l.first, present.Count()*physmem.PageSize, f.size) / physmem.PageSize // at most 2^48
	if !ok || have == 0 {
		return f.noMemory(l.first)
	}
	c.Description += ", " + binio.Plural(present.Count(), "page")
	f.checkEnd(l.first + present.Count()*physmem.PageSize)
	if have < present.Count() {
		present = bitmap.Of(present.Filter(func(_, rank uint64) bool { return rank < have }))
	}
	c.Memory = newPageFile(f.r, first, present)
	return nil
}
