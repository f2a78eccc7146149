/*
 * What the kernel keeps once: its image, KDDEBUGGER_DATA64, the list of modules, the
 * System process, KUSER_SHARED_DATA, bug check data.
 */
#include "guest.h"

u32 system_process;

u32 prcbs_address(void) { return NT + (opt.odd ? NT_PRCBS_ODD : NT_PRCBS); }

u32 pool_alloc(u32 size)
{
	static u32 used;
	u32 va = POOL + used;

	used += (size + 15) & ~15u;
	if (used > POOL_SIZE)
		die("pool exhausted");
	return va;
}

static void put_ascii(u32 va, const char *s)
{
	put(va, s, length(s) + 1);
}

/*
 * KDDEBUGGER_DATA64 (wdbgexts.h of the Windows SDK), which 32-bit kernels have in the same
 * layout: pointers stand in slots of 64 bits, zero-extended, but for the list in front,
 * which is a LIST_ENTRY of the kernel's own width.
 */
static const struct { u16 offset; u32 rva; } pointers[] = {
	{ 0x018, 0 },			/* KernBase */
	{ 0x020, 0x0de100 },		/* BreakpointWithStatus */
	{ 0x048, NT_LOADED },		/* PsLoadedModuleList */
	{ 0x050, NT_ACTIVE },		/* PsActiveProcessHead */
	{ 0x058, 0x17de2c },		/* PspCidTable */
	{ 0x088, NT_BUGDATA },		/* KiBugcheckData */
	{ 0x0c0, NT_PFNDB },		/* MmPfnDatabase */
	{ 0x208, NT_BUILDLAB },		/* NtBuildLab */
	{ 0x270, NT_MEMBLOCK },		/* MmPhysicalMemoryBlock */
};

static const struct { u16 offset, value; } words[] = {
	{ 0x2ae, 0x018 },	/* OffsetEprocessDirectoryTableBase */
	{ 0x2b4, 0x004 },	/* OffsetPrcbCurrentThread */
	{ 0x2e2, 0x01c },	/* OffsetPcrSelfPcr */
	{ 0x2e4, 0x020 },	/* OffsetPcrCurrentPrcb */
	{ 0x2e6, PRCB_IN_PCR },	/* OffsetPcrContainedPrcb */
	{ 0x2f4, 0x08 },	/* GdtR0Code */
	{ 0x2f6, 0x10 },	/* GdtR0Data */
	{ 0x2f8, 0x30 },	/* GdtR0Pcr */
	{ 0x2fa, 0x1b },	/* GdtR3Code */
	{ 0x2fc, 0x23 },	/* GdtR3Data */
	{ 0x2fe, 0x3b },	/* GdtR3Teb */
	{ 0x302, 0x28 },	/* GdtTss */
};

#define KDBG_ROOM	0x380u	/* the largest block */

static void kdbg_put(u32 va, u32 tag)
{
	put32(va, NT + NT_DATALIST);
	put32(va + 4, NT + NT_DATALIST);
	for (u32 i = 0; i < COUNT(pointers); i++)
		put64(va + pointers[i].offset, NT + pointers[i].rva);
	for (u32 i = 0; i < COUNT(words); i++)
		put16(va + words[i].offset, words[i].value);
	put32(va + 0x10, tag);
	put16(va + 0x2a0, build->apc_process);	/* OffsetKThreadApcProcess */
	put16(va + 0x2a8, build->process_size);	/* SizeEProcess */
	put16(va + 0x2aa, build->peb);		/* OffsetEprocessPeb */
	put16(va + 0x2ac, build->parent);	/* OffsetEprocessParentCID */
	put16(va + 0x2b0, build->prcb_size);	/* SizePrcb */
	put16(va + 0x2bc, build->state);	/* OffsetPrcbProcStateContext */
	put16(va + 0x2be, build->prcb_number);	/* OffsetPrcbNumber */
	put16(va + 0x2e0, build->pcr_size);	/* SizePcr */
	put16(va + 0x2f2, build->state + CONTEXT_SIZE);	/* OffsetPrcbProcStateSpecialReg */
	put16(va + 0x338, build->context);	/* OffsetPrcbContext */
	for (u32 i = build->kdbg_size; i < KDBG_ROOM; i += 2)
		put16(va + i, 0);
	if (opt.nobug)
		put64(va + 0x88, NOWHERE);
	put32(va + 0x14, build->kdbg_size);
	put16(va + 0x36, !opt.nopae);	/* PaeEnabled */
	put64(va + 0x138, PAGE);	/* MmPageSize */
	put64(va + 0x218, opt.noprocblk ? NOWHERE : prcbs_address());
}

/* DBGKD_GET_VERSION64: its addresses, unlike KDBG's, are extended by their sign. */
static void version_put(void)
{
	u32 v = NT + NT_VERSION;

	put16(v, 0x0f);
	put16(v + 2, build->number);
	put16(v + 4, 0x0006);	/* ProtocolVersion 6, KdSecondaryVersion 0 */
	put16(v + 6, 0x3);
	put16(v + 8, 0x14c);
	put64(v + 0x10, (u64)(long long)(int)NT);
	put64(v + 0x18, (u64)(long long)(int)(NT + NT_LOADED));
	put64(v + 0x20, (u64)(long long)(int)(NT + NT_DATALIST));
}

