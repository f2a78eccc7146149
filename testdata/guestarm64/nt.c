/* The loaded images: PE headers, the kernel's pages, and the list of modules. */
#include "guest.h"

#define STAMP_CORE	0x8d0e7b2au	/* Windows stamps are hashes, no times */
#define STAMP_HAL	0x4a2b91c3u
#define STAMP_DRV	0x6140cc10u

static u32 put_string(u64 va, const char *s)
{
	u32 n = length(s) + 1;

	memcpy((void *)va, s, n);
	return n;
}

/* An RSDS record and its debug directory at rva (Microsoft PE format, "The .debug Section"). */
static void debug_build(u64 base, u32 rva, const char *pdb, u32 stamp)
{
	u64 dir = base + rva, rsds = dir + 0x20;

	put32(dir + 4, stamp);
	put32(dir + 12, 2);	/* IMAGE_DEBUG_TYPE_CODEVIEW */
	put32(dir + 16, 24 + length(pdb) + 1);
	put32(dir + 20, rva + 0x20);
	put32(dir + 24, rva + 0x20);
	put32(rsds, 0x53445352);
	put32(rsds + 4, stamp ^ 0x5a5a5a5a);
	put16(rsds + 8, 0x1de7);
	put16(rsds + 10, 0x4a11);
	put32(rsds + 12, stamp % 0xffff);
	put32(rsds + 16, 0x77696e64);
	put32(rsds + 20, 1);
	put_string(rsds + 24, pdb);
}

struct section {
	const char *name;
	u32 rva, size, flags;
};

#define CODE	0x68000020u
#define RDATA	0x48000040u
#define RWDATA	0xc8000040u

static const struct section nt_sections[] = {
	{ ".rdata", 0x001000, 0x1ff000, RDATA },
	{ ".text", 0x200000, 0xa00000, CODE },
	{ ".data", 0xc00000, NT_SIZE - 0xc00000, RWDATA },
};

static const struct section driver_sections[] = {
	{ ".text", 0x1000, 0x1000, CODE },
	{ ".data", 0x2000, 0x1000, RWDATA },
};

/* MZ and PE32+ headers in the image's first page; the debug directory at its rva. */
static void pe_build(u64 base, u32 size, const struct section *sections, u32 count, u32 entry,
		     u32 debug, const char *pdb, u32 stamp)
{
	u64 pe = base + 0x80, opt64 = pe + 24, at = opt64 + 0xf0;

	map_new(base, PAGE, P_DATA);
	put16(base, 0x5a4d);
	put32(base + 0x3c, 0x80);
	put32(pe, 0x4550);
	put16(pe + 4, 0xaa64);
	put16(pe + 6, count);
	put32(pe + 8, stamp);
	put16(pe + 20, 0xf0);
	put16(pe + 22, 0x22);		/* executable, large address aware */
	put16(opt64, 0x20b);
	put32(opt64 + 16, entry);	/* AddressOfEntryPoint */
	put32(opt64 + 20, entry);	/* BaseOfCode */
	put64(opt64 + 24, base);
	put32(opt64 + 32, 0x1000);	/* SectionAlignment, FileAlignment */
	put32(opt64 + 36, 0x200);
	put16(opt64 + 40, 10);		/* operating system and subsystem versions */
	put16(opt64 + 48, 10);
	put32(opt64 + 56, size);
	put32(opt64 + 60, 0x400);
	put32(opt64 + 64, stamp / 3);	/* CheckSum */
	put16(opt64 + 68, 1);		/* native */
	put32(opt64 + 108, 16);
	put32(opt64 + 112 + 6 * 8, debug);
	put32(opt64 + 112 + 6 * 8 + 4, 28);
	for (u32 i = 0; i < count; i++, at += 40) {
		put_string(at, sections[i].name);
		put32(at + 8, sections[i].size);
		put32(at + 12, sections[i].rva);
		put32(at + 16, sections[i].size);	/* SizeOfRawData, PointerToRawData */
		put32(at + 20, sections[i].rva);
		put32(at + 36, sections[i].flags);
	}
	debug_build(base, debug, pdb, stamp);
}

/* nt's export directory: the name by which tools know the kernel, and a few variables. */
static void exports_build(void)
{
	static const struct { const char *name; u32 rva; } exports[] = {
		{ "KeBugCheckEx", NT_BUGCHECK },
		{ "MmHighestUserAddress", 0x01e928 },
		{ "MmSystemRangeStart", 0x01e918 },
		{ "MmUserProbeAddress", 0x01e920 },
		{ "NtBuildNumber", NT_BUILDNUM },
		{ "PsInitialSystemProcess", NT_INITPROC },
		{ "PsLoadedModuleList", NT_LOADED },
	};
	u64 dir = NT + NT_RDATA + 0x400, functions = dir + 0x28;
	u64 names = functions + 4 * COUNT(exports), ordinals = names + 4 * COUNT(exports);
	u64 text = ordinals + 2 * COUNT(exports), data_dirs = NT + 0x80 + 24 + 112;

	put32(dir + 12, (u32)(text - NT));
	text += put_string(text, "ntoskrnl.exe");
	put32(dir + 16, 1);
	put32(dir + 20, COUNT(exports));
	put32(dir + 24, COUNT(exports));
	put32(dir + 28, (u32)(functions - NT));
	put32(dir + 32, (u32)(names - NT));
	put32(dir + 36, (u32)(ordinals - NT));
	for (u32 i = 0; i < COUNT(exports); i++) {
		put32(functions + 4 * i, exports[i].rva);
		put32(names + 4 * i, (u32)(text - NT));
		put16(ordinals + 2 * i, i);
		text += put_string(text, exports[i].name);
	}
	put32(data_dirs, (u32)(dir - NT));
	put32(data_dirs + 4, (u32)(text - dir));
}

