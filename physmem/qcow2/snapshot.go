package qcow2

import (
	"context"
	"encoding/binary"
	"time"

	"windmp/internal/binio"
	"windmp/physmem"
)

// snapshot is an entry of the table of snapshots.
type snapshot struct {
	at        uint64 // file offset
	id, name  string
	date      time.Time
	stateSize uint64 // bytes; 0 of one of the disk alone
	diskSize  uint64 // bytes, when it was made
	l1        uint64 // file offset of its L1 table
	l1Size    uint32 // entries
}

// Places in an entry.
const (
	l1SizeAt     = 8
	idSizeAt     = 12
	nameSizeAt   = 14
	dateAt       = 16
	stateSizeAt  = 32
	extraSizeAt  = 36
	entrySize    = 40
	extraStateAt = 40 // the extra data: the size of the state, and of the disk
	extraDiskAt  = 48
	extraState   = 8
	extraDisk    = 16
	entryAlign   = 8
	maxExtra     = 1024     // QEMU block/qcow2.h, QCOW_MAX_SNAPSHOT_EXTRA_DATA
	maxSnapshots = 65536    // QCOW_MAX_SNAPSHOTS
	maxTable     = 64 << 20 // QCOW_MAX_SNAPSHOTS_SIZE is 1024 times as much
)

// readSnapshots reads the table.
func (h *header) readSnapshots(ctx context.Context, src physmem.Source) ([]snapshot, error) {
	if h.snapshots > maxSnapshots {
		return nil, malformed(snapshotsAt, "header: snapshots", "0x%x of them", h.snapshots)
	}
	var list []snapshot
	be := binary.BigEndian
	size := binio.Uint64(src.Size())
	for at, kept := h.table, uint64(0); uint32(len(list)) < h.snapshots; { //nolint:gosec // at most maxSnapshots
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !binio.Within(at, entrySize, size) {
			return nil, malformed(at, "table of snapshots", "entry %d is behind the end of the file", len(list))
		}
		b, err := read(src, at, min(size-at, entrySize+extraDisk))
		if err != nil {
			return nil, err
		}
		s := snapshot{
			at: at, l1: be.Uint64(b), l1Size: be.Uint32(b[l1SizeAt:]), stateSize: uint64(be.Uint32(b[stateSizeAt:])), diskSize: h.diskSize,
			date: time.Unix(int64(be.Uint32(b[dateAt:])), int64(be.Uint32(b[dateAt+4:])%1e9)),
		}
		extra := be.Uint32(b[extraSizeAt:])
		ids, names := uint64(be.Uint16(b[idSizeAt:])), uint64(be.Uint16(b[nameSizeAt:]))
		if extra >= extraState && len(b) >= extraDiskAt {
			s.stateSize = be.Uint64(b[extraStateAt:])
		}
		if extra >= extraDisk && len(b) >= extraDiskAt+8 {
			s.diskSize = be.Uint64(b[extraDiskAt:])
		}
		text := at + entrySize + uint64(extra)
		if kept += ids + names; extra > maxExtra || kept > maxTable || !binio.Within(text, ids+names, size) {
			return nil, malformed(at, "table of snapshots", "entry %d goes past the end of the file, or the table past what is read", len(list))
		}
		if b, err = read(src, text, ids+names); err != nil {
			return nil, err
		}
		s.id, s.name = string(b[:ids]), string(b[ids:])
		list = append(list, s)
		at = (text + ids + names + entryAlign - 1) &^ (entryAlign - 1)
	}
	return list, nil
}

// read reads n bytes, which are in the file and not many.
func read(src physmem.Source, at, n uint64) ([]byte, error) {
	b := make([]byte, n)
	if err := binio.ReadFull(src, b, int64(at)); err != nil { //nolint:gosec // inside the file
		return nil, &physmem.ReadError{Offset: int64(at), Err: err} //nolint:gosec // inside the file
	}
	return b, nil
}
