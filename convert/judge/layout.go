package judge

import (
	"fmt"
	"time"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/winhdr"
	"windmp/winhdr/problem"
)

// The plausible times of a dump of x64 Windows. A clock that was never set
// shows a time before the first.
var earliest, latest = time.Date(2003, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// fields is about header fields without which a dump opens, and shows less.
func (c *subject) fields() error {
	h := c.h
	for _, p := range h.Check() {
		switch {
		case settledByLayout(p.Field), p.Field == "SystemTime":
		case guest.ListsPages(h.DumpType, p.Field):
		case p.Field == "DirectoryTableBase" && p.Repairable:
			c.Add(finding.OtherReaders.At(guest.HeaderOffset(p.Offset), "flag bits in DirectoryTableBase: debuggers ignore them, other readers take them for address bits").Because(p))
		default:
			c.Add(finding.HeaderOdd.At(guest.HeaderOffset(p.Offset), "%s", p.Sentence()).Because(p))
		}
	}
	where := guest.HeaderOffset(h.Offset("MajorVersion"))
	switch {
	case h.MajorVersion == problem.Fill:
		c.Add(finding.HeaderOdd.At(where, "MajorVersion was never set: debuggers then read no KDBG"))
	case h.MajorVersion > maxMajor:
		c.Add(finding.HeaderOdd.At(where, "MajorVersion is that of another system than Windows: debuggers look for registers elsewhere, or read no KDBG").Because(fmt.Sprintf("it is %#x, of Windows at most %#x", h.MajorVersion, maxMajor)))
	}
	return nil
}

// maxMajor: what is above the lower byte is the kind of system, 0 for Windows
// (wdbgexts.h, DBGKD_MAJOR_TYPE).
const maxMajor = 0xff

// clock: a time that was never set helps nobody.
func (c *subject) clock() error {
	h := c.h
	t, err := winhdr.Time(h.SystemTime)
	if err != nil {
		c.Add(finding.HeaderTimeOdd.At(guest.HeaderOffset(h.Offset("SystemTime")), "the header's time is not set").Because(err))
	} else if t.Before(earliest) || t.After(latest) {
		c.Add(finding.HeaderTimeOdd.At(guest.HeaderOffset(h.Offset("SystemTime")), "the header's time is %s, which is not plausible", t.Format(time.RFC3339)))
	}
	return nil
}

// settledByLayout tells whether a rule about the layout says it, with the file's size.
func settledByLayout(field string) bool {
	return field == "NumberOfRuns" || field == "NumberOfPages" || field == "DumpType" || len(field) > 4 && field[:4] == "Run["
}

// minLeechCore is the smallest dump that LeechCore takes
// (leechcore/device_file.c).
const minLeechCore = 16 << 20

// readers names what other readers than Microsoft's refuse.
func (c *subject) readers() error {
	h := c.h
	if err := h.Context().CheckForReaders(); err != nil {
		c.Add(finding.OtherReaders.At(guest.HeaderOffset(h.Offset("Context")), "the header's CONTEXT has two values of MxCsr: kdmp-parser refuses the dump").Because(err))
	}
	if c.src.Size() < minLeechCore {
		c.Add(finding.OtherReaders.At("", "the file is smaller than 16 MiB: LeechCore (MemProcFS) refuses it"))
	}
	return nil
}

// oddities is what the container's opener noticed.
func (c *subject) oddities() error {
	for _, o := range c.im.Oddities() {
		kind := guest.OddityKind(o.Kind)
		switch o.Kind {
		case physmem.OddityTruncated:
			continue // the first that was said
		case physmem.OddityBadSegment:
			// Where the pages behind it lie is not known here; debuggers go on.
			kind = finding.PagesUnplaced
		default:
		}
		c.Add(kind.At(fmt.Sprintf("file offset %#x", o.Offset), "%s: %s", o.Kind, o.Text).Because(o.Detail))
	}
	return nil
}

// cut: the commonest fault of all is said before all others.
func (c *subject) cut() error {
	if said := c.im.Cut(); said != "" {
		c.Add(finding.Truncated.At(fmt.Sprintf("file offset %#x", c.size()), "%s", said))
	}
	return nil
}

// room: Windows itself may have cut the dump.
func (c *subject) room() error {
	if c.h.Attributes.Has(winhdr.AttributeNoRoom) {
		c.Add(finding.OutOfRoom.At(guest.HeaderOffset(c.h.Offset("Attributes")), "the header says that Windows ran out of room while it wrote the dump: memory may be missing"))
	}
	return nil
}

// pages compares where the pages should lie with the file.
func (c *subject) pages() error {
	switch l, ok := c.pageList(); {
	case ok:
		c.checkEnd(c.checkPages(l))
	case !c.h.DumpType.ListsPages():
		c.checkEnd(c.checkRuns())
	}
	return nil
}

// checkRuns is about the run table of a full dump; it returns where the file
// should end.
func (c *subject) checkRuns() uint64 {
	h := c.h
	runs, problems := h.Runs()
	for _, p := range problems {
		kind := finding.RunsLoseMemory
		if runs != nil && (p.Field == "NumberOfPages" || p.Got == "0x0") {
			kind = finding.RunsOdd // debuggers take no notice
		}
		if p.Field == "NumberOfPages" && h.RunTable().Pages > runs.Pages() {
			kind = finding.RunsLoseMemory // they miss these pages at the end
		}
		c.Add(kind.At(guest.HeaderOffset(p.Offset), "run table: %s", p.Sentence()).Because(p))
	}
	if runs == nil {
		return 0
	}
	end := uint64(h.Size()) + runs.Pages()*physmem.PageSize //nolint:gosec // 0x2000 or 0x1000
	if required := h.RequiredDumpSpace; required != end {
		c.Add(finding.RequiredSpaceOdd.At(guest.HeaderOffset(h.Offset("RequiredDumpSpace")), "RequiredDumpSpace is not where the pages end").Because(spaces(required, "the pages of the runs end at", end)))
	}
	return end
}

// spaces has RequiredDumpSpace, in bytes, beside what it is held against.
func spaces(required uint64, what string, at uint64) string {
	return fmt.Sprintf("RequiredDumpSpace is %#x, %s %#x", required, what, at)
}

// checkEnd says what of the file is too much.
func (c *subject) checkEnd(end uint64) {
	if size := c.size(); end > 0 && size > end {
		c.Add(finding.TrailingBytes.At(fmt.Sprintf("file offset %#x", end), "%s follow the last page; readers ignore them", binio.Bytes(size-end)))
	}
}

// pageList reads the second header of a dump that lists its pages one by one.
func (c *subject) pageList() (l *winhdr.PageList, ok bool) {
	h := c.h
	b := make([]byte, h.Format().PageListSize(h.DumpType))
	if n, _ := c.src.ReadAt(b, int64(h.Size())); n < len(b) {
		return nil, false
	}
	l, err := h.Format().DecodePageList(h.DumpType, b)
	return l, err == nil
}

// maxFirstPage is the farthest first page that LeechCore takes.
const maxFirstPage = 16 << 20

// checkPages is about a bitmap; it returns where the file should end. That the
// set bits are as many as claimed is an oddity of the image.
func (c *subject) checkPages(l *winhdr.PageList) uint64 {
	h := c.h
	where := fmt.Sprintf("file offset %#x", h.Size())
	if l.Bits%64 != 0 {
		c.Add(finding.OtherReaders.At(where, "the bitmap has %d bits, no multiple of 64: LeechCore and kdmp-parser lose the last pages", l.Bits))
	}
	if l.FirstPage%physmem.PageSize != 0 || l.FirstPage > maxFirstPage {
		c.Add(finding.OtherReaders.At(where, "the first page does not lie at a multiple of 4 KiB below 16 MiB, as LeechCore wants it").Because(fmt.Sprintf("it lies at file offset %#x", l.FirstPage)))
	}
	size := c.size()
	if l.FirstPage > size || l.Pages > (1<<52)/physmem.PageSize {
		return 0 // the oddity says it
	}
	end := l.FirstPage + l.Pages*physmem.PageSize
	switch required := h.RequiredDumpSpace; {
	case required < l.FirstPage:
		c.Add(finding.RequiredSpaceNone.At(guest.HeaderOffset(h.Offset("RequiredDumpSpace")),
			"RequiredDumpSpace leaves no room for pages: debuggers then read no memory").Because(spaces(required, "the first page is at", l.FirstPage)))
	case required != size:
		c.Add(finding.RequiredSpaceWrong.At(guest.HeaderOffset(h.Offset("RequiredDumpSpace")),
			"RequiredDumpSpace is not the file's size: debuggers may not read the last pages").Because(spaces(required, "the file ends at", size)))
	}
	if len(c.im.Ranges()) == 0 {
		return 0
	}
	return end
}
