package qcow2

import (
	"encoding/binary"
	"io"
	"io/fs"
	"sync"

	"windmp/internal/binio"
	"windmp/physmem"
)

const (
	// offsetMask has the bits of an L1 or L2 entry that are an offset in the file.
	offsetMask = 0x00fffffffffffe00
	// An L2 entry with entryZero reads as zeros, one with entryCompressed is of
	// compressed data, which no state is.
	entryZero       = 1 << 0
	entryCompressed = 1 << 62
	// maxL1 caps the entries of the L1 table that the state takes.
	maxL1 = 1 << 21
	// keptTables is the size of the L2 tables that are kept, in bytes: at least two
	// are.
	keptTables = 4 << 20
	// maxState caps the size of a state: what an L1 table may cover can be more.
	maxState = 1 << 56
)

// state is the memory's stream of a snapshot, a file in the image: a [physmem.Source].
type state struct {
	src  physmem.Source
	size uint64 // bytes of the state
	file uint64 // bytes of the image
	// cluster is how many bits of an offset are in a cluster, table in the clusters of
	// a table too.
	cluster, table uint
	// unit is how many bits of an offset are in what an entry may say is allocated: a
	// cluster, or one of its subclusters.
	unit      uint
	entrySize uint64   // bytes of an L2 entry
	l1        []uint64 // of the state

	mu     sync.Mutex
	tables map[int][]byte // L2 tables that were read, by the entry of l1
	order  []int          // of their reading
}

// newState returns the state of a snapshot. It begins with the first L1 entry behind the
// disk.
func newState(src physmem.Source, h *header, snap *snapshot) (*state, error) {
	s := &state{
		src: src, size: snap.stateSize, file: binio.Uint64(src.Size()), cluster: h.clusterBits, table: h.clusterBits + h.l2Bits(),
		unit: h.clusterBits, entrySize: 1 << h.entryBits, tables: make(map[int][]byte),
	}
	if s.entrySize == extendedSize {
		s.unit -= subclusterBits
	}
	covers := uint64(1) << s.table
	first := snap.diskSize / covers
	if snap.diskSize%covers != 0 {
		first++
	}
	count := (s.size-1)/covers + 1
	switch {
	case s.size > maxState, count > maxL1, !binio.Within(first, count, uint64(snap.l1Size)):
		return nil, malformed(snap.at, "snapshot", "its state of 0x%x bytes does not fit its table of 0x%x entries", s.size, snap.l1Size)
	case snap.l1 > s.file || !binio.Within(snap.l1+first*8, count*8, s.file):
		return nil, malformed(snap.at, "snapshot", "its table at 0x%x goes past the end of the file", snap.l1)
	}
	b, err := read(src, snap.l1+first*8, count*8)
	if err != nil {
		return nil, err
	}
	s.l1 = make([]uint64, count)
	for i := range s.l1 {
		s.l1[i] = binary.BigEndian.Uint64(b[8*i:]) & offsetMask
	}
	return s, nil
}

// Size implements [physmem.Source].
func (s *state) Size() int64 { return int64(s.size) } //nolint:gosec // at most maxState

// Name implements [physmem.Source].
func (s *state) Name() string { return s.src.Name() }

// OpenSibling implements [physmem.Source]: a state has no neighbours.
func (s *state) OpenSibling(name string) (physmem.Source, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadsAll implements [physmem.Foreteller]: the state is read of the image.
func (s *state) ReadsAll(n int64) error { return physmem.ReadsAll(s.src, n) }

// ReadsTable implements [physmem.Foreteller], likewise.
func (s *state) ReadsTable(n int64) { physmem.ReadsTable(s.src, binio.Uint64(n)) }

// ReadAt implements io.ReaderAt. It reads what lies together with one read.
func (s *state) ReadAt(p []byte, off int64) (int, error) {
	at, n := binio.Uint64(off), 0
	for n < len(p) {
		if at >= s.size {
			return n, io.EOF
		}
		want := min(uint64(len(p)-n), s.size-at)
		place, size, err := s.locate(at, want)
		if err != nil {
			return n, err
		}
		part := p[n:][:size]
		if place == 0 {
			clear(part)
		} else if got, err := binio.ReadSome(s.src, part, int64(place)); err != nil { //nolint:gosec // inside the file
			return n + got, err
		}
		n, at = n+len(part), at+size
	}
	return n, nil
}

// locate returns where at most n bytes of the state lie together in the file, 0 where
// they are zeros, and how many.
func (s *state) locate(at, n uint64) (place, size uint64, err error) {
	for size < n {
		next, err := s.placeOf(at + size)
		if err != nil {
			return 0, 0, err
		}
		switch {
		case size == 0:
			place = next
		case place == 0 && next != 0, place != 0 && next != place+size:
			return place, size, nil
		}
		size += min(n-size, 1<<s.unit-(at+size)&(1<<s.unit-1))
	}
	return place, size, nil
}

// placeOf returns where an offset of the state lies in the file, 0 if it reads as zeros.
func (s *state) placeOf(at uint64) (uint64, error) {
	table, err := s.l2(int(at >> s.table)) //nolint:gosec // at most maxL1
	if err != nil || table == nil {
		return 0, err
	}
	i := at & (1<<s.table - 1) >> s.cluster * s.entrySize
	e := binary.BigEndian.Uint64(table[i:])
	cluster, within := e&offsetMask, at&(1<<s.cluster-1)
	switch {
	case e&entryCompressed != 0:
		return 0, malformed(0, "snapshot", "its state at 0x%x is compressed", at)
	case e&entryZero != 0, cluster == 0:
		return 0, nil
	case s.entrySize == extendedSize && !allocated(binary.BigEndian.Uint64(table[i+8:]), within>>s.unit):
		return 0, nil
	}
	need := min(uint64(1)<<s.cluster, s.size-at+within)
	if !binio.Within(cluster, need, s.file) {
		return 0, malformed(cluster, "snapshot", "its state at 0x%x goes past the end of the file", at)
	}
	return cluster + within, nil
}

// An extended L2 entry has 16 bytes: the second eight have a bit for each of 32
// subclusters that are allocated, and another for each that reads as zeros.
const (
	extendedSize   = 16
	subclusterBits = 5
	zeroBits       = 32
)

// allocated reports whether a subcluster has data.
func allocated(bitmap, i uint64) bool { return bitmap>>i&1 != 0 && bitmap>>(zeroBits+i)&1 == 0 }

// l2 returns the L2 table of an entry of l1, nil if there is none.
func (s *state) l2(i int) ([]byte, error) {
	at := s.l1[i]
	if at == 0 {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tables[i]; t != nil {
		return t, nil
	}
	size := uint64(1) << s.cluster
	if !binio.Within(at, size, s.file) {
		return nil, malformed(at, "snapshot", "a table of its state goes past the end of the file")
	}
	t, err := read(s.src, at, size)
	if err != nil {
		return nil, err
	}
	if len(s.order) >= max(2, keptTables>>s.cluster) {
		delete(s.tables, s.order[0])
		s.order = s.order[1:]
	}
	s.tables[i], s.order = t, append(s.order, i)
	return t, nil
}

// fileOffset returns where in the file a byte of the state is, 0 if it is nowhere.
func (s *state) fileOffset(off int64) int64 {
	if at := binio.Uint64(off); at < s.size {
		if place, _, err := s.locate(at, 1); err == nil {
			return int64(place) //nolint:gosec // inside the file
		}
	}
	return 0
}
