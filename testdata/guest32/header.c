/*
 * The dump header (DUMP_HEADER32, Microsoft mindumpdef.h), as KeInitializeCrashDumpHeader
 * hands it to the virtio-win fwcfg driver, inside an ELF note, and its way to the host.
 */
#include "guest.h"

#define SELECTOR	0x510
#define DATA		0x511
#define DMA_HIGH	0x514
#define DMA_LOW		0x518
#define KEY_FILE_DIR	0x19
#define DMA_ERROR	1u
#define DMA_SELECT	8u
#define DMA_WRITE	16u
#define FORMAT_ELF	1	/* vmcoreinfo guest_format */

static u8 note[NOTE_HEADER + HEADER_SIZE + PAGE] __attribute__((aligned(4096)));

static void h32(u32 offset, u32 v) { memcpy(note + NOTE_HEADER + offset, &v, 4); }
static void h64(u32 offset, u64 v) { memcpy(note + NOTE_HEADER + offset, &v, 8); }

static void header_fill(void)
{
	u32 pages = 0;

	for (u32 i = 0; i < HEADER_SIZE; i += 4)
		h32(i, 0x45474150);	/* "PAGE": not set */
	if (opt.badsig)
		h32(0x000, 0x50414745);	/* "EGAP" */
	h32(0x004, opt.badvalid ? 0x514d5544 : 0x504d5544);	/* "DUMQ", "DUMP" */
	h32(0x008, 0xf);		/* MajorVersion: free build */
	h32(0x00c, build->number);
	h32(0x010, opt.baddtb ? page_alloc() : kernel_root);
	h32(0x014, NT + NT_PFNDB);
	h32(0x018, NT + NT_LOADED);
	h32(0x01c, NT + NT_ACTIVE);
	h32(0x020, 0x14c);
	h32(0x024, opt.ncpu == NOT_GIVEN ? cpu_total : opt.ncpu);
	h32(0x028, 0);			/* no bug check when the driver starts */
	h32(0x02c, DECODED);		/* the driver's mark */
	h32(0x030, 0);
	h32(0x034, 0);
	h32(0x038, 0);
	note[NOTE_HEADER + 0x05c] = !opt.nopae;
	note[NOTE_HEADER + 0x05d] = 0;
	h32(0x060, opt.unmapped ? NOWHERE : NT + NT_KDBG);
	h32(0x064, run_count);
	for (u32 i = 0; i < run_count; i++) {
		h32(0x06c + 8 * i, runs[i].page);
		h32(0x070 + 8 * i, runs[i].count);
		pages += runs[i].count;
	}
	h32(0x068, pages);
	h32(0xf88, 1);			/* DumpType: full */
	h32(0xf94, build->product);	/* ProductType */
	h32(0xf98, 0x110);		/* SuiteMask */
	h64(0xfb8, TIME_DRIVER - TIME_BOOT);
	h64(0xfc0, TIME_DRIVER);
}

static u32 swap32(u32 v) { return __builtin_bswap32(v); }

static void read(void *to, u32 n)
{
	for (u32 i = 0; i < n; i++)
		((u8 *)to)[i] = in8(DATA);
}

/* QEMU's fw_cfg device: docs/specs/fw_cfg.rst and docs/specs/vmcoreinfo.rst of QEMU. */
static u16 find(const char *name)
{
	struct { u32 size; u16 select, reserved; char name[56]; } file;
	u32 count;

	out16(SELECTOR, KEY_FILE_DIR);
	read(&count, sizeof count);
	for (count = swap32(count); count; count--) {
		u32 i = 0;

		read(&file, sizeof file);
		while (name[i] && name[i] == file.name[i])
			i++;
		if (!name[i] && !file.name[i])
			return __builtin_bswap16(file.select);
	}
	die("no etc/vmcoreinfo: is -device vmcoreinfo missing?");
}

void header_publish(void)
{
	static struct { u16 host_format, guest_format; u32 size; u64 paddr; } __attribute__((packed)) info;
	static volatile struct { u32 control, length, address_high, address_low; } dma;

	u32 size = opt.descsz == NOT_GIVEN ? HEADER_SIZE : opt.descsz;

	if (opt.nonote)
		return;
	if (size > HEADER_SIZE + PAGE)
		die("descsz=N: too large");
	header_fill();
	*(u32 *)note = 11;
	*(u32 *)(note + 4) = size;
	memcpy(note + 12, "VMCOREINFO", 11);
	info.guest_format = FORMAT_ELF;
	info.size = NOTE_HEADER + size;
	info.paddr = (u32)note;
	dma.control = swap32((u32)find("etc/vmcoreinfo") << 16 | DMA_SELECT | DMA_WRITE);
	dma.length = swap32(sizeof info);
	dma.address_low = swap32((u32)&info);
	out32(DMA_HIGH, 0);
	out32(DMA_LOW, swap32((u32)&dma));
	while (swap32(dma.control) & ~DMA_ERROR)
		;
	if (dma.control)
		die("fw_cfg DMA");
}
