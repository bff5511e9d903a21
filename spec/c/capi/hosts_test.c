/* SPDX-License-Identifier: MIT */
/* What each of several host's threads has for itself: its frames and their descriptor, interrupts, serial phases. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "hosts.h"
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include "whole.h"

enum { HOSTS = 4, CALLS = 50 };

static lua_State *open_with(const char *name, lua_CFunction f)
{
	lua_State *L = hosts_open();
	lua_register(L, "on_host", vai_lua_on_host);
	lua_register(L, name, f);
	return L;
}

/* ---- frames ---- */

static _Thread_local int calls;

static int called(lua_State *L)
{
	(void)L;
	calls++;
	return 0;
}

/* Sleeps until goroutines want its thread, and then gives vai a frame. */
static void *loop_thread(void *arg)
{
	lua_State *L = open_with("called", called);
	int fd = vai_fd();
	(void)arg;
	MUST(fd >= 0 && vai_fd() == fd);
	pthread_barrier_wait(&hosts_all);
	hosts_run(L, "for i = 1, 5 do vai.go(function() for k = 1, 10 do on_host('called') end end) end");
	while (calls < CALLS) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		MUST(poll(&p, 1, -1) == 1);
		MUST(vai_poll(VAI_MS(20)) == VAI_OK);
	}
	pthread_barrier_wait(&hosts_all);
	MUST(vai_poll(VAI_MS(20)) == VAI_OK);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	MUST(poll(&p, 1, 0) == 0);
	lua_close(L);
	return NULL;
}

static void each_has_frames(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		hosts_on_threads(loop_thread, HOSTS);
}

/* Each with goroutines that compute, in all of its frames: those end all the same. */
static void *busy_thread(void *arg)
{
	lua_State *L = hosts_open();
	(void)arg;
	hosts_run(L, "n = vai.atomic(0) for i = 1, 2 do vai.go(function() while true do n:add(1) end end) end");
	pthread_barrier_wait(&hosts_all);
	for (int i = 0; i < 30; i++)
		MUST(vai_poll(VAI_MS(1)) == VAI_OK);
	hosts_run(L, "while n:get() == 0 do vai.sleep(0.001) end");
	lua_close(L);
	return NULL;
}

static void frames_end_beside_each_other(void **state)
{
	(void)state;
	hosts_on_threads(busy_thread, HOSTS);
}

/* ---- interrupts ---- */

static _Atomic(uint64_t) number[HOSTS_MAX];
static atomic_int told;

static int tell(lua_State *L)
{
	(void)L;
	atomic_fetch_add(&told, 1);
	return 0;
}

/* The first ends what the others wait in or compute, one after the other, and is not ended itself. */
static void *interrupt_thread(void *arg)
{
	static const char *const chunks[] = {"tell() vai.chan():recv()", "tell() while true do end"};
	const intptr_t k = (intptr_t)arg;
	lua_State *L = open_with("tell", tell);
	atomic_store(&number[k], vai_host());
	MUST(vai_host() != 0);
	pthread_barrier_wait(&hosts_all);
	for (int i = 0; k != 0 && i < 2; i++) {
		MUST(luaL_dostring(L, chunks[i]) != LUA_OK);
		MUST(strstr(lua_tostring(L, -1), "interrupted!"));
		lua_settop(L, 0);
		pthread_barrier_wait(&hosts_all);
	}
	for (int i = 0; k == 0 && i < 2; i++) {
		while (atomic_load(&told) < (i + 1) * (HOSTS - 1))
			vai_sleep(VAI_MS(1));
		for (int j = HOSTS - 1; j > 0; j--)
			MUST(vai_interrupt_host(atomic_load(&number[j])) == VAI_OK);
		pthread_barrier_wait(&hosts_all);
	}
	lua_close(L);
	pthread_barrier_wait(&hosts_all);
	return NULL;
}

static void each_is_interrupted(void **state)
{
	(void)state;
	atomic_store(&told, 0);
	hosts_on_threads(interrupt_thread, HOSTS);
	assert_int_equal(vai_interrupt_host(atomic_load(&number[1])), VAI_ESTOPPED);
	assert_int_equal(vai_host(), 0);
}

/* A goroutine ends the wait of its own main. */
static void *own_thread(void *arg)
{
	lua_State *L = hosts_open();
	(void)arg;
	MUST(vai_interrupt_host(UINT64_MAX) == VAI_EINVAL && vai_interrupt_host(0) == VAI_EINVAL);
	pthread_barrier_wait(&hosts_all);
	MUST(vai_go((void (*)(void *))(void (*)(void))vai_interrupt, NULL) == VAI_OK);
	MUST(vai_sleep(VAI_S(1000)) == VAI_EINTERRUPTED);
	pthread_barrier_wait(&hosts_all);
	lua_close(L);
	return NULL;
}

static void goroutines_interrupt_their_own(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		hosts_on_threads(own_thread, HOSTS);
}

/* ---- serial phases ---- */

/* What goroutines of a host change, and nobody else must see changing while it is serial. */
struct world {
	atomic_int serial, within;
	_Atomic(int64_t) steps;
};
static struct world worlds[HOSTS_MAX];

static int step(lua_State *L)
{
	struct world *w = lua_touserdata(L, 1);
	MUST(atomic_load(&w->serial) == 0);
	atomic_fetch_add(&w->within, 1);
	for (int i = 0; i < 20; i++)
		MUST(atomic_load(&w->serial) == 0);
	atomic_fetch_sub(&w->within, 1);
	atomic_fetch_add(&w->steps, 1);
	return 0;
}

