/* One CPU: KPCR and KPRCB, descriptor tables, saved and live registers, parking. */
#include "guest.h"

#define GDT_AT	0x1000u
#define TSS_AT	0x1800u

u32 pcr_of(u32 cpu) { return PCRS(cpu) + (opt.odd ? 0xbfc : 0xc00); }

u32 state_of(u32 cpu) { return pcr_of(cpu) + PRCB_IN_PCR + build->state; }

/*
 * Where debuggers look for the registers: since Windows 7 in a buffer of its own, of
 * which every second one crosses into the next page here; before, in ProcessorState.
 */
static u32 context_of(u32 cpu)
{
	if (!build->context)
		return state_of(cpu);
	return CONTEXTS(cpu) + (opt.odd || cpu % 2 ? 0xe40 : 0x340);
}

static u32 stack_top(u32 cpu) { return STACKS(cpu) + STACK_SIZE; }

/* With the images the first CPU runs them. */
u32 crash_cpu(void) { return IMAGES || opt.crashcpu == NOT_GIVEN ? 0 : opt.crashcpu; }

/* Offsets of CONTEXT (Microsoft winnt.h, x86). */
static void context_put(u32 c, u32 cpu, u32 eip, u32 esp, u32 eflags)
{
	static const u32 segments[] = { 0, 0x30, 0x23, 0x23 };	/* gs fs es ds */

	for (u32 i = 0; i < CONTEXT_SIZE; i += 4)
		put32(c + i, 0);
	put32(c, 0x1003f);
	put32(c + 0x1c, 0x27f);			/* FloatSave.ControlWord */
	for (u32 i = 0; i < COUNT(segments); i++)
		put32(c + 0x8c + 4 * i, segments[i]);
	for (u32 i = 0; i < 7; i++)		/* edi esi ebx edx ecx eax ebp */
		put32(c + 0x9c + 4 * i, 0x5afe0000 + (cpu << 8) + i);
	put32(c + 0xb8, eip);
	put32(c + 0xbc, 0x08);
	put32(c + 0xc0, eflags);
	put32(c + 0xc4, esp);
	put32(c + 0xc8, 0x10);
	put32(c + 0xcc + 0x18, 0x1f80);		/* ExtendedRegisters: MXCSR */
}

/* What the bug check saved; the live registers have moved on since. */
static void saved_context(u32 cpu)
{
	u32 five[5], top = stack_top(cpu), c = context_of(cpu);

	if (cpu != crash_cpu()) {
		context_put(c, cpu, NT + NT_IDLE + 0x123, top - 0x300, 0x246);
		return;
	}
	bugcheck_data(five);
	/* EXCEPTION_RECORD and CONTEXT to which the parameters point. */
	put32(five[3], five[1]);
	put32(five[3] + 0x0c, five[2]);
	put32(five[3] + 0x10, 2);
	put32(five[3] + 0x18, 0x18);
	context_put(five[4], cpu, five[2], top - 0x200, 0x10246);
	context_put(c, cpu, NT + NT_BUGCHECK + 0x10, top - 0x1200, 0x286);
	for (u32 i = 0; i < 5; i++)	/* KeBugCheckEx's arguments */
		put32(top - 0x1200 + 8 + 4 * i, five[i]);
}

/* KSPECIAL_REGISTERS of x86: Cr0 Cr2 Cr3 Cr4, Dr0-3 6 7, Gdtr, Idtr, Tr, Ldtr. */
static void special_put(u32 cpu)
{
	u32 s = state_of(cpu) + CONTEXT_SIZE;

	put32(s + 0x00, 0x8001003b);
	put32(s + 0x04, 0x12340000 + cpu);
	put32(s + 0x08, kernel_root);
	put32(s + 0x0c, opt.nopae ? 0x6d8 : 0x6f8);
	put32(s + 0x24, 0x400);
	put16(s + 0x2a, 0x3ff);
	put32(s + 0x2c, TABLES(cpu) + GDT_AT);
	put16(s + 0x32, 0x7ff);
	put32(s + 0x34, TABLES(cpu));
	put16(s + 0x38, 0x28);
}

static void descriptor_put(u32 gdt, u32 selector, u32 base, u32 limit, u32 flags)
{
	put32(gdt + selector, (base & 0xffff) << 16 | (limit & 0xffff));
	put32(gdt + selector + 4, (base & 0xff000000) | flags | (limit & 0xf0000) | (base >> 16 & 0xff));
}

/* Where an exception leads to in the images' kernel. */
static u32 image_handler(u32 v)
{
	return core_function(v == 1 ? "KiDebugTrapOrFault" : v == 14 ? "KiPageFault" : "KiTrap");
}

static void tables_put(u32 cpu)
{
	u32 idt = TABLES(cpu), gdt = idt + GDT_AT, tss = idt + TSS_AT;

	map_new(idt, 2 * PAGE, 1);
	for (u32 v = 0; v < 256; v++) {
		u32 target = IMAGES ? image_handler(v) : NT + NT_TRAPS + 16 * v;

		put32(idt + 8 * v, 0x08 << 16 | (target & 0xffff));
		put32(idt + 8 * v + 4, (target & 0xffff0000) | (v == 3 ? 0xee00 : 0x8e00));
	}
	put32(tss + 4, stack_top(cpu) - 0x100);
	put16(tss + 8, 0x10);
	put16(tss + 0x66, 0x68);
	descriptor_put(gdt, 0x08, 0, 0xfffff, 0x00c09b00);
	descriptor_put(gdt, 0x10, 0, 0xfffff, 0x00c09300);
	descriptor_put(gdt, 0x18, 0, 0xfffff, 0x00c0fb00);
	descriptor_put(gdt, 0x20, 0, 0xfffff, 0x00c0f300);
	descriptor_put(gdt, 0x28, tss, 0x20ab, 0x00008900);
	descriptor_put(gdt, 0x30, pcr_of(cpu), build->pcr_size, 0x00409300);
	descriptor_put(gdt, 0x38, 0x7ffde000, 0xfff, 0x0040f300);
}

