/*
 * KDDEBUGGER_DATA64 with the values of build 22000 for Arm64, and its encoding. Field
 * names and offsets: wdbgexts.h of the Windows SDK. The values are those of a triage
 * dump of that build, which Windows wrote.
 */
#include "guest.h"

/* Fields that point into nt. */
static const struct { u16 offset; u32 rva; } pointers[] = {
	{ 0x000, NT_DATALIST },	/* List */
	{ 0x008, NT_DATALIST },
	{ 0x018, 0 },		/* KernBase */
	{ 0x020, 0x208830 },	/* BreakpointWithStatus */
	{ 0x038, 0x2b1750 },	/* KiCallUserMode */
	{ 0x048, NT_LOADED },	/* PsLoadedModuleList */
	{ 0x050, NT_ACTIVE },	/* PsActiveProcessHead */
	{ 0x058, 0xd19a10 },	/* PspCidTable */
	{ 0x060, 0xc12980 },	/* ExpSystemResourcesList */
	{ 0x078, 0xd198e8 },	/* KeTimeIncrement */
	{ 0x080, 0xc2ea60 },	/* KeBugCheckCallbackListHead */
	{ 0x088, NT_BUGDATA },	/* KiBugcheckData */
	{ 0x090, 0xc4be30 },	/* IopErrorLogListHead */
	{ 0x098, 0xc26230 },	/* ObpRootDirectoryObject */
	{ 0x0a0, 0xc26238 },	/* ObpTypeObjectType */
	{ 0x0c0, NT_PFNDB },	/* MmPfnDatabase */
	{ 0x140, 0xd19c20 },	/* MmSizeOfPagedPoolInBytes */
	{ 0x170, 0xc56ca8 },	/* MmPagedPoolCommit */
	{ 0x1b8, 0xc169f8 },	/* PoolTrackTable and what follows */
	{ 0x1c8, 0x01e928 },	/* MmHighestUserAddress */
	{ 0x1d0, 0x01e918 },	/* MmSystemRangeStart */
	{ 0x1d8, 0x01e920 },	/* MmUserProbeAddress */
	{ 0x1e0, 0xc36ba0 },	/* KdPrintCircularBuffer */
	{ 0x1e8, 0xc37ba0 },	/* KdPrintCircularBufferEnd */
	{ 0x1f0, 0xc0bd30 },	/* KdPrintWritePointer */
	{ 0x1f8, 0xc37ba0 },	/* KdPrintRolloverCount */
	{ 0x208, NT_BUILDLAB },	/* NtBuildLab */
	{ 0x218, NT_PRCBS },	/* KiProcessorBlock */
	{ 0x220, 0xc2aed8 },	/* MmUnloadedDrivers */
	{ 0x228, 0xc2aed0 },	/* MmLastUnloadedDriver */
	{ 0x230, 0xc1c54c },	/* MmTriageActionTaken */
	{ 0x238, 0xd199d0 },	/* MmSpecialPoolTag */
	{ 0x240, 0xc1c548 },	/* KernelVerifier */
	{ 0x248, 0xc2b200 },	/* MmVerifierData */
	{ 0x268, 0xc51de8 },	/* CmNtCSDVersion */
	{ 0x270, NT_MEMBLOCK },	/* MmPhysicalMemoryBlock */
	{ 0x2c8, 0xc0bd28 },	/* KdPrintCircularBufferPtr */
	{ 0x2d0, 0xc0bd20 },	/* KdPrintBufferSize */
	{ 0x2d8, 0xc45200 },	/* KeLoaderBlock */
	{ 0x308, 0xc4c2e8 },	/* IopNumTriageDumpDataBlocks */
	{ 0x310, 0xc4c300 },	/* IopTriageDumpDataBlocks */
	{ 0x330, 0xc03308 },	/* EtwpDebuggerData */
};

