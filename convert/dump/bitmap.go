package dump

import (
	"fmt"
	"iter"

	"windmp/physmem"
	"windmp/winhdr"
)

const (
	// bitmapAlign rounds the number of bits: LeechCore reads no more than whole
	// 64-bit words, kdmp-parser no more than whole bytes.
	bitmapAlign = 64
	// MaxBitmapBits is what the widest reader takes: LeechCore wants fewer than
	// 2^31 bits, the others 2^32. 2^31 pages are 8 TiB of address space.
	MaxBitmapBits = 1<<31 - 1
)

// bitsFor is how many bits a bitmap up to a page frame has.
func bitsFor(end uint64) uint64 { return (end + bitmapAlign - 1) &^ (bitmapAlign - 1) }

// BitmapHolds tells whether a bitmap can list pages up to the page frame end, which
// is behind the last.
func BitmapHolds(end uint64) bool { return bitsFor(end) <= MaxBitmapBits }

// Bitmap is a crash dump that lists its pages one by one (DumpType 5 and 6): the
// header, BITMAP_DUMP and the bitmap, and from the next page boundary on the
// pages.
type Bitmap struct {
	front []byte // the two headers
	bits  uint64
	pad   uint64 // bytes of zeros behind the bitmap
	pages Pages
	size  int64
}

// NewBitmap makes a dump of an encoded header, whose type is typ, and the pages:
// of DumpTypeBitmapFull all of the guest's, of DumpTypeBitmapKernel a choice of
// them. The bitmap reaches to the end of memory ([Pages.Within]) if a bitmap can. An error
// is a [*LimitError] unless the type is another.
func NewBitmap(header []byte, typ winhdr.DumpType, pages Pages) (*Bitmap, error) {
	var signature uint32
	switch typ {
	case winhdr.DumpTypeBitmapFull:
		signature = winhdr.SignatureFDMP
	case winhdr.DumpTypeBitmapKernel:
		signature = winhdr.SignatureSDMP
	default:
		return nil, fmt.Errorf("a dump of type %v has no bitmap", typ)
	}
	bits := bitsFor(pages.end)
	if !BitmapHolds(pages.end) {
		return nil, &LimitError{Limit: LimitBitmap, Got: bits, Most: MaxBitmapBits}
	}
	if pages.memory > pages.end && BitmapHolds(pages.memory) {
		bits = bitsFor(pages.memory)
	}
	used := uint64(len(header)) + winhdr.BitmapDumpSize64 + bits/8
	first := (used + physmem.PageSize - 1) &^ (physmem.PageSize - 1)
	size, err := pages.size(first)
	if err != nil {
		return nil, err
	}
	second := winhdr.BitmapDump64{
		Signature: signature, ValidDump: winhdr.ValidDumpDUMP,
		FirstPage: first, TotalPresentPages: pages.count, BitmapSize: bits,
	}
	front := append(append(make([]byte, 0, len(header)+winhdr.BitmapDumpSize64), header...), second.Encode()...)
	return &Bitmap{front: front, bits: bits, pad: first - used, pages: pages, size: size}, nil
}

// Size implements Layout.
func (b *Bitmap) Size() int64 { return b.size }

// Segments implements Layout. The bitmap is made while it is asked for.
func (b *Bitmap) Segments() iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		if !yield(Given(b.front)) {
			return
		}
		w := bitWriter{yield: yield}
		at := uint64(0)
		for r := range b.pages.runs {
			w.put(r.BasePage-at, false)
			w.put(r.PageCount, true)
			if at = r.End(); w.ended {
				return
			}
		}
		w.put(b.bits-at, false)
		w.flush()
		if b.pad > 0 {
			w.emit(Segment{Kind: Zeros, Size: b.pad})
		}
		_ = w.ended || b.pages.segments(yield)
	}
}

// bitPiece is how much of a bitmap is made at a time, in bytes.
const bitPiece = 64 << 10

// bitWriter yields a bitmap in pieces, the lowest bit of each byte first.
type bitWriter struct {
	yield func(Segment) bool
	piece []byte // nil when bits is 0
	bits  uint64 // in the piece
	ended bool   // yield wants no more
}

// put appends n bits that are all set or all clear.
func (w *bitWriter) put(n uint64, set bool) {
	const room = bitPiece * 8
	for n > 0 && !w.ended {
		if w.bits == 0 && !set && n >= room {
			whole := n / room
			w.emit(Segment{Kind: Zeros, Size: whole * bitPiece})
			n -= whole * room
			continue
		}
		if w.piece == nil {
			w.piece = make([]byte, bitPiece)
		}
		k := min(n, room-w.bits)
		if set {
			setBits(w.piece, w.bits, k)
		}
		w.bits += k
		n -= k
		if w.bits == room {
			w.flush()
		}
	}
}

// flush yields what is in the piece: whole bytes.
func (w *bitWriter) flush() {
	if w.bits > 0 {
		w.emit(Given(w.piece[:w.bits/8]))
	}
	w.piece, w.bits = nil, 0
}

func (w *bitWriter) emit(s Segment) { w.ended = w.ended || !w.yield(s) }

// setBits sets n bits from bit at on.
func setBits(b []byte, at, n uint64) {
	for ; n > 0 && (at%8 != 0 || n < 8); n-- {
		b[at/8] |= 1 << (at % 8)
		at++
	}
	whole := b[at/8:][:n/8]
	for i := range whole {
		whole[i] = 0xff
	}
	if n %= 8; n > 0 {
		b[at/8+uint64(len(whole))] |= 1<<n - 1
	}
}
