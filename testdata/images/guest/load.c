/*
 * Part of the guest when it runs the images: puts them where Windows' loader would,
 * relocated and linked with each other, and leads exceptions and the first processor's
 * thread into them. Microsoft PE format for all offsets.
 */
#include "guest.h"

#ifdef __x86_64__
typedef u64 addr;
#define DIRECTORIES	112	/* in the optional header */
#define IMAGE_BASE	24
#define POINTER_FIXUP	10	/* IMAGE_REL_BASED_DIR64 */
u64 nt_base = 0xfffff80041c00000ull;
static void map(addr va, u32 size, u32 code) { map_new(va, size, code ? P_CODE | 2 : P_DATA); }
static void copy(addr va, const void *p, u32 n) { memcpy((void *)va, p, n); }
#define MOVES(n)	((n) * 0x10000)
#else
typedef u32 addr;
#define DIRECTORIES	96
#define IMAGE_BASE	28
#define POINTER_FIXUP	3	/* IMAGE_REL_BASED_HIGHLOW */
u32 nt_base = 0x82a00000u;
static void map(addr va, u32 size, u32 code) { map_new(va, size, !code); }
static void copy(addr va, const void *p, u32 n) { put(va, p, n); }
#define MOVES(n)	(0u - (n) * 0x10000)	/* hal.dll is right behind */
#endif

enum { EXPORTS = 0, IMPORTS = 1, EXCEPTIONS = 3, RELOCATIONS = 5 };	/* data directories */

extern u8 file_core[], file_gizmo[], file_sprocket[];	/* embed.S */

struct image {
	const char *name;
	u8 *file;
	addr base;
	u32 stamp;
};
static struct image images[] = {
	{ "ntoskrnl.exe", file_core, 0, STAMP_CORE },
	{ "gizmo.sys", file_gizmo, GIZMO, 0x65a1c07eu },
	{ "sprocket.sys", file_sprocket, SPROCKET, 0x64f0d3b9u },
};

static u32 u16_at(const u8 *p) { return p[0] | (u32)p[1] << 8; }
static u32 u32_at(const u8 *p) { return u16_at(p) | u16_at(p + 2) << 16; }
static addr addr_at(const u8 *p) { addr v; memcpy(&v, p, sizeof v); return v; }
static void addr_put(u8 *p, addr v) { memcpy(p, &v, sizeof v); }

static u8 *optional(const struct image *im) { return im->file + u32_at(im->file + 0x3c) + 24; }
static u8 *sections(const struct image *im) { return optional(im) + u16_at(optional(im) - 4); }
static u32 section_count(const struct image *im) { return u16_at(optional(im) - 18); }

/* The bytes of the file that lie at rva in the image. */
static u8 *at(const struct image *im, u32 rva)
{
	u8 *s = sections(im);

	for (u32 i = 0; i < section_count(im); i++, s += 40)
		if (rva >= u32_at(s + 12) && rva - u32_at(s + 12) < u32_at(s + 16))
			return im->file + u32_at(s + 20) + rva - u32_at(s + 12);
	die("an RVA that is in no section");
}

/* A data directory's first byte, or null. */
static u8 *directory(const struct image *im, u32 n, u32 *size)
{
	u8 *d = optional(im) + DIRECTORIES + 8 * n;

	*size = u32_at(d + 4);
	return *size ? at(im, u32_at(d)) : 0;
}

static int equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static u32 export_of(const struct image *im, const char *name)
{
	u32 size;
	u8 *e = directory(im, EXPORTS, &size), *names, *ordinals, *functions;

	if (!e)
		die("an image without exports");
	functions = at(im, u32_at(e + 28));
	names = at(im, u32_at(e + 32));
	ordinals = at(im, u32_at(e + 36));
	for (u32 i = 0; i < u32_at(e + 24); i++)
		if (equal((char *)at(im, u32_at(names + 4 * i)), name))
			return u32_at(functions + 4 * u16_at(ordinals + 2 * i));
	die(name);
}

static struct image *image_named(const char *name)
{
	for (u32 i = 0; i < COUNT(images); i++)
		if (equal(images[i].name, name))
			return &images[i];
	die(name);
}

