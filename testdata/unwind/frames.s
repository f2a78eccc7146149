# Functions of frames.exe whose frames no compiler makes on demand. GNU as, Intel syntax.
	.intel_syntax noprefix
	.text

# run_stepped(f): the trap flag is set from the call on.
	.globl	run_stepped
	.seh_proc run_stepped
run_stepped:
	sub	rsp, 0x28
	.seh_stackalloc 0x28
	.seh_endprologue
	mov	rax, rcx
	mov	ecx, 1
	pushfq
	or	dword ptr [rsp], 0x100
	popfq
	call	rax
	pushfq
	and	dword ptr [rsp], 0xfffffeff
	popfq
	add	rsp, 0x28
	ret
	.seh_endproc

	.globl	code_begin
code_begin:

# touch is a leaf without unwind data.
touch:
	mov	eax, ecx
	inc	eax
	ret

	.globl	f_leaf
	.seh_proc f_leaf
f_leaf:
	sub	rsp, 0x28
	.seh_stackalloc 0x28
	.seh_endprologue
	call	touch
	nop
	add	rsp, 0x28
	ret
	.seh_endproc

	.globl	f_push
	.seh_proc f_push
f_push:
	push	r15
	.seh_pushreg r15
	push	r14
	.seh_pushreg r14
	push	r13
	.seh_pushreg r13
	push	r12
	.seh_pushreg r12
	push	rbp
	.seh_pushreg rbp
	push	rdi
	.seh_pushreg rdi
	push	rsi
	.seh_pushreg rsi
	push	rbx
	.seh_pushreg rbx
	sub	rsp, 0x98
	.seh_stackalloc 0x98
	.seh_endprologue
	mov	rbx, 1
	mov	rsi, 2
	mov	rdi, 3
	mov	rbp, 4
	mov	r12, 5
	mov	r13, 6
	mov	r14, 7
	mov	r15, 8
	call	touch
	add	rsp, 0x98
	pop	rbx
	pop	rsi
	pop	rdi
	pop	rbp
	pop	r12
	pop	r13
	pop	r14
	pop	r15
	ret
	.seh_endproc

# The stack pointer moves in the body; the frame register finds the way back.
	.globl	f_framed
	.seh_proc f_framed
f_framed:
	push	rbp
	.seh_pushreg rbp
	push	rbx
	.seh_pushreg rbx
	sub	rsp, 0x48
	.seh_stackalloc 0x48
	lea	rbp, [rsp + 0x20]
	.seh_setframe rbp, 0x20
	mov	[rbp + 0x10], rsi
	.seh_savereg rsi, 0x30
	.seh_endprologue
	mov	esi, 77
	sub	rsp, 0x120
	call	touch
	sub	rsp, 0x40
	call	touch
	mov	rsi, [rbp + 0x10]
	lea	rsp, [rbp + 0x28]
	pop	rbx
	pop	rbp
	ret
	.seh_endproc

	.globl	f_framed_r13
	.seh_proc f_framed_r13
f_framed_r13:
	push	r13
	.seh_pushreg r13
	sub	rsp, 0x200
	.seh_stackalloc 0x200
	lea	r13, [rsp + 0xf0]
	.seh_setframe r13, 0xf0
	.seh_endprologue
	sub	rsp, 0x30
	call	touch
	lea	rsp, [r13 + 0x110]
	pop	r13
	ret
	.seh_endproc

# Registers are saved by mov, general ones and XMM.
	.globl	f_saved
	.seh_proc f_saved
f_saved:
	sub	rsp, 0x88
	.seh_stackalloc 0x88
	mov	[rsp + 0x80], rbx
	.seh_savereg rbx, 0x80
	mov	[rsp + 0x78], r14
	.seh_savereg r14, 0x78
	movaps	[rsp + 0x20], xmm6
	.seh_savexmm xmm6, 0x20
	movaps	[rsp + 0x30], xmm15
	.seh_savexmm xmm15, 0x30
	.seh_endprologue
	mov	rbx, 11
	mov	r14, 12
	call	touch
	movaps	xmm6, [rsp + 0x20]
	movaps	xmm15, [rsp + 0x30]
	mov	rbx, [rsp + 0x80]
	mov	r14, [rsp + 0x78]
	add	rsp, 0x88
	ret
	.seh_endproc

