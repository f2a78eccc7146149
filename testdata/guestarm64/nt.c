/* The loaded images: PE headers, the kernel's pages, and the list of modules. */
#include "guest.h"
#define PE_MACHINE	0xaa64
#define PDB_TAIL	0u
#include "../guest/pe64.h"

#define STAMP_CORE	0x8d0e7b2au	/* Windows stamps are hashes, no times */
#define STAMP_HAL	0x4a2b91c3u
#define STAMP_DRV	0x6140cc10u

static const struct section nt_sections[] = {
	{ ".rdata", 0x001000, 0x1ff000, RDATA },
	{ ".text", 0x200000, 0xa00000, CODE },
	{ ".data", 0xc00000, NT_SIZE - 0xc00000, RWDATA },
};

static const struct export exports[] = {
	{ "KeBugCheckEx", NT_BUGCHECK },
	{ "MmHighestUserAddress", 0x01e928 },
	{ "MmSystemRangeStart", 0x01e918 },
	{ "MmUserProbeAddress", 0x01e920 },
	{ "NtBuildNumber", NT_BUILDNUM },
	{ "PsInitialSystemProcess", NT_INITPROC },
	{ "PsLoadedModuleList", NT_LOADED },
};

static const struct section driver_sections[] = {
	{ ".text", 0x1000, 0x1000, CODE },
	{ ".data", 0x2000, 0x1000, RWDATA },
};

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
	exports_build(NT + NT_RDATA + 0x400, exports, COUNT(exports));
	code_build();
	driver_build(HAL, HAL_SIZE, "hal.pdb", STAMP_HAL);
	driver_build(DRV, DRV_SIZE, "testdrv.pdb", STAMP_DRV);
	put32(DRV + 0x12fc, 0x94000000);	/* bl, before the return address on the stack */
	put64(head, head);
	put64(head + 8, head);
	put32(module_add(NT, NT_SIZE, "\\SystemRoot\\system32\\ntoskrnl.exe", "ntoskrnl.exe", STAMP_CORE) + 0x78, STAMP_CORE / 3);	/* CheckSum */
	put32(module_add(HAL, HAL_SIZE, "\\SystemRoot\\system32\\hal.dll", "hal.dll", STAMP_HAL) + 0x78, STAMP_HAL / 3);	/* CheckSum */
	put32(module_add(DRV, DRV_SIZE, "\\SystemRoot\\System32\\drivers\\testdrv.sys", "testdrv.sys", STAMP_DRV) + 0x78, STAMP_DRV / 3);	/* CheckSum */
	if (opt.nomz)
		put16(NT, 0);
}
