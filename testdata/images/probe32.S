/* What the compiler calls for a frame of more than a page, eax bytes: touch each page. */
	.text
	.globl	___chkstk_ms
___chkstk_ms:
	push	%eax
	push	%ecx
	lea	0xc(%esp), %ecx
1:	sub	$0x1000, %eax
	jbe	2f
	sub	$0x1000, %ecx
	orl	$0, (%ecx)
	jmp	1b
2:	pop	%ecx
	pop	%eax
	ret
