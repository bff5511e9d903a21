/* SPDX-License-Identifier: MIT */
/* Handles: one userdata for one object in a state, methods on first use, references given
 * back however the state or the call ends. */
#include "state/states.h"
#include <stdlib.h>
#include <string.h>
#include "base/atomic.h"
#include "state/arena.h"
#include "state/handle.h"

/* ---- two classes of objects that count ---- */

struct thing {
	struct vai_obj obj;
	int n;
};

static atomic_int alive;

static void destroy(struct vai_obj *o)
{
	alive--;
	free(o);
}

static const struct vai_class thing_class = {"thing", destroy}, other_class = {"other", destroy},
							  unknown_class = {"unknown", destroy};

static struct vai_obj *new_object(const struct vai_class *cls)
{
	struct thing *t = calloc(1, sizeof *t);
	assert_non_null(t);
	vai__obj_init(&t->obj, cls);
	t->n = 7;
	alive++;
	return &t->obj;
}

static unsigned refs(const struct vai_obj *o)
{
	return atomic_load(&o->refs);
}

static int thing_n(lua_State *L)
{
	struct vai_obj *o = vai__handle_test(L, 1, &thing_class);
	if (!o)
		return luaL_error(L, "not a thing");
	lua_pushinteger(L, ((struct thing *)o)->n);
	return 1;
}

static const luaL_Reg thing_methods[] = {{"n", thing_n}, {"m", thing_n}, {NULL, NULL}};
static const luaL_Reg thing_meta[] = {{"__len", thing_n}, {NULL, NULL}};
static const struct vai__handle_type thing_type = {&thing_class, "vai.thing", thing_methods, thing_meta};
static const luaL_Reg other_methods[] = {{"m", thing_n}, {NULL, NULL}};
static const struct vai__handle_type other_type = {&other_class, "vai.other", other_methods, NULL};

/* ---- the tests, in the host's state and in fresh ones ---- */

static struct vai_vm *vm;
static bool host;

static void open_vm(const struct states *s)
{
	vm = host ? s->vm : states_fresh();
}

static void close_vm(void)
{
	if (host) {
		lua_settop(vm->L, 0);
		lua_gc(vm->L, LUA_GCCOLLECT);
	} else {
		vai__vm_free(vm);
	}
}

static void set(const char *name, struct vai_obj *o, bool fresh)
{
	vai__handle_push(vm->L, vm, o, fresh);
	lua_setglobal(vm->L, name);
}

static void methods(void **state)
{
	open_vm(*state);
	set("a", new_object(&thing_class), true);
	set("b", new_object(&other_class), true);
	states_check(
		vm->L, "return a:n() == 7 and a:m() == 7 and #a == 7 and a.nope == nil and a[1] == nil and a[{}] == nil");
	states_check(vm->L, "return a.n == a.n and rawequal(a.n, a.m) and type(a) == 'userdata' and b.n == nil");
	states_check(vm->L, "local ok, e = pcall(b.m, b) return not ok and e == 'not a thing'");
	states_check(vm->L, "local ok, e = pcall(a.n) return not ok and not pcall(a.n, 1) and not pcall(a.n, io.stdout)");
	states_check(vm->L, "return tostring(a):find('^vai.thing: ') and getmetatable(a) == 'vai.thing'");
	states_check(vm->L, "local ok, e = pcall(function() a.x = 1 end) return not ok and e:find('index')");
	states_check(vm->L, "local ok, e = pcall(function() return #b end) return not ok and e:find('length')");
	lua_getglobal(vm->L, "a");
	assert_non_null(vai__handle_any(vm->L, -1));
	assert_non_null(vai__handle_test(vm->L, -1, &thing_class));
	assert_null(vai__handle_test(vm->L, -1, &other_class));
	lua_pushlightuserdata(vm->L, vm);
	assert_null(vai__handle_any(vm->L, -1));
	memset(lua_newuserdatauv(vm->L, sizeof(struct vai__handle), 0), 0x41, sizeof(struct vai__handle));
	assert_null(vai__handle_any(vm->L, -1));
	assert_null(vai__handle_any(vm->L, 100));
	lua_settop(vm->L, 0);
	states_check(vm->L, "a, b = nil return true");
	close_vm();
	assert_int_equal(alive, 0);
}

