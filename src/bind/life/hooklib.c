/* SPDX-License-Identifier: MIT */
/* debug.sethook and debug.gethook with the effects of the stock functions. A state in which the script has set a hook
 * has vai__hook_tick in its place, which serves preemption and calls the script's hook. If the script's count is
 * larger than VAI__HOOK_TICK, it is counted in parts.
 *
 * The registry has a table of userdata by thread: struct script, with the function as user value. */
#include <lauxlib.h>
#include <string.h>
#include "bind/life/hook.h"
#include "bind/life/life.h"
#include "sched/replay.h"

struct script {
	int mask, count; /* as the script has set them */
	int left;        /* what was left of the count when the present part began */
};

static const char scripts_key;

/* Pushes the userdata of L1 and returns it; NULL: there is none, and nothing is pushed. */
static struct script *push_script(lua_State *L, lua_State *L1)
{
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &scripts_key) == LUA_TTABLE) {
		lua_pushthread(L1);
		lua_xmove(L1, L, 1);
		lua_rawget(L, -2);
		lua_remove(L, -2);
	}
	struct script *s = lua_touserdata(L, -1);
	if (!s)
		lua_pop(L, 1);
	return s;
}

/* Stores the userdata or nil on top for thread L1, and pops it. */
static void store_script(lua_State *L, lua_State *L1)
{
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &scripts_key) != LUA_TTABLE) {
		lua_pop(L, 1);
		lua_createtable(L, 0, 1);
		lua_pushliteral(L, "k");
		lua_setfield(L, -2, "__mode");
		lua_pushvalue(L, -1);
		lua_setmetatable(L, -2);
		lua_pushvalue(L, -1);
		lua_rawsetp(L, LUA_REGISTRYINDEX, &scripts_key);
	}
	lua_pushthread(L1);
	lua_xmove(L1, L, 1);
	lua_pushvalue(L, -3);
	lua_rawset(L, -3);
	lua_pop(L, 2);
}

/* ---- the hook ---- */

/* Calls the script's hook. The userdata is on top. */
static void call_script(lua_State *L, lua_Debug *ar)
{
	static const char *const names[] = {"call", "return", "line", "count", "tail call"};
	lua_getiuservalue(L, -1, 1);
	lua_pushstring(L, names[ar->event]);
	if (ar->currentline >= 0)
		lua_pushinteger(L, ar->currentline);
	else
		lua_pushnil(L);
	lua_call(L, 2, 0);
}

static int next_part(const struct script *s)
{
	if (!(s->mask & LUA_MASKCOUNT))
		return VAI__HOOK_TICK;
	return s->left < VAI__HOOK_TICK ? s->left : VAI__HOOK_TICK;
}

/* Whether the script's hook wants this event, which may be one that only ours wants. */
static bool is_wanted(const struct script *s, int event)
{
	return s->mask & 1 << (event == LUA_HOOKTAILCALL ? LUA_HOOKCALL : event);
}

/* Counts a part. True: the script's count is complete. */
static bool count_part(lua_State *L, struct script *s)
{
	bool full = false;
	if (!(s->mask & LUA_MASKCOUNT))
		return false;
	s->left -= lua_gethookcount(L);
	if (s->left <= 0) {
		s->left = s->count;
		full = true;
	}
	if (next_part(s) != lua_gethookcount(L))
		vai__hook_set(L, vai__hook_tick, lua_gethookmask(L), next_part(s));
	return full;
}

/* The hook calls vai__hook_look at every event, not only when a count completes: Lua also counts the instructions of
 * the script's hook, and a count that completes in there calls no hook. That may happen each time. */
