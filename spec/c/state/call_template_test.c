/* SPDX-License-Identifier: MIT */
/* Templates with whole calls in them: which calls they serve, what their copies get, whose references the objects
 * have. */
#include "state/states.h"
#include <stdlib.h>
#include <string.h>
#include "base/atomic.h"
#include "code/code.h"
#include "state/handle.h"
#include "transfer/call_pattern.h"
#include "transfer/codec.h"

enum { CALLS = 40, LATE = 20 };

static atomic_int alive;

static void destroy(struct vai_obj *o)
{
	alive--;
	free(o);
}

static const struct vai_class thing_class = {"thing", destroy}, other_class = {"other", destroy};
static const struct vai__handle_type thing_type = {&thing_class, "vai.thing", NULL, NULL},
									 other_type = {&other_class, "vai.other", NULL, NULL};

static struct vai_obj *new_object(const struct vai_class *cls)
{
	struct vai_obj *o = calloc(1, sizeof *o);
	assert_non_null(o);
	vai__obj_init(o, cls);
	alive++;
	return o;
}

/* A handle as global of the host's state. */
static void set(const struct states *s, const char *name, const struct vai_class *cls)
{
	vai__handle_push(s->L, s->vm, new_object(cls), true);
	lua_setglobal(s->L, name);
}

/* Runs the call that lies on the host's stack in a fresh state. Gives whether that came with the call, and its first
 * result, an integer. Every other call's message is the goroutine's own. */
