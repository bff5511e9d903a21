/* SPDX-License-Identifier: MIT */
/* The sandbox: what the host lets scripts use, and their bounds. Names are asked for as a library ("_G" for globals,
 * "vai" for the module) and a name in it. Written by the host's thread while there is no goroutine, read by any
 * thread. Without a sandbox everything is allowed. */
#ifndef VAI_SANDBOX_H
#define VAI_SANDBOX_H

#include <lua.h>
#include <lauxlib.h>
#include "base/base.h"
#include "state/state.h"

/* What the goroutines of one state may use; 0: no bound. */
struct vai__sandbox_bounds {
	size_t memory;      /* bytes for each goroutine */
	int64_t cpu;        /* ns of processor time for each goroutine */
	int64_t cpu_in_all; /* and for all of them */
	int64_t goroutines; /* how many may exist at once */
};

struct vai__sandbox {
	bool active;
	bool bytecode;                     /* load takes it */
	bool c_modules;                    /* require loads C libraries */
	bool finalizers;                   /* __gc is honoured */
	bool trusts_main;                  /* the host's own state keeps what it has, and takes no code from goroutines */
	size_t memory_in_all;              /* bytes of all states' goroutines, with messages and objects; 0: no bound */
	struct vai__sandbox_bounds bounds; /* of a state for which the host has no others */
};
extern struct vai__sandbox vai__sandbox;

/* Copies the lists of names, which end with NULL. VAI_OK or VAI_ENOMEM, and nothing has changed. allow: what scripts
 * get; forbid, modules: may be NULL. */
int vai__sandbox_lists(const char *const *allow, const char *const *forbid, const char *const *modules);
/* Whether the lists are those. */
bool vai__sandbox_has_lists(const char *const *allow, const char *const *forbid, const char *const *modules);
/* Ends the sandbox. */
void vai__sandbox_drop(void);

/* Whether scripts get that name of the library. */
bool vai__sandbox_allows(const char *lib, const char *name);
/* Whether scripts get anything of the library. */
bool vai__sandbox_allows_any(const char *lib);
/* Whether `require` may load the module. */
bool vai__sandbox_allows_module(const char *name);
/* Whether a name of the module "vai" is left out when "vai" alone is allowed: files, sockets, processes and settings of
 * the process. */
bool vai__sandbox_is_harmful(const char *name);

/* Once the catalog is read and before the first state: works out what fresh states lack. */
void vai__sandbox_prepare(void);
/* Puts that into a fresh state whose tables fill themselves. */
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
bool vai__sandbox_note(lua_CFunction f, const char *lib, const char *name, bool allowed);
/* Notes all of Lua's own. */
bool vai__sandbox_note_stock(void);
/* Sorts them; vai__sandbox_judge may be asked from then on. */
void vai__sandbox_noted(void);
/* Whether f may be sent. BARRED: *name gets what to call it. */
enum vai__sandbox_verdict vai__sandbox_judge(lua_CFunction f, const char **name);

/* Registers the sandbox's load. Before vai__catalog_read. */
void vai__sandbox_register(void);

#endif
