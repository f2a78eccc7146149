// Package lime opens memory images of LiME's format: ranges of physical memory, each
// behind a header. LiME itself is a Linux kernel module; tools that read a guest's memory
// from its host (PCILeech, libvmi's) and AVML without compression write the format too. It
// has no processors.
//
// Source: LiME's src/lime.h and doc/README.md, AVML's src/image.rs.
package lime

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/extents"
)

// Opener returns the opener of LiME's images.
func Opener() physmem.Opener { return physmem.Opener{Format: physmem.FormatLiME, Open: open} }

// header is lime_mem_range_header of version 1, in wire order, little-endian.
type header struct {
	Magic, Version uint32
	// Start and Last are the physical addresses of the first and the last byte.
	Start, Last uint64
	_           [8]byte
}

const (
	headerSize = 32
	magic      = 0x4c694d45 // "EMiL" in the file
	version    = 1
	// maxRanges caps the ranges. LiME writes one for each "System RAM" of
	// /proc/iomem, a dozen.
	maxRanges = 1 << 16
)

// file is one while it is opened.
type file struct {
	src    physmem.Source
	size   uint64
	odd    physmem.Oddities
	pieces []extents.Piece
}

// open opens an image: its ranges follow each other up to the end of the file.
func open(ctx context.Context, src physmem.Source) (*physmem.Container, error) {
	f := &file{src: src, size: binio.Uint64(src.Size())}
	if f.size < headerSize {
		return nil, physmem.NotMine("too short for a header")
	}
	first, err := f.header(0)
	switch {
	case err != nil:
		return nil, err
	case first.Magic != magic:
		return nil, physmem.NotMine("no EMiL signature at its start")
	case first.Version != version:
		return nil, &physmem.UnsupportedError{Format: physmem.FormatLiME, What: fmt.Sprintf("a LiME memory image of version %d; version 1 is read", first.Version)}
	}
	if err := f.walk(ctx); err != nil {
		return nil, err
	}
	if len(f.pieces) == 0 {
		return nil, &physmem.FormatError{
			Format: physmem.FormatLiME, Field: "ranges", Reason: "none has memory that the file holds",
			Hint: physmem.HintIncomplete, Cut: &physmem.Cut{Size: f.size},
		}
	}
	f.odd.Add(physmem.OddityUntried, 0, "LiME's format is read by its published description; no file of a Windows guest that one of the tools wrote was tried")
	count := len(f.pieces)
	list, clash := extents.Resolve(f.pieces)
	if clash != nil {
		f.odd.Add(physmem.OddityConflict, 0, "several ranges have the same memory; the first one is believed").Because("that at physical address 0x%x, at file offsets 0x%x and 0x%x",
			clash.PA, clash.Offsets[0], clash.Offsets[1])
	}
	return &physmem.Container{
		Description: "LiME memory image, " + binio.Plural(uint64(count), "range"),
		Memory:      extents.New(src, list), Oddities: f.odd.All(),
	}, nil
}

// header reads the header at a file offset, which is in the file as a whole.
func (f *file) header(at uint64) (*header, error) {
	off := int64(at) //nolint:gosec // inside the file
	b := make([]byte, headerSize)
	if err := binio.ReadFull(f.src, b, off); err != nil {
		return nil, &physmem.ReadError{Offset: off, Err: err}
	}
	h := new(header)
	if _, err := binary.Decode(b, binary.LittleEndian, h); err != nil {
		return nil, &physmem.ReadError{Offset: off, Err: err}
	}
	return h, nil
}

// walk takes the ranges. One that makes no sense hides those behind it, and what follows
// the last one is not looked at if it is zeros: a volume is longer than what is on it.
func (f *file) walk(ctx context.Context) error {
	for at, i := uint64(0), 0; at < f.size; i++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		off := int64(at)
		if f.size-at < headerSize {
			f.odd.Add(physmem.OddityTruncated, off, "%s, in the header of range %d", physmem.Cut{Size: f.size}, i)
			return nil
		}
		h, err := f.header(at)
		if err != nil {
			return err
		}
		switch {
		case *h == header{}:
			return nil
		case i == maxRanges:
			f.odd.Add(physmem.OddityLimit, off, "more than %d ranges; the others are left out", maxRanges)
			return nil
		case h.Magic != magic || h.Version != version || h.Last < h.Start || h.Last >= physmem.MaxAddress:
			f.odd.Add(physmem.OddityBadSegment, off, "header %d is none of a range of physical memory; it and all behind it are left out", i).Because("signature 0x%08x, version %d, 0x%x to 0x%x",
				h.Magic, h.Version, h.Start, h.Last)
			return nil
		}
		at += headerSize
		at = f.take(h, at, i)
	}
	return nil
}

// take takes a range whose memory begins at a file offset, and returns where it ends.
func (f *file) take(h *header, at uint64, i int) uint64 {
	size := h.Last - h.Start + 1 // at most MaxAddress
	have := binio.Clip(at, size, f.size)
	if have < size {
		f.odd.Add(physmem.OddityTruncated, int64(at-headerSize), "%s", //nolint:gosec // inside the file
			physmem.Cut{Size: f.size, Whole: at + size}).Because("it ends in range %d, %v", i, physmem.Range{Start: h.Start, Size: size})
	}
	if have > 0 && at <= math.MaxInt64 {
		f.pieces = append(f.pieces, extents.Piece{Order: i, Extent: physmem.Extent{
			Range: physmem.Range{Start: h.Start, Size: have}, Offset: int64(at),
		}})
	}
	return at + size
}
