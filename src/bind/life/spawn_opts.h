/* SPDX-License-Identifier: MIT */
/* The options of vai.spawn. */
#ifndef VAI_SPAWN_OPTS_H
#define VAI_SPAWN_OPTS_H

#include <lua.h>
#include "base/base.h"

struct vai_vm;

enum { VAI__NAME_MAX = 63 };

struct vai__spawn_opts {
	size_t memory; /* bytes; 0: no bound */
	int64_t cpu;   /* ns; 0: no bound */
	bool has_libs;
	unsigned libs; /* if has_libs: a bit for each library of stdlib/catalog that it gets */
	char name[VAI__NAME_MAX + 1];
};

/* Reads the options from the table at stack index 1 into *b. Raises if they are wrong. */
void vai__spawn_opts_read(lua_State *L, struct vai__spawn_opts *b);
/* Applies them to a new state. VAI_OK or VAI_ENOMEM. */
int vai__spawn_opts_apply(const struct vai__spawn_opts *b, struct vai_vm *vm);

#endif