/* Goroutines of all kinds: that compute, wait, yield, sleep, have their thread for themselves, and start others. */
static const char crowd[] =
	"local w, pipe = world, vai.chan()\n"
	"vai.go(function() while true do step(w) end end)\n"
	"vai.go(function() local n = 0 while true do n = n + 1 if n % 1000 == 0 then step(w) end end end)\n"
	"vai.go(function() while true do step(w) vai.yield() end end)\n"
	"vai.go(function() while true do step(w) vai.sleep(0.00001) end end)\n"
	"vai.go(function() vai.lock_thread() while true do step(w) vai.sleep(0.0001) end end)\n"
	"vai.go(function() while true do step(w) pipe:send(1) end end)\n"
	"vai.go(function() while true do pipe:recv() step(w) end end)\n"
	"vai.go(function() while true do step(w) vai.async(function(w) step(w) end, w):join() end end)\n"
	"vai.go(function() while true do on_host('step', w) end end)\n";

static void *phases_thread(void *arg)
{
	struct world *w = &worlds[(intptr_t)arg];
	lua_State *L = open_with("step", step);
	*w = (struct world){0};
	lua_pushlightuserdata(L, w);
	lua_setglobal(L, "world");
	hosts_run(L, crowd);
	pthread_barrier_wait(&hosts_all);
	for (int i = 0, n = spec_count(60, 1000); i < n; i++) {
		int64_t seen = atomic_load(&w->steps);
		MUST(vai_serial_begin(VAI_FOREVER) == VAI_OK);
		atomic_store(&w->serial, 1);
		MUST(atomic_load(&w->within) == 0 && vai_serial_begin(0) == VAI_EINVAL);
		if (i % 8 == 0)
			MUST(vai_poll(VAI_MS(1)) == VAI_OK && vai_sleep(VAI_MS(1)) == VAI_OK);
		atomic_store(&w->serial, 0);
		MUST(vai_serial_end() == VAI_OK && vai_serial_end() == VAI_EINVAL);
		while (atomic_load(&w->steps) == seen)
			MUST(vai_poll(VAI_MS(1)) == VAI_OK);
	}
	if ((intptr_t)arg % 2)
		MUST(vai_serial_begin(VAI_FOREVER) == VAI_OK); /* and it closes in the middle of one */
	lua_close(L);
	return NULL;
}

static void nobody_runs_in_serial_phases(void **state)
{
	(void)state;
	hosts_on_threads(phases_thread, 1);
	hosts_on_threads(phases_thread, 2);
}

static atomic_bool go_on, staying;

static void stay(void *arg)
{
	(void)arg;
	atomic_store(&staying, true);
	while (!atomic_load(&go_on))
		usleep(100);
}

static void until_it_stays(void)
{
	while (!atomic_load(&staying))
		vai_sleep(VAI_MS(1));
}

/* On a thread of vai's, since main could not run on its own. */
static void *stay_elsewhere(void *arg)
{
	vai_block_begin();
	vai_block_end();
	stay(arg);
	return NULL;
}

static void stay_in_block(void *arg)
{
	vai_block_begin();
	stay(arg);
	vai_block_end();
	atomic_fetch_add(&told, 1);
}

/* Who does not come out of C code keeps a phase from beginning, unless it has said that it blocks. */
static void c_code_is_waited_for(void **state)
{
	(void)state;
	atomic_store(&told, 0);
	atomic_store(&go_on, false);
	assert_int_equal(vai_start(NULL), VAI_OK);
	atomic_store(&staying, false);
	assert_int_equal(vai_go(stay_in_block, NULL), VAI_OK);
	until_it_stays();
	assert_int_equal(vai_serial_begin(VAI_FOREVER), VAI_OK);
	atomic_store(&go_on, true);
	vai_sleep(VAI_MS(5));
	assert_int_equal(atomic_load(&told), 0); /* it has not come back from vai_block_end */
	assert_int_equal(vai_serial_end(), VAI_OK);
	while (atomic_load(&told) == 0)
		vai_sleep(VAI_MS(1));
	atomic_store(&go_on, false);
	atomic_store(&staying, false);
	vai_task *task = vai_spawn(stay_elsewhere, NULL);
	until_it_stays();
	assert_int_equal(vai_serial_begin(0), VAI_EAGAIN);
	assert_int_equal(vai_serial_begin(VAI_MS(3)), VAI_ETIMEOUT);
	assert_int_equal(vai_serial_end(), VAI_EINVAL);
	atomic_store(&go_on, true);
	assert_int_equal(vai_join(task, NULL, VAI_FOREVER), VAI_OK);
	vai_unref(task);
	assert_int_equal(vai_serial_begin(VAI_FOREVER), VAI_OK);
	assert_int_equal(vai_stop(), VAI_OK);
	assert_int_equal(vai_serial_begin(VAI_FOREVER), VAI_ETHREAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_has_frames),
		cmocka_unit_test(frames_end_beside_each_other),
		cmocka_unit_test(each_is_interrupted),
		cmocka_unit_test(goroutines_interrupt_their_own),
		cmocka_unit_test(nobody_runs_in_serial_phases),
		cmocka_unit_test(c_code_is_waited_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
