/* The page tables that the host will see: Windows' layout, scattered tables. */
#include "guest.h"

#define ADDRESS		0x000ffffffffff000ull
#define PRESENT		1ull
#define LARGE		0x80ull
#define TABLE_KERNEL	0x63ull			/* D A RW P */
#define TABLE_USER	0x67ull
#define TABLE_SELF	0x8000000000000063ull	/* the self-map entry is no-execute */
#define SOFTWARE	0x07f0000000000800ull	/* bits 52-58 (working set index) and 11 */

u64 kernel_root, shadow_root;
u32 levels;

static u32 index_of(u64 va, u32 level)
{
	return (u32)(va >> (12 + 9 * (level - 1))) & 511;
}

/*
 * The entry for va at the level; tables on the way are made. The kernel half of the boot
 * tables follows, so that this code can write through the final virtual addresses.
 */
static u64 *slot(u64 root, u64 va, u32 level)
{
	u64 *table = (u64 *)root, *boot = boot_la57 ? boot_pml5 : boot_pml4;

	for (u32 l = levels; l > level; l--) {
		u32 i = index_of(va, l);

		if (!(table[i] & PRESENT)) {
			table[i] = page_alloc() | (va >> 63 ? TABLE_KERNEL : TABLE_USER);
			if (l == levels && root == kernel_root && i >= 256)
				boot[i] = table[i];
		}
		if (l == 2 && (table[i] & LARGE))
			die("4 KiB mapping inside a large page");
		table = (u64 *)(table[i] & ADDRESS);
	}
	return &table[index_of(va, level)];
}

static u64 leaf(u64 pa, u64 flags)
{
	return pa | flags | (opt.swbits ? SOFTWARE : 0);
}

void map_page(u64 root, u64 va, u64 pa, u64 flags)
{
	*slot(root, va, 1) = leaf(pa, flags);
}

void map_large(u64 root, u64 va, u64 pa, u64 flags, u32 level)
{
	*slot(root, va, level) = leaf(pa, flags | LARGE);
}

u64 map_new(u64 va, u64 size, u64 flags)
{
	for (u64 at = va & ~(PAGE - 1); at < va + size; at += PAGE)
		if (!(entry_of(at) & PRESENT))
			map_page(kernel_root, at, page_alloc(), flags);
	return va;
}

void map_shadow(u64 va, u64 size)
{
	for (u64 at = va & ~(PAGE - 1); at < va + size; at += PAGE)
		*slot(shadow_root, at, 1) = entry_of(at);
}

u64 entry_of(u64 va)
{
	return *slot(kernel_root, va, 1);
}

void entry_set(u64 va, u64 entry)
{
	*slot(kernel_root, va, 1) = entry;
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

/* Windows keeps process-context ids in the low bits of the CR3 values it stores. */
u64 system_dtb(void)
{
	return kernel_root | (opt.pcid ? 2 : 0);
}

void paging_init(void)
{
	levels = boot_la57 ? 5 : 4;
	kernel_root = page_alloc();
	shadow_root = page_alloc();
	if (!opt.noselfmap)
		((u64 *)kernel_root)[SELF_SLOT] = kernel_root | TABLE_SELF;
	map_large(kernel_root, POOL, POOL_PA, P_DATA, 2);
	for (u32 i = 0; opt.mapall && i < usable_count; i++) {
		u64 end = usable[i].start + usable[i].size;

		for (u64 pa = usable[i].start & ~(LARGE_PAGE - 1); pa < end; pa += LARGE_PAGE)
			map_large(kernel_root, ALL_RAM + pa, pa, P_DATA, 2);
	}
	if (opt.map1g)
		map_large(kernel_root, ONE_GIB, 0, P_DATA, 3);
}
