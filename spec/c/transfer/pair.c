/* SPDX-License-Identifier: MIT */
/* The pair of states and their helpers. */
#include "transfer/pair.h"
#include <lualib.h>
#include <stdlib.h>
#include <string.h>
#include "base/obj.h"
#include "code/probe_lua.h"
#include "state/handle.h"
#include "require/paths.h"
#include "runtime/start.h"
#include "transfer/charge.h"
#include "transfer/known_funcs.h"
#include "transfer/layout.h"
#include "transfer/message.h"

enum { OFTEN = 6 }; /* times until the keys of a table surely have a shape */

lua_State *A, *B;
struct vai_vm va, vb;
bool (*pair_fails)(void);
int things;

static void *lua_alloc(void *ud, void *p, size_t osize, size_t nsize)
{
	(void)ud;
	(void)osize;
	if (nsize == 0) {
		free(p);
		return NULL;
	}
	return (!p || nsize > osize) && pair_fails && pair_fails() ? NULL : realloc(p, nsize);
}

static const char helpers[] =
	"local function order(k)\n"
	"  if type(k) == 'table' then return 'T' .. tostring(rawget(k, 'tag')) end\n"
	"  if math.type(k) == 'float' then return ('f%a'):format(k) end\n"
	"  return (math.type(k) or type(k)) .. tostring(k)\n"
	"end\n"
	"local modules = {}\n"
	"function describe(...)\n"
	"  local ids, queue, out, n, ups, nups = {}, {}, {}, 0, {}, 0\n"
	"  for name, m in pairs(package.loaded) do modules[m] = name end\n"
	"  local function id(x)\n"
	"    if not ids[x] then n = n + 1; ids[x] = n; queue[n] = x end\n"
	"    return ids[x]\n"
	"  end\n"
	"  local function put(s) out[#out + 1] = s end\n"
	"  local function value(v)\n"
	"    local t = math.type(v) or type(v)\n"
	"    if v == _G then put 'G'\n"
	"    elseif t == 'table' and modules[v] then put('M' .. modules[v])\n"
	"    elseif t == 'float' then put(v ~= v and 'nan' or ('f%a'):format(v))\n"
	"    elseif t == 'string' then put(('%d'):format(#v)) put(#v < 300 and ('%q'):format(v) or v:sub(1, 99) .. "
	"v:sub(-99))\n"
	"    elseif t == 'function' and debug.getinfo(v, 'S').what == 'C' and not debug.getupvalue(v, 1) then "
	"put(tostring(v))\n"
	"    elseif t == 'table' or t == 'function' then put(t .. id(v))\n"
	"    elseif t == 'userdata' and debug.getmetatable(v) then put('object')\n"
	"    else put(t .. tostring(v)) end\n"
	"    put ' '\n"
	"  end\n"
	"  for i = 1, select('#', ...) do value((select(i, ...))) end\n"
	"  local i = 0\n"
	"  while i < n do\n"
	"    i = i + 1\n"
	"    local x = queue[i]\n"
	"    put('\\n' .. i .. ': ')\n"
	"    if type(x) == 'table' then\n"
	"      local keys, count = {}, 0\n"
	"      for k in next, x do count = count + 1; keys[count] = k end\n"
	"      if count > 1 then table.sort(keys, function(a, b) return order(a) < order(b) end) end\n"
	"      for _, k in ipairs(keys) do value(k) put '= ' value(x[k]) end\n"
	"      local mt = debug.getmetatable(x)\n"
	"      if mt then put 'meta ' value(mt) end\n"
	"    else\n"
	"      for u = 1, 255 do\n"
	"        local name, v = debug.getupvalue(x, u)\n"
	"        if not name then break end\n"
	"        put(name)\n"
	"        if v ~= _G and debug.getinfo(x, 'S').what ~= 'C' then\n"
	"          local up = debug.upvalueid(x, u)\n"
	"          if not ups[up] then nups = nups + 1; ups[up] = nups end\n"
	"          put('@' .. ups[up])\n"
	"        end\n"
	"        put '= ' value(v)\n"
	"      end\n"
	"      if debug.getinfo(x, 'S').what ~= 'C' then put(string.dump(x)) end\n"
	"    end\n"
	"  end\n"
	"  return table.concat(out)\n"
	"end\n";