static void kdbg_build(void)
{
	map_new(NT + NT_VERSION, 0x28, 1);
	map_new(NT + NT_KDBG, KDBG_ROOM, 1);
	map_new(DECODED, KDBG_ROOM, 1);
	map_new(NT + NT_DATALIST, 8, 1);
	kdbg_put(NT + NT_KDBG, 0x4742444b);
	kdbg_put(DECODED, opt.badcopy ? 0x4b444247 : 0x4742444b);
	put32(NT + NT_DATALIST, NT + NT_KDBG);
	put32(NT + NT_DATALIST + 4, NT + NT_KDBG);
	version_put();
}

/* MZ and PE32 headers (Microsoft PE format), with an RSDS record in the same page. */
static void image_build(u32 base, u32 size, const char *pdb, u32 stamp)
{
	u32 pe = base + 0x80, optional = pe + 24, debug = 0x400, rsds = 0x420;

	map_new(base, PAGE, 1);
	put16(base, 0x5a4d);
	put32(base + 0x3c, 0x80);
	put32(pe, 0x4550);
	put16(pe + 4, 0x14c);
	put16(pe + 6, 1);
	put32(pe + 8, stamp);
	put16(pe + 20, 0xe0);
	put16(pe + 22, 0x102);		/* executable, 32-bit */
	put16(optional, 0x10b);
	put32(optional + 16, 0x1000);	/* AddressOfEntryPoint */
	put32(optional + 28, base);
	put32(optional + 32, 0x1000);	/* SectionAlignment, FileAlignment */
	put32(optional + 36, 0x200);
	put32(optional + 56, size);
	put32(optional + 60, 0x1000);
	put32(optional + 92, 16);
	put32(optional + 96 + 6 * 8, debug);
	put32(optional + 96 + 6 * 8 + 4, 28);
	put_ascii(optional + 0xe0, ".text");
	put32(optional + 0xe8, size - 0x1000);
	put32(optional + 0xec, 0x1000);
	put32(optional + 0x104, 0x68000020);
	put32(base + debug + 4, stamp);
	put32(base + debug + 12, 2);	/* IMAGE_DEBUG_TYPE_CODEVIEW */
	put32(base + debug + 16, 24 + length(pdb) + 1);
	put32(base + debug + 20, rsds);
	put32(base + debug + 24, rsds);
	put32(base + rsds, 0x53445352);
	put32(base + rsds + 4, stamp ^ 0x5a5a5a5a);
	put32(base + rsds + 8, 0x4a111de7);
	put64(base + rsds + 12, 0x77696e646d700000ull + (stamp & 0xffff));
	put32(base + rsds + 20, 1);
	put_ascii(base + rsds + 24, pdb);
}

/* The export directory, by whose name tools know the kernel, with one variable. */
static void exports_build(void)
{
	u32 dir = NT + NT_RDATA, dirs = NT + 0x80 + 24 + 96;

	map_new(dir, PAGE, 1);
	put32(dir + 12, NT_RDATA + 0x40);
	put32(dir + 16, 1);
	put32(dir + 20, 1);			/* NumberOfFunctions, NumberOfNames */
	put32(dir + 24, 1);
	put32(dir + 28, NT_RDATA + 0x30);	/* functions, names, ordinals */
	put32(dir + 32, NT_RDATA + 0x34);
	put32(dir + 36, NT_RDATA + 0x38);
	put32(dir + 0x30, NT_SYSTEM);
	put32(dir + 0x34, NT_RDATA + 0x50);
	put_ascii(dir + 0x40, "ntoskrnl.exe");
	put_ascii(dir + 0x50, "PsInitialSystemProcess");
	put32(dirs, NT_RDATA);
	put32(dirs + 4, 0x70);
}

static void unicode_put(u32 va, const char *s)
{
	u32 n = length(s), text = pool_alloc(2 * n + 2);

	put16(va, 2 * n);
	put16(va + 2, 2 * n + 2);
	put32(va + 4, text);
	for (u32 i = 0; i < n; i++)
		put16(text + 2 * i, (u8)s[i]);
}

/*
 * A KLDR_DATA_TABLE_ENTRY, offsets of x86, at the end of PsLoadedModuleList. Without the
 * name of a pdb the image itself is there already.
 */
static void module_add(u32 base, u32 size, const char *path, const char *name, u32 stamp, const char *pdb)
{
	u32 head = NT + NT_LOADED, e = pool_alloc(0x60), last = get32(head + 4);

	if (pdb)
		image_build(base, size, pdb, stamp);
	put32(e, head);
	put32(e + 4, last);
	put32(last, e);
	put32(head + 4, e);
	put32(e + 0x18, base);
	put32(e + 0x1c, base + 0x1000);
	put32(e + 0x20, size);
	unicode_put(e + 0x24, path);
	unicode_put(e + 0x2c, name);
	put32(e + 0x34, 0x09004000);
	put16(e + 0x38, 1);
}

