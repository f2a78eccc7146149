/* The loaded images: PE headers, the kernel's pages, and the list of modules. */
#include "guest.h"
#define PE_MACHINE	0x8664
#define PDB_TAIL	0x6d700000u
#include "pe64.h"

#define STAMP_HAL	0x4a2b91c3u
#define STAMP_DRV1	0x6123ab40u
#define STAMP_DRV2	0x6140cc10u

/* Pages of nt that hold variables: the image is 16 MiB, few of its pages are needed. */
static const u32 data_pages[] = {
	0xc00000, 0xc04000, 0xc12000, 0xc16000, 0xc19000, 0xc1c000, 0xc1e000, 0xc25000,
	0xc2a000, 0xc31000, 0xc40000, 0xc45000, 0xc46000, 0xc4b000, 0xc4c000, 0xcfc000, 0xcfd000,
};

static const struct section nt_sections[] = {
	{ ".rdata", 0x001000, 0x1ff000, RDATA },
	{ ".text", 0x200000, 0xa00000, CODE },
	{ ".data", 0xc00000, NT_SIZE - 0xc00000, RWDATA },
};

static const struct export exports[] = {
	{ "KeBugCheckEx", NT_BUGCHECK },
	{ "MmHighestUserAddress", 0x21540 },
	{ "MmSystemRangeStart", 0x21548 },
	{ "MmUserProbeAddress", 0x21538 },
	{ "NtBuildNumber", NT_BUILDNUM },
	{ "PsInitialSystemProcess", NT_INITPROC },
	{ "PsLoadedModuleList", NT_LOADED },
};

static const struct section driver_sections[] = {
	{ ".text", 0x1000, 0x1000, CODE },
	{ ".data", 0x2000, 0x1000, RWDATA },
};

/* The last module's ExceptionTable and ExceptionTableSize. */
static void functions_put(u32 image)
{
	u64 e = get64(NT + NT_LOADED + 8);
	u32 size;

	put64(e + 0x10, image_functions(image, &size));
	put32(e + 0x18, size);
}

/* A driver: a page of nops, so that a Rip in it disassembles, with the debug directory behind. */
static void driver_build(u64 base, u32 size, const char *pdb, u32 stamp)
{
	map_new(base + 0x1000, PAGE, P_CODE | 2);
	memset((void *)(base + 0x1000), 0x90, 0x800);
	pe_build(base, size, driver_sections, COUNT(driver_sections), 0x1000, 0x1800, pdb, stamp);
}

static void code_build(void)
{
	map_new(NT + NT_PARK, PAGE, P_CODE | 2);
	memset((void *)(NT + NT_PARK), 0xcc, PAGE);
	memcpy((void *)(NT + NT_PARK), park, (unsigned long)(park_end - park));
	for (u32 i = 0; i < MAX_CPUS; i++)
		memcpy((void *)(NT + NT_IDLE + 16 * i), rest_kernel, (unsigned long)(rest_kernel_end - rest_kernel));
	if (!IMAGES) {
		map_new(NT + NT_BUGCHECK, 0x40, P_CODE | 2);
		memset((void *)(NT + NT_BUGCHECK), 0x90, 0x40);
	}
	/* The page that every IDT gate leads to: 16 bytes a vector, "hlt; jmp $-1". */
	map_new(NT + NT_TRAPS, PAGE, P_CODE | 2);
	for (u32 i = 0; i < 256; i++)
		put32(NT + NT_TRAPS + 16 * i, 0xccfdebf4);
	if (opt.shadow)
		memcpy((void *)(NT + NT_TRAPS), shadow_entry, (unsigned long)(shadow_entry_end - shadow_entry));
	map_shadow(NT, PAGE);
	map_shadow(NT + NT_PARK, PAGE);
	map_shadow(NT + NT_TRAPS, PAGE);
}

void nt_build(void)
{
	u64 head = NT + NT_LOADED;

	for (u32 i = 0; i < COUNT(data_pages); i++)
		map_new(NT + data_pages[i], PAGE, P_DATA);
	map_new(NT + NT_RDATA, PAGE, P_DATA);
	map_new(PAGED, PAGE, P_DATA);
	if (IMAGES) {
		images_load();
	} else {
		pe_build(NT, NT_SIZE, nt_sections, COUNT(nt_sections), 0x200000, NT_RDATA + 0x800, "ntkrnlmp.pdb", STAMP_CORE);
		exports_build(NT + NT_RDATA + 0x600, exports, COUNT(exports));
	}
	code_build();
	driver_build(HAL, HAL_SIZE, "hal.pdb", STAMP_HAL);
	driver_build(DRV1, DRV1_SIZE, "fwcfg.pdb", STAMP_DRV1);
	driver_build(DRV2, DRV2_SIZE, "testdrv.pdb", STAMP_DRV2);
	put64(head, head);
	put64(head + 8, head);
	module_add(NT, NT_SIZE, "\\SystemRoot\\system32\\ntoskrnl.exe", "ntoskrnl.exe", STAMP_CORE);
	if (IMAGES)
		functions_put(0);
	module_add(HAL, HAL_SIZE, "\\SystemRoot\\system32\\hal.dll", "hal.dll", STAMP_HAL);
	module_add(DRV1, DRV1_SIZE, "\\SystemRoot\\System32\\drivers\\fwcfg.sys", "fwcfg.sys", STAMP_DRV1);
	module_add(DRV2, DRV2_SIZE, "\\SystemRoot\\System32\\drivers\\testdrv.sys", "testdrv.sys", STAMP_DRV2);
	if (IMAGES) {
		module_add(image_base(1), image_size(1), "\\SystemRoot\\System32\\drivers\\gizmo.sys", "gizmo.sys", image_stamp(1));
		functions_put(1);
		module_add(image_base(2), image_size(2), "\\SystemRoot\\System32\\drivers\\sprocket.sys", "sprocket.sys", image_stamp(2));
		functions_put(2);
	}
	if (opt.transition) {
		/*
		 * Trimmed from the working set, not yet written out: P = 0, transition bit 11
		 * set, prototype bit 10 clear, protection in bits 5-9 (6 = execute and write).
		 */
		u64 names = entry_of(PAGED), image = entry_of(DRV2);

		entry_set(PAGED, (names & 0x000ffffffffff000ull) | 0x880);
		entry_set(DRV2, (image & 0x000ffffffffff000ull) | 0x880);
	}
}
