/* SPDX-License-Identifier: MIT */
/* The table of symbols' names. Entries are added, under the lock, and never change; an open hash table of their
 * numbers finds them. A look takes no lock, because an entry is complete before its number is in the table (release,
 * acquire). */
#include "transfer/symbol.h"
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include "base/atomic.h"
#include "base/hash.h"
#include "base/lock.h"

_Static_assert(sizeof(void *) == sizeof(uint64_t), "symbols are addresses of 64 bits");

#define FIRST ((uint64_t)0xffea << 48)

enum { SLOTS = 2 * VAI__SYMBOL_NAMES };

struct name {
	uint64_t hash;
	size_t len;
	char text[];
};

static struct {
	struct vai_lock lock;
	uint32_t n;                                /* under lock */
	struct name *names[VAI__SYMBOL_NAMES + 1]; /* by number, from 1 on */
	_Atomic(uint32_t) slots[SLOTS];            /* numbers; 0: free */
	_Atomic(uint64_t) nameless;                /* how many there have been */
} all;

static __attribute__((constructor)) void init_all(void)
{
	vai__lock_init(&all.lock, VAI_RANK_CODE);
}

uint64_t vai__symbol_new(void)
{
	return FIRST + VAI__SYMBOL_NAMES + 1 + atomic_fetch_add_relaxed(&all.nameless, 1);
}

static bool is_name(uint32_t number, const char *text, size_t len, uint64_t hash)
{
	const struct name *name = all.names[number];
	return name->hash == hash && name->len == len && memcmp(name->text, text, len) == 0;
}

/* The number of that name; 0: there is none, and *slot is where its number would go. */
static uint32_t find(const char *text, size_t len, uint64_t hash, uint32_t *slot)
{
	for (uint32_t i = (uint32_t)(hash % SLOTS);; i = (i + 1) % SLOTS) {
		uint32_t number = atomic_load_acquire(&all.slots[i]);
		*slot = i;
		if (number == 0 || is_name(number, text, len, hash))
			return number;
	}
}

/* Adds the name and returns its number; 0: there are too many. Takes over *name, which is freed if the name is there
 * already. */
static uint32_t add(struct name *name)
{
	uint32_t slot;
	vai__lock(&all.lock);
	uint32_t number = find(name->text, name->len, name->hash, &slot);
	if (number == 0 && all.n < VAI__SYMBOL_NAMES) {
		number = ++all.n;
		all.names[number] = name;
		atomic_store_release(&all.slots[slot], number);
		name = NULL;
	}
	vai__unlock(&all.lock);
	free(name);
	return number;
}

int vai__symbol_named(const char *text, size_t len, uint64_t *symbol)
{
	uint32_t slot;
	uint64_t hash = vai__hash_bytes(text, len);
	uint32_t number = find(text, len, hash, &slot);
	if (number == 0) {
		struct name *name = malloc(sizeof *name + len);
		if (!name)
			return VAI_ENOMEM;
		name->hash = hash;
		name->len = len;
		memcpy(name->text, text, len);
		number = add(name);
	}
	*symbol = FIRST + number;
	return number ? VAI_OK : VAI_EAGAIN;
}

/* __tostring of all light userdata: those that are no symbols look as they do without a metatable. */
static int light_tostring(lua_State *L)
{
	uint64_t word = (uintptr_t)lua_touserdata(L, 1), number = word - FIRST;
	if (lua_type(L, 1) != LUA_TLIGHTUSERDATA || !vai__symbol_is(word))
		lua_pushfstring(L, "%s: %p", luaL_typename(L, 1), lua_topointer(L, 1));
	else if (number > VAI__SYMBOL_NAMES)
		lua_pushfstring(L, "symbol %I", (LUAI_UACINT)(number - VAI__SYMBOL_NAMES));
	else {
		lua_pushliteral(L, "symbol ");
		lua_pushlstring(L, all.names[number]->text, all.names[number]->len);
		lua_concat(L, 2);
	}
	return 1;
}

/* A metatable that other code has given to light userdata stays. */
void vai__symbol_push(lua_State *L, uint64_t symbol)
{
	luaL_checkstack(L, 4, NULL);
	lua_pushlightuserdata(L, (void *)(uintptr_t)symbol);
	if (VAI_LIKELY(lua_getmetatable(L, -1))) {
		lua_pop(L, 1);
		return;
	}
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, light_tostring);
	lua_setfield(L, -2, "__tostring");
	lua_setmetatable(L, -2);
}
