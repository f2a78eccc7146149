package inspect

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/winhdr"
)

// dumpHead reads the header of what may be a Windows dump, if only a damaged one.
func dumpHead(r io.ReaderAt, size int64) (head []byte, isDump bool, err error) {
	head = make([]byte, min(size, int64(winhdr.HeadSize())))
	if n, err := r.ReadAt(head, 0); n < len(head) {
		return nil, false, fmt.Errorf("reading the header: %w", &physmem.ReadError{Offset: int64(n), Err: err})
	}
	_, isDump = winhdr.Recognise(head)
	return head, isDump, nil
}

// refuseDump adds a finding for which debuggers reject the dump, and ends the
// check.
func (c *fileChecker) refuseDump(k finding.Kind, off int, format string, args ...any) error {
	return c.Refuse(k.At(guest.HeaderOffset(off), format, args...), nil)
}

// unexamined ends the check of a dump that windmp does not read: it may be a
// good one.
func (c *fileChecker) unexamined(format string, args ...any) error {
	c.Add(finding.NotExamined.At("", format, args...))
	return nil
}

// checkDump goes through the rules of Microsoft's debugger engine, as it was
// seen to behave (10.0.10240), and of other readers.
func (c *fileChecker) checkDump(ctx context.Context, r io.ReaderAt, head []byte) error {
	c.Format, c.Description = "dmp", "Windows crash dump"
	h, err := winhdr.Decode(head)
	var short *winhdr.SizeError
	if errors.As(err, &short) {
		return c.Refuse(finding.Malformed.At(fmt.Sprintf("file offset %#x", short.Got),
			"the file has %d bytes, a dump's header alone has %d", short.Got, short.Want), nil)
	}
	if err != nil {
		return err
	}
	c.Dump = dumpReport(h)
	if err := c.checkIdentity(h); err != nil {
		return err
	}
	if done, err := c.checkType(r, h); done || err != nil {
		return err
	}
	im, err := open.Source(ctx, physmem.NewSource("", r, c.size), open.Options{})
	if err != nil {
		return c.dumpNotOpened(r, h, err)
	}
	c.describe(im)
	c.checkFields(h)
	c.checkLayout(r, im, h)
	c.limit(c.Size, "the dump")
	if c.opt.Level == CheckHeader {
		return nil
	}
	if finding.Worst(c.All) == finding.SeverityUnknown {
		return nil // where its memory lies is not known
	}
	return c.checkMemory(im)
}

// dumpNotOpened grades what physmem refused. A bitmap that would be longer than
// the file need not keep a debugger from opening the dump, as long as its pages
// are there: then it is not known.
func (c *fileChecker) dumpNotOpened(r io.ReaderAt, h *winhdr.Header, err error) error {
	var format *physmem.FormatError
	if l, ok := readPageList(r, h); ok && errors.As(err, &format) && format.Field == bitmapSizeField && l.FirstPage <= uint64(c.size) { //nolint:gosec // a file's size
		return c.unexamined("the bitmap can't be followed: %v", err)
	}
	return c.notOpened(err)
}

// bitmapSizeField is how physmem names the field.
const bitmapSizeField = "bitmap header: size of the bitmap"

// checkIdentity is about fields without which a dump is rejected outright.
func (c *fileChecker) checkIdentity(h *winhdr.Header) error {
	format := h.Format()
	switch {
	case h.Signature != winhdr.SignaturePAGE:
		return c.refuseDump(finding.BadSignature, h.Offset("Signature"), "the signature is %#x, expected %#x (PAGE)", h.Signature, winhdr.SignaturePAGE)
	case h.ValidDump != format.ValidDump:
		return c.refuseDump(finding.BadSignature, h.Offset("ValidDump"), "the second signature is %#x, expected %#x (%s)",
			h.ValidDump, format.ValidDump, binary.LittleEndian.AppendUint32(nil, format.ValidDump))
	case winhdr.Unread(h.MachineImageType) != "":
		return c.unexamined("the dump is of a %s system; windmp does not examine those", winhdr.Unread(h.MachineImageType))
	case h.MachineImageType != format.Machine:
		return c.refuseDump(finding.HeaderBad, h.Offset("MachineImageType"), "the machine type is %#x, expected %#x (%s)",
			h.MachineImageType, format.Machine, format.Title)
	case h.DirectoryTableBase == 0:
		return c.refuseDump(finding.HeaderBad, h.Offset("DirectoryTableBase"), "DirectoryTableBase is 0: debuggers reject the dump")
	case h.NumberProcessors == 0 || int64(h.NumberProcessors) > int64(format.MaxProcessors):
		return c.refuseDump(finding.HeaderBad, h.Offset("NumberProcessors"), "NumberProcessors is %d, debuggers take 1 to %d", h.NumberProcessors, format.MaxProcessors)
	}
	return nil
}

// checkType refuses types that no debugger knows, and ends the check of those
// whose contents windmp does not read.
func (c *fileChecker) checkType(r io.ReaderAt, h *winhdr.Header) (done bool, err error) {
	switch h.DumpType {
	case winhdr.DumpTypeFull, winhdr.DumpTypeUnset, winhdr.DumpTypeSummary, winhdr.DumpTypeBitmapFull, winhdr.DumpTypeBitmapKernel:
		return false, nil
	case winhdr.DumpTypeTriage:
		if c.triage(r, h) {
			return true, c.unexamined("a small memory dump (triage): it holds one thread's stack, windmp does not examine it")
		}
	case winhdr.DumpTypeLiveKernel, winhdr.DumpTypeLiveKernelUser, winhdr.DumpTypeLiveComplete:
		if c.signedAt(r, int64(h.Size())+4, "RDMP") {
			return true, c.unexamined("a dump of type %#x as newer WinDbg writes it; windmp does not read it, and older debuggers do not open it", uint32(h.DumpType))
		}
	default:
	}
	return true, c.refuseDump(finding.BadDumpType, h.Offset("DumpType"), "the dump type is %#x (%s), and the file is none of that type: debuggers reject it", uint32(h.DumpType), h.DumpType)
}

// triage tells whether a TRIAGE_DUMP64 lies behind the header: its ValidOffset,
// at 8, leads to the mark "TRGD" or, stored as a number, "DGRT".
func (c *fileChecker) triage(r io.ReaderAt, h *winhdr.Header) bool {
	var b [12]byte
	if _, err := r.ReadAt(b[:], int64(h.Size())); err != nil {
		return false
	}
	at := int64(binary.LittleEndian.Uint32(b[8:]))
	return c.signedAt(r, at, "TRGD") || c.signedAt(r, at, "DGRT")
}

// signedAt tells whether the file has text at off.
func (c *fileChecker) signedAt(r io.ReaderAt, off int64, text string) bool {
	b := make([]byte, len(text))
	n, _ := r.ReadAt(b, off)
	return n == len(b) && string(b) == text
}
