package kdump

import (
	"math"
	"sort"
)

// flatRecord says that size bytes at file offset from belong to offset to.
type flatRecord struct {
	to, size uint64
	from     int64
}

// end is the offset behind the record.
func (r flatRecord) end() uint64 { return r.to + r.size }

const (
	// maxFlatOffset bounds what a record goes to and where it stands: packedRecord
	// has 48 bits for each.
	maxFlatOffset = 1 << 48
	// maxPacked is the most that one packedRecord describes; a longer record takes
	// several.
	maxPacked = 1 << 31
	// recordChunk is how many records are allocated at once, 256 KiB of them.
	recordChunk = 1 << 14
)

// packedRecord is a flatRecord in 16 bytes: QEMU writes 65,536 of them for each
// GiB or so.
type packedRecord struct {
	toLow, fromLow   uint32
	size             uint32
	toHigh, fromHigh uint16
}

// recordList is a list of records, in chunks: one slice would be copied, and take
// twice its room, each time it grows.
type recordList struct {
	chunks [][]packedRecord
	n      int
}

// push appends a record that lies below maxFlatOffset.
func (l *recordList) push(r flatRecord) {
	for r.size > maxPacked {
		l.pushOne(flatRecord{to: r.to, size: maxPacked, from: r.from})
		r.to, r.size, r.from = r.to+maxPacked, r.size-maxPacked, r.from+maxPacked
	}
	l.pushOne(r)
}

// low32 is the lower half of a number.
func low32(v uint64) uint32 { return uint32(v & math.MaxUint32) }

func (l *recordList) pushOne(r flatRecord) {
	if l.n%recordChunk == 0 {
		l.chunks = append(l.chunks, make([]packedRecord, 0, recordChunk))
	}
	last := &l.chunks[len(l.chunks)-1]
	from := uint64(r.from) //nolint:gosec // a file offset
	*last = append(*last, packedRecord{
		toLow: low32(r.to), toHigh: uint16(r.to >> 32), //nolint:gosec // below maxFlatOffset
		fromLow: low32(from), fromHigh: uint16(from >> 32), //nolint:gosec // below maxFlatOffset
		size: low32(r.size),
	})
	l.n++
}

// extend appends a record, joined to the last one if it continues it.
func (l *recordList) extend(r flatRecord) {
	if l.n > 0 {
		last := l.at(l.n - 1)
		if last.end() == r.to && last.from+int64(last.size) == r.from && last.size+r.size <= maxPacked { //nolint:gosec // below maxFlatOffset
			l.packed(l.n - 1).size = low32(last.size + r.size)
			return
		}
	}
	l.push(r)
}

func (l *recordList) packed(i int) *packedRecord { return &l.chunks[i/recordChunk][i%recordChunk] }

// at returns the i-th record.
func (l *recordList) at(i int) flatRecord {
	p := l.packed(i)
	return flatRecord{
		to: uint64(p.toHigh)<<32 | uint64(p.toLow), size: uint64(p.size),
		from: int64(p.fromHigh)<<32 | int64(p.fromLow),
	}
}

// Len, Less and Swap implement sort.Interface: by place, and in the order of the
// file where that is the same.
func (l *recordList) Len() int { return l.n }

func (l *recordList) Less(i, j int) bool {
	a, b := l.at(i), l.at(j)
	if a.to != b.to {
		return a.to < b.to
	}
	return a.from < b.from
}

func (l *recordList) Swap(i, j int) {
	a, b := l.packed(i), l.packed(j)
	*a, *b = *b, *a
}

// sort brings the records into the order of Less.
func (l *recordList) sort() {
	if !sort.IsSorted(l) {
		sort.Sort(l)
	}
}

// search returns the first of sorted, disjoint records that ends above an offset.
func (l *recordList) search(off uint64) int {
	return sort.Search(l.n, func(i int) bool { return l.at(i).end() > off })
}