void pair_run(lua_State *L, const char *chunk)
{
	if (luaL_loadbufferx(L, chunk, strlen(chunk), "@test.lua", "t") != LUA_OK ||
		lua_pcall(L, 0, LUA_MULTRET, 0) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
}

static int panic(lua_State *L)
{
	fail_msg("%s", lua_tostring(L, -1));
	return 0;
}

static lua_State *open_state(struct vai_vm *vm)
{
	lua_State *L = lua_newstate(lua_alloc, NULL);
	lua_atpanic(L, panic);
	luaL_openlibs(L);
	vai__handle_gc_tells = vai__probe_gc_tells();
	*vm = (struct vai_vm){.L = L, .is_host = true};
	pair_run(L, helpers);
	return L;
}

static void close_state(struct vai_vm *vm)
{
	vai__handles_release(vm);
	vai__codec_release(vm);
	vai__known_funcs_free(vm->funcs);
	vai__layout_free(vm);
	vm->funcs = NULL;
	vai__charge_close(vm);
	lua_close(vm->L);
}

/* ---- objects ---- */

struct thing {
	struct vai_obj obj;
};

static void destroy_thing(struct vai_obj *o)
{
	things--;
	free(o);
}

static const struct vai_class thing_class = {"thing", destroy_thing};
static const struct vai__handle_type thing_type = {&thing_class, "test.thing", NULL, NULL};

/* thing(): a new handle */
static int new_thing(lua_State *L)
{
	struct thing *t = malloc(sizeof *t);
	vai__obj_init(&t->obj, &thing_class);
	things++;
	vai__handle_push(L, L == B ? &vb : &va, &t->obj, true);
	return 1;
}

/* udata(metatable): a full userdata */
static int new_udata(lua_State *L)
{
	lua_newuserdatauv(L, 8, 0);
	lua_pushvalue(L, 1);
	lua_setmetatable(L, -2);
	return 1;
}

void pair_collect(lua_State *L)
{
	lua_gc(L, LUA_GCCOLLECT);
	lua_gc(L, LUA_GCCOLLECT);
}

/* ---- the pair ---- */

void pair_register(void)
{
	vai__handle_register(&thing_type);
}

void pair_open(void)
{
	vai__runtime_set_hooks();
	A = open_state(&va);
	B = open_state(&vb);
	lua_register(A, "thing", new_thing);
	lua_register(A, "udata", new_udata);
}

void pair_close(void)
{
	close_state(&va);
	close_state(&vb);
	vai__code_forget();
	vai__paths_drop(vai__home_of_nobody);
}

char *pair_describe(lua_State *L, int n)
{
	lua_getglobal(L, "describe");
	lua_insert(L, -n - 1);
	if (lua_pcall(L, n, 1, 0) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
	size_t len;
	const char *s = lua_tolstring(L, -1, &len);
	char *copy = malloc(len + 1);
	for (size_t i = 0; i <= len; i++)
		copy[i] = s[i] ? s[i] : i < len ? '0' : '\0';
	lua_pop(L, 1);
	return copy;
}

void pair_compare(void)
{
	char *before = pair_describe(A, 1), *after = pair_describe(B, 1);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

unsigned pair_send_top(void)
{
	vai_msg msg;
	vai__encode(A, &va, -1, &msg, "value");
	unsigned tag = vai__msg_tag(&msg);
	assert_int_equal(vai__decode(B, &vb, &msg), 1);
	lua_pop(B, 1);
	assert_int_equal(vai__decode_take(B, &vb, &msg), 1);
	return tag;
}

unsigned pair_sent(const char *chunk)
{
	unsigned tag = M_NONE;
	for (int i = 0; i < OFTEN; i++) {
		pair_run(A, chunk);
		tag = pair_send_top();
		pair_compare();
	}
	return tag;
}

void pair_round_trip(void)
{
	int n = lua_gettop(A);
	vai_msg msg;
	vai__encode_values(A, &va, 1, n, &msg, "value");
	assert_int_equal(lua_gettop(A), n);
	char *want = pair_describe(A, n);
	for (int i = 0; i < 3; i++) {
		int got = i < 2 ? vai__decode(B, &vb, &msg) : vai__decode_take(B, &vb, &msg);
		assert_int_equal(got, n);
		assert_int_equal(lua_gettop(B), n);
		char *have = pair_describe(B, n);
		assert_string_equal(have, want);
		free(have);
		lua_settop(B, 0);
		pair_collect(B); /* or it would know the metatables */
	}
	assert_true(msg.w[0] == 0 && msg.w[1] == 0);
	free(want);
	lua_settop(A, 0);
	lua_settop(B, 0);
}

void pair_check(const char *chunk)
{
	pair_run(A, chunk);
	pair_round_trip();
}
