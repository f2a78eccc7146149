/*
 * A bare-metal x86-64 guest that looks to its host like Windows 10 build 19041 with
 * the virtio-win fwcfg driver. See README.md for what it builds and how it is steered.
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

#define PAGE		0x1000ull
#define LARGE_PAGE	0x200000ull
#define MAX_CPUS	8
#define MAX_RANGES	8
#define MAX_HOLES	64
#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/*
 * Virtual addresses. The image bases are where a real Windows 10 could have put them;
 * the rest are regions far apart, so that each has its own page tables.
 */
#if IMAGES
#define NT		nt_base			/* the images can be moved (testdata/images) */
extern u64 nt_base;
#else
#define NT		0xfffff80041c00000ull	/* ntoskrnl.exe */
#endif
#define NT_SIZE		0x01046000u
#define HAL		0xfffff80041b60000ull	/* hal.dll */
#define HAL_SIZE	0x6000u
#define DRV1		0xfffff80045e20000ull	/* fwcfg.sys */
#define DRV1_SIZE	0xf000u
#define DRV2		0xfffff80045e40000ull	/* testdrv.sys, the one that crashes */
#define DRV2_SIZE	0x8000u
#define GIZMO		0xfffff80046100000ull	/* gizmo.sys, sprocket.sys of testdata/images */
#define SPROCKET	0xfffff80046180000ull
#define TABLES(i)	(0xfffff80043f00000ull + (i) * 0x4000ull)	/* IDT, TSS, GDT of a CPU */
#define POOL		0xffffa50000200000ull	/* nonpaged pool: one 2 MiB page */
#define POOL_PA		0x200000ull
#define PAGED		0xffffb30111230000ull	/* paged pool: names of the drivers */
#define DECODED		0xffffa50a0bcd0000ull	/* the driver's decoded copy of KDBG */
#define CONTEXTS(i)	(0xffffa50100000000ull + (i) * 0x3000ull)
#define PCRS(i)		(0xffffb98000180000ull + (i) * 0x10000ull)
#define STACKS(i)	(0xffffb98010010000ull + (i) * 0x10000ull)
#define STACK_SIZE	0x6000ull
#define OTHER_STACK	0xffffb98010200000ull	/* variant other */
#define ALL_RAM		0xffff9b0000000000ull	/* variant mapall */
#define ONE_GIB		0xffff9c0000000000ull	/* variant map1g */
#define USER_CODE	0x7ff612340000ull
#define USER_STACK	0xd4f2f0e000ull
#define USER_TEB	0xd4f2d0b000ull
#define KUSER		0xfffff78000000000ull
#define SELF_SLOT	0x119u			/* PteBase ffff8c8000000000 */
#define NOWHERE		0xfffff80041300000ull	/* never mapped */
#define NON_CANONICAL	0x0000f80041c00b20ull

/* Places inside nt, the values of build 19041's KDBG (kdbg.c). */
#define NT_RDATA	0x021000u
#define NT_PARK		0x3fc000u
#define NT_IDLE		0x3fc800u
#define NT_BUGCHECK	0x3f7780u
#define NT_TRAPS	0x40b000u
#define NT_KDBG_ODD	0xc00e20u
#define NT_VERSION	0xc00ae0u
#define NT_ACTIVE	0xc1e0c0u
#define NT_LOADED	0xc2a2d0u
#define NT_BUGDATA	0xc313a0u
#define NT_BUGDATA_ODD	0xc31ff4u
#define NT_DATALIST	0xc40650u
#define NT_BUILDLAB	0xc4c020u
#define NT_ENCODED	0xcfc3a8u
#define NT_NEVER	0xcfc3b0u
#define NT_ALWAYS	0xcfc3b8u
#define NT_INITPROC	0xcfc420u
#define NT_MEMBLOCK	0xcfc4b8u
#define NT_PFNDB	0xcfc508u
#define NT_PRCBS	0xcfdcc0u
#define NT_PRCBS_ODD	0xcfdffcu
#define NT_BUILDNUM	0xc4c000u

#define PRCB_IN_PCR	0x180
#define CONTEXT_SIZE	0x4d0
#define KDBG_MAX	0x3a0
#define NOTE_HEADER	24
#define HEADER_SIZE	0x2000

#define WAIT_NEVER	0x0053d1c7b2e94a6dull
#define WAIT_ALWAYS	0x9e3700b4c81f52a1ull
#define TIME_BOOT	0x01d7a6b0c0000000ull	/* a day in September 2021 */
#define TIME_DRIVER	(TIME_BOOT + 300000000ull)	/* 30 s after boot: in the header */
#define TIME_NOW	(TIME_BOOT + 72000000000ull)	/* two hours: in KUSER_SHARED_DATA */

#define STAMP_CORE	0x8d0e7b2au	/* Windows stamps are hashes, no times */

