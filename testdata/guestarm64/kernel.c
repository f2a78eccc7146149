/* What the kernel keeps once: shared user data, the System process, memory block, strings. */
#include "guest.h"

u64 system_process;

static void put_time(u64 va, u64 t)
{
	put32(va, t);
	put32(va + 4, t >> 32);	/* High1Time */
	put32(va + 8, t >> 32);	/* High2Time */
}

static void put_ascii(u64 va, const char *s)
{
	memcpy((void *)va, s, length(s) + 1);
}

/* KUSER_SHARED_DATA, offsets of Windows 10 (Microsoft ntddk.h). */
static void kuser_build(void)
{
	static const char root[] = "C:\\Windows";
	u64 k = map_new(KUSER, PAGE, P_DATA);

	put32(k + 0x004, 0x0fa00000);			/* TickCountMultiplier */
	put_time(k + 0x008, TIME_NOW - TIME_BOOT);	/* InterruptTime */
	put_time(k + 0x014, TIME_NOW);			/* SystemTime */
	put16(k + 0x02c, 0xaa64);			/* ImageNumberLow, High */
	put16(k + 0x02e, 0xaa64);
	for (u32 i = 0; root[i]; i++)
		put16(k + 0x030 + 2 * i, (u64)root[i]);
	put32(k + 0x260, BUILD);			/* NtBuildNumber */
	put32(k + 0x264, 1);				/* NtProductType: workstation */
	put32(k + 0x268, 1);				/* ProductTypeIsValid */
	put32(k + 0x26c, 10);				/* NtMajorVersion, NtMinorVersion 0 */
	put32(k + 0x2c4, 17);				/* BootId */
	put32(k + 0x2d0, 0x110);			/* SuiteMask */
	put32(k + 0x2e8, ram_pages());			/* NumberOfPhysicalPages */
	put64(k + 0x320, (TIME_NOW - TIME_BOOT) / 156250);	/* TickCount */
	put32(k + 0x3c0, cpus);				/* ActiveProcessorCount */
}

/* EPROCESS of System, as in a triage dump of build 22000: the root is without its ASID. */
static void process_build(void)
{
	u64 head = NT + NT_ACTIVE, p = pool_alloc(0xc80);

	system_process = p;
	put32(p, 3);			/* DISPATCHER_HEADER.Type: process */
	put64(p + 0x028, ttbr0() & ~(0xffffull << 48));
	put64(p + 0x030, ASID >> 48);
	put64(p + 0x3f8, 4);		/* UniqueProcessId */
	put64(p + 0x400, head);		/* ActiveProcessLinks */
	put64(p + 0x408, head);
	map_new(head, 16, P_DATA);
	put64(head, p + 0x400);
	put64(head + 8, p + 0x400);
	put_ascii(p + 0x560, "System");
	put64(NT + NT_INITPROC, p);
}

/* PHYSICAL_MEMORY_DESCRIPTOR behind nt!MmPhysicalMemoryBlock. */
static void memory_block_build(void)
{
	u64 d = pool_alloc(16 + 16 * COUNT(ram));

	put32(d, COUNT(ram));
	put64(d + 8, ram_pages());
	for (u32 i = 0; i < COUNT(ram); i++) {
		put64(d + 16 + 16 * i, ram[i].start / PAGE);
		put64(d + 24 + 16 * i, (ram[i].end - ram[i].start) / PAGE);
	}
	put64(NT + NT_MEMBLOCK, d);
}

void kernel_build(void)
{
	u64 bug[5];

	kuser_build();
	process_build();
	map_new(NT + NT_PRCBS, 8 * MAX_CPUS, P_DATA);
	memory_block_build();
	put_ascii(NT + NT_BUILDLAB, "22000.1.arm64fre.co_release.210604-1628");
	put32(NT + NT_BUILDNUM, 0xf0000000u | BUILD);
	put64(NT + 0x01e920, 0x7fffffff0000ull);	/* MmUserProbeAddress */
	put64(NT + 0x01e928, 0x7ffffffeffffull);	/* MmHighestUserAddress */
	put64(NT + 0x01e918, 0xffff800000000000ull);	/* MmSystemRangeStart */
	put64(NT + NT_PFNDB, 0xffffe70000000000ull);	/* MmPfnDatabase */
	put32(NT + 0xd198e8, 156250);			/* KeTimeIncrement */
	map_new(NT + NT_BUGDATA, 40, P_DATA);
	if (opt.bsod) {
		bugcheck_data(bug);
		for (u32 i = 0; i < 5; i++)
			put64(NT + NT_BUGDATA + 8 * i, bug[i]);
	}
	for (u32 i = 0; i < cpus; i++)
		put64(NT + NT_PRCBS + 8 * i, prcb_of(i));
}
