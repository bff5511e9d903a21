/* SPDX-License-Identifier: MIT */
/* Templates and their copies: independent of each other, small, collected late; templates of
 * functions: made for what is spawned often, right in every copy, bounded, given back. */
#include "state/states.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/atomic.h"
#include "base/mem.h"
#include "base/obj.h"
#include "state/arena.h"
#include "sched/sched.h"
#include "state/template.h"
#include "transfer/codec.h"

enum { COPIES = 500, THREADS = 4, ROUNDS = 300 };

/* The code object of the function that the script returns. */
static struct vai_code *code_of(const struct states *s, const char *script)
{
	if (luaL_dostring(s->L, script))
		fail_msg("%s: %s", script, lua_tostring(s->L, -1));
	struct vai_code *code = vai__known_funcs_code(s->L, s->vm, -1);
	assert_non_null(code);
	lua_settop(s->L, 0);
	return code;
}

/* ---- states ---- */

static void small(void **state)
{
	(void)state;
	struct vai_vm *vm = states_fresh();
	assert_true(vm->arena->held < 7168);
	assert_true(lua_gc(vm->L, LUA_GCCOUNT) < 6);
	assert_ptr_equal(vai__state_of(vm->L), vm);
	lua_State *co = lua_newthread(vm->L);
	assert_ptr_equal(vai__state_of(co), vm);
	vai__vm_free(vm);
}

/* Copies do not see each other, nor does what they do reach the template. */
static void independent(void **state)
{
	(void)state;
	static struct vai_vm *vms[COPIES];
	for (int i = 0; i < COPIES; i++) {
		vms[i] = states_fresh();
		lua_pushinteger(vms[i]->L, i);
		lua_setglobal(vms[i]->L, "n");
		states_check(vms[i]->L,
			"assert(x == nil and string.mine == nil) x = {n} string.mine = n\n"
			"getmetatable('').__add = function() return n end return ('a' + 'b') == n");
	}
	for (int i = 0; i < COPIES; i += 3) {
		vai__vm_free(vms[i]);
		vms[i] = states_fresh();
		states_check(vms[i]->L, "n = 1 x = {1} string.mine = 1 return '1' + '2' == 3");
		states_check(vms[i]->L, "return collectgarbage('setpause', 180) == 180");
	}
	for (int i = COPIES - 1; i >= 0; i--) {
		states_check(vms[i]->L,
			"collectgarbage() for i = 1, 50 do x[i] = {i} end collectgarbage()\n"
			"return string.mine == n and #x == 50 and x[50][1] == 50");
		vai__vm_free(vms[i]);
	}
}

/* A young state's collector rests, an older one's works as always. */
static void collects_late(void **state)
{
	(void)state;
	struct vai_vm *vm = states_fresh();
	states_check(vm->L,
		"local w = setmetatable({}, {__mode = 'k'}) w[{}] = 1 local n = collectgarbage('count')\n"
		"for i = 1, 100 do local t = {i} end return next(w) and collectgarbage('count') > n + 5");
	states_check(vm->L, "for i = 1, 100000 do local t = {i} end return collectgarbage('count') < 300");
	states_check(vm->L, "return collectgarbage('setpause', 200) == 180 and collectgarbage('isrunning')");
	vai__vm_free(vm);
}

static int deeper(lua_State *L)
{
	lua_Integer n = lua_tointeger(L, 1);
	if (n > 1) {
		lua_pushcfunction(L, deeper);
		lua_pushinteger(L, n - 1);
		lua_call(L, 1, 0);
	}
	return 0;
}

static const char *call_deep(struct vai_vm *vm, int n)
{
	lua_pushcfunction(vm->L, deeper);
	lua_pushinteger(vm->L, n);
	assert_int_equal(lua_pcall(vm->L, 1, 0, 0), LUA_OK);
	return vm->arena->cursor;
}