struct options {
	u64 bsod, live, encoded, badcopy, nocopy, unmapped, noncanon, kdbgcut;
	u64 badsig, badvalid, baddtb, nobug, noprocblk, noprcb, noctx, nonote;
	u64 shadow, pcid, odd, swbits, mapall, map1g, noselfmap, badrun, la57;
	u64 swapcpu, user, transition;
	u64 ncpu, descsz, size, runs, crashcpu, build, key;	/* word=NUMBER; ~0 when not given */
#if IMAGES
	u64 crash, at, slide, other;
#endif
};
#define NOT_GIVEN	(~0ull)
extern struct options opt;

struct range { u64 start, size; };

/* main.c */
void say(const char *s);
void say_hex(u64 v);
__attribute__((noreturn)) void die(const char *why);
void options_parse(const char *cmdline);

/* mem.c */
extern struct range usable[MAX_RANGES];	/* e820 type 1, whole pages, PFN 0 left out */
extern u32 usable_count;
extern struct range header_runs[MAX_HOLES + MAX_RANGES];
extern u32 header_run_count;
void memory_init(u64 mmap, u32 mmap_size);
u64 page_alloc(void);			/* zeroed, scattered */
u64 pool_alloc(u32 size);		/* VA, 16-byte aligned, zeroed */
void *memcpy(void *d, const void *s, unsigned long n);
void *memset(void *d, int c, unsigned long n);
u32 length(const char *s);
static inline void put16(u64 va, u64 v) { *(volatile u16 *)va = (u16)v; }
static inline void put32(u64 va, u64 v) { *(volatile u32 *)va = (u32)v; }
static inline void put64(u64 va, u64 v) { *(volatile u64 *)va = v; }
static inline u64 get64(u64 va) { return *(volatile u64 *)va; }

/* build.c */
struct patch { u16 offset, value; };	/* of KDBG */
struct build {
	u32 number, kdbg_size, kdbg_rva;
	u32 pcr_size, context, special, vendor, cpu_type;	/* KPCR; offsets in KPRCB */
	u32 pid, links, image_name;				/* EPROCESS */
	const char *lab;
	const struct patch *patches;
	u32 patch_count;
};
extern const struct build *build;
void build_choose(void);
u64 wait_never(void);
u64 wait_always(void);

/* paging.c */
#define P_DATA		0x8000000000000163ull	/* NX G D A RW P */
#define P_CODE		0x0000000000000121ull	/* G A P */
#define P_USER_CODE	0x0000000000000025ull
#define P_USER_DATA	0x8000000000000067ull
extern u64 kernel_root, shadow_root;
extern u32 levels;
void paging_init(void);
void map_page(u64 root, u64 va, u64 pa, u64 flags);
void map_large(u64 root, u64 va, u64 pa, u64 flags, u32 level);
u64 map_new(u64 va, u64 size, u64 flags);	/* fresh scattered pages; returns va */
void map_shadow(u64 va, u64 size);		/* the same pages into the shadow root */
u64 entry_of(u64 va);
void entry_set(u64 va, u64 entry);
u64 system_dtb(void);

/* nt.c, kdbg.c, kernel.c, cpu.c, header.c, fwcfg.c */
void nt_build(void);
u64 kdbg_address(void);
u64 decoded_address(void);
u64 bugdata_address(void);
u64 prcbs_address(void);
void kdbg_build(void);
void kernel_build(u32 cpus);
extern u64 system_process;
void cpu_build(u32 number);
void cpu_start_others(u32 cpus);
void cpu_release_others(u32 cpus);
__attribute__((noreturn)) void cpu_park(u32 cpu);
u64 pcr_of(u32 number);
u64 prcb_of(u32 number);
u64 context_of(u32 number);
u32 number_of(u32 cpu);
extern u32 cpu_total;
void bugcheck_data(u64 *five);
void header_publish(u32 cpus);
u32 fwcfg_cpus(void);
void fwcfg_vmcoreinfo(u64 note, u32 size);

/* load.c of testdata/images */
void images_place(void);
void images_load(void);
u64 image_base(u32 i);
u32 image_size(u32 i), image_stamp(u32 i);
u64 image_functions(u32 i, u32 *size);
u64 core_function(const char *name);

/* boot.S, park.S */
extern u64 boot_pml4[512], boot_pml5[512];
extern u32 boot_la57;
extern char image_start[], image_end[], ap_start[], ap_start_end[];
extern char park[], park_end[], rest_kernel[], rest_kernel_end[], rest_user[], rest_user_end[];
extern char shadow_entry[], shadow_entry_end[];

static inline void out8(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline void out16(u16 port, u16 v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port)); }
static inline void out32(u16 port, u32 v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }
static inline u8 in8(u16 port) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u32 in32(u16 port) { u32 v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }

#endif
