package ramblock

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"windmp/internal/binio"
	"windmp/internal/inflate"
	"windmp/physmem"
)

const (
	// keptPages is how many pages a reader keeps of those that take work, by number,
	// for a walk of page tables, which reads 8 bytes each time.
	keptPages = 16
	// maxTurns caps how many times a page was changed since it was sent whole. A
	// stream has a turn for each round over the memory.
	maxTurns = 1 << 14
)

// reader is what one read needs.
type reader struct {
	located [batchPages]location
	span    [batchPages * (pageSize + maxGap)]byte
	record  [MaxPacked + 4]byte
	src     bytes.Reader
	zlib    inflate.Zlib
	// kept are pages that were put together, each in the slot of its location.
	kept   [keptPages][pageSize]byte
	keptAt [keptPages]location
}

// reader returns a reader of the caller's own.
func (m *Memory) reader() *reader {
	select {
	case k := <-m.readers:
		return k
	default:
		return new(reader)
	}
}

// release keeps a reader for the next one who needs it.
func (m *Memory) release(k *reader) {
	select {
	case m.readers <- k:
	default:
	}
}

// assemble returns a page that is compressed, or was changed, until the reader's next
// one.
func (m *Memory) assemble(k *reader, l location) ([]byte, error) {
	slot := (l.place() ^ uint64(l.kind()>>kindShift)) % keptPages
	page := k.kept[slot][:]
	if k.keptAt[slot] == l {
		return page, nil
	}
	k.keptAt[slot] = missing
	turns, base, err := m.turns(l)
	if err != nil {
		return nil, err
	}
	switch base.kind() {
	case zero:
		clear(page)
	case plain:
		_, err = m.read(page, base.place())
	default:
		err = m.unpack(k, page, base.place())
	}
	for i := len(turns) - 1; i >= 0 && err == nil; i-- {
		err = m.change(k, page, m.changes[turns[i]].at)
	}
	if err == nil {
		k.keptAt[slot] = l
	}
	return page, err
}

// turns returns the changes of a page, the last one first, and where its content before
// them is.
func (m *Memory) turns(l location) ([]uint64, location, error) {
	var list []uint64
	for ; l.kind() == changed; l = m.changes[l.place()].before {
		if len(list) == maxTurns {
			return nil, 0, damaged(m.changes[l.place()].at, fmt.Errorf("a page that was changed more than %d times", maxTurns))
		}
		list = append(list, l.place())
	}
	return list, l, nil
}

// change applies the changes in a record.
func (m *Memory) change(k *reader, page []byte, at uint64) error {
	b := k.record[:min(uint64(XBZRLEHeader+pageSize), m.size-at)]
	if _, err := m.read(b, at); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint16(b[1:]))
	if n > len(b)-XBZRLEHeader {
		return damaged(at, errXBZRLE)
	}
	if err := applyChanges(page, b[XBZRLEHeader:][:n]); err != nil {
		return damaged(at, err)
	}
	return nil
}

var errPageSize = errors.New("it does not decompress to one page of 0x1000 bytes")

// unpack decompresses a page of which the length and the zlib stream are at a file
// offset.
func (m *Memory) unpack(k *reader, page []byte, at uint64) error {
	const length = 4
	b := k.record[:min(uint64(length+MaxPacked), m.size-at)]
	if _, err := m.read(b, at); err != nil {
		return err
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if n > uint64(len(b)-length) { //nolint:gosec // a file that was read so far has the length
		return damaged(at, errPageSize)
	}
	k.src.Reset(b[length:][:n])
	if err := k.inflate(page); err != nil {
		return damaged(at, err)
	}
	return nil
}

// inflate decompresses what the reader has to a page.
func (k *reader) inflate(page []byte) error {
	if err := k.zlib.Reset(&k.src); err != nil {
		return err
	}
	if _, err := io.ReadFull(&k.zlib, page); err != nil {
		return err
	}
	var over [1]byte
	switch n, err := io.ReadFull(&k.zlib, over[:]); {
	case n > 0:
		return errPageSize
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// damaged is the error for a page whose data is not what it should be.
func damaged(at uint64, err error) error {
	off, _ := binio.Int64(at)
	return &physmem.ReadError{Offset: off, Damaged: true, Err: fmt.Errorf("%s: page data: %w", physmem.FormatMigration, err)}
}
