package judge

import (
	"encoding/binary"
	"errors"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/physmem"
	"windmp/winhdr"
)

// refuse adds a finding for which debuggers reject the dump, and ends the
// examination.
func (c *subject) refuse(k finding.Kind, off int, format string, args ...any) error {
	return c.Refuse(k.At(guest.HeaderOffset(off), format, args...), nil)
}

// errEnd ends an examination without an error.
var errEnd = errors.New("nothing more can be examined")

// unexamined ends the examination of a dump that is not read here: it may be a good
// one.
func (c *subject) unexamined(format string, args ...any) error {
	c.Add(finding.NotExamined.At("", format, args...))
	return errEnd
}

// notOpened grades what physmem refused. A bitmap that would be longer than
// the file need not keep a debugger from opening the dump, as long as its pages
// are there: then it is not known.
func (c *subject) notOpened(err error) error {
	var format *physmem.FormatError
	if l, ok := c.pageList(); ok && errors.As(err, &format) && format.Field == bitmapSizeField && l.FirstPage <= c.size() {
		c.Add(finding.NotExamined.At("", "the bitmap can't be followed").Because(err))
		return errEnd
	}
	return NotOpened(&c.List, err)
}

// bitmapSizeField is how physmem names the field.
const bitmapSizeField = "bitmap header: size of the bitmap"

// signatures: a debugger knows a dump by them.
func (c *subject) signatures() error {
	h, format := c.h, c.h.Format()
	switch {
	case h.Signature != winhdr.SignaturePAGE:
		return c.refuse(finding.BadSignature, h.Offset("Signature"), "the file does not begin with PAGE: debuggers reject it")
	case h.ValidDump != format.ValidDump:
		return c.refuse(finding.BadSignature, h.Offset("ValidDump"), "the second signature is not %s: debuggers reject it",
			binary.LittleEndian.AppendUint32(nil, format.ValidDump))
	}
	return nil
}

// machine: a debugger rejects a machine that it does not know.
func (c *subject) machine() error {
	h, format := c.h, c.h.Format()
	switch {
	case winhdr.Unread(h.MachineImageType) != "":
		return c.unexamined("the dump is of a %s system; windmp does not examine those", winhdr.Unread(h.MachineImageType))
	case h.MachineImageType != format.Machine:
		return c.refuse(finding.HeaderBad, h.Offset("MachineImageType"), "the header has the signature of %s and names another machine: debuggers reject it", format.Title)
	}
	return nil
}

// root: a debugger rejects a dump without page tables.
func (c *subject) root() error {
	if h := c.h; h.DirectoryTableBase == 0 {
		return c.refuse(finding.HeaderBad.WithAdvice(finding.AdviceConvert), h.Offset("DirectoryTableBase"), "DirectoryTableBase is 0, so that there are no page tables: debuggers reject the dump")
	}
	return nil
}

// count: a debugger rejects no processor, and too many.
func (c *subject) count() error {
	if h, most := c.h, c.h.Format().MaxProcessors; h.NumberProcessors == 0 || int64(h.NumberProcessors) > int64(most) {
		return c.refuse(finding.HeaderBad, h.Offset("NumberProcessors"), "NumberProcessors is %d, debuggers take 1 to %d", h.NumberProcessors, most)
	}
	return nil
}

// dumpType refuses types that no debugger knows, and ends the examination of those
// whose contents are not read here.
func (c *subject) dumpType() error {
	h := c.h
	switch h.DumpType {
	case winhdr.DumpTypeFull, winhdr.DumpTypeUnset, winhdr.DumpTypeSummary, winhdr.DumpTypeBitmapFull, winhdr.DumpTypeBitmapKernel:
		return nil
	case winhdr.DumpTypeTriage:
		return c.unexamined("a small memory dump (triage) of a machine of which windmp knows none")
	case winhdr.DumpTypeLiveKernel, winhdr.DumpTypeLiveKernelUser, winhdr.DumpTypeLiveComplete:
		if h.Attributes.Has(winhdr.AttributeEncrypted) {
			return nil // what follows the header is not to be known by what it begins with
		}
		if c.signedAt(int64(h.Size())+4, "RDMP") {
			c.Add(finding.NewerType.At(guest.HeaderOffset(h.Offset("DumpType")), "the dump is of a type (%s) that newer WinDbg writes and older debuggers do not open", h.DumpType))
			return nil
		}
	default:
	}
	return c.refuse(finding.BadDumpType, h.Offset("DumpType"), "the header names a type of dump (%s) that the file is not: debuggers reject it", h.DumpType)
}

// signedAt tells whether the file has text at off.
func (c *subject) signedAt(off int64, text string) bool {
	b := make([]byte, len(text))
	n, _ := c.src.ReadAt(b, off)
	return n == len(b) && string(b) == text
}
