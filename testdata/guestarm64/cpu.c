/* One CPU: KPCR and KPRCB, saved and live registers, starting and parking. */
#include "guest.h"

#define PSCI_CPU_ON	0xc4000003ull

static volatile u32 cpu_here[MAX_CPUS], released;

u64 pcr_of(u32 number) { return PCRS(number); }
u64 prcb_of(u32 number) { return pcr_of(number) + PRCB_IN_PCR; }

static u64 stack_top(u32 number) { return STACKS(number) + STACK_SIZE; }

/* The index in KiProcessorBlock that a vCPU has. */
static u32 number_of(u32 cpu)
{
	return opt.swapcpu ? (cpu + 1) % cpus : cpu;
}

/* DRIVER_IRQL_NOT_LESS_OR_EQUAL: address, IRQL, write, the instruction. */
void bugcheck_data(u64 *five)
{
	five[0] = 0xd1;
	five[1] = 0xffffa90365e10018ull;
	five[2] = 2;
	five[3] = 0;
	five[4] = DRV + 0x1234;
}

/* Offsets of CONTEXT (Microsoft winnt.h, ARM64_NT_CONTEXT). */
enum { C_CPSR = 4, C_X = 8, C_FP = 0xf0, C_LR = 0xf8, C_SP = 0x100, C_PC = 0x108, C_V = 0x110, C_FPSR = 0x314 };

/*
 * What the bug check saved for the CPU; its live registers have moved on since. The
 * first one raised it: it was saved in a function that KeBugCheckEx called, which a
 * driver called, whose frame is the last of the chain.
 */
static void saved_context(u32 number)
{
	u64 c = prcb_of(number) + PRCB_CONTEXT, top = stack_top(number), fp = top - 0x600;

	memset((void *)c, 0, CONTEXT_SIZE);
	put32(c, 0x400007);
	put32(c + C_FPSR, 0x10 + number);
	put32(c + C_CPSR, number ? 0x60000144 : 0x80000144);
	for (u64 i = 0; i < 29; i++)
		put64(c + C_X + 8 * i, 0x5afe000000000000ull + ((u64)number << 32) + i);
	put64(c + C_X + 8 * 18, pcr_of(number));
	for (u64 i = 0; i < 32; i++) {
		put64(c + C_V + 16 * i, 0x5a00000000000000ull + ((u64)number << 32) + i);
		put64(c + C_V + 16 * i + 8, ~0ull / (i + 1));
	}
	put64(c + C_FP, fp);
	put64(c + C_LR, NT + NT_STOPPED - 0x40);
	put64(c + C_SP, fp);
	put64(c + C_PC, number ? NT + NT_IDLE + 0x44 : NT + NT_STOPPED);
	put64(fp, number ? 0 : top - 0x400);
	put64(fp + 8, number ? 0 : NT + NT_STOP_RETURN);
	put64(top - 0x400, top - 0x200);
	put64(top - 0x3f8, DRV + 0x1300);
	put64(top - 0x200, 0);
	put64(top - 0x1f8, 0);
}

/* KPROCESSOR_STATE.SpecialRegisters, as Windows fills it when it saves the registers. */
static void special_put(u32 number)
{
	u64 s = prcb_of(number) + 0x40;

	put64(s + 0x00, NT + 0x38d180);			/* ELR_EL1 */
	put64(s + 0x08, 0x60000144);			/* SPSR_EL1 */
	put64(s + 0x18, number);			/* TPIDRRO_EL0 */
	put64(s + 0x20, pcr_of(number));		/* TPIDR_EL1 */
	put64(s + 0xa0, 0x51df805e);			/* MIDR_EL1 */
	put64(s + 0xa8, 0x100030d0591dull);		/* SCTLR_EL1 */
	put64(s + 0xb8, 0x300000);			/* CPACR_EL1 */
	put64(s + 0xc0, tcr());				/* TCR_EL1 */
	put64(s + 0xc8, ttbr0());			/* TTBR0_EL1 */
	put64(s + 0xd0, ttbr1());			/* TTBR1_EL1 */
	put64(s + 0xd8, 0x9600004f);			/* ESR_EL1 */
	put64(s + 0xe0, 0xffffcd8c867c0032ull);		/* FAR_EL1 */
	put64(s + 0x308, 0x44bb00ff44bb00ffull);	/* MAIR_EL1 */
	put64(s + 0x310, NT + NT_VECTORS + 0x800);	/* VBAR_EL1 */
}

