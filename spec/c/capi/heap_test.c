/* SPDX-License-Identifier: MIT */
/* A host whose memory is out at the nth call, for every n (where VAI_SPEC_WHOLE=1, else for some): its allocator for
 * vai (vai_options.memory), or the lua_Alloc of its state. vai gives errors, and all that it was given back. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "hosts.h"
#include <malloc.h>
#include <string.h>
#include "whole.h"

enum { ENOUGH = 100000, FIRST = 20, SOME = 13 };

/* One for vai and one for Lua. */
struct source {
	atomic_long calls, blocks;
	_Atomic(long) nth; /* which call fails; 0: none */
	bool on;           /* and all after it */
};
static struct source for_vai, for_lua;

static bool fails(struct source *s)
{
	long n = atomic_fetch_add(&s->calls, 1) + 1, nth = atomic_load(&s->nth);
	return nth != 0 && (n == nth || (s->on && n > nth));
}

static void *give(void *block, size_t size, void *data)
{
	struct source *s = data;
	if (size == 0) {
		atomic_fetch_sub(&s->blocks, block != NULL);
		free(block);
		return NULL;
	}
	void *p = fails(s) ? NULL : realloc(block, size);
	atomic_fetch_add(&s->blocks, p && !block);
	return p;
}

/* Lua relies on it that shrinking does not fail. */
static void *lua_gives(void *data, void *block, size_t old, size_t size)
{
	if (block && size != 0 && size <= old)
		return realloc(block, size);
	return block || size != 0 ? give(block, size, data) : NULL;
}

/* ---- what a host does ---- */

static void say_nothing(const char *line, void *data)
{
	(void)line;
	(void)data;
}

static int start(void)
{
	vai_options o = {.size = sizeof o, .procs = 1, .memory = give, .data = &for_vai, .log = say_nothing};
	return vai_start(&o);
}

static void *send_one(void *ch)
{
	char element[200] = "element";
	return vai_send(ch, element, VAI_FOREVER) == VAI_OK ? ch : NULL;
}

static void ring(void *ch)
{
	vai_try_send(ch, (char[200]){"late"});
}

/* False: something was refused. */
static bool wait_for(vai_chan *ch, vai_task *task)
{
	char element[200];
	vai_case cases[] = {{.ch = ch, .direction = VAI_RECV, .element = element}};
	void *result = NULL;
	return vai_join(task, &result, VAI_FOREVER) == VAI_OK && result == ch && vai_select(cases, 1, VAI_FOREVER) == 0 &&
		strcmp(element, "element") == 0;
}

static bool use_values(vai_chan *values)
{
	vai_value v;
	char text[500];
	memset(text, 'x', sizeof text);
	if (vai_value_string(&v, text, sizeof text) != VAI_OK)
		return false;
	bool sent = vai_send_value(values, &v, 0) == VAI_OK && vai_recv_value(values, &v, 0) == VAI_OK;
	vai_value_drop(&v);
	return sent;
}

static bool use_the_rest(vai_chan *ch)
{
	vai_context *ctx = vai_context_new(NULL, VAI_S(1000));
	vai_timer *timer = vai_timer_new(VAI_S(1000), ring, ch);
	vai_waitgroup *wg = vai_waitgroup_new();
	vai_mutex *m = vai_mutex_new();
	bool ok = ctx && timer && wg && m && vai_mutex_lock(m, 0) == VAI_OK && vai_mutex_unlock(m) == VAI_OK &&
		vai_waitgroup_wait(wg, VAI_FOREVER) == VAI_OK && vai_context_cancel(ctx) == VAI_OK &&
		vai_timer_reset(timer, VAI_S(500)) == VAI_OK;
	if (timer)
		vai_timer_stop(timer); /* one that is pending holds what it needs */
	vai_unref(m);
	vai_unref(wg);
	vai_unref(timer);
	vai_unref(ctx);
	return ok;
}

static bool use_c(void)
{
	vai_chan *ch = vai_chan_new(200, 1), *values = vai_chan_new_values(1);
	vai_task *task = ch ? vai_spawn(send_one, ch) : NULL;
	bool ok = task && wait_for(ch, task) && values && use_values(values) && use_the_rest(ch);
	if (task)
		vai_join(task, NULL, VAI_FOREVER);
	vai_unref(task);
	vai_unref(values);
	vai_unref(ch);
	return ok;
}

