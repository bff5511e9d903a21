/* SPDX-License-Identifier: MIT */
/* What the first goroutines of a function use of their states, noted so that the function's template has it in
 * place. Any thread may note: several goroutines of one function do at a time. */
#ifndef VAI_USES_H
#define VAI_USES_H

#include "base/atomic.h"
#include "base/base.h"
#include "state/state.h"

enum { VAI__USES = 28 };

struct vai__uses {
	_Atomic(uint16_t) noted[VAI__USES]; /* kind and index of a use; 0: free */
};

/* A use is a kind and an index below 256. */
enum {
	VAI__USE_LAZY = 1,        /* + VAI__LAZY_*: the name `index` of a table that fills itself */
	VAI__USE_CACHE = 31,      /* `index` handles that are found again when their object comes back, */
	VAI__USE_CACHE_MAX = 8,   /* at most */
	VAI__USE_HANDLE = 32,     /* + handle type: the method `index` */
	VAI__USE_METATABLE = 255, /* as index: not a method but the class's metatable */
	VAI__USE_TABLE = 255      /* as index: not a name but the table itself */
};
/* Notes it in vm->profiled, which is not NULL. */
void vai__uses_note(struct vai_vm *vm, unsigned kind, unsigned index);

#endif
