/*
 * "ntoskrnl.exe", as far as a thread runs in it and crashes: the frames' list, the way
 * from an exception to the bug check, and what the bug check leaves behind. Names and
 * order of the functions are those of Windows' public symbols.
 */
#include "images.h"

struct frame { addr pc, sp; };

/* The guest's own list of frames: outermost first. */
#define MAX_FRAMES	64
__declspec(dllexport) struct {
	addr count, reserved;
	struct frame frames[MAX_FRAMES];
} GuestFrames = { 0 };

/* Not zero here, so that it lies in the file and the loader can write it. */
struct start GuestStart = { .crash = 1, .context = 1 };

void KxSwitchStack(routine *call, addr argument, addr stack);	/* core64.S, core32.S */
extern addr KiBugCheckData[5];	/* core64.S, core32.S */
extern u8 __ImageBase[], GuestImageEnd[];

void GuestEnter(addr pc, addr sp)
{
	if (GuestFrames.count == MAX_FRAMES)
		return;
	GuestFrames.frames[GuestFrames.count].pc = pc;
	GuestFrames.frames[GuestFrames.count++].sp = sp;
}

void GuestLeave(void)
{
	GuestFrames.count--;
}

static void say(const char *s)
{
	for (; *s; s++)
		__asm__ volatile("outb %b0, %w1" : : "a"(*s), "Nd"((u16)0xe9));
}

__attribute__((noreturn)) void KiHalt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* An exception that nothing of this is made for. */
__attribute__((noreturn)) void KiUnexpected(void)
{
	say("FAIL: an exception in the images\n");
	KiHalt();
}

/* A bug check: 0xa is 0xd1 when the instruction is a driver's, as in Windows. */
__attribute__((noreturn)) void KeBugCheck2(u32 code, addr p1, addr p2, addr p3, addr p4)
{
	if (code == 0xa && (p4 < (addr)__ImageBase || p4 >= (addr)GuestImageEnd))
		code = 0xd1;
	if (code == 0x50)	/* parameter 3, the trap frame, becomes the instruction */
		p3 = *(addr *)(p3 + (sizeof(addr) == 8 ? 0x168 : 0x68));
	KiBugCheckData[0] = code;
	KiBugCheckData[1] = p1;
	KiBugCheckData[2] = p2;
	KiBugCheckData[3] = p3;
	KiBugCheckData[4] = p4;
	say("READY\n");
	KiHalt();
}

/* Runs a callback on memory of its own, taken from the stack: a frame register is needed. */
FRAME void ExRunCallback(routine *call, addr argument)
{
	addr n = (argument & 3) * 0x30 + 0x40;
	volatile u8 *room = __builtin_alloca(n);

	ENTER();
	for (addr i = 0; i < n; i++)
		room[i] = (u8)i;
	call(argument + room[0]);
	LEAVE();
}

static void breakpoint_set(addr at)
{
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" : : "r"(at), "r"((addr)0x401));
}

FRAME void PspSystemThreadStartup(void)
{
	ENTER();
	if (GuestStart.at)
		breakpoint_set(((addr *)GuestStart.places)[GuestStart.at - 1]);
	if (GuestStart.other)
		KxSwitchStack((routine *)GuestStart.thread, 1, GuestStart.other);
	else
		((routine *)GuestStart.thread)(1);
	say("FAIL: the thread came to its end\n");
	KiHalt();
}

/* PAGE_FAULT_IN_NONPAGED_AREA: the trap frame is parameter 3 of the call. */
FRAME void MmAccessFault(addr error, addr address, addr trap)
{
	ENTER();
	KeBugCheckEx(0x50, address, error >> 1 & 1, trap, 0);
}
