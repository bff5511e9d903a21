/* SPDX-License-Identifier: MIT */
/* Code objects, what is read in bytecode, and calls on their way to a goroutine: writes that
 * would be lost, captured globals, a function that is loaded already. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "code/bytecode.h"
#include "code/probe_lua.h"
#include "code/probe_table.h"
#include "runtime/start.h"
#include "stdlib/catalog.h"
#include "transfer/codec.h"
#include "transfer/known_funcs.h"

static lua_State *A, *B;
static struct vai_vm va, vb;
static char warnings[4096];

static void note_warning(const char *line)
{
	size_t n = strlen(warnings);
	snprintf(warnings + n, sizeof warnings - n, "%s\n", line);
}

static void run(lua_State *L, const char *chunk)
{
	if (luaL_loadbufferx(L, chunk, strlen(chunk), "@test.lua", "t") != LUA_OK ||
		lua_pcall(L, 0, LUA_MULTRET, 0) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
}

static int setup(void **state)
{
	(void)state;
	warnings[0] = '\0';
	vai__codec_warn = note_warning;
	A = luaL_newstate();
	B = luaL_newstate();
	luaL_openlibs(A);
	luaL_openlibs(B);
	va = (struct vai_vm){.L = A, .is_host = true};
	vb = (struct vai_vm){.L = B, .is_host = true};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vai__known_funcs_free(va.funcs);
	vai__known_funcs_free(vb.funcs);
	lua_close(A);
	lua_close(B);
	vai__code_forget();
	return 0;
}

/* ---- code objects ---- */

static void drop(struct vai_code *code)
{
	vai__obj_unref(&code->obj);
}

static void test_code_of(void **state)
{
	(void)state;
	run(A,
		"local function mk(x) return function() return x end end\n"
		"return mk(1), mk(2), function() return 1 end, string.dump(mk(1), true)");
	struct vai_code *a = vai__known_funcs_code(A, &va, 1), *b = vai__known_funcs_code(A, &va, 2),
					*c = vai__known_funcs_code(A, &va, -2);
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	assert_string_equal(a->source, "@test.lua");
	assert_int_equal(a->line, 1);
	assert_int_equal(c->line, 2);
	assert_true(a->analyzed);
	assert_int_equal(a->nups, 1);
	assert_string_equal(a->upvals[0].name, "x");
	size_t len;
	const char *bytes = lua_tolstring(A, 4, &len);
	struct vai_code *s = vai__code_from(bytes, len);
	assert_true(s->analyzed);
	assert_string_equal(s->source, "=?");
	assert_null(s->upvals[0].name);
	assert_int_equal(vai__code_load(B, a), LUA_OK);
	lua_pushvalue(B, -1);
	struct vai_code *there = vai__known_funcs_code(B, &vb, 1);
	assert_ptr_equal(there, a);
	assert_int_equal(lua_gettop(A), 4);
	drop(a);
	drop(b);
	drop(c);
	drop(s);
	drop(there);
}

static void test_prototypes_are_seen(void **state)
{
	(void)state;
	assert_true(vai__probe_opcodes_known());
	run(A, "local function mk(x) return function() return x end end return mk(1), mk(2), mk");
	assert_non_null(vai__probe_proto_of(lua_topointer(A, 1)));
	assert_ptr_equal(vai__probe_proto_of(lua_topointer(A, 1)), vai__probe_proto_of(lua_topointer(A, 2)));
	assert_ptr_not_equal(vai__probe_proto_of(lua_topointer(A, 1)), vai__probe_proto_of(lua_topointer(A, 3)));
}

/* Adds to the list in its upvalue whether nobody wants what it returns. */
static int note_discards(lua_State *L)
{
	lua_pushboolean(L, vai__probe_discards(L));
	lua_rawseti(L, lua_upvalueindex(1), (lua_Integer)lua_rawlen(L, lua_upvalueindex(1)) + 1);
	return 0;
}

static void test_wanted_results_are_seen(void **state)
{
	static const char nobody[] = "--+-----+-";
	(void)state;
	lua_newtable(A);
	lua_pushvalue(A, 1);
	lua_pushcclosure(A, note_discards, 1);
	lua_setglobal(A, "f");
	run(A,
		"local x = f() x = { f() } f() x = f() or f() x = (f());"
		"(function() return f() end)() local co = coroutine.wrap(f) co() f()"
		"coroutine.wrap(function() return f() end)()");
	assert_int_equal(lua_rawlen(A, 1), sizeof nobody - 1);
	for (int i = 0; nobody[i]; i++) {
		lua_rawgeti(A, 1, i + 1);
		assert_int_equal(lua_toboolean(A, -1), nobody[i] == '+');
		lua_pop(A, 1);
	}
}

