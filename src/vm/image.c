/* SPDX-License-Identifier: MIT */
/* A template is a state built in one chunk of memory. Every aligned word of it whose value
 * lies in that chunk is taken for a pointer, made an offset, and becomes a pointer again
 * in each copy.
 *
 * Why that holds for any Lua whose memory all comes from its allocator: pointers are
 * stored plain and aligned; hashes depend on contents, not on addresses, as long as no
 * table has a collectable object other than a string as a key; and nothing else looks
 * like a pointer into the chunk: freed bytes are zeroed (stale pointers in padding), and
 * the chunk lies at an address whose bits 24 to 31 are larger than the type, mark and
 * length bytes that stand in the headers of Lua's objects, and no number is as large.
 * The self-check at start-up (selfcheck.c) has the last word. */
#include "vm/image.h"
#include <string.h>
#include <sys/mman.h>
#include "base/mem.h"

enum {
	REGION = 1 << 19, /* word indices fit into 16 bits */
	TRIES = 16,
	GOOD = 0x40000000, /* the lower half of a good address */
	SLACK = 16        /* what a goroutine allocates first goes into the memory lent by its stack */
};

static bool good_address(uintptr_t p)
{
	unsigned low = p >> 24 & 0xff, end = (p + REGION) >> 24 & 0xff;
	return low > 0x30 && end < 0xf0 && low <= end && p >> 32 > 1;
}

/* Untouched pages are not resident, so a region may be large. Where the system's choice
 * is not good, places some gigabytes below it are asked for. */
static void *map_region(void)
{
	void *hint = NULL;
	for (int n = 0; n < TRIES; n++) {
		void *p = mmap(hint, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			return NULL;
		if (good_address((uintptr_t)p))
			return p;
		munmap(p, REGION);
		uintptr_t below = ((uintptr_t)p >> 32) - (uintptr_t)n - 1;
		hint = (void *)(below << 32 | (uintptr_t)GOOD);
	}
	return NULL;
}

/* ---- from a state to an image ---- */

static struct vai__image *pack(struct vai__arena *a)
{
	size_t used = vai__arena_built(a);
	if (used == 0)
		return NULL;
	size_t nwords = used / sizeof(uintptr_t), nrelocs = 0;
	uintptr_t base = (uintptr_t)a;
	const uintptr_t *words = (const uintptr_t *)(const void *)a;
	for (size_t i = 0; i < nwords; i++)
		nrelocs += words[i] - base <= used;
	size_t alloc = sizeof(struct vai__image) + used + nrelocs * sizeof(uint16_t);
	struct vai__image *image = vai__mem_alloc(alloc);
	if (!image)
		return NULL;
	image->used = used;
	image->size = vai__mem_round(used + SLACK);
	image->alloc = alloc;
	image->nrelocs = 0;
	uintptr_t *out = (uintptr_t *)(void *)image->bytes;
	uint16_t *relocs = (uint16_t *)(void *)(image->bytes + used);
	for (size_t i = 0; i < nwords; i++) {
		bool pointer = words[i] - base <= used;
		out[i] = pointer ? words[i] - base : words[i];
		if (pointer)
			relocs[image->nrelocs++] = (uint16_t)i;
	}
	image->relocs = relocs;
	return image;
}

static struct vai__arena *copy_into(const struct vai__image *image, void *p, size_t size)
{
	memcpy(p, image->bytes, image->used);
	uintptr_t *words = p;
	uintptr_t base = (uintptr_t)p;
	const uint16_t *r = image->relocs, *end = r + image->nrelocs;
	for (; r < end; r++)
		words[*r] += base;
	struct vai__arena *a = p;
	a->end = (char *)p + (size & ~(size_t)7);
	a->first_size = size;
	a->held = size;
	return a;
}

struct vai__arena *vai__image_clone(const struct vai__image *image)
{
	void *p = vai__mem_alloc(image->size);
	return VAI_LIKELY(p != NULL) ? copy_into(image, p, image->size) : NULL;
}

void vai__image_free(struct vai__image *image)
{
	if (image)
		vai__mem_free(image, image->alloc);
}

/* A young goroutine's collector rests until its heap is worth it: the debt that a large
 * pause leaves stays when the pause is set back. */
static void rest_collector(lua_State *L)
{
	enum { WORTH = 65536, MAX_PAUSE = 1000 };
	lua_gc(L, LUA_GCCOLLECT);
	int kb = lua_gc(L, LUA_GCCOUNT) + 1;
	int pause = WORTH / 1024 * 100 / kb;
	pause = lua_gc(L, LUA_GCSETPAUSE, pause < 200 ? 200 : pause > MAX_PAUSE ? MAX_PAUSE : pause);
	lua_gc(L, LUA_GCCOLLECT);
	lua_gc(L, LUA_GCSETPAUSE, pause);
}

/* The state in the arena, or NULL. */
static lua_State *open_state(struct vai__arena *a, const struct vai__image *base)
{
	lua_State *L = base ? a->vm.L : lua_newstate(vai__arena_alloc, a);
	a->vm.L = L;
	a->vm.at = L;
	return L;
}

struct vai__image *vai__image_build(const struct vai__image *base, lua_CFunction prepare, void *arg)
{
	struct vai__image *image = NULL;
	void *region = map_region();
	if (!region)
		return NULL;
	struct vai__arena *a = base ? copy_into(base, region, REGION) : vai__arena_init(region, REGION);
	vai__arena_build(a);
	lua_State *L = open_state(a, base);
	if (L) {
		lua_pushcfunction(L, prepare);
		lua_pushlightuserdata(L, arg);
		if (lua_pcall(L, 1, LUA_MULTRET, 0) == LUA_OK) {
			rest_collector(L);
			image = pack(a);
		}
	}
	munmap(region, REGION);
	return image;
}
