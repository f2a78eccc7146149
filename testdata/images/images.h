/*
 * What the images share: the kernel's exports, and how a function tells where it was
 * called from. See README.md.
 */
#ifndef IMAGES_H
#define IMAGES_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef __UINTPTR_TYPE__ addr;

#ifdef CORE
#define KERNEL	__declspec(dllexport)
#else
#define KERNEL	__declspec(dllimport)
#endif

/* No function is merged with its caller, or copied for one. */
#define FRAME	__attribute__((noinline, noclone))

/*
 * ENTER says who called this function: the return address, and where the stack pointer
 * will be when it has returned. The compiler knows both from its own layout of the
 * frame; unwind data has no part in it. A function that may return says LEAVE.
 */
#define ENTER()	GuestEnter((addr)__builtin_return_address(0), (addr)__builtin_dwarf_cfa())
#define LEAVE()	GuestLeave()

KERNEL void GuestEnter(addr pc, addr sp);
KERNEL void GuestLeave(void);
typedef void routine(addr argument);
KERNEL void ExRunCallback(routine *call, addr argument);
__attribute__((noreturn)) KERNEL void KeBugCheckEx(u32 code, addr p1, addr p2, addr p3, addr p4);

/* What the loader tells the kernel (load.c). */
struct start {
	addr crash;		/* the bug check that is wanted */
	addr at;		/* 1 and up: the place in sprocket.sys for a breakpoint; 0: none */
	addr context;		/* offset of the pointer to CONTEXT in KPRCB */
	addr thread;		/* where the drivers' thread begins: gizmo.sys' entry point */
	addr places;		/* sprocket.sys' table of places */
	addr other;		/* the end of another stack, on which the thread runs; 0: none */
};

/* Where GuestStart.crash is asked by the drivers. */
KERNEL extern struct start GuestStart;

#define BAD_ADDRESS	((addr)0xfffff7f812345678ull)	/* mapped nowhere */

#endif
