/*
 * A bare-metal 32-bit guest that looks to its host like 32-bit Windows with the virtio-win
 * fwcfg driver. See README.md.
 */
#ifndef GUEST_H
#define GUEST_H

#ifndef IMAGES
#define IMAGES		0	/* 1: runs the images of testdata/images */
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define PAGE		0x1000u
#define MAX_CPUS	8u
#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* Virtual addresses, regions far apart. */
#if IMAGES
#define NT		nt_base		/* the images can be moved (testdata/images) */
extern u32 nt_base;
#else
#define NT		0x82a00000u	/* ntoskrnl.exe */
#endif
#define NT_SIZE		0x00412000u
#define HAL		0x82e12000u
#define HAL_SIZE	0x00037000u
#define DRV		0x8b4e0000u	/* testdrv.sys, the one that crashes */
#define DRV_SIZE	0x00008000u
#define GIZMO		0x8b600000u	/* gizmo.sys, sprocket.sys of testdata/images */
#define SPROCKET	0x8b680000u
#define STAMP_CORE	0x4ce78a09u
#define POOL		0x84f40000u	/* nonpaged pool */
#define POOL_SIZE	0x4000u
#define DECODED		0x85312340u	/* the driver's copy of KDBG */
#define CONTEXTS(i)	(0x85a00000u + (i) * 0x3000u)
#define PCRS(i)		(0x80780000u + (i) * 0x8000u)
#define TABLES(i)	(0x80b90000u + (i) * 0x4000u)	/* IDT, GDT, TSS of a CPU */
#define STACKS(i)	(0x8c100000u + (i) * 0x8000u)
#define STACK_SIZE	(IMAGES ? 0x6000u : 0x3000u)
#define OTHER_STACK	0x8c200000u	/* variant other */
#define KUSER		0xffdf0000u
#define NOWHERE		0x9f300000u	/* never mapped */

/* Places inside nt. */
#define NT_RDATA	0x001000u
#define NT_PARK		0x03c000u
#define NT_IDLE		0x03c800u
#define NT_BUGCHECK	0x0de000u
#define NT_TRAPS	0x041000u
#define NT_KDBG		0x12ebe8u
#define NT_ACTIVE	0x146df8u
#define NT_LOADED	0x14e4d0u
#define NT_BUGDATA	0x1528e0u
#define NT_DATALIST	0x161b98u
#define NT_VERSION	0x12eb90u
#define NT_BUILDLAB	0x162020u
#define NT_SYSTEM	0x162080u
#define NT_PFNDB	0x17d708u
#define NT_PRCBS	0x17e8fcu
#define NT_PRCBS_ODD	0x17effeu
#define NT_MEMBLOCK	0x17d710u

#define PRCB_IN_PCR	0x120u
#define CONTEXT_SIZE	0x2ccu
#define HEADER_SIZE	0x1000u
#define NOTE_HEADER	24u
#define TIME_BOOT	0x01d7a6b0c0000000ull	/* a day in September 2021 */
#define TIME_DRIVER	(TIME_BOOT + 300000000ull)
#define TIME_NOW	(TIME_BOOT + 72000000000ull)

/* The words of the command line; numbers are NOT_GIVEN without. */
#define NOT_GIVEN	0xffffffffu
struct options {
	u32 live, bsod, nopae, odd, badcopy, unmapped, badsig, badvalid, baddtb;
	u32 nobug, noprocblk, noprcb, noctx, nonote;
	u32 build, crashcpu, ncpu, descsz;
#if IMAGES
	u32 crash, at, slide, other;
#endif
};
extern struct options opt;

/* What differs between builds. */
struct build {
	u32 number, kdbg_size, major, minor;
	u32 product;		/* NtProductType: 1 a workstation, 3 a server */
	const char *lab;
	u32 state;		/* KPRCB.ProcessorState: ContextFrame, SpecialRegisters behind it */
	u32 prcb_number;	/* KPRCB.Number */
	u32 context;		/* KPRCB.Context, 0 before Windows 7 */
	u32 prcb_size, pcr_size;
	u32 apc_process;	/* KTHREAD.ApcState.Process */
	u32 pid, parent, name, peb, process_size;	/* of EPROCESS; the links follow the PID */
};
extern const struct build *build;
void build_choose(void);

/* Memory that the header lists, in pages. */
struct range { u32 page, count; };
extern struct range runs[8];
extern u32 run_count, cpu_total, kernel_root, boot_root;
#define FOUR_GIB	0x100000u	/* in pages */

/* main.c */
__attribute__((noreturn)) void die(const char *why);
void *memcpy(void *d, const void *s, unsigned int n);
void *memset(void *d, int c, unsigned int n);
u32 length(const char *s);

/* mem.c */
void memory_init(u32 mmap, u32 mmap_size);

/* paging.c: paging is off, so memory is written by physical address. */
#define FIRST_PAGE	0x200000u
#define PAGES		256u
#define PAGES_END	(FIRST_PAGE + PAGES * PAGE)
void paging_init(void);
void paging_finish(void);
u32 page_alloc(void);
void map_new(u32 va, u32 size, u32 writable);
u32 phys(u32 va);
void put(u32 va, const void *p, u32 n);
static inline void put16(u32 va, u32 v) { put(va, &v, 2); }
static inline void put32(u32 va, u32 v) { put(va, &v, 4); }
static inline void put64(u32 va, u64 v) { put(va, &v, 8); }
u32 get32(u32 va);

/* kernel.c, cpu.c, header.c */
void kernel_build(void);
u32 prcbs_address(void);
u32 pool_alloc(u32 size);
extern u32 system_process;
void cpu_build(u32 cpu);
__attribute__((noreturn)) void cpu_park(u32 cpu);
void bugcheck_data(u32 *five);
u32 pcr_of(u32 cpu);
u32 state_of(u32 cpu);
u32 crash_cpu(void);
void header_publish(void);

/* load.c of testdata/images */
void images_place(void);
void images_load(void);
u32 image_base(u32 i), image_size(u32 i), image_stamp(u32 i);
u32 core_function(const char *name);

/* boot.S */
extern char image_start[], image_end[], ap_start[], ap_start_end[];
extern char park[], park_end[], rest[], rest_end[];
extern u32 enter_target;
__attribute__((noreturn)) void enter(u32 cr4, u32 boot_cr3, u32 kernel_cr3, u32 frame);

static inline void out8(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline void out16(u16 port, u16 v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port)); }
static inline void out32(u16 port, u32 v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }
static inline u32 in32(u16 port) { u32 v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u8 in8(u16 port) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }

#endif
