package xen

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"windmp/internal/binio"
	"windmp/internal/elfcore"
	"windmp/physmem"
	"windmp/physmem/extents"
)

// core is a core of xl dump-core while it is opened.
type core struct {
	*file
	named map[string]section
	// claimed are the pages that the header note counts, counted whether there is one.
	claimed uint64
	counted bool
	version string // of Xen
}

// Magic numbers of the header note (Xen tools/include/xenctrl.h, XC_CORE_MAGIC). It
// counts vCPUs, pages and the bytes of a page.
const (
	magicPV    = 0xf00febed
	magicHVM   = 0xf00febee
	headerSize = 32
	formatOne  = 1 // the only version of the format
)

// unusedFrame is the number of a page that was not saved: its place in the file is
// zeros.
const unusedFrame = 1<<64 - 1

func (c *core) open(head []byte) (*physmem.Container, error) {
	if err := c.recognise(head); err != nil {
		return nil, err
	}
	if err := c.readNotes(); err != nil {
		return nil, err
	}
	if _, ok := c.named[sectionP2M]; ok {
		return nil, refusePV()
	}
	x := &index{file: c.file}
	pages, err := c.placePages(x)
	if err != nil {
		return nil, err
	}
	list := x.resolve()
	if len(list) == 0 {
		return nil, &physmem.FormatError{
			Format: physmem.FormatXen, Offset: c.named[sectionFrames].at, Field: sectionFrames, Got: binio.Plural(pages, "entry"),
			Reason: "none of them is a page that the file holds", Hint: physmem.HintIncomplete,
		}
	}
	if x.clash != nil {
		c.odd.Add(physmem.OddityConflict, c.named[sectionFrames].at, "pages are there several times; the first of each is believed").Because("that at physical address 0x%x, at file offsets 0x%x and 0x%x",
			x.clash.PA, x.clash.Offsets[0], x.clash.Offsets[1])
	}
	cpus := c.cpus()
	out := &physmem.Container{Memory: extents.New(c.src, list), CPUs: cpus, Machine: physmem.MachineOf(cpus)}
	out.Description = describe("Xen core (xl dump-core)", c.version, x.pages, len(cpus))
	out.State = physmem.State{Product: "Xen", Version: physmem.StateText(c.version)}
	out.Oddities = c.odd.All()
	return out, nil
}

// refusePV names the file of a guest that was not a whole machine.
func refusePV() error {
	return unsupported("a core of a paravirtual Xen guest; Windows' guests are hardware virtual machines (HVM)", "give the dump of the Windows guest")
}

// takeNote takes a note of Xen's.
func (c *core) takeNote(typ uint32, desc []byte, at int64) error {
	le := binary.LittleEndian
	switch typ {
	case noteCoreHeader:
		if len(desc) < headerSize {
			c.odd.Add(physmem.OddityNoteSkipped, at, "the header note has %d bytes, not %d", len(desc), headerSize)
			return nil
		}
		return c.takeHeader(le.Uint64(desc), le.Uint64(desc[16:]), le.Uint64(desc[24:]), at)
	case noteCoreVersion:
		// xen_major, xen_minor and the text behind them.
		const text, size = 16, 16
		if len(desc) >= text+size {
			extra, _, _ := bytes.Cut(desc[text:text+size], []byte{0})
			c.version = versionText(le.Uint64(desc), le.Uint64(desc[8:]), extra)
		}
	case noteCoreFormat:
		if len(desc) >= 8 && le.Uint64(desc) != formatOne {
			c.odd.Add(physmem.OddityNoteSkipped, at, "the core is of version %d of the format, and read as of version %d", le.Uint64(desc), formatOne)
		}
	}
	return nil
}

// takeHeader takes the header note.
func (c *core) takeHeader(magic, pages, pageSize uint64, at int64) error {
	switch {
	case magic == magicPV:
		return refusePV()
	case pageSize != physmem.PageSize:
		return &physmem.FormatError{
			Format: physmem.FormatXen, Offset: at, Field: "header note: page size",
			Got: fmt.Sprintf("0x%x", pageSize), Want: fmt.Sprintf("0x%x", physmem.PageSize),
		}
	case magic != magicHVM:
		c.odd.Add(physmem.OddityNoteSkipped, at, "the header note does not say that this is a hardware virtual machine").Because("its magic is 0x%x, not 0x%x", magic, uint64(magicHVM))
	}
	c.claimed, c.counted = pages, true
	return nil
}

// versionText is a version of Xen, empty if the numbers are none.
func versionText(major, minor uint64, extra []byte) string {
	const most = 1000
	if major == 0 || major > most || minor > most {
		return ""
	}
	s := fmt.Sprintf("Xen %d.%d", major, minor)
	if binio.IsText(extra) {
		s += string(extra)
	}
	return s
}

