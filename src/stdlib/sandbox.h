/* SPDX-License-Identifier: MIT */
/* Sandboxes: what the host lets the scripts of a state use, and their bounds. Names are asked for as a library ("_G"
 * for globals, "vai" for the module) and a name in it. Each home has one or none (`home->sandbox`); states whose hosts
 * wish for the same share one. Written by the host's thread before the first goroutine of a home that has it, read by
 * any thread then. Where the argument is NULL everything is allowed. */
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
	int64_t cpu_in_all;   /* and for all of them */
	int64_t goroutines;   /* how many may exist at once */
	size_t memory_in_all; /* bytes of all of them, with messages and objects that they have made */
};

enum { VAI__SANDBOX_FUNCTIONS = 64 };

/* Of its functions of vai, and of the host's that may cross, no name is kept but by the pointer. */
struct vai__sandbox {
	atomic_uint refs;
	uint32_t id;                       /* a number that no other sandbox ever has; 0 stands for no sandbox */
	bool bytecode;                     /* load takes it */
	bool c_modules;                    /* require loads C libraries */
	bool finalizers;                   /* __gc is honoured */
	bool trusts_main;                  /* the host's own state keeps what it has, and takes no code from goroutines */
	char **allow, **forbid, **modules; /* lists of names, each ended by NULL; NULL: empty */
	luaL_Reg functions[VAI__SANDBOX_FUNCTIONS]; /* those of vai that scripts get */
	luaL_Reg *of_host;                          /* C functions of the host's that may cross */
	int nof_host;
	struct {
		uint64_t settled[4];
		unsigned without;
	} removed;                           /* what fresh states lack: as in struct vai_vm */
	struct vai__sandbox_function *known; /* C functions that may cross, or may not, sorted by address */
	size_t nknown, known_cap;
};

/* How many open homes have a sandbox. */
extern atomic_int vai__sandbox_count;

/* The sandbox of the calling goroutine's home, or NULL. */
static inline const struct vai__sandbox *vai__sandbox_self(void)
{
	return VAI_LIKELY(atomic_load_relaxed(&vai__sandbox_count) == 0) ? NULL : vai__home_self()->sandbox;
}

/* That of a goroutine's state, which it keeps when its goroutine is left behind and any thread closes it; for the
 * host's state (also NULL) that of the calling goroutine's home. */
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

/* Copies the lists of names, which end with NULL, and the functions, of which there are n. NULL: out of memory. allow:
 * what scripts get; forbid, modules: may be NULL. One reference. */
struct vai__sandbox *vai__sandbox_new(
	const char *const *allow, const char *const *forbid, const char *const *modules, const luaL_Reg *of_host, int n);
/* Gives a reference back; does nothing where s is NULL. Any thread may call. */
void vai__sandbox_unref(struct vai__sandbox *s);
/* Whether they are the same but for their ids, before they are prepared; both may be NULL. */
bool vai__sandbox_equals(const struct vai__sandbox *a, const struct vai__sandbox *b);

/* Whether scripts get that name of the library. */
bool vai__sandbox_allows(const struct vai__sandbox *s, const char *lib, const char *name);
/* Whether scripts get anything of the library. */
bool vai__sandbox_allows_any(const struct vai__sandbox *s, const char *lib);
/* Whether `require` may load the module. */
bool vai__sandbox_allows_module(const struct vai__sandbox *s, const char *name);
/* Whether a name of the module "vai" is left out when "vai" alone is allowed: files, sockets, processes and settings of
 * the process. */
bool vai__sandbox_is_harmful(const char *name);

/* Once the catalog is read and before the first state: works out what fresh states lack. */
void vai__sandbox_prepare(struct vai__sandbox *s);
/* What follows is for a state of a goroutine of the calling one's home, or main's. Puts that into a fresh one whose
 * tables fill themselves. */
void vai__sandbox_settle(struct vai_vm *vm);
/* Takes what is not allowed out of the library on top of the stack, which is an ordinary table. */
void vai__sandbox_strip(lua_State *L, const char *lib);
/* The same for all of a state whose tables are ordinary ones, and gives it the sandbox's load and require.
 * May raise. */
void vai__sandbox_strip_state(lua_State *L);
/* Wraps the searchers of the package table at idx. */
void vai__sandbox_searchers(lua_State *L, int idx, lua_CFunction search_c);

/* ---- C functions that cross ---- */

enum vai__sandbox_verdict { VAI__SANDBOX_FREE, VAI__SANDBOX_BARRED, VAI__SANDBOX_STRANGER };
/* Notes one: by which name it is told, and whether it may cross. False: out of memory. */
bool vai__sandbox_note(struct vai__sandbox *s, lua_CFunction f, const char *lib, const char *name, bool allowed);
/* Notes all C functions of Lua's own libraries. False: out of memory. */
bool vai__sandbox_note_stock(struct vai__sandbox *s);
/* Sorts the noted functions; vai__sandbox_judge may be asked from then on. */
void vai__sandbox_noted(struct vai__sandbox *s);
/* Whether f may be sent. BARRED: *name gets what to call it. s: not NULL. */
enum vai__sandbox_verdict vai__sandbox_judge(const struct vai__sandbox *s, lua_CFunction f, const char **name);

/* Registers the sandbox's load. Before vai__catalog_read. */
void vai__sandbox_register(void);

#endif
