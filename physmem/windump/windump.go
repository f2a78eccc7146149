// Package windump opens the crash dumps of Windows itself, and QEMU's win-dmp.
package windump

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/extents"
	"windmp/winhdr"
)

// dmpFile is a Windows crash dump while it is opened.
type dmpFile struct {
	ctx  context.Context // of opening
	r    io.ReaderAt
	size uint64
	odd  physmem.Oddities
	// machine is what the header says, empty if it names another one.
	machine physmem.Machine

	raw []byte // the header
	typ winhdr.DumpType
	// attributes say how the dump was written.
	attributes winhdr.Attributes
	// table is the run table as it stands there.
	table winhdr.RunTable

	// formats are those of the headers that are read, format the one that it has.
	formats []*winhdr.Format
	format  *winhdr.Format
}

// headerSize is where the first page of a full dump is.
func (f *dmpFile) headerSize() uint64 { return uint64(f.format.Size()) } //nolint:gosec // not negative

// offset is where a field of the header stands in the file.
func (f *dmpFile) offset(field string) int64 { return int64(f.format.Offset(field)) }

// Opener returns the opener of Windows crash dumps whose headers have one of the
// formats; without any, those of [winhdr.Formats].
func Opener(formats ...*winhdr.Format) physmem.Opener {
	if len(formats) == 0 {
		formats = winhdr.Formats()
	}
	formats = slices.Clone(formats)
	return physmem.Opener{Format: physmem.FormatDMP, Open: func(ctx context.Context, src physmem.Source) (*physmem.Container, error) {
		return (&dmpFile{ctx: ctx, r: src, formats: formats}).open(src)
	}}
}

// open opens a Windows crash dump: the header says by DumpType how the pages
// are laid out. The machine type is the caller's to judge.
func (f *dmpFile) open(src physmem.Source) (*physmem.Container, error) {
	if err := f.readHeader(src); err != nil {
		return nil, err
	}
	c := &physmem.Container{DumpHeader: f.raw, Machine: f.machine}
	var err error
	switch f.typ {
	case winhdr.DumpTypeFull, winhdr.DumpTypeUnset: // as Microsoft's debugger engine takes it
		err = f.openFull(c)
	case winhdr.DumpTypeBitmapFull, winhdr.DumpTypeBitmapKernel:
		err = f.openBitmap(c)
	case winhdr.DumpTypeSummary:
		err = f.openSummary(c)
	case winhdr.DumpTypeLiveKernel, winhdr.DumpTypeLiveKernelUser, winhdr.DumpTypeLiveComplete:
		err = f.openRanges(c)
	default:
		err = f.refuseType()
	}
	err = f.refuseEncrypted(c, err)
	if err != nil {
		return nil, err
	}
	if q := f.format.Qualifier; q != "" {
		c.Description = q + " " + c.Description
	}
	c.Oddities = f.odd.All()
	return c, nil
}

// readHeader reads the header.
func (f *dmpFile) readHeader(src physmem.Source) error {
	const signatures = 8
	head, err := physmem.Head(src, signatures) // what follows may be unreadable, and no dump
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	if len(head) < signatures || le.Uint32(head) != winhdr.SignaturePAGE {
		return physmem.NotMine("no PAGE signature at its start")
	}
	f.size = binio.Uint64(src.Size())
	valid := le.Uint32(head[4:])
	// Several machines may share the second signature.
	signed := slices.DeleteFunc(slices.Clone(f.formats), func(x *winhdr.Format) bool { return x.ValidDump != valid })
	if len(signed) == 0 {
		return physmem.NotMine("its start is PAGE, but not %s behind it", f.signatures())
	}
	if head, err = physmem.Head(src, winhdr.HeadSize(f.formats...)); err != nil {
		return err
	}
	f.format, _ = winhdr.Recognise(head, signed...)
	if uint64(len(head)) < f.headerSize() {
		return &physmem.FormatError{
			Format: physmem.FormatDMP, Field: "dump header", Got: fmt.Sprintf("a file of 0x%x bytes", len(head)),
			Want: fmt.Sprintf("0x%x bytes of header", f.headerSize()), Hint: physmem.HintIncomplete, Cut: f.cut(0),
		}
	}
	f.raw = slices.Clip(head[:f.headerSize()])
	h, err := f.format.Decode(f.raw)
	if err != nil {
		return err
	}
	f.typ, f.table, f.attributes = h.DumpType, h.RunTable(), h.Attributes
	if h.MachineImageType == f.format.Machine {
		f.machine = physmem.Machine(f.format.Name)
	}
	return nil
}

