/* QEMU's fw_cfg device: docs/specs/fw_cfg.rst and docs/specs/vmcoreinfo.rst of QEMU. */
#include "guest.h"

#define SELECTOR	0x510
#define DATA		0x511
#define DMA_HIGH	0x514
#define DMA_LOW		0x518
#define KEY_NB_CPUS	0x05
#define KEY_FILE_DIR	0x19
#define DMA_ERROR	1u
#define DMA_SELECT	8u
#define DMA_WRITE	16u
#define FORMAT_ELF	1	/* vmcoreinfo guest_format */

static u32 swap32(u32 v) { return __builtin_bswap32(v); }
static u64 swap64(u64 v) { return __builtin_bswap64(v); }

static void read(void *to, u32 n)
{
	for (u32 i = 0; i < n; i++)
		((u8 *)to)[i] = in8(DATA);
}

u32 fwcfg_cpus(void)
{
	u16 n;

	out16(SELECTOR, KEY_NB_CPUS);
	read(&n, sizeof n);
	return n;
}

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

void fwcfg_vmcoreinfo(u64 note, u32 size)
{
	static struct {
		u16 host_format, guest_format;
		u32 size;
		u64 paddr;
	} __attribute__((packed)) info;
	static volatile struct { u32 control, length; u64 address; } dma;

	info.guest_format = FORMAT_ELF;
	info.size = size;
	info.paddr = note;
	dma.control = swap32((u32)find("etc/vmcoreinfo") << 16 | DMA_SELECT | DMA_WRITE);
	dma.length = swap32(sizeof info);
	dma.address = swap64((u64)&info);
	out32(DMA_HIGH, swap32((u32)((u64)&dma >> 32)));
	out32(DMA_LOW, swap32((u32)(u64)&dma));
	while (swap32(dma.control) & ~DMA_ERROR)
		;
	if (dma.control)
		die("fw_cfg DMA");
}