void vai__hook_tick(lua_State *L, lua_Debug *ar)
{
	struct script *s = push_script(L, L);
	if (s) {
		if (ar->event == LUA_HOOKCOUNT ? count_part(L, s) : is_wanted(s, ar->event))
			call_script(L, ar);
		lua_pop(L, 1);
	} else if (ar->event == LUA_HOOKCOUNT && lua_gethookcount(L) != VAI__HOOK_TICK && !vai__hook_looks_always()) {
		/* For an interruption the count was smaller. */
		vai__hook_set(L, vai__hook_tick, lua_gethookmask(L), VAI__HOOK_TICK);
	}
	if (VAI_UNLIKELY(vai__replay_is_on()))
		vai__hook_event(L, ar);
	vai__hook_look(L);
}

/* ---- the functions ---- */

static lua_State *thread_argument(lua_State *L, int *arg)
{
	lua_State *L1 = lua_tothread(L, 1);
	*arg = L1 != NULL;
	return L1 ? L1 : L;
}

static int read_mask(const char *letters, int count)
{
	return (strchr(letters, 'c') ? LUA_MASKCALL : 0) | (strchr(letters, 'r') ? LUA_MASKRET : 0) |
		(strchr(letters, 'l') ? LUA_MASKLINE : 0) | (count > 0 ? LUA_MASKCOUNT : 0);
}

static void push_mask(lua_State *L, int mask)
{
	char letters[4];
	int n = 0;
	if (mask & LUA_MASKCALL)
		letters[n++] = 'c';
	if (mask & LUA_MASKRET)
		letters[n++] = 'r';
	if (mask & LUA_MASKLINE)
		letters[n++] = 'l';
	lua_pushlstring(L, letters, (size_t)n);
}

static void need_stack(lua_State *L, lua_State *L1)
{
	if (VAI_UNLIKELY(L != L1 && !lua_checkstack(L1, 1)))
		luaL_error(L, "stack overflow");
}

static int clear_hook(lua_State *L, lua_State *L1)
{
	need_stack(L, L1);
	lua_pushnil(L);
	store_script(L, L1);
	vai__hook_set(L1, NULL, 0, 0);
	vai__hook_prepare(L1);
	vai__hook_look(L);
	return 0;
}

int vai__hook_sethook(lua_State *L)
{
	int arg;
	lua_State *L1 = thread_argument(L, &arg);
	if (lua_isnoneornil(L, arg + 1))
		return clear_hook(L, L1);
	const char *letters = luaL_checkstring(L, arg + 2);
	luaL_checktype(L, arg + 1, LUA_TFUNCTION);
	int count = (int)luaL_optinteger(L, arg + 3, 0);
	int mask = read_mask(letters, count);
	if (mask == 0)
		return clear_hook(L, L1);
	need_stack(L, L1);
	struct script *s = lua_newuserdatauv(L, sizeof *s, 1);
	*s = (struct script){mask, count, count};
	lua_pushvalue(L, arg + 1);
	lua_setiuservalue(L, -2, 1);
	store_script(L, L1);
	if (vai__preempt_mode() != VAI_PREEMPT_OFF)
		mask |= LUA_MASKCOUNT | vai__hook_points();
	vai__hook_set(L1, vai__hook_tick, mask, next_part(s));
	vai__hook_look(L); /* a script that sets hooks again and again never completes a count */
	return 0;
}

/* The registry keeps s until L1's hook changes. */
int vai__hook_gethook(lua_State *L)
{
	int arg, mask, count;
	lua_Hook hook;
	lua_State *L1 = thread_argument(L, &arg);
	need_stack(L, L1);
	vai__hook_lent(L1, &hook, &mask, &count);
	const struct script *s = hook == vai__hook_tick ? push_script(L, L1) : NULL;
	if (s) {
		mask = s->mask;
		count = s->mask & LUA_MASKCOUNT ? s->count : 0;
		lua_getiuservalue(L, -1, 1);
	} else if (hook && hook != vai__hook_tick) {
		lua_pushliteral(L, "external hook");
	} else {
		lua_pushnil(L);
		if ((mask & ~LUA_MASKCOUNT) == 0) /* the only hook is vai's: one value, as in a state without any */
			return 1;
		count = 0;
	}
	push_mask(L, mask);
	lua_pushinteger(L, count);
	return 3;
}
