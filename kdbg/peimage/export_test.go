package peimage

import (
	"debug/pe"

	"windmp/vtop"
)

// told is all that a decoder says of an image.
type told struct {
	DOSMagic, Machine, Magic             uint16
	Lfanew, Sections, SectionsAt         int64
	Signature, Timestamp, Size, CheckSum uint32
	Directories                          []Directory
	Exports                              exportDirectory
	Debug                                []debugDirectory
	CodeViews                            []codeView
	Err                                  error
}

// Told is what go-pe tells of an image, and what the layouts of the browser's build do.
func Told(s *vtop.Space, base vtop.VA, size uint32) (decoded, layout any) {
	tell := func(of func(v *imageView) structures) told {
		v := &imageView{space: s, base: base, size: int64(size)}
		return tellOf(v, of(v))
	}
	return tell(func(v *imageView) structures { return structuresOf(v) }),
		tell(func(v *imageView) structures { return layouts{fields{v}} })
}

func tellOf(v *imageView, x structures) told {
	t := told{
		DOSMagic: x.dosMagic(), Machine: x.machine(), Magic: x.magic(), Lfanew: x.lfanew(), Sections: x.sections(), SectionsAt: x.sectionsAt(),
		Signature: x.signature(), Timestamp: x.timestamp(), Size: x.sizeOfImage(), CheckSum: x.checkSum(),
	}
	for i := range int64(16) {
		t.Directories = append(t.Directories, x.directory(i))
	}
	t.Exports = x.exportDirectory(int64(t.Directories[pe.IMAGE_DIRECTORY_ENTRY_EXPORT].RVA))
	debug := t.Directories[pe.IMAGE_DIRECTORY_ENTRY_DEBUG]
	for i := range min(int64(debug.Size)/debugEntry, maxDebugEntries) {
		d := x.debugDirectory(int64(debug.RVA) + i*debugEntry)
		t.Debug, t.CodeViews = append(t.Debug, d), append(t.CodeViews, x.codeView(int64(d.address)))
	}
	t.Err = v.part()
	return t
}