/* UNICODE_STRING at va; its characters go to the paged pool. */
static void put_unicode(u64 va, const char *s)
{
	static u64 used;
	u32 n = length(s);

	put16(va, n * 2);
	put16(va + 2, n * 2 + 2);
	put64(va + 8, PAGED + used);
	for (u32 i = 0; i < n; i++)
		put16(PAGED + used + 2 * i, (u64)s[i]);
	used += (n * 2 + 2 + 15) & ~15u;
}

/* A KLDR_DATA_TABLE_ENTRY at the end of PsLoadedModuleList. */
static void module_add(u64 base, u32 size, const char *path, const char *name, u32 stamp)
{
	u64 head = NT + NT_LOADED, e = pool_alloc(0xa0), last = get64(head + 8);

	put64(e, head);
	put64(e + 8, last);
	put64(last, e);
	put64(head + 8, e);
	put64(e + 0x30, base);
	put64(e + 0x38, base + (size > BLOCK ? 0x200000 : 0x1000));
	put32(e + 0x40, size);
	put_unicode(e + 0x48, path);
	put_unicode(e + 0x58, name);
	put32(e + 0x68, 0x09004000);	/* LDRP_SYSTEM_MAPPED and friends */
	put16(e + 0x6c, 1);
	put32(e + 0x78, stamp / 3);	/* CheckSum */
	put32(e + 0x9c, stamp);
}

#define NOP	0xd503201fu

/* A driver: a page of nops, so that a pc in it disassembles, with the debug directory behind. */
static void driver_build(u64 base, u32 size, const char *pdb, u32 stamp)
{
	map_new(base + 0x1000, PAGE, P_DATA);
	for (u32 i = 0; i < 0x800; i += 4)
		put32(base + 0x1000 + i, NOP);
	pe_build(base, size, driver_sections, COUNT(driver_sections), 0x1000, 0x1800, pdb, stamp);
}

/* An instruction that calls: BL from one place in nt to another. */
static void call_put(u64 at, u64 to)
{
	put32(at - (NT + NT_TEXT) + TEXT_PA, 0x94000000u | (((u32)(to - at) >> 2) & 0x3ffffff));
}

/* The block of code is not writable at its own address: it is written where it lies. */
static void code_build(void)
{
	u64 vectors = map_new(NT + NT_VECTORS, PAGE, P_DATA);

	for (u64 i = 0; i < BLOCK; i += 8)
		put64(TEXT_PA + i, (u64)NOP << 32 | NOP);
	memcpy((void *)(TEXT_PA + NT_PARK - NT_TEXT), park, (unsigned long)(park_end - park));
	for (u32 i = 0; i < MAX_CPUS; i++)
		memcpy((void *)(TEXT_PA + NT_IDLE - NT_TEXT + 16 * i), rest_kernel, (unsigned long)(rest_kernel_end - rest_kernel));
	call_put(NT + NT_STOP_RETURN - 4, NT + NT_STOP2);
	call_put(NT + NT_STOPPED + 4, NT + NT_TEXT);
	for (u32 i = 0x800; i < PAGE; i += 4)
		put32(vectors + i, 0x14000000);	/* b . */
	/* What was written lies in pages, and not in a cache of instructions. */
	__asm__ volatile("dsb ish; ic iallu; dsb ish; isb" : : : "memory");
}

void nt_build(void)
{
	u64 head = NT + NT_LOADED;

	map_new(NT + NT_RDATA, PAGE, P_DATA);
	map_new(NT + NT_LOADED, 16, P_DATA);
	map_new(NT + NT_INITPROC, 8, P_DATA);
	map_new(NT + NT_BUILDNUM, 4, P_DATA);
	map_new(PAGED, PAGE, P_DATA);
	pe_build(NT, NT_SIZE, nt_sections, COUNT(nt_sections), 0x200000, NT_RDATA + 0xa00, "ntkrnlmp.pdb", STAMP_CORE);
	exports_build();
	code_build();
	driver_build(HAL, HAL_SIZE, "hal.pdb", STAMP_HAL);
	driver_build(DRV, DRV_SIZE, "testdrv.pdb", STAMP_DRV);
	put32(DRV + 0x12fc, 0x94000000);	/* bl, before the return address on the stack */
	put64(head, head);
	put64(head + 8, head);
	module_add(NT, NT_SIZE, "\\SystemRoot\\system32\\ntoskrnl.exe", "ntoskrnl.exe", STAMP_CORE);
	module_add(HAL, HAL_SIZE, "\\SystemRoot\\system32\\hal.dll", "hal.dll", STAMP_HAL);
	module_add(DRV, DRV_SIZE, "\\SystemRoot\\System32\\drivers\\testdrv.sys", "testdrv.sys", STAMP_DRV);
	if (opt.nomz)
		put16(NT, 0);
}
