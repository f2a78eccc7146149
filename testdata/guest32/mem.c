/* Physical memory: the BIOS' map, what becomes of every page, and the header's runs. */
#include "guest.h"

struct range runs[8];
u32 run_count;

/* An e820 entry as multiboot passes it. */
struct entry {
	u32 size;
	u64 base, length;
	u32 type;
} __attribute__((packed));

static struct entry map[32];
static u32 map_count;

#define FIRST_MIB	0x100000u

static u32 pci_config(u8 reg)
{
	out32(0xcf8, 0x80000000u | (reg & 0xfcu));
	return in32(0xcfc);
}

static void pci_config_write8(u8 reg, u8 v)
{
	out32(0xcf8, 0x80000000u | (reg & 0xfcu));
	out8((u16)(0xcfc + (reg & 3)), v);
}

/* Make the RAM behind c0000-fffff writable (PAM registers of the host bridge). */
static void unlock_shadow(void)
{
	u8 first;

	switch (pci_config(0)) {
	case 0x12378086: first = 0x59; break;	/* i440FX */
	case 0x29c08086: first = 0x90; break;	/* Q35 MCH */
	default: die("unknown host bridge");
	}
	pci_config_write8(first, 0x30);
	for (u8 i = 1; i < 7; i++)
		pci_config_write8((u8)(first + i), 0x33);
}

/*
 * Nothing of the BIOS is needed any more. Clear what it left in RAM, its tables at the
 * end of the RAM below 4 GiB too, so that a dump holds this guest's own bytes only.
 */
static void forget_bios(void)
{
	void *zero = 0;

	__asm__("" : "+r"(zero));	/* to the compiler it is no null pointer */
	unlock_shadow();
	memset(zero, 0, 0xa0000);
	memset((void *)0xc0000, 0, 0x40000);
	for (u32 i = 0; i < map_count; i++)
		for (u32 j = 0; j < map_count; j++)
			if (map[i].type != 1 && map[j].type == 1 && map[j].base >= FIRST_MIB &&
			    map[i].base == map[j].base + map[j].length)
				memset((void *)(u32)map[i].base, 0, (u32)map[i].length);
}

/* Windows lists whole pages, not page 0, and without PAE nothing above 4 GiB. */
static void runs_find(void)
{
	for (u32 i = 0; i < map_count; i++) {
		u32 first = (u32)((map[i].base + PAGE - 1) / PAGE);
		u32 end = (u32)((map[i].base + map[i].length) / PAGE);

		if (map[i].type != 1 || run_count == COUNT(runs))
			continue;
		if (first >= FOUR_GIB && opt.nopae)
			continue;
		if (first == 0)
			first = 1;
		if (end > first)
			runs[run_count++] = (struct range){ first, end - first };
	}
}

/* Below 4 GiB, a page that stays unused says where it is: a misplaced page shows. */
static void tag_pages(void)
{
	for (u32 i = 0; i < run_count; i++)
		for (u32 page = runs[i].page; page < runs[i].page + runs[i].count && page < FOUR_GIB; page++) {
			u32 pa = page * PAGE;

			if (pa >= (u32)image_start && pa < (u32)image_end)
				continue;
			memset((void *)pa, 0, PAGE);
			*(u32 *)pa = pa;
			*(u32 *)(pa + PAGE - 4) = pa;
		}
}

void memory_init(u32 mmap, u32 mmap_size)
{
	for (u32 at = mmap; at < mmap + mmap_size && map_count < COUNT(map); at += *(u32 *)at + 4)
		map[map_count++] = *(struct entry *)at;
	runs_find();
	if (run_count < 2 || (runs[1].page + runs[1].count) * PAGE < PAGES_END)
		die("too little RAM: 4M at least");
	forget_bios();
	tag_pages();
}
