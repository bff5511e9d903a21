/* SPDX-License-Identifier: MIT */
/* What a stock state holds, read once from a scratch state: the names in _G and in its libraries with their values,
 * and which C functions are stock. Written by vai__runtime_start alone, read-only afterwards: then any thread may
 * call. */
#ifndef VAI_CATALOG_H
#define VAI_CATALOG_H

#include <lua.h>
#include <lauxlib.h>
#include "base/base.h"

enum vai__kind {
	VAI__KIND_FUNCTION,
	VAI__KIND_STRING,
	VAI__KIND_INTEGER,
	VAI__KIND_FLOAT,
	VAI__KIND_CLOSURE, /* in a library: opening it makes the closure */
	VAI__KIND_LIB,
	VAI__KIND_GLOBALS, /* _G itself */
	VAI__KIND_REQUIRE
};

struct vai__lib;

struct vai__entry {
	char *name; /* owned, as all strings here */
	size_t len;
	enum vai__kind kind;
	union {
		lua_CFunction f;
		struct {
			char *p;
			size_t len;
		} s;
		lua_Integer i;
		lua_Number n;
		const struct vai__lib *lib;
	} u;
};

struct vai__names {
	int n;
	unsigned bit; /* the number of this list's first name; names are numbered through all lists */
	struct vai__entry *entries;
};

struct vai__lib {
	const char *name;
	lua_CFunction open;
	bool opens;              /* opening the library does more than fill its table, so that is done at once */
	int global;              /* its index in globals */
	struct vai__names names; /* all names in the library; none if it `opens` */
};

/* Tables of the first seven libraries can fill themselves. */
enum { VAI__LIBS = 9, VAI__CATALOG_SLOTS = 256, VAI__CATALOG_BITS = 192 };

struct vai__catalog {
	struct vai__names globals;
	struct vai__names arithmetic; /* the names in the metatable of strings */
	struct vai__lib libs[VAI__LIBS];
	uint8_t slots[VAI__CATALOG_SLOTS]; /* a hash table: index of globals + 1; 0: free */
};
extern struct vai__catalog vai__catalog;

/* Reads the catalog. VAI_OK, VAI_ENOMEM, or VAI_EINVAL: this Lua's libraries are not what was expected. */
int vai__catalog_read(void);
/* Frees the catalog, at the end of the runtime. */
void vai__catalog_drop(void);
/* The index of a name in _G, or in a list; -1: it is not there. */
int vai__catalog_global(const char *name, size_t len);
int vai__catalog_find(const struct vai__names *names, const char *name, size_t len);
/* Whether f is the entry's function, or its replacement. */
bool vai__catalog_is(const struct vai__entry *e, lua_CFunction f);
/* Whether the value on top is the entry's, or its replacement. */
bool vai__catalog_holds(lua_State *L, const struct vai__entry *e);
/* Whether f is a function of stock Lua's or of vai's. */
bool vai__catalog_knows(lua_CFunction f);
/* Whether the function at idx is stock's require. */
bool vai__catalog_is_require(lua_State *L, int idx);
/* Makes f count as stock's require, too: it is what the host's state has in its place. */
void vai__catalog_alias_require(lua_CFunction f);
/* The index of the library with this name, or -1. */
int vai__catalog_lib(const char *name);
/* The name of the library with this index. */
const char *vai__catalog_lib_name(int i);
/* Pushes the entry's value if that is a C function, a string or a number; otherwise nil. */
void vai__catalog_push(lua_State *L, const struct vai__entry *e);

/* Replaces the function `name` of lib by f. If stock is not NULL, f is used in new states only, calls *stock, and is
 * sent as *stock. If stock is NULL, f is used in all states, and a replacement of the first kind is ignored. Called
 * before vai__catalog_read. */
void vai__catalog_override(const char *lib, const char *name, lua_CFunction f, lua_CFunction *stock);
/* Sets lib's replacements in the table on top of the stack. */
void vai__catalog_apply(lua_State *L, const char *lib);

/* What to send for the C function f. C functions cross by address, but some stock ones have a replacement in new
 * states (next, setmetatable, io.open, ...). */
lua_CFunction vai__catalog_cfunction_out(lua_CFunction f);
/* What new states have in place of f; NULL: vai does not know f. */
lua_CFunction vai__catalog_fresh(lua_CFunction f);
/* Stock closures that have a state of their own (math.random, require). The first function gives the number of the
 * closure with this C function, or -1; the second the library (NULL: _G) and the name that it has there. */
int vai__catalog_closure_out(lua_CFunction f);
void vai__catalog_closure(int number, const char **lib, const char **name);

/* Sets the one module beyond Lua's own that new states know: "vai". open pushes its table. Called before
 * vai__runtime_start. */
void vai__catalog_preload(const char *name, lua_CFunction open);
extern const char *vai__catalog_preload_name; /* NULL: not set */
extern lua_CFunction vai__catalog_preload_open;

#endif
