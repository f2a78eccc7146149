package peimage

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"

	"windmp/vtop"
)

const (
	// maxSections, maxDebugEntries and maxImageName bound what an image's headers
	// may claim. Kernels have about 40 sections and 4 debug entries.
	maxSections     = 96
	maxDebugEntries = 32
	maxImageName    = 260

	// sectionHeaderSize is the size of IMAGE_SECTION_HEADER, bytes.
	sectionHeaderSize = int64(unsafe.Sizeof(pe.SectionHeader32{}))

	debugCodeView = 2          // IMAGE_DEBUG_TYPE_CODEVIEW
	rsdsSignature = 0x53445352 // "RSDS"
	rsdsHeader    = 24         // up to the name
	// An entry of the debug directory and its fields, bytes (IMAGE_DEBUG_DIRECTORY).
	debugEntry, debugType, debugSize, debugAddress = 28, 12, 16, 20

	resourceType   = 16         // RT_VERSION
	maxResources   = 64         // entries looked at in a directory
	fixedSignature = 0xfeef04bd // VS_FIXEDFILEINFO.dwSignature
	// fixedWithin bounds where VS_FIXEDFILEINFO begins in its resource: behind
	// three words and "VS_VERSION_INFO", aligned (Microsoft, VS_VERSIONINFO).
	fixedWithin = 0x28

	// leastExport is what an exported name takes at least in its tables, bytes:
	// the addresses of the name and of what it names.
	leastExport = 8
)

// Image is what a loaded PE image says of itself, as far as its pages are in
// memory. Parts that are missing are empty, and their error says why:
// [ErrNoSuchPart], [ErrBadString], an [Error], or a *vtop.FaultError wrapped.
type Image struct {
	Base vtop.VA
	// Size is SizeOfImage in bytes, a multiple of the page size.
	Size uint32
	// Timestamp is TimeDateStamp. In reproducible builds, as Windows' are, it is a
	// hash and not a time.
	Timestamp uint32
	Sections  []Section

	// Name is the name in the export directory.
	Name    string
	NameErr error
	// PDB is the debug record, nil when there is none.
	PDB    *PDB
	PDBErr error
	// FileVersion is the version resource's, such as "10.0.19041.1".
	FileVersion    string
	FileVersionErr error
}

// Section is a section of an image.
type Section struct {
	Name  string
	RVA   uint32
	Size  uint32 // bytes in memory
	Flags uint32 // IMAGE_SCN_*
}

// Writable reports whether the section is data that changes.
func (s *Section) Writable() bool { return s.Flags&pe.IMAGE_SCN_MEM_WRITE != 0 }

// Executable reports whether the section is code.
func (s *Section) Executable() bool { return s.Flags&pe.IMAGE_SCN_MEM_EXECUTE != 0 }

// PDB identifies the symbols of an image: a CodeView record of type RSDS.
type PDB struct {
	// Name is the file's name or path as the linker left it; printable ASCII.
	Name string
	// GUID is in the order of the symbol servers' keys: 32 upper-case hex digits.
	GUID string
	Age  uint32
}

// Clone returns a copy, with which im shares nothing.
func (im *Image) Clone() *Image {
	c := *im
	c.Sections = slices.Clone(im.Sections)
	if c.PDB != nil {
		c.PDB = new(*c.PDB)
	}
	return &c
}

// Read reads the headers of the image mapped at base. The error is that of [Size];
// what is wrong with a part is said beside it.
func Read(s *vtop.Space, base vtop.VA, f Format) (*Image, error) {
	size, err := Size(s, base, f)
	if err != nil {
		return nil, err
	}
	v := &imageView{space: s, base: base, size: int64(size)}
	nt := structuresOf(v)
	im := &Image{Base: base, Size: size, Timestamp: nt.timestamp()}
	im.readSections(v, nt)
	im.Name, im.NameErr = v.exportName(nt)
	im.PDB, im.PDBErr = v.pdb(nt)
	im.FileVersion, im.FileVersionErr = v.fileVersion(nt)
	return im, nil
}

// imageView shows a loaded image to [structures], offset = RVA. What can't be read is zero
// there, so the view remembers what that was.
type imageView struct {
	space *vtop.Space
	base  vtop.VA
	size  int64
	err   error // the first of the current part
}

func (v *imageView) fields() fields { return fields{v} }

// ReadAt reads from the image; bytes that are not readable come as zeros.
func (v *imageView) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < 0 || off > v.size || int64(len(p)) > v.size-off {
		v.fail(&Error{Base: v.base, Field: "RVA", Got: uint64(off), Want: fmt.Sprintf("below SizeOfImage %#x", v.size)}) //nolint:gosec // shown only
		return len(p), nil
	}
	if _, err := v.space.ReadVirtual(p, v.base+vtop.VA(off)); err != nil {
		v.fail(err)
	}
	return len(p), nil
}

