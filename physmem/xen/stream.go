package xen

import (
	"context"
	"encoding/binary"
	"fmt"

	"windmp/internal/binio"
	"windmp/physmem"
)

// Records of libxc's stream (Xen docs/specs/libxc-migration-stream.pandoc): type, length,
// body, padded to 8.
const (
	recordEnd        = 0x0
	recordPages      = 0x1
	recordHVMContext = 0x9
	recordCheckpoint = 0xe
	// recordLast is the last type that the specification has, that of the policy of
	// MSRs; one with recordOptional set need not be known.
	recordLast     = 0x12
	recordOptional = 1 << 31
)

// fromLibxc reads libxc's stream. Its header is big-endian: version and options; that of
// the domain behind it is not.
func (s *savedState) fromLibxc(off uint64) error {
	const (
		size      = 24
		oldest    = 2
		newest    = 3 // differs in records that are passed over
		bigEndian = 1 << 0

		domain    = 16
		typePV    = 1
		typeHVM   = 2
		pageShift = 12
	)
	b, err := s.header("header of libxc's stream", off, size+domain)
	if err != nil {
		return err
	}
	if string(b[:len(magicLibxc)]) != magicLibxc {
		return wrong(off, "header of libxc's stream", fmt.Sprintf("%q", b[:len(magicLibxc)]), fmt.Sprintf("%q", magicLibxc))
	}
	version, options := binary.BigEndian.Uint32(b[12:]), binary.BigEndian.Uint16(b[16:])
	switch {
	case options&bigEndian != 0:
		return refuseBigEndian()
	case version < oldest || version > newest:
		return unsupported(fmt.Sprintf("a saved Xen guest whose libxc stream is of version %d; versions %d and %d are read", version, oldest, newest), hintDump)
	}
	le := binary.LittleEndian
	d := b[size:]
	switch typ, shift := le.Uint32(d), le.Uint16(d[4:]); {
	case typ == typePV:
		return unsupported("a saved paravirtual Xen guest; Windows' guests are hardware virtual machines (HVM)", "give the saved state of the Windows guest")
	case typ != typeHVM:
		return unsupported(fmt.Sprintf("a saved Xen guest of type %d; type %d, a hardware virtual machine of x86, is read", typ, typeHVM), "")
	case shift != pageShift:
		return wrong(off+size+4, "domain header: page shift", fmt.Sprint(shift), fmt.Sprint(pageShift))
	}
	s.version = versionText(uint64(le.Uint32(d[8:])), uint64(le.Uint32(d[12:])), nil)
	return s.records(off + size + domain)
}

// batchSize is what a record of pages has as Xen's tools write it, in bytes (MAX_BATCH_SIZE
// pages, tools/libs/guest/xg_sr_common.h): for each a window is read.
const batchSize = 1024 * physmem.PageSize

// records reads the records of libxc's stream. A file that ends among them is used as far
// as it goes.
func (s *savedState) records(off uint64) error {
	le := binary.LittleEndian
	if t, ok := s.src.(physmem.Foreteller); ok {
		t.ReadsTable(int64(binio.Clip(off, s.size(), s.size()) / batchSize * windowSize)) //nolint:gosec // below the size
	}
	for others := 0; ; {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		if !s.has.Has(off, recordHeader) {
			return nil
		}
		b, err := s.window.at(off, recordHeader)
		if err != nil {
			return err
		}
		typ, length := le.Uint32(b), uint64(le.Uint32(b[4:]))
		body := off + recordHeader
		switch {
		case typ == recordEnd:
			s.ended = true
			return nil
		case typ == recordPages:
			if err := s.pageData(body, length); err != nil {
				return err
			}
		case typ == recordCheckpoint:
			return unsupported("a stream of checkpoints of a Xen guest (Remus, COLO), not one that was saved", hintDump)
		case typ == recordHVMContext && s.has.Has(body, length):
			// A stream with several has the last one at its end.
			s.state, s.stateSize = body, length
		case typ > recordLast && typ&recordOptional == 0:
			s.odd.Add(physmem.OddityLimit, int64(off), "a record of a type that is not known is left out").Because("its type is 0x%x", typ) //nolint:gosec // inside the file
		}
		if typ != recordPages {
			if others++; others > maxRecords {
				return wrong(off, "libxc's stream", "more records without pages", fmt.Sprintf("at most %d", maxRecords))
			}
		}
		off = body + padded(length)
	}
}

// Entries of the list of a record of pages: the number of the page, and its type from
// bit 60 on. Of types below pageBroken the page follows; of a hardware virtual machine
// that is pageOrdinary, the rest are page tables of paravirtual guests, and those between
// are no types.
const (
	pageTypeShift = 60
	pageFrameMask = 1<<52 - 1
	pageOrdinary  = 0x0
	pageTables    = 0x4
	pagePinned    = 0x8
	pagePinnedEnd = 0xc
	pageBroken    = 0xd
)

// hasPage reports whether the page of a type follows the list, and whether there is such a
// type.
func hasPage(typ uint64) (follows, known bool) {
	switch {
	case typ >= pageBroken:
		return false, true
	case typ <= pageTables, typ > pagePinned && typ <= pagePinnedEnd:
		return true, true
	}
	return false, false
}

// pageData reads a record of pages, of length bytes at body: a count, 4 bytes of nothing,
// the list, the pages. Those that the file does not hold are left out.
func (s *savedState) pageData(body, length uint64) error {
	const head, entry = 8, 8
	le := binary.LittleEndian
	if s.has.Clip(body, min(length, head)) < head {
		if length < head {
			return wrong(body, "record of pages", fmt.Sprintf("0x%x bytes", length), "a count at least")
		}
		return nil // the file ends
	}
	b, err := s.window.at(body, head)
	if err != nil {
		return err
	}
	count := uint64(le.Uint32(b))
	if count == 0 || count > (length-head)/entry {
		return wrong(body, "record of pages: count", fmt.Sprintf("0x%x", count), fmt.Sprintf("1 to 0x%x, in 0x%x bytes", (length-head)/entry, length))
	}
	at := body + head + count*entry // the next page's
	end := body + length
	for i := range count {
		off := body + head + i*entry
		if !s.has.Has(off, entry) {
			return nil
		}
		b, err := s.window.at(off, entry)
		if err != nil {
			return err
		}
		v := le.Uint64(b)
		frame, typ := v&pageFrameMask, v>>pageTypeShift
		follows, known := hasPage(typ)
		switch {
		case !known:
			return wrong(off, "record of pages: entry", fmt.Sprintf("0x%x", v), "a type that is known in its highest four bits")
		case !follows:
			continue
		case frame >= physmem.MaxPFN:
			return wrong(off, "record of pages: entry", fmt.Sprintf("0x%x", v), "a page below the 52 bits of physical memory")
		case end-at < physmem.PageSize:
			return wrong(body, "record of pages: length", fmt.Sprintf("0x%x", length), "room for all of its pages")
		}
		if err := s.pages.add(frame, at); err != nil {
			return err
		}
		at += physmem.PageSize
	}
	if at != end {
		return wrong(body, "record of pages: length", fmt.Sprintf("0x%x", length), fmt.Sprintf("0x%x for its pages", at-body))
	}
	return nil
}
