/*
 * What of "ntoskrnl.exe" no compiler makes: the first frame of a thread, the handlers of
 * exceptions with their machine frames, and KeBugCheckEx, which saves what it was called
 * with. Layouts: KTRAP_FRAME and KEXCEPTION_FRAME of public symbols, CONTEXT of winnt.h.
 */
	.text

/* The stack's last frame: nothing is behind it, the return address is 0. */
	.globl	KiStartSystemThread
	.seh_proc KiStartSystemThread
KiStartSystemThread:
	sub	$0x28, %rsp
	.seh_stackalloc 0x28
	.seh_endprologue
	call	PspSystemThreadStartup
	int3
	.seh_endproc

/*
 * KxSwitchStack(call, argument, stack): calls on another stack, as KxRetireDpcList does;
 * rbp is the way back.
 */
	.globl	KxSwitchStack
	.seh_proc KxSwitchStack
KxSwitchStack:
	push	%rbp
	.seh_pushreg %rbp
	sub	$0x30, %rsp
	.seh_stackalloc 0x30
	lea	0x20(%rsp), %rbp
	.seh_setframe %rbp, 0x20
	.seh_endprologue
	mov	%rcx, 0x20(%rsp)
	mov	%rdx, 0x28(%rsp)
	mov	%r8, %rsp
	sub	$0x20, %rsp
	mov	0x18(%rbp), %rcx
	lea	0x20(%rbp), %rdx
	call	GuestEnter
	mov	8(%rbp), %rcx
	call	*(%rbp)
	call	GuestLeave
	lea	0x10(%rbp), %rsp
	pop	%rbp
	ret
	.seh_endproc

/* A KTRAP_FRAME from what the processor pushed; rbp is its address + 0x80, as in Windows. */
.macro	TRAP_FRAME
	push	%rbp
	.seh_pushreg %rbp
	sub	$0x158, %rsp
	.seh_stackalloc 0x158
	lea	0x80(%rsp), %rbp
	.seh_setframe %rbp, 0x80
	.seh_endprologue
	cld
	mov	%rax, 0x30(%rsp)
	mov	%rcx, 0x38(%rsp)
	mov	%rdx, 0x40(%rsp)
	mov	%r8, 0x48(%rsp)
	mov	%r9, 0x50(%rsp)
	mov	%r10, 0x58(%rsp)
	mov	%r11, 0x60(%rsp)
	movb	$2, 0x29(%rsp)		/* PreviousIrql */
	movl	$0x1f80, 0x2c(%rsp)	/* MxCsr */
	mov	%cr2, %rax
	mov	%rax, 0xd0(%rsp)	/* FaultAddress */
	mov	0x168(%rsp), %rcx	/* the interrupted frame, by the processor's word */
	mov	0x180(%rsp), %rdx
	call	GuestEnter
.endm

	.globl	KiPageFault
	.seh_proc KiPageFault
KiPageFault:
	.seh_pushframe code
	TRAP_FRAME
	cmpl	$0x50, GuestStart(%rip)
	je	1f
	cmpl	$0xd1, GuestStart(%rip)
	je	2f
	mov	$0xc0000005, %ecx
	mov	%rsp, %rdx
	call	KiExceptionDispatch
	int3
1:	mov	0x160(%rsp), %rcx
	mov	0xd0(%rsp), %rdx
	mov	%rsp, %r8
	call	MmAccessFault
	int3
2:	mov	$0xa, %ecx		/* IRQL_NOT_LESS_OR_EQUAL: address, IRQL, write, instruction */
	mov	0xd0(%rsp), %rdx
	mov	$2, %r8d
	mov	0x160(%rsp), %r9
	shr	%r9
	and	$1, %r9d
	mov	0x168(%rsp), %r10
	call	KiBugCheckDispatch
	int3
	.seh_endproc

	.globl	KiDebugTrapOrFault
	.seh_proc KiDebugTrapOrFault
KiDebugTrapOrFault:
	.seh_pushframe
	sub	$8, %rsp		/* where others have an error code */
	.seh_stackalloc 8
	TRAP_FRAME
	mov	$0x80000004, %ecx	/* STATUS_SINGLE_STEP */
	mov	%rsp, %rdx
	call	KiExceptionDispatch
	int3
	.seh_endproc

/* A KEXCEPTION_FRAME: the registers that calls preserve. */
.macro	EXCEPTION_FRAME
	sub	$0x138, %rsp
	.seh_stackalloc 0x138
	movaps	%xmm6, 0x30(%rsp)
	.seh_savexmm %xmm6, 0x30
	movaps	%xmm7, 0x40(%rsp)
	.seh_savexmm %xmm7, 0x40
	mov	%rbx, 0x100(%rsp)
	.seh_savereg %rbx, 0x100
	mov	%rdi, 0x108(%rsp)
	.seh_savereg %rdi, 0x108
	mov	%rsi, 0x110(%rsp)
	.seh_savereg %rsi, 0x110
	mov	%r12, 0x118(%rsp)
	.seh_savereg %r12, 0x118
	mov	%r13, 0x120(%rsp)
	.seh_savereg %r13, 0x120
	mov	%r14, 0x128(%rsp)
	.seh_savereg %r14, 0x128
	mov	%r15, 0x130(%rsp)
	.seh_savereg %r15, 0x130
	.seh_endprologue
.endm

