/* The page tables that the host will see, with PAE or without: scattered tables, 4 KiB pages. */
#include "guest.h"

#define PRESENT		0x01u
#define TABLE		0x63u	/* D A RW P */
#define LARGE		0xe3u
#define FIRST_PAGE	0x400000u
#define PAGES		2048u
#define STRIDE		1237u	/* odd, so that all pages come up once */

u32 kernel_root, boot_root;

/* Pages come in an order that jumps about, so that nothing is contiguous by luck. */
u32 page_alloc(void)
{
	static u32 taken;
	u32 pa = FIRST_PAGE + taken++ * STRIDE % PAGES * PAGE;

	if (taken > PAGES)
		die("out of memory");
	memset((void *)pa, 0, PAGE);
	return pa;
}

static void entry_set(u32 pa, u32 value)
{
	*(u32 *)pa = value;	/* of 8 bytes the upper half stays 0 */
}

/* The physical address of a page directory of PAE. */
static u32 directory(u32 i)
{
	return *(u32 *)(kernel_root + i * 8) & ~0xfffu;
}

/* The address of the last-level entry for va; tables on the way are made. */
static u32 slot(u32 va)
{
	u32 entry;

	if (opt_nopae)
		entry = kernel_root + (va >> 22) * 4;
	else
		entry = directory(va >> 30) + (va >> 21 & 511) * 8;
	if (!(*(u32 *)entry & PRESENT))
		entry_set(entry, page_alloc() | TABLE);
	if (opt_nopae)
		return (*(u32 *)entry & ~0xfffu) + (va >> 12 & 1023) * 4;
	return (*(u32 *)entry & ~0xfffu) + (va >> 12 & 511) * 8;
}

void map_new(u32 va, u32 size, u32 writable)
{
	u32 pages = (size + (va & (PAGE - 1)) + PAGE - 1) / PAGE;

	for (u32 at = va & ~(PAGE - 1); pages--; at += PAGE)
		if (!(*(u32 *)slot(at) & PRESENT))
			entry_set(slot(at), page_alloc() | 0x121 | (writable ? 0x42 : 0));
}

u32 phys(u32 va)
{
	u32 e = *(u32 *)slot(va);

	if (!(e & PRESENT))
		die("write to an address that is not mapped");
	return (e & ~0xfffu) + (va & (PAGE - 1));
}

void put(u32 va, const void *p, u32 n)
{
	for (u32 i = 0; i < n; i++)
		*(u8 *)phys(va + i) = ((const u8 *)p)[i];
}

u32 get32(u32 va)
{
	u32 v = 0;

	for (u32 i = 0; i < 4; i++)
		v |= (u32)*(u8 *)phys(va + i) << (8 * i);
	return v;
}

/*
 * The kernel's tables, and those with which paging is turned on: the same kernel half,
 * and the first 16 MiB where they are. With PAE the topmost table has 32 bytes, and
 * Windows puts that of a process anywhere in a page.
 */
void paging_init(void)
{
	if (opt_nopae) {
		kernel_root = page_alloc();
		boot_root = page_alloc();
		/* The self-map at c0000000 that 32-bit Windows has. */
		entry_set(kernel_root + 768 * 4, kernel_root | TABLE);
		return;
	}
	kernel_root = page_alloc() + 0x560;
	boot_root = page_alloc();
	for (u32 i = 0; i < 4; i++)
		entry_set(kernel_root + 8 * i, page_alloc() | PRESENT);
	/* The self-map with PAE: the four directories are tables for c0000000-c07fffff. */
	for (u32 i = 0; i < 4; i++)
		entry_set(directory(3) + 8 * i, directory(i) | TABLE);
}

/* After all else is mapped. */
void paging_finish(void)
{
	u32 identity = page_alloc();

	if (opt_nopae) {
		for (u32 i = 512; i < 1024; i++)
			entry_set(boot_root + 4 * i, *(u32 *)(kernel_root + 4 * i));
		for (u32 i = 0; i < 4; i++)
			entry_set(boot_root + 4 * i, i << 22 | LARGE);
		return;
	}
	for (u32 i = 0; i < 8; i++)
		entry_set(identity + 8 * i, i << 21 | LARGE);
	entry_set(boot_root, identity | PRESENT);
	for (u32 i = 2; i < 4; i++)
		entry_set(boot_root + 8 * i, directory(i) | PRESENT);
}
