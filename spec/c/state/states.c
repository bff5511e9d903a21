/* SPDX-License-Identifier: MIT */
/* Fresh and stock states for the tests of vm/. */
#include "state/states.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/atomic.h"
#include "sched/sched.h"

void states_start(struct states *s, enum states_kind kind)
{
	bool clone = kind != STATES_BUILT;
#ifdef VAI_VALGRIND /* it maps memory where a template may not lie */
	clone = false;
#endif
	if (clone)
		unsetenv("VAI_CLONE");
	else
		setenv("VAI_CLONE", "0", 1);
	s->L = states_stock();
	assert_int_equal(vai__runtime_start(s->L), VAI_OK);
	assert_string_equal(vai__runtime_mode(), clone ? "clone" : "build: VAI_CLONE=0");
	s->vm = vai__vm_attach(s->L);
	assert_non_null(s->vm);
}

void states_stop(struct states *s)
{
	lua_close(s->L);
	vai__vm_detach(s->vm);
	vai__runtime_stop();
	unsetenv("VAI_CLONE");
}

static int setup(void **state, enum states_kind kind)
{
	static struct states shared;
	states_start(&shared, kind);
	*state = &shared;
	return 0;
}

int states_setup_built(void **state)
{
	return setup(state, STATES_BUILT);
}

int states_setup_cloned(void **state)
{
	return setup(state, STATES_CLONED);
}

int states_teardown(void **state)
{
	states_stop(*state);
	return 0;
}

lua_State *states_stock(void)
{
	lua_State *L = luaL_newstate();
	assert_non_null(L);
	luaL_openlibs(L);
	return L;
}

struct vai_vm *states_fresh(void)
{
	bool loaded = true;
	struct vai_vm *vm = vai__vm_new(NULL, &loaded);
	assert_non_null(vm);
	assert_false(loaded);
	assert_int_equal(lua_gettop(vm->L), 0);
	return vm;
}

/* 0x and hexadecimal digits become ADDR: a copy. */
static char *without_addresses(const char *s)
{
	char *out = malloc(2 * strlen(s) + 8), *p = out;
	assert_non_null(out);
	while (*s) {
		if (s[0] == '0' && s[1] == 'x' && isxdigit((unsigned char)s[2])) {
			for (s += 2; isxdigit((unsigned char)*s);)
				s++;
			p += sprintf(p, "ADDR");
		} else {
			*p++ = *s++;
		}
	}
	*p = '\0';
	return out;
}

static const char wrapper[] =
	"local script = ...\n"
	"local out = {}\n"
	"local tostring, concat, select, pcall, load = tostring, table.concat, select, pcall, load\n"
	"local function put(...)\n"
	"	local t = {}\n"
	"	for i = 1, select('#', ...) do t[i] = tostring((select(i, ...))) end\n"
	"	out[#out + 1] = concat(t, '\\t')\n"
	"end\n"
	"local f, e = load(script, '=script')\n"
	"if not f then return 'load: ' .. e end\n"
	"put(pcall(f, put))\n"
	"return concat(out, '\\n')\n";

struct run {
	const char *script;
	char *result;
};

static int run(lua_State *L)
{
	struct run *r = lua_touserdata(L, 1);
	if (luaL_loadstring(L, wrapper) == LUA_OK) {
		lua_pushstring(L, r->script);
		lua_pcall(L, 1, 1, 0);
	}
	r->result = without_addresses(luaL_tolstring(L, -1, NULL));
	return 0;
}

char *states_run(lua_State *L, const char *script)
{
	struct run r = {script, NULL};
	int top = lua_gettop(L);
	lua_pushcfunction(L, run);
	lua_pushlightuserdata(L, &r);
	if (lua_pcall(L, 1, 0, 0) != LUA_OK)
		r.result = strdup("no result");
	lua_settop(L, top);
	return r.result;
}

char *states_run_once(struct vai_vm *vm, const char *script)
{
	char *result = states_run(vm->L, script);
	vai__vm_free(vm);
	return result;
}

void states_check(lua_State *L, const char *script)
{
	if (luaL_loadstring(L, script) != LUA_OK || lua_pcall(L, 0, 1, 0) != LUA_OK)
		fail_msg("%s\n%s", script, lua_tostring(L, -1));
	if (!lua_toboolean(L, -1))
		fail_msg("%s\nis not true", script);
	lua_pop(L, 1);
}
