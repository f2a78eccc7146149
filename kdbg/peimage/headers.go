package peimage

import (
	"debug/pe"

	gope "www.velocidex.com/golang/go-pe"

	"windmp/vtop"
)

// Directory is a data directory of an image.
type Directory struct {
	RVA, Size uint32 // bytes
}

// Headers are what an image's headers say of its parts. No part is read for them.
type Headers struct {
	Base vtop.VA
	// Size is SizeOfImage, HeaderSize SizeOfHeaders, bytes.
	Size, HeaderSize uint32
	Sections         []Section
	// Functions is the exception directory (".pdata"), Exports the export directory;
	// zero where the image has none or where it would not lie in the image.
	Functions, Exports Directory
}

// ReadHeaders reads the headers of the image mapped at base. The error is that of
// [Size].
func ReadHeaders(s *vtop.Space, base vtop.VA, f Format) (*Headers, error) {
	size, err := Size(s, base, f)
	if err != nil {
		return nil, err
	}
	v := &imageView{space: s, base: base, size: int64(size)}
	nt := gope.NewPeProfile().IMAGE_DOS_HEADER(v, 0).NTHeader()
	im := &Image{Base: base, Size: size}
	im.readSections(v, nt)
	h := &Headers{Base: base, Size: size, Sections: im.Sections}
	h.Functions = v.within(nt, pe.IMAGE_DIRECTORY_ENTRY_EXCEPTION)
	h.Exports = v.within(nt, pe.IMAGE_DIRECTORY_ENTRY_EXPORT)
	return h, nil
}

// within is a data directory that lies in the image.
func (v *imageView) within(nt *gope.IMAGE_NT_HEADERS, index int64) Directory {
	rva, size, err := v.directory(nt, index)
	if err != nil || rva < 0 || rva > v.size || int64(size) > v.size-rva {
		return Directory{}
	}
	return Directory{RVA: uint32(rva), Size: size} //nolint:gosec // within an image
}
