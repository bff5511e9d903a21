/* SPDX-License-Identifier: MIT */
/* A hook before every instruction finds those that set a field, and looks whether the table is one that came with the
 * call (lost_writes.h); a hook at calls does the same for library functions that write into an argument. The
 * instruction is read from where Lua 5.4 keeps the next one of a running function. */
#include "bind/life/watch_lost_writes.h"
#include <stdlib.h>
#include <string.h>
#include "bind/life/hook.h"
#include "bind/life/life.h"
#include "code/probe_lua.h"
#include "stdlib/catalog.h"
#include "transfer/lost_writes.h"

enum { SETTABUP = 15, SETTABLE = 16, SETFIELD = 18 };

/* The first fields of struct CallInfo in all releases of Lua 5.4. */
struct frame {
	void *func, *top, *previous, *next;
	const uint32_t *next_instruction;
};

static const char *const writer_names[] = {"insert", "remove", "sort", "move", "rawset", "setmetatable"};
enum { WRITERS = sizeof writer_names / sizeof *writer_names, MOVE = 3 };
static const struct vai__entry *writers[WRITERS];

/* Looks at the table on top. ar: the function that writes. */
static void look_at(lua_State *L, lua_Debug *ar, const char *name)
{
	if (lua_istable(L, -1) && vai__lost_is_watched(L)) {
		lua_getinfo(L, "Sl", ar);
		vai__lost_tell(ar->short_src, ar->currentline, name && *name != '(' ? name : NULL);
	}
}

static void look_at_instruction(lua_State *L, lua_Debug *ar)
{
	const struct frame *frame = (const void *)ar->i_ci;
	const uint32_t instruction = frame->next_instruction[-1];
	unsigned op = instruction & 0x7f, a = instruction >> 7 & 0xff;
	const char *name = NULL;
	if (op < SETTABUP || op > SETFIELD)
		return;
	if (op >= SETTABLE)
		name = lua_getlocal(L, ar, (int)a + 1);
	else if (lua_getinfo(L, "f", ar))
		name = lua_getupvalue(L, -1, (int)a + 1);
	if (name)
		look_at(L, ar, name);
}

static void look_at_call(lua_State *L, lua_Debug *ar)
{
	lua_Debug caller;
	int i = 0;
	lua_getinfo(L, "f", ar);
	lua_CFunction f = lua_tocfunction(L, -1);
	while (i < WRITERS && !(writers[i] && vai__catalog_is(writers[i], f)))
		i++;
	if (!f || i == WRITERS || !lua_getstack(L, 1, &caller))
		return;
	bool other = i == MOVE && lua_getlocal(L, ar, 5) && lua_istable(L, -1);
	if (other || lua_getlocal(L, ar, 1))
		look_at(L, &caller, NULL);
}

static void on_event(lua_State *L, lua_Debug *ar)
{
	int top = lua_gettop(L);
	if (ar->event == LUA_HOOKCOUNT)
		look_at_instruction(L, ar);
	else
		look_at_call(L, ar);
	lua_settop(L, top);
	vai__hook_look(L);
}

static bool is_wanted(void)
{
	static const char word[] = "lostwrites";
	const size_t len = sizeof word - 1;
	const char *wish = getenv("VAI_DEBUG");
	for (const char *p = wish; p && (p = strstr(p, word)) != NULL; p += len)
		if ((p == wish || p[-1] == ',') && (p[len] == '\0' || p[len] == ','))
			return true;
	return false;
}

void vai__watch_start(void)
{
	vai__lost_watching = is_wanted() && vai__probe_opcodes_known();
	int table = vai__catalog_lib("table");
	for (int i = 0; i < WRITERS && table >= 0; i++) {
		const struct vai__names *names = i <= MOVE ? &vai__catalog.libs[table].names : &vai__catalog.globals;
		int place = vai__catalog_find(names, writer_names[i], strlen(writer_names[i]));
		writers[i] = place >= 0 ? &names->entries[place] : NULL;
	}
}

void vai__watch_state(lua_State *L)
{
	if (VAI_UNLIKELY(vai__lost_watching))
		vai__hook_set(L, on_event, LUA_MASKCALL | LUA_MASKCOUNT, 1);
}
