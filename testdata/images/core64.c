/* What of "ntoskrnl.exe" is x64's alone: CONTEXT and EXCEPTION_RECORD of an exception. */
#include "images.h"

/* Offsets in KTRAP_FRAME and KEXCEPTION_FRAME (public symbols) and in CONTEXT (winnt.h). */
enum { T_RBP = 0x158, T_RIP = 0x168, T_CS = 0x170, T_FLAGS = 0x178, T_RSP = 0x180, T_SS = 0x188, T_FAULT = 0xd0, T_ERROR = 0x160 };
enum { E_RBX = 0x100, E_RDI = 0x108, E_RSI = 0x110, E_R12 = 0x118 };
enum { C_FLAGS = 0x30, C_MXCSR = 0x34, C_SEGS = 0x38, C_EFLAGS = 0x44, C_GPR = 0x78, C_RIP = 0xf8 };

static u64 get(addr p) { return *(volatile u64 *)p; }
static void put(addr p, u64 v) { *(volatile u64 *)p = v; }

static void context_from_frames(addr c, addr trap, addr exception)
{
	static const u16 segments[] = { 0x10, 0x2b, 0x2b, 0x53, 0x2b, 0x18 };

	*(u32 *)(c + C_FLAGS) = 0x10001f;
	*(u32 *)(c + C_MXCSR) = 0x1f80;
	for (u32 i = 0; i < 6; i++)
		*(u16 *)(c + C_SEGS + 2 * i) = segments[i];
	*(u32 *)(c + C_EFLAGS) = (u32)get(trap + T_FLAGS);
	put(c + C_GPR + 8 * 0, get(trap + 0x30));		/* rax rcx rdx */
	put(c + C_GPR + 8 * 1, get(trap + 0x38));
	put(c + C_GPR + 8 * 2, get(trap + 0x40));
	put(c + C_GPR + 8 * 3, get(exception + E_RBX));
	put(c + C_GPR + 8 * 4, get(trap + T_RSP));
	put(c + C_GPR + 8 * 5, get(trap + T_RBP));
	put(c + C_GPR + 8 * 6, get(exception + E_RSI));
	put(c + C_GPR + 8 * 7, get(exception + E_RDI));
	for (u32 i = 0; i < 4; i++) {
		put(c + C_GPR + 8 * (8 + i), get(trap + 0x48 + 8 * i));	/* r8-r11 */
		put(c + C_GPR + 8 * (12 + i), get(exception + E_R12 + 8 * i));
	}
	put(c + C_RIP, get(trap + T_RIP));
}

/* Nobody handles it: SYSTEM_THREAD_EXCEPTION_NOT_HANDLED, or SYSTEM_SERVICE_EXCEPTION. */
FRAME void PspUnhandledExceptionInSystemThread(addr code, addr record, addr context)
{
	ENTER();
	if (GuestStart.crash == 0x3b)
		KeBugCheckEx(0x3b, code, get(context + C_RIP), context, 0);
	KeBugCheckEx(0x7e, (addr)(long long)(int)code, get(context + C_RIP), record, context);
}

FRAME void KiDispatchException(addr code, addr trap, addr exception)
{
	u64 context[0x4d0 / 8] __attribute__((aligned(16)));
	u64 record[0x98 / 8];

	ENTER();
	for (u32 i = 0; i < 0x4d0 / 8; i++)
		((volatile u64 *)context)[i] = 0;
	for (u32 i = 0; i < 0x98 / 8; i++)
		((volatile u64 *)record)[i] = 0;
	context_from_frames((addr)context, trap, exception);
	record[0] = (u32)code;
	record[2] = get(trap + T_RIP);
	if ((u32)code == 0xc0000005) {
		record[3] = 2;
		record[4] = get(trap + T_ERROR) >> 1 & 1;
		record[5] = get(trap + T_FAULT);
	}
	PspUnhandledExceptionInSystemThread((u32)code, (addr)record, (addr)context);
	LEAVE();
}
