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
#include "state/template.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/atomic.h"
#include "base/mem.h"
#include "state/handle.h"

enum {
	REGION = 1 << 19, /* bytes in which a template is built: word indices fit into 16 bits */
	TRIES = 16,       /* addresses that are asked for */
	FRAMES = 3,       /* records of calls that a copy comes with (make_frames) */
	GOOD = 0x40000000 /* the lower half of a good address */
};

/* Whether a region at p looks like no other data: see the head of this file. */
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
		if ((uintptr_t)p >> 32 < TRIES + 2)
			below = 0x100 + (uintptr_t)n; /* a system that maps from the bottom up */
		hint = (void *)(below << 32 | (uintptr_t)GOOD);
	}
	return NULL;
}

static _Atomic(uint64_t) ids = 1;

/* ---- from a state to a template ---- */

/* Copies the state to `bytes`. Words that are pointers become offsets, and their indices go to `relocs`. */
static void find_pointers(struct vai__template *template, const struct vai__arena *a, uint16_t *relocs)
{
	uintptr_t *out = (uintptr_t *)(void *)template->bytes;
	memcpy(out, a, template->used);
	for (size_t i = 0; i < template->used / sizeof *out; i++) {
		uintptr_t offset = out[i] - (uintptr_t)a;
		if (offset > template->used)
			continue;
		out[i] = offset;
		relocs[template->nrelocs++] = (uint16_t)i;
	}
}

static size_t count_pointers(const struct vai__arena *a, size_t used)
{
	size_t n = 0;
	for (size_t i = 0; i < used / sizeof(uintptr_t); i++)
		n += ((const uintptr_t *)(const void *)a)[i] - (uintptr_t)a <= used;
	return n;
}

/* Makes a template of the state that was built in a; NULL: it did not fit, or out of memory. */
static struct vai__template *pack(struct vai__arena *a, size_t reserve)
{
	size_t used = vai__arena_built(a);
	if (used == 0)
		return NULL;
	size_t alloc = sizeof(struct vai__template) + used + count_pointers(a, used) * sizeof(uint16_t);
	struct vai__template *template = vai__mem_alloc(alloc);
	if (!template)
		return NULL;
	template->id = atomic_fetch_add_relaxed(&ids, 1);
	template->used = used;
	template->size = vai__mem_round(used + reserve);
	template->alloc = alloc;
	template->nrelocs = 0;
	uint16_t *relocs = (uint16_t *)(void *)(template->bytes + used);
	template->relocs = relocs;
	find_pointers(template, a, relocs);
	return template;
}

/* Adds delta to the words that n places name. Four at a time: this loop is the longest part of a spawn. */
static inline void move_pointers(uintptr_t *words, const uint16_t *r, size_t n, uintptr_t delta)
{
	const uint16_t *end = r + n;
	for (; end - r >= 4; r += 4) {
		words[r[0]] += delta;
		words[r[1]] += delta;
		words[r[2]] += delta;
		words[r[3]] += delta;
	}
	for (; r < end; r++)
		words[*r] += delta;
}

/* ---- copies where the last one lay ----
 *
 * A goroutine that ends leaves its memory to the next on its thread, which is often one of the same function. So each
 * thread keeps, for some templates, what a copy looks like in the place of the last one: the next copy needs no
 * pointer moved. */

enum { IMAGES = 4, IMAGE_MAX = 16384 };

struct images {
	struct image {
		uint64_t id; /* of the template */
		const char *p;
		bool made;
		unsigned char *bytes; /* IMAGE_MAX of them, or NULL */
	} at[IMAGES];
};

/* Only the pointer is thread-local: a dlopened object gets little static TLS. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct images *tls_images;
static pthread_key_t images_key; /* its destructor frees the images of a thread that ends */
static bool has_images_key;

static VAI_NOINLINE void free_images(void *p)
{
	struct images *images = p;
	for (int i = 0; i < IMAGES; i++)
		free(images->at[i].bytes);
	free(images);
	tls_images = NULL;
}

__attribute__((constructor)) static void init_images(void)
{
	has_images_key = pthread_key_create(&images_key, free_images) == 0;
}

static VAI_NOINLINE struct images *new_images(void)
{
	struct images *images = has_images_key ? calloc(1, sizeof *images) : NULL;
	if (images && pthread_setspecific(images_key, images) != 0) {
		free(images);
		images = NULL;
	}
	return tls_images = images;
}

