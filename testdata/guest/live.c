/* The registers each CPU is left with: all different, none of them in memory. */
#include "guest.h"

#define MSR_STAR	0xc0000081u
#define MSR_LSTAR	0xc0000082u
#define MSR_SFMASK	0xc0000084u
#define MSR_GS_BASE	0xc0000101u
#define MSR_KERNEL_GS	0xc0000102u
#define USER_RIP	(USER_CODE + 0x120)

struct descriptor { u16 limit; u64 base; } __attribute__((packed));

static void wrmsr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)));
}

/* Debug, SSE and x87 registers: QEMU writes some of them to a win-dmp, none to an ELF. */
static void load_others(u64 cpu)
{
	u32 mxcsr = 0x1f80 | (u32)(cpu + 1) % 4 << 13 | 0x20;	/* rounding mode, a sticky flag */
	u64 v = 0xffffdb0000000000ull + (cpu << 16);

	__asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
	__asm__ volatile("movq %0, %%xmm0; movq %0, %%xmm15" : : "r"(v | 0x77));
	__asm__ volatile("mov %0, %%dr0" : : "r"(v | 0x000));
	__asm__ volatile("mov %0, %%dr1" : : "r"(v | 0x100));
	__asm__ volatile("mov %0, %%dr2" : : "r"(v | 0x200));
	__asm__ volatile("mov %0, %%dr3" : : "r"(v | 0x300));
	__asm__ volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ull | cpu % 4));
	__asm__ volatile("mov %0, %%dr7" : : "r"(0x400ull | cpu << 18 << 2));	/* none enabled */
	__asm__ volatile("mov %0, %%cr2" : : "r"(0xffffe00000000000ull + (cpu << 20) + 0x123));
	__asm__ volatile("mov %0, %%cr8" : : "r"(cpu % 3));
}

static void load_tables(u64 pcr)
{
	struct descriptor gdt = { 0x57, get64(pcr) }, idt = { 0xfff, get64(pcr + 0x38) };
	u16 none = 0, tr = 0x40, data = 0x2b, teb = 0x53;

	__asm__ volatile("lgdt %0; lidt %1; lldt %2; ltr %3" : : "m"(gdt), "m"(idt), "r"(none), "r"(tr));
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%gs; mov %1, %%fs" : : "r"((u32)data), "r"((u32)teb));
}

static void user_pages(void)
{
	u64 code = page_alloc(), stack = page_alloc(), root = opt.shadow ? shadow_root : kernel_root;

	memcpy((void *)(code + 0x120), rest_user, (unsigned long)(rest_user_end - rest_user));
	map_page(root, USER_CODE, code, P_USER_CODE);
	map_page(root, USER_STACK, stack, P_USER_DATA);
}

void cpu_park(u32 cpu)
{
	/* CF PF AF ZF SF DF OF in combinations; bit 1 always reads as one; IF stays off. */
	static const u16 flags[] = { 0x0cd7, 0x0403, 0x0846, 0x0093, 0x0c02, 0x0096, 0x0057, 0x0812 };
	u32 number = number_of(cpu), user = opt.user && cpu == 0;
	u64 pcr = pcr_of(number), rsp = STACKS(number) + STACK_SIZE - 0x800 - 0x40 * cpu, *frame;
	u64 cr3 = opt.shadow ? shadow_root : kernel_root;

	if (user)
		user_pages();
	load_others(cpu);
	load_tables(pcr);
	wrmsr(MSR_STAR, 0x0023001000000000ull);
	wrmsr(MSR_LSTAR, NT + NT_TRAPS);
	wrmsr(MSR_SFMASK, 0x4700);
	wrmsr(MSR_GS_BASE, user ? USER_TEB : pcr);
	wrmsr(MSR_KERNEL_GS, user ? pcr : USER_TEB + 0x2000 * cpu);
	frame = (u64 *)(rsp - 0x200);
	for (u64 i = 0; i < 15; i++)
		frame[i] = 0xc000000000000000ull >> (i % 3) | (u64)(cpu + 1) << 40 | (i + 1) << 32 | 0x10203040 * (i + 1) % 0xfffffff1;
	frame[15] = user ? USER_RIP : NT + NT_IDLE + 16 * cpu;
	frame[16] = user ? 0x33 : 0x10;
	frame[17] = user ? 0x206 : flags[cpu];
	frame[18] = user ? USER_STACK + 0xe40 : rsp;
	frame[19] = user ? 0x2b : 0x18;
	if (IMAGES && cpu == 0) {
		/* As if something had called it, with 0 for the return address. */
		frame[15] = core_function("KiStartSystemThread");
		frame[17] = 0x002;
		frame[18] = STACKS(number) + STACK_SIZE - 0x58;
	}
	((void (*)(u64, u64))(NT + NT_PARK))(cr3 | (opt.pcid ? 2 : 0), (u64)frame);
	__builtin_unreachable();
}
