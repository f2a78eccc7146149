/*
 * frames.exe makes frames of many kinds and writes, for each of its snapshots, the
 * registers, the stack, and the frames that RtlVirtualUnwind finds; last, the images.
 *
 *   frames.exe FILE
 *
 * Built with mingw-w64 (see scripts/wine):
 *   x86_64-w64-mingw32-gcc -O2 -s -nostdlib -shared -e DllMainCRTStartup -o frameslib.dll \
 *       lib.c lib.def -lkernel32
 *   x86_64-w64-mingw32-gcc -O2 -s -nostdlib -nostartfiles -e start -Wl,--stack,0x800000 \
 *       -o frames.exe frames.c frames.s frameslib.dll -lgcc -lmsvcrt -lkernel32 -lntdll
 *
 * The file is a list of records: a 4-byte kind, a 4-byte length, the record. Numbers are
 * little-endian and of 8 bytes:
 *   SNAP  name (32 bytes), stack's lowest and highest address, number of frames, then the
 *         state and the frames: pc and the 16 registers each. Of frames only pc, rsp and
 *         the nonvolatile registers mean anything.
 *   STAK  address, bytes: the stack of the snapshot before it, from rsp on
 *   IMAG  base, size, name (32 bytes)
 *   PAGE  address, bytes: a page of the image before it
 */
#include <windows.h>

#include "frames.h"

#define NOINLINE __attribute__((noinline))
#define MAX_FRAMES 64

extern int call_back(int (*f)(int, void *), int depth, void *data);

typedef struct {
	uint64_t pc, r[16];
} state;

static HANDLE out;
static volatile int stepping, steps;
static const char *stepped = "";

static void put(const void *p, size_t n)
{
	DWORD done;
	WriteFile(out, p, (DWORD)n, &done, NULL);
}

static void record(const char *kind, uint32_t n)
{
	put(kind, 4);
	put(&n, 4);
}

static state state_of(const CONTEXT *c)
{
	return (state){c->Rip, {c->Rax, c->Rcx, c->Rdx, c->Rbx, c->Rsp, c->Rbp, c->Rsi, c->Rdi,
			       c->R8, c->R9, c->R10, c->R11, c->R12, c->R13, c->R14, c->R15}};
}

/* next finds the caller as a debugger does: by unwind data, or as of a leaf. */
static void next(CONTEXT *c)
{
	DWORD64 base, frame;
	void *data;
	RUNTIME_FUNCTION *f = RtlLookupFunctionEntry(c->Rip, &base, NULL);
	if (f == NULL) {
		c->Rip = *(DWORD64 *)c->Rsp;
		c->Rsp += 8;
		return;
	}
	RtlVirtualUnwind(UNW_FLAG_NHANDLER, base, c->Rip, f, c, &data, &frame, NULL);
}

static int in_image(uint64_t pc)
{
	HMODULE m;
	return pc != 0 && GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, (const char *)pc, &m);
}

/* snapshot writes a state and what it unwinds to. */
static NOINLINE void snapshot(const char *name, const CONTEXT *start)
{
	static state frames[MAX_FRAMES + 1];
	static CONTEXT c;
	char text[32] = {0};
	uint64_t n = 0, low, high;
	const NT_TIB *tib = (const NT_TIB *)NtCurrentTeb();
	low = (uint64_t)tib->StackLimit;
	high = (uint64_t)tib->StackBase;
	for (int i = 0; i < 31 && name[i]; i++)
		text[i] = name[i];
	c = *start;
	frames[0] = state_of(&c);
	while (n < MAX_FRAMES && (n == 0 || in_image(c.Rip)) && c.Rsp >= low && c.Rsp < high) {
		next(&c);
		frames[++n] = state_of(&c);
	}
	record("SNAP", (uint32_t)(sizeof text + 3 * 8 + (n + 1) * sizeof(state)));
	put(text, sizeof text);
	put(&low, 8);
	put(&high, 8);
	put(&n, 8);
	put(frames, (n + 1) * sizeof(state));
	record("STAK", (uint32_t)(8 + high - start->Rsp));
	put(&start->Rsp, 8);
	put((void *)start->Rsp, high - start->Rsp);
}

NOINLINE void snap(const char *name)
{
	CONTEXT c;
	RtlCaptureContext(&c);
	snapshot(name, &c);
}

/* handler takes single steps and the faults that are made on purpose. */
static LONG CALLBACK handler(EXCEPTION_POINTERS *e)
{
	CONTEXT *c = e->ContextRecord;
	uint64_t pc = c->Rip;
	switch (e->ExceptionRecord->ExceptionCode) {
	case EXCEPTION_SINGLE_STEP:
		if (!stepping)
			return EXCEPTION_CONTINUE_EXECUTION;
		c->EFlags |= 0x100;
		if (pc >= (uint64_t)code_begin && pc < (uint64_t)code_end) {
			snapshot(stepped, c);
			steps++;
		}
		return EXCEPTION_CONTINUE_EXECUTION;
	case EXCEPTION_ACCESS_VIOLATION:
		snap("handler");
		if (pc == 0) {
			snapshot("null call", c);
			c->Rip = *(uint64_t *)c->Rsp;
			c->Rsp += 8;
		} else {
			snapshot("fault", c);
			c->Rip = (uint64_t)after_fault;
		}
		return EXCEPTION_CONTINUE_EXECUTION;
	}
	return EXCEPTION_CONTINUE_SEARCH;
}

