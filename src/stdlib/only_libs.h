/* SPDX-License-Identifier: MIT */
/* Which standard libraries a goroutine gets. The host's thread notes what its state has; any thread may ask for
 * that. */
#ifndef VAI_ONLY_LIBS_H
#define VAI_ONLY_LIBS_H

#include "base/atomic.h"
#include "sched/sched.h"
#include "state/state.h"

/* Notes which libraries the host's state has not opened: goroutines of that home do not get them either. May raise. */
void vai__only_libs_host(lua_State *L, struct vai__home *home);
/* The libraries that the home's goroutines lack, as bits of vai__only_libs_bit. */
static inline unsigned vai__only_libs_lacking(const struct vai__home *home)
{
	return atomic_load_relaxed(&home->lacks);
}
/* The bit of a standard library other than the base one. */
unsigned vai__only_libs_bit(const char *name);
/* Takes all libraries but these from a state that has not run and is no copy of a function's template. VAI_OK or
 * VAI_ENOMEM. */
int vai__only_libs_keep(struct vai_vm *vm, unsigned libs);

#endif