/* Says who called, from the known size of the frame, and keeps what is passed on. */
.macro	SAY_CALLER size
	mov	%rcx, 0x90(%rsp)
	mov	%rdx, 0x98(%rsp)
	mov	%r8, 0xa0(%rsp)
	mov	%r9, 0xa8(%rsp)
	mov	%r10, 0xb0(%rsp)
	mov	\size(%rsp), %rcx
	lea	\size+8(%rsp), %rdx
	call	GuestEnter
	mov	0x90(%rsp), %rcx
	mov	0x98(%rsp), %rdx
	mov	0xa0(%rsp), %r8
	mov	0xa8(%rsp), %r9
	mov	0xb0(%rsp), %r10
.endm

	.globl	KiBugCheckDispatch
	.seh_proc KiBugCheckDispatch
KiBugCheckDispatch:
	EXCEPTION_FRAME
	SAY_CALLER 0x138
	mov	%r10, 0x20(%rsp)
	call	KeBugCheckEx
	int3
	.seh_endproc

	.globl	KiExceptionDispatch
	.seh_proc KiExceptionDispatch
KiExceptionDispatch:
	EXCEPTION_FRAME
	SAY_CALLER 0x138
	mov	%rsp, %r8
	call	KiDispatchException
	int3
	.seh_endproc

/* Any other exception. */
	.globl	KiTrap
KiTrap:
	and	$-16, %rsp
	sub	$0x20, %rsp
	call	KiUnexpected

/*
 * KeBugCheckEx begins with the instructions it has in Windows. The CONTEXT it leaves is
 * that of its first one.
 */
	.globl	KeBugCheckEx
	.seh_proc KeBugCheckEx
KeBugCheckEx:
	mov	%rcx, 8(%rsp)
	mov	%rdx, 0x10(%rsp)
	mov	%r8, 0x18(%rsp)
	mov	%r9, 0x20(%rsp)
	pushfq
	.seh_stackalloc 8
	sub	$0x30, %rsp
	.seh_stackalloc 0x30
	.seh_endprologue
	cli
	mov	%gs:0x20, %rcx		/* KPCR.CurrentPrcb, and its Context */
	mov	GuestStart+0x10(%rip), %rdx
	mov	(%rcx,%rdx), %rcx
	movl	$0x10001f, 0x30(%rcx)
	movl	$0x1f80, 0x34(%rcx)
	movw	$0x10, 0x38(%rcx)
	movw	$0x2b, 0x3a(%rcx)
	movw	$0x2b, 0x3c(%rcx)
	movw	$0x53, 0x3e(%rcx)
	movw	$0x2b, 0x40(%rcx)
	movw	$0x18, 0x42(%rcx)
	mov	0x30(%rsp), %rdx
	mov	%edx, 0x44(%rcx)
	mov	%rax, 0x78(%rcx)
	mov	0x40(%rsp), %rdx	/* rcx rdx */
	mov	%rdx, 0x80(%rcx)
	mov	0x48(%rsp), %rdx
	mov	%rdx, 0x88(%rcx)
	mov	%rbx, 0x90(%rcx)
	lea	0x38(%rsp), %rdx	/* rsp */
	mov	%rdx, 0x98(%rcx)
	mov	%rbp, 0xa0(%rcx)
	mov	%rsi, 0xa8(%rcx)
	mov	%rdi, 0xb0(%rcx)
	mov	%r8, 0xb8(%rcx)
	mov	%r9, 0xc0(%rcx)
	mov	%r10, 0xc8(%rcx)
	mov	%r11, 0xd0(%rcx)
	mov	%r12, 0xd8(%rcx)
	mov	%r13, 0xe0(%rcx)
	mov	%r14, 0xe8(%rcx)
	mov	%r15, 0xf0(%rcx)
	lea	KeBugCheckEx(%rip), %rdx
	mov	%rdx, 0xf8(%rcx)
	fxsave	0x100(%rcx)
	mov	0x38(%rsp), %rcx	/* who called, and this frame as the CONTEXT shows it */
	lea	0x40(%rsp), %rdx
	call	GuestEnter
	lea	KeBugCheckEx(%rip), %rcx
	lea	0x38(%rsp), %rdx
	call	GuestEnter
	mov	0x40(%rsp), %rcx
	mov	0x48(%rsp), %rdx
	mov	0x50(%rsp), %r8
	mov	0x58(%rsp), %r9
	mov	0x60(%rsp), %rax
	mov	%rax, 0x20(%rsp)
	call	KeBugCheck2
	int3
	.seh_endproc

/* Room for the variables that the guest puts where Windows has them (guest.h). */
	.section .kdata, "bw"
	.globl	PsLoadedModuleList, PsInitialSystemProcess, NtBuildNumber
	.skip	0x2a2d0
PsLoadedModuleList:
	.skip	0x313a0 - 0x2a2d0
	.globl	KiBugCheckData
KiBugCheckData:
	.skip	0x4c000 - 0x313a0
NtBuildNumber:
	.skip	0xfc420 - 0x4c000
PsInitialSystemProcess:
	.skip	0x445000 - 0xfc420
	.globl	GuestImageEnd
GuestImageEnd:

	.section .drectve, "yn"
	.ascii	" -export:KeBugCheckEx -export:KiStartSystemThread -export:KiPageFault"
	.ascii	" -export:KiDebugTrapOrFault -export:KiTrap"
	.ascii	" -export:PsLoadedModuleList,data -export:NtBuildNumber,data"
	.ascii	" -export:PsInitialSystemProcess,data"
