/* SPDX-License-Identifier: MIT */
/* Arenas as an allocator: contents survive, blocks do not overlap, what is freed is used
 * again, allocations fail where they are told to. */
#include "state/states.h"
#include <stdlib.h>
#include <string.h>
#include "base/big.h"
#include "state/arena_private.h"

enum { SLOTS = 600, STEPS = 200000 };

struct slot {
	unsigned char *p;
	size_t size;
	unsigned char fill;
};

static uint64_t seed = 0x1234567;

static unsigned draw(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static size_t draw_size(void)
{
	switch (draw(8)) {
	case 0: return 1 + draw(70000);
	case 1: return 1 + draw(4000);
	case 2: return 1000 + draw(50);
	default: return 1 + draw(200);
	}
}

static void verify(const struct slot *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s->p[i] != s->fill)
			fail_msg("byte %zu of %zu is %u instead of %u", i, s->size, s->p[i], s->fill);
}

static void fill(struct slot *s)
{
	s->fill = (unsigned char)draw(256);
	memset(s->p, s->fill, s->size);
}

static void step(struct vai__arena *a, struct slot *s)
{
	verify(s, s->size);
	if (!s->p) {
		bool userdata = draw(3) == 0;
		s->size = draw_size();
		s->p = vai__arena_alloc(a, NULL, userdata ? LUA_TUSERDATA : draw(5), s->size);
		assert_non_null(s->p);
		assert_int_equal((uintptr_t)s->p % (userdata ? 16 : 8), 0);
		fill(s);
	} else if (draw(2)) {
		assert_null(vai__arena_alloc(a, s->p, s->size, 0));
		*s = (struct slot){NULL, 0, 0};
	} else {
		size_t size = draw_size(), old = s->size;
		s->p = vai__arena_alloc(a, s->p, old, size);
		assert_non_null(s->p);
		s->size = size;
		verify(s, old < size ? old : size);
		fill(s);
	}
}

static void contents_survive(void **state)
{
	(void)state;
	static struct slot slots[SLOTS];
	for (int round = 0; round < 2; round++) {
		struct vai__arena *a = vai__arena_new(4096);
		assert_non_null(a);
		memset(slots, 0, sizeof slots);
		for (int i = 0; i < STEPS; i++)
			step(a, &slots[draw(SLOTS)]);
		for (int i = 0; i < SLOTS; i++)
			verify(&slots[i], slots[i].size);
		vai__arena_free(a);
	}
}

/* All blocks of one size, freed and taken again, need no more memory. */
static void freed_is_used_again(void **state)
{
	(void)state;
	static void *p[1000];
	for (size_t size = 1; size <= 1200; size += 7) {
		struct vai__arena *a = vai__arena_new(4096);
		size_t held = 0;
		for (int round = 0; round < 4; round++) {
			for (int i = 0; i < 1000; i++)
				p[i] = vai__arena_alloc(a, NULL, 0, size);
			if (round == 1)
				held = a->held;
			for (int i = 0; i < 1000; i++)
				vai__arena_alloc(a, p[i], size, 0);
		}
		assert_true(a->held <= held || size > VAI__ARENA_SMALL);
		vai__arena_free(a);
	}
}

/* The last block of a chunk grows and shrinks where it is. */
static void grows_in_place(void **state)
{
	(void)state;
	struct vai__arena *a = vai__arena_new(8192);
	void *p = vai__arena_alloc(a, NULL, 0, 16);
	for (size_t size = 16; size < 1000; size++)
		assert_ptr_equal(vai__arena_alloc(a, p, size, size + 1), p);
	assert_ptr_equal(vai__arena_alloc(a, p, 1000, 8), p);
	char *cursor = a->cursor;
	assert_ptr_equal(cursor, (char *)p + 8);
	vai__arena_free(a);
}

static void big_blocks(void **state)
{
	(void)state;
	struct vai__arena *a = vai__arena_new(2048);
	size_t held = a->held, size = 2000;
	unsigned char *p = vai__arena_alloc(a, NULL, 0, size);
	memset(p, 7, size);
	for (; size < 50000000; size *= 3) {
		p = vai__arena_alloc(a, p, size, size * 3);
		assert_non_null(p);
		assert_int_equal(p[0] + p[1999], 14);
		assert_true(a->held >= size * 3);
	}
	p = vai__arena_alloc(a, p, size, 1500);
	assert_int_equal(p[0] + p[1499], 14);
	assert_true(a->held < held + 40000);
	vai__arena_alloc(a, p, 1500, 0);
	assert_true(vai__arena_reclaim(a));
	assert_true(a->held <= held + 32768); /* the lists of free blocks are in a chunk */
	assert_null(vai__arena_alloc(a, NULL, 0, SIZE_MAX - 100));
	assert_null(vai__arena_alloc(a, NULL, 0, SIZE_MAX / 2));
	vai__arena_free(a);
}

