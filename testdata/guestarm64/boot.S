/*
 * From the end of QEMU's loader (EL1, no address translation, the device tree's address
 * in x0) to C, for the first CPU, and from PSCI's CPU_ON for the others; and the code
 * that becomes the kernel's own.
 */
	.section .text.boot, "ax"
	.globl	_start
_start:
	ldr	x1, =boot_stack_top
	mov	sp, x1
	mov	x1, #(3 << 20)			/* CPACR_EL1.FPEN */
	msr	cpacr_el1, x1
	isb
	mov	x19, x0
	bl	boot_tables
	bl	translation_on
	mov	x0, x19
	bl	guest_main
1:	b	1b

/* x0 is the CPU's number. */
	.globl	ap_start
ap_start:
	ldr	x1, =ap_stacks
	add	x2, x0, #1
	add	x1, x1, x2, lsl #12
	mov	sp, x1
	mov	x1, #(3 << 20)
	msr	cpacr_el1, x1
	isb
	mov	x19, x0
	bl	translation_on
	mov	x0, x19
	bl	ap_main
1:	b	1b

/* TCR_EL1, MAIR_EL1 and SCTLR_EL1 are those of Windows 11, build 22000. */
translation_on:
	ldr	x1, =0x44bb00ff44bb00ff
	msr	mair_el1, x1
	ldr	x1, =0x00000095b5513511
	msr	tcr_el1, x1
	ldr	x1, =boot_l0
	msr	ttbr0_el1, x1
	add	x1, x1, #0x800
	msr	ttbr1_el1, x1
	dsb	sy
	isb
	tlbi	vmalle1
	dsb	sy
	isb
	ldr	x1, =0x0000100030d0591d
	msr	sctlr_el1, x1
	isb
	ret

	.section .text
/*
 * park(frame, ttbr0, ttbr1): the last step of every CPU, at a kernel address (nt.c
 * copies it). The frame is x0 to x30, sp, pc, pstate, v0 to v31, fpsr, fpcr.
 */
	.globl	park, park_end
park:
	msr	ttbr0_el1, x1
	msr	ttbr1_el1, x2
	isb
	tlbi	vmalle1
	dsb	sy
	isb
	add	x3, x0, #0x110
	ldp	q0, q1, [x3], #32
	ldp	q2, q3, [x3], #32
	ldp	q4, q5, [x3], #32
	ldp	q6, q7, [x3], #32
	ldp	q8, q9, [x3], #32
	ldp	q10, q11, [x3], #32
	ldp	q12, q13, [x3], #32
	ldp	q14, q15, [x3], #32
	ldp	q16, q17, [x3], #32
	ldp	q18, q19, [x3], #32
	ldp	q20, q21, [x3], #32
	ldp	q22, q23, [x3], #32
	ldp	q24, q25, [x3], #32
	ldp	q26, q27, [x3], #32
	ldp	q28, q29, [x3], #32
	ldp	q30, q31, [x3], #32
	ldp	x4, x5, [x3]
	msr	fpsr, x4
	msr	fpcr, x5
	ldp	x4, x5, [x0, #0xf8]
	ldr	x6, [x0, #0x108]
	msr	sp_el0, x4			/* both modes that are used have this one */
	msr	elr_el1, x5
	msr	spsr_el1, x6
	ldp	x1, x2, [x0, #0x08]
	ldp	x3, x4, [x0, #0x18]
	ldp	x5, x6, [x0, #0x28]
	ldp	x7, x8, [x0, #0x38]
	ldp	x9, x10, [x0, #0x48]
	ldp	x11, x12, [x0, #0x58]
	ldp	x13, x14, [x0, #0x68]
	ldp	x15, x16, [x0, #0x78]
	ldp	x17, x18, [x0, #0x88]
	ldp	x19, x20, [x0, #0x98]
	ldp	x21, x22, [x0, #0xa8]
	ldp	x23, x24, [x0, #0xb8]
	ldp	x25, x26, [x0, #0xc8]
	ldp	x27, x28, [x0, #0xd8]
	ldp	x29, x30, [x0, #0xe8]
	ldr	x0, [x0]
	eret
park_end:

/* Where a CPU rests, in the kernel and in a process. */
	.globl	rest_kernel, rest_kernel_end, rest_user, rest_user_end
rest_kernel:
	wfi
	b	rest_kernel
rest_kernel_end:
rest_user:
	b	rest_user
rest_user_end:

	.bss
	.balign	4096
	.globl	boot_l0, boot_l1
boot_l0:	.skip 4096
boot_l1:	.skip 4096
		.skip 16384
boot_stack_top:
ap_stacks:	.skip 9 * 4096

	.section .note.GNU-stack, "", %progbits
