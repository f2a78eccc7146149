/*
 * Code that is copied into the guest's "ntoskrnl" (nt.c) and runs at its virtual
 * address, so it must not depend on where it lies.
 */
	.section .text
	.code64

/*
 * park(cr3, frame): the last step of every CPU. The frame lies on the CPU's kernel
 * stack: rax rcx rdx rbx rbp rsi rdi r8-r15, then what iretq takes.
 */
	.globl	park, park_end
park:
	mov	%rsi, %rsp
	mov	%rdi, %cr3
	pop	%rax
	pop	%rcx
	pop	%rdx
	pop	%rbx
	pop	%rbp
	pop	%rsi
	pop	%rdi
	pop	%r8
	pop	%r9
	pop	%r10
	pop	%r11
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	iretq
park_end:

/* Where CPU i rests: one 16-byte place each, so that every Rip differs. */
	.globl	rest_kernel, rest_kernel_end, rest_user, rest_user_end
rest_kernel:
	hlt
	jmp	rest_kernel
rest_kernel_end:

/* hlt is privileged: user mode spins. One instruction, so Rip stands still. */
rest_user:
	jmp	rest_user
rest_user_end:

/*
 * What a KVA-shadow entry looks like: load the kernel stack, then CR3, from the KPCR
 * (the kernel's directory base is at KPCR+0x9000 in builds 19041 to 19045).
 */
	.globl	shadow_entry, shadow_entry_end
shadow_entry:
	.byte	0x65, 0x48, 0x8b, 0x24, 0x25, 0x00, 0x90, 0x00, 0x00	/* mov rsp, gs:[9000h] */
	.byte	0x0f, 0x22, 0xdc					/* mov cr3, rsp */
shadow_entry_end:

	.section .note.GNU-stack, "", @progbits
