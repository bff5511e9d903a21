/* SPDX-License-Identifier: MIT */
/* Mutexes and semaphores: never too many inside, and what was on its way to a goroutine that gives up or is ended goes
 * on to the next; whoever waits is served in the end, or the test ends as a deadlock. */
#include "base/clock.h"
#include "sync/mutex.h"
#include "sync/semaphore.h"
#include "tests.h"
#include "world.h"

/* Nanoseconds; the second is more than a waiter waits before the mutex is handed to it. */
enum { SOON = 30000, STARVED = 2000000 };

static vai_mutex *m;
static vai_semaphore *s;
static int64_t inside;
static vai_g *victim;
static int served;

/* ---- mutexes ---- */

static int lock_once(vai_g *g, int64_t deadline)
{
	int rc = vai__mutex_lock(g, m, deadline);
	if (rc != VAI_OK)
		return rc;
	SIM_CHECK(inside++ == 0);
	served++;
	sim_step("inside");
	inside--;
	SIM_CHECK(vai__mutex_unlock(m) == VAI_OK);
	return rc;
}

static void lock_for_ever(vai_g *g, void *arg)
{
	(void)arg;
	SIM_CHECK(lock_once(g, VAI_FOREVER) == VAI_OK);
}

static void lock_soon(vai_g *g, void *arg)
{
	(void)arg;
	int rc = lock_once(g, vai__clock_now() + SOON);
	SIM_CHECK(rc == VAI_OK || rc == VAI_ETIMEOUT);
}

static void lock_as_victim(vai_g *g, void *arg)
{
	(void)arg;
	victim = g;
	int rc = lock_once(g, VAI_FOREVER);
	victim = NULL;
	SIM_CHECK(rc == VAI_OK || rc == VAI_ECANCELED);
}

static void end_victim(vai_g *g, void *arg)
{
	(void)g;
	(void)arg;
	if (victim)
		vai__g_end(victim, VAI_END_CANCELED);
}

/* Main has it for so long, while two others come. At the end it is free, and nobody waits. */
static void hand_over(vai_g *main, void (*first)(vai_g *, void *), void (*more)(vai_g *, void *), int64_t ns)
{
	struct vai__mutex_info info;
	m = vai__mutex_new();
	SIM_CHECK(vai__mutex_lock(main, m, VAI_FOREVER) == VAI_OK);
	world_go(main, first, NULL);
	world_go(main, lock_for_ever, NULL);
	if (more)
		world_go(main, more, NULL);
	vai__sleep(main, vai__clock_now() + ns);
	SIM_CHECK(inside == 0 && vai__mutex_unlock(m) == VAI_OK);
	world_join(main);
	vai__mutex_info(m, &info);
	SIM_CHECK(info.holder == 0 && info.waiting == 0 && served >= 1);
	SIM_CHECK(vai__mutex_unlock(m) == VAI_EINVAL && vai__mutex_trylock(main, m));
	vai__obj_unref((struct vai_obj *)m);
}

static void mutex(vai_g *main)
{
	hand_over(main, lock_for_ever, lock_for_ever, 1);
}

void test_mutex(void)
{
	world(2, mutex);
}

static void mutex_timeout(vai_g *main)
{
	hand_over(main, lock_soon, NULL, SOON);
}

void test_mutex_timeout(void)
{
	world(2, mutex_timeout);
}

static void mutex_cancel(vai_g *main)
{
	hand_over(main, lock_as_victim, end_victim, 1);
}

void test_mutex_cancel(void)
{
	world(2, mutex_cancel);
}

static void mutex_starved(vai_g *main)
{
	hand_over(main, lock_as_victim, lock_for_ever, STARVED);
}

void test_mutex_starved(void)
{
	world(2, mutex_starved);
}

/* The victim is ended after it was handed the mutex, perhaps. */
static void end_late(vai_g *g, void *arg)
{
	vai__sleep(g, vai__clock_now() + STARVED);
	end_victim(g, arg);
}

static void mutex_starved_cancel(vai_g *main)
{
	hand_over(main, lock_as_victim, end_late, STARVED);
}

void test_mutex_starved_cancel(void)
{
	world(2, mutex_starved_cancel);
}

/* ---- semaphores ---- */

static int acquire(vai_g *g, int64_t k, int64_t deadline)
{
	int rc = vai__semaphore_acquire(g, s, k, deadline);
	if (rc != VAI_OK)
		return rc;
	inside += k;
	SIM_CHECK(inside <= 2);
	sim_step("inside");
	inside -= k;
	SIM_CHECK(vai__semaphore_release(s, k) == VAI_OK);
	return rc;
}

static void acquire_one(vai_g *g, void *arg)
{
	(void)arg;
	SIM_CHECK(acquire(g, 1, VAI_FOREVER) == VAI_OK);
}

static void acquire_two_soon(vai_g *g, void *arg)
{
	(void)arg;
	int rc = acquire(g, 2, vai__clock_now() + SOON);
	SIM_CHECK(rc == VAI_OK || rc == VAI_ETIMEOUT);
}

static void acquire_as_victim(vai_g *g, void *arg)
{
	(void)arg;
	victim = g;
	int rc = acquire(g, 2, VAI_FOREVER);
	victim = NULL;
	SIM_CHECK(rc == VAI_OK || rc == VAI_ECANCELED);
}

/* Main has `mine` of two permits until the last. */
static void share_two(
	vai_g *main, int64_t mine, void (*first)(vai_g *, void *), void (*more)(vai_g *, void *), bool keeps)
{
	int64_t left;
	int waiting;
	s = vai__semaphore_new(2);
	SIM_CHECK(vai__semaphore_acquire(main, s, mine, VAI_FOREVER) == VAI_OK);
	inside = mine;
	world_go(main, first, NULL);
	world_go(main, acquire_one, NULL);
	if (more)
		world_go(main, more, NULL);
	if (keeps)
		world_join(main);
	inside -= mine;
	SIM_CHECK(vai__semaphore_release(s, mine) == VAI_OK);
	world_join(main);
	vai__semaphore_info(s, &left, &waiting);
	SIM_CHECK(left == 2 && waiting == 0 && inside == 0);
	SIM_CHECK(vai__semaphore_release(s, 1) == VAI_ERANGE);
	vai__obj_unref((struct vai_obj *)s);
}

static void semaphore(vai_g *main)
{
	share_two(main, 1, acquire_one, acquire_one, false);
}

void test_semaphore(void)
{
	world(2, semaphore);
}

/* The large request does not get what it wants while main waits for all, and then lets the small one through. */
static void semaphore_timeout(vai_g *main)
{
	share_two(main, 1, acquire_two_soon, NULL, true);
}

void test_semaphore_timeout(void)
{
	world(2, semaphore_timeout);
}

static void semaphore_cancel(vai_g *main)
{
	share_two(main, 1, acquire_as_victim, end_victim, false);
}

void test_semaphore_cancel(void)
{
	world(2, semaphore_cancel);
}