/* Blocks of one size, freed, serve every other size, in one piece where they were neighbours. */
static void sizes_change(void **state)
{
	(void)state;
	enum { BYTES = 4000000, MOST = BYTES / 16 };
	static void *p[MOST];
	struct vai__arena *a = vai__arena_new(4096);
	size_t most = 0;
	for (int round = 0; round < 60; round++) {
		size_t size = round % 3 ? 16 + draw(200) : 16 + draw(8000);
		int n = (int)(BYTES / size);
		for (int i = 0; i < n; i++)
			assert_non_null(p[i] = vai__arena_alloc(a, NULL, 0, size));
		most = a->held > most ? a->held : most;
		for (int i = 0; i < n; i++)
			vai__arena_alloc(a, p[i], size, 0);
	}
	if (most > BYTES / 2 * 3)
		fail_msg("%zu bytes were held for %d", most, BYTES);
	vai__arena_free(a);
}

/* Small blocks that have been freed do not stay beside the big ones that come after them. */
static void goes_back_for_big(void **state)
{
	(void)state;
	enum { N = 3000, SMALL = 900, BIG = 100000, BIGS = 30 };
	static void *small[N], *big[BIGS];
	struct vai__arena *a = vai__arena_new(4096);
	vai__arena_alloc(a, vai__arena_alloc(a, NULL, 0, SMALL), SMALL, 0); /* from now on it knows what is free */
	for (int i = 0; i < N; i++)
		assert_non_null(small[i] = vai__arena_alloc(a, NULL, 0, SMALL));
	for (int i = 0; i < BIGS; i++)
		assert_non_null(big[i] = vai__arena_alloc(a, NULL, 0, BIG));
	size_t held = a->held;
	assert_true(held >= (size_t)N * SMALL + (size_t)BIGS * BIG);
	for (int i = 0; i < N; i++)
		vai__arena_alloc(a, small[i], SMALL, 0);
	void *more = vai__arena_alloc(a, NULL, 0, BIG);
	assert_non_null(more);
	assert_true(a->held <= (BIGS + 1) * vai__big_round(BIG + 64) + 70000);
	vai__arena_alloc(a, more, BIG, 0);
	for (int i = 0; i < BIGS; i++)
		vai__arena_alloc(a, big[i], BIG, 0);
	vai__arena_free(a);
}

/* A block is cut and cut again, and the pieces freed: no byte is lost. */
static void pieces_join(void **state)
{
	(void)state;
	struct vai__arena *a = vai__arena_new(4096);
	assert_true(vai__arena_reserve(a, 1000));
	size_t held = 0;
	for (int i = 0; i < 60000; i++) {
		size_t size = 200 + draw(i % 2 ? 800 : 7900);
		void *p = vai__arena_alloc(a, NULL, i % 3 ? 0 : LUA_TUSERDATA, size);
		while (size > 40) {
			size_t less = size - 1 - draw((unsigned)size / 2);
			assert_ptr_equal(vai__arena_alloc(a, p, size, less), p);
			size = less;
		}
		vai__arena_alloc(a, p, size, 0);
		if (i == 3000)
			held = a->held;
	}
	if (a->held > held + 65536)
		fail_msg("%zu bytes are held, and were %zu", a->held, held);
	assert_true(vai__arena_reclaim(a));
	assert_true(a->held < 20000);
	vai__arena_free(a);
}

/* What lives is a fifth; the rest of what was there serves blocks that are larger than any free one. */
static void bound_is_of_what_lives(void **state)
{
	(void)state;
	struct vai__arena *a = vai__arena_new(8192);
	lua_State *L = lua_newstate(vai__arena_alloc, a);
	luaL_openlibs(L);
	a->vm.L = L;
	a->limit = 4000000;
	states_check(L,
		"local t = {} for i = 1, 30000 do t[i] = ('%060d'):format(i) end\n"
		"for i = 1, 30000 do if i % 5 ~= 0 then t[i] = false end end collectgarbage()\n"
		"local u = {} for i = 1, 220 do u[i] = ('x'):rep(10000) .. i end return #u == 220");
	assert_true(a->held > a->limit);
	states_check(L,
		"local t = {} local ok, e = pcall(function() for i = 1, 1e6 do t[i] = ('%060d'):format(i) end end)\n"
		"return not ok and e == 'not enough memory' and collectgarbage 'count' < 5000000 / 1024");
	states_check(L, /* buffers of lauxlib do not let Lua collect */
		"collectgarbage() local t = {} for i = 1, 24 do t[i] = ('x'):rep(100000) end\n"
		"for i = 1, 1000 do local s = ('y'):rep(200000 + i) end\n"
		"for i = 1, 1000 do local s = table.concat({t[1], t[2], t[3], i}) end return true");
	states_check(L, "collectgarbage() return true");
	states_check(L, "local s = ('x'):rep(1800000) return #s == 1800000");
	lua_close(L);
	vai__arena_free(a);
}

static void failing(void **state)
{
	(void)state;
	struct vai__arena *a = vai__arena_new(4096);
	a->failing = 3;
	void *p = vai__arena_alloc(a, NULL, 0, 10), *q = vai__arena_alloc(a, NULL, 0, 10);
	assert_true(p && q);
	assert_null(vai__arena_alloc(a, NULL, 0, 10));
	assert_null(vai__arena_alloc(a, p, 10, 20));
	assert_false(vai__arena_reserve(a, 100));
	assert_non_null(vai__arena_alloc(a, p, 10, 5)); /* shrinking never fails */
	assert_null(vai__arena_alloc(a, q, 10, 0));
	a->failing = 0;
	assert_non_null(vai__arena_alloc(a, NULL, 0, 10));
	vai__arena_free(a);
}

