package peimage

import (
	"encoding/binary"
	"io"
)

// structures are those of an image that a decoder reads, each field when it is asked for
// and no other: they may reach into pages that are not in memory. Fields that can't be
// read are zero: the reader remembers that, and is asked once per part. Addresses are
// RVAs.
//
// go-pe decodes them, and in the browser, where all that go-pe brings along would have to
// be loaded first, the layouts of debug/pe.
type structures interface {
	// dosMagic and lfanew are of the IMAGE_DOS_HEADER at the beginning, the others of
	// the IMAGE_NT_HEADERS to which lfanew points.
	dosMagic() uint16
	lfanew() int64
	signature() uint32
	machine() uint16
	timestamp() uint32
	sections() int64
	// sectionsAt is where the list of sections begins.
	sectionsAt() int64
	magic() uint16
	// sizeOfImage and checkSum are at the same offsets in PE32 and PE32+.
	sizeOfImage() uint32
	checkSum() uint32
	// directory is a data directory, by its pe.IMAGE_DIRECTORY_ENTRY_*.
	directory(index int64) Directory
	// exportDirectory, debugDirectory and codeView are what lies at an RVA.
	exportDirectory(rva int64) exportDirectory
	debugDirectory(rva int64) debugDirectory
	codeView(rva int64) codeView
}

// exportDirectory is an IMAGE_EXPORT_DIRECTORY.
type exportDirectory struct {
	name, names                      uint32
	functionsAt, namesAt, ordinalsAt uint32
}

// debugDirectory is an entry of the debug directory, an IMAGE_DEBUG_DIRECTORY.
type debugDirectory struct{ kind, address uint32 }

// codeView is a record of type RSDS without its name: the GUID is in the order of
// [PDB.GUID].
type codeView struct {
	guid string
	age  uint32
}

// dosHeaderSize is the size of IMAGE_DOS_HEADER, bytes.
const dosHeaderSize = 0x40

// fields reads numbers of an image, in little-endian.
type fields struct{ r io.ReaderAt }

func (f fields) uint16(at int64) uint16 {
	var b [2]byte
	f.read(b[:], at)
	return binary.LittleEndian.Uint16(b[:])
}

func (f fields) uint32(at int64) uint32 {
	var b [4]byte
	f.read(b[:], at)
	return binary.LittleEndian.Uint32(b[:])
}

// read leaves zeros for what can't be read as a whole.
func (f fields) read(b []byte, at int64) {
	if _, err := f.r.ReadAt(b, at); err != nil {
		clear(b)
	}
}
