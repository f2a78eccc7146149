/*
 * KDDEBUGGER_DATA64 with the values of build 19041, others patched by build.c, and its encoding.
 * Field names and offsets: wdbgexts.h of the Windows SDK. The values are those of
 * crash dumps of that build.
 */
#include "guest.h"

/* Fields that point into nt. */
static const struct { u16 offset; u32 rva; } pointers[] = {
	{ 0x000, NT_DATALIST },	/* List */
	{ 0x008, NT_DATALIST },
	{ 0x018, 0 },		/* KernBase */
	{ 0x020, 0x400e30 },	/* BreakpointWithStatus */
	{ 0x038, 0x3fc550 },	/* KiCallUserMode */
	{ 0x048, NT_LOADED },	/* PsLoadedModuleList */
	{ 0x050, NT_ACTIVE },	/* PsActiveProcessHead */
	{ 0x058, 0xcfc5c8 },	/* PspCidTable */
	{ 0x060, 0xc16980 },	/* ExpSystemResourcesList */
	{ 0x078, 0xcfc468 },	/* KeTimeIncrement */
	{ 0x080, 0xc31f70 },	/* KeBugCheckCallbackListHead */
	{ 0x090, 0xc45a90 },	/* IopErrorLogListHead */
	{ 0x098, 0xc25128 },	/* ObpRootDirectoryObject */
	{ 0x0a0, 0xc25130 },	/* ObpTypeObjectType */
	{ 0x0c0, NT_PFNDB },	/* MmPfnDatabase */
	{ 0x140, 0xcfc7f8 },	/* MmSizeOfPagedPoolInBytes */
	{ 0x170, 0xc4ed28 },	/* MmPagedPoolCommit */
	{ 0x1b8, 0xc19208 },	/* PoolTrackTable */
	{ 0x1c8, 0x021540 },	/* MmHighestUserAddress */
	{ 0x1d0, 0x021548 },	/* MmSystemRangeStart */
	{ 0x1d8, 0x021538 },	/* MmUserProbeAddress */
	{ 0x1e0, 0xc32020 },	/* KdPrintCircularBuffer */
	{ 0x1e8, 0xc33020 },	/* KdPrintCircularBufferEnd */
	{ 0x1f0, 0xc04ee8 },	/* KdPrintWritePointer */
	{ 0x1f8, 0xc33020 },	/* KdPrintRolloverCount */
	{ 0x208, NT_BUILDLAB },	/* NtBuildLab */
	{ 0x220, 0xc2a248 },	/* MmUnloadedDrivers */
	{ 0x228, 0xc2a250 },	/* MmLastUnloadedDriver */
	{ 0x230, 0xc1c9b4 },	/* MmTriageActionTaken */
	{ 0x238, 0xcfc558 },	/* MmSpecialPoolTag */
	{ 0x240, 0xc1c9b0 },	/* KernelVerifier */
	{ 0x248, 0xc2a6e0 },	/* MmVerifierData */
	{ 0x268, 0xc4bff8 },	/* CmNtCSDVersion */
	{ 0x270, NT_MEMBLOCK },	/* MmPhysicalMemoryBlock */
	{ 0x2c8, 0xc04ee0 },	/* KdPrintCircularBufferPtr */
	{ 0x2d0, 0xc12018 },	/* KdPrintBufferSize */
	{ 0x2d8, 0xc40660 },	/* KeLoaderBlock */
	{ 0x308, 0xc46f20 },	/* IopNumTriageDumpDataBlocks */
	{ 0x310, 0xc45f20 },	/* IopTriageDumpDataBlocks */
	{ 0x330, 0xc10db8 },	/* EtwpDebuggerData */
	{ 0x368, 0xe01a70 },	/* RetpolineStubFunctionTable */
};

/* Offsets, sizes and selectors. */
static const struct { u16 offset, value; } words[] = {
	{ 0x036, 1 },		/* PaeEnabled */
	{ 0x298, 0x218 },	/* OffsetKThreadNextProcessor */
	{ 0x29a, 0x0f0 },	/* OffsetKThreadTeb */
	{ 0x29c, 0x058 },	/* OffsetKThreadKernelStack */
	{ 0x29e, 0x028 },	/* OffsetKThreadInitialStack */
	{ 0x2a0, 0x0b8 },	/* OffsetKThreadApcProcess */
	{ 0x2a2, 0x184 },	/* OffsetKThreadState */
	{ 0x2a8, 0xa40 },	/* SizeEProcess */
	{ 0x2aa, 0x550 },	/* OffsetEprocessPeb */
	{ 0x2ac, 0x540 },	/* OffsetEprocessParentCID */
	{ 0x2ae, 0x028 },	/* OffsetEprocessDirectoryTableBase */
	{ 0x2b0, 0xaf00 },	/* SizePrcb */
	{ 0x2b2, 0x312a },	/* OffsetPrcbDpcRoutine */
	{ 0x2b4, 0x008 },	/* OffsetPrcbCurrentThread */
	{ 0x2b6, 0x044 },	/* OffsetPrcbMhz */
	{ 0x2b8, 0x040 },	/* OffsetPrcbCpuType */
	{ 0x2ba, 0x8590 },	/* OffsetPrcbVendorString */
	{ 0x2bc, 0x1f0 },	/* OffsetPrcbProcStateContext */
	{ 0x2be, 0x024 },	/* OffsetPrcbNumber */
	{ 0x2c0, 0x898 },	/* SizeEThread */
	{ 0x2e0, 0xb080 },	/* SizePcr */
	{ 0x2e2, 0x018 },	/* OffsetPcrSelfPcr */
	{ 0x2e4, 0x020 },	/* OffsetPcrCurrentPrcb */
	{ 0x2e6, PRCB_IN_PCR },	/* OffsetPcrContainedPrcb */
	{ 0x2f2, 0x100 },	/* OffsetPrcbProcStateSpecialReg */
	{ 0x2f4, 0x10 },	/* GdtR0Code */
	{ 0x2f6, 0x18 },	/* GdtR0Data */
	{ 0x2fa, 0x33 },	/* GdtR3Code */
	{ 0x2fc, 0x2b },	/* GdtR3Data */
	{ 0x302, 0x40 },	/* GdtTss */
	{ 0x304, 0x23 },	/* Gdt64R3CmCode */
	{ 0x306, 0x53 },	/* Gdt64R3CmTeb */
	{ 0x338, 0x85c0 },	/* OffsetPrcbContext */
	{ 0x340, 0x030 },	/* OffsetKThreadStackLimit (u32) */
	{ 0x344, 0x038 },	/* OffsetKThreadStackBase (u32) */
	{ 0x348, 0x208 },	/* OffsetKThreadQueueListEntry (u32) */
	{ 0x34c, 0x4b0 },	/* OffsetEThreadIrpList (u32) */
	{ 0x350, 0x018 },	/* OffsetPrcbIdleThread */
	{ 0x352, 0x312c },	/* OffsetPrcbNormalDpcState */
	{ 0x354, 0x3110 },	/* OffsetPrcbDpcStack */
	{ 0x356, 0x85d8 },	/* OffsetPrcbIsrStack */
	{ 0x358, 0x050 },	/* SizeKDPC_STACK_FRAME */
	{ 0x35a, 0x2a0 },	/* OffsetKPriQueueThreadListHead */
	{ 0x35c, 0x283 },	/* OffsetKThreadWaitReason */
	{ 0x370, 0x120 },	/* RetpolineStubFunctionTableSize (u32) */
	{ 0x378, 0x1000 },	/* RetpolineStubSize (u32) */
};

