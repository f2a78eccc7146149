/*
 * PE32+ images and the list of modules, as the guests of 64 bits have them. Who includes
 * it, behind its own guest.h, says what differs: PE_MACHINE, and PDB_TAIL in the GUIDs of
 * symbols.
 */

static u32 put_string(u64 va, const char *s)
{
	u32 n = length(s) + 1;

	memcpy((void *)va, s, n);
	return n;
}

struct section {
	const char *name;
	u32 rva, size, flags;
};

#define CODE	0x68000020u
#define RDATA	0x48000040u
#define RWDATA	0xc8000040u

/* An RSDS record and its debug directory at rva (Microsoft PE format, "The .debug Section"). */
static void debug_build(u64 base, u32 rva, const char *pdb, u32 stamp)
{
	u64 dir = base + rva, rsds = dir + 0x20;

	put32(dir + 4, stamp);
	put32(dir + 12, 2);	/* IMAGE_DEBUG_TYPE_CODEVIEW */
	put32(dir + 16, 24 + length(pdb) + 1);
	put32(dir + 20, rva + 0x20);
	put32(dir + 24, rva + 0x20);
	put32(rsds, 0x53445352);
	put32(rsds + 4, stamp ^ 0x5a5a5a5a);
	put16(rsds + 8, 0x1de7);
	put16(rsds + 10, 0x4a11);
	put32(rsds + 12, PDB_TAIL + stamp % 0xffff);
	put32(rsds + 16, 0x77696e64);
	put32(rsds + 20, 1);
	put_string(rsds + 24, pdb);
}

/* MZ and PE32+ headers in the image's first page; the debug directory at its rva. */
static void pe_build(u64 base, u32 size, const struct section *sections, u32 count, u32 entry,
		     u32 debug, const char *pdb, u32 stamp)
{
	u64 pe = base + 0x80, opt64 = pe + 24, at = opt64 + 0xf0;

	map_new(base, PAGE, P_DATA);
	put16(base, 0x5a4d);
	put32(base + 0x3c, 0x80);
	put32(pe, 0x4550);
	put16(pe + 4, PE_MACHINE);
	put16(pe + 6, count);
	put32(pe + 8, stamp);
	put16(pe + 20, 0xf0);
	put16(pe + 22, 0x22);		/* executable, large address aware */
	put16(opt64, 0x20b);
	put32(opt64 + 16, entry);	/* AddressOfEntryPoint */
	put32(opt64 + 20, entry);	/* BaseOfCode */
	put64(opt64 + 24, base);
	put32(opt64 + 32, 0x1000);	/* SectionAlignment, FileAlignment */
	put32(opt64 + 36, 0x200);
	put16(opt64 + 40, 10);		/* operating system and subsystem versions */
	put16(opt64 + 48, 10);
	put32(opt64 + 56, size);
	put32(opt64 + 60, 0x400);
	put32(opt64 + 64, stamp / 3);	/* CheckSum */
	put16(opt64 + 68, 1);		/* native */
	put32(opt64 + 108, 16);
	put32(opt64 + 112 + 6 * 8, debug);
	put32(opt64 + 112 + 6 * 8 + 4, 28);
	for (u32 i = 0; i < count; i++, at += 40) {
		put_string(at, sections[i].name);
		put32(at + 8, sections[i].size);
		put32(at + 12, sections[i].rva);
		put32(at + 16, sections[i].size);	/* SizeOfRawData, PointerToRawData */
		put32(at + 20, sections[i].rva);
		put32(at + 36, sections[i].flags);
	}
	debug_build(base, debug, pdb, stamp);
}

struct export {
	const char *name;
	u32 rva;
};

/* nt's export directory: the name by which tools know the kernel, and a few variables. */
static void exports_build(u64 dir, const struct export *exports, u32 count)
{
	u64 functions = dir + 0x28;
	u64 names = functions + 4 * count, ordinals = names + 4 * count;
	u64 text = ordinals + 2 * count, data_dirs = NT + 0x80 + 24 + 112;

	put32(dir + 12, (u32)(text - NT));
	text += put_string(text, "ntoskrnl.exe");
	put32(dir + 16, 1);
	put32(dir + 20, count);
	put32(dir + 24, count);
	put32(dir + 28, (u32)(functions - NT));
	put32(dir + 32, (u32)(names - NT));
	put32(dir + 36, (u32)(ordinals - NT));
	for (u32 i = 0; i < count; i++) {
		put32(functions + 4 * i, exports[i].rva);
		put32(names + 4 * i, (u32)(text - NT));
		put16(ordinals + 2 * i, i);
		text += put_string(text, exports[i].name);
	}
	put32(data_dirs, (u32)(dir - NT));
	put32(data_dirs + 4, (u32)(text - dir));
}

/* UNICODE_STRING at va; its characters go to the paged pool. */
static void put_unicode(u64 va, const char *s)
{
	static u64 used;
	u32 n = length(s);

	put16(va, n * 2);
	put16(va + 2, n * 2 + 2);
	put64(va + 8, PAGED + used);
	for (u32 i = 0; i < n; i++)
		put16(PAGED + used + 2 * i, (u64)s[i]);
	used += (n * 2 + 2 + 15) & ~15u;
}

/* A KLDR_DATA_TABLE_ENTRY at the end of PsLoadedModuleList; its address. */
static u64 module_add(u64 base, u32 size, const char *path, const char *name, u32 stamp)
{
	u64 head = NT + NT_LOADED, e = pool_alloc(0xa0), last = get64(head + 8);

	put64(e, head);
	put64(e + 8, last);
	put64(last, e);
	put64(head + 8, e);
	put64(e + 0x30, base);
	put64(e + 0x38, base + (size > 0x200000 ? 0x200000 : 0x1000));
	put32(e + 0x40, size);
	put_unicode(e + 0x48, path);
	put_unicode(e + 0x58, name);
	put32(e + 0x68, 0x09004000);	/* LDRP_SYSTEM_MAPPED and friends */
	put16(e + 0x6c, 1);
	put32(e + 0x9c, stamp);
	return e;
}
