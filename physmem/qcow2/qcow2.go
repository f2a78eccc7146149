// Package qcow2 opens the memory that a snapshot inside a qcow2 disk image holds: what
// savevm, snapshot-save and virsh snapshot-create leave there is QEMU's migration
// stream, behind the end of the disk.
//
// Source: QEMU docs/interop/qcow2.txt. All numbers are big-endian.
package qcow2

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/migration"
)

// Opener returns the opener of qcow2 images. The name, or the id, says which snapshot's
// memory is meant, where there are several; empty if that is not said.
func Opener(name string) physmem.Opener {
	return physmem.Opener{Format: physmem.FormatQcow2, Snapshots: true, Open: func(ctx context.Context, src physmem.Source) (*physmem.Container, error) {
		return open(ctx, src, name)
	}}
}

const magic = "QFI\xfb"

// Places in the header, and its least size.
const (
	versionAt     = 4
	backingAt     = 8  // file offset of the backing file's name
	backingSizeAt = 16 // and its size in bytes
	clusterBitsAt = 20
	diskSizeAt    = 24
	cryptAt       = 32
	snapshotsAt   = 60
	tableAt       = 64
	headerSize    = 72
	featuresAt    = 72 // of version 3
	headerSize3   = 104
)

// Incompatible features.
const (
	featureCorrupt    = 1 << 1
	featureExternal   = 1 << 2 // the data is in another file, and no memory is saved
	featureExtendedL2 = 1 << 4
	// featuresKnown are those that change nothing of what is read here, and these.
	featuresKnown = 1<<0 | featureCorrupt | featureExternal | 1<<3 | featureExtendedL2
)

// header is what the image's header says.
type header struct {
	clusterBits uint // 9 to 21
	entryBits   uint // of the size of an L2 entry
	diskSize    uint64
	snapshots   uint32
	table       uint64
	// backing is the name of the file that the image is on top of, empty if there is
	// none.
	backing string
}

// l2Bits is how many bits of an offset an L2 table covers, without those of the cluster.
func (h *header) l2Bits() uint { return h.clusterBits - h.entryBits }

// open opens the memory of a snapshot.
func open(ctx context.Context, src physmem.Source, name string) (*physmem.Container, error) {
	h, err := readHeader(src)
	if err != nil {
		return nil, err
	}
	all, err := h.readSnapshots(ctx, src)
	if err != nil {
		return nil, err
	}
	disks := len(all)
	all = slices.DeleteFunc(all, func(s snapshot) bool { return s.stateSize == 0 })
	if len(all) == 0 {
		return nil, h.withoutMemory(disks)
	}
	s, err := choose(all, name)
	if err != nil {
		return nil, err
	}
	state, err := newState(src, h, s)
	if err != nil {
		return nil, err
	}
	c, err := migration.Opener().Open(ctx, state)
	if err != nil {
		if why, ok := physmem.WhyNotMine(err); ok {
			return nil, malformed(s.at, "snapshot", "its state is no migration stream: %s", why)
		}
		return nil, state.relocate(err)
	}
	c.Description = fmt.Sprintf("qcow2 image, snapshot %q of %s, %s", s.name, s.date.UTC().Format(time.DateTime), c.Description)
	c.State.Snapshot, c.State.Saved = physmem.StateText(s.name), s.date.UTC()
	if physmem.InUse(src) {
		c.Oddities = append(c.Oddities, physmem.Oddity{
			Kind: physmem.OddityInUse, Text: "a machine runs with the disk image: the memory of its snapshot stays as it is until the snapshot is deleted",
		})
	}
	for i := range c.CPUs {
		c.CPUs[i].NoteOffset = state.fileOffset(c.CPUs[i].NoteOffset)
	}
	for i := range c.Oddities {
		c.Oddities[i].Offset = state.fileOffset(c.Oddities[i].Offset)
	}
	if c.GuestNote != nil {
		c.GuestNote.Offset = state.fileOffset(c.GuestNote.Offset)
	}
	return c, nil
}

// withoutMemory is the error for an image of which no snapshot has memory, with so many
// of the disk alone.
func (h *header) withoutMemory(disks int) error {
	e := &physmem.UnsupportedError{Format: physmem.FormatQcow2}
	switch {
	case disks > 0:
		e.What = fmt.Sprintf("a qcow2 disk image with %s of the disk alone, without memory", binio.Plural(uint64(disks), "snapshot"))
		e.Hint = "of a machine with several disks, one has the snapshot's memory: try the others; " + hintDump
	case h.backing != "":
		e.What = fmt.Sprintf("a qcow2 disk image without the memory of a snapshot, on top of %q", h.backing)
		e.Hint = "a snapshot that was made before that is in the file below; " + hintDump
	default:
		return physmem.NotMine("a disk image without snapshots")
	}
	return e
}