/* Chunks that hold nothing but what was left over, or the lists of free blocks, go; one with a block stays, and the
 * block as it was. */
static void trims(void **state)
{
	enum { N = 12, SIZE = 600 };
	void *p[N];
	(void)state;
	struct vai__arena *a = vai__arena_new(1024);
	for (int round = 0; round < 3; round++) {
		const int kept = round == 1 ? N / 2 : -1;
		for (int i = 0; i < N; i++)
			p[i] = memset(vai__arena_alloc(a, NULL, 0, SIZE), i, SIZE);
		assert_true(a->held > 1024 + N * SIZE);
		for (int i = 0; i < N; i++)
			if (i != kept)
				vai__arena_alloc(a, p[i], SIZE, 0);
		vai__arena_trim(a);
		if (kept < 0) {
			assert_true(a->held <= 1024 + 1024); /* the first chunk's rest may be too small for the lists */
			continue;
		}
		assert_true(a->chunks && (!a->chunks->next || !a->chunks->next->next));
		for (int i = 0; i < SIZE; i++)
			assert_int_equal(((char *)p[kept])[i], kept);
		vai__arena_alloc(a, p[kept], SIZE, 0);
	}
	vai__arena_free(a);
}

/* The first block that is freed holds the lists of free blocks if it is large enough: no chunk is needed for them. */
static void lists_in_a_block(void **state)
{
	(void)state;
	struct vai__arena *a = vai__arena_new(2048);
	void *p = vai__arena_alloc(a, NULL, 0, 720);
	for (size_t left = arena_left(a) / 8; left > 0; left--)
		assert_non_null(vai__arena_alloc(a, NULL, 0, 8));
	size_t held = a->held;
	assert_null(vai__arena_alloc(a, p, 720, 0));
	assert_true(a->held <= held);
	p = vai__arena_alloc(a, NULL, 0, 400);
	assert_true(a->held <= held);
	memset(p, 0xff, 400); /* it is not where the lists are */
	assert_null(vai__arena_alloc(a, p, 400, 0));
	assert_non_null(vai__arena_alloc(a, NULL, 0, 400));
	assert_true(a->held <= held);
	vai__arena_free(a);
}

/* A request that the bound refuses before anything was freed changes nothing for the first free. */
static void refused_before_lists(void **state)
{
	(void)state;
	struct vai__arena *a = vai__arena_new(2048);
	void *p = vai__arena_alloc(a, NULL, 0, 16);
	a->limit = 4096;
	assert_null(vai__arena_alloc(a, NULL, 0, 100000));
	assert_null(vai__arena_alloc(a, p, 16, 0));
	a->limit = SIZE_MAX;
	assert_non_null(vai__arena_alloc(a, NULL, 0, 16));
	vai__arena_free(a);
}

/* Whatever is left of the chunk, the next block after a reservation is there. */
static void reserved(void **state)
{
	(void)state;
	struct vai__arena *a = vai__arena_new(2048);
	for (int i = 0; i < 2000; i++) {
		assert_non_null(vai__arena_alloc(a, NULL, 0, 1 + draw(90)));
		assert_true(vai__arena_reserve(a, 120));
		size_t held = a->held;
		assert_non_null(vai__arena_alloc(a, NULL, LUA_TUSERDATA, 1 + draw(120)));
		assert_int_equal(a->held, held);
	}
	vai__arena_free(a);
}

/* A Lua state in an arena, and a collection that gives it all back. */
static void under_lua(void **state)
{
	(void)state;
	struct vai__arena *a = vai__arena_new(8192);
	lua_State *L = lua_newstate(vai__arena_alloc, a);
	luaL_openlibs(L);
	states_check(L,
		"local t = {} for i = 1, 20000 do t[i] = {i, tostring(i), x = i} end\n"
		"local s = string.rep('abc', 100000) t = nil s = s .. s collectgarbage() return #s == 600000");
	size_t held = a->held;
	states_check(L, "for i = 1, 20 do local t = {} for k = 1, 5000 do t[k] = {k} end end return true");
	assert_true(a->held <= held);
	lua_close(L);
	vai__arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contents_survive),
		cmocka_unit_test(freed_is_used_again),
		cmocka_unit_test(grows_in_place),
		cmocka_unit_test(big_blocks),
		cmocka_unit_test(sizes_change),
		cmocka_unit_test(goes_back_for_big),
		cmocka_unit_test(pieces_join),
		cmocka_unit_test(bound_is_of_what_lives),
		cmocka_unit_test(failing),
		cmocka_unit_test(trims),
		cmocka_unit_test(lists_in_a_block),
		cmocka_unit_test(refused_before_lists),
		cmocka_unit_test(reserved),
		cmocka_unit_test(under_lua),
	};
	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
