/* The order of things, the words, messages, the code pages, the other CPUs. */
#include "guest.h"

#define AP_START	0x8000u
#define APIC		0xfee00000u
#define APIC_SVR	0x0f0u
#define APIC_ICR	0x300u

u32 cpu_total;
struct options opt;
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

#define FLAG(name)	{ #name, &opt.name, 0 }
#define NUMBER(name)	{ #name, &opt.name, 1 }
static const struct word {
	const char *name;
	u32 *value;
	u32 number;
} words[] = {
	FLAG(live), FLAG(bsod), FLAG(nopae), FLAG(odd), FLAG(badcopy), FLAG(unmapped),
	FLAG(badsig), FLAG(badvalid), FLAG(baddtb), FLAG(nobug), FLAG(noprocblk),
	FLAG(noprcb), FLAG(noctx), FLAG(nonote),
	NUMBER(build), NUMBER(crashcpu), NUMBER(ncpu), NUMBER(descsz),
#if IMAGES
	NUMBER(crash), NUMBER(at), NUMBER(slide), FLAG(other),
#endif
};

static const char *number_parse(const char *s, u32 *v)
{
	u32 base = 10, digit;

	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	for (*v = 0;; s++) {
		if (*s >= '0' && *s <= '9')
			digit = (u32)(*s - '0');
		else if (base == 16 && *s >= 'a' && *s <= 'f')
			digit = (u32)(*s - 'a') + 10;
		else
			return s;
		*v = *v * base + digit;
	}
}

static const char *word_parse(const char *s)
{
	for (u32 i = 0; i < COUNT(words); i++) {
		u32 n = length(words[i].name), j = 0;

		while (j < n && s[j] == words[i].name[j])
			j++;
		if (j < n)
			continue;
		if (!words[i].number && (s[n] == ' ' || !s[n])) {
			*words[i].value = 1;
			return s + n;
		}
		if (words[i].number && s[n] == '=')
			return number_parse(s + n + 1, words[i].value);
	}
	die("unknown word on the command line");
}

/* The command line begins with the kernel's file name. */
static void options_parse(const char *s)
{
	for (u32 i = 0; i < COUNT(words); i++)
		*words[i].value = words[i].number ? NOT_GIVEN : 0;
	while (*s && *s != ' ')
		s++;
	while (*s) {
		if (*s == ' ')
			s++;
		else
			s = word_parse(s);
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
	if (!IMAGES)
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
	options_parse((const char *)multiboot[4]);	/* memory_init overwrites it */
	build_choose();
	if (IMAGES)
		images_place();
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
	if (!IMAGES)	/* the images say it when they have crashed */
		say("READY\n");
	cpu_park(0);
}
