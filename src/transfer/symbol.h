/* SPDX-License-Identifier: MIT */
/* Symbols: light userdata that mean nothing but themselves, so they are as cheap as a number, equal in every Lua state,
 * and never collected. Their addresses are in the kernel's half, where no pointer of a program is. A symbol with a name
 * is the same for all that ask for that name; names are kept for the life of the process. Any thread. */
#ifndef VAI_SYMBOL_H
#define VAI_SYMBOL_H

#include <lua.h>
#include "base/base.h"

enum { VAI__SYMBOL_NAMES = 1 << 15, VAI__SYMBOL_NAME_BYTES = 200 };

/* Makes a symbol that is equal to no other. */
uint64_t vai__symbol_new(void);
/* Sets *symbol to the one of that name, of at most VAI__SYMBOL_NAME_BYTES. VAI_OK, VAI_ENOMEM; VAI_EAGAIN: there are
 * VAI__SYMBOL_NAMES already. */
int vai__symbol_named(const char *name, size_t len, uint64_t *symbol);
/* Pushes a symbol, and gives the state's light userdata the metatable that shows symbols, if they have none. May raise
 * for want of memory. */
void vai__symbol_push(lua_State *L, uint64_t symbol);

/* Whether the light userdata with that address is a symbol. */
static inline bool vai__symbol_is(uint64_t word)
{
	return word >> 48 == 0xffea;
}

/* Pushes any light userdata. */
static inline void vai__symbol_push_light(lua_State *L, uint64_t word)
{
	if (VAI_UNLIKELY(vai__symbol_is(word)))
		vai__symbol_push(L, word);
	else
		lua_pushlightuserdata(L, (void *)(uintptr_t)word);
}

#endif
