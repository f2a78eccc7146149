/*
 * A bare-metal AArch64 guest that looks to its host like Windows 11 on Arm, build 22000.
 * See README.md for what it builds and how it is steered.
 */
#ifndef GUEST_H
#define GUEST_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define PAGE		0x1000ull
#define BLOCK		0x200000ull
#define MAX_CPUS	8
#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* Physical memory: QEMU's machine virt. */
#define RAM		0x40000000ull
#define HOLE		0x40040000ull	/* firmware keeps it: not Windows' */
#define HOLE_END	0x40050000ull
#define POOL_PA		0x40200000ull	/* a block of 2 MiB each */
#define TEXT_PA		0x40400000ull
#define UART		0x09000000ull

/* Virtual addresses; the kernel's is that of the dump whose forms these are. */
#define NT		0xfffff803f2e00000ull
#define NT_SIZE		0x0103e000u
#define HAL		0xfffff803f0110000ull
#define HAL_SIZE	0x5000u
#define DRV		0xfffff803f5a50000ull	/* testdrv.sys, the one that crashes */
#define DRV_SIZE	0x8000u
#define POOL		0xffffbb8eb1600000ull
#define PAGED		0xffffa90365e00000ull
#define PCRS(i)		((i) ? 0xffff9700690e8000ull + (i) * 0x90000ull : 0xfffff803efd00000ull)
#define STACKS(i)	(0xffffe00e0e4b7000ull + (i) * 0x10000ull)
#define STACK_SIZE	0x6000ull
#define USER_CODE	0x7ff612340000ull
#define USER_STACK	0xd4f2f0e000ull
#define USER_TEB	0xd4f2d0b000ull
#define KUSER		0xfffff78000000000ull
#define SELF_SLOT	0x151u		/* PteBase ffffa880`00000000 */

/* Places inside nt: those of build 22000 (kdbg.c), or free ones. */
#define NT_RDATA	0x01e000u
#define NT_VECTORS	0x202000u	/* VBAR_EL1 is nt + 0x202800 */
#define NT_TEXT		0x400000u	/* a block of 2 MiB */
#define NT_PARK		0x408000u
#define NT_IDLE		0x408800u
#define NT_STOP2	0x4dde50u	/* what KeBugCheckEx calls */
#define NT_STOPPED	0x4de014u	/* where it saves the registers */
#define NT_BUGCHECK	0x544240u	/* KeBugCheckEx */
#define NT_STOP_RETURN	0x5442a0u
#define NT_KDBG		0xc00d00u
#define NT_ACTIVE	0xc1d1c0u
#define NT_LOADED	0xc2aa20u
#define NT_BUGDATA	0xc36b00u
#define NT_DATALIST	0xc451f0u
#define NT_BUILDLAB	0xc51e00u
#define NT_BUILDNUM	0xc51d00u
#define NT_ENCODED	0xd19878u
#define NT_NEVER	0xd19880u
#define NT_ALWAYS	0xd19888u
#define NT_INITPROC	0xd19890u
#define NT_MEMBLOCK	0xd19928u
#define NT_PFNDB	0xd19960u
#define NT_PRCBS	0xd1b780u

#define BUILD		22000u
#define PCR_SIZE	0xa000ull
#define PRCB_IN_PCR	0x980
#define PRCB_CONTEXT	0x360		/* ProcessorState.ContextFrame */
#define CONTEXT_SIZE	0x390
#define KDBG_SIZE	0x380
#define ASID		(0x40ull << 48)

#define WAIT_NEVER	0x0053d1c7b2e94a6dull
#define WAIT_ALWAYS	0x9e3700b4c81f52a1ull
#define TIME_BOOT	0x01d7a6b0c0000000ull
#define TIME_NOW	(TIME_BOOT + 72000000000ull)

struct options { u64 bsod, encoded, user, swapcpu, nomz, wide; };
extern struct options opt;

struct range { u64 start, end; };
extern struct range ram[2];

/* main.c */
void say(const char *s);
void say_hex(u64 v);
__attribute__((noreturn)) void die(const char *why);
void *memcpy(void *d, const void *s, unsigned long n);
void *memset(void *d, int c, unsigned long n);
u32 length(const char *s);
u64 page_alloc(void);			/* zeroed, scattered */
u64 pool_alloc(u32 size);		/* VA, 16-byte aligned, zeroed */
u64 ram_pages(void);
extern u32 cpus;
static inline void put16(u64 va, u64 v) { *(volatile u16 *)va = (u16)v; }
static inline void put32(u64 va, u64 v) { *(volatile u32 *)va = (u32)v; }
static inline void put64(u64 va, u64 v) { *(volatile u64 *)va = v; }
static inline u64 get64(u64 va) { return *(volatile u64 *)va; }

/* paging.c; forms of the descriptors as build 22000 has them */
#define P_DATA		0x00e0000000000703ull
#define P_CODE		0x0040000000000783ull
#define P_CODE_BLOCK	0x0040000000000781ull
#define P_DATA_BLOCK	0x00e0000000000701ull
#define P_USER_CODE	0x0020000000000fc3ull
#define P_USER_DATA	0x00e0000000000f43ull
extern u64 kernel_root, user_root;
u64 ttbr0(void), ttbr1(void), tcr(void);
void layout_final(void);
void paging_init(void);
void map_page(u64 va, u64 pa, u64 flags);
u64 map_new(u64 va, u64 size, u64 flags);	/* fresh scattered pages; returns va */
u64 translate(u64 va);				/* what the processor makes of it, ~0 for nothing */

/* nt.c, kdbg.c, kernel.c, cpu.c */
void nt_build(void);
void kdbg_build(void);
void kernel_build(void);
extern u64 system_process;
void cpu_build(u32 number);
void cpu_start_others(void);
void cpu_release_others(void);
__attribute__((noreturn)) void cpu_park(u32 cpu);
u64 pcr_of(u32 number);
u64 prcb_of(u32 number);
void bugcheck_data(u64 *five);

/* boot.S */
extern u64 boot_l0[512], boot_l1[512];
extern char image_start[], image_end[], ap_start[];
extern char park[], park_end[], rest_kernel[], rest_kernel_end[], rest_user[], rest_user_end[];

#endif
