/* What the compiler calls for a frame of more than a page, eax bytes: touch each page. */
	.text
	.globl	___chkstk_ms
___chkstk_ms:
	push	%rax
	push	%rcx
	lea	0x18(%rsp), %rcx
1:	sub	$0x1000, %rax
	jbe	2f
	sub	$0x1000, %rcx
	orl	$0, (%rcx)
	jmp	1b
2:	pop	%rcx
	pop	%rax
	ret
