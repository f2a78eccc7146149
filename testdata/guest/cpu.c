/* One CPU: KPCR and KPRCB, descriptor tables, saved and live registers, starting and parking. */
#include "guest.h"

#define AP_START	0x8000ull
#define APIC		0xfee00000ull
#define APIC_SVR	0x0f0
#define APIC_ICR	0x300
#define TSS_AT		0x1000
#define GDT_AT		0x1fb0	/* the last 16 bytes before a page ends, as Windows has it */
#define GDT_LIMIT	0x57

static volatile u32 cpu_here[MAX_CPUS], released;
u32 cpu_total;

u64 pcr_of(u32 number) { return PCRS(number) + (opt.odd ? 0x8bc : 0); }
u64 prcb_of(u32 number) { return pcr_of(number) + PRCB_IN_PCR; }

/* 19041's buffers start at 0x340 in a page; every second one here crosses into the next. */
u64 context_of(u32 number)
{
	return CONTEXTS(number) + (opt.odd || number % 2 ? 0xe40 : 0x340);
}

/* The index in KiProcessorBlock that a vCPU has. */
u32 number_of(u32 cpu)
{
	return opt.swapcpu ? (cpu + 1) % cpu_total : cpu;
}

static u64 stack_top(u32 number) { return STACKS(number) + STACK_SIZE; }

/* The processor that crashes; with the images that of the first vCPU, which runs them. */
static u32 crash_number(void)
{
	if (IMAGES)
		return number_of(0);
	return opt.crashcpu == NOT_GIVEN ? 0 : (u32)opt.crashcpu;
}

/* SYSTEM_THREAD_EXCEPTION_NOT_HANDLED: code, address, exception record, context record. */
void bugcheck_data(u64 *five)
{
	u64 top = stack_top(crash_number());

	five[0] = 0x7e;
	five[1] = 0xffffffffc0000005ull;
	five[2] = DRV2 + 0x1234;
	five[3] = top - 0x900;
	five[4] = top - 0x1000;
}

/* Offsets of CONTEXT (Microsoft winnt.h, amd64). */
enum { C_FLAGS = 0x30, C_MXCSR = 0x34, C_SEGS = 0x38, C_EFLAGS = 0x44, C_GPR = 0x78, C_RIP = 0xf8, C_FLT = 0x100 };
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9 };

static void context_put(u64 c, const u64 *gpr, u64 rip, u64 eflags)
{
	static const u16 segments[] = { 0x10, 0x2b, 0x2b, 0x53, 0x2b, 0x18 };	/* cs ds es fs gs ss */

	memset((void *)c, 0, CONTEXT_SIZE);
	put32(c + C_FLAGS, 0x10001f);
	put32(c + C_MXCSR, 0x1f80);
	put32(c + C_FLT, 0x27f);		/* x87 control word */
	put32(c + C_FLT + 0x18, 0x1fa0);	/* the two MxCsr differ in real dumps, too */
	for (u32 i = 0; i < COUNT(segments); i++)
		put16(c + C_SEGS + 2 * i, segments[i]);
	put32(c + C_EFLAGS, eflags);
	for (u32 i = 0; i < 16; i++)
		put64(c + C_GPR + 8 * i, gpr[i]);
	put64(c + C_RIP, rip);
	for (u32 i = 0; i < 16; i++) {		/* xmm0-15 */
		put64(c + 0x1a0 + 16 * i, 0x5a00000000000000ull + (c >> 12 & 0xfff) * 16 + i);
		put64(c + 0x1a8 + 16 * i, ~0ull / (i + 1));
	}
}

