/* SPDX-License-Identifier: MIT */
/* Sandboxes: what the host lets the scripts of a state use, and their bounds. A name is given as a library ("_G" for
 * globals, "vai" for the module) and a name in it. A home has one sandbox or none (`home->sandbox`); homes whose hosts
 * set the same share one. The host's thread writes it before a home with it has a goroutine; then any thread may read
 * it. A sandbox NULL allows everything. */
#ifndef VAI_SANDBOX_H
#define VAI_SANDBOX_H

#include <lua.h>
#include <lauxlib.h>
#include "base/atomic.h"
#include "base/base.h"
#include "sched/sched.h"
#include "state/state.h"

/* What the goroutines of one state may use; 0: no bound. */
struct vai__sandbox_bounds {
	size_t memory;        /* bytes for each goroutine */
	int64_t cpu;          /* ns of processor time for each goroutine */
	int64_t cpu_in_all;   /* ns for all goroutines together */
	int64_t goroutines;   /* how many may exist at once */
	size_t memory_in_all; /* bytes of all together, with the messages and objects that they have made */
};

enum { VAI__SANDBOX_FUNCTIONS = 64 };

/* For vai's functions and the host's that may cross, the names are the caller's: only their pointers are kept. */
struct vai__sandbox {
	atomic_uint refs;
	uint32_t id;                       /* never used for another sandbox; 0 stands for no sandbox */
	bool bytecode;                     /* load accepts bytecode */
	bool c_modules;                    /* require loads C libraries */
	bool finalizers;                   /* __gc is honoured */
	bool trusts_main;                  /* the host's own state keeps all it has, and accepts no code from goroutines */
	char **allow, **forbid, **modules; /* lists of names, each ended by NULL; NULL: empty */
	luaL_Reg functions[VAI__SANDBOX_FUNCTIONS]; /* the functions of vai that scripts get */
	luaL_Reg *of_host;                          /* C functions of the host's that may cross */
	int nof_host;
	struct {
		uint64_t settled[4];
		unsigned without;
	} removed;                           /* what new states lack; the fields are as in struct vai_vm */
	struct vai__sandbox_function *known; /* C functions that may cross or may not, sorted by address */
	size_t nknown, known_cap;
};

/* The number of open homes that have a sandbox. */
extern atomic_int vai__sandbox_count;

/* The sandbox of the calling goroutine's home, or NULL. */
static inline const struct vai__sandbox *vai__sandbox_self(void)
{
	return VAI_LIKELY(atomic_load_relaxed(&vai__sandbox_count) == 0) ? NULL : vai__home_self()->sandbox;
}

/* The sandbox of the state. A goroutine's state knows it itself, since any thread may close the state of an abandoned
 * goroutine. For the host's state, or vm NULL, it is that of the calling goroutine's home. */
static inline const struct vai__sandbox *vai__sandbox_of(const struct vai_vm *vm)
{
	return VAI_LIKELY(vm && !vm->is_host) ? vm->sandbox : vai__sandbox_self();
}

/* The id of the calling goroutine's sandbox; 0: it has none. */
static inline uint32_t vai__sandbox_id(void)
{
	const struct vai__sandbox *s = vai__sandbox_self();
	return VAI_UNLIKELY(s != NULL) ? s->id : 0;
}

/* A sandbox with copies of the lists of names, which end with NULL, and of the n functions. allow: what scripts get;
 * forbid and modules may be NULL. One reference for the caller. NULL: out of memory. */
struct vai__sandbox *vai__sandbox_new(
	const char *const *allow, const char *const *forbid, const char *const *modules, const luaL_Reg *of_host, int n);
/* Gives a reference back; s may be NULL. Any thread. */
void vai__sandbox_unref(struct vai__sandbox *s);
/* Whether the two are the same but for their ids, before they are prepared; both may be NULL. */
bool vai__sandbox_equals(const struct vai__sandbox *a, const struct vai__sandbox *b);

/* Whether scripts get that name of the library. */
bool vai__sandbox_allows(const struct vai__sandbox *s, const char *lib, const char *name);
/* Whether scripts get anything of the library. */
bool vai__sandbox_allows_any(const struct vai__sandbox *s, const char *lib);
/* Whether `require` may load the module. */
bool vai__sandbox_allows_module(const struct vai__sandbox *s, const char *name);
/* Whether a name of the module "vai" is left out when "vai" alone is allowed: files, sockets, processes and settings
 * of the process. */
bool vai__sandbox_is_harmful(const char *name);

/* Works out what new states lack. Called after the catalog was read and before the first state is made. */
void vai__sandbox_prepare(struct vai__sandbox *s);
/* Removes what is not allowed from a new state with lazy tables. The state is one of the calling goroutine's home, or
 * main's, as for the next functions. */
void vai__sandbox_settle(struct vai_vm *vm);
/* Removes what is not allowed from the library on top of the stack, which is an ordinary table. */
void vai__sandbox_strip(lua_State *L, const char *lib);
/* Removes what is not allowed from a whole state with ordinary tables, and gives it the sandbox's load and require.
 * May raise. */
void vai__sandbox_strip_state(lua_State *L);
/* Wraps the searchers of the package table at idx into ones that ask the sandbox. */
void vai__sandbox_searchers(lua_State *L, int idx, lua_CFunction search_c);

/* ---- C functions that cross ---- */

enum vai__sandbox_verdict { VAI__SANDBOX_FREE, VAI__SANDBOX_BARRED, VAI__SANDBOX_STRANGER };
/* Notes a C function: the name for errors, and whether it may cross. False: out of memory. */
bool vai__sandbox_note(struct vai__sandbox *s, lua_CFunction f, const char *lib, const char *name, bool allowed);
/* Notes all C functions of Lua's own libraries. False: out of memory. */
bool vai__sandbox_note_stock(struct vai__sandbox *s);
/* Sorts the noted functions; from then on vai__sandbox_judge may be called. */
void vai__sandbox_noted(struct vai__sandbox *s);
/* Whether f may be sent. BARRED: it may not, and *name is what to call it. STRANGER: it was not noted. s is not
 * NULL. */
enum vai__sandbox_verdict vai__sandbox_judge(const struct vai__sandbox *s, lua_CFunction f, const char **name);

/* Registers the sandbox's load. Before vai__catalog_read. */
void vai__sandbox_register(void);

#endif
