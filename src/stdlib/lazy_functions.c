/* SPDX-License-Identifier: MIT */
/* Light C functions that replace stock ones in new states. A stock function is replaced if it would show that a lazy
 * table is not full, make a finalizer (the state then has to be closed in full at its end) or give a script the
 * metatable of a handle. Each replacement ends in a call of the stock function or does the same. In a state that is
 * not vai's it only calls the stock function. */
#include <lua.h>
#include <lauxlib.h>
#include "sched/sched.h"
#include "stdlib/catalog.h"
#include "state/handle.h"
#include "stdlib/lazy.h"
#include "stdlib/sandbox.h"

/* In the order of `replacements`. */
enum {
	NEXT,
	PAIRS,
	RAWGET,
	RAWSET,
	GETMETATABLE,
	SETMETATABLE,
	DEBUG_GETMETATABLE,
	DEBUG_SETMETATABLE,
	IO_OPEN,
	IO_POPEN,
	IO_TMPFILE,
	IO_LINES,
	IO_INPUT,
	IO_OUTPUT,
	IO_READ,
	IO_WRITE,
	IO_CLOSE,
	IO_FLUSH,
	LOADLIB,
	GETREGISTRY,
	REPLACEMENTS
};
static lua_CFunction stock[REPLACEMENTS];

/* The vm if the metatable on top is the hidden one; otherwise NULL. */
static inline struct vai_vm *hidden_on_top(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	return VAI_UNLIKELY(vm && vm->hidden == lua_topointer(L, -1)) ? vm : NULL;
}

/* The vm if the first argument is a lazy table; otherwise NULL. */
static inline struct vai_vm *lazy_argument(lua_State *L)
{
	if (VAI_LIKELY(!lua_getmetatable(L, 1)))
		return NULL;
	struct vai_vm *vm = hidden_on_top(L);
	lua_pop(L, 1);
	return vm;
}

static inline void complete_argument(lua_State *L)
{
	struct vai_vm *vm = lazy_argument(L);
	if (VAI_UNLIKELY(vm != NULL))
		vai__lazy_complete_at(L, vm, 1);
}

static int replaced_next(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	complete_argument(L);
	lua_settop(L, 2);
	if (lua_next(L, 1))
		return 2;
	lua_pushnil(L);
	return 1;
}

static int pairs_continue(lua_State *L, int status, lua_KContext context)
{
	(void)L;
	(void)status;
	(void)context;
	return 3;
}

/* pairs: not stock's, as it has to return our next. */
static int replaced_pairs(lua_State *L)
{
	luaL_checkany(L, 1);
	complete_argument(L);
	if (luaL_getmetafield(L, 1, "__pairs") == LUA_TNIL) {
		lua_pushcfunction(L, replaced_next);
		lua_pushvalue(L, 1);
		lua_pushnil(L);
	} else {
		lua_pushvalue(L, 1);
		lua_callk(L, 1, 3, 0, pairs_continue);
	}
	return 3;
}

static int replaced_rawget(lua_State *L)
{
	struct vai_vm *vm = lazy_argument(L);
	if (VAI_UNLIKELY(vm && lua_gettop(L) >= 2)) {
		lua_settop(L, 2);
		int table = vai__lazy_which(L, vm, 1);
		if (table >= 0)
			vai__lazy_touch(L, vm, table);
		lua_settop(L, 2);
	}
	return stock[RAWGET](L);
}

static int replaced_rawset(lua_State *L)
{
	struct vai_vm *vm = lazy_argument(L);
	int table = VAI_UNLIKELY(vm && lua_gettop(L) >= 3) ? vai__lazy_which(L, vm, 1) : -1;
	if (VAI_LIKELY(table < 0))
		return stock[RAWSET](L);
	lua_settop(L, 3);
	vai__lazy_set(L, vm, table);
	return 1;
}

/* Called when the script gets, or (`sets`) is about to set, the metatable that all values of the first argument's
 * type share. */
static void note_type(lua_State *L, bool sets)
{
	int type = lua_type(L, 1);
	if (type == LUA_TTABLE || type == LUA_TUSERDATA || (!sets && type != LUA_TSTRING && !lua_getmetatable(L, 1)))
		return;
	lua_settop(L, sets ? 2 : 1);
	struct vai_vm *vm = vai__state_of(L);
	if (vm)
		vm->types_seen = true;
	else
		atomic_store_relaxed(&vai__home_self()->types_seen, true);
}

/* Completes the table that is the first argument, or opens the library behind its metatable. */
static void before_getmetatable(lua_State *L)
{
	if (lua_type(L, 1) == LUA_TTABLE) {
		complete_argument(L);
	} else if (lua_type(L, 1) == LUA_TSTRING) {
		struct vai_vm *vm = vai__state_of(L);
		if (vm && vm->hidden)
			vai__lazy_open_string(L, vm);
	}
}

/* getmetatable: does what stock's does with one look at the metatable; that of a handle is shown as its name. */
static int replaced_getmetatable(lua_State *L)
{
	luaL_checkany(L, 1);
	int type = lua_type(L, 1);
	if (type == LUA_TSTRING)
		before_getmetatable(L);
	note_type(L, false);
	if (!lua_getmetatable(L, 1)) {
		lua_pushnil(L);
	} else if (VAI_UNLIKELY(type == LUA_TTABLE && hidden_on_top(L))) {
		complete_argument(L);
		lua_pushnil(L);
	} else if (!(type == LUA_TUSERDATA && vai__handle_is(L, 1) && luaL_getmetafield(L, 1, "__name") != LUA_TNIL)) {
		luaL_getmetafield(L, 1, "__metatable");
	}
	return 1;
}