u64 kdbg_address(void) { return NT + (opt.odd || opt.kdbgcut ? NT_KDBG_ODD : build->kdbg_rva); }
u64 bugdata_address(void) { return NT + (opt.odd ? NT_BUGDATA_ODD : NT_BUGDATA); }
u64 decoded_address(void) { return DECODED + (opt.odd ? 0xe80 : 0x2b0); }
u64 prcbs_address(void) { return NT + (opt.odd ? NT_PRCBS_ODD : NT_PRCBS); }

static void fill(u64 *block)
{
	u8 *bytes = (u8 *)block;

	for (u32 i = 0; i < COUNT(pointers); i++)
		*(u64 *)(bytes + pointers[i].offset) = NT + pointers[i].rva;
	for (u32 i = 0; i < COUNT(words); i++)
		*(u16 *)(bytes + words[i].offset) = words[i].value;
	for (u32 i = 0; i < build->patch_count; i++)
		*(u16 *)(bytes + build->patches[i].offset) = build->patches[i].value;
	*(u32 *)(bytes + 0x10) = 0x4742444b;	/* OwnerTag "KDBG" */
	*(u32 *)(bytes + 0x14) = build->kdbg_size;
	*(u64 *)(bytes + 0x88) = opt.nobug ? NOWHERE : bugdata_address();
	*(u64 *)(bytes + 0x138) = PAGE;		/* MmPageSize */
	*(u64 *)(bytes + 0x218) = opt.noprocblk ? NOWHERE : prcbs_address();
	/* PteBase: where the self-map entry makes the page tables appear. */
	*(u64 *)(bytes + 0x360) = levels == 5 ? 0xff19000000000000ull : 0xffff8c8000000000ull;
}

/*
 * Windows 8 and later keep the block encoded unless booted with a debugger. The rule is
 * public through its readers (QEMU contrib/elf2dmp, Volatility, MemProcFS).
 */
static u64 encode(u64 plain)
{
	u64 v = __builtin_bswap64(plain ^ wait_always()) ^ (NT + NT_ENCODED);
	u32 n = wait_never() & 63;

	return (n ? v >> n | v << (64 - n) : v) ^ wait_never();
}

/* The version block is never encoded (DBGKD_GET_VERSION64). */
static void version_build(void)
{
	u64 v = NT + NT_VERSION;

	put16(v, 0x0f);
	put16(v + 2, build->number);
	put16(v + 4, 0x0206);	/* ProtocolVersion 6, KdSecondaryVersion 2 */
	put16(v + 6, 0x47);
	put16(v + 8, 0x8664);
	put32(v + 0xa, 0x002d0d0c);
	put64(v + 0x10, NT);
	put64(v + 0x18, NT + NT_LOADED);
	put64(v + 0x20, NT + NT_DATALIST);
}

void kdbg_build(void)
{
	static u64 block[KDBG_MAX / 8];
	u64 at = kdbg_address(), copy = decoded_address();

	fill(block);
	map_new(at, opt.kdbgcut ? 0x100 : build->kdbg_size, P_DATA);
	for (u32 i = 0; i < build->kdbg_size / 8; i++)
		if (!opt.kdbgcut || ((at + 8 * i) & ~(PAGE - 1)) == (at & ~(PAGE - 1)))
			put64(at + 8 * i, opt.encoded ? encode(block[i]) : block[i]);
	map_new(copy, build->kdbg_size, P_DATA);
	memcpy((void *)copy, block, build->kdbg_size);
	if (opt.badcopy)
		put32(copy + 0x10, 0x4b444247);	/* "GBDK" */
	put64(NT + NT_DATALIST, at);
	put64(NT + NT_DATALIST + 8, at);
	put32(NT + NT_ENCODED, opt.encoded ? 1 : 0);
	put64(NT + NT_NEVER, wait_never());
	put64(NT + NT_ALWAYS, wait_always());
	version_build();
}
