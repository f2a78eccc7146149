/*
 * From the multiboot loader (32-bit protected mode, paging off), and from a start-up
 * IPI (16-bit real mode) for the other CPUs, to guest_main and ap_main with paging off.
 *
 * Multiboot 0.6.96, "OS image format", with the load addresses in the header (flags
 * bit 16), since the image is flat.
 */
	.section .text.boot, "ax"
	.code32
	.balign 4
multiboot:
	.long	0x1badb002
	.long	0x00010003
	.long	-(0x1badb002 + 0x00010003)
	.long	multiboot
	.long	image_start
	.long	image_load_end
	.long	image_end
	.long	_start

	.globl	_start
_start:
	cli
	cld
	mov	$boot_stack_top, %esp
	lgdt	boot_gdtr
	ljmp	$0x08, $1f
1:	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	push	%ebx
	call	guest_main
2:	hlt
	jmp	2b

/* The other CPUs. This piece is copied to physical 0x8000 (main.c). */
	.code16
	.globl	ap_start, ap_start_end
ap_start:
	cli
	xor	%eax, %eax
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	(ap_gdtr - ap_start)
	mov	$1, %eax
	mov	%eax, %cr0
	ljmpl	$0x08, $ap_protected
	.balign 8
ap_gdtr:
	.word	boot_gdt_end - boot_gdt - 1
	.long	boot_gdt
ap_start_end:

	.code32
ap_protected:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	/* Initial APIC id = vCPU index: one socket, no hyper-threads. */
	mov	$1, %eax
	cpuid
	shr	$24, %ebx
	mov	%ebx, %edi
	shl	$12, %ebx
	lea	ap_stacks + 0x1000(%ebx), %esp
	push	%edi
	call	ap_main
3:	hlt
	jmp	3b

/*
 * enter(cr4, boot_cr3, kernel_cr3, frame): paging on, with tables that map this code and
 * the kernel's half; then to the kernel's "nt" for the rest.
 */
	.globl	enter, enter_target
enter:
	mov	4(%esp), %eax
	mov	8(%esp), %ecx
	mov	12(%esp), %edx
	mov	16(%esp), %esi
	mov	%eax, %cr4
	mov	%ecx, %cr3
	mov	$0x80010033, %eax	/* PG WP NE ET MP PE, as Windows runs */
	mov	%eax, %cr0
	jmp	*enter_target

/*
 * Copied into the guest's "ntoskrnl", at whose virtual address it runs: edx is the
 * kernel's CR3, esi the frame on the CPU's stack: what popa takes, then what iret takes.
 */
	.globl	park, park_end, rest, rest_end
park:
	mov	%edx, %cr3
	mov	%esi, %esp
	popa
	iret
park_end:

/* Where CPU i rests: one 16-byte place each, so that every Eip differs. */
rest:
	hlt
	jmp	rest
rest_end:

	.data
	.balign 8
boot_gdt:
	.quad	0
	.quad	0x00cf9a000000ffff	/* 08: code, 10: data, the selectors Windows uses */
	.quad	0x00cf92000000ffff
boot_gdt_end:
boot_gdtr:
	.word	boot_gdt_end - boot_gdt - 1
	.long	boot_gdt
enter_target:
	.long	0

	.bss
	.balign 4096
		.skip 16384
boot_stack_top:
ap_stacks:	.skip 8 * 4096

	.section .note.GNU-stack, "", @progbits