static int replaced_debug_getmetatable(lua_State *L)
{
	before_getmetatable(L);
	note_type(L, false);
	return stock[DEBUG_GETMETATABLE](L);
}

/* Notes that the state has a finalizer, if the metatable at stack index 2 has __gc. As in Lua, it is the setting of
 * the metatable that counts; a __gc that is added later is ignored. */
static inline void note_finalizer(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	const struct vai__sandbox *sandbox = vai__sandbox_of(vm);
	bool forbidden = sandbox && !sandbox->finalizers;
	if (!vm || (vm->needs_close && VAI_LIKELY(!forbidden)) || lua_type(L, 2) != LUA_TTABLE)
		return;
	lua_pushliteral(L, "__gc");
	if (lua_rawget(L, 2) != LUA_TNIL) {
		if (VAI_UNLIKELY(forbidden))
			luaL_error(L, "the sandbox does not allow finalizers (__gc)");
		vm->needs_close = true;
	}
	lua_pop(L, 1);
}

/* setmetatable: a table without a metatable needs none of stock's checks on the old one. */
static int replaced_setmetatable(lua_State *L)
{
	if (VAI_UNLIKELY(lua_type(L, 1) != LUA_TTABLE || lua_type(L, 2) != LUA_TTABLE)) {
		complete_argument(L);
		return stock[SETMETATABLE](L);
	}
	note_finalizer(L);
	if (lua_getmetatable(L, 1)) {
		struct vai_vm *vm = hidden_on_top(L);
		lua_pop(L, 1);
		if (VAI_UNLIKELY(vm != NULL))
			vai__lazy_complete_at(L, vm, 1);
		return stock[SETMETATABLE](L);
	}
	lua_settop(L, 2);
	lua_setmetatable(L, 1);
	return 1;
}

static int replaced_debug_setmetatable(lua_State *L)
{
	complete_argument(L);
	note_finalizer(L);
	note_type(L, true);
	return stock[DEBUG_SETMETATABLE](L);
}

/* Calls a function of io, which may have come into the state without the library, on whose values in the registry it
 * relies. */
static int io_function(lua_State *L, int index, bool opens)
{
	struct vai_vm *vm = vai__state_of(L);
	if (vm) {
		if (opens)
			vai__state_foreign(L, vm);
		if (VAI_UNLIKELY(!vm->has_io))
			vai__lazy_need(L, vm, "io");
	}
	return stock[index](L);
}

#define IO_FUNCTION(NAME, WHICH, OPENS) \
	static int replaced_##NAME(lua_State *L) \
	{ \
		return io_function(L, WHICH, OPENS); \
	}
IO_FUNCTION(io_open, IO_OPEN, true)
IO_FUNCTION(io_tmpfile, IO_TMPFILE, true)
IO_FUNCTION(io_lines, IO_LINES, true)
IO_FUNCTION(io_input, IO_INPUT, true)
IO_FUNCTION(io_output, IO_OUTPUT, true)
IO_FUNCTION(io_read, IO_READ, true)
IO_FUNCTION(io_write, IO_WRITE, false)
IO_FUNCTION(io_close, IO_CLOSE, false)
IO_FUNCTION(io_flush, IO_FLUSH, false)
#undef IO_FUNCTION

static int replaced_loadlib(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	if (vm) {
		vai__state_foreign(L, vm);
		vai__lazy_fill(L, vm);
	}
	return stock[LOADLIB](L);
}

static int replaced_getregistry(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	if (vm)
		vai__lazy_fill(L, vm);
	return stock[GETREGISTRY](L);
}

static const struct {
	const char *lib, *name;
	lua_CFunction f;
} replacements[REPLACEMENTS] = {
	{"_G", "next", replaced_next},
	{"_G", "pairs", replaced_pairs},
	{"_G", "rawget", replaced_rawget},
	{"_G", "rawset", replaced_rawset},
	{"_G", "getmetatable", replaced_getmetatable},
	{"_G", "setmetatable", replaced_setmetatable},
	{"debug", "getmetatable", replaced_debug_getmetatable},
	{"debug", "setmetatable", replaced_debug_setmetatable},
	{"io", "open", replaced_io_open},
	{"io", "popen", vai__popen},
	{"io", "tmpfile", replaced_io_tmpfile},
	{"io", "lines", replaced_io_lines},
	{"io", "input", replaced_io_input},
	{"io", "output", replaced_io_output},
	{"io", "read", replaced_io_read},
	{"io", "write", replaced_io_write},
	{"io", "close", replaced_io_close},
	{"io", "flush", replaced_io_flush},
	{"package", "loadlib", replaced_loadlib},
	{"debug", "getregistry", replaced_getregistry},
};

void vai__lazy_functions_register(void)
{
	for (int i = 0; i < REPLACEMENTS; i++)
		vai__catalog_override(replacements[i].lib, replacements[i].name, replacements[i].f, &stock[i]);
}
