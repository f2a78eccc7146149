package plan

import (
	"bufio"
	"fmt"
	"io"

	"windmp/convert/finding"
	"windmp/winhdr"
)

const (
	// bitmapAlign rounds the number of bits: LeechCore reads no more than whole
	// 64-bit words, kdmp-parser no more than whole bytes.
	bitmapAlign = 64
	// maxBitmapBits is what the widest reader takes: LeechCore wants fewer than
	// 2^31 bits, the others 2^32. 2^31 pages are 8 TiB of address space.
	maxBitmapBits = 1 << 31
)

// bitmapBits is the number of bits of the output's bitmap.
func (m *memoryPlan) bitmapBits() uint64 {
	last := m.runs[len(m.runs)-1]
	if m.kept != nil {
		for r := range m.kept.all() {
			last = r
		}
	}
	end := last.BasePage + last.PageCount
	return (end + bitmapAlign - 1) &^ (bitmapAlign - 1)
}

// layOut places the pages: behind the header, or behind the bitmap that lists
// them, on the next page boundary.
func (p *Plan) layOut() error {
	m := &p.memory
	m.firstPage = int64(p.Header.Size())
	if m.kind != winhdr.DumpTypeFull {
		n := m.bitmapBits()
		if n >= maxBitmapBits {
			return p.Refuse(finding.Finding{
				ID:      finding.IDBitmapTooLarge,
				Message: fmt.Sprintf("the bitmap would take %#x bits, readers take fewer than %#x: the guest's memory reaches to PA %#x", n, uint64(maxBitmapBits), n*winhdr.PageSize),
				Advice:  "Use --type=full.",
			}, nil)
		}
		front := uint64(p.Header.Size()) + winhdr.BitmapDumpSize64 + n/8            //nolint:gosec // 0x2000 or 0x1000
		m.firstPage = int64((front + winhdr.PageSize - 1) &^ (winhdr.PageSize - 1)) //nolint:gosec // below 2^29
	}
	p.Size = m.firstPage + int64(m.pages()*winhdr.PageSize) //nolint:gosec // at most 2^57
	return nil
}

// writeFront writes what precedes the pages: the header, and in a bitmap dump the
// bitmap, made while it is written.
func (p *Plan) writeFront(w io.Writer) error {
	if p.front != nil {
		_, err := w.Write(p.front)
		return err
	}
	b := bufio.NewWriterSize(w, 64<<10)
	if _, err := b.Write(p.Header.Encode()); err != nil {
		return err
	}
	if p.memory.kind != winhdr.DumpTypeFull {
		if err := p.memory.writeBitmap(b, uint64(p.Header.Size())); err != nil { //nolint:gosec // 0x2000 or 0x1000
			return err
		}
	}
	return b.Flush()
}

// writeBitmap writes what stands between the header, of so many bytes, and the
// first page.
func (m *memoryPlan) writeBitmap(w *bufio.Writer, header uint64) error {
	head := winhdr.BitmapDump64{
		Signature: winhdr.SignatureFDMP, ValidDump: winhdr.ValidDumpDUMP,
		FirstPage:         uint64(m.firstPage), //nolint:gosec // set by layOut
		TotalPresentPages: m.pages(),
		BitmapSize:        m.bitmapBits(),
	}
	if m.kind == winhdr.DumpTypeBitmapKernel {
		head.Signature = winhdr.SignatureSDMP
	}
	if _, err := w.Write(head.Encode()); err != nil {
		return err
	}
	bw := bitWriter{w: w}
	var at uint64
	for r := range m.pageRuns() {
		bw.put(r.BasePage-at, 0)
		bw.put(r.PageCount, 0xff)
		at = r.BasePage + r.PageCount
	}
	bw.put(head.BitmapSize-at, 0)
	used := header + winhdr.BitmapDumpSize64 + head.BitmapSize/8
	bw.put((head.FirstPage-used)*8, 0)
	return bw.err
}

// bitWriter appends bits, the lowest of each byte first.
type bitWriter struct {
	w   *bufio.Writer
	cur byte
	n   uint // bits in cur
	err error
}

// put appends n bits, all 0 (v is 0) or all 1 (v is 0xff).
func (b *bitWriter) put(n uint64, v byte) {
	if b.n > 0 {
		k := min(n, uint64(8-b.n))
		b.bits(uint(k), v)
		n -= k
	}
	b.bytes(n/8, v)
	b.bits(uint(n%8), v)
}

// bits appends n bits, no more than there is room for in cur.
func (b *bitWriter) bits(n uint, v byte) {
	b.cur |= v & (1<<n - 1) << b.n
	if b.n += n; b.n == 8 {
		b.bytes(1, b.cur)
		b.cur, b.n = 0, 0
	}
}

// bytes appends n equal bytes, made in the writer's own buffer.
func (b *bitWriter) bytes(n uint64, v byte) {
	for n > 0 && b.err == nil {
		k := min(n, uint64(b.w.Available())) //nolint:gosec // not negative
		if k == 0 {
			b.err = b.w.Flush()
			continue
		}
		room := b.w.AvailableBuffer()[:k]
		for i := range room {
			room[i] = v
		}
		_, b.err = b.w.Write(room)
		n -= k
	}
}