/* Offsets and sizes. There are no selectors. */
static const struct { u16 offset, value; } words[] = {
	{ 0x036, 0x10 },	/* flags */
	{ 0x298, 0x238 },	/* OffsetKThreadNextProcessor */
	{ 0x29a, 0x0e8 },	/* OffsetKThreadTeb */
	{ 0x29c, 0x058 },	/* OffsetKThreadKernelStack */
	{ 0x29e, 0x028 },	/* OffsetKThreadInitialStack */
	{ 0x2a0, 0x0b0 },	/* OffsetKThreadApcProcess */
	{ 0x2a2, 0x17c },	/* OffsetKThreadState */
	{ 0x2a8, 0xc80 },	/* SizeEProcess */
	{ 0x2aa, 0x508 },	/* OffsetEprocessPeb */
	{ 0x2ac, 0x4f8 },	/* OffsetEprocessParentCID */
	{ 0x2ae, 0x028 },	/* OffsetEprocessDirectoryTableBase */
	{ 0x2b0, 0x9680 },	/* SizePrcb */
	{ 0x2b2, 0xb1a },	/* OffsetPrcbDpcRoutine */
	{ 0x2b4, 0x008 },	/* OffsetPrcbCurrentThread */
	{ 0x2b6, 0x6f4 },	/* OffsetPrcbMhz */
	{ 0x2b8, 0x6f0 },	/* OffsetPrcbCpuType */
	{ 0x2ba, 0x890 },	/* OffsetPrcbVendorString */
	{ 0x2bc, PRCB_CONTEXT },	/* OffsetPrcbProcStateContext */
	{ 0x2be, 0x024 },	/* OffsetPrcbNumber */
	{ 0x2c0, 0x910 },	/* SizeEThread */
	{ 0x2e0, 0xa000 },	/* SizePcr */
	{ 0x2e2, 0x018 },	/* OffsetPcrSelfPcr */
	{ 0x2e6, PRCB_IN_PCR },	/* OffsetPcrContainedPrcb */
	{ 0x2f2, 0x040 },	/* OffsetPrcbProcStateSpecialReg */
	{ 0x338, 0x8a0 },	/* OffsetPrcbContext */
	{ 0x33a, 0x898 },	/* OffsetPrcbMaxBreakpoints */
	{ 0x33c, 0x89c },	/* OffsetPrcbMaxWatchpoints */
	{ 0x340, 0x030 },	/* OffsetKThreadStackLimit (u32) */
	{ 0x344, 0x038 },	/* OffsetKThreadStackBase (u32) */
	{ 0x348, 0x200 },	/* OffsetKThreadQueueListEntry (u32) */
	{ 0x34c, 0x520 },	/* OffsetEThreadIrpList (u32) */
	{ 0x350, 0x018 },	/* OffsetPrcbIdleThread */
	{ 0x352, 0xb1c },	/* OffsetPrcbNormalDpcState */
	{ 0x354, 0xaf8 },	/* OffsetPrcbDpcStack */
	{ 0x356, 0x18e0 },	/* OffsetPrcbIsrStack */
	{ 0x358, 0x010 },	/* SizeKDPC_STACK_FRAME */
	{ 0x35a, 0x2a0 },	/* OffsetKPriQueueThreadListHead */
	{ 0x35c, 0x2a3 },	/* OffsetKThreadWaitReason */
	{ 0x37c, 0xab8 },	/* OffsetEProcessMmHotPatchContext */
};

static void fill(u64 *block)
{
	u8 *bytes = (u8 *)block;

	for (u32 i = 0; i < COUNT(pointers); i++)
		*(u64 *)(bytes + pointers[i].offset) = NT + pointers[i].rva;
	for (u32 i = 0; i < COUNT(words); i++)
		*(u16 *)(bytes + words[i].offset) = words[i].value;
	*(u32 *)(bytes + 0x10) = 0x4742444b;	/* OwnerTag "KDBG" */
	*(u32 *)(bytes + 0x14) = KDBG_SIZE;
	*(u64 *)(bytes + 0x138) = PAGE;		/* MmPageSize */
	*(u64 *)(bytes + 0x360) = 0xffffa88000000000ull;	/* PteBase */
}

/* The rule that x64's readers know (QEMU contrib/elf2dmp, Volatility, MemProcFS). */
static u64 encode(u64 plain)
{
	u64 v = __builtin_bswap64(plain ^ WAIT_ALWAYS) ^ (NT + NT_ENCODED);
	u32 n = WAIT_NEVER & 63;

	return (v >> n | v << (64 - n)) ^ WAIT_NEVER;
}

void kdbg_build(void)
{
	static u64 block[KDBG_SIZE / 8];
	u64 at = map_new(NT + NT_KDBG, KDBG_SIZE, P_DATA);

	fill(block);
	for (u32 i = 0; i < COUNT(pointers); i++)
		if (pointers[i].rva >= 0xc00000)
			map_new(NT + pointers[i].rva, 8, P_DATA);
	for (u32 i = 0; i < KDBG_SIZE / 8; i++)
		put64(at + 8 * i, opt.encoded ? encode(block[i]) : block[i]);
	put64(NT + NT_DATALIST, at);
	put64(NT + NT_DATALIST + 8, at);
	put32(NT + NT_ENCODED, opt.encoded ? 1 : 0);
	put64(NT + NT_NEVER, WAIT_NEVER);
	put64(NT + NT_ALWAYS, WAIT_ALWAYS);
}
