/*
 * Functions of "sprocket.sys" as compilers other than gcc make them: another frame
 * register, a function in two pieces of which the second has chained unwind data, an
 * entry that leads to another entry, a leaf without any, and places for a breakpoint
 * in prologues and epilogues.
 */
	.text

/* Says who called: the size of the frame is known here. */
.macro	SAY_CALLER size
	mov	\size(%rsp), %rcx
	lea	\size+8(%rsp), %rdx
	call	*__imp_GuestEnter(%rip)
.endm

/* A call of something that can't say where it was called from. */
.macro	SAY_AND_CALL target
	lea	9f(%rip), %rcx
	mov	%rsp, %rdx
	call	*__imp_GuestEnter(%rip)
	call	\target
9:	call	*__imp_GuestLeave(%rip)
.endm

/* sprocket_outer(call, argument): rsi is the frame register. */
	.globl	sprocket_outer
	.seh_proc sprocket_outer
sprocket_outer:
	push	%rsi
	.seh_pushreg %rsi
	sub	$0x40, %rsp
	.seh_stackalloc 0x40
	lea	0x30(%rsp), %rsi
	.seh_setframe %rsi, 0x30
	.seh_endprologue
	mov	%rcx, -8(%rsi)
	mov	%rdx, (%rsi)
	SAY_CALLER 0x48
	sub	$0x110, %rsp
	mov	-8(%rsi), %rcx
	mov	(%rsi), %rdx
	call	sprocket_frame
	call	*__imp_GuestLeave(%rip)
	lea	0x10(%rsi), %rsp
	pop	%rsi
	ret
	.seh_endproc

/* sprocket_frame(call, argument): r13 is the frame register, the stack moves under it. */
	.globl	sprocket_frame
	.seh_proc sprocket_frame
sprocket_frame:
	push	%r13
	.seh_pushreg %r13
	push	%rbx
	.seh_pushreg %rbx
	sub	$0x68, %rsp
	.seh_stackalloc 0x68
	lea	0x40(%rsp), %r13
	.seh_setframe %r13, 0x40
	mov	%rsi, 0x50(%rsp)
	.seh_savereg %rsi, 0x50
	.seh_endprologue
	mov	%rcx, %rbx
	mov	%rdx, %rsi
	SAY_CALLER 0x78
	sub	$0x330, %rsp
	mov	%rbx, %rcx
	mov	%rsi, %rdx
	call	*__imp_ExRunCallback(%rip)
	call	*__imp_GuestLeave(%rip)
	lea	-0x40(%r13), %rsp
	mov	0x50(%rsp), %rsi
	add	$0x68, %rsp
	pop	%rbx
	pop	%r13
	ret
	.seh_endproc

/*
 * sprocket_split(argument): the common piece, and a rare one elsewhere that saves more
 * registers. Its unwind data is chained to that of the first; both are written by hand.
 */
	.globl	sprocket_split
sprocket_split:
	push	%rbx
split_1:
	sub	$0x60, %rsp
split_2:
	mov	%rcx, %rbx
	SAY_CALLER 0x68
	test	%rbx, %rbx
	jnz	split_rare
split_back:
	call	*__imp_GuestLeave(%rip)
	add	$0x60, %rsp
	pop	%rbx
	ret
split_end:
	.fill	0x40, 1, 0xcc

split_rare:
	mov	%rsi, 0x40(%rsp)
split_rare_1:
	mov	%r13, 0x48(%rsp)	/* the frame register of a function further up */
split_rare_2:
	mov	$0x1111, %esi
	mov	$0x2222, %r13d
	mov	%rbx, %rcx
	call	sprocket_entry
	mov	0x40(%rsp), %rsi
	mov	0x48(%rsp), %r13
	jmp	split_back
split_rare_end:
	.fill	0x20, 1, 0xcc

/* A function whose entry in the exception directory leads to another function's entry. */
	.globl	sprocket_entry
sprocket_entry:
	push	%rbx
	sub	$0x60, %rsp
	SAY_CALLER 0x68
	mov	$3, %ecx
	call	sprocket_deep
	call	*__imp_GuestLeave(%rip)
	add	$0x60, %rsp
	pop	%rbx
	ret
