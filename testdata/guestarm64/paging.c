/* The page tables that the host will see: Windows' layout, scattered tables. */
#include "guest.h"

#define ADDRESS		0x0000fffffffff000ull
#define VALID		1ull
#define TABLE		0x0060000000000f03ull
#define DEVICE_BLOCK	0x0060000000000405ull	/* attribute 1: device memory */
#define BOOT_BLOCK	0x0000000000000701ull

u64 kernel_root, user_root;

/* For the first steps: RAM and the serial port, where they are. */
void boot_tables(void)
{
	boot_l0[0] = (u64)boot_l1 | 3;
	boot_l1[0] = DEVICE_BLOCK;
	boot_l1[1] = RAM | BOOT_BLOCK;
}

static u32 index_of(u64 va, u32 level)
{
	return (u32)(va >> (12 + 9 * (level - 1))) & 511;
}

/*
 * The descriptor for va at the level, 1 being that of pages; tables on the way are made.
 * The kernel's half of the boot tables follows, so that this code can write through the
 * final virtual addresses.
 */
static u64 *slot(u64 va, u32 level)
{
	u64 *table = (u64 *)(va >> 47 ? kernel_root : user_root);

	for (u32 l = 4; l > level; l--) {
		u32 i = index_of(va, l);

		if (!(table[i] & VALID)) {
			table[i] = page_alloc() | TABLE;
			if (l == 4 && i >= 256)
				boot_l0[i] = table[i];
		}
		if (!(table[i] & 2))
			die("4 KiB mapping inside a block");
		table = (u64 *)(table[i] & ADDRESS);
	}
	return &table[index_of(va, level)];
}

/*
 * What the registers hold at the end: one table with both halves, or a table for each,
 * with 48 bits.
 */
u64 ttbr0(void)
{
	return user_root | ASID;
}

u64 ttbr1(void)
{
	return (opt.wide ? kernel_root : kernel_root + 0x800) | ASID;
}

u64 tcr(void)
{
	return opt.wide ? 0x95b5503510ull : 0x95b5513511ull;
}

/*
 * From here on the tables for the first steps are read with the layout of the end. This
 * code is where it is in RAM, in the lower half, whose table begins alike in both.
 */
void layout_final(void)
{
	if (opt.wide)
		__asm__ volatile("msr ttbr1_el1, %0; msr tcr_el1, %1; isb; tlbi vmalle1; dsb ish; isb" : : "r"((u64)boot_l0), "r"(tcr()) : "memory");
}

static void settle(void)
{
	__asm__ volatile("dsb ish; tlbi vmalle1is; dsb ish; isb" : : : "memory");
}

void map_page(u64 va, u64 pa, u64 flags)
{
	*slot(va, 1) = pa | flags;
	settle();
}

u64 map_new(u64 va, u64 size, u64 flags)
{
	for (u64 at = va & ~(PAGE - 1); at < va + size; at += PAGE)
		if (!(*slot(at, 1) & VALID))
			map_page(at, page_alloc(), flags);
	return va;
}

u64 translate(u64 va)
{
	u64 par;

	__asm__ volatile("at s1e1r, %1; isb; mrs %0, par_el1" : "=r"(par) : "r"(va));
	return par & 1 ? ~0ull : (par & ADDRESS) | (va & (PAGE - 1));
}

void paging_init(void)
{
	kernel_root = page_alloc();
	user_root = opt.wide ? page_alloc() : kernel_root;
	((u64 *)kernel_root)[SELF_SLOT] = kernel_root | 0x0060000000000f03ull;
	boot_l0[SELF_SLOT] = kernel_root | 0x0060000000000f03ull;
	*slot(POOL, 2) = POOL_PA | P_DATA_BLOCK;
	*slot(NT + NT_TEXT, 2) = TEXT_PA | P_CODE_BLOCK;
	settle();
}
