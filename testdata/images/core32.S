/*
 * What of "ntoskrnl.exe" no compiler makes: the first frame of a thread, the handlers of
 * exceptions, and KeBugCheckEx. Layouts: KTRAP_FRAME of public symbols, CONTEXT of winnt.h.
 */
	.text

/* The stack's last frame: ebp is 0, and so is the return address. */
	.globl	_KiStartSystemThread
_KiStartSystemThread:
	xor	%ebp, %ebp
	push	%ebp
	mov	%esp, %ebp
	call	_PspSystemThreadStartup
	int3

/* KxSwitchStack(call, argument, stack): calls on another stack; ebp is the way back. */
	.globl	_KxSwitchStack
_KxSwitchStack:
	push	%ebp
	mov	%esp, %ebp
	mov	0x10(%ebp), %esp
	lea	8(%ebp), %eax
	push	%eax
	push	4(%ebp)
	call	_GuestEnter
	push	0xc(%ebp)
	call	*8(%ebp)
	call	_GuestLeave
	mov	%ebp, %esp
	pop	%ebp
	ret

/*
 * A KTRAP_FRAME, with the error code already pushed. ebp is its address, and its first
 * two words are the interrupted ebp and eip, so that chains of frames go on through it.
 */
.macro	TRAP_FRAME
	push	%ebp
	push	%ebx
	push	%esi
	push	%edi
	push	$0x30			/* SegFs */
	push	$-1			/* ExceptionList */
	push	$0			/* PreviousPreviousMode */
	push	%eax
	push	%ecx
	push	%edx
	sub	$0x3c, %esp
	mov	%esp, %ebp
	cld
	movl	$0x23, 0x38(%ebp)	/* SegDs, SegEs, SegGs */
	movl	$0x23, 0x34(%ebp)
	movl	$0, 0x30(%ebp)
	mov	0x60(%ebp), %eax	/* DbgEbp, DbgEip, DbgArgMark, DbgArgPointer */
	mov	%eax, 0(%ebp)
	mov	0x68(%ebp), %eax
	mov	%eax, 4(%ebp)
	movl	$0xbadb0d00, 8(%ebp)
	movl	$0, 0xc(%ebp)
	lea	0x74(%ebp), %eax	/* where the interrupted code's stack goes on */
	push	%eax
	push	0x68(%ebp)
	call	_GuestEnter
	add	$8, %esp
.endm

	.globl	_KiPageFault
_KiPageFault:
	TRAP_FRAME
	mov	%cr2, %ecx
	cmpl	$0x50, _GuestStart
	je	1f
	cmpl	$0xd1, _GuestStart
	je	2f
	push	%ebp
	push	$0xc0000005
	call	_KiDispatchException
	int3
1:	push	%ebp
	push	%ecx
	push	0x64(%ebp)
	call	_MmAccessFault
	int3
2:	push	0x68(%ebp)		/* IRQL_NOT_LESS_OR_EQUAL: address, IRQL, write, instruction */
	mov	0x64(%ebp), %eax
	shr	%eax
	and	$1, %eax
	push	%eax
	push	$2
	push	%ecx
	push	$0xa
	call	_KeBugCheckEx
	int3

	.globl	_KiDebugTrapOrFault
_KiDebugTrapOrFault:
	push	$0
	TRAP_FRAME
	push	%ebp
	push	$0x80000004		/* STATUS_SINGLE_STEP */
	call	_KiDispatchException
	int3

/* Any other exception. */
	.globl	_KiTrap
_KiTrap:
	call	_KiUnexpected

/*
 * KeBugCheckEx saves the state that its own code has at the call that follows, as
 * RtlCaptureContext does for who calls it.
 */
	.globl	_KeBugCheckEx
_KeBugCheckEx:
	mov	%edi, %edi
	push	%ebp
	mov	%esp, %ebp
	push	%ecx
	push	%eax
	mov	%fs:0x20, %ecx		/* KPCR.Prcb, and its Context */
	add	_GuestStart+8, %ecx
	mov	(%ecx), %ecx
	movl	$0x1003f, (%ecx)
	movl	$0x30, 0x90(%ecx)
	movl	$0x23, 0x94(%ecx)
	movl	$0x23, 0x98(%ecx)
	mov	%edi, 0x9c(%ecx)
	mov	%esi, 0xa0(%ecx)
	mov	%ebx, 0xa4(%ecx)
	mov	%edx, 0xa8(%ecx)
	mov	-4(%ebp), %eax
	mov	%eax, 0xac(%ecx)
	mov	-8(%ebp), %eax
	mov	%eax, 0xb0(%ecx)
	mov	%ebp, 0xb4(%ecx)
	movl	$saved_here, 0xb8(%ecx)
	movl	$0x08, 0xbc(%ecx)
	movl	$0x286, 0xc0(%ecx)
	mov	%esp, 0xc4(%ecx)
	movl	$0x10, 0xc8(%ecx)
	movl	$0x1f80, 0xe4(%ecx)	/* ExtendedRegisters: MXCSR */
saved_here:
	mov	%esp, %esi
	lea	8(%ebp), %eax		/* who called, and this frame as the CONTEXT shows it */
	push	%eax
	push	4(%ebp)
	call	_GuestEnter
	push	%esi
	push	$saved_here
	call	_GuestEnter
	mov	%esi, %esp
	push	0x18(%ebp)
	push	0x14(%ebp)
	push	0x10(%ebp)
	push	0x0c(%ebp)
	push	0x08(%ebp)
	call	_KeBugCheck2
	int3

/* Room for the variables that the guest puts where Windows has them (guest.h). */
	.section .kdata, "bw"
	.globl	_PsLoadedModuleList, _PsInitialSystemProcess, _KiBugCheckData, _GuestImageEnd
	.skip	0x2e4d0
_PsLoadedModuleList:
	.skip	0x328e0 - 0x2e4d0
_KiBugCheckData:
	.skip	0x42080 - 0x328e0
_PsInitialSystemProcess:
	.skip	0x2f1000 - 0x42080
_GuestImageEnd:

	.section .drectve, "yn"
	.ascii	" -export:KeBugCheckEx -export:KiStartSystemThread -export:KiPageFault"
	.ascii	" -export:KiDebugTrapOrFault -export:KiTrap"
	.ascii	" -export:PsLoadedModuleList,data -export:PsInitialSystemProcess,data"