/* A copy comes with what three calls in one another need, and a little room. */
static void has_frames(void **state)
{
	(void)state;
	struct vai_vm *vm = states_fresh();
	const char *cursor = vm->arena->cursor;
	assert_ptr_equal(call_deep(vm, 3), cursor);
	assert_ptr_not_equal(call_deep(vm, 4), cursor);
	assert_null(vm->arena->chunks);
	vai__vm_free(vm);
}

static void closes(void **state)
{
	(void)state;
	struct vai_vm *vm = states_fresh();
	states_check(vm->L,
		"local t = {} for i = 1, 1000 do t[i] = setmetatable({}, {__gc = function() end}) end\n"
		"x = string.rep('x', 100000) return require 'io' and pairs(_G)");
	vai__vm_free(vm);
	vm = states_fresh();
	vm->needs_close = true;
	vai__vm_free(vm);
}

/* ---- templates of functions ---- */

static const char script[] = "local a, b\n"
							 "return function(x, y)\n"
							 "	assert(a == nil and b == nil)\n"
							 "	local t = {}\n"
							 "	for i = 1, 10 do t[i] = string.format('%d-%s', i, tostring(x)) end\n"
							 "	table.sort(t)\n"
							 "	seen = (seen or 0) + 1\n"
							 "	return #t + y + math.floor(1.5), seen, 0x123456789abc, 'a string that is longer than "
							 "forty characters, surely'\n"
							 "end\n";

static void call_loaded(struct vai_vm *vm)
{
	lua_pushliteral(vm->L, "x");
	lua_pushinteger(vm->L, 5);
	if (lua_pcall(vm->L, 2, 4, 0) != LUA_OK)
		fail_msg("%s", lua_tostring(vm->L, -1));
	assert_int_equal(lua_tointeger(vm->L, 1), 16);
	assert_int_equal(lua_tointeger(vm->L, 2), 1);
	assert_int_equal(lua_tointeger(vm->L, 3), 0x123456789abc);
	assert_int_equal(lua_rawlen(vm->L, 4), 53);
	lua_settop(vm->L, 0);
}

static void run_in(struct vai_vm *vm, const struct vai_code *code, bool loaded)
{
	assert_int_equal(lua_gettop(vm->L), loaded);
	if (!loaded) {
		assert_int_equal(vai__code_load(vm->L, code), LUA_OK);
		lua_pushglobaltable(vm->L);
		for (int i = 1; i <= 3; i++) {
			const char *name = lua_getupvalue(vm->L, 1, i);
			lua_pop(vm->L, 1);
			lua_pushvalue(vm->L, strcmp(name, "_ENV") == 0 ? 2 : 3);
			lua_setupvalue(vm->L, 1, i);
		}
		lua_settop(vm->L, 1);
	}
	call_loaded(vm);
}

static void templates(void **state)
{
	const struct states *s = *state;
	struct vai_code *code = code_of(s, script);
	bool clones = strcmp(vai__runtime_mode(), "clone") == 0;
	unsigned refs = atomic_load(&code->obj.refs);
	for (int i = 1; i <= 20; i++) {
		bool loaded = false;
		struct vai_vm *vm = vai__vm_new(code, &loaded);
		assert_int_equal(loaded, clones && i >= 3);
		run_in(vm, code, loaded);
		states_check(vm->L, "collectgarbage() return seen == 1 and ('x'):rep(2) == 'xx' and getmetatable(_G) == nil");
		vai__vm_free(vm);
	}
	assert_int_equal(atomic_load(&code->obj.refs), refs);
	vai__obj_unref(&code->obj);
}