// signatures are the second signatures of the formats, in words.
func (f *dmpFile) signatures() string {
	var list []string
	for _, x := range f.formats {
		if s := string(binary.LittleEndian.AppendUint32(nil, x.ValidDump)); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return strings.Join(list, " or ")
}

// refuseType refuses a dump that holds no memory that can be read here.
func (f *dmpFile) refuseType() error {
	e := &physmem.UnsupportedError{Format: physmem.FormatDMP, DumpHeader: f.raw}
	switch t := f.typ; t {
	case winhdr.DumpTypeTriage:
		e.What = "a Windows triage dump (small memory dump): it holds pieces of memory by virtual address, with one thread's stack, and not the machine's memory"
		e.Hint = "what it holds is looked into by check, info, symbols and stack; for more, set Windows to write a kernel or a complete memory dump, or dump the guest from its host"
	case winhdr.DumpTypeHeader:
		e.What = "the header of a Windows crash dump alone, without memory"
	default:
		return &physmem.FormatError{
			Format: physmem.FormatDMP, Offset: f.offset("DumpType"), Field: "dump header: DumpType",
			Got: fmt.Sprintf("0x%x", uint32(t)), Want: "0x1, 0x2, 0x5, 0x6, 0x8, 0x9 or 0xa",
		}
	}
	return e
}

// openFull takes the run table for the layout of the file: the pages of the
// runs, in the table's order, back to back behind the header.
func (f *dmpFile) openFull(c *physmem.Container) error {
	list, pages, err := f.runTable()
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return f.noMemory(f.headerSize(), f.headerSize()+pages*physmem.PageSize)
	}
	c.Memory = extents.New(f.r, list)
	c.Description = "full Windows crash dump, " + binio.Plural(pages, "page")
	return nil
}

// runTable returns the extents that the run table describes, as far as the
// file holds them, and the pages of its runs. An unusable run hides where those
// behind it are.
func (f *dmpFile) runTable() (list []physmem.Extent, pages uint64, err error) {
	if uint64(len(f.table.Runs)) < uint64(f.table.Count) {
		f.odd.Add(physmem.OddityLimit, f.offset("NumberOfRuns"), "the header claims %d runs of memory and has room for %d, which are used", f.table.Count, len(f.table.Runs))
	}
	p := &placer{f: f, at: f.headerSize(), where: f.offset("NumberOfRuns"), what: "run"}
	for i, run := range f.table.Runs {
		if !p.place(i, run) {
			break
		}
	}
	if p.pages == 0 {
		return nil, 0, &physmem.FormatError{
			Format: physmem.FormatDMP, Offset: f.offset("NumberOfRuns"), Field: "dump header: PhysicalMemoryBlock",
			Got: fmt.Sprintf("0x%x runs", f.table.Count), Reason: "none of them says what memory the file holds",
		}
	}
	if p.pages != f.table.Pages {
		f.odd.Add(physmem.OddityCount, p.where, "the header counts %d pages, its runs have %d", f.table.Pages, p.pages)
	}
	f.checkEnd(p.at)
	return p.resolve(), p.pages, nil
}

// checkEnd notes a file that ends before its memory does.
func (f *dmpFile) checkEnd(end uint64) {
	if end > f.size {
		f.odd.Add(physmem.OddityTruncated, 0, "%s", f.cut(end)).Because("it ends at file offset 0x%x, its memory would at 0x%x", f.size, end)
	}
}

// cut says that the file ends before end, 0 if that is not known.
func (f *dmpFile) cut(end uint64) *physmem.Cut { return &physmem.Cut{Size: f.size, Whole: end} }

// noMemory is the error for a dump whose pages are all behind its end: the first, and
// the end of them, 0 if that is not known.
func (f *dmpFile) noMemory(first, end uint64) error {
	return &physmem.FormatError{
		Format: physmem.FormatDMP, Field: "memory", Offset: int64(min(first, f.size)), //nolint:gosec // inside the file
		Reason: fmt.Sprintf("the file ends at 0x%x, before its first page at 0x%x", f.size, first), Hint: physmem.HintIncomplete,
		Cut: f.cut(end), DumpHeader: f.raw,
	}
}
