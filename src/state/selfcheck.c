/* SPDX-License-Identifier: MIT */
/* The self-check: two copies of the template run the same script in turns. If one of them breaks the other, or the
 * template, a later run fails. */
#include "state/selfcheck.h"
#include <lauxlib.h>
#include "sched/sched.h"

static const char script[] =
	"local t = {}\n"
	"for i = 1, 200 do t[i] = (i * 7919) % 1009 end\n"
	"table.sort(t, function(a, b) return a < b end)\n"
	"for i = 2, #t do assert(t[i - 1] <= t[i]) end\n"
	"assert(('abc'):upper() .. string.rep('x', 100):sub(1, 2) == 'ABCxx' and '10' + 1 == 11)\n"
	"local ok, e = pcall(error, {1})\n"
	"assert(not ok and e[1] == 1 and not pcall(string.rep))\n"
	"local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end)\n"
	"assert(co(1) == 2 and co(21) == 42)\n"
	"collectgarbage()\n"
	"local n, closed = 0, false\n"
	"for k in pairs(_G) do assert(_G[k] ~= nil) n = n + 1 end\n"
	"do local c <close> = setmetatable({}, {__close = function() closed = true end}) end\n"
	"assert(n > 20 and closed and _G._G == _G and package.loaded.string == string)\n"
	"local w = setmetatable({}, {__mode = 'k'})\n"
	"for i = 1, 100 do w[{}] = {} end\n"
	"collectgarbage() collectgarbage('step')\n"
	"assert(next(w) == nil and #t == 200 and load('return ...')(7) == 7)\n"
	"setmetatable({}, {__gc = function() end})\n";

static bool passes_checks(lua_State *L)
{
	return luaL_loadbufferx(L, script, sizeof script - 1, "=selfcheck", "t") == LUA_OK &&
		lua_pcall(L, 0, 0, 0) == LUA_OK;
}

static void close_copy(struct vai__arena *a)
{
	lua_close(a->vm.L);
	vai__arena_free(a);
}

const char *vai__selfcheck(const struct vai__template *template)
{
	struct vai__arena *a = vai__template_clone(template);
	struct vai__arena *b = a ? vai__template_clone(template) : NULL;
	if (!b) {
		if (a)
			vai__arena_free(a);
		return "out of memory";
	}
	const char *result = "a copied state does not work";
	bool in_range = a->vm.arena == a && b->vm.arena == b && lua_version(a->vm.L) == LUA_VERSION_NUM;
	if (!in_range) {
		vai__arena_free(a);
		vai__arena_free(b);
		return "this Lua keeps its pointers elsewhere";
	}
	if (passes_checks(a->vm.L) && passes_checks(b->vm.L) && passes_checks(a->vm.L))
		result = NULL;
	close_copy(a);
	if (!result && !passes_checks(b->vm.L))
		result = "a copied state does not survive another";
	close_copy(b);
	return result;
}