static const char script[] = "local vai = require 'vai'\n"
							 "local ch, m, tasks = vai.chan(8), vai.map(), {}\n"
							 "for i = 1, 4 do\n"
							 "  tasks[i] = vai.async(function(t)\n"
							 "    ch:send({t, ('x'):rep(1000), vai.freeze({t.n, {}})})\n"
							 "    m:set(t.n, 'y')\n"
							 "    return require 'string' ~= nil\n"
							 "  end, {n = i})\n"
							 "end\n"
							 "for i = 1, 4 do local ok, err = tasks[i]:join() if not ok then error(err, 0) end end\n"
							 "for i = 1, 4 do assert(#ch:recv()[2] == 1000) end\n"
							 "local b = vai.buffer(100000) b:resize(200000)\n"
							 "local big = ('z'):rep(200000)\n"
							 "local ok, n = vai.async(function() return #(big .. big) end):join()\n"
							 "if not ok then error(n, 0) end\n"
							 "assert(n == 400000)\n"
							 "local ctx, cancel = vai.context():with_timeout(100) cancel()\n"
							 "assert(vai.select{ch, default = true} == nil and #m == 4)\n"
							 "assert(vai.group():map({1, 2}, function(n) return n * 2 end))\n";

static int in_lua(lua_State *L)
{
	luaL_openlibs(L);
	luaL_requiref(L, "vai", luaopen_vai, 1);
	if (luaL_loadstring(L, script) != LUA_OK)
		lua_error(L);
	lua_call(L, 0, 0);
	return 0;
}

static bool use_lua(void)
{
	lua_State *L = lua_newstate(lua_gives, &for_lua);
	if (!L)
		return false;
	lua_pushcfunction(L, in_lua);
	int status = lua_pcall(L, 0, 0, 0);
	const char *text = status == LUA_OK ? "" : lua_tostring(L, -1);
	if (status != LUA_OK && status != LUA_ERRMEM && !(text && strstr(text, "memory")))
		fail_msg("with call %ld of %s: %s", atomic_load(&for_vai.nth) + atomic_load(&for_lua.nth),
			atomic_load(&for_vai.nth) ? "vai" : "Lua", text ? text : "?");
	lua_close(L);
	return status == LUA_OK;
}

/* ---- for every n ---- */

/* True: it went as if nothing had failed. */
static bool once_through(bool (*use)(void))
{
	bool ok = start() == VAI_OK && use();
	while (vai_stop() == VAI_EAGAIN)
		;
	assert_int_equal(atomic_load(&for_lua.blocks), 0);
	assert_int_equal(atomic_load(&for_vai.blocks), 0);
	return ok;
}

static void for_every_call(struct source *s, bool (*use)(void))
{
	long n, refused;
	for (int on = 0; on < 2; on++) {
		s->on = on;
		for (n = 1, refused = 0; n < ENOUGH; n += n < FIRST ? 1 : spec_count(SOME, 1)) {
			atomic_store(&s->calls, 0);
			atomic_store(&s->nth, n);
			refused += !once_through(use);
			if (atomic_load(&s->calls) < n)
				break;
		}
		print_message("%ld calls, %ld runs ended in an error\n", n - 1, refused);
		assert_true(n < ENOUGH && refused > 0); /* Lua collects and asks again */
		atomic_store(&s->nth, 0);
		assert_true(once_through(use));
	}
}

static void with_c_alone(void **state)
{
	(void)state;
	assert_true(once_through(use_c));
	assert_true(atomic_load(&for_vai.calls) > 0);
	for_every_call(&for_vai, use_c);
}

static void with_lua(void **state)
{
	(void)state;
	assert_true(once_through(use_lua));
	for_every_call(&for_vai, use_lua);
}

static void in_the_hosts_state(void **state)
{
	(void)state;
	for_every_call(&for_lua, use_lua);
}

/* Some of what vai takes once comes from libc. */
static size_t taken_from_libc(void)
{
#if __GLIBC_PREREQ(2, 33)
	return mallinfo2().uordblks;
#else
	return (unsigned)mallinfo().uordblks; /* exact below 4 GB */
#endif
}

static size_t taken_by_failures(void)
{
	size_t before = taken_from_libc();
	for_vai.on = true;
	for (long n = 1; n < 30; n++) {
		atomic_store(&for_vai.calls, 0);
		atomic_store(&for_vai.nth, n);
		once_through(use_lua);
	}
	atomic_store(&for_vai.nth, 0);
	return taken_from_libc() - before;
}

static void failures_keep_nothing(void **state)
{
	(void)state;
	taken_by_failures();
	assert_true(taken_by_failures() + 20000 <= 40000); /* it may be below zero */
}

static void another_comes_too_late(void **state)
{
	(void)state;
	vai_options o = {.size = sizeof o, .memory = give, .data = &for_lua};
	assert_int_equal(vai_start(&o), VAI_EINVAL);
	assert_int_equal(start(), VAI_OK);
	assert_int_equal(vai_stop(), VAI_OK);
	assert_int_equal(vai_start(NULL), VAI_OK); /* it stays */
	long before = atomic_load(&for_vai.calls);
	vai_unref(vai_chan_new(8, 8));
	assert_true(atomic_load(&for_vai.calls) > before);
	assert_int_equal(vai_stop(), VAI_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_c_alone),
		cmocka_unit_test(with_lua),
		cmocka_unit_test(in_the_hosts_state),
		cmocka_unit_test(failures_keep_nothing),
		cmocka_unit_test(another_comes_too_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
