/* SPDX-License-Identifier: MIT */
/* What the host has set for the states of a home's goroutines: a sandbox, a function that prepares each state, and the
 * template that has both. Homes with the same settings share a setup. Written by the host's thread under the gate of
 * sched/home.h, before a home with it has a goroutine. */
#ifndef VAI_SETUP_H
#define VAI_SETUP_H

#include <lua.h>
#include "sched/sched.h"
#include "state/template.h"
#include "stdlib/sandbox.h"

struct vai__setup {
	uint64_t id;                    /* never used for another setup */
	struct vai__setup *next;        /* in the list of all; under the gate */
	unsigned refs;                  /* homes that have it; under the gate */
	struct vai__sandbox *sandbox;   /* with a reference; NULL: none */
	lua_CFunction init;             /* of vai_lua_init (vai_lua.h); or NULL */
	bool finalizers;                /* what `init` makes may have finalizers */
	struct vai__template *template; /* NULL: states are built */
	char mode[96];                  /* the text of vai__runtime_mode */
};

/* What a home asks for. */
struct vai__wishes {
	struct vai__sandbox *sandbox; /* NULL: none. Its reference is taken over in any case */
	lua_CFunction init;
	bool finalizers;
	bool (*notes)(struct vai__sandbox *s, void *arg); /* notes in a sandbox what may cross; false: out of memory */
	void *arg;
};

/* Gives the calling main's home the setup that it asks for. VAI_OK; VAI_ENOMEM; VAI_ERANGE: there is a sandbox, and
 * this Lua's libraries are not what was expected; VAI_EINVAL: `init` has failed. */
int vai__setup_open(struct vai__home *home, const struct vai__wishes *wishes);
/* The error of `init`, after VAI_EINVAL. Under the gate. */
const char *vai__setup_error(void);
/* Called when the home closes and all its goroutines have ended. */
void vai__setup_close(struct vai__home *home);
/* Frees all setups, at the end of the runtime. */
void vai__setup_drop(void);

/* Sets the template of states without a setup; NULL: they are built, and mode says why. full: all libraries are open in
 * them. */
void vai__setup_start(const struct vai__template *base, bool full);

#endif
