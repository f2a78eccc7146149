package kdump

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"windmp/internal/binio"
	"windmp/physmem"
)

// makedumpfile's flattened format (makedumpfile.h, makedumpfile_header and
// makedumpfile_data_header; QEMU dump/dump.h has the same): a file that was
// written to a pipe as a list of what to write where. All numbers in it are
// signed and big-endian.
const (
	flatSignature  = "makedumpfile\x00"
	flatHeaderSize = 0x1000 // 16 bytes of signature, type, version, zeros
	flatType       = 1
	flatVersion    = 1
	flatRecordSize = 16 // offset and size; the data follows
	flatEnd        = -1 // offset and size of the last record
)

// maxFlatRecords caps the records. QEMU writes one for every 16 KiB or so, so
// this is a file of 256 GiB, and a table of 256 MiB.
const maxFlatRecords = 1 << 24

// flattened gives the file that a flattened one describes, without writing it.
type flattened struct {
	r      io.ReaderAt
	list   recordList // sorted by to, disjoint
	size   uint64     // of the file that is described
	ended  bool       // the last record is there
	endsAt uint64     // file offset at which the walk ended
}

// openFlattened indexes a flattened file; nil if it is none.
func openFlattened(ctx context.Context, src physmem.Source) (*flattened, error) {
	head, err := physmem.Head(src, flatHeaderSize)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(head, []byte(flatSignature)) {
		return nil, nil //nolint:nilnil // it is another format
	}
	if len(head) < flatHeaderSize {
		return nil, &physmem.FormatError{
			Format: physmem.FormatKdump, Field: "flattened header", Got: fmt.Sprintf("a file of 0x%x bytes", len(head)),
			Want: "0x1000 bytes of header", Hint: physmem.HintIncomplete, Cut: &physmem.Cut{Size: uint64(len(head))},
		}
	}
	be := binary.BigEndian
	if typ, version := be.Uint64(head[16:]), be.Uint64(head[24:]); typ != flatType || version != flatVersion {
		return nil, &physmem.FormatError{
			Format: physmem.FormatKdump, Offset: 16, Field: "flattened header: type and version",
			Got: fmt.Sprintf("0x%x and 0x%x", typ, version), Want: "0x1 and 0x1",
		}
	}
	// Where records lie is known when all were looked at. They are small, but for those
	// of what was rearranged.
	if t, ok := src.(physmem.Foreteller); ok {
		t.ReadsTable(src.Size())
	}
	f := &flattened{r: src}
	if err := f.walk(ctx, physmem.NewLength(src)); err != nil {
		return nil, err
	}
	f.arrange()
	return f, nil
}

// walk collects the records up to the last one, or to where the file ends or
// makes no sense any more.
func (f *flattened) walk(ctx context.Context, length *physmem.Length) error {
	var (
		window  [0x1000]byte
		have    []byte // the bytes from at on that were read already
		records int
	)
	at := uint64(flatHeaderSize)
	for ; ; records++ {
		f.endsAt = at
		if !length.Has(at, flatRecordSize) {
			return nil
		}
		if records == maxFlatRecords {
			return &physmem.FormatError{
				Format: physmem.FormatKdump, Field: "flattened records", Got: fmt.Sprintf("more than 0x%x", maxFlatRecords),
				Hint: "rearrange the file with makedumpfile -R",
			}
		}
		if len(have) < flatRecordSize {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			have = window[:length.Clip(at, uint64(len(window)))]
			off := int64(at)
			if err := binio.ReadFull(f.r, have, off); err != nil {
				return &physmem.ReadError{Offset: off, Err: err}
			}
		}
		to, n := binary.BigEndian.Uint64(have), binary.BigEndian.Uint64(have[8:])
		if int64(to) == flatEnd && int64(n) == flatEnd { //nolint:gosec // signed in the file
			f.ended = true
			return nil
		}
		if to > maxFlatOffset || n > maxFlatOffset-to || at > maxFlatOffset-flatRecordSize || n > maxFlatOffset-flatRecordSize-at {
			return nil
		}
		at += flatRecordSize
		if got := length.Clip(at, n); got > 0 {
			f.list.push(flatRecord{to: to, size: got, from: int64(at)})
		}
		at += n
		have = have[min(uint64(len(have)), flatRecordSize+n):]
	}
}

// arrange sorts the records. Where several write the same bytes the last one
// of the file wins, as it would if they were written.
func (f *flattened) arrange() {
	f.list.sort()
	for i := 1; i < f.list.n; i++ {
		if f.list.at(i).to < f.list.at(i-1).end() {
			f.paint()
			break
		}
	}
	if n := f.list.n; n > 0 {
		f.size = f.list.at(n - 1).end()
	}
}

// paint makes the sorted records disjoint. It sweeps over the offsets with the
// records that may cover the current one in a heap, and frees the old list as it
// goes: a file of nothing but records must not cost a multiple of their table.
func (f *flattened) paint() {
	var (
		out    recordList
		active byLast
		at     uint64
	)
	old := f.list
	for i := 0; i < old.n || len(active) > 0; {
		for len(active) > 0 && active[0].end() <= at {
			heap.Pop(&active)
		}
		if len(active) == 0 && i < old.n {
			at = max(at, old.at(i).to)
		}
		for ; i < old.n && old.at(i).to <= at; i++ {
			if r := old.at(i); r.end() > at {
				heap.Push(&active, r)
			}
			if i%recordChunk == recordChunk-1 {
				old.chunks[i/recordChunk] = nil
			}
		}
		if len(active) == 0 {
			continue
		}
		// The winner stays until it ends, or a record begins that may beat it.
		r := active[0]
		end := r.end()
		if i < old.n {
			end = min(end, old.at(i).to)
		}
		if end > at {
			out.extend(flatRecord{to: at, size: end - at, from: r.from + int64(at-r.to)})
		}
		at = end
	}
	f.list = out
}

// byLast is a heap of records, the last one of the file on top.
type byLast []flatRecord

func (h byLast) Len() int           { return len(h) }
func (h byLast) Less(i, j int) bool { return h[i].from > h[j].from }
func (h byLast) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

func (h *byLast) Push(x any) {
	if r, ok := x.(flatRecord); ok {
		*h = append(*h, r)
	}
}

func (h *byLast) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// ReadAt reads the file that is described. What no record writes is zeros, as
// in the hole of a file.
func (f *flattened) ReadAt(p []byte, off int64) (int, error) {
	at := binio.Uint64(off)
	n := 0
	for i := f.list.search(at); n < len(p); {
		if i == f.list.n {
			return n, io.EOF
		}
		x := f.list.at(i)
		left := uint64(len(p) - n)
		if at < x.to {
			skip := min(left, x.to-at)
			clear(p[n:][:skip])
			n += int(skip) //nolint:gosec // at most len(p)
			at += skip
			continue
		}
		want := min(left, x.end()-at)
		got, err := binio.ReadSome(f.r, p[n:][:want], x.from+int64(at-x.to)) //nolint:gosec // inside the record
		n += got
		if err != nil {
			return n, err
		}
		at += want
		i++
	}
	return n, nil
}

// place returns where the file holds what is at an offset of the file that is
// described; 0 if it does not.
func (f *flattened) place(off uint64) int64 {
	i := f.list.search(off)
	if i == f.list.n {
		return 0
	}
	x := f.list.at(i)
	if off < x.to {
		return 0
	}
	return x.from + int64(off-x.to) //nolint:gosec // inside the record
}
