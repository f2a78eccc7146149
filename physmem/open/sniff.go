package open

import (
	"bytes"
	"debug/elf"

	"windmp/internal/binio"
	"windmp/physmem"
)

// A magic is a file that is worth recognising although nothing here reads it:
// what people have in their hands instead of a memory image.
type magic struct {
	offset int
	bytes  string
	what   string
	hint   string
}

const (
	hintDecompress = "decompress it first"
	hintUnpack     = "unpack it first"
	hintDisk       = "a disk holds no memory; dump the guest's memory, for example with virsh dump --memory-only"
)

// magics are sorted by how sure they make one; the first that fits is taken.
// Sources: makedumpfile's and QEMU's dump headers (QEMU dump/dump.h), the dump
// signatures of Microsoft's debuggers, LiME's doc/README.md, and for the rest
// the formats' own specifications (RFC 1952, RFC 8878, the xz file format,
// PKWARE APPNOTE, QEMU docs/interop/qcow2.txt, and so on).
var magics = []magic{
	{0, "DISKDUMP", "a diskdump dump, which is Linux'", ""},
	{0, "MDMP", "a Windows minidump of a process, not memory of a machine", ""},
	{0, "EMiL", "a LiME memory dump", "dump the guest from its host in ELF format instead"},
	{0, "QEVM", "QEMU's migration stream (virsh save, savevm)", "restore the guest and dump its memory with virsh dump --memory-only"},
	{0, "LibvirtQemudSave", "a libvirt save file", "restore the guest and dump its memory with virsh dump --memory-only"},
	{0, "LibvirtQemudPart", "an unfinished libvirt save file", "dump the guest's memory with virsh dump --memory-only"},
	{0, "QFI\xfb", "a qcow2 disk image", hintDisk},
	{0, "KDMV", "a VMDK disk image", hintDisk},
	{0, "# Disk DescriptorFile", "a VMDK disk descriptor", hintDisk},
	{0, "vhdxfile", "a VHDX disk image", hintDisk},
	{0, "conectix", "a VHD disk image", hintDisk},
	{0x40, "\x7f\x10\xda\xbe", "a VDI disk image", hintDisk},
	{0, "hibr", "a Windows hibernation file", "dump the guest's memory from its host instead"},
	{0, "HIBR", "a Windows hibernation file", "dump the guest's memory from its host instead"},
	{0, "\xd2\xbe\xd2\xbe", "a VMware snapshot or suspend file", "make a dump from it with VMware's vmss2core"},
	{0, "\xd1\xba\xd1\xba", "a VMware snapshot or suspend file", "make a dump from it with VMware's vmss2core"},
	{0, "\xd0\xbe\xd2\xbe", "a VMware snapshot or suspend file", "make a dump from it with VMware's vmss2core"},
	{0, "\x1f\x8b", "gzip-compressed data", hintDecompress},
	{0, "\x28\xb5\x2f\xfd", "zstd-compressed data", hintDecompress},
	{0, "\xfd7zXZ\x00", "xz-compressed data", hintDecompress},
	{0, "BZh", "bzip2-compressed data", hintDecompress},
	{0, "\x04\x22\x4d\x18", "lz4-compressed data", hintDecompress},
	{0, "\x89LZO\x00\r\n\x1a\n", "lzop-compressed data", hintDecompress},
	{0, "PK\x03\x04", "a zip archive", hintUnpack},
	{0, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive", hintUnpack},
	{0, "Rar!\x1a\x07", "a RAR archive", hintUnpack},
	{0x101, "ustar", "a tar archive", hintUnpack},
	{0, "MZ", "a Windows program", ""},
}

// sniffSize covers the farthest magic.
const sniffSize = 0x200

// ownMagics are the signatures of the formats that are recognised.
var ownMagics = []magic{
	{bytes: elf.ELFMAG, what: "an ELF file"},
	{bytes: "PAGEDU64", what: "a Windows crash dump"},
	{bytes: "PAGEDUMP", what: "a Windows crash dump of a 32-bit system"},
	{bytes: "KDUMP   ", what: "a kdump-compressed dump"},
	{bytes: "makedumpfile\x00", what: "a kdump-compressed dump in makedumpfile's flattened format"},
}

// head returns the beginning of a file, as far as a magic may reach.
func head(src physmem.Source) ([]byte, error) {
	b := make([]byte, min(src.Size(), sniffSize))
	if err := binio.ReadFull(src, b, 0); err != nil {
		return nil, &physmem.ReadError{Err: err}
	}
	return b, nil
}

// unrecognised returns the error for a file that no opener wanted.
func unrecognised(src physmem.Source, tried []physmem.Refusal) error {
	if src.Size() <= 0 {
		return &physmem.UnknownFormatError{Looks: "an empty file", Hint: "the dump was not written; look for the error where it was made", Tried: tried}
	}
	b, err := head(src)
	if err != nil {
		return err
	}
	if m, ok := magicOf(b); ok {
		return &physmem.UnsupportedError{What: m.what, Hint: m.hint}
	}
	e := &physmem.UnknownFormatError{Tried: tried}
	switch {
	case binio.IsZero(b):
		e.Looks = "zeros, or raw memory"
		e.Hint = "raw memory is read if raw is given as its format; an ELF dump of the guest also has its registers"
	case binio.IsText(b):
		e.Looks = "text"
	}
	return e
}

// magicOf returns the magic that the beginning of a file has.
func magicOf(head []byte) (magic, bool) {
	for _, m := range magics {
		if m.offset <= len(head) && bytes.HasPrefix(head[m.offset:], []byte(m.bytes)) {
			return m, true
		}
	}
	return magic{}, false
}

// looksLike returns what a file that is said to be raw memory begins like, empty
// for nothing that is known.
func looksLike(src physmem.Source) (string, error) {
	b, err := head(src)
	if err != nil {
		return "", err
	}
	// Two bytes are in memory by chance.
	if m, ok := magicOf(b); ok && len(m.bytes) > 2 {
		return m.what, nil
	}
	for _, m := range ownMagics {
		if bytes.HasPrefix(b, []byte(m.bytes)) {
			return m.what, nil
		}
	}
	return "", nil
}