void cpu_build(u32 cpu)
{
	u32 pcr = pcr_of(cpu), prcb = pcr + PRCB_IN_PCR, thread = pool_alloc(0x200), c = context_of(cpu);

	map_new(pcr, build->pcr_size, 1);
	map_new(STACKS(cpu), STACK_SIZE, 1);
	if (build->context)
		map_new(c, CONTEXT_SIZE + 4, 1);	/* QEMU writes four bytes more */
	tables_put(cpu);
	put32(thread, 6);
	put32(thread + build->apc_process, system_process);
	put32(pcr + 0x1c, pcr);
	put32(pcr + 0x20, prcb);
	put32(pcr + 0x34, NT + NT_VERSION);
	put32(pcr + 0x38, TABLES(cpu));
	put32(pcr + 0x3c, TABLES(cpu) + GDT_AT);
	put32(pcr + 0x40, TABLES(cpu) + TSS_AT);
	put32(pcr + 0x44, 0x00010001);
	put32(prcb, 0x00010001);
	put32(prcb + 4, thread);	/* CurrentThread, IdleThread */
	put32(prcb + 0xc, thread);
	put32(prcb + build->prcb_number, cpu);
	if (build->context)
		put32(prcb + build->context, opt.noctx && cpu == cpu_total - 1 ? 0 : c);
	for (u32 i = 0; i < CONTEXT_SIZE + 4; i += 4)
		put32(c + i, 0xa5a5a5a5);	/* live: nothing was saved */
	special_put(cpu);
	if (opt.bsod || (IMAGES && cpu != crash_cpu()))
		saved_context(cpu);
}

static void load_others(u32 cpu)
{
	struct { u16 limit; u32 base; } __attribute__((packed)) table;
	u32 v = 0xdb000000 + (cpu << 16), mxcsr = 0x1f80 | (cpu + 1) % 4 << 13 | 0x20;
	u32 gdt_pa = phys(TABLES(cpu) + GDT_AT);

	__asm__ volatile("mov %0, %%cr4; fninit; ldmxcsr %1" : : "r"(0x600), "m"(mxcsr));
	__asm__ volatile("mov %0, %%dr0" : : "r"(v | 0x000));
	__asm__ volatile("mov %0, %%dr1" : : "r"(v | 0x100));
	__asm__ volatile("mov %0, %%dr2" : : "r"(v | 0x200));
	__asm__ volatile("mov %0, %%dr3" : : "r"(v | 0x300));
	__asm__ volatile("mov %0, %%dr6" : : "r"(0xffff0ff0 | cpu % 4));
	__asm__ volatile("mov %0, %%dr7" : : "r"(0x400 | cpu << 18 << 2));
	__asm__ volatile("mov %0, %%cr2" : : "r"(0xe0000000 + (cpu << 20) + 0x123));
	/* Paging is still off: the selectors are loaded from the physical place first. */
	table.limit = 0x3ff;
	table.base = gdt_pa;
	__asm__ volatile("lgdt %0" : : "m"(table));
	/* The TSS descriptor is marked busy where it lies. */
	__asm__ volatile("lldt %w0; ltr %w1" : : "r"(0), "r"(0x28));
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %1, %%fs; mov %2, %%gs" : : "r"(0x23), "r"(0x30), "r"(0));
	table.base = TABLES(cpu) + GDT_AT;
	__asm__ volatile("lgdt %0" : : "m"(table));
	table.limit = 0x7ff;
	table.base = TABLES(cpu);
	__asm__ volatile("lidt %0" : : "m"(table));
}

void cpu_park(u32 cpu)
{
	/* CF PF AF ZF SF DF OF in combinations; bit 1 always reads as one; IF stays off. */
	static const u32 flags[] = { 0x0cd7, 0x0403, 0x0846, 0x0093, 0x0c02, 0x0096, 0x0057, 0x0812 };
	u32 frame = stack_top(cpu) - 0x800 - 0x40 * cpu;

	for (u32 i = 0; i < 8; i++)	/* edi esi ebp (esp) ebx edx ecx eax */
		put32(frame + 4 * i, 0xc0000000 >> (i % 3) | (cpu + 1) << 16 | (i + 1) * 0x1021);
	put32(frame + 32, NT + NT_IDLE + 16 * cpu);
	put32(frame + 36, 0x08);
	put32(frame + 40, flags[cpu]);
	if (IMAGES && cpu == crash_cpu()) {	/* as if something had called it, with 0 for the return address */
		put32(frame + 32, core_function("KiStartSystemThread"));
		put32(frame + 40, 0x002);
	}
	load_others(cpu);
	enter(opt.nopae ? 0x6d8 : 0x6f8, boot_root, kernel_root, frame);
}
