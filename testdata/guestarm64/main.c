/* The order of things, the words, messages on the serial port, and physical memory. */
#include "guest.h"

struct options opt;
struct range ram[2];
u32 cpus;

static void put(char c)
{
	while (*(volatile u32 *)(UART + 0x18) & 0x20)	/* PL011: UARTFR.TXFF */
		;
	*(volatile u32 *)UART = (u8)c;
}

void say(const char *s)
{
	while (*s)
		put(*s++);
}

void say_hex(u64 v)
{
	int shift = 60;

	while (shift > 0 && !(v >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		put("0123456789abcdef"[(v >> shift) & 15]);
}

void die(const char *why)
{
	say("FAIL: ");
	say(why);
	say("\n");
	for (;;)
		__asm__ volatile("wfi");
}

void *memcpy(void *d, const void *s, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		((volatile u8 *)d)[i] = ((const u8 *)s)[i];
	return d;
}

void *memset(void *d, int c, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		((volatile u8 *)d)[i] = (u8)c;
	return d;
}

static void clear(u64 from, u64 to)
{
	for (; from < to; from += 8)
		put64(from, 0);
}

u32 length(const char *s)
{
	u32 n = 0;

	while (s[n])
		n++;
	return n;
}

static int same(const char *a, const char *b, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (a[i] != b[i])
			return 0;
	return 1;
}

static const struct word { const char *name; u64 *value; } words[] = {
	{ "bsod", &opt.bsod }, { "live", 0 }, { "encoded", &opt.encoded }, { "user", &opt.user },
	{ "swapcpu", &opt.swapcpu }, { "nomz", &opt.nomz }, { "wide", &opt.wide },
};

static void options_parse(const char *s)
{
	while (*s) {
		u32 n = 0, i = 0;

		while (s[n] && s[n] != ' ')
			n++;
		while (i < COUNT(words) && !(length(words[i].name) == n && same(words[i].name, s, n)))
			i++;
		if (n && i == COUNT(words))
			die("unknown word on the command line");
		if (n && words[i].value)
			*words[i].value = 1;
		s += n + (s[n] == ' ');
	}
}

static u32 be32(u64 at)
{
	const u8 *b = (const u8 *)at;

	return (u32)b[0] << 24 | (u32)b[1] << 16 | (u32)b[2] << 8 | b[3];
}

/*
 * The device tree (devicetree.org, "Flattened Devicetree Format"): bootargs, the size of
 * memory, and how many nodes are processors.
 */
static void tree_read(u64 tree)
{
	u64 at = tree + be32(tree + 8), names = tree + be32(tree + 12), node = 0;

	if (be32(tree) != 0xd00dfeed)
		die("no device tree");
	for (;; at = (at + 3) & ~3ull) {
		u32 token = be32(at);

		at += 4;
		if (token == 1) {		/* begin of a node, its name */
			node = at;
			cpus += same((const char *)at, "cpu@", 4);
			at += length((const char *)at) + 1;
		} else if (token == 3) {	/* property: length, name, value */
			const char *name = (const char *)(names + be32(at + 4));
			u32 n = be32(at);

			at += 8;
			if (same(name, "bootargs", 9))
				options_parse((const char *)at);
			if (same((const char *)node, "memory@", 7) && same(name, "reg", 4))
				ram[1].end = ((u64)be32(at) << 32 | be32(at + 4)) + ((u64)be32(at + 8) << 32 | be32(at + 12));
			at += n;
		} else if (token == 9) {
			return;
		}
	}
}

u64 ram_pages(void)
{
	return (ram[0].end - ram[0].start + ram[1].end - ram[1].start) / PAGE;
}

static int reserved(u64 pa)
{
	return (pa >= (u64)image_start && pa < (u64)image_end) || (pa >= HOLE && pa < HOLE_END) ||
	       (pa >= POOL_PA && pa < TEXT_PA + BLOCK);
}

/* Nothing of the loader stays, and every unused page says where it is. */
static void memory_init(void)
{
	ram[0] = (struct range){ RAM, HOLE };
	ram[1].start = HOLE_END;
	if (ram[1].end < TEXT_PA + BLOCK + 0x100000)
		die("too little RAM: 8M at least");
	clear(RAM, (u64)image_start);
	clear((u64)image_end, ram[1].end);
	for (u64 pa = RAM; pa < ram[1].end; pa += PAGE)
		if (!reserved(pa)) {
			put64(pa, pa);
			put64(pa + PAGE - 8, pa);
		}
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
		frames = (ram[1].end - RAM) / PAGE;
		step = frames * 618 / 1000;	/* the golden ratio */
		while (gcd(step, frames) != 1)
			step++;
	}
	while (taken++ < frames) {
		u64 pa = RAM + next * PAGE;

		next = (next + step) % frames;
		if (reserved(pa))
			continue;
		put64(pa, 0);
		put64(pa + PAGE - 8, 0);
		return pa;
	}
	die("out of memory");
}

u64 pool_alloc(u32 size)
{
	static u64 used;
	u64 va = POOL + used;

	used += (size + 15u) & ~15u;
	if (used > BLOCK)
		die("pool exhausted");
	return va;
}

/* Addresses of which the host may ask what the processor makes of them. */
static void say_translations(void)
{
	static const u64 list[] = {
		NT, NT + NT_RDATA + 0x123, NT + NT_TEXT + 0x1ffff8, NT + NT_KDBG, NT + NT_KDBG + KDBG_SIZE - 8, NT + 0x300000,
		NT + NT_VECTORS + 0x800, HAL, DRV + 0x1000, DRV + 0x3000, POOL + 0x12345, POOL + BLOCK - 1, POOL + BLOCK, PAGED + 8,
		KUSER + 0xfff, 0xffffa8fc01f97000ull, 0xffffa8fc01f98028ull, 0xffff800000000000ull,
	};

	layout_final();
	for (u32 i = 0; i < COUNT(list); i++) {
		say("va=");
		say_hex(list[i]);
		say(" pa=");
		say_hex(translate(list[i]));
		say("\n");
	}
}

void guest_main(u64 tree)
{
	tree_read(tree);
	if (cpus < 1 || cpus > MAX_CPUS)
		die("1 to 8 CPUs are supported");
	memory_init();
	cpu_start_others();
	paging_init();
	nt_build();
	kernel_build();
	for (u32 i = 0; i < cpus; i++)
		cpu_build(i);
	kdbg_build();
	say_translations();
	cpu_release_others();
	say("READY\n");
	cpu_park(0);
}
