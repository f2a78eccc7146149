/* Physical memory: the BIOS' map, what becomes of every page, and who gets which. */
#include "guest.h"

struct range usable[MAX_RANGES];
u32 usable_count;
struct range header_runs[MAX_HOLES + MAX_RANGES];
u32 header_run_count;

static u64 holes[MAX_HOLES];
static u32 hole_count;
static u64 pool_used;

/* An e820 entry as multiboot passes it. */
struct entry {
	u32 size;
	u64 base, length;
	u32 type;
} __attribute__((packed));

static struct entry map[32];
static u32 map_count;

#define FIRST_MIB	0x100000ull
#define POOL_BYTES	0x10000ull
#define LOW_LIMIT	0x10000ull	/* below: interrupt vectors, BIOS data, AP start page */
#define TAG_BYTES	0x8000000ull	/* no more than this is tagged in a range */

void *memcpy(void *d, const void *s, unsigned long n)
{
	void *to = d;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	return to;
}

void *memset(void *d, int c, unsigned long n)
{
	void *to = d;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return to;
}

u32 length(const char *s)
{
	u32 n = 0;

	while (s[n])
		n++;
	return n;
}

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
 * Nothing of the BIOS is needed any more. Clear what it left in RAM, so that a dump
 * holds this guest's own bytes only and is the same every time.
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
				memset((void *)map[i].base, 0, map[i].length);
}

/* Every page that stays unused says where it is: a misplaced page shows. */
static void tag_pages(void)
{
	for (u32 i = 0; i < usable_count; i++) {
		u64 end = usable[i].start + usable[i].size;

		for (u64 pa = usable[i].start; pa < end && pa - usable[i].start < TAG_BYTES; pa += PAGE) {
			if (pa >= (u64)image_start && pa < (u64)image_end)
				continue;
			memset((void *)pa, 0, PAGE);
			*(u64 *)pa = pa;
			*(u64 *)(pa + PAGE - 8) = pa;
		}
	}
}

/* Where holes may be: away from this image and the pool, in the range that holds both. */
static void choose_holes(u32 wanted)
{
	struct range *r = &usable[1];
	u64 from = POOL_PA + POOL_BYTES, gap;

	gap = (r->start + r->size - from) / PAGE / (wanted + 1);
	if (wanted > MAX_HOLES || gap < 2)
		die("runs=N: too many for this much RAM");
	for (; hole_count < wanted; hole_count++)
		holes[hole_count] = from + (hole_count + 1) * gap * PAGE;
}

static void add_run(u64 start, u64 end)
{
	if (end > start)
		header_runs[header_run_count++] = (struct range){ start, end - start };
}

static void cut_runs(void)
{
	u32 hole = 0;

	for (u32 i = 0; i < usable_count; i++) {
		u64 at = usable[i].start, end = at + usable[i].size;

		for (; hole < hole_count && holes[hole] < end; hole++) {
			add_run(at, holes[hole]);
			at = holes[hole] + PAGE;
		}
		add_run(at, end);
	}
}

void memory_init(u64 mmap, u32 mmap_size)
{
	for (u64 at = mmap; at < mmap + mmap_size; at += ((struct entry *)at)->size + 4)
		if (map_count < COUNT(map))
			map[map_count++] = *(struct entry *)at;
	for (u32 i = 0; i < map_count; i++) {
		u64 start = (map[i].base + PAGE - 1) & ~(PAGE - 1);
		u64 end = (map[i].base + map[i].length) & ~(PAGE - 1);

		if (start == 0)
			start = PAGE;	/* Windows does not list page 0 */
		if (end > 8ull << 30)
			end = 8ull << 30;	/* boot.S maps no more */
		if (map[i].type == 1 && end > start && usable_count < MAX_RANGES)
			usable[usable_count++] = (struct range){ start, end - start };
	}
	if (usable_count < 2 || usable[1].start != FIRST_MIB ||
	    usable[1].start + usable[1].size < POOL_PA + POOL_BYTES + 0x80000)
		die("too little RAM: 4M at least");
	if ((u64)image_end > POOL_PA)
		die("the guest image runs into the pool");
	forget_bios();
	tag_pages();
	memset((void *)POOL_PA, 0, POOL_BYTES);
	if (opt.runs != NOT_GIVEN) {
		/* The header has room for 42 runs; a higher number is only claimed (header.c). */
		u64 n = opt.runs > 42 ? 42 : opt.runs;

		if (n < usable_count)
			die("runs=N: fewer than RAM has");
		choose_holes((u32)(n - usable_count));
	}
	cut_runs();
}

static int reserved(u64 pa)
{
	for (u32 i = 0; i < hole_count; i++)
		if (pa == holes[i])
			return 1;
	return pa < LOW_LIMIT || (pa >= FIRST_MIB && pa < (u64)image_end) ||
	       (pa >= POOL_PA && pa < POOL_PA + POOL_BYTES);
}

static u64 gcd(u64 a, u64 b)
{
	return b ? gcd(b, a % b) : a;
}

/* Pages come in an order that jumps all over RAM, so that nothing is contiguous by luck. */
u64 page_alloc(void)
{
	static u64 frames, step, next, taken;

	if (!frames) {
		for (u32 i = 0; i < usable_count; i++)
			frames += usable[i].size / PAGE;
		step = frames * 618 / 1000;	/* the golden ratio */
		while (gcd(step, frames) != 1)
			step++;
	}
	while (taken++ < frames) {
		u64 n = next, pa = 0;

		next = (next + step) % frames;
		for (u32 i = 0; i < usable_count; n -= usable[i].size / PAGE, i++) {
			if (n < usable[i].size / PAGE) {
				pa = usable[i].start + n * PAGE;
				break;
			}
		}
		if (reserved(pa))
			continue;
		memset((void *)pa, 0, PAGE);
		return pa;
	}
	die("out of memory");
}

u64 pool_alloc(u32 size)
{
	u64 va = POOL + pool_used;

	pool_used += (size + 15u) & ~15u;
	if (pool_used > POOL_BYTES)
		die("pool exhausted");
	return va;
}
