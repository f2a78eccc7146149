package windump

import (
	"fmt"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/internal/bitmap"
	"windmp/winhdr"
)

// openBitmap opens a dump of type 5 or 6.
func (f *dmpFile) openBitmap(c *physmem.Container) error {
	l, err := f.pageList()
	if err != nil {
		return err
	}
	if l.Signature != winhdr.SignatureFDMP && l.Signature != winhdr.SignatureSDMP {
		return f.badSecond(l.Signature, "\"FDMP\" or \"SDMP\"")
	}
	c.Description = "bitmap Windows crash dump, all memory"
	if f.typ == winhdr.DumpTypeBitmapKernel {
		c.Description = "bitmap Windows crash dump, kernel or active memory"
	}
	return f.openPages(c, l)
}

// openSummary opens a dump of type 2.
func (f *dmpFile) openSummary(c *physmem.Container) error {
	l, err := f.pageList()
	if err != nil {
		return err
	}
	if l.Signature != winhdr.SignatureSDMP {
		return f.badSecond(l.Signature, "\"SDMP\"")
	}
	c.Description = "summary Windows crash dump, kernel memory"
	return f.openPages(c, l)
}

// secondAt returns the file offset of the second header.
func (f *dmpFile) secondAt() int64 { return int64(f.format.Size()) }

// pageList reads the second header.
func (f *dmpFile) pageList() (*winhdr.PageList, error) {
	b := make([]byte, f.format.PageListSize(f.typ))
	if n := uint64(len(b)); !binio.Within(f.headerSize(), n, f.size) {
		return nil, f.noMemory(f.headerSize()+n, 0)
	}
	if err := binio.ReadFull(f.r, b, f.secondAt()); err != nil {
		return nil, &physmem.ReadError{Offset: f.secondAt(), Err: err}
	}
	return f.format.DecodePageList(f.typ, b)
}

// badSecond is the error for a second header of an unknown kind.
func (f *dmpFile) badSecond(signature uint32, want string) error {
	return &physmem.FormatError{
		Format: physmem.FormatDMP, Offset: f.secondAt(), Field: "bitmap header: Signature",
		Got: fmt.Sprintf("0x%08x", signature), Want: want,
	}
}

// openPages reads the bitmap.
func (f *dmpFile) openPages(c *physmem.Container, l *winhdr.PageList) error {
	bytes, bitmapAt := l.Bits/8+(l.Bits%8+7)/8, uint64(l.BitmapAt) //nolint:gosec // not negative
	switch {
	case l.Bits > bitmap.MaxSize/physmem.PageSize:
		return &physmem.FormatError{
			Format: physmem.FormatDMP, Offset: int64(l.BitsAt), Field: "bitmap header: size of the bitmap",
			Got: fmt.Sprintf("0x%x bits", l.Bits), Want: fmt.Sprintf("at most 0x%x", uint64(bitmap.MaxSize/physmem.PageSize)),
		}
	case !binio.Within(bitmapAt, bytes, f.size):
		return &physmem.FormatError{
			Format: physmem.FormatDMP, Offset: int64(l.BitsAt), Field: "bitmap header: size of the bitmap",
			Got: fmt.Sprintf("0x%x bits", l.Bits), Reason: fmt.Sprintf("the file ends at 0x%x, before the bitmap does", f.size),
			Hint: physmem.HintIncomplete, Cut: f.cut(0), DumpHeader: f.raw,
		}
	case l.FirstPage < bitmapAt+bytes:
		return &physmem.FormatError{
			Format: physmem.FormatDMP, Offset: int64(l.FirstPageAt), Field: "bitmap header: FirstPage",
			Got: fmt.Sprintf("0x%x", l.FirstPage), Want: fmt.Sprintf("0x%x or more, behind the bitmap", bitmapAt+bytes),
		}
	}
	at := int64(l.BitmapAt)
	present, err := bitmap.Read(f.ctx, f.r, at, l.Bits, physmem.PageSize, bitmap.Place{Format: physmem.FormatDMP, Offset: at})
	if err != nil {
		return err
	}
	if present.Count() != l.Pages {
		f.odd.Add(physmem.OddityCount, int64(l.PagesAt), "the header counts %d pages, the bitmap has %d", l.Pages, present.Count())
	}
	first, ok := binio.Int64(l.FirstPage)
	have := binio.Clip(l.FirstPage, present.Count()*physmem.PageSize, f.size) / physmem.PageSize // at most 2^48
	if !ok || have == 0 {
		return f.noMemory(l.FirstPage, pagesEnd(l.FirstPage, present.Count()))
	}
	c.Description += ", " + binio.Plural(present.Count(), "page")
	f.checkEnd(pagesEnd(l.FirstPage, present.Count()))
	if have < present.Count() {
		present = present.With(present.First(have))
	}
	c.Memory = newPageFile(f.r, first, present)
	return nil
}

// pagesEnd is the file offset at which pages end, 0 if that is none.
func pagesEnd(first, count uint64) uint64 {
	end, ok := binio.Sum(first, count*physmem.PageSize) // at most 2^48 of them
	if !ok {
		return 0
	}
	return end
}