/* A closure that was asked for dies, its prototype lives; and the other way round. */
static void test_asking_again(void **state)
{
	(void)state;
	run(A, "mk = function(x) return function() return x end end return mk(1), mk(2)");
	assert_null(vai__known_funcs_hit(A, &va, 1));
	struct vai_code *code = vai__known_funcs_get(A, &va, 1)->code;
	assert_ptr_equal(vai__known_funcs_hit(A, &va, 1)->code, code);
	assert_ptr_equal(vai__known_funcs_hit(A, &va, 2)->code, code);
	lua_remove(A, 1);
	lua_gc(A, LUA_GCCOLLECT);
	assert_null(vai__known_funcs_hit(A, &va, 1));
	assert_ptr_equal(vai__known_funcs_get(A, &va, 1)->code, code);
	assert_ptr_equal(vai__known_funcs_hit(A, &va, 1)->code, code);
	lua_settop(A, 0);
	for (int i = 0; i < 2000; i++) {
		lua_pushfstring(A, "return function() return %d end", i);
		if (luaL_loadstring(A, lua_tostring(A, -1)) != LUA_OK)
			fail();
		lua_call(A, 0, 1);
		assert_non_null(vai__known_funcs_get(A, &va, -1));
		code = vai__known_funcs_code(A, &va, -1);
		drop(code);
		lua_settop(A, 0);
	}
	assert_true(va.funcs->cap < 20000);
}

/* Threads with states of their own ask for the same functions and let go of them. */
static void *ask_and_drop(void *arg)
{
	lua_State *L = luaL_newstate();
	struct vai_vm vm = {.L = L, .is_host = true};
	for (int i = 0; i < 2000; i++) {
		lua_pushfstring(L, "return %d", i % 5);
		if (luaL_loadstring(L, lua_tostring(L, -1)) != LUA_OK)
			abort();
		struct vai_code *c = vai__known_funcs_code(L, &vm, -1);
		if (!c || !c->analyzed || vai__code_load(L, c) != LUA_OK)
			abort();
		lua_call(L, 0, 1);
		if (lua_tointeger(L, -1) != i % 5)
			abort();
		drop(c);
		lua_settop(L, 0);
		if (i % 50 == 0) {
			vai__code_forget();
			vai__known_funcs_free(vm.funcs);
			vm.funcs = NULL;
		}
	}
	vai__known_funcs_free(vm.funcs);
	lua_close(L);
	return arg;
}