/* What the first goroutines used lies in the template already. */
static void foresight(void **state)
{
	const struct states *s = *state;
	struct vai_code *code = code_of(s, "return function() return tostring(1), string.rep('x', 2), math.random() end");
	size_t bare = 0;
	for (int i = 0; i < 4; i++) {
		bool loaded = false;
		struct vai_vm *vm = vai__vm_new(code, &loaded);
		lua_pushglobaltable(vm->L);
		lua_pushliteral(vm->L, "tostring");
		lua_rawget(vm->L, -2);
		assert_int_equal(lua_type(vm->L, -1), loaded ? LUA_TFUNCTION : LUA_TNIL);
		lua_pushliteral(vm->L, "string");
		lua_rawget(vm->L, -3);
		assert_int_equal(lua_type(vm->L, -1), loaded ? LUA_TTABLE : LUA_TNIL);
		bare = bare ? bare : vm->arena->held;
		assert_true(vm->arena->held < bare + 2000);
		states_check(
			vm->L, "return tostring(1) .. string.rep('x', 2) == '1xx' and math.random(9) and math.floor(1.5) == 1");
		states_check(vm->L, "local n = 0 for k in pairs(string) do n = n + 1 end return n == 17 and tostring");
		vai__vm_free(vm);
	}
	vai__obj_unref(&code->obj);
}

/* Sends the call of the function that the script returns with 5 to a fresh state: how many functions have come with
 * that; the function's result is *result. */
static int call_through(const struct states *s, const char *text, lua_Integer *result)
{
	vai_msg msg;
	struct vai_code *code;
	bool loaded = false;
	if (luaL_loadbuffer(s->L, text, strlen(text), "=text") || lua_pcall(s->L, 0, 1, 0))
		fail_msg("%s: %s", text, lua_tostring(s->L, -1));
	lua_pushinteger(s->L, 5);
	vai__encode_call(s->L, s->vm, 1, 1, &msg, &code, "argument");
	lua_settop(s->L, 0);
	struct vai_vm *vm = vai__vm_new(code, &loaded);
	int came = loaded ? lua_gettop(vm->L) : 0;
	assert_int_equal(vai__decode_call(vm->L, vm, &msg, code, came), 1);
	assert_int_equal(lua_gettop(vm->L), 2);
	lua_call(vm->L, 1, 1);
	*result = lua_tointeger(vm->L, -1);
	vai__vm_free(vm);
	vai__msg_drop(&msg);
	return came;
}

/* Functions that each of the first goroutines got along with theirs lie in the template already; others do not, and
 * every copy has closures of its own. */
static void helpers(void **state)
{
	const struct states *s = *state;
	const bool clones = strcmp(vai__runtime_mode(), "clone") == 0;
	lua_Integer result;
	for (int i = 1; i <= 6; i++) {
		bool late = clones && i >= 3;
		assert_int_equal(call_through(s,
							 "local function double(x) return 2 * x end function inc(x) return x + 1 end\n"
							 "return function(x) return double(inc(x)) end",
							 &result),
			late ? 3 : 0);
		assert_int_equal(result, 12);
		assert_int_equal(call_through(s,
							 "local function adder(k) return function(x) return x + k end end\n"
							 "local a, b = adder(10), adder(100)\n"
							 "return function(x) return a(b(x)) end",
							 &result),
			late ? 2 : 0);
		assert_int_equal(result, 115);
		char text[160];
		snprintf(text, sizeof text,
			"local f = load'local x = ... return x + %d'\n"
			"return function(x) return -f(x) end",
			i);
		assert_int_equal(call_through(s, text, &result), late ? 1 : 0);
		assert_int_equal(result, -5 - i);
	}
	vai__code_forget();
}

static int nothing(lua_State *L)
{
	(void)L;
	return 0;
}

static int open_module(lua_State *L)
{
	static const luaL_Reg funcs[] = {{"one", nothing}, {"two", nothing}, {NULL, NULL}};
	vai__lazy_module(L, vai__state_of(L), funcs);
	return 1;
}