NOINLINE void small_frame(int n)
{
	volatile char room[40] __attribute__((unused));
	room[n] = 1;
	snap("small");
	room[n] = 2;
}

NOINLINE void frame_20k(int n)
{
	volatile char room[20000] __attribute__((unused));
	room[n] = 1;
	snap("20 KB");
	room[n] = 2;
}

NOINLINE void frame_600k(int n)
{
	volatile char room[600000] __attribute__((unused));
	room[n] = 1;
	snap("600 KB");
	room[n] = 2;
}

/* deepen makes the stack's pages there, which f_far does not. */
NOINLINE void deepen(int n)
{
	volatile char room[1500000] __attribute__((unused));
	room[n] = 1;
}

NOINLINE void variable(int n)
{
	volatile char *room = __builtin_alloca(n);
	room[n - 1] = 1;
	snap("alloca");
	volatile char *more = __builtin_alloca(2 * n);
	more[n] = 2;
	frame_20k(n);
	room[0] = 2;
}

NOINLINE double floats(double a, int n)
{
	double b = a * 2, d = a * 3, e = a * 5, f = a * 7, g = a * 11;
	for (int i = 0; i < n; i++) {
		snap("xmm");
		b += d * e, d += f, e += g * a, f += b, g += d;
	}
	return b + d + e + f + g;
}

NOINLINE int recursive(int n, int a, int b, int c, int d, int e, int f)
{
	if (n == 0) {
		snap("recursive");
		return a + b + c;
	}
	return recursive(n - 1, b, c, d, e, f, a + n) * 3 + a + d * f;
}

static NOINLINE int called_back(int depth, void *data)
{
	volatile int room[10];
	room[0] = depth;
	snap("callback");
	*(int *)data += room[0];
	return 3;
}

static int __cdecl compare(const void *a, const void *b)
{
	snap("qsort");
	return *(const int *)a - *(const int *)b;
}

extern void __cdecl qsort(void *, size_t, size_t, int(__cdecl *)(const void *, const void *));

static NOINLINE int nested(int depth, void *data)
{
	variable(333);
	floats(1.5, 1);
	return call_back(called_back, depth + 2, data) + 1;
}

static NOINLINE void step(const char *name, void (*f)(int))
{
	stepped = name;
	stepping = 1;
	run_stepped(f);
	stepping = 0;
}

static NOINLINE void all(void)
{
	int data = 0, list[3] = {3, 1, 2};
	small_frame(3);
	frame_20k(7);
	frame_600k(9);
	variable(1234);
	floats(2.5, 2);
	recursive(9, 1, 2, 3, 4, 5, 6);
	call_back(called_back, 4, &data);
	call_back(nested, 3, &data);
	qsort(list, 3, sizeof list[0], compare);
	f_interrupted(1);
	f_interrupted_error(1);
	f_interrupted_user(1);
	f_fault();
	f_null();
	step("push", f_push);
	step("frame register", f_framed);
	step("frame register r13", f_framed_r13);
	step("saved", f_saved);
	deepen(1);
	step("far", f_far);
	step("tail", f_tail);
	step("indirect tail", f_tail_indirect);
	step("chained", f_chained);
	step("version 2", f_version2);
	step("indirect entry", f_indirect);
	step("leaf", f_leaf);
}

static void image(HMODULE m)
{
	char name[260], text[32] = {0}, *base = (char *)m, *file = name;
	IMAGE_NT_HEADERS *nt = (IMAGE_NT_HEADERS *)(base + ((IMAGE_DOS_HEADER *)base)->e_lfanew);
	uint64_t size = nt->OptionalHeader.SizeOfImage;
	GetModuleFileNameA(m, name, sizeof name);
	for (char *p = name; *p; p++)
		if (*p == '\\')
			file = p + 1;
	for (int i = 0; i < 31 && file[i]; i++)
		text[i] = file[i];
	record("IMAG", 16 + sizeof text);
	put(&m, 8);
	put(&size, 8);
	put(text, sizeof text);
	for (uint64_t at = 0; at < size; at += 0x1000) {
		MEMORY_BASIC_INFORMATION info;
		char *page = base + at;
		if (!VirtualQuery(page, &info, sizeof info) || info.State != MEM_COMMIT || info.Protect & (PAGE_NOACCESS | PAGE_GUARD))
			continue;
		record("PAGE", 8 + 0x1000);
		put(&page, 8);
		put(page, 0x1000);
	}
}

void start(void)
{
	char *file = GetCommandLineA();
	static const char *const modules[] = {"frameslib.dll", "msvcrt.dll", "kernel32.dll", "kernelbase.dll", "ntdll.dll"};
	while (*file)
		file++;
	while (file[-1] != ' ' && file[-1] != '"')
		file--;
	out = CreateFileA(file, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
	if (out == INVALID_HANDLE_VALUE)
		ExitProcess(1);
	AddVectoredExceptionHandler(1, handler);
	all();
	image(GetModuleHandleA(NULL));
	for (int i = 0; i < 5; i++)
		if (GetModuleHandleA(modules[i]))
			image(GetModuleHandleA(modules[i]));
	CloseHandle(out);
	ExitProcess(steps > 100 ? 0 : 2);
}