# Offsets that need 32 bits.
	.globl	f_far
	.seh_proc f_far
f_far:
	sub	rsp, 0x120008
	.seh_stackalloc 0x120008
	mov	[rsp + 0x90000], rsi
	.seh_savereg rsi, 0x90000
	movaps	[rsp + 0x110000], xmm7
	.seh_savexmm xmm7, 0x110000
	.seh_endprologue
	mov	esi, 9
	call	touch
	movaps	xmm7, [rsp + 0x110000]
	mov	rsi, [rsp + 0x90000]
	add	rsp, 0x120008
	ret
	.seh_endproc

# A tail call: the epilogue ends in a jump to another function.
	.globl	f_tail
	.seh_proc f_tail
f_tail:
	push	rdi
	.seh_pushreg rdi
	sub	rsp, 0x20
	.seh_stackalloc 0x20
	.seh_endprologue
	mov	edi, 5
	jmp	1f			# not out of the function
1:	call	touch
	add	rsp, 0x20
	pop	rdi
	jmp	f_leaf
	.seh_endproc

	.globl	f_tail_indirect
	.seh_proc f_tail_indirect
f_tail_indirect:
	push	r12
	.seh_pushreg r12
	sub	rsp, 0x20
	.seh_stackalloc 0x20
	.seh_endprologue
	mov	r12d, 5
	call	touch
	lea	rax, f_leaf[rip]
	mov	ecx, 1
	add	rsp, 0x20
	pop	r12
	rex.w jmp rax
	.seh_endproc

# A function of two pieces: the second saves one more register, and its entry is chained
# to that of the first.
	.globl	f_chained
f_chained:
	push	rbx
1:	sub	rsp, 0x20
2:	mov	ebx, ecx
	test	ecx, ecx
	jne	f_chained_more
f_chained_back:
	add	rsp, 0x20
	pop	rbx
	ret
f_chained_end:
	int3
f_chained_more:
	mov	[rsp + 0x30], rsi
3:	mov	esi, 6
	call	touch
	mov	rsi, [rsp + 0x30]
	jmp	f_chained_back
f_chained_more_end:
	int3

	.section .xdata
	.balign	4
f_chained_info:
	.byte	1, 2b - f_chained, 2, 0
	.byte	2b - f_chained, 0x32	# sub rsp, 0x20
	.byte	1b - f_chained, 0x30	# push rbx
	.balign	4
f_chained_more_info:
	.byte	0x21, 3b - f_chained_more, 2, 0	# UNW_FLAG_CHAININFO
	.byte	3b - f_chained_more, 0x64	# mov [rsp + n], rsi
	.short	0x30 / 8
	.rva	f_chained, f_chained_end, f_chained_info
	.section .pdata
	.rva	f_chained, f_chained_end, f_chained_info
	.rva	f_chained_more, f_chained_more_end, f_chained_more_info
	.text

# Unwind data of version 2 says where the epilogue is.
	.globl	f_version2
f_version2:
	push	rbx
1:	push	r12
2:	sub	rsp, 0x28
3:	mov	ebx, 1
	mov	r12d, 2
	call	touch
	add	rsp, 0x28
4:	pop	r12
	pop	rbx
	ret
f_version2_end:
	int3
	.section .xdata
	.balign	4
f_version2_info:
	.byte	2, 3b - f_version2, 5, 0
	.byte	f_version2_end - 4b, 0x16	# an epilogue of so many bytes at the end
	.byte	0, 0x06				# no other
	.byte	3b - f_version2, 0x42		# sub rsp, 0x28
	.byte	2b - f_version2, 0xc0		# push r12
	.byte	1b - f_version2, 0x30		# push rbx
	.balign	4
	.section .pdata
	.rva	f_version2, f_version2_end, f_version2_info
	.text

