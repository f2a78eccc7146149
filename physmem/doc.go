// Package physmem describes a file that holds the memory of a virtual machine, whatever
// the container: its guest-physical memory and the state of its processors.
//
// Package physmem/open opens a file. Each family of formats is a folder of its own with
// an [Opener]: vmcore, kdump, migration, windump, vmware, qcow2, hyperv, xen, lime, raw.
// An opener looks at a [Source] and says [NotMine], or gives a [Container]; the [Image]
// made of it never changes.
//
// # Units and address spaces
//
// An [Image] is read by guest physical address: [Image.ReadAt] takes the
// address as its offset. All addresses and sizes are bytes. Nothing is aligned
// to pages: a dump of a byte range begins and ends in the middle of pages, and
// QEMU's memory is not page aligned in the file.
//
// # Holes
//
// What the file does not hold is a hole. Reading it is an error that says
// where the hole ends ([NotInImageError]), never zeros: a guest page that
// nobody saved is not a page of zeros. A file that cannot be read is a
// different error ([ReadError]), and no error of this package is both.
//
// # Formats
//
//	format  written by                                    source of the layout
//	elf     QEMU dump-guest-memory, virsh dump            System V gABI chapter 5, elf.h,
//	        --memory-only, Proxmox, KubeVirt, incus       QEMU dump/dump.c, target/i386/arch_dump.c
//	        VirtualBox debugvm dumpvmcore                 VirtualBox dbgfcorefmt.h, DBGFCoreWrite.cpp
//	        QEMU's gdb script dump-guest-memory.py        QEMU scripts/dump-guest-memory.py
//	dmp     Windows, QEMU dump-guest-memory -w, virsh     Microsoft mindumpdef.h, package winhdr
//	        dump --format win-dmp: full, bitmap, kernel
//	kdump   QEMU dump-guest-memory -z, -l, -s, virsh      makedumpfile diskdump_mod.h, makedumpfile.h,
//	        dump --format kdump-zlib..., makedumpfile;    QEMU dump/dump.h
//	        flattened or not
//	migration  QEMU migrate, virsh save, virsh dump     QEMU migration/savevm.c, ram.c, vmstate.c,
//	        without --memory-only, snapshots            target/i386/machine.c, libvirt qemu_saveimage.h
//	vmware  VMware suspend and snapshot files (.vmss,     VMware's reader in crash, vmware_vmss.c;
//	        .vmsn), with memory in them or in a .vmem     illumos' mdb_vmss.c; Volatility's vmware.py
//	qcow2   snapshots with memory: savevm, virsh         QEMU docs/interop/qcow2.txt
//	        snapshot-create
//	hyper-v Hyper-V's saved machines and checkpoints,     Microsoft openvmm: support/hvs_file/FORMAT.md,
//	        .vmrs                                         vmm_core/hyperv_dump, hvdef save_restore.rs
//	xen     xl dump-core, xl save, virsh save and dump    Xen docs/misc/dump-core-format.txt, docs/specs,
//	        of a Xen guest, XCP-ng's suspended guests     public/arch-x86/xen.h and hvm/save.h
//	lime    LiME, AVML without compression, PCILeech     LiME src/lime.h
//	raw     anything that saves memory as it is; only     none: the file offset is the address,
//	        if open.Options name the format               but for holes that they name
//
// An ELF file must be a little-endian core of an x86-64, AArch64 or 32-bit x86 machine
// ([Image.Machine]); for the last QEMU takes ELF32 or ELF64. A Windows dump has no
// processors here: their registers are in guest memory, where its header leads
// ([Image.DumpHeader]). Other files that are recognised are refused by name, with the
// way to a dump where there is one ([UnsupportedError]). Raw memory can't be
// recognised: it has to be asked for.
//
// # Memory that no program header describes
//
// QEMU writes all of RAM even when it was asked for the guest's page mappings
// (dump-guest-memory -p, "paging on"). The program headers then describe only
// what was mapped; the rest is in the file, but nothing says where. What can be
// proven about it is placed by [Image.Recover]; what can only be supposed is
// offered by [Image.Candidates].
//
// # Hostile files
//
// The package is hardened against files made to harm: every length is checked
// before use, every count has a cap, memory use follows the number of
// structures in the file and not what they claim, and no input makes it panic.
// The source is only ever read.
package physmem
