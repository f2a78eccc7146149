/*
 * The page tables that the host will see, with PAE or without: scattered tables and 4 KiB
 * pages. With PAE and RAM above 4 GiB, every second page is there.
 */
#include "guest.h"

#define PRESENT		0x01u
#define TABLE		0x63u	/* D A RW P */
#define LARGE		0xe3u
#define LEAF		0x121u	/* G A P */
#define LEAF_WRITABLE	0x42u	/* D RW */
#define STRIDE		101u	/* odd, so that all pages come up once */
#define WINDOW		0x40000000u
#define TWO_MIB		0x200000u

u32 kernel_root, boot_root;
static u32 high_pages;

/* Pages come in an order that jumps about, so that nothing is contiguous by luck. */
static u32 nth_page(u32 n)
{
	if (n >= PAGES)
		die("out of memory");
	return n * STRIDE % PAGES * PAGE;
}

u32 page_alloc(void)
{
	static u32 taken;
	u32 pa = FIRST_PAGE + nth_page(taken++);

	memset((void *)pa, 0, PAGE);
	return pa;
}

/* The lower half of the address of a page above 4 GiB, which is zero from the start. */
static u32 page_alloc_high(void)
{
	static u32 taken;

	return nth_page(taken++);
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

	if (opt.nopae)
		entry = kernel_root + (va >> 22) * 4;
	else
		entry = directory(va >> 30) + (va >> 21 & 511) * 8;
	if (!(*(u32 *)entry & PRESENT))
		entry_set(entry, page_alloc() | TABLE);
	if (opt.nopae)
		return (*(u32 *)entry & ~0xfffu) + (va >> 12 & 1023) * 4;
	return (*(u32 *)entry & ~0xfffu) + (va >> 12 & 511) * 8;
}

static u32 is_high(u32 entry)
{
	return opt.nopae ? 0 : *(u32 *)(entry + 4);
}

static void map_page(u32 va, u32 flags, u32 high)
{
	u32 entry = slot(va);

	if (*(u32 *)entry & PRESENT)
		return;
	if (!high) {
		entry_set(entry, page_alloc() | flags);
		return;
	}
	entry_set(entry, page_alloc_high() | flags);
	*(u32 *)(entry + 4) = 1;	/* 4 GiB */
}

void map_new(u32 va, u32 size, u32 writable)
{
	u32 pages = (size + (va & (PAGE - 1)) + PAGE - 1) / PAGE;

	for (u32 at = va & ~(PAGE - 1); pages--; at += PAGE)
		/* The CPUs take the tables in TABLES by their physical address. */
		map_page(at, LEAF | (writable ? LEAF_WRITABLE : 0),
			 high_pages && (at / PAGE) % 2 && (at < TABLES(0) || at >= TABLES(MAX_CPUS)));
}

/* The address of a mapped byte's entry. */
static u32 mapped(u32 va)
{
	u32 entry = slot(va);

	if (!(*(u32 *)entry & PRESENT))
		die("access to an address that is not mapped");
	return entry;
}

u32 phys(u32 va)
{
	u32 entry = mapped(va);

	if (is_high(entry))
		die("a physical address above 4 GiB");
	return (*(u32 *)entry & ~0xfffu) + (va & (PAGE - 1));
}

/*
 * A byte above 4 GiB, reached with paging on for a moment: the first 16 MiB stay where
 * they are, and 2 MiB around the byte come up at WINDOW.
 */
static u8 *window_open(u32 low)
{
	static u64 root[4] __attribute__((aligned(32)));
	static u64 near[512] __attribute__((aligned(4096))), far[512] __attribute__((aligned(4096)));

	for (u32 i = 0; i < 8; i++)
		near[i] = i * TWO_MIB | LARGE;
	far[0] = 1ull << 32 | (low & ~(TWO_MIB - 1)) | LARGE;
	root[0] = (u32)near | PRESENT;
	root[1] = (u32)far | PRESENT;
	__asm__ volatile("mov %0, %%cr4; mov %1, %%cr3; mov %2, %%cr0" : : "r"(0x20), "r"(root), "r"(0x80000011) : "memory");
	return (u8 *)(WINDOW + low % TWO_MIB);
}

static void window_close(void)
{
	__asm__ volatile("mov %0, %%cr0" : : "r"(0x11) : "memory");
}

static void put8(u32 va, u8 v)
{
	u32 entry = mapped(va), pa = (*(u32 *)entry & ~0xfffu) + (va & (PAGE - 1));

	if (!is_high(entry)) {
		*(u8 *)pa = v;
		return;
	}
	*window_open(pa) = v;
	window_close();
}

static u8 get8(u32 va)
{
	u32 entry = mapped(va), pa = (*(u32 *)entry & ~0xfffu) + (va & (PAGE - 1));
	u8 v;

	if (!is_high(entry))
		return *(u8 *)pa;
	v = *window_open(pa);
	window_close();
	return v;
}

void put(u32 va, const void *p, u32 n)
{
	for (u32 i = 0; i < n; i++)
		put8(va + i, ((const u8 *)p)[i]);
}

u32 get32(u32 va)
{
	u32 v = 0;

	for (u32 i = 0; i < 4; i++)
		v |= (u32)get8(va + i) << (8 * i);
	return v;
}

/*
 * The kernel's tables, and those with which paging is turned on: the same kernel half,
 * and the first 16 MiB where they are. With PAE the topmost table has 32 bytes, and
 * Windows puts that of a process anywhere in a page.
 */
void paging_init(void)
{
	for (u32 i = 0; i < run_count; i++)
		if (runs[i].page == FOUR_GIB && runs[i].count >= PAGES)
			high_pages = !opt.nopae;
	if (opt.nopae) {
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

	if (opt.nopae) {
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
