/* The images' files, as they were linked. */
	.data
	.balign	16
	.globl	file_core, file_gizmo, file_sprocket
file_core:
	.incbin	"ntoskrnl.exe"
	.balign	16
file_gizmo:
	.incbin	"gizmo.sys"
	.balign	16
file_sprocket:
	.incbin	"sprocket.sys"

	.section .note.GNU-stack, "", @progbits
