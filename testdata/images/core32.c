/* What of "ntoskrnl.exe" is 32-bit x86's alone: CONTEXT and EXCEPTION_RECORD of an exception. */
#include "images.h"

/* Offsets in KTRAP_FRAME (public symbols) and in CONTEXT (winnt.h). */
enum { T_EDX = 0x3c, T_ECX = 0x40, T_EAX = 0x44, T_EDI = 0x54, T_ESI = 0x58, T_EBX = 0x5c, T_EBP = 0x60, T_ERROR = 0x64, T_EIP = 0x68, T_FLAGS = 0x70, T_ESP = 0x74 };
enum { C_SEGS = 0x8c, C_EDI = 0x9c, C_EBP = 0xb4, C_EIP = 0xb8, C_CS = 0xbc, C_EFLAGS = 0xc0, C_ESP = 0xc4, C_SS = 0xc8, CONTEXT_SIZE = 0x2cc };

static u32 get(addr p) { return *(volatile u32 *)p; }
static void put(addr p, u32 v) { *(volatile u32 *)p = v; }

static void context_from_frame(addr c, addr trap)
{
	static const u8 general[] = { T_EDI, T_ESI, T_EBX, T_EDX, T_ECX, T_EAX, T_EBP, T_EIP };
	static const u32 segments[] = { 0, 0x30, 0x23, 0x23 };	/* gs fs es ds */

	put(c, 0x1003f);
	for (u32 i = 0; i < 4; i++)
		put(c + C_SEGS + 4 * i, segments[i]);
	for (u32 i = 0; i < sizeof general; i++)
		put(c + C_EDI + 4 * i, get(trap + general[i]));
	put(c + C_CS, 0x08);
	put(c + C_EFLAGS, get(trap + T_FLAGS));
	put(c + C_ESP, trap + T_ESP);	/* of kernel mode the processor pushes no stack pointer */
	put(c + C_SS, 0x10);
}

/* Nobody handles it: SYSTEM_THREAD_EXCEPTION_NOT_HANDLED. */
FRAME void PspUnhandledExceptionInSystemThread(addr code, addr record, addr context)
{
	ENTER();
	KeBugCheckEx(0x7e, code, get(context + C_EIP), record, context);
}

FRAME void KiDispatchException(addr code, addr trap)
{
	u32 context[CONTEXT_SIZE / 4], record[0x50 / 4];

	ENTER();
	for (u32 i = 0; i < CONTEXT_SIZE / 4; i++)
		((volatile u32 *)context)[i] = 0;
	for (u32 i = 0; i < 0x50 / 4; i++)
		((volatile u32 *)record)[i] = 0;
	context_from_frame((addr)context, trap);
	record[0] = code;
	record[3] = get(trap + T_EIP);
	if (code == 0xc0000005) {
		record[4] = 2;
		record[5] = get(trap + T_ERROR) >> 1 & 1;
		__asm__ volatile("mov %%cr2, %0" : "=r"(record[6]));
	}
	PspUnhandledExceptionInSystemThread(code, (addr)record, (addr)context);
	LEAVE();
}