// some reads what there is up to the first byte that is not in memory. A small dump has
// an image's strings without what follows them.
func (v *imageView) some(p []byte, off int64) (int, error) {
	if off < 0 || off > v.size || int64(len(p)) > v.size-off {
		return 0, &Error{Base: v.base, Field: "RVA", Got: uint64(off), Want: fmt.Sprintf("below SizeOfImage %#x", v.size)} //nolint:gosec // shown only
	}
	return v.space.ReadVirtual(p, v.base+vtop.VA(off))
}

func (v *imageView) fail(err error) {
	if v.err == nil {
		v.err = err
	}
}

// part ends the reading of a part: its error, and a clean slate for the next.
func (v *imageView) part() error {
	err := v.err
	v.err = nil
	return err
}

func (im *Image) readSections(v *imageView, nt structures) {
	offset := nt.sectionsAt()
	for i := range min(nt.sections(), maxSections) {
		var raw [sectionHeaderSize]byte
		if _, err := v.ReadAt(raw[:], offset+i*sectionHeaderSize); err != nil || v.err != nil {
			break
		}
		var h pe.SectionHeader32
		// It can only refuse a short buffer, and this one has the right size.
		_, _ = binary.Decode(raw[:], binary.LittleEndian, &h)
		if h.VirtualAddress < im.Size && h.VirtualSize <= im.Size-h.VirtualAddress {
			name, _, _ := bytes.Cut(h.Name[:], []byte{0})
			im.Sections = append(im.Sections, Section{Name: string(name), RVA: h.VirtualAddress, Size: h.VirtualSize, Flags: h.Characteristics})
		}
	}
	v.err = nil
}

// directory is the RVA of a data directory.
func (v *imageView) directory(nt structures, index int64) (int64, uint32, error) {
	d := nt.directory(index)
	if err := v.part(); err != nil {
		return 0, 0, err
	}
	if d.RVA == 0 || d.Size == 0 {
		return 0, 0, ErrNoSuchPart
	}
	return int64(d.RVA), d.Size, nil
}

func (v *imageView) exportName(nt structures) (string, error) {
	rva, _, err := v.directory(nt, pe.IMAGE_DIRECTORY_ENTRY_EXPORT)
	if err != nil {
		return "", fmt.Errorf("export directory: %w", err)
	}
	at := nt.exportDirectory(rva).name
	if err := v.part(); err != nil {
		return "", fmt.Errorf("export directory: %w", err)
	}
	name, err := v.text(int64(at))
	if err != nil {
		return "", fmt.Errorf("name in the export directory: %w", err)
	}
	return name, nil
}

// text is the printable, terminated string at rva.
func (v *imageView) text(rva int64) (string, error) {
	var out []byte
	for len(out) < maxImageName {
		at := rva + int64(len(out))
		chunk := make([]byte, min(maxImageName-int64(len(out)), pageSize-at&(pageSize-1)))
		n, err := v.some(chunk, at)
		before, _, found := bytes.Cut(chunk[:n], []byte{0})
		if !found && err != nil {
			return "", err
		}
		for _, c := range before {
			if c < ' ' || c > '~' {
				return "", fmt.Errorf("%w: byte %#02x", ErrBadString, c)
			}
		}
		out = append(out, before...)
		if found && len(out) > 0 {
			return string(out), nil
		}
		if found {
			break
		}
	}
	return "", fmt.Errorf("%w: empty or longer than %d bytes", ErrBadString, maxImageName)
}

// pdb goes through all debug entries: the record need not be in the first.
func (v *imageView) pdb(nt structures) (*PDB, error) {
	rva, size, err := v.directory(nt, pe.IMAGE_DIRECTORY_ENTRY_DEBUG)
	if err != nil {
		return nil, fmt.Errorf("debug directory: %w", err)
	}
	for i := range min(int64(size)/debugEntry, maxDebugEntries) {
		d := nt.debugDirectory(rva + i*debugEntry)
		at := int64(d.address)
		if err := v.part(); err != nil {
			return nil, fmt.Errorf("debug directory: %w", err)
		}
		if d.kind != debugCodeView {
			continue
		}
		if v.fields().uint32(at) == rsdsSignature && v.err == nil {
			return v.rsds(nt, at)
		}
		if err := v.part(); err != nil {
			return nil, fmt.Errorf("debug record: %w", err)
		}
	}
	return nil, fmt.Errorf("CodeView record: %w", ErrNoSuchPart)
}