# An entry that refers to another one.
	.globl	f_indirect
f_indirect:
	push	rbx
1:	sub	rsp, 0x30
2:	mov	ebx, 3
	call	touch
	jmp	f_indirect_more
f_indirect_back:
	add	rsp, 0x30
	pop	rbx
	ret
f_indirect_end:
	int3
f_indirect_more:
	call	touch
	lea	rax, f_indirect_back[rip]
	jmp	rax
f_indirect_more_end:
	int3
	.section .xdata
	.balign	4
f_indirect_info:
	.byte	1, 2b - f_indirect, 2, 0
	.byte	2b - f_indirect, 0x52	# sub rsp, 0x30
	.byte	1b - f_indirect, 0x30	# push rbx
f_indirect_entry:
	.rva	f_indirect, f_indirect_end, f_indirect_info
	.section .pdata
	.rva	f_indirect, f_indirect_end, f_indirect_info
	.rva	f_indirect_more, f_indirect_more_end, f_indirect_entry + 1
	.text
	.globl	code_end
code_end:

# interrupted NAME, SELECTOR, ERROR, TEXT: what looks like an interrupt on the stack of
# the code that it interrupts, and a handler with a frame register.
	.macro	interrupted name, selector, error, text
	.globl	\name
	.seh_proc \name
\name:
	push	rbx
	.seh_pushreg rbx
	sub	rsp, 0x40
	.seh_stackalloc 0x40
	.seh_endprologue
	mov	ebx, 99
	mov	rax, rsp
	push	0x18
	push	rax
	pushfq
	push	\selector
	lea	rdx, \name\()_resume[rip]
	push	rdx
	.if	\error
	push	0x11
	.endif
	jmp	\name\()_handler
\name\()_resume:
	add	rsp, 0x40
	pop	rbx
	ret
	.seh_endproc
	.seh_proc \name\()_handler
\name\()_handler:
	.if	\error
	.seh_pushframe code
	.else
	.seh_pushframe
	.endif
	push	rbp
	.seh_pushreg rbp
	sub	rsp, 0x158
	.seh_stackalloc 0x158
	lea	rbp, [rsp + 0x80]
	.seh_setframe rbp, 0x80
	mov	[rbp + 0x20], rsi
	.seh_savereg rsi, 0xa0
	.seh_endprologue
	and	rsp, -16
	mov	esi, 4
	lea	rcx, \name\()_text[rip]
	call	snap
	mov	rsi, [rbp + 0x20]
	lea	rsp, [rbp + 0xd8]
	pop	rbp
	.if	\error
	pop	rax
	.endif
	pop	rdx
	mov	rsp, [rsp + 0x10]
	jmp	rdx
	.seh_endproc
	.section .rdata, "dr"
\name\()_text:
	.asciz	"\text"
	.text
	.endm

	interrupted f_interrupted, 0x10, 0, "machine frame"
	interrupted f_interrupted_error, 0x10, 1, "machine frame, error code"
	interrupted f_interrupted_user, 0x33, 0, "machine frame, user"

# f_fault reads what is not there; f_null calls a null pointer.
	.globl	f_fault, after_fault
	.seh_proc f_fault
f_fault:
	push	rdi
	.seh_pushreg rdi
	sub	rsp, 0x20
	.seh_stackalloc 0x20
	.seh_endprologue
	mov	edi, 0x30
	mov	rax, [rdi]
after_fault:
	add	rsp, 0x20
	pop	rdi
	ret
	.seh_endproc

	.globl	f_null
	.seh_proc f_null
f_null:
	sub	rsp, 0x28
	.seh_stackalloc 0x28
	.seh_endprologue
	xor	eax, eax
	call	rax
	add	rsp, 0x28
	ret
	.seh_endproc
