/* The order of things, memory, the words, messages, and the way to etc/vmcoreinfo. */
#include "guest.h"

#define AP_START	0x8000u
#define APIC		0xfee00000u
#define APIC_SVR	0x0f0u
#define APIC_ICR	0x300u

struct range runs[8];
u32 run_count, cpu_total;
u32 opt_bsod, opt_nopae, opt_odd, opt_badcopy, opt_unmapped;
static volatile u32 cpu_here[MAX_CPUS], released;

static void say(const char *s)
{
	while (*s)
		out8(0xe9, (u8)*s++);
}

void die(const char *why)
{
	say("FAIL: ");
	say(why);
	say("\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}

void *memcpy(void *d, const void *s, unsigned int n)
{
	for (u32 i = 0; i < n; i++)
		((volatile u8 *)d)[i] = ((const u8 *)s)[i];
	return d;
}

void *memset(void *d, int c, unsigned int n)
{
	for (u32 i = 0; i < n; i++)
		((volatile u8 *)d)[i] = (u8)c;
	return d;
}

u32 length(const char *s)
{
	u32 n = 0;

	while (s[n])
		n++;
	return n;
}

static const struct { const char *name; u32 *value; } words[] = {
	{ "live", 0 }, { "bsod", &opt_bsod }, { "nopae", &opt_nopae }, { "odd", &opt_odd },
	{ "badcopy", &opt_badcopy }, { "unmapped", &opt_unmapped },
};

/* The command line begins with the kernel's file name. */
static void options_parse(const char *s)
{
	while (*s && *s != ' ')
		s++;
	while (*s) {
		u32 n = 0, known = 0;

		if (*s == ' ') {
			s++;
			continue;
		}
		while (s[n] && s[n] != ' ')
			n++;
		for (u32 i = 0; i < COUNT(words); i++) {
			u32 k = 0;

			while (k < n && words[i].name[k] == s[k])
				k++;
			if (k != n || words[i].name[k])
				continue;
			known = 1;
			if (words[i].value)
				*words[i].value = 1;
		}
		if (!known)
			die("unknown word");
		s += n;
	}
}

/* The e820 map that the loader leaves; usable pages get their own address written in. */
static void memory_init(u32 mmap, u32 mmap_size)
{
	struct entry { u32 size; u64 base, length; u32 type; } __attribute__((packed)) *e;

	for (u32 at = mmap; at < mmap + mmap_size; at += e->size + 4) {
		u32 start, end;

		e = (struct entry *)at;
		if (e->type != 1 || e->base >> 32 || run_count == COUNT(runs))
			continue;
		start = ((u32)e->base + PAGE - 1) & ~(PAGE - 1);
		end = (u32)(e->base + e->length) & ~(PAGE - 1);
		if (start == 0)
			start = PAGE;	/* Windows does not list page 0 */
		if (end > start)
			runs[run_count++] = (struct range){ start, end - start };
	}
	if (run_count < 2 || runs[1].start + runs[1].size < 0xc00000)
		die("too little RAM: 16M at least");
	for (u32 i = 1; i < run_count; i++)
		for (u32 pa = runs[i].start; pa < runs[i].start + runs[i].size; pa += PAGE)
			if (pa >= (u32)image_end && (mmap < pa || mmap >= pa + PAGE)) {
				*(u32 *)pa = pa;
				*(u32 *)(pa + PAGE - 4) = pa;
			}
}

static void copy_code(u32 rva, const char *from, const char *to)
{
	put(NT + rva, from, (u32)(to - from));
}

static void code_build(void)
{
	map_new(NT + NT_PARK, PAGE, 0);
	map_new(NT + NT_TRAPS, PAGE, 0);
	map_new(NT + NT_BUGCHECK, 0x200, 0);
	map_new(DRV + 0x1000, PAGE, 0);
	copy_code(NT_PARK, park, park_end);
	for (u32 i = 0; i < MAX_CPUS; i++)
		copy_code(NT_IDLE + 16 * i, rest, rest_end);
	for (u32 i = 0; i < 256; i++)
		put32(NT + NT_TRAPS + 16 * i, 0xccfdebf4);	/* hlt; jmp $-1 */
	enter_target = NT + NT_PARK;
}

static void apic_command(u32 v)
{
	*(volatile u32 *)(APIC + APIC_ICR) = v;
	while (*(volatile u32 *)(APIC + APIC_ICR) & 0x1000)
		;
}

/* INIT, then the start-up IPI, to all but this CPU (Intel SDM volume 3, 8.4). */
static void start_others(void)
{
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	*(volatile u32 *)(APIC + APIC_SVR) |= 0x100;
	if (cpu_total == 1)
		return;
	memcpy((void *)AP_START, ap_start, (u32)(ap_start_end - ap_start));
	apic_command(0x000c4500);
	for (u32 i = 0; i < 10000; i++)
		out8(0x80, 0);
	apic_command(0x000c4600 | AP_START / PAGE);
	for (u32 i = 1; i < cpu_total; i++)
		while (!cpu_here[i])
			__asm__ volatile("pause");
}

void ap_main(u32 cpu)
{
	cpu_here[cpu] = 1;
	while (released < cpu)
		__asm__ volatile("pause");
	cpu_here[cpu] = 2;
	cpu_park(cpu);
}

static u32 cpu_count(void)
{
	u32 n;

	out16(0x510, 5);	/* fw_cfg: number of CPUs */
	n = in8(0x511);
	return n;
}

void guest_main(const u32 *multiboot)
{
	options_parse((const char *)multiboot[4]);	/* memory_init may overwrite it */
	memory_init(multiboot[12], multiboot[11]);
	cpu_total = cpu_count();
	if (cpu_total > MAX_CPUS)
		die("too many CPUs");
	start_others();
	paging_init();
	kernel_build();
	code_build();
	for (u32 i = 0; i < cpu_total; i++)
		cpu_build(i);
	paging_finish();
	header_publish();
	for (u32 i = 1; i < cpu_total; i++) {
		released = i;
		while (cpu_here[i] != 2)
			__asm__ volatile("pause");
	}
	say("READY\n");
	cpu_park(0);
}
