/*
 * Functions of "sprocket.sys" in 32-bit code: frame pointers, a stack that moves, and
 * places for a breakpoint.
 */
	.text

.macro	SAY_CALLER
	lea	8(%ebp), %eax
	push	%eax
	push	4(%ebp)
	call	*__imp__GuestEnter
	add	$8, %esp
.endm

/* sprocket_outer(call, argument) */
	.globl	_sprocket_outer
_sprocket_outer:
	push	%ebp
	mov	%esp, %ebp
	SAY_CALLER
	push	0xc(%ebp)
	push	8(%ebp)
	call	_sprocket_frame
	call	*__imp__GuestLeave
	leave
	ret

/* sprocket_frame(call, argument) */
	.globl	_sprocket_frame
_sprocket_frame:
	push	%ebp
	mov	%esp, %ebp
	push	%ebx
	SAY_CALLER
	sub	$0x330, %esp
	push	0xc(%ebp)
	push	8(%ebp)
	call	*__imp__ExRunCallback
	call	*__imp__GuestLeave
	mov	-4(%ebp), %ebx
	leave
	ret

/* sprocket_split(argument) */
	.globl	_sprocket_split
_sprocket_split:
	push	%ebp
	mov	%esp, %ebp
	SAY_CALLER
	push	$3
	call	_sprocket_deep
	call	*__imp__GuestLeave
	leave
	ret

/* sprocket_touch(address) */
	.globl	_sprocket_touch
_sprocket_touch:
	push	%ebp
	mov	%esp, %ebp
	push	%esi
	mov	8(%ebp), %esi
	SAY_CALLER
	mov	(%esi), %eax
	call	*__imp__GuestLeave
	pop	%esi
	pop	%ebp
	ret

/* Runs through the places: what is called can't say where from. */
	.globl	_sprocket_places
_sprocket_places:
	push	%ebp
	mov	%esp, %ebp
	SAY_CALLER
	mov	%esp, %eax
	push	%eax
	push	$1f
	call	*__imp__GuestEnter
	add	$8, %esp
	call	place
1:	call	*__imp__GuestLeave
	call	*__imp__GuestLeave
	leave
	ret

place:
	push	%ebp
place_1:
	mov	%esp, %ebp
	push	%esi
	nop
	pop	%esi
	pop	%ebp
place_2:
	ret

	.data
	.globl	_SprocketPlaces
_SprocketPlaces:
	.long	place_1, place_2

	.section .drectve, "yn"
	.ascii	" -export:SprocketPlaces,data"
