package open

import (
	"debug/elf"

	"windmp/physmem"
)

// A signature is a kind of file that is worth recognising although nothing here
// reads it: what people have in their hands instead of a memory image.
type signature struct {
	// offset and bytes are where such a file has what. Without bytes, fits alone
	// decides.
	offset int
	bytes  string
	// fits is asked what else must be so; nil for nothing.
	fits func(*probe) bool
	// what names the file, hint is the shortest way from it to a dump; empty where
	// there is none.
	what, hint string
}

// The ways to a dump that several kinds share. Flags of windmp are the command's to
// add.
const (
	hintDecompress = "decompress it first"
	hintUnpack     = "unpack it first"
	hintDisk       = noMemory + "dump the guest's memory, for example with virsh dump --memory-only"
	hintVMDK       = noMemory + "take a snapshot with the machine's memory, or suspend it: that leaves a .vmsn or .vmss, and a .vmem"
	hintVHD        = noMemory + "save the machine (Save-VM), or make a standard checkpoint: either leaves a .vmrs"
	hintVDI        = noMemory + "dump the running machine with VBoxManage debugvm NAME dumpvmcore --filename FILE"
	hintHibernated = "dump the guest's memory from its host instead, or make raw memory of it with Hibr2Bin or MemProcFS; " + physmem.HintRaw
	hintForeign    = "dump the guest from its host in ELF format instead, or make raw memory of it; " + physmem.HintRaw
	hintEWF        = "if it is of memory, export that with ewfexport -f raw; " + physmem.HintRaw + "; a disk holds no memory"

	noMemory = "a disk holds no memory; "
)

// The names that several signatures share.
const (
	whatHibernated = "a Windows hibernation file"
	whatXenSave    = "a saved Xen guest"
)

// signatures are sorted by how sure they make one; the first that fits is taken.
// Sources: makedumpfile's and QEMU's dump headers (QEMU dump/dump.h), the dump
// signatures of Microsoft's debuggers, VirtualBox SSM.cpp, VMware's own reader in
// crash (vmware_vmss.h) with Volatility's list of further magics, openvmm's
// hvs_file/FORMAT.md, LiME's and AVML's
// README, libewf's documentation, the AFF4 standard, MemProcFS (hibernation files),
// Proxmox' vma_spec.txt, and for the rest the formats' own specifications (RFC 1952,
// RFC 8878, the xz file format, PKWARE APPNOTE, [MS-CAB], UEFI chapter 5, ECMA-119,
// QEMU docs/interop/qcow2.txt, and so on).
var signatures = []signature{
	{bytes: "DISKDUMP", what: "a diskdump dump, which is Linux'"},
	{bytes: "MDMP", what: "a Windows minidump of a process, not memory of a machine"},
	{bytes: "AVML", what: "an AVML memory dump", hint: hintForeign},
	{bytes: "EVF\t\r\n\xff\x00", what: "an EWF image (.E01)", hint: hintEWF},
	{bytes: "EVF2\r\n\x81\x00", what: "an EWF image (.Ex01)", hint: hintEWF},
	{bytes: "LVF\t\r\n\xff\x00", what: "an EWF archive of files (.L01)"},
	{bytes: "AFF10\r\n\x00", what: "an AFF image", hint: "if it is of memory, export that with affconvert -r; " + physmem.HintRaw + "; a disk holds no memory"},
	{bytes: "USERDU64", what: "a Windows dump of a process, not memory of a machine"},
	{bytes: "USERDUMP", what: "a Windows dump of a process, not memory of a machine"},
	{bytes: "PK\x03\x04", fits: (*probe).isAFF4, what: "an AFF4 image", hint: "if it is of memory, export that with winpmem or aff4imager; " + physmem.HintRaw},
	{bytes: "QFI\xfb", what: "a qcow2 disk image without the memory of a snapshot", hint: hintDisk},
	{bytes: "KDMV", what: "a VMDK disk image", hint: hintVMDK},
	{bytes: "# Disk DescriptorFile", what: "a VMDK disk descriptor", hint: hintVMDK},
	{bytes: "vhdxfile", what: "a VHDX disk image", hint: hintVHD},
	{bytes: "conectix", what: "a VHD disk image", hint: hintVHD},
	{offset: 0x40, bytes: "\x7f\x10\xda\xbe", what: "a VDI disk image", hint: hintVDI},
	{
		bytes: "\x7fVirtualBox SavedState V", what: "a VirtualBox saved state (.sav)",
		hint: "start the machine from it (VBoxManage startvm NAME --type headless) and dump it with VBoxManage debugvm NAME dumpvmcore --filename FILE",
	},
	{bytes: "VMA\x00", what: "a Proxmox VMA backup", hint: "a backup holds disks and no memory; dump the guest's memory in its monitor with dump-guest-memory"},
	{bytes: "hibr", what: whatHibernated, hint: hintHibernated},
	{bytes: "HIBR", what: whatHibernated, hint: hintHibernated},
	{bytes: "wake", what: whatHibernated + " that Windows has resumed from", hint: hintHibernated},
	{bytes: "WAKE", what: whatHibernated + " that Windows has resumed from", hint: hintHibernated},
	{bytes: "rstr", what: whatHibernated + " that Windows was resuming from", hint: hintHibernated},
	{bytes: "RSTR", what: whatHibernated + " that Windows was resuming from", hint: hintHibernated},
	{bytes: "\xfd7zXZ\x00", what: "xz-compressed data", hint: hintDecompress},
	{bytes: "\x1f\x8b", what: "gzip-compressed data", hint: hintDecompress},
	{bytes: "\x28\xb5\x2f\xfd", what: "zstd-compressed data", hint: hintDecompress},
	{bytes: "BZh", what: "bzip2-compressed data", hint: hintDecompress},
	{bytes: "\x04\x22\x4d\x18", what: "lz4-compressed data", hint: hintDecompress},
	{bytes: "\x89LZO\x00\r\n\x1a\n", what: "lzop-compressed data", hint: hintDecompress},
	{bytes: "PK\x03\x04", what: "a zip archive", hint: hintUnpack},
	{bytes: "7z\xbc\xaf\x27\x1c", what: "a 7-Zip archive", hint: hintUnpack},
	{bytes: "Rar!\x1a\x07", what: "a RAR archive", hint: hintUnpack},
	{bytes: "MSCF", what: "a cabinet (.cab)", hint: "unpack it first, with expand or cabextract; WinDbg opens a dump in one as it is"},
	{offset: 0x101, bytes: "ustar", what: "a tar archive", hint: hintUnpack},
	{offset: 0x8001, bytes: "CD001", what: "an ISO image", hint: hintDisk},
	{offset: 0x200, bytes: "EFI PART", what: "a disk image with a GPT", hint: hintDisk},
	{offset: 0x1000, bytes: "EFI PART", what: "a disk image with a GPT", hint: hintDisk},
	{offset: 3, bytes: "NTFS    ", what: "an image of an NTFS volume", hint: hintDisk},
	{offset: bootMark, bytes: "\x55\xaa", fits: (*probe).hasPartitions, what: "a disk image with an MBR", hint: hintDisk},
	{bytes: "MZ", what: "a Windows program"},
}