// describe says what was opened.
func describe(what, version string, pages uint64, cpus int) string {
	if version != "" {
		what += " of " + version
	}
	return fmt.Sprintf("%s, %s, %s", what, binio.Plural(pages, "page"), binio.Plural(uint64(cpus), "CPU")) //nolint:gosec // a length
}

// placePages reads the table of page frame numbers, and returns how many entries were
// looked at. It has 8 bytes a page, 128 MiB for a guest of 64 GiB, in any order: only
// runs of it are kept.
func (c *core) placePages(x *index) (uint64, error) {
	pages, frames := c.named[sectionPages], c.named[sectionFrames]
	if frames.size == 0 {
		return 0, &physmem.FormatError{
			Format: physmem.FormatXen, Field: "section headers",
			Reason: "there is no section " + sectionFrames + ", which says which page is where", Hint: physmem.HintIncomplete,
		}
	}
	count := min(pages.size/physmem.PageSize, frames.size/frameEntry)
	if count != pages.size/physmem.PageSize || count != frames.size/frameEntry || c.counted && count != c.claimed {
		c.odd.Add(physmem.OddityCount, pages.at, "the core has room for %d pages, numbers for %d, and its header counts %d: %d are used",
			pages.size/physmem.PageSize, frames.size/frameEntry, c.claimed, count)
	}
	held := binio.Clip(frames.off, count*frameEntry, c.size()) / frameEntry
	if end, _ := binio.Sum(pages.off, pages.size); held < count || end > c.size() {
		whole := max(end, frames.off+frames.size)
		c.odd.Add(physmem.OddityTruncated, 0, "%s", c.cut(whole)).Because("it ends at file offset 0x%x, its memory would at 0x%x", c.size(), whole)
	}
	physmem.ReadsTable(c.src, held*frameEntry)
	return c.readFrames(x, held)
}

// frameEntry is a page frame number in the table, in bytes.
const frameEntry = 8

// readFrames reads the first n page frame numbers, window by window.
func (c *core) readFrames(x *index, n uint64) (uint64, error) {
	frames := c.named[sectionFrames]
	buf := make([]byte, 8192*frameEntry)
	bad := uint64(0)
	for i := uint64(0); i < n; {
		if c.ctx.Err() != nil {
			return i, context.Cause(c.ctx)
		}
		b := buf[:min(uint64(len(buf)), (n-i)*frameEntry)]
		off := int64(frames.off + i*frameEntry) //nolint:gosec // inside the file
		if err := binio.ReadFull(c.src, b, off); err != nil {
			return i, &physmem.ReadError{Offset: off, Err: err}
		}
		for ; len(b) > 0; b, i = b[frameEntry:], i+1 {
			frame := binary.LittleEndian.Uint64(b)
			if frame >= physmem.MaxPFN && frame != unusedFrame {
				bad++
			} else if err := c.placePage(x, i, frame); err != nil {
				return i, err
			}
		}
	}
	if bad > 0 {
		c.odd.Add(physmem.OddityBadSegment, frames.at, "%s above the 52 bits of physical memory: left out", binio.Plural(bad, "page number"))
	}
	return n, nil
}

// placePage places page i of the file.
func (c *core) placePage(x *index, i, frame uint64) error {
	at, ok := binio.Sum(c.named[sectionPages].off, i*physmem.PageSize)
	if frame == unusedFrame || !ok {
		return nil
	}
	return x.add(frame, at)
}

// cpus decodes the processors.
func (c *core) cpus() []physmem.CPU {
	s, ok := c.named[sectionCPUs]
	if !ok {
		return nil
	}
	if s.entry != contextSize && s.entry != 0 {
		c.odd.Add(physmem.OddityNoteSkipped, s.at, "%s has entries of %d bytes, not the %d of x86-64; the registers are left out", sectionCPUs, s.entry, contextSize)
		return nil
	}
	count := binio.Clip(s.off, s.size, c.size()) / contextSize
	if count < s.size/contextSize {
		c.odd.Add(physmem.OddityCPU, s.at, "the file holds %d of the %d processors", count, s.size/contextSize)
	}
	if count > elfcore.MaxCPUs {
		c.odd.Add(physmem.OddityLimit, s.at, "of %d processors the first %d are read", count, elfcore.MaxCPUs)
		count = elfcore.MaxCPUs
	}
	cpus := make([]physmem.CPU, 0, count)
	for i := range count {
		at := s.off + i*contextSize
		b, err := c.read(at, contextSize, contextSize)
		if err != nil {
			c.odd.Add(physmem.OddityCPU, s.at, "processor %d: its registers can't be read", i).Because("%v", err)
			break
		}
		// Numbers are not said: only vCPUs that were ever started are there.
		cpus = append(cpus, physmem.CPU{Index: int(i), ID: uint32(i), NoteOffset: int64(at), Registers: decodeContext(b)}) //nolint:gosec // few, inside the file
	}
	narrow(cpus)
	return cpus
}