const hintDump = "or dump the guest's memory, for example with virsh dump --memory-only"

// readBacking reads the name of the backing file.
func (h *header) readBacking(src physmem.Source, b []byte) error {
	const maxName = 1023 // QEMU docs/interop/qcow2.txt
	at, n := binary.BigEndian.Uint64(b[backingAt:]), uint64(binary.BigEndian.Uint32(b[backingSizeAt:]))
	if at == 0 || n == 0 || n > maxName || !binio.Within(at, n, binio.Uint64(src.Size())) {
		return nil
	}
	name, err := read(src, at, n)
	h.backing = string(name)
	return err
}

// readHeader reads the header, and refuses what hides the state of snapshots.
func readHeader(src physmem.Source) (*header, error) {
	b, err := physmem.Head(src, headerSize3)
	if err != nil {
		return nil, err
	}
	be := binary.BigEndian
	if !strings.HasPrefix(string(b), magic) || len(b) < headerSize {
		return nil, physmem.NotMine("no QFI signature at its start")
	}
	h := &header{
		clusterBits: uint(be.Uint32(b[clusterBitsAt:])), entryBits: 3, diskSize: be.Uint64(b[diskSizeAt:]),
		snapshots: be.Uint32(b[snapshotsAt:]), table: be.Uint64(b[tableAt:]),
	}
	version, features := be.Uint32(b[versionAt:]), uint64(0)
	if version >= 3 && len(b) == headerSize3 {
		features = be.Uint64(b[featuresAt:])
	}
	const leastBits, mostBits = 9, 21 // QEMU block/qcow2.h, MIN_CLUSTER_BITS, MAX_CLUSTER_BITS
	what := ""
	switch {
	case version < 2, version > 3, h.clusterBits < leastBits, h.clusterBits > mostBits:
		return nil, physmem.NotMine("a disk image of another version")
	case h.snapshots == 0:
		if err := h.readBacking(src, b); err != nil {
			return nil, err
		}
		return nil, h.withoutMemory(0)
	case be.Uint32(b[cryptAt:]) != 0:
		what = "an encrypted qcow2 disk image: the memory of its snapshots is encrypted too"
	case features&featureCorrupt != 0:
		what = "a qcow2 disk image that QEMU has marked as corrupt"
	case features&featureExternal != 0:
		what = "a qcow2 disk image whose data is in another file: its snapshots hold no memory"
	case features&^featuresKnown != 0:
		what = fmt.Sprintf("a qcow2 disk image with features that are not known (%d)", features&^featuresKnown)
	}
	if what != "" {
		return nil, &physmem.UnsupportedError{Format: physmem.FormatQcow2, What: what, Hint: hintRestore}
	}
	if features&featureExtendedL2 != 0 {
		h.entryBits = 4
	}
	return h, nil
}

const hintRestore = "go back to the snapshot and dump the guest's memory with virsh dump --memory-only"

// choose returns the snapshot of a name or an id, or the only one.
func choose(all []snapshot, name string) (*snapshot, error) {
	var list []string
	for i := range all {
		s := &all[i]
		if name == s.name && name != "" || name == "" && len(all) == 1 {
			return s, nil
		}
		if len(list) < maxListed {
			list = append(list, fmt.Sprintf("%q (id %s) of %s, %s", s.name, s.id, s.date.UTC().Format(time.DateTime), binio.Bytes(s.stateSize)))
		}
	}
	for i := range all {
		if name == all[i].id && name != "" {
			return &all[i], nil
		}
	}
	if len(all) > len(list) {
		list = append(list, fmt.Sprintf("and %d more", len(all)-len(list)))
	}
	return nil, &physmem.SnapshotError{Name: name, Snapshots: list}
}

// maxListed caps the snapshots that an error names.
const maxListed = 32

// malformed is the error for what can't be at a file offset.
func malformed(at uint64, field, format string, args ...any) error {
	off, _ := binio.Int64(at)
	return &physmem.FormatError{Format: physmem.FormatQcow2, Offset: off, Field: field, Reason: fmt.Sprintf(format, args...)}
}

// relocate gives an error of the stream the file offset of what it is about.
func (s *state) relocate(err error) error {
	var bad *physmem.FormatError
	if errors.As(err, &bad) {
		moved := *bad
		moved.Offset = s.fileOffset(bad.Offset)
		return &moved
	}
	return err
}