sprocket_entry_end:

	.section .xdata
	.balign	4
split_info:
	.byte	1, split_2 - sprocket_split, 2, 0
	.byte	split_2 - sprocket_split, 0xb2		/* ALLOC_SMALL 0x60 */
	.byte	split_1 - sprocket_split, 0x30		/* PUSH_NONVOL rbx */
split_rare_info:
	.byte	0x21, split_rare_2 - split_rare, 4, 0	/* chained */
	.byte	split_rare_2 - split_rare, 0xd4		/* SAVE_NONVOL r13 */
	.short	0x48 / 8
	.byte	split_rare_1 - split_rare, 0x64		/* SAVE_NONVOL rsi */
	.short	0x40 / 8
	.rva	sprocket_split, split_end, split_info
	.section .pdata
split_entry:
	.rva	sprocket_split, split_end, split_info
	.rva	split_rare, split_rare_end, split_rare_info
	.rva	sprocket_entry, sprocket_entry_end, split_entry + 1
	.text

/* sprocket_touch(address): calls the leaf. */
	.globl	sprocket_touch
	.seh_proc sprocket_touch
sprocket_touch:
	push	%r12
	.seh_pushreg %r12
	sub	$0x20, %rsp
	.seh_stackalloc 0x20
	.seh_endprologue
	mov	%rcx, %r12
	SAY_CALLER 0x28
	lea	1f(%rip), %rcx		/* the leaf can't say it */
	mov	%rsp, %rdx
	call	*__imp_GuestEnter(%rip)
	mov	%r12, %rcx
	call	sprocket_leaf
1:	call	*__imp_GuestLeave(%rip)
	call	*__imp_GuestLeave(%rip)
	add	$0x20, %rsp
	pop	%r12
	ret
	.seh_endproc

/* A leaf: no frame, no unwind data. */
sprocket_leaf:
	mov	$1, %eax
	mov	(%rcx), %rax
	ret

/* Runs through places for a breakpoint; who runs them says where from. */
	.seh_proc sprocket_places
	.globl	sprocket_places
sprocket_places:
	sub	$0x28, %rsp
	.seh_stackalloc 0x28
	.seh_endprologue
	SAY_CALLER 0x28
	SAY_AND_CALL place_plain
	SAY_AND_CALL place_frame
	SAY_AND_CALL place_jump
	call	*__imp_GuestLeave(%rip)
	add	$0x28, %rsp
	ret
	.seh_endproc

	.seh_proc place_plain
place_plain:
	push	%rdi
	.seh_pushreg %rdi
place_1:
	push	%r15
	.seh_pushreg %r15
	sub	$0x1048, %rsp
	.seh_stackalloc 0x1048
	.seh_endprologue
	xor	%edi, %edi
	xor	%r15d, %r15d
	add	$0x1048, %rsp
place_2:
	pop	%r15
place_3:
	pop	%rdi
place_4:
	ret
	.seh_endproc

	.seh_proc place_frame
place_frame:
	push	%rbp
	.seh_pushreg %rbp
	sub	$0x40, %rsp
	.seh_stackalloc 0x40
place_5:
	lea	0x20(%rsp), %rbp
	.seh_setframe %rbp, 0x20
	.seh_endprologue
	sub	$0x100, %rsp
	nop
	lea	0x20(%rbp), %rsp
place_6:
	pop	%rbp
	ret
	.seh_endproc

	.seh_proc place_jump
place_jump:
	push	%rsi
	.seh_pushreg %rsi
	sub	$0x30, %rsp
	.seh_stackalloc 0x30
	.seh_endprologue
	xor	%esi, %esi
	add	$0x30, %rsp
	pop	%rsi
place_7:
	jmp	place_plain
	.seh_endproc

	.data
	.globl	SprocketPlaces
SprocketPlaces:
	.quad	place_1, place_2, place_3, place_4, place_5, place_6, place_7

	.section .drectve, "yn"
	.ascii	" -export:SprocketPlaces,data"
