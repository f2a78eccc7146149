/*
 * From the multiboot loader (32-bit protected mode, paging off) to long mode,
 * for the first CPU, and from a start-up IPI (16-bit real mode) for the others.
 *
 * Multiboot 0.6.96, "OS image format". QEMU's loader takes no 64-bit ELF, so the
 * header carries the load addresses itself (flags bit 16).
 */
#define CR0_VALUE	0x80050033	/* PG AM WP NE ET MP PE, as Windows runs */
#define CR4_PAE_SSE	0x6a0		/* PAE PGE OSFXSR OSXMMEXCPT */
#define CR4_LA57	0x1000
#define EFER		0xc0000080
#define EFER_VALUE	0x901		/* NXE LME SCE */

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
	mov	%ebx, boot_info

	/* Five paging levels must be chosen before paging starts: look for the word here. */
	mov	16(%ebx), %esi
1:	mov	(%esi), %eax
	test	%al, %al
	jz	2f
	inc	%esi
	cmp	$0x35616c20, %eax	/* " la5", then "7" */
	jne	1b
	cmpb	$0x37, 3(%esi)
	jne	1b
	mov	$7, %eax
	xor	%ecx, %ecx
	cpuid
	shr	$16, %ecx
	and	$1, %ecx
	mov	%ecx, boot_la57

	/* Identity mapping of the first 8 GiB by 2 MiB pages. */
2:	mov	$boot_pd, %edi
	mov	$0x83, %eax
	xor	%edx, %edx
	mov	$(8 * 512), %ecx
3:	mov	%eax, (%edi)
	mov	%edx, 4(%edi)
	add	$8, %edi
	add	$0x200000, %eax
	adc	$0, %edx
	dec	%ecx
	jnz	3b
	mov	$boot_pdpt, %edi
	mov	$(boot_pd + 3), %eax
	mov	$8, %ecx
4:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x1000, %eax
	dec	%ecx
	jnz	4b
	movl	$(boot_pdpt + 3), boot_pml4
	movl	$(boot_pml4 + 3), boot_pml5
	lgdt	boot_gdtr
	call	enter_long_mode
	ljmp	$0x10, $5f

	.code64
5:	mov	$0x18, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$boot_stack_top, %rsp
	mov	boot_info, %edi
	call	guest_main
6:	hlt
	jmp	6b

	.code32
enter_long_mode:
	mov	$CR4_PAE_SSE, %eax
	mov	$boot_pml4, %ecx
	cmpl	$0, boot_la57
	je	1f
	or	$CR4_LA57, %eax
	mov	$boot_pml5, %ecx
1:	mov	%eax, %cr4
	mov	%ecx, %cr3
	mov	$EFER, %ecx
	mov	$EFER_VALUE, %eax
	xor	%edx, %edx
	wrmsr
	mov	$CR0_VALUE, %eax
	mov	%eax, %cr0
	ret

/* The other CPUs. This piece is copied to physical AP_START (cpu.c). */
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
	mov	$0x20, %eax
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
	call	enter_long_mode
	ljmp	$0x10, $1f
	.code64
1:	mov	$0x18, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%edi, %ebx
	shl	$12, %rbx
	lea	ap_stacks + 0x1000(%rbx), %rsp
	call	ap_main
2:	hlt
	jmp	2b

	.data
	.balign 8
boot_gdt:
	.quad	0
	.quad	0x00cf9a000000ffff	/* 08: 32-bit code */
	.quad	0x00af9a000000ffff	/* 10: 64-bit code, the selector Windows uses */
	.quad	0x00cf92000000ffff	/* 18: data, likewise */
	.quad	0x00cf92000000ffff	/* 20: data for the 32-bit steps */
boot_gdt_end:
boot_gdtr:
	.word	boot_gdt_end - boot_gdt - 1
	.long	boot_gdt
	.long	0

	.bss
	.balign 4096
	.globl	boot_pml4, boot_pml5, boot_la57
boot_pml5:	.skip 4096
boot_pml4:	.skip 4096
boot_pdpt:	.skip 4096
boot_pd:	.skip 8 * 4096
		.skip 8192
boot_stack_top:
ap_stacks:	.skip 8 * 4096
boot_info:	.skip 4
boot_la57:	.skip 4

	.section .note.GNU-stack, "", @progbits