/* What the bug check saved for the CPU; its live registers have moved on since. */
static void saved_context(u32 number)
{
	u64 gpr[16], bug[5], top = stack_top(number), c = context_of(number);

	for (u64 i = 0; i < 16; i++)
		gpr[i] = 0x5afe000000000000ull + ((u64)number << 32) + i;
	gpr[RBP] = top - 0x180;
	if (number != crash_number()) {
		gpr[RSP] = top - 0x300 - 0x20 * number;
		context_put(c, gpr, number % 2 ? DRV1 + 0x1080 : NT + NT_IDLE + 0x123, 0x246);
		return;
	}
	bugcheck_data(bug);
	/* The exception and context records that the parameters point to. */
	put32(bug[3], 0xc0000005);
	put64(bug[3] + 0x10, bug[2]);
	put32(bug[3] + 0x18, 2);
	put64(bug[3] + 0x28, 0x18);
	gpr[RSP] = top - 0x400;
	context_put(bug[4], gpr, bug[2], 0x10246);
	/* KeBugCheckEx(code, p1, p2, p3, p4): the fifth goes to the stack. */
	gpr[RCX] = bug[0];
	gpr[RDX] = bug[1];
	gpr[R8] = bug[2];
	gpr[R9] = bug[3];
	gpr[RSP] = top - 0x1800;
	put64(gpr[RSP], DRV2 + 0x1300);
	put64(gpr[RSP] + 0x28, bug[4]);
	context_put(c, gpr, NT + NT_BUGCHECK, 0x40282);
}

/* KSPECIAL_REGISTERS: the CPU's tables are right, the control registers are of long ago. */
static void special_put(u32 number)
{
	u64 s = prcb_of(number) + build->special;

	put64(s + 0x00, 0x80050033);
	put64(s + 0x08, opt.bsod && number == crash_number() ? 0x18 : 0xffffe50012340000ull + number);
	put64(s + 0x10, system_dtb());
	put64(s + 0x18, 0x6f8);
	put64(s + 0x48, 0x400);			/* KernelDr7 */
	put16(s + 0x56, GDT_LIMIT);
	put64(s + 0x58, TABLES(number) + GDT_AT);
	put16(s + 0x66, 0xfff);
	put64(s + 0x68, TABLES(number));
	put16(s + 0x70, 0x40);			/* Tr */
	put32(s + 0x74, 0x1f80);		/* MxCsr */
	put64(s + 0xa0, opt.bsod ? 15 : 0);	/* Cr8 */
	put64(s + 0xa8, pcr_of(number));	/* MsrGsBase */
	put64(s + 0xb0, USER_TEB);		/* MsrGsSwap */
	put64(s + 0xb8, 0x0023001000000000ull);	/* MsrStar */
	put64(s + 0xc0, NT + NT_TRAPS);		/* MsrLStar */
	put64(s + 0xd0, 0x4700);		/* MsrSyscallMask */
	put64(s + 0xd8, 3);			/* Xcr0 */
}

/* Where an exception leads to in the images' kernel. */
static u64 image_handler(u64 v)
{
	return core_function(v == 1 ? "KiDebugTrapOrFault" : v == 14 ? "KiPageFault" : "KiTrap");
}

static void tables_put(u32 number)
{
	u64 idt = map_new(TABLES(number), 3 * PAGE, P_DATA), tss = idt + TSS_AT, gdt = idt + GDT_AT;

	map_shadow(idt, 3 * PAGE);
	for (u64 v = 0; v < 256; v++) {
		u64 target = IMAGES ? image_handler(v) : NT + NT_TRAPS + 16 * v, gate = v == 3 ? 0xee00 : 0x8e00;

		put64(idt + 16 * v, (target & 0xffff) | 0x10 << 16 | gate << 32 | (target >> 16 & 0xffff) << 48);
		put64(idt + 16 * v + 8, target >> 32);
	}
	put64(tss + 4, stack_top(number) - 0x100);	/* Rsp0 */
	put16(tss + 0x66, 0x68);
	put64(gdt + 0x10, 0x00209b0000000000ull);	/* kernel code */
	put64(gdt + 0x18, 0x00cf93000000ffffull);	/* kernel data */
	put64(gdt + 0x20, 0x00cffb000000ffffull);	/* 32-bit user code */
	put64(gdt + 0x28, 0x00cff3000000ffffull);	/* user data */
	put64(gdt + 0x30, 0x0020fb0000000000ull);	/* user code */
	put64(gdt + 0x40, 0x67 | (tss & 0xffffff) << 16 | 0x89ull << 40 | (tss >> 24 & 0xff) << 56);
	put64(gdt + 0x48, tss >> 32);
	put64(gdt + 0x50, 0x0040f30000003c00ull);	/* 32-bit TEB */
}

