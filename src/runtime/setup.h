/* SPDX-License-Identifier: MIT */
/* What the host has wished for the goroutines' states of one of its own: a sandbox, a function that is put into each of
 * them, and the template that has both. States with the same wishes share one. Written under the gate of sched/home.h
 * by the host's thread, before the first goroutine of a home that has it. */
#ifndef VAI_SETUP_H
#define VAI_SETUP_H

#include <lua.h>
#include "sched/sched.h"
#include "state/template.h"
#include "stdlib/sandbox.h"

struct vai__setup {
	uint64_t id;                    /* a number that no other setup ever has */
	struct vai__setup *next;        /* under the gate */
	unsigned refs;                  /* under the gate: homes that have it */
	struct vai__sandbox *sandbox;   /* one reference; NULL: none */
	lua_CFunction init;             /* vai_lua.h: vai_lua_init; or NULL */
	bool finalizers;                /* what the host's function makes may have finalizers */
	struct vai__template *template; /* NULL: states are built */
	char mode[96];                  /* for vai__runtime_mode */
};

/* What a state is to have. */
struct vai__wishes {
	struct vai__sandbox *sandbox; /* NULL: none. The reference is taken over, whatever comes of it */
	lua_CFunction init;
	bool finalizers;
	bool (*notes)(struct vai__sandbox *s, void *arg); /* puts what may cross into a sandbox. False: out of memory */
	void *arg;
};

/* Gives the home, of the calling main, what it wishes. VAI_OK; VAI_ENOMEM; VAI_ERANGE: there is a sandbox, and this
 * Lua's libraries are not what was expected; VAI_EINVAL: the host's function has failed. */
int vai__setup_open(struct vai__home *home, const struct vai__wishes *wishes);
/* After VAI_EINVAL: the error of that function. Under the gate. */
const char *vai__setup_error(void);
/* Called when the home closes and all its goroutines have ended. */
void vai__setup_close(struct vai__home *home);
/* Frees all setups, at the end of the runtime. */
void vai__setup_drop(void);

/* What states are copies of that have no setup: NULL: they are built, and why. full: all libraries are open in them. */
void vai__setup_start(const struct vai__template *base, bool full);

#endif