/* Applies the relocations to the file, which is loaded from there. */
static void relocate(struct image *im)
{
	u32 size;
	u8 *block = directory(im, RELOCATIONS, &size), *end = block + size;
	addr delta = im->base - addr_at(optional(im) + IMAGE_BASE);

	for (; block < end; block += u32_at(block + 4))
		for (u32 i = 8; i < u32_at(block + 4); i += 2) {
			u32 fixup = u16_at(block + i);
			u8 *place;

			if (fixup >> 12 == 0)
				continue;	/* fills up the block */
			if (fixup >> 12 != POINTER_FIXUP)
				die("a kind of relocation that is not known");
			place = at(im, u32_at(block) + (fixup & 0xfff));
			addr_put(place, addr_at(place) + delta);
		}
	addr_put(optional(im) + IMAGE_BASE, im->base);
}

static void link(struct image *im)
{
	u32 size;
	u8 *d = directory(im, IMPORTS, &size);

	for (; d && u32_at(d + 12); d += 20) {
		struct image *from = image_named((char *)at(im, u32_at(d + 12)));
		u8 *slot = at(im, u32_at(d + 16));

		for (; addr_at(slot); slot += sizeof(addr)) {
			const char *name = (char *)at(im, (u32)addr_at(slot)) + 2;

			addr_put(slot, from->base + export_of(from, name));
		}
	}
}

static void place(struct image *im)
{
	u8 *s = sections(im);
	u32 headers = u32_at(optional(im) + 60), stamp = im->stamp, sum = im->stamp / 3;

	memcpy(optional(im) - 16, &stamp, 4);	/* TimeDateStamp, CheckSum */
	memcpy(optional(im) + 64, &sum, 4);
	map(im->base, PAGE, 0);
	copy(im->base, im->file, headers);
	for (u32 i = 0; i < section_count(im); i++, s += 40) {
		addr va = im->base + u32_at(s + 12);
		u32 size = u32_at(s + 8), raw = u32_at(s + 16);

		if (size >= 0x100000)
			continue;	/* the kernel's variables: nt.c maps what is used of them */
		map(va, size, u32_at(s + 36) >> 29 & 1);
		copy(va, im->file + u32_at(s + 20), raw < size ? raw : size);
	}
}

/* struct start of images.h. */
static void start_put(void)
{
	u8 *start = at(&images[0], export_of(&images[0], "GuestStart"));

	addr_put(start, (addr)opt.crash);
	addr_put(start + sizeof(addr), opt.at == NOT_GIVEN ? 0 : (addr)opt.at);
	addr_put(start + 2 * sizeof(addr), build->context);
	addr_put(start + 3 * sizeof(addr), images[1].base + export_of(&images[1], "GizmoThread"));
	addr_put(start + 4 * sizeof(addr), images[2].base + export_of(&images[2], "SprocketPlaces"));
	if (opt.other) {
		map(OTHER_STACK, STACK_SIZE, 0);
		addr_put(start + 5 * sizeof(addr), OTHER_STACK + STACK_SIZE);
	}
}

/* Where the images lie: elsewhere with the word slide, each by another distance. */
void images_place(void)
{
	addr n = opt.slide == NOT_GIVEN ? 0 : (addr)opt.slide;

	nt_base += MOVES(n);
	images[0].base = nt_base;
	images[1].base += 0x3000 * n;
	images[2].base += 0x5000 * n;
}

void images_load(void)
{
	for (u32 i = 0; i < COUNT(images); i++)
		relocate(&images[i]);
	for (u32 i = 0; i < COUNT(images); i++)
		link(&images[i]);
	start_put();
	for (u32 i = 0; i < COUNT(images); i++)
		place(&images[i]);
}

addr image_base(u32 i) { return images[i].base; }
u32 image_size(u32 i) { return u32_at(optional(&images[i]) + 56); }
u32 image_stamp(u32 i) { return images[i].stamp; }

/* Where the exception directory is. */
addr image_functions(u32 i, u32 *size)
{
	directory(&images[i], EXCEPTIONS, size);
	return images[i].base + u32_at(optional(&images[i]) + DIRECTORIES + 8 * EXCEPTIONS);
}

/* The address of one of the kernel's functions. */
addr core_function(const char *name)
{
	return images[0].base + export_of(&images[0], name);
}
