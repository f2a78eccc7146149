package peimage

import (
	"debug/pe"
	"encoding/binary"

	"windmp/vtop"
)

// Directory is a data directory of an image.
type Directory struct {
	RVA, Size uint32 // bytes
}

// Headers are what an image's headers say of its parts. No part is read for them.
type Headers struct {
	Base vtop.VA
	// Size is SizeOfImage, bytes.
	Size uint32
	// Length is how far the headers reach, the list of sections included, bytes.
	Length   uint32
	Sections []Section
	// Functions is the exception directory (".pdata"), Exports the export directory;
	// zero where the image has none or where it would not lie in the image.
	Functions, Exports Directory
	// Debug is the debug directory, likewise; see [Headers.CodeView].
	Debug Directory
}

// ReadHeaders reads the headers of the image mapped at base. The error is that of
// [Size].
func ReadHeaders(s *vtop.Space, base vtop.VA, f Format) (*Headers, error) {
	size, err := Size(s, base, f)
	if err != nil {
		return nil, err
	}
	v := &imageView{space: s, base: base, size: int64(size)}
	nt := structuresOf(v)
	im := &Image{Base: base, Size: size}
	im.readSections(v, nt)
	return &Headers{
		Base: base, Size: size, Sections: im.Sections, Length: v.headerLength(nt),
		Functions: v.inside(nt, pe.IMAGE_DIRECTORY_ENTRY_EXCEPTION),
		Exports:   v.inside(nt, pe.IMAGE_DIRECTORY_ENTRY_EXPORT),
		Debug:     v.inside(nt, pe.IMAGE_DIRECTORY_ENTRY_DEBUG),
	}, nil
}

// CodeView is where the image's record of its symbols lies; false where that can't be
// told.
func (h *Headers) CodeView(s *vtop.Space) (Directory, bool) {
	for i := range min(h.Debug.Size/debugEntry, maxDebugEntries) {
		var b [debugEntry]byte
		if _, err := s.ReadVirtual(b[:], h.Base+vtop.VA(h.Debug.RVA)+vtop.VA(i*debugEntry)); err != nil {
			return Directory{}, false
		}
		le := binary.LittleEndian
		d := Directory{RVA: le.Uint32(b[debugAddress:]), Size: le.Uint32(b[debugSize:])}
		if le.Uint32(b[debugType:]) == debugCodeView && d.RVA < h.Size && d.Size <= h.Size-d.RVA {
			return d, true
		}
	}
	return Directory{}, false
}

// Section is the section in which an RVA lies, nil for none.
func (h *Headers) Section(rva uint32) *Section {
	for i := range h.Sections {
		if x := &h.Sections[i]; rva >= x.RVA && rva-x.RVA < x.Size {
			return x
		}
	}
	return nil
}

// headerLength is where the list of sections ends.
func (v *imageView) headerLength(nt structures) uint32 {
	sections := min(nt.sections(), maxSections)
	end := nt.sectionsAt() + sections*sectionHeaderSize
	return uint32(min(end, v.size)) //nolint:gosec // within an image
}

// inside is a data directory that lies in the image.
func (v *imageView) inside(nt structures, index int64) Directory {
	rva, size, err := v.directory(nt, index)
	if err != nil || rva < 0 || rva > v.size || int64(size) > v.size-rva {
		return Directory{}
	}
	return Directory{RVA: uint32(rva), Size: size} //nolint:gosec // within an image
}