/* The module and io, opened by the first goroutines, are open in the template. */
static void foresight_of_modules(void **state)
{
	const struct states *s = *state;
	struct vai_code *code = code_of(s, "return function() return 'foresight of modules' end");
	for (int i = 0; i < 4; i++) {
		bool loaded = false;
		struct vai_vm *vm = vai__vm_new(code, &loaded);
		lua_getfield(vm->L, LUA_REGISTRYINDEX, LUA_FILEHANDLE);
		assert_int_equal(lua_type(vm->L, -1), loaded ? LUA_TTABLE : LUA_TNIL);
		vai__lazy_require(vm->L, vm, "testmod");
		lua_pushliteral(vm->L, "two");
		lua_rawget(vm->L, -2);
		assert_int_equal(lua_type(vm->L, -1), loaded ? LUA_TFUNCTION : LUA_TNIL);
		states_check(
			vm->L, "local m = require 'testmod' m.two() return rawget(m, 'one') and io.write('') == io.stdout");
		states_check(vm->L, "return tostring(io.stdout):find '^file' and getmetatable(require 'testmod') == nil");
		vm->needs_close = i == 3;
		vai__vm_free(vm);
	}
	vai__obj_unref(&code->obj);
}

/* Copies in the place where the last one lay are like any other, whatever was done with that one. */
static void one_place(void **state)
{
	const struct states *s = *state;
	struct vai_code *code = code_of(s, "return function() return 'one place' end");
	for (int i = 0; i < 60; i++) {
		bool loaded;
		struct vai_vm *vm = vai__vm_new(i % 3 ? code : NULL, &loaded);
		assert_int_equal(lua_gettop(vm->L), loaded);
		lua_settop(vm->L, 0);
		states_check(vm->L,
			"assert(x == nil and string.x == nil and package.preload.y == nil and #table.pack('a', 'b') == 2)\n"
			"x, string.x, string.rep, package.preload.y = {}, 1, nil, print\n"
			"for i = 1, 300 do x[i] = ('s' .. i):upper() end\n"
			"setmetatable(_G, { __index = function() return 5 end }) collectgarbage()\n"
			"return x[300] == 'S300' and z == 5");
		vai__vm_free(vm);
	}
	vai__obj_unref(&code->obj);
}

/* Random numbers differ between states. */
static void random_numbers(void **state)
{
	(void)state;
	lua_Integer drawn[50];
	for (int i = 0; i < 50; i++) {
		struct vai_vm *vm = states_fresh();
		states_check(vm->L, "x = math.random(0) return x");
		lua_getglobal(vm->L, "x");
		drawn[i] = lua_tointeger(vm->L, -1);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(drawn[k], drawn[i]);
		vai__vm_free(vm);
	}
}

/* Constants that could be taken for pointers into the template: wherever it may lie there is
 * one. The function must then not become a template, and run unharmed. */