/* This thread's image for the template, which may be that of another one; NULL: out of memory, or the template is too
 * large. */
static VAI_NOINLINE struct image *image_of(const struct vai__template *template)
{
	__asm__ volatile("" ::: "memory");
	struct images *images = tls_images;
	if (VAI_UNLIKELY(template->used > IMAGE_MAX) || (VAI_UNLIKELY(!images) && !(images = new_images())))
		return NULL;
	return &images->at[template->id % IMAGES];
}

/* Keeps what the copy at image->p looks like. */
static VAI_NOINLINE void keep(struct image *image, const struct vai__template *template)
{
	if (!image->bytes)
		image->bytes = malloc(IMAGE_MAX);
	if (!image->bytes)
		return;
	memcpy(image->bytes, image->p, template->used);
	image->made = true;
}

/* ---- clones ---- */

/* Makes a copy at p. If the last copy on this thread lay there, too, its look is kept: others will follow. */
static void place(const struct vai__template *template, char *p)
{
	struct image *image = image_of(template);
	const bool there = image && image->id == template->id && image->p == p;
	if (VAI_LIKELY(there && image->made)) {
		memcpy(p, image->bytes, template->used);
		return;
	}
	memcpy(p, template->bytes, template->used);
	move_pointers((uintptr_t *)(void *)p, template->relocs, template->nrelocs, (uintptr_t)p);
	if (there)
		keep(image, template);
	else if (image)
		*image = (struct image){template->id, p, false, image->bytes};
}

struct vai__arena *vai__template_clone(const struct vai__template *template)
{
	char *p = vai__mem_alloc(template->size);
	if (VAI_UNLIKELY(!p))
		return NULL;
	place(template, p);
	struct vai__arena *a = (struct vai__arena *)(void *)p;
	a->end = p + template->size;
	a->first_size = (uint32_t) template->size;
	a->held = template->size;
	return a;
}

void vai__template_free(struct vai__template *template)
{
	if (template)
		vai__mem_free(template, template->alloc);
}

/* Makes a new goroutine's collector rest until its heap is worth a collection: a large pause during a cycle puts the
 * begin of the next one off, and that stays so when the pause is set back. */
static void rest_collector(lua_State *L)
{
	enum { WORTH = 65536, MAX_PAUSE = 1000 };
	lua_gc(L, LUA_GCCOLLECT);
	int kb = lua_gc(L, LUA_GCCOUNT) + 1;
	int pause = WORTH / 1024 * 100 / kb;
	lua_gc(L, LUA_GCSETPAUSE, pause < 200 ? 200 : pause > MAX_PAUSE ? MAX_PAUSE : pause);
	lua_gc(L, LUA_GCCOLLECT);
	lua_gc(L, LUA_GCSETPAUSE, VAI__PAUSE);
}

/* Calls itself n deep, so that Lua makes the records of n calls, which it keeps for later ones; rest_collector comes
 * before, because the collector frees half of them. FRAMES are for the goroutine's first function, the script's, and
 * one that waits. */
static int make_frames(lua_State *L)
{
	lua_Integer n = lua_tointeger(L, 1);
	if (n > 1) {
		lua_pushcfunction(L, make_frames);
		lua_pushinteger(L, n - 1);
		lua_call(L, 1, 0);
	}
	return 0;
}

static bool prepare_state(struct vai__arena *a, lua_CFunction prepare, void *arg)
{
	lua_State *L = lua_newstate(vai__arena_alloc, a);
	if (!L)
		return false;
	a->vm.L = L;
	a->vm.at = L;
	lua_pushcfunction(L, prepare);
	lua_pushlightuserdata(L, arg);
	if (lua_pcall(L, 1, LUA_MULTRET, 0) != LUA_OK)
		return false;
	rest_collector(L);
	if (!lua_checkstack(L, 2))
		return false;
	lua_pushcfunction(L, make_frames);
	lua_pushinteger(L, FRAMES);
	return lua_pcall(L, 1, 0, 0) == LUA_OK;
}

struct vai__template *vai__template_build(lua_CFunction prepare, void *arg, size_t reserve)
{
	struct vai__template *template = NULL;
	void *region = map_region();
	if (!region)
		return NULL;
	struct vai__arena *a = vai__arena_init(region, REGION);
	vai__arena_build(a);
	if (prepare_state(a, prepare, arg))
		template = pack(a, reserve);
	else
		vai__handles_release(&a->vm);
	munmap(region, REGION);
	return template;
}