static void test_threads(void **state)
{
	(void)state;
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_and_drop, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

/* ---- facts ---- */

static const struct vai__name *find_name(const struct vai_code *code, const char *upval, const char *name)
{
	for (int i = 0; i < code->nups; i++) {
		const struct vai__upval *up = &code->upvals[i];
		for (int k = 0; k < up->nnames; k++)
			if (strcmp(up->name, upval) == 0 && strcmp(up->names[k].name, name) == 0)
				return &up->names[k];
	}
	return NULL;
}

static const struct vai__upval *find_upval(const struct vai_code *code, const char *name)
{
	for (int i = 0; i < code->nups; i++)
		if (strcmp(code->upvals[i].name, name) == 0)
			return &code->upvals[i];
	fail_msg("no upvalue %s", name);
	return NULL;
}

static void test_facts(void **state)
{
	(void)state;
	run(A,
		"local n, t, u, q, w, z, y, from, into = 0, {}, {}, {}, {}, 0, {}, {}, {}\n"
		"return function(k, v)\n"
		"t.x = 1\n"
		"t.sub.deep.er = 2\n"
		"u[k] = v\n"
		"table.insert(q, v)\n"
		"local function inner() local function innermost()\n"
		"n = n + 1\n"
		"end y[1].x = innermost end\n"
		"g = h\n"
		"config.level = 3\n"
		"table.sort(list)\n"
		"_G.made = _G.used\n"
		"local r = w\n"
		"r[#r + 1] = z\n"
		"local own = {} own.x = 1 own[k] = v\n"
		"if k then own = t else own[1] = 2 end\n"
		"for i = 1, 10 do own = i end\n"
		"do local t = own t.x = 1 end\n"
		"table.move(from, 1, 2, 1, {}) table.move(from, 1, 2, 1, into) table.move(z, 1, k())\n"
		"local _ENV = { hidden = 1 } print(hidden)\n"
		"end");
	struct vai_code *code = vai__known_funcs_code(A, &va, 1);
	assert_int_equal(find_upval(code, "n")->assigned_line, 8);
	assert_int_equal(find_upval(code, "t")->assigned_line, 0);
	assert_int_equal(find_upval(code, "t")->written_line, 3);
	assert_int_equal(find_name(code, "t", "sub")->written_line, 4);
	assert_int_equal(find_upval(code, "u")->written_line, 5);
	assert_int_equal(find_upval(code, "q")->written_line, 6);
	assert_int_equal(find_upval(code, "y")->written_line, 9);
	assert_int_equal(find_upval(code, "w")->written_line, 15);
	assert_int_equal(find_upval(code, "z")->written_line, 0);
	assert_int_equal(find_upval(code, "from")->written_line, 0);
	assert_int_equal(find_upval(code, "into")->written_line, 20);
	assert_int_equal(find_name(code, "_ENV", "g")->assigned_line, 10);
	assert_false(find_name(code, "_ENV", "g")->read);
	assert_true(find_name(code, "_ENV", "h")->read);
	assert_int_equal(find_name(code, "_ENV", "config")->written_line, 11);
	assert_int_equal(find_name(code, "_ENV", "list")->written_line, 12);
	assert_int_equal(find_name(code, "_ENV", "made")->assigned_line, 13);
	assert_true(find_name(code, "_ENV", "used")->read);
	assert_int_equal(find_name(code, "_ENV", "used")->assigned_line, 0);
	assert_null(find_name(code, "_ENV", "hidden"));
	assert_null(find_name(code, "_ENV", "print"));
	assert_false(code->uses_require);
	drop(code);
	lua_settop(A, 0);
	run(A, "return function() return function() return require 'x' end end, function() return package.path end");
	for (int i = 1; i <= 2; i++) {
		code = vai__known_funcs_code(A, &va, i);
		assert_true(code->uses_require);
		drop(code);
	}
}

/* The upvalue that every call of the method is on, by what the code knows; -1: it may be on anything. */
static int owner_of(const struct vai_code *code, const char *method)
{
	int on = -2;
	for (int i = 0; i < code->nfields; i++)
		if (strcmp(code->fields[i].name, method) == 0)
			on = on == -2 || on == code->fields[i].on ? code->fields[i].on : -1;
	assert_int_not_equal(on, -2);
	return on;
}

static void test_whose_method(void **state)
{
	(void)state;
	run(A,
		"local a, b, c = 1, 2, 3\n"
		"return function(x) a:certain() if x then b:branch() end (x and 's' or a):either(); (x or a):second()\n"
		"x:argument() c:assigned() return function() b:nested() c = x return x:outer() end end");
	struct vai_code *code = vai__known_funcs_code(A, &va, 1);
	assert_string_equal(code->upvals[owner_of(code, "certain")].name, "a");
	assert_string_equal(code->upvals[owner_of(code, "nested")].name, "b");
	static const char *const others[] = {"either", "second", "argument", "assigned", "outer"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_int_equal(owner_of(code, others[i]), -1);
	owner_of(code, "branch");
	drop(code);
}

static void test_facts_of_stripped_code(void **state)
{
	(void)state;
	run(A, "local n, t = 0, {} local f = function() n = 1 t.x = print end return string.dump(f, true)");
	size_t len;
	const char *bytes = lua_tolstring(A, 1, &len);
	struct vai_code *code = vai__code_from(bytes, len);
	assert_true(code->analyzed);
	assert_int_equal(code->nups, 3);
	assert_int_equal(code->upvals[0].assigned_line, -1);
	assert_int_equal(code->upvals[1].written_line, -1);
	assert_string_equal(code->upvals[2].names[0].name, "print");
	drop(code);
}

static void test_foreign_bytecode(void **state)
{
	(void)state;
	run(A, "return string.dump(function() n = 1 end)");
	size_t len;
	const char *bytes = lua_tolstring(A, 1, &len);
	char *copy = malloc(len);
	for (size_t i = 4; i < 31; i++) {
		memcpy(copy, bytes, len);
		copy[i] = (char)(copy[i] ^ 0x55);
		struct vai_code *code = vai__code_from(copy, len);
		assert_false(code->analyzed);
		assert_int_equal(code->nups, 0);
		drop(code);
	}
	free(copy);
}

/* Long lines, many lines, many constants, names of every length, deep nesting. */
static void test_unusual_code(void **state)
{
	(void)state;
	run(A,
		"local out = {}\n"
		"out[1] = 'local n = 0 return function() ' .. ('\\n'):rep(1000) .. ' n = 1 ' .. ('\\n'):rep(40) .. ' x = 2 "
		"end'\n"
		"local names = {} for i = 1, 300 do names[i] = 'v' .. ('n'):rep(i % 90) .. i .. ' = 1' end\n"
		"out[2] = 'return function() ' .. table.concat(names, ' ') .. ' last = 1 end'\n"
		"out[3] = 'local n = 0 return ' .. ('function() return '):rep(40) .. 'function() n = 1 end' .. (' "
		"end'):rep(40)\n"
		"out[4] = 'local n = 0 return function() ' .. ('x = y '):rep(200) .. '\\n\\n n = 1 end'\n"
		"for i = 1, 4 do out[i] = assert(load(out[i], '=unusual'))() end return table.unpack(out)");
	static const int lines[] = {1001, 0, 1, 3};
	for (int i = 1; i <= 4; i++) {
		struct vai_code *code = vai__known_funcs_code(A, &va, i);
		assert_true(code->analyzed);
		if (lines[i - 1])
			assert_int_equal(find_upval(code, "n")->assigned_line, lines[i - 1]);
		if (i == 1)
			assert_int_equal(find_name(code, "_ENV", "x")->assigned_line, 1041);
		if (i == 2) {
			assert_int_equal(code->nnames, 301);
			assert_int_equal(find_name(code, "_ENV", "last")->assigned_line, 1);
		}
		drop(code);
	}
}

/* ---- bytes that are not bytecode ---- */

static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

/* In a block of its own size, so that a checker sees every read outside. */
static int read_copy(const char *bytes, size_t len)
{
	struct vai__bytecode bc;
	char *copy = malloc(len ? len : 1);
	memcpy(copy, bytes, len);
	int result = vai__bytecode_read(copy, len, &bc);
	if (result == VAI_OK) {
		for (size_t i = 0; i < bc.nnames; i++) {
			int up = bc.names[i].up;
			if (up <= VAI__BC_FIELD)
				assert_true((size_t)(VAI__BC_FIELD - up) < bc.nnames);
			else if (up >= VAI__BC_METHOD_OF)
				assert_true(up - VAI__BC_METHOD_OF < bc.nups);
			else if (up != VAI__BC_METHOD)
				assert_true(up >= 0 && up < bc.nups);
		}
		vai__bytecode_free(&bc);
	}
	free(copy);
	return result;
}

static void test_mutated_bytecode(void **state)
{
	(void)state;
	uint32_t x = 2463534242u;
	int accepted = 0;
	run(A,
		"local n, t = 0, {} local f = function(...) n = n + 1 t.x.y = print local a = { ... }\n"
		"for i = 1, #a do t[i] = function() return n + a[i], 1.5, 'a long string constant that is not short at all' "
		"end end\n"
		"table.insert(t, n) _G.z = n return n and t or a end return string.dump(f), string.dump(f, true)");
	for (int which = 1; which <= 2; which++) {
		size_t len;
		const char *bytes = lua_tolstring(A, which, &len);
		assert_int_equal(read_copy(bytes, len), VAI_OK);
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(read_copy(bytes, cut), VAI_EINVAL);
		char *copy = malloc(len);
		for (int round = 0; round < 40000; round++) {
			memcpy(copy, bytes, len);
			for (uint32_t n = 1 + next_random(&x) % 4; n > 0; n--) {
				size_t at = round % 4 ? 31 + next_random(&x) % (len - 31) : next_random(&x) % len;
				copy[at] = (char)(next_random(&x) % 3 ? next_random(&x) : 0xff);
			}
			accepted += read_copy(copy, len) == VAI_OK;
		}
		free(copy);
	}
	assert_true(accepted > 1000);
}

/* ---- calls ---- */

static vai_msg msg;
static struct vai_code *code;
static char error[512];

static int encode_call(lua_State *L)
{
	vai__encode_call(L, &va, 1, lua_gettop(L) - 1, &msg, &code, "go: argument");
	return 0;
}

/* Encodes the call that the chunk returns: function, arguments. False: error has why. */
static bool call(const char *chunk)
{
	lua_settop(A, 0);
	lua_pushcfunction(A, encode_call);
	run(A, chunk);
	bool ok = lua_pcall(A, lua_gettop(A) - 1, 0, 0) == LUA_OK;
	snprintf(error, sizeof error, "%s", ok ? "" : lua_tostring(A, -1));
	lua_settop(A, 0);
	return ok;
}

static void end_call(void)
{
	vai__msg_drop(&msg);
	code = NULL;
}

static void test_assigned_locals(void **state)
{
	(void)state;
	assert_false(call("local count = 0\n return function()\n count = count + 1 end"));
	assert_string_equal(error,
		"test.lua:3: goroutine assigns captured local 'count' (declared outside): it would change only its own copy; "
		"send the value through a channel");
	assert_false(call("local a, b = 1, 2\n return function() return a, function()\n b = 2 end end"));
	assert_non_null(strstr(error, "test.lua:3: goroutine assigns captured local 'b'"));
	assert_false(
		call("local n = 0 local f = load(string.dump(function() n = 1 end, true)) debug.setupvalue(f, 1, 0) return f"));
	assert_string_equal(error,
		"?:?: goroutine assigns captured local upvalue 1 (no debug information) (declared outside): it would change "
		"only its own copy; send the value through a channel");
	static const char *const fine[] = {
		"local f f = function(n) return n and f(n - 1) end return f, 1",
		"return function() local n = 0 local function inc() n = n + 1 end inc() end",
		"local n = 0 local function inc() n = n + 1 end return function() inc() end",
		"return function() _ENV = { x = 1 } return x end",
		"return load(string.dump(load '_ENV = { x = 1 } return x', true))",
		"return function(a) a = 1 end, 5",
		"return print, 5",
	};
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
		if (!call(fine[i]))
			fail_msg("%s: %s", fine[i], error);
		end_call();
	}
}

static void test_warnings(void **state)
{
	(void)state;
	const char *again = "local results = {} return function()\n results[1] = 5 end";
	for (int i = 0; i < 3; i++) {
		assert_true(call(again));
		end_call();
	}
	assert_string_equal(warnings,
		"warning: test.lua:2: goroutine writes into captured table 'results': that changes only its own copy; "
		"send the value through a channel\n");
	warnings[0] = '\0';
	assert_true(call("total, log, mine = 0, {}, nil\n return function()\n mine = 1 total = total + 1\n log.x = 1\n "
					 "string.x = 2 end"));
	end_call();
	assert_non_null(strstr(warnings, "test.lua:3: goroutine assigns captured global 'total'"));
	assert_non_null(strstr(warnings, "test.lua:4: goroutine writes into captured global table 'log'"));
	assert_null(strstr(warnings, "mine"));
	assert_null(strstr(warnings, "string"));
	warnings[0] = '\0';
	assert_true(call("function helper()\n total = 5 end return function() helper() end"));
	end_call();
	assert_non_null(strstr(warnings, "test.lua:2: goroutine assigns captured global 'total'"));
	warnings[0] = '\0';
	assert_true(
		call("local m, t, s = string, { x = 1 }, 'x'\n return function() m.x = 1 local own = { t.x } own.y = s end"));
	end_call();
	assert_string_equal(warnings, "");
	setenv("VAI_WARN", "0", 1);
	assert_true(call("local quiet = {} return function() quiet.x = 1 end"));
	unsetenv("VAI_WARN");
	end_call();
	assert_string_equal(warnings, "");
}

static void test_errors_name_the_argument(void **state)
{
	(void)state;
	assert_false(call("return print, 1, { log = io.stdout }"));
	assert_string_equal(
		error, "go: argument 3: field 'log': userdata FILE* cannot be sent: open the file there, or by vai.fs.open");
	assert_false(call("local f = io.stdout return function() return f end"));
	assert_string_equal(
		error, "go: argument 1: upvalue 'f': userdata FILE* cannot be sent: open the file there, or by vai.fs.open");
}

static int encode_numbered(lua_State *L)
{
	vai__encode_call(L, &va, 2, lua_gettop(L) - 2, &msg, &code, "timer: argument 2");
	return 0;
}

static void test_numbered_arguments(void **state)
{
	(void)state;
	lua_pushcfunction(A, encode_numbered);
	run(A, "return 1.5, print, 'x', io.stdout");
	assert_int_equal(lua_pcall(A, 4, 0, 0), LUA_ERRRUN);
	assert_string_equal(lua_tostring(A, -1),
		"timer: argument 4: userdata FILE* cannot be sent: open the file there, or by vai.fs.open");
}

static void test_call_and_decode(void **state)
{
	(void)state;
	assert_true(call("local a, b = 10, { 20 } function add(x, y) return x + y end\n"
					 "return function(c, d) return add(a, b[1]) + c + #d end, 3, 'four'"));
	assert_non_null(code);
	assert_int_equal(vai__decode_call(B, &vb, &msg, NULL, 0), 2);
	assert_int_equal(lua_gettop(B), 3);
	lua_call(B, 2, 1);
	assert_int_equal(lua_tointeger(B, -1), 37);
	lua_settop(B, 0);
	lua_pushliteral(B, "below");
	assert_int_equal(vai__code_load(B, code), LUA_OK);
	const void *loaded = lua_topointer(B, -1);
	assert_int_equal(vai__decode_call(B, &vb, &msg, NULL, 1), 2);
	assert_int_equal(lua_gettop(B), 4);
	assert_ptr_equal(lua_topointer(B, 2), loaded);
	lua_call(B, 2, 1);
	assert_int_equal(lua_tointeger(B, -1), 37);
	assert_string_equal(lua_tostring(B, 1), "below");
	end_call();
	lua_settop(B, 0);
	assert_true(call("return math.max, 3, 9"));
	assert_null(code);
	assert_int_equal(vai__decode_call(B, &vb, &msg, NULL, 0), 2);
	lua_call(B, 2, 1);
	assert_int_equal(lua_tointeger(B, -1), 9);
	end_call();
}

/* A function that is its own upvalue and its own argument. */
static void test_call_with_itself(void **state)
{
	(void)state;
	assert_true(call("local function f(g, t) return g == f and t.f == f end return f, f, { f = f }"));
	assert_int_equal(vai__code_load(B, code), LUA_OK);
	vai__decode_call(B, &vb, &msg, NULL, 1);
	lua_call(B, 2, 1);
	assert_true(lua_toboolean(B, -1));
	end_call();
}

/* What the goroutine's globals are, when stock ones have been redefined. */
static void test_redefined_globals(void **state)
{
	(void)state;
	assert_int_equal(vai__catalog_read(), VAI_OK);
	assert_true(call(
		"function print(x) return 'mine' .. x end own = 1 return function() return print('!'), own, tostring(1) end"));
	run(B, "own = 2");
	vai__decode_call(B, &vb, &msg, NULL, 0);
	lua_call(B, 0, 3);
	assert_string_equal(lua_tostring(B, -3), "mine!");
	assert_int_equal(lua_tointeger(B, -2), 2);
	end_call();
	vai__catalog_drop();
}

/* What a quick look says of a table changes with each field, and with nothing else that is tried. */
static void test_print_of_table(void **state)
{
	static const char *const changes[] = {"t.a = 2", "t.b = 'y'", "t.c = nil", "t.d = false", "t.e = 1", "t.f = print",
		"t.a = 2.5", "for i = 1, 100 do t['n' .. i] = i end", "t.n50 = nil", "t.n51 = 1", "t[2.5] = 1", "t[t] = t"};
	(void)state;
	run(A, "t = { a = 1, b = 'x', c = 3, d = true } return t");
	const void *t = lua_topointer(A, -1);
	uint64_t print = vai__probe_table_print(t);
	assert_true(print != 0);
	run(A, "for i = 1, 100 do local x = t.a, t.b, t['n' .. i], #t, next(t) end t.a = t.a for _ in pairs(t) do end");
	assert_true(vai__probe_table_print(t) == print);
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		run(A, changes[i]);
		uint64_t now = vai__probe_table_print(t);
		if (now == print)
			fail_msg("not seen: %s", changes[i]);
		print = now;
	}
}

int main(int argc, char **argv)
{
	vai__runtime_set_hooks();
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_code_of, setup, teardown),
		cmocka_unit_test_setup_teardown(test_prototypes_are_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wanted_results_are_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_asking_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_facts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whose_method, setup, teardown),
		cmocka_unit_test_setup_teardown(test_facts_of_stripped_code, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_bytecode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unusual_code, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mutated_bytecode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_assigned_locals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_warnings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors_name_the_argument, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbered_arguments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_call_and_decode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_call_with_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_redefined_globals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_print_of_table, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