static void modules_build(void)
{
	u32 head = NT + NT_LOADED;

	map_new(head, 8, 1);
	put32(head, head);
	put32(head + 4, head);
	module_add(NT, NT_SIZE, "\\SystemRoot\\system32\\ntkrnlpa.exe", "ntoskrnl.exe", STAMP_CORE, IMAGES ? 0 : "ntkrpamp.pdb");
	module_add(HAL, HAL_SIZE, "\\SystemRoot\\system32\\halmacpi.dll", "hal.dll", 0x4ce788d2, "halmacpi.pdb");
	module_add(DRV, DRV_SIZE, "\\SystemRoot\\System32\\drivers\\testdrv.sys", "testdrv.sys", 0x4ce7ab12, "testdrv.pdb");
	if (!IMAGES) {
		exports_build();
		return;
	}
	images_load();
	module_add(image_base(1), image_size(1), "\\SystemRoot\\System32\\drivers\\gizmo.sys", "gizmo.sys", image_stamp(1), 0);
	module_add(image_base(2), image_size(2), "\\SystemRoot\\System32\\drivers\\sprocket.sys", "sprocket.sys", image_stamp(2), 0);
}

static void put_time(u32 va, u64 t)
{
	put32(va, (u32)t);
	put32(va + 4, (u32)(t >> 32));
	put32(va + 8, (u32)(t >> 32));
}

/* KUSER_SHARED_DATA, offsets of Windows 7 (Microsoft ntddk.h). */
static void kuser_build(void)
{
	static const char root[] = "C:\\Windows";

	map_new(KUSER, PAGE, 1);
	put_time(KUSER + 0x008, TIME_NOW - TIME_BOOT);	/* InterruptTime */
	put_time(KUSER + 0x014, TIME_NOW);		/* SystemTime */
	for (u32 i = 0; root[i]; i++)
		put16(KUSER + 0x030 + 2 * i, (u8)root[i]);
	put32(KUSER + 0x264, build->product);		/* NtProductType */
	put32(KUSER + 0x26c, build->major);			/* NtMajorVersion */
	put32(KUSER + 0x270, build->minor);			/* NtMinorVersion */
	put32(KUSER + 0x2d0, 0x110);			/* SuiteMask */
	put32(KUSER + 0x3c0, cpu_total);		/* ActiveProcessorCount */
}

/* EPROCESS of System. */
static void process_build(void)
{
	u32 head = NT + NT_ACTIVE, p = pool_alloc(build->process_size), links = p + build->pid + 4;

	system_process = p;
	map_new(head, 8, 1);
	put32(p, 3);
	put32(p + 0x18, kernel_root);
	put32(p + build->pid, 4);
	put32(links, head);
	put32(links + 4, head);
	put32(head, links);
	put32(head + 4, links);
	put_ascii(p + build->name, "System");
	map_new(NT + NT_SYSTEM, 4, 1);
	put32(NT + NT_SYSTEM, p);
}

/* PHYSICAL_MEMORY_DESCRIPTOR: counts and runs of 32 bits, with PAE too. */
static void memory_block_build(void)
{
	u32 block = pool_alloc(8 + 8 * run_count), pages = 0;

	for (u32 i = 0; i < run_count; i++) {
		put32(block + 8 + 8 * i, runs[i].page);
		put32(block + 12 + 8 * i, runs[i].count);
		pages += runs[i].count;
	}
	put32(block, run_count);
	put32(block + 4, pages);
	put32(NT + NT_MEMBLOCK, block);
}

/* KeBugCheckEx's code and parameters: SYSTEM_THREAD_EXCEPTION_NOT_HANDLED in testdrv. */
void bugcheck_data(u32 *five)
{
	u32 top = STACKS(crash_cpu()) + STACK_SIZE;

	five[0] = 0x7e;
	five[1] = 0xc0000005;
	five[2] = DRV + 0x1234;
	five[3] = top - 0x900;
	five[4] = top - 0xd00;
}

void kernel_build(void)
{
	u32 five[5];

	map_new(POOL, POOL_SIZE, 1);
	modules_build();
	kdbg_build();
	kuser_build();
	process_build();
	map_new(NT + NT_PFNDB, 16, 1);
	put32(NT + NT_PFNDB, 0x83000000);
	memory_block_build();
	map_new(NT + NT_BUILDLAB, 64, 1);
	put_ascii(NT + NT_BUILDLAB, build->lab);
	map_new(NT + NT_BUGDATA, 20, 1);
	if (opt.bsod) {
		bugcheck_data(five);
		put(NT + NT_BUGDATA, five, sizeof five);
	}
	map_new(prcbs_address(), 4 * (MAX_CPUS + 1), 1);
	for (u32 i = 0; i < cpu_total; i++)
		put32(prcbs_address() + 4 * i, opt.noprcb && i == cpu_total - 1 ? 0 : pcr_of(i) + PRCB_IN_PCR);
}