static u64 thread_build(u32 number)
{
	u64 t = pool_alloc(0x898), top = stack_top(number);

	put32(t, 6);				/* DISPATCHER_HEADER.Type: thread */
	put64(t + 0x28, top);			/* InitialStack */
	put64(t + 0x30, STACKS(number));	/* StackLimit */
	put64(t + 0x38, top);			/* StackBase */
	put64(t + 0x58, top - 0x200);		/* KernelStack */
	put64(t + 0xb8, system_process);	/* ApcState.Process */
	put32(t + 0x184, 2);			/* State: running */
	put64(t + 0x220, system_process);
	return t;
}

void cpu_build(u32 number)
{
	u64 pcr = map_new(pcr_of(number), build->pcr_size, P_DATA), prcb = prcb_of(number), thread;

	map_shadow(pcr, build->pcr_size);
	map_new(STACKS(number), STACK_SIZE, P_DATA);
	map_shadow(stack_top(number) - PAGE, PAGE);
	map_new(context_of(number), CONTEXT_SIZE, P_DATA);
	tables_put(number);
	thread = thread_build(number);
	put64(pcr + 0x00, TABLES(number) + GDT_AT);
	put64(pcr + 0x08, TABLES(number) + TSS_AT);
	put64(pcr + 0x18, pcr);
	put64(pcr + 0x20, prcb);
	put64(pcr + 0x38, TABLES(number));
	put32(pcr + 0x60, 0x00010001);		/* MajorVersion, MinorVersion */
	put64(pcr + 0x108, NT + NT_VERSION);	/* KdVersionBlock */
	if (build->pcr_size > 0x9000)
		put64(pcr + 0x9000, system_dtb());	/* KernelDirectoryTableBase, 2004 and later */
	put32(prcb, 0x1f80);
	put64(prcb + 0x08, thread);
	put64(prcb + 0x18, thread);		/* IdleThread */
	put32(prcb + 0x24, number);
	put32(prcb + build->cpu_type, 0x5e030106);	/* CpuType, CpuID, CpuStep: family 6 model 94 */
	put32(prcb + build->cpu_type + 4, 3000);	/* MHz */
	memcpy((void *)(prcb + build->vendor), "GenuineIntel", 12);
	put64(prcb + build->context, opt.noctx && number == cpu_total - 1 ? 0 : context_of(number));
	special_put(number);
	memset((void *)context_of(number), 0xa5, CONTEXT_SIZE);	/* live: nothing was saved */
	if (opt.bsod || (IMAGES && number != crash_number()))
		saved_context(number);
}

static void apic_command(u32 v)
{
	*(volatile u32 *)(APIC + APIC_ICR) = v;
	while (*(volatile u32 *)(APIC + APIC_ICR) & 0x1000)
		;
}

static void pause_for(u32 n)
{
	/* Port 0x80 takes about a microsecond on a PC; here it merely lets time pass. */
	while (n--)
		out8(0x80, 0);
}

/* INIT, then the start-up IPI, to all but this CPU (Intel SDM volume 3, 8.4). */
void cpu_start_others(u32 cpus)
{
	cpu_total = cpus;
	out8(0x21, 0xff);	/* no interrupts from the legacy controllers */
	out8(0xa1, 0xff);
	*(volatile u32 *)(APIC + APIC_SVR) |= 0x100;
	if (cpus == 1)
		return;
	memcpy((void *)AP_START, ap_start, (unsigned long)(ap_start_end - ap_start));
	apic_command(0x000c4500);
	pause_for(10000);
	apic_command(0x000c4600 | AP_START / PAGE);
	for (u32 i = 1; i < cpus; i++)
		while (!cpu_here[i])
			__asm__ volatile("pause");
}

void cpu_release_others(u32 cpus)
{
	for (u32 i = 1; i < cpus; i++) {
		released = i;
		while (cpu_here[i] != 2)
			__asm__ volatile("pause");
	}
}

void ap_main(u32 cpu)
{
	cpu_here[cpu] = 1;
	while (released != cpu)
		__asm__ volatile("pause");
	cpu_here[cpu] = 2;
	cpu_park(cpu);
}