static void identity(void **state)
{
	open_vm(*state);
	struct vai_obj *o = new_object(&thing_class);
	vai__obj_ref(o);
	set("a", o, false);
	for (int i = 0; i < 5; i++) {
		vai__obj_ref(o);
		set("b", o, false);
		assert_int_equal(refs(o), 2);
		states_check(vm->L, "return rawequal(a, b) and ({[a] = 1})[b] == 1");
	}
	struct vai_obj *p = new_object(&thing_class);
	vai__obj_ref(p);
	set("c", p, true);
	lua_getglobal(vm->L, "c");
	vai__handle_leaves(vm->L, vm, -1);
	vai__handle_leaves(vm->L, vm, -1);
	lua_settop(vm->L, 0);
	vai__obj_ref(p);
	set("d", p, false);
	assert_int_equal(refs(p), 2);
	states_check(vm->L, "return rawequal(c, d) and not rawequal(a, c)");
	states_check(vm->L, "a, b, c, d = nil collectgarbage() return true");
	assert_int_equal(refs(o), 1);
	assert_int_equal(refs(p), 1);
	vai__obj_ref(o);
	set("a", o, false);
	states_check(vm->L, "return a:n() == 7");
	states_check(vm->L, "a = nil return true");
	close_vm();
	assert_int_equal(refs(o), 1);
	vai__obj_unref(o);
	vai__obj_unref(p);
	assert_int_equal(alive, 0);
}

/* Collected handles leave the list; the rest goes with the state. */
static void collected(void **state)
{
	open_vm(*state);
	for (int i = 0; i < 1000; i++) {
		vai__handle_push(vm->L, vm, new_object(i % 2 ? &thing_class : &other_class), i % 3 == 0);
		if (i % 5 == 0)
			lua_rawseti(vm->L, LUA_REGISTRYINDEX, 1000 + i);
		lua_settop(vm->L, 0);
		if (i % 100 == 0)
			lua_gc(vm->L, LUA_GCCOLLECT);
	}
	lua_gc(vm->L, LUA_GCCOLLECT);
	assert_int_equal(alive, 200);
	int listed = 0;
	for (uint32_t i = 0; i < vm->nrefs; i++)
		listed += !((vm->refs ? vm->refs : vm->few)[i] & 1);
	assert_int_equal(listed, 200);
	if (host)
		for (int i = 0; i < 1000; i += 5) {
			lua_pushnil(vm->L);
			lua_rawseti(vm->L, LUA_REGISTRYINDEX, 1000 + i);
		}
	assert_false(vm->needs_close);
	close_vm();
	assert_int_equal(alive, 0);
}

/* A state with a finalizer is closed; handles are good in finalizers until then. */
static void closed(void **state)
{
	open_vm(*state);
	set("a", new_object(&thing_class), true);
	states_check(vm->L, "local a = a x = setmetatable({}, {__gc = function() assert(a:n() == 7) end}) return true");
	vai__handle_push(vm->L, vm, new_object(&other_class), false);
	states_check(vm->L, "a, x = nil return true");
	close_vm();
	assert_int_equal(alive, 0);
}

static void collect_in_hook(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	lua_gc(L, LUA_GCCOLLECT);
}

/* A hook's C code allocates as any other. */
static void collected_in_a_hook(void **state)
{
	open_vm(*state);
	set("a", new_object(&thing_class), true);
	lua_sethook(vm->L, collect_in_hook, LUA_MASKLINE, 0);
	states_check(vm->L, "a = nil\nlocal x\nreturn true");
	lua_sethook(vm->L, NULL, 0, 0);
	assert_int_equal(alive, 0);
	close_vm();
}

/* What scripts may try to break it. */
static void abused(void **state)
{
	open_vm(*state);
	set("a", new_object(&thing_class), true);
	states_check(
		vm->L, "return not pcall(setmetatable, a, {}) and debug.getmetatable(a).__gc(a) == nil and a:n() == 7");
	states_check(
		vm->L, "debug.getmetatable(a).__gc(a) debug.getmetatable(a).__gc(1) debug.getmetatable(a).__gc() return true");
	assert_int_equal(alive, 1); /* only the collector ends it */
	states_check(vm->L, "a = nil collectgarbage() return true");
	assert_int_equal(alive, 0);
	set("a", new_object(&thing_class), true);
	set("b", new_object(&thing_class), true);
	states_check(vm->L, "debug.setmetatable(a, nil) return not pcall(function() return a:n() end)");
	states_check(vm->L, "a = nil collectgarbage() t = {} for i = 1, 100 do t[i] = ('\\255'):rep(i) end return true");
	states_check(vm->L, "debug.getmetatable(b).__gc = nil b = nil collectgarbage() return true");
	vai__handle_push(vm->L, vm, new_object(&other_class), false);
	lua_settop(vm->L, 0);
	lua_gc(vm->L, LUA_GCCOLLECT);
	assert_int_equal(alive, 2);
	vai__handles_release(vm);
	assert_int_equal(alive, 0);
	close_vm();
}

