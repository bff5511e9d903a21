/* SPDX-License-Identifier: MIT */
/* Code objects: the bytecode of a Lua function, read once, shared by all states.
 * Immutable and reference counted; found by their bytes in a process-wide table. */
#ifndef VAI_CODE_H
#define VAI_CODE_H

#include <lua.h>
#include "base/base.h"
#include "base/obj.h"
#include "state/uses.h"

/* What the code does with a constant string key of a table that an upvalue holds; if the upvalue is _ENV, with a
 * global. Lines: 0: never; -1: somewhere (stripped). */
struct vai__name {
	const char *name; /* NUL-terminated */
	bool read;
	bool stock;        /* a name that every fresh state defines: print, string, ... */
	bool whole;        /* the code may use any field of the table that it holds */
	int assigned_line; /* t.name = ... */
	int written_line;  /* t.name.x = ..., table.insert(t.name, ...) */
	_Atomic(bool) warned;
};

/* What the code, with all functions nested in it, does with one of its own upvalues. */
struct vai__upval {
	const char *name;  /* NULL: stripped */
	int assigned_line; /* a line that assigns it; 0: none, -1: somewhere */
	int written_line;  /* a line that writes into the table it holds */
	_Atomic(bool) warned;
	bool whole; /* as of a name */
	int nnames;
	struct vai__name *names;
};

/* A constant string key used with a table that a global holds. */
struct vai__field {
	const char *name;  /* NUL-terminated */
	const char *table; /* the global's name; of a method: "string" */
	int lib, entry;    /* the place of a stock library and in its names, or -1 (stdlib/catalog.h) */
	int on;            /* the upvalue that a method is always called on, or -1 */
};

/* A function that came along with one that was spawned: its helper. Named by a number, as code objects that name each
 * other by references would keep each other alive. */
enum { VAI__HELPERS = 4 };
struct vai__helper {
	_Atomic(uint64_t) id; /* 0: free */
	_Atomic(unsigned) seen;
};

struct vai_code {
	struct vai_obj obj;
	/* Counting references disturbs no reader of the rest on another CPU. */
	char apart[VAI_CACHELINE - sizeof(struct vai_obj)];
	uint64_t id;    /* a number that no other code object ever has */
	uint64_t setup; /* of the homes for which it is (`home->setup_id`): its templates hold what those wish */
	uint64_t hash;
	size_t size;
	const char *bytes;  /* as lua_dump gave them, debug information kept */
	const char *source; /* chunk name, "?" if stripped */
	int line;           /* where the function begins */
	bool analyzed;      /* false: a bytecode format this build cannot read; upvals has no facts */
	bool assigns;       /* the code assigns an upvalue other than _ENV */
	bool uses_require;  /* the code, or a function nested in it, names require or package */
	bool any_library;   /* what it uses of libraries the code does not tell: load and its like */
	bool any_global;    /* it loads code, which may use any global */
	bool any_method;    /* it may call methods of strings that only the run names */
	int nups;
	int nnames; /* the number of names of all upvalues together */
	struct vai__upval *upvals;
	int nfields;
	struct vai__field *fields;
	size_t alloc;             /* the size of this object with all that it points to, in bytes */
	struct vai_code *next;    /* in the process-wide table */
	_Atomic(unsigned) spawns; /* how often vai__vm_new saw it */
	_Atomic(void *) template; /* runtime/func_template.c: a template with this function loaded, or NULL */
	_Atomic(void *) ready;    /* runtime/call_template.c: one with a whole call of it decoded, or NULL */
	struct vai__uses uses;    /* what its first goroutines touched, for the template */
	struct vai__helper helpers[VAI__HELPERS]; /* what came along with them */
	int nloaded;                   /* helpers that are loaded in the template; written before that is there */
	uint64_t loaded[VAI__HELPERS]; /* their numbers */
};

/* The code object for bytes as lua_dump gives them, in the calling goroutine's home, with a reference. NULL: out of
 * memory. */
struct vai_code *vai__code_from(const char *bytes, size_t size);
/* Lets go of the code objects that are kept only in case they are asked for again. */
void vai__code_forget(void);
/* Notes that `helper` came along with a goroutine of `code`. Any thread. */
void vai__code_note_helper(struct vai_code *code, const struct vai_code *helper);
/* Sets helpers[i] to those that each of the first `spawns` goroutines of `code` got, with a reference each, and returns
 * how many there are. Those that are no more or are long are left out. Any thread. */
int vai__code_helpers(struct vai_code *code, unsigned spawns, struct vai_code *helpers[VAI__HELPERS]);
/* Pushes a fresh closure of it: _ENV (an upvalue named so, or the first of a main chunk)
 * is not set. LUA_OK or an error code with a message pushed. */
int vai__code_load(lua_State *L, const struct vai_code *code);

/* Frees a code object's templates, at its end, if it has any. Set by runtime/start.c, as runtime/ is above. */
extern void (*vai__code_templates_drop)(struct vai_code *code);

#endif