static u64 thread_build(u32 number)
{
	u64 t = pool_alloc(0x910), top = stack_top(number);

	put32(t, 6);				/* DISPATCHER_HEADER.Type: thread */
	put64(t + 0x28, top);			/* InitialStack */
	put64(t + 0x30, STACKS(number));	/* StackLimit */
	put64(t + 0x38, top);			/* StackBase */
	put64(t + 0x58, top - 0x200);		/* KernelStack */
	put64(t + 0xb0, system_process);	/* ApcState.Process */
	put32(t + 0x17c, 2);			/* State: running */
	return t;
}

void cpu_build(u32 number)
{
	u64 pcr = map_new(pcr_of(number), PCR_SIZE, P_DATA), prcb = prcb_of(number), thread;

	map_new(STACKS(number), STACK_SIZE, P_DATA);
	thread = thread_build(number);
	put64(pcr + 0x28, prcb + 0x780);	/* LockArray; Self is 0 */
	put64(pcr + 0x38, 0x000100010000100full);
	put64(prcb + 0x08, thread);
	put64(prcb + 0x18, thread);		/* IdleThread */
	put32(prcb + 0x20, 0x01030100);
	put32(prcb + 0x24, number);
	put32(prcb + 0x6f0, 0x0805);		/* CpuType */
	put32(prcb + 0x6f4, 2400);		/* MHz */
	memcpy((void *)(prcb + 0x890), "QEMU", 4);
	put32(prcb + 0x898, 6);			/* breakpoints, watchpoints */
	put32(prcb + 0x89c, 4);
	put64(prcb + 0x8a0, prcb + PRCB_CONTEXT);
	memset((void *)(prcb + PRCB_CONTEXT), 0xa5, CONTEXT_SIZE);	/* live: nothing was saved */
	if (opt.bsod) {
		special_put(number);
		saved_context(number);
	}
}

void cpu_start_others(void)
{
	for (u64 i = 1; i < cpus; i++) {
		register u64 x0 __asm__("x0") = PSCI_CPU_ON;
		register u64 x1 __asm__("x1") = i;
		register u64 x2 __asm__("x2") = (u64)ap_start;
		register u64 x3 __asm__("x3") = i;

		__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
		if (x0)
			die("PSCI does not start a CPU");
		while (!cpu_here[i])
			;
	}
}

void cpu_release_others(void)
{
	for (u32 i = 1; i < cpus; i++) {
		released = i;
		while (cpu_here[i] != 2)
			;
	}
}

void ap_main(u32 cpu)
{
	cpu_here[cpu] = 1;
	while (released != cpu)
		;
	cpu_here[cpu] = 2;
	cpu_park(cpu);
}

/* The registers each CPU is left with: all different, none of them in memory but here. */
void cpu_park(u32 cpu)
{
	u32 number = number_of(cpu), user = opt.user && cpu == 1;
	u64 *frame = (u64 *)(STACKS(number) + STACK_SIZE - 0xc00);

	for (u64 i = 0; i < 31; i++)
		frame[i] = 0xc0de000000000000ull + ((u64)cpu << 32) + 0x10001 * i;
	frame[18] = user ? USER_TEB : pcr_of(number);
	frame[31] = user ? USER_STACK + 0xe40 : STACKS(number) + STACK_SIZE - 0x800 - 0x40 * cpu;
	frame[32] = user ? USER_CODE + 0x120 : NT + NT_IDLE + 16 * cpu;
	frame[33] = user ? 0x20000000 : 0x600003c4 | (u64)(cpu & 1) << 31;	/* EL0t; EL1t, all masked */
	for (u64 i = 0; i < 64; i++)
		frame[34 + i] = 0xf10a000000000000ull + ((u64)cpu << 32) + 0x10001 * i;
	frame[98] = 0x10 + cpu;			/* FPSR: a sticky flag */
	frame[99] = (u64)(cpu % 4) << 22;	/* FPCR: the rounding mode */
	if (user) {
		u64 code = page_alloc();

		memcpy((void *)(code + 0x120), rest_user, (unsigned long)(rest_user_end - rest_user));
		map_page(USER_CODE, code, P_USER_CODE);
		map_page(USER_STACK, page_alloc(), P_USER_DATA);
	}
	__asm__ volatile("msr vbar_el1, %0; msr tpidr_el1, %1; msr tpidrro_el0, %2; msr tpidr_el0, %3; isb"
			 : : "r"(NT + NT_VECTORS + 0x800), "r"(pcr_of(number)), "r"((u64)number), "r"(user ? USER_TEB : 0));
	layout_final();
	((void (*)(u64 *, u64, u64))(NT + NT_PARK))(frame, ttbr0(), ttbr1());
	__builtin_unreachable();
}
