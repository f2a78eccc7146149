package windump

import (
	"fmt"
	"math"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/extents"
	"windmp/winhdr"
)

// maxRanges caps the table of ranges: of each, 40 bytes are kept. A kernel dump of a
// guest of 1 TiB has some hundred thousand.
const maxRanges = 1 << 20

// describeRanges says what dumps of the types hold.
var describeRanges = map[winhdr.DumpType]string{
	winhdr.DumpTypeLiveKernel:     "WinDbg's kernel memory dump (.dump /k)",
	winhdr.DumpTypeLiveKernelUser: "WinDbg's kernel and user memory dump (.dump /ka)",
	winhdr.DumpTypeLiveComplete:   "WinDbg's complete memory dump (.dump /f)",
}

// openRanges opens a dump of type 8, 9 or 0xa: a table says which ranges of pages
// follow it.
func (f *dmpFile) openRanges(c *physmem.Container) error {
	d, err := f.rangeHeader()
	if err != nil {
		return err
	}
	p := &placer{f: f, at: d.FirstPage, where: f.secondAt(), what: "range"}
	counted, err := f.placeRanges(d, p)
	if err != nil {
		return err
	}
	if p.pages == 0 {
		return &physmem.FormatError{
			Format: physmem.FormatDMP, Offset: f.secondAt(), Field: "table of ranges",
			Got: binio.Plural(p.placed, "range"), Reason: "none of them says what memory the file holds", DumpHeader: f.raw,
		}
	}
	if len(p.pieces) == 0 {
		return f.noMemory(d.FirstPage, p.at)
	}
	if counted && p.pages != d.Pages {
		f.odd.Add(physmem.OddityCount, f.secondAt(), "the header of the ranges counts %d pages, they have %d", d.Pages, p.pages)
	}
	f.odd.Add(physmem.OddityUntried, 0, "dumps of types 8, 9 and 10 are read by what one program published; none that WinDbg wrote was tried")
	f.checkEnd(p.at)
	c.Memory = extents.New(f.r, p.resolve())
	c.Description = fmt.Sprintf("%s, %s", describeRanges[f.typ], binio.Plural(p.pages, "page"))
	return nil
}

// rangeHeader reads the header of the ranges.
func (f *dmpFile) rangeHeader() (*winhdr.RangeDump64, error) {
	at, table := f.secondAt(), f.headerSize()+winhdr.RangeDumpSize64
	if table > f.size {
		return nil, f.noMemory(table, 0)
	}
	b := make([]byte, winhdr.RangeDumpSize64)
	if err := binio.ReadFull(f.r, b, at); err != nil {
		return nil, &physmem.ReadError{Offset: at, Err: err}
	}
	d, err := winhdr.DecodeRangeDump64(b)
	if err != nil {
		return nil, err
	}
	switch {
	case d.Signature != winhdr.SignatureRDMP || d.ValidDump != winhdr.ValidDumpDUMP:
		return nil, &physmem.FormatError{
			Format: physmem.FormatDMP, Offset: at, Field: "header of the ranges: signatures",
			Got: fmt.Sprintf("0x%08x 0x%08x", d.Signature, d.ValidDump), Want: "\"RDMP\" and \"DUMP\"",
		}
	case d.FirstPage < table:
		return nil, &physmem.FormatError{
			Format: physmem.FormatDMP, Offset: at, Field: "header of the ranges: FirstPage",
			Got: fmt.Sprintf("0x%x", d.FirstPage), Want: fmt.Sprintf("0x%x or more, behind the table", table),
		}
	case d.FirstPage >= f.size:
		return nil, f.noMemory(d.FirstPage, 0)
	}
	const beforeMetadata = 0x20
	if d.MetadataSize != d.FirstPage-f.headerSize()-beforeMetadata {
		f.odd.Add(physmem.OddityCount, at, "the header of the ranges disagrees with itself on where the first page is").Because("it has 0x%x bytes of ranges, and the first page at 0x%x", d.MetadataSize, d.FirstPage)
	}
	return d, nil
}

// placeRanges places the pages of the table's ranges. It tells whether the header counts
// the pages.
func (f *dmpFile) placeRanges(d *winhdr.RangeDump64, p *placer) (counted bool, err error) {
	counted = f.typ == winhdr.DumpTypeLiveComplete
	at := f.headerSize() + winhdr.RangeDumpSize64
	buf := make([]byte, 4096*winhdr.RangeSize)
	for i := 0; ; {
		n := min(uint64(len(buf)), (d.FirstPage-at)/winhdr.RangeSize*winhdr.RangeSize)
		if n == 0 || counted && p.pages >= d.Pages {
			return counted, nil
		}
		if err := binio.ReadFull(f.r, buf[:n], int64(at)); err != nil { //nolint:gosec // inside the file
			return counted, &physmem.ReadError{Offset: int64(at), Err: err} //nolint:gosec // inside the file
		}
		for b := buf[:n]; len(b) > 0; b = b[winhdr.RangeSize:] {
			r := winhdr.DecodeRange(b)
			switch {
			case !counted && r.BasePage == 0, counted && p.pages >= d.Pages:
				return counted, nil
			case i == maxRanges:
				return counted, &physmem.FormatError{
					Format: physmem.FormatDMP, Offset: int64(at), Field: "table of ranges", //nolint:gosec // inside the file
					Got: "more of them", Want: fmt.Sprintf("at most 0x%x", maxRanges),
				}
			case !p.place(i, r):
				return counted, nil
			}
			i++
		}
		at += n
	}
}

// A placer places the pages of runs, which lie back to back in the file.
type placer struct {
	f  *dmpFile
	at uint64 // file offset of what is placed next
	// where is the file offset of the table, what an entry's name.
	where  int64
	what   string
	pieces []extents.Piece
	pages  uint64 // of all runs, held or not
	placed int    // runs
}

// place places run i. One that is unusable hides where those behind it are: then it is
// false.
func (p *placer) place(i int, run physmem.Run) bool {
	f := p.f
	if run.BasePage >= physmem.MaxPFN || run.PageCount > physmem.MaxPFN-run.BasePage || p.at > math.MaxInt64 {
		f.odd.Add(physmem.OddityBadSegment, p.where, "%s %d of the header is above the 52 bits of physical memory; it and all behind it are left out", p.what, i).Because("0x%x pages from page 0x%x", run.PageCount, run.BasePage)
		return false
	}
	size := run.PageCount * physmem.PageSize
	if have := binio.Clip(p.at, size, f.size); have > 0 {
		p.pieces = append(p.pieces, extents.Piece{Order: i, Extent: physmem.Extent{
			Range: physmem.Range{Start: run.BasePage * physmem.PageSize, Size: have}, Offset: int64(p.at),
		}})
	}
	p.at += size // at most 2^63 and 2^52
	p.pages += run.PageCount
	p.placed++
	return true
}

// resolve sorts the runs. Pages that are in several of them are in the file
// several times; the first one is believed.
func (p *placer) resolve() []physmem.Extent {
	list, clash := extents.Resolve(p.pieces)
	if clash != nil {
		p.f.odd.Add(physmem.OddityConflict, p.where, "several %ss of the header have the same pages; the first %s is believed", p.what, p.what).Because("that at physical address 0x%x, at file offsets 0x%x and 0x%x",
			clash.PA, clash.Offsets[0], clash.Offsets[1])
	}
	return list
}