func (v *imageView) rsds(nt structures, at int64) (*PDB, error) {
	record := nt.codeView(at)
	out := &PDB{GUID: record.guid, Age: record.age}
	if err := v.part(); err != nil {
		return nil, fmt.Errorf("debug record: %w", err)
	}
	var err error
	if out.Name, err = v.text(at + rsdsHeader); err != nil {
		return nil, fmt.Errorf("debug record: %w", err)
	}
	return out, nil
}

// fileVersion takes the first language of the first version resource. The tree is
// walked by levels, of which it has three: it may refer to itself.
func (v *imageView) fileVersion(nt structures) (string, error) {
	base, _, err := v.directory(nt, pe.IMAGE_DIRECTORY_ENTRY_RESOURCE)
	if err != nil {
		return "", fmt.Errorf("resource directory: %w", err)
	}
	at, ok := v.resourceEntry(base, 0, func(id uint32) bool { return id == resourceType })
	for level := 0; ok && level < 2 && at&(1<<31) != 0; level++ {
		at, ok = v.resourceEntry(base, int64(at&^(1<<31)), func(uint32) bool { return true })
	}
	var data [8]byte
	if ok && at&(1<<31) == 0 {
		_, _ = v.ReadAt(data[:], base+int64(at))
	}
	if err := v.part(); err != nil {
		return "", fmt.Errorf("resource directory: %w", err)
	}
	if !ok || at&(1<<31) != 0 {
		return "", fmt.Errorf("version resource: %w", ErrNoSuchPart)
	}
	return v.fixedFileInfo(int64(binary.LittleEndian.Uint32(data[:])))
}

// resourceEntry finds an entry of the IMAGE_RESOURCE_DIRECTORY at an offset from
// base, and gives its OffsetToData: bit 31 says that it is a directory.
func (v *imageView) resourceEntry(base, offset int64, want func(id uint32) bool) (uint32, bool) {
	le := binary.LittleEndian
	var head [16]byte
	_, _ = v.ReadAt(head[:], base+offset)
	n := int64(le.Uint16(head[12:])) + int64(le.Uint16(head[14:]))
	for i := range min(n, maxResources) {
		var entry [8]byte
		_, _ = v.ReadAt(entry[:], base+offset+int64(len(head))+i*int64(len(entry)))
		if v.err != nil {
			return 0, false
		}
		if want(le.Uint32(entry[:])) {
			return le.Uint32(entry[4:]), true
		}
	}
	return 0, false
}

func (v *imageView) fixedFileInfo(rva int64) (string, error) {
	le := binary.LittleEndian
	b := make([]byte, fixedWithin+16)
	_, _ = v.ReadAt(b, rva)
	if err := v.part(); err != nil {
		return "", fmt.Errorf("version resource: %w", err)
	}
	for off := 0; off <= fixedWithin; off += 4 {
		if le.Uint32(b[off:]) == fixedSignature {
			return fmt.Sprintf("%d.%d.%d.%d", le.Uint16(b[off+10:]), le.Uint16(b[off+8:]), le.Uint16(b[off+14:]), le.Uint16(b[off+12:])), nil
		}
	}
	return "", fmt.Errorf("version resource: %w", ErrNoSuchPart)
}

// Export returns the address of a variable or function that the image exports.
// Errors are as those of the parts of [Image].
func (im *Image) Export(s *vtop.Space, name string) (vtop.VA, error) {
	v := &imageView{space: s, base: im.Base, size: int64(im.Size)}
	nt := structuresOf(v)
	rva, _, err := v.directory(nt, pe.IMAGE_DIRECTORY_ENTRY_EXPORT)
	if err != nil {
		return 0, fmt.Errorf("export directory: %w", err)
	}
	d := nt.exportDirectory(rva)
	names, ordinals, functions := int64(d.namesAt), int64(d.ordinalsAt), int64(d.functionsAt)
	if err := v.part(); err != nil {
		return 0, fmt.Errorf("export directory: %w", err)
	}
	// Names are sorted, so that the linker's and the loader's search is binary.
	low, high := int64(0), int64(min(d.names, im.Size/leastExport))
	for low < high {
		mid := (low + high) / 2
		got, err := v.text(int64(v.fields().uint32(names + 4*mid)))
		if err != nil {
			return 0, fmt.Errorf("exported name: %w", err)
		}
		switch {
		case got == name:
			ordinal := int64(v.fields().uint16(ordinals + 2*mid))
			at := v.fields().uint32(functions + 4*ordinal)
			if err := v.part(); err != nil {
				return 0, fmt.Errorf("export %s: %w", name, err)
			}
			return im.Base + vtop.VA(at), nil
		case got < name:
			low = mid + 1
		default:
			high = mid
		}
	}
	return 0, fmt.Errorf("export %s: %w", name, ErrNoSuchPart)
}
