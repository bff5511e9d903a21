/* SPDX-License-Identifier: MIT */
/* Semaphores and rwmutexes below Lua: never too many inside, and nothing is lost with goroutines that give up or
 * are ended when they have just been served. */
#include "sync/world.h"

#include <stdatomic.h>
#include "base/clock.h"
#include "sync/rwmutex.h"
#include "sync/semaphore.h"

enum { SIZE = 5, GOROUTINES = 12, ROUNDS = 1500 };

struct churn {
	vai_semaphore *s;
	vai_rwmutex *m;
	_Atomic(int) inside, writers, readers, served;
};

static int64_t limit_of(unsigned dice)
{
	return dice < 8 ? VAI_FOREVER : dice < 10 ? 0 : vai__clock_now() + dice * 5000;
}

static unsigned roll(vai_g *g, unsigned i)
{
	return (unsigned)(g->id * 7919 + i * 104729) % 16;
}

/* Sometimes g is to end just when it asks: it may be served and has to pass that on. */
static void end_some(vai_g *g, unsigned dice)
{
	if (dice == 5)
		vai__g_end(g, VAI_END_CANCELED);
}

static void take_permits(vai_g *g, void *arg)
{
	struct churn *c = arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned dice = roll(g, i);
		int k = 1 + (int)(dice % SIZE);
		end_some(g, dice);
		int rc = vai__semaphore_acquire(g, c->s, k, limit_of(dice));
		atomic_store(&g->end, VAI_END_NO);
		if (rc != VAI_OK)
			continue;
		CHECK(atomic_fetch_add(&c->inside, k) + k <= SIZE);
		if (dice == 3)
			vai__yield(g);
		atomic_fetch_sub(&c->inside, k);
		atomic_fetch_add(&c->served, 1);
		CHECK(vai__semaphore_release(c->s, k) == VAI_OK);
	}
}

static void test_semaphore(void **state)
{
	struct churn c = {.s = vai__semaphore_new(SIZE)};
	int64_t left;
	int waiting;
	(void)state;
	for (int i = 0; i < GOROUTINES; i++)
		world_go(take_permits, &c);
	world_join();
	vai__semaphore_info(c.s, &left, &waiting);
	assert_int_equal(left, SIZE);
	assert_int_equal(waiting, 0);
	assert_true(atomic_load(&c.served) > 0);
	assert_int_equal(vai__semaphore_release(c.s, 1), VAI_ERANGE);
	assert_int_equal(vai__semaphore_acquire(vai__g_self(), c.s, SIZE + 1, VAI_FOREVER), VAI_ERANGE);
	vai__obj_unref((struct vai_obj *)c.s);
}

static void write_once(vai_g *g, struct churn *c, unsigned dice)
{
	int rc = vai__rwmutex_lock(g, c->m, limit_of(dice));
	atomic_store(&g->end, VAI_END_NO);
	if (rc != VAI_OK)
		return;
	CHECK(atomic_fetch_add(&c->writers, 1) == 0 && atomic_load(&c->readers) == 0);
	if (dice == 4)
		vai__yield(g);
	atomic_fetch_sub(&c->writers, 1);
	CHECK(vai__rwmutex_unlock(c->m) == VAI_OK);
}

static void read_once(vai_g *g, struct churn *c, unsigned dice)
{
	int rc = vai__rwmutex_rlock(g, c->m, limit_of(dice));
	atomic_store(&g->end, VAI_END_NO);
	if (rc != VAI_OK)
		return;
	atomic_fetch_add(&c->readers, 1);
	CHECK(atomic_load(&c->writers) == 0);
	if (dice == 7)
		vai__yield(g);
	atomic_fetch_sub(&c->readers, 1);
	CHECK(vai__rwmutex_runlock(c->m) == VAI_OK);
}

static void read_and_write(vai_g *g, void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned dice = roll(g, i);
		end_some(g, dice);
		if ((g->id + i) % 3 == 0)
			write_once(g, arg, dice);
		else
			read_once(g, arg, dice);
	}
}

static void test_rwmutex(void **state)
{
	struct churn c = {.m = vai__rwmutex_new()};
	struct vai__rwmutex_info info;
	(void)state;
	for (int i = 0; i < GOROUTINES; i++)
		world_go(read_and_write, &c);
	world_join();
	vai__rwmutex_info(c.m, &info);
	assert_int_equal(info.writer + info.readers, 0);
	assert_int_equal(info.writers_waiting + info.readers_waiting, 0);
	assert_true(vai__rwmutex_trylock(vai__g_self(), c.m));
	assert_int_equal(vai__rwmutex_runlock(c.m), VAI_EINVAL);
	assert_int_equal(vai__rwmutex_unlock(c.m), VAI_OK);
	assert_int_equal(vai__rwmutex_unlock(c.m), VAI_EINVAL);
	vai__obj_unref((struct vai_obj *)c.m);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_semaphore),
		cmocka_unit_test(test_rwmutex),
	};
	return WORLD_RUN("permits", tests);
}