static void constants_like_pointers(void **state)
{
	const struct states *s = *state;
	const int64_t region = 1 << 19;
	char *p = mmap(NULL, (size_t)region, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(p != MAP_FAILED);
	munmap(p, (size_t)region);
	char *text = malloc(100000), *at = text;
	at += sprintf(at, "local x\nreturn function() local n = 0 for _, v in ipairs{");
	for (int64_t k = -500; k < 500; k++)
		at += sprintf(at, "%lld, ", (long long)((int64_t)(intptr_t)p + k * region / 2 + 64));
	for (int64_t k = 0; k < 20; k++)
		at += sprintf(at, "%lld, ", (long long)((0x100 + k) << 32 | 0x40000040));
	for (int64_t k = 1; k < 200; k++)
		at += sprintf(at, "%lld, ", (long long)((((int64_t)(intptr_t)p >> 32) - k) << 32 | 0x40000040));
	sprintf(at, "} do n = n ~ v end return n end");
	struct vai_code *code = code_of(s, text);
	free(text);
	lua_Integer sum = 0;
	for (int i = 0; i < 6; i++) {
		bool loaded = true;
		struct vai_vm *vm = vai__vm_new(code, &loaded);
		assert_false(loaded);
		assert_int_equal(vai__code_load(vm->L, code), LUA_OK);
		lua_pushglobaltable(vm->L);
		lua_setupvalue(vm->L, 1, 1);
		lua_call(vm->L, 0, 1);
		assert_true(i == 0 || sum == lua_tointeger(vm->L, -1));
		sum = lua_tointeger(vm->L, -1);
		vai__vm_free(vm);
	}
	vai__obj_unref(&code->obj);
}

/* No more than some templates at once, and room again when code objects go. */
static void bounded(void **state)
{
	const struct states *s = *state;
	enum { CODES = 300 };
	static struct vai_code *codes[CODES];
	for (int round = 0; round < 2; round++) {
		int with = 0;
		for (int i = 0; i < CODES; i++) {
			char text[80];
			snprintf(text, sizeof text, "return function() return %d end", round * 1000 + i);
			codes[i] = code_of(s, text);
			for (int k = 0; k < 4; k++) {
				bool loaded = false;
				vai__vm_free(vai__vm_new(codes[i], &loaded));
				with += loaded && k == 3;
			}
		}
		assert_true(with >= 150 && with <= 256);
		for (int i = 0; i < CODES; i++)
			vai__obj_unref(&codes[i]->obj);
		vai__code_forget();
	}
}

/* A function that is too big for a template still runs. */
static void too_big(void **state)
{
	const struct states *s = *state;
	char *text = malloc(1200000), *at = text;
	at += sprintf(at, "return function() return '");
	memset(at, 'x', 1000000);
	sprintf(at + 1000000, "' end");
	struct vai_code *code = code_of(s, text);
	free(text);
	for (int i = 0; i < 5; i++) {
		bool loaded = true;
		struct vai_vm *vm = vai__vm_new(code, &loaded);
		assert_false(loaded);
		vai__vm_free(vm);
	}
	vai__obj_unref(&code->obj);
}

/* ---- threads ---- */

static struct vai_code *shared_code;
static atomic_int failures;

static void *spawn_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		bool loaded = false;
		struct vai_vm *vm = vai__vm_new(shared_code, &loaded);
		if (!loaded && vai__code_load(vm->L, shared_code) != LUA_OK)
			failures++;
		if (!loaded) {
			lua_pushglobaltable(vm->L);
			lua_setupvalue(vm->L, 1, 1);
		}
		lua_pushinteger(vm->L, i);
		if (lua_pcall(vm->L, 1, 1, 0) != LUA_OK || lua_tointeger(vm->L, -1) != i + 3)
			failures++;
		vai__vm_free(vm);
	}
	vai__mem_thread_exit();
	return NULL;
}

static void threads(void **state)
{
	const struct states *s = *state;
	pthread_t t[THREADS];
	shared_code = code_of(s, "return function(i) return i + #tostring(123) + select('#') end");
	failures = 0;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, spawn_many, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(failures, 0);
	vai__obj_unref(&shared_code->obj);
}

int main(void)
{
	const struct CMUnitTest cloned[] = {
		cmocka_unit_test(small),
		cmocka_unit_test(independent),
		cmocka_unit_test(collects_late),
		cmocka_unit_test(has_frames),
		cmocka_unit_test(closes),
		cmocka_unit_test(templates),
		cmocka_unit_test(foresight),
		cmocka_unit_test(helpers),
		cmocka_unit_test(foresight_of_modules),
		cmocka_unit_test(one_place),
		cmocka_unit_test(random_numbers),
		cmocka_unit_test(constants_like_pointers),
		cmocka_unit_test(bounded),
		cmocka_unit_test(too_big),
		cmocka_unit_test(threads),
	};
	const struct CMUnitTest built[] = {
		cmocka_unit_test(independent),
		cmocka_unit_test(closes),
		cmocka_unit_test(templates),
		cmocka_unit_test(helpers),
		cmocka_unit_test(one_place),
		cmocka_unit_test(random_numbers),
		cmocka_unit_test(threads),
	};
	vai__catalog_preload("testmod", open_module);
	int failed = cmocka_run_group_tests_name("template, cloned", cloned, states_setup_cloned, states_teardown);
	return failed + cmocka_run_group_tests_name("template, built", built, states_setup_built, states_teardown);
}