struct pushing {
	struct vai_obj *o;
	bool fresh;
};

static int push(lua_State *L)
{
	struct pushing *p = lua_touserdata(L, 1);
	vai__handle_push(L, vm, p->o, p->fresh);
	lua_setglobal(L, "pushed");
	return 0;
}

/* The reference is taken over in every case. */
static void out_of_memory(void **state)
{
	(void)state;
	for (int fresh = 0; fresh < 2; fresh++) {
		unsigned n = 1, raised = 0;
		for (bool done = false; !done; n++) {
			vm = states_fresh();
			lua_pushnil(vm->L);
			lua_setglobal(vm->L, "pushed");
			struct vai_obj *o = new_object(&thing_class);
			vai__obj_ref(o);
			struct pushing p = {o, fresh};
			lua_pushcfunction(vm->L, push);
			lua_pushlightuserdata(vm->L, &p);
			vm->arena->failing = n;
			int status = lua_pcall(vm->L, 1, 0, 0);
			done = vm->arena->failing > 1;
			vm->arena->failing = 0;
			raised += status == LUA_ERRMEM || status == LUA_ERRRUN;
			assert_true(status == LUA_OK || refs(o) <= 2);
			vai__vm_free(vm);
			assert_int_equal(refs(o), 1);
			vai__obj_unref(o);
		}
		assert_true(raised >= 5 && raised <= 60);
	}
	assert_int_equal(alive, 0);
}

/* What the first goroutines of a function held, the others find prepared. */
static void foresight(void **state)
{
	const struct states *s = *state;
	bool clones = strcmp(vai__runtime_mode(), "clone") == 0;
	assert_int_equal(luaL_dostring(s->L, "return function() return 'foresight of handles' end"), LUA_OK);
	struct vai_code *code = vai__known_funcs_code(s->L, s->vm, -1);
	lua_settop(s->L, 0);
	for (int i = 0; i < 5; i++) {
		bool loaded = false;
		vm = vai__vm_new(code, &loaded);
		assert_int_equal(loaded, clones && i >= 2);
		assert_int_equal(lua_rawgetp(vm->L, LUA_REGISTRYINDEX, &thing_class), loaded ? LUA_TTABLE : LUA_TNIL);
		struct vai_obj *first = new_object(&thing_class);
		vai__obj_ref(first);
		set("a", first, false);
		for (int k = 0; k < 12; k++)
			set("b", new_object(&thing_class), false);
		set("c", first, false);
		states_check(vm->L, "collectgarbage() return a == c and a ~= b and a:n() == 7 and #b == 7 and a.nope == nil");
		vm->needs_close = i == 4;
		vai__vm_free(vm);
		assert_int_equal(alive, 0);
	}
	vai__obj_unref(&code->obj);
}

static void unknown(void **state)
{
	open_vm(*state);
	struct pushing p = {new_object(&unknown_class), true};
	lua_pushcfunction(vm->L, push);
	lua_pushlightuserdata(vm->L, &p);
	assert_int_equal(lua_pcall(vm->L, 1, 0, 0), LUA_ERRRUN);
	assert_int_equal(alive, 0);
	close_vm();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(methods),
		cmocka_unit_test(identity),
		cmocka_unit_test(collected),
		cmocka_unit_test(collected_in_a_hook),
		cmocka_unit_test(closed),
		cmocka_unit_test(abused),
		cmocka_unit_test(out_of_memory),
		cmocka_unit_test(unknown),
		cmocka_unit_test(foresight),
	};
	vai__handle_register(&thing_type);
	vai__handle_register(&other_type);
	vai__handle_register(&thing_type);
	int failed = cmocka_run_group_tests_name("handle, cloned", tests, states_setup_cloned, states_teardown);
	failed += cmocka_run_group_tests_name("handle, built", tests, states_setup_built, states_teardown);
	host = true;
	return failed + cmocka_run_group_tests_name("handle, host", tests, states_setup_cloned, states_teardown);
}
