/*
 * The dump header, as KeInitializeCrashDumpHeader hands it to the virtio-win fwcfg
 * driver (fwcfg64/driver.c there), inside an ELF note, and its way to the host.
 */
#include "guest.h"

/* Physically contiguous: the note goes to the host by its physical address. */
static u8 note[NOTE_HEADER + HEADER_SIZE + PAGE] __attribute__((aligned(4096)));

static void h32(u32 offset, u64 v) { *(u32 *)(note + NOTE_HEADER + offset) = (u32)v; }
static void h64(u32 offset, u64 v) { *(u64 *)(note + NOTE_HEADER + offset) = v; }

static void runs_put(void)
{
	u32 n = header_run_count;
	u64 pages = 0;

	memset(note + NOTE_HEADER + 0x88, 0, 700);
	for (u32 i = 0; i < header_run_count; i++) {
		/* A run where there is no RAM: behind the one that starts at 1 MiB. */
		u32 at = i + (opt.badrun && i > 1);

		h64(0x98 + 16 * at, header_runs[i].start / PAGE);
		h64(0xa0 + 16 * at, header_runs[i].size / PAGE);
		pages += header_runs[i].size / PAGE;
	}
	if (opt.badrun) {
		h64(0x98 + 32, 0xd0000);
		h64(0xa0 + 32, 3);
		pages += 3;
		n++;
	}
	if (opt.runs != NOT_GIVEN && opt.runs > 42)
		n = (u32)opt.runs;
	h32(0x88, n);
	h64(0x90, pages);
}

static void header_fill(u32 cpus)
{
	u64 at = kdbg_address();

	for (u32 i = 0; i < HEADER_SIZE; i += 4)
		h32(i, 0x45474150);	/* "PAGE": not set */
	if (opt.badsig)
		h32(0x000, 0x50414745);	/* "EGAP" */
	h32(0x004, opt.badvalid ? 0x35365544 : 0x34365544);	/* "DU65", "DU64" */
	h32(0x008, 0xf);	/* MajorVersion: free build */
	h32(0x00c, build->number);
	/* baddtb: an empty page of RAM. */
	h64(0x010, opt.baddtb ? page_alloc() : system_dtb());
	h64(0x018, NT + NT_PFNDB);
	h64(0x020, NT + NT_LOADED);
	h64(0x028, NT + NT_ACTIVE);
	h32(0x030, 0x8664);
	h32(0x034, opt.ncpu != NOT_GIVEN ? opt.ncpu : cpus);
	h32(0x038, 0);		/* no bug check when the driver starts */
	h64(0x040, opt.nocopy ? NOWHERE : decoded_address());	/* the driver's mark */
	h64(0x048, 0);
	h64(0x050, 0);
	h64(0x058, 0);
	if (opt.unmapped)
		at = NOWHERE;
	if (opt.noncanon)
		at = NON_CANONICAL;
	h64(0x080, at);
	runs_put();
	h32(0xf98, 1);		/* DumpType: full */
	h64(0xfa8, TIME_DRIVER);
	h64(0x1030, TIME_DRIVER - TIME_BOOT);
	h32(0x1040, 1);		/* ProductType */
	h32(0x1044, 0x110);	/* SuiteMask */
}

void header_publish(u32 cpus)
{
	u32 descsz = opt.descsz != NOT_GIVEN ? (u32)opt.descsz : HEADER_SIZE;
	u32 size = opt.size != NOT_GIVEN ? (u32)opt.size : NOTE_HEADER + descsz;

	if (opt.nonote)
		return;
	if (descsz > HEADER_SIZE + PAGE)
		die("descsz=N: too large");
	header_fill(cpus);
	*(u32 *)note = 11;
	*(u32 *)(note + 4) = descsz;
	*(u32 *)(note + 8) = 0;
	memcpy(note + 12, "VMCOREINFO", 11);
	fwcfg_vmcoreinfo((u64)note, size);
}
