package peimage

import (
	"debug/pe"
	"fmt"
	"unsafe"
)

const (
	lfanewOffset = 0x3c // of IMAGE_DOS_HEADER (winnt.h)

	// The fields of IMAGE_NT_HEADERS, bytes from its beginning: the signature stands
	// before the file header.
	fileHeaderOffset     = 4
	optionalHeaderOffset = fileHeaderOffset + int64(unsafe.Sizeof(pe.FileHeader{}))

	directorySize = int64(unsafe.Sizeof(pe.DataDirectory{}))

	// The fields of IMAGE_EXPORT_DIRECTORY and of the record of type RSDS
	// (CV_INFO_PDB70), bytes from their beginnings.
	exportName, exportNames, exportFunctionsAt, exportNamesAt, exportOrdinalsAt = 12, 24, 28, 32, 36
	rsdsGUID, rsdsAge                                                           = 4, 20
)

// layouts are the [structures] by the layouts of debug/pe.
type layouts struct{ fields }

func (l layouts) dosMagic() uint16  { return l.uint16(0) }
func (l layouts) lfanew() int64     { return int64(int32(l.uint32(lfanewOffset))) } //nolint:gosec // it has a sign
func (l layouts) signature() uint32 { return l.uint32(l.lfanew()) }

func (l layouts) machine() uint16 {
	return l.uint16(l.file(unsafe.Offsetof(pe.FileHeader{}.Machine)))
}

func (l layouts) timestamp() uint32 {
	return l.uint32(l.file(unsafe.Offsetof(pe.FileHeader{}.TimeDateStamp)))
}

func (l layouts) sections() int64 {
	return int64(l.uint16(l.file(unsafe.Offsetof(pe.FileHeader{}.NumberOfSections))))
}

func (l layouts) sectionsAt() int64 {
	return l.optional(0) + int64(l.uint16(l.file(unsafe.Offsetof(pe.FileHeader{}.SizeOfOptionalHeader))))
}

func (l layouts) magic() uint16 { return l.uint16(l.optional(0)) }

func (l layouts) sizeOfImage() uint32 {
	return l.uint32(l.optional(unsafe.Offsetof(pe.OptionalHeader64{}.SizeOfImage)))
}

func (l layouts) checkSum() uint32 {
	return l.uint32(l.optional(unsafe.Offsetof(pe.OptionalHeader64{}.CheckSum)))
}

func (l layouts) directory(index int64) Directory {
	first := l.optional(unsafe.Offsetof(pe.OptionalHeader32{}.DataDirectory))
	if l.magic() == X64.Magic {
		first = l.optional(unsafe.Offsetof(pe.OptionalHeader64{}.DataDirectory))
	}
	at := first + index*directorySize
	return Directory{RVA: l.uint32(at), Size: l.uint32(at + 4)}
}

func (l layouts) exportDirectory(rva int64) exportDirectory {
	return exportDirectory{
		name: l.uint32(rva + exportName), names: l.uint32(rva + exportNames),
		functionsAt: l.uint32(rva + exportFunctionsAt), namesAt: l.uint32(rva + exportNamesAt), ordinalsAt: l.uint32(rva + exportOrdinalsAt),
	}
}

func (l layouts) debugDirectory(rva int64) debugDirectory {
	return debugDirectory{kind: l.uint32(rva + debugType), address: l.uint32(rva + debugAddress)}
}

func (l layouts) codeView(rva int64) codeView {
	var tail [8]byte // of the GUID, which is not one number
	l.read(tail[:], rva+rsdsGUID+8)
	guid := fmt.Sprintf("%08X%04X%04X%016X", l.uint32(rva+rsdsGUID), l.uint16(rva+rsdsGUID+4), l.uint16(rva+rsdsGUID+6), tail[:])
	return codeView{guid, l.uint32(rva + rsdsAge)}
}

// file and optional are where a field of the file header and the optional header lies.
func (l layouts) file(offset uintptr) int64 {
	return l.lfanew() + fileHeaderOffset + int64(offset) //nolint:gosec // of a field
}

func (l layouts) optional(offset uintptr) int64 {
	return l.lfanew() + optionalHeaderOffset + int64(offset) //nolint:gosec // of a field
}
