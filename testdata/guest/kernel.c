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

static u64 usable_pages(void)
{
	u64 n = 0;

	for (u32 i = 0; i < usable_count; i++)
		n += usable[i].size / PAGE;
	return n;
}

/* KUSER_SHARED_DATA, offsets of Windows 10 (Microsoft ntddk.h). */
static void kuser_build(u32 cpus)
{
	static const char root[] = "C:\\Windows";
	u64 k = map_new(KUSER, PAGE, P_DATA);

	put32(k + 0x004, 0x0fa00000);			/* TickCountMultiplier */
	put_time(k + 0x008, TIME_NOW - TIME_BOOT);	/* InterruptTime */
	put_time(k + 0x014, TIME_NOW);			/* SystemTime */
	put16(k + 0x02c, 0x8664);			/* ImageNumberLow, High */
	put16(k + 0x02e, 0x8664);
	for (u32 i = 0; root[i]; i++)
		put16(k + 0x030 + 2 * i, (u64)root[i]);
	put32(k + 0x260, build->number);			/* NtBuildNumber */
	put32(k + 0x264, 1);				/* NtProductType: workstation */
	put32(k + 0x268, 1);				/* ProductTypeIsValid */
	put32(k + 0x26c, 10);				/* NtMajorVersion, NtMinorVersion 0 */
	put32(k + 0x2c4, 17);				/* BootId */
	put32(k + 0x2d0, 0x110);			/* SuiteMask */
	put32(k + 0x2e8, usable_pages());		/* NumberOfPhysicalPages */
	put64(k + 0x320, (TIME_NOW - TIME_BOOT) / 156250);	/* TickCount */
	put32(k + 0x3c0, cpus);				/* ActiveProcessorCount */
}

/* EPROCESS of System; offsets of 19041 (public symbols, as Volatility lists them). */
static void process_build(void)
{
	u64 head = NT + NT_ACTIVE, p = pool_alloc(0xa40);

	system_process = p;
	put32(p, 3);			/* DISPATCHER_HEADER.Type: process */
	put64(p + 0x028, system_dtb());
	put64(p + build->pid, 4);		/* UniqueProcessId */
	put64(p + build->links, head);		/* ActiveProcessLinks */
	put64(p + build->links + 8, head);
	put64(head, p + build->links);
	put64(head + 8, p + build->links);
	put_ascii(p + build->image_name, "System");
	put64(NT + NT_INITPROC, p);
}

/* PHYSICAL_MEMORY_DESCRIPTOR behind nt!MmPhysicalMemoryBlock: all RAM, holes or not. */
static void memory_block_build(void)
{
	u64 d = pool_alloc(16 + 16 * MAX_RANGES);

	put32(d, usable_count);
	put64(d + 8, usable_pages());
	for (u32 i = 0; i < usable_count; i++) {
		put64(d + 16 + 16 * i, usable[i].start / PAGE);
		put64(d + 24 + 16 * i, usable[i].size / PAGE);
	}
	put64(NT + NT_MEMBLOCK, d);
}

void kernel_build(u32 cpus)
{
	u64 bug[5];

	kuser_build(cpus);
	process_build();
	memory_block_build();
	put_ascii(NT + NT_BUILDLAB, build->lab);
	put32(NT + NT_BUILDNUM, 0xf0000000u | build->number);
	put64(NT + 0x21538, 0x7fffffff0000ull);		/* MmUserProbeAddress */
	put64(NT + 0x21540, 0x7ffffffeffffull);		/* MmHighestUserAddress */
	put64(NT + 0x21548, 0xffff800000000000ull);	/* MmSystemRangeStart */
	put64(NT + NT_PFNDB, 0xffffe70000000000ull);	/* MmPfnDatabase */
	put32(NT + 0xcfc468, 156250);			/* KeTimeIncrement */
	map_new(bugdata_address(), 40, P_DATA);
	if (opt.bsod) {
		bugcheck_data(bug);
		for (u32 i = 0; i < 5; i++)
			put64(bugdata_address() + 8 * i, bug[i]);
	}
	map_new(prcbs_address(), 8 * (cpus + 1), P_DATA);
	for (u32 i = 0; i < cpus; i++)
		put64(prcbs_address() + 8 * i, opt.noprcb && i == cpus - 1 ? 0 : prcb_of(i));
}
