/* The order of things, the options, and messages on the debug console. */
#include "guest.h"

struct options opt;

void say(const char *s)
{
	while (*s)
		out8(0xe9, (u8)*s++);
}

void say_hex(u64 v)
{
	int shift = 60;

	while (shift > 0 && !(v >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		out8(0xe9, (u8)"0123456789abcdef"[(v >> shift) & 15]);
}

void die(const char *why)
{
	say("FAIL: ");
	say(why);
	say("\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}

#define FLAG(name)	{ #name, &opt.name, 0 }
#define NUMBER(name)	{ #name, &opt.name, 1 }
static const struct word {
	const char *name;
	u64 *value;
	int number;
} words[] = {
	FLAG(bsod), FLAG(live), FLAG(encoded), FLAG(badcopy), FLAG(nocopy), FLAG(unmapped),
	FLAG(noncanon), FLAG(kdbgcut), FLAG(badsig), FLAG(badvalid), FLAG(baddtb), FLAG(nobug),
	FLAG(noprocblk), FLAG(noprcb), FLAG(noctx), FLAG(nonote), FLAG(shadow), FLAG(pcid),
	FLAG(odd), FLAG(swbits), FLAG(mapall), FLAG(map1g), FLAG(noselfmap), FLAG(badrun),
	FLAG(la57), FLAG(swapcpu), FLAG(user), FLAG(transition),
	NUMBER(ncpu), NUMBER(descsz), NUMBER(size), NUMBER(runs), NUMBER(crashcpu),
	NUMBER(build), NUMBER(key),
#if IMAGES
	NUMBER(crash), NUMBER(at), NUMBER(slide), FLAG(other),
#endif
};

static const char *number_parse(const char *s, u64 *v)
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
	say("at: ");
	say(s);
	say("\n");
	die("unknown word on the command line");
}

/* The first word is the kernel's file name: QEMU's multiboot loader puts it there. */
void options_parse(const char *s)
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

/* The multiboot information structure, as far as it is used. */
struct multiboot {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	u32 syms[4], mmap_length, mmap_addr;
};

void guest_main(const struct multiboot *info)
{
	u32 cpus;

	options_parse((const char *)(u64)info->cmdline);
	if (opt.la57 && !boot_la57)
		die("la57: this CPU model has no 5-level paging");
	build_choose();
	if (IMAGES)
		images_place();
	cpus = fwcfg_cpus();
	if (cpus < 1 || cpus > MAX_CPUS)
		die("1 to 8 CPUs are supported");
	memory_init(info->mmap_addr, info->mmap_length);
	cpu_start_others(cpus);
	paging_init();
	nt_build();
	kernel_build(cpus);
	for (u32 i = 0; i < cpus; i++)
		cpu_build(i);
	kdbg_build();
	header_publish(cpus);
	cpu_release_others(cpus);
	say("dtb=");
	say_hex(system_dtb());
	say(" kdbg=");
	say_hex(kdbg_address());
	say(IMAGES ? "\n" : "\nREADY\n");	/* the images say it when they have crashed */
	cpu_park(0);
}
