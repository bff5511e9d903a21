/* SPDX-License-Identifier: MIT */
/* Reads what lua_dump of Lua 5.4 gives: which upvalues a function assigns, which names it reads and assigns through
 * them, and into which tables that they hold it writes. Functions nested in it count as part of it. No Lua state is
 * needed; any thread may call. */
#ifndef VAI_BYTECODE_H
#define VAI_BYTECODE_H

#include "base/base.h"

enum {
	VAI__BC_METHOD = -2,      /* called on some value */
	VAI__BC_METHOD_OF = 1000, /* called on what upvalue 0 holds; plus 1 for upvalue 1, ... */
	VAI__BC_FIELD = -3        /* of the table that name number 0 is; less 1 for number 1, ... */
};

/* One constant string key used with the table that upvalue `up` holds. */
struct vai__bc_name {
	const char *s; /* into the bytes, not terminated */
	size_t len;
	int up; /* or of what table it is a field: VAI__BC_METHOD, VAI__BC_METHOD_OF and up, VAI__BC_FIELD and down */
	bool read;
	bool whole; /* the table that it holds is used by a key of run time, or goes where its use is not seen */
	int assigned_line, written_line; /* 0: never, -1: somewhere */
};

struct vai__bc_upval {
	const char *name; /* into the bytes, not terminated; NULL: stripped */
	size_t len;
	bool whole; /* as of a name */
	int assigned_line, written_line;
};

struct vai__bytecode {
	const char *source; /* into the bytes, not terminated; NULL: stripped */
	size_t source_len;
	int line;
	bool uses_require;
	bool any_library; /* which fields of libraries it uses is not to be seen: load and its like */
	bool any_global;  /* it loads code without telling which globals that has */
	bool any_method;  /* it may call methods of strings that only the run names: s[name](s) */
	int nups;
	struct vai__bc_upval *upvals;
	size_t nnames, cap_names;
	struct vai__bc_name *names;
	uint32_t *index;    /* hash of names, cap_names * 2 slots: place + 1 */
	const char *sought; /* vai__bytecode_sets */
	bool found;
};

/* VAI_OK; VAI_EINVAL: a format this build does not know, or broken bytes; VAI_ENOMEM. *out
 * is to be freed only after VAI_OK. Never reads outside the bytes. */
int vai__bytecode_read(const char *bytes, size_t size, struct vai__bytecode *out);
void vai__bytecode_free(struct vai__bytecode *bc);
/* Whether the code, with all functions nested in it, sets a field of that constant name in some table. False, too,
 * where the bytes cannot be read. */
bool vai__bytecode_sets(const char *bytes, size_t size, const char *name);

#endif