static bool run_call(const struct states *s, int nargs, lua_Integer *result)
{
	static bool own;
	vai_msg msg;
	struct vai_code *code;
	struct vai__ready ready;
	vai__encode_call(s->L, s->vm, lua_gettop(s->L) - nargs, nargs, &msg, &code, "argument");
	struct vai_vm *vm = vai__vm_new_for(code, &msg, own = !own, &ready);
	lua_State *L = vm->L;
	int came = lua_gettop(L);
	if (ready.pattern) {
		assert_int_equal(came, 1 + ready.pattern->nargs);
		assert_int_equal(vai__decode_rest(L, vm, &msg, ready.pattern), nargs);
	} else {
		assert_int_equal(vai__decode_call(L, vm, &msg, code, came), nargs);
	}
	vai__msg_drop(&msg);
	assert_int_equal(lua_gettop(L), 1 + nargs);
	if (lua_pcall(L, nargs, 1, 0) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
	*result = lua_tointeger(L, -1);
	lua_gc(L, LUA_GCCOLLECT);
	vai__vm_free(vm);
	return ready.pattern != NULL;
}

/* Runs the text, which returns a function and its arguments, and that call. */
static bool run(const struct states *s, const char *text, lua_Integer *result)
{
	lua_settop(s->L, 0);
	if (luaL_loadbuffer(s->L, text, strlen(text), "=text") || lua_pcall(s->L, 0, LUA_MULTRET, 0))
		fail_msg("%s: %s", text, lua_tostring(s->L, -1));
	bool came = run_call(s, lua_gettop(s->L) - 1, result);
	lua_settop(s->L, 0);
	return came;
}

/* How many of the last LATE of CALLS calls come with their states. All have to give i. */
static int count(const struct states *s, const char *text)
{
	int n = 0;
	for (lua_Integer i = 1; i <= CALLS; i++) {
		lua_Integer result;
		lua_pushinteger(s->L, i);
		lua_setglobal(s->L, "i");
		set(s, "a", &thing_class);
		set(s, "b", &other_class);
		set(s, "mixed", i % 2 ? &thing_class : &other_class);
		n += run(s, text, &result) && i > CALLS - LATE;
		assert_int_equal(result, i);
	}
	vai__code_forget();
	lua_gc(s->L, LUA_GCCOLLECT);
	return n;
}

static bool clones(void)
{
	return strcmp(vai__runtime_mode(), "clone") == 0;
}

static void served(void **state)
{
	const struct states *s = *state;
	static const char *const texts[] = {
		"local k = i return function() return k end",
		"local k = i return function(x) return k + x - 1 end, 1",
		"return function(x, y, z, s) return z == nil and #s == x and x + (y == (x % 2 == 0) and 0 or 1) end,\n"
		"i, i % 2 == 0, nil, ('x'):rep(i)",
		"return function(x, y, z, n) return x == z and x ~= y and n end, a, b, a, i",
		"local a, k = a, i return function(x, y) return x == a and x == y and k end, a, a",
		"local k = i local function f(n) return n == 0 and 0 or f(n - 1) end return function(n) return f(n) + k end, 4",
		"local k, f = i, function(x) return x + 1 end return function() return f(k) - 1 end",
		"local k = i return function(x, y, t) return t[1] + #tostring(x) * 0 end, a, b, { i }",
		"local a, b, k = a, b, i return function(x) return x == a and a ~= b and b ~= nil and k end, a",
		"local a, k = a, i local function f() return a end return function() return f() == a and k end",
		"local k = i local function f(n) return n == 0 and 0 or f(n - 1) end return function() return f(4) + k end",
		"local k, s, x, y = i, ('x'):rep(i), i % 2 == 0, i % 3 == 0 and 1.5 or nil\n"
		"return function() return #s + (x == (k % 2 == 0) and 0 or 1) + (k % 3 == 0 and y - 1.5 or 0) end",
		"global = 5 return function(x) return x + global - 5 end, i",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_int_equal(count(s, texts[i]), clones() ? LATE : 0);
	lua_pushnil(s->L);
	lua_setglobal(s->L, "global");
}

static void refused(void **state)
{
	const struct states *s = *state;
	static const char *const texts[] = {
		"local t = { i } return function() return t[1] end",
		"local m, k = require 'string', i return function() return #m.rep('x', k) end",
		"local o, k = { a, a, a }, i return function() return k + #o - 3 end",
		"local k, f = i, load('return ' .. i) return function() return f() end",
		"return function(...) return select('#', ...) end, table.unpack({}, 1, i)",
		"local k = i local function f(n) return n == 0 and k or f(n - 1) end return function() return f(4) end",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_int_equal(count(s, texts[i]), 0);
	int n = count(s, "local m, k = mixed, i return function() return m and k end");
	assert_int_equal(n, clones() ? LATE / 2 : 0);
	n = count(s, "return function(m, k) return m and k end, mixed, i");
	assert_int_equal(n, clones() ? LATE / 2 : 0);
}

/* Makes an object the global o, and returns it with a reference of the caller's. */
static struct vai_obj *set_o(const struct states *s)
{
	struct vai_obj *o = new_object(&thing_class);
	vai__obj_ref(o);
	vai__handle_push(s->L, s->vm, o, true);
	lua_setglobal(s->L, "o");
	return o;
}

/* Gives that global and its handle up, and the caller's reference. */
static void drop_o(const struct states *s, struct vai_obj *o)
{
	lua_pushnil(s->L);
	lua_setglobal(s->L, "o");
	lua_gc(s->L, LUA_GCCOLLECT);
	assert_int_equal(atomic_load(&o->refs), 1);
	vai__obj_unref(o);
}

static void references(void **state)
{
	const struct states *s = *state;
	lua_Integer result;
	struct vai_obj *o = set_o(s);
	int came = 0;
	for (int i = 0; i < CALLS; i++) {
		bool ready = run(s, "local x, y = o, o return function(z) return x == y and x == z and 1 end, o", &result);
		came += ready && i >= CALLS - LATE;
		assert_int_equal(result, 1);
		assert_int_equal(atomic_load(&o->refs), 2);
	}
	assert_int_equal(came, clones() ? LATE : 0);
	drop_o(s, o);
}

/* The text returns a function. Its calls' messages are the goroutines' own, and have `in_message` references to the
 * global o's object once the state is there, which has `in_state`; without a template they have as many as ever. */
static void handed_over(const struct states *s, const char *text, unsigned in_message, unsigned in_state)
{
	struct vai_obj *o = set_o(s);
	int came = 0;
	for (int i = 0; i < CALLS; i++) {
		struct vai__ready ready;
		struct vai_code *code;
		vai_msg msg;
		lua_settop(s->L, 0);
		luaL_loadstring(s->L, text);
		lua_call(s->L, 0, LUA_MULTRET);
		vai__encode_call(s->L, s->vm, 1, lua_gettop(s->L) - 1, &msg, &code, "argument");
		struct vai_vm *vm = vai__vm_new_for(code, &msg, true, &ready);
		if (ready.pattern) {
			came += i >= CALLS - LATE;
			assert_int_equal(vai__msg_count_object(&msg, o), in_message);
			assert_int_equal(atomic_load(&o->refs), 2 + in_message + in_state);
		}
		vai__msg_drop(&msg);
		if (ready.pattern)
			assert_int_equal(atomic_load(&o->refs), 2 + in_state);
		vai__vm_free(vm);
		assert_int_equal(atomic_load(&o->refs), 2);
	}
	assert_int_equal(came, clones() ? LATE : 0);
	lua_settop(s->L, 0);
	drop_o(s, o);
	vai__code_forget();
}

static void hands_over(void **state)
{
	const struct states *s = *state;
	handed_over(s, "local x = o return function() return x end", 0, 1);
	handed_over(s, "local x = o return function(n) return x end, 1", 0, 1);
	handed_over(s, "return function(x) return x end, o", 0, 1);
	handed_over(s, "local x, y = o, o return function() return x, y end", 2, 1);
	handed_over(s, "local x = o local function f() return x end return function() return x, f end", 1, 1);
	handed_over(s, "local x = o return function(a) return x end, {o}", 2, 1);
}

/* The handle is collected, and its object comes again. */
static void met_again(void **state)
{
	const struct states *s = *state;
	int came = 0;
	for (int i = 0; i < CALLS; i++) {
		struct vai__ready ready;
		struct vai_code *code;
		vai_msg msg;
		set(s, "a", &thing_class);
		lua_settop(s->L, 0);
		luaL_loadstring(s->L, "local a, b = a return function() return a, b end");
		lua_call(s->L, 0, 1);
		vai__encode_call(s->L, s->vm, 1, 0, &msg, &code, "argument");
		struct vai_vm *vm = vai__vm_new_for(code, &msg, false, &ready);
		lua_State *L = vm->L;
		if (ready.pattern)
			vai__decode_rest(L, vm, &msg, ready.pattern);
		else
			vai__decode_call(L, vm, &msg, code, lua_gettop(L));
		came += ready.pattern && i >= CALLS - LATE;
		lua_getupvalue(L, 1, 1);
		struct vai_obj *o = vai__handle_any(L, -1);
		unsigned refs = atomic_load(&o->refs);
		vai__obj_ref(o);
		vai__handle_push(L, vm, o, false);
		assert_true(lua_rawequal(L, -1, -2));
		lua_settop(L, 0);
		lua_gc(L, LUA_GCCOLLECT);
		assert_int_equal(atomic_load(&o->refs), refs - 1);
		vai__handle_push(L, vm, new_object(&other_class), false);
		for (int n = 0; n < 6; n++) {
			vai__obj_ref(o);
			vai__handle_push(L, vm, o, false);
			assert_ptr_equal(vai__handle_any(L, -1), o);
			assert_int_equal(atomic_load(&o->refs), refs);
		}
		assert_true(lua_rawequal(L, -1, -2));
		vai__vm_free(vm);
		vai__msg_drop(&msg);
	}
	assert_int_equal(came, clones() ? LATE : 0);
	lua_settop(s->L, 0);
}

static int check_alive(void **state)
{
	const struct states *s = *state;
	for (const char *const *name = (const char *const[]){"a", "b", "mixed", NULL}; *name; name++) {
		lua_pushnil(s->L);
		lua_setglobal(s->L, *name);
	}
	lua_gc(s->L, LUA_GCCOLLECT);
	vai__code_forget();
	assert_int_equal(alive, 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(served, check_alive),
		cmocka_unit_test_teardown(refused, check_alive),
		cmocka_unit_test_teardown(references, check_alive),
		cmocka_unit_test_teardown(hands_over, check_alive),
		cmocka_unit_test_teardown(met_again, check_alive),
	};
	vai__handle_register(&thing_type);
	vai__handle_register(&other_type);
	int failed = cmocka_run_group_tests_name("call template", tests, states_setup_cloned, states_teardown);
	return failed + cmocka_run_group_tests_name("call template, built", tests, states_setup_built, states_teardown);
}