// sniffSize covers the farthest signature.
const sniffSize = 0x8008

// ownSignatures are those of the formats that are recognised.
var ownSignatures = []signature{
	{bytes: elf.ELFMAG, what: "an ELF file"},
	{bytes: "PAGEDU64", what: "a Windows crash dump"},
	{bytes: "PAGEDUMP", what: "a Windows crash dump of a 32-bit system"},
	{bytes: "KDUMP   ", what: "a kdump-compressed dump"},
	{bytes: "QEVM", what: "QEMU's migration stream"},
	{bytes: "EMiL", what: "a LiME memory image"},
	{bytes: "LibvirtQemudSave", what: "a libvirt save file"},
	{bytes: "LibvirtQemudPart", what: "an unfinished libvirt save file"},
	{bytes: "\xd0\xbe\xd2\xbe", what: "a VMware state"},
	{bytes: "\xd0\xbe\xd0\xbe", what: "a VMware state"},
	{bytes: "\xd2\xbe\xd2\xbe", what: "a VMware state"},
	{bytes: "\xd3\xbe\xd3\xbe", what: "a VMware state"},
	{bytes: "\xd1\xba\xd1\xba", what: "a VMware state"},
	{bytes: "\xd2\xba\xd2\xba", what: "a VMware state"},
	{bytes: "Xen saved domain", what: whatXenSave},
	{bytes: "libvirt-xml\n \x00 \r", what: whatXenSave},
	{bytes: "LibxlFmt", what: whatXenSave},
	{bytes: "\xff\xff\xff\xff\xff\xff\xff\xffXENF", what: whatXenSave},
	{bytes: "XenSavedDom", what: whatXenSave},
	{bytes: "makedumpfile\x00", what: "a kdump-compressed dump in makedumpfile's flattened format"},
	{bytes: "\x14\x20\x28\x01", what: "a Hyper-V saved state"},
}
