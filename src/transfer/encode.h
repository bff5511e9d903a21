/* SPDX-License-Identifier: MIT */
/* One list of values on its way into a message: shared by the files of the encoder.
 *
 * Encoding is first tried unguarded: only with API calls that neither raise nor collect, so that no Lua code runs
 * and nothing can be lost. What needs more (a function not met before, a metamethod, an error message, very deep
 * tables) gives ENC_RETRY, and everything begins again inside a protected call, where anything may raise and the
 * caller cleans up. In both cases the encoder lies on the C stack of vai__encode*. */
#ifndef VAI_ENCODE_H
#define VAI_ENCODE_H

#include <lua.h>
#include <lauxlib.h>
#include "base/base.h"
#include "transfer/message.h"
#include "transfer/object_map.h"
#include "state/state.h"
#include "code/code.h"

/* The result of a step of the encoder. A step that writes gives ENC_OK when what it was asked for is in the stream.
 * A step that writes only if something holds gives ENC_NO if it does not, and has written nothing. A question gives
 * ENC_YES or ENC_NO. A result below 0 ends the attempt: every caller hands it on as it is. */
enum vai__enc_result {
	ENC_OK,
	ENC_NO,
	ENC_YES,
	ENC_RETRY = -1, /* begin again: guarded, or with another setting */
	ENC_NOMEM = -2,
	ENC_FAIL = -3 /* guarded only: the message stands in ERROR_SLOT */
};

enum {
	MAX_DEPTH = 48,   /* nesting that is followed by recursion; deeper contents are written later, in sections */
	INNER_DEPTH = 4,  /* the same in what a __vai_send sends: a hundred of these find room on a stack */
	LEVEL_STACK = 14, /* Lua stack slots that one level may use */
	KEY_SLOTS = 16,   /* string keys that are remembered by address */
	SMALL = 384,      /* bytes of the encoder's own buffer; a longer stream goes to a block */
	/* The guarded call's stack: the error message, then tables or nil, then the values. */
	ERROR_SLOT = 1,
	SENDS_SLOT = 2, /* value to what its __vai_send gave: once per value, and kept alive */
	LATER_SLOT = 3, /* list of tables and functions whose contents are to follow */
	METAS_SLOT = 4, /* list of slot, metatable, ... to be set at the very end */
	GUARDED_VALUES = 5
};

/* How a value came to be encoded. */
enum {
	/* An upvalue, captured global, field of a module, metatable or argument of a call is this value itself, not a table
	 * in which the value lies: so it may be a module. */
	ENC_DIRECT = 1,
	ENC_TRANSLATED = 2, /* it is what __vai_send has given */
	ENC_METATABLE = 4,  /* as a metatable: what __vai_send gives for it has to be a table or nil */
	ENC_KEY = 8         /* as a key: what __vai_send gives for it has to be a key */
};

/* Values of the map of what was met: kind, number, place in the stream. */
enum vai__seen_kind { SEEN_OBJECT, SEEN_UPVALUE, SEEN_NAME, SEEN_MODULE, SEEN_NOTHING };

struct vai__func;

struct vai__enc {
	lua_State *L;
	struct vai_vm *vm;
	unsigned char *p, *end, *base; /* where the stream goes on, ends and begins */
	struct vai__block *heap;       /* the block in which base is; NULL: base is `small` */
	size_t last_ref;               /* place of the last reference in the stream; 0: none */
	const void *globals;           /* the address of the state's table of globals */
	const struct vai__func *body;  /* of a call, unguarded: what the state remembers of its function; or NULL */
	const char *what;              /* how error messages call the one value, or all, with a number after it */
	int number;                    /* the number of the first value in error messages; 0: there is only one */
	int first, n;                  /* the values to encode: stack index of the first, and how many */
	/* Makes the image of the class at idx; raises (codec.c). */
	struct vai__block *(*image_of)(lua_State *L, struct vai_vm *vm, int idx);
	uint64_t number_of_all; /* a number of this encoding that no other has in the process; 0: not given yet */
	uint32_t nslots;
	int depth, deepest, max_depth; /* nesting: now, the most so far, the most that is followed */
	int apart;                     /* tables around the value that is written, and one more where it is no capture */
	enum vai__enc_result result;   /* of the guarded call */
	bool guarded;
	bool call;         /* for a goroutine: lost writes are reported */
	bool all_modules;  /* every table is checked, and `seen` knows all modules */
	bool looked;       /* of a call: modules and libraries have been looked at whether the script has changed them, */
	bool noted;        /* and what it has told `require`, too; */
	bool methods;      /* or those of strings alone, and it has */
	bool library;      /* the value that was written last is a standard library as such */
	bool all_globals;  /* some code may use globals by names of run time: all of the script's go along, */
	bool globals_put;  /* and are written; */
	bool falls_back;   /* or it may use those of a table that falls back to them: such a one is written */
	bool types;        /* of a call: some type has a metatable that a fresh state has not so */
	bool globals_meta; /* of a call: _G has a metatable */
	bool classes;      /* every table is looked at whether it is one */
	bool image;        /* of a class: those that it knows are in it */
	bool late_metas;   /* some metatable has __gc: set metatables when all is there */
	uint8_t module_scans;
	uint8_t flags; /* of the block */
	uint8_t nkeys;
	uint16_t key_slots; /* which of keys are in use */
	lua_Integer nlater, nmetas;
	const char *keys[KEY_SLOTS]; /* string keys met, by address */
	uint32_t key_at[KEY_SLOTS];  /* where they stand in the stream */
	struct vai__object_map seen;
	uint8_t calls; /* calls of __vai_send that are being written inside of one another */
	unsigned char small[SMALL];
};

static inline uint64_t vai__seen_value(enum vai__seen_kind kind, unsigned number, size_t at)
{
	return (uint64_t)kind << 60 | (uint64_t)number << 52 | at;
}

static inline enum vai__seen_kind vai__seen_kind(uint64_t value)
{
	return (enum vai__seen_kind)(value >> 60);
}

static inline unsigned vai__seen_number(uint64_t value)
{
	return (unsigned)(value >> 52 & 0xff);
}

static inline size_t vai__seen_at(uint64_t value)
{
	return (size_t)(value & (((uint64_t)1 << 52) - 1));
}

/* ---- the stream (encode.c) ---- */

/* Makes room for n more bytes in a bigger block; what e points to moves. False: memory is out, or n is too much. */
bool vai__enc_grow(struct vai__enc *e, size_t n);

static inline bool vai__enc_room(struct vai__enc *e, size_t n)
{
	return VAI_LIKELY((size_t)(e->end - e->p) >= n) || vai__enc_grow(e, n);
}

/* The place at which the stream goes on. */
static inline size_t vai__enc_at(const struct vai__enc *e)
{
	return (size_t)(e->p - e->base);
}

static inline enum vai__enc_result vai__enc_tag(struct vai__enc *e, enum vai__tag tag)
{
	if (!vai__enc_room(e, 1))
		return ENC_NOMEM;
	*e->p++ = (unsigned char)tag;
	return ENC_OK;
}

/* Writes a tag and 8 bytes. */
enum vai__enc_result vai__enc_word(struct vai__enc *e, enum vai__tag tag, uint64_t word);
/* Writes a reference of the stream's own at e->p, where there is room. */
void vai__enc_reference(struct vai__enc *e, struct vai_obj *o);
/* Writes a string as T_SHORT or T_LONG. */
enum vai__enc_result vai__enc_string(struct vai__enc *e, int idx);
/* The slot of what begins at `at`; if it has none it gets one. */
uint32_t vai__enc_slot(struct vai__enc *e, size_t at);
/* Writes an object that is in the stream already as T_REF, or as the module that it is. ENC_NO: it is noted as what
 * is about to be written. */
enum vai__enc_result vai__enc_met(struct vai__enc *e, int idx, const void *object);
/* Notes that the contents of what begins at `at` are to follow later. Guarded only. */
enum vai__enc_result vai__enc_later(struct vai__enc *e, int idx, size_t at);
/* The same for the metatable at mt of the table that begins at `at`: it is set when all is there. */
enum vai__enc_result vai__enc_late_meta(struct vai__enc *e, int mt, size_t at);

/* ---- values ---- */

/* Writes the value at idx, of that Lua type; how: ENC_DIRECT ... */
enum vai__enc_result vai__enc_typed(struct vai__enc *e, int idx, int type, int how);

static inline enum vai__enc_result vai__enc_value(struct vai__enc *e, int idx, int how)
{
	return vai__enc_typed(e, idx, lua_type(e->L, idx), how);
}

/* Writes all values, and the sections after them. */
enum vai__enc_result vai__enc_all(struct vai__enc *e);

/* ---- tables (encode_table.c) ---- */

/* Writes the table at idx, in whatever form it is known by. */
enum vai__enc_result vai__enc_table(struct vai__enc *e, int idx, int how);
/* Writes the contents of the table at t, whose head is at `at` and gets their counts, with the metatable at mt (0:
 * none). checked: it is known not to be a module. */
enum vai__enc_result vai__enc_table_body(struct vai__enc *e, int t, int mt, size_t at, bool checked);

/* ---- globals (encode_globals.c) ---- */

static inline bool vai__enc_holds_globals(const struct vai__enc *e, int idx)
{
	return lua_istable(e->L, idx) && lua_topointer(e->L, idx) == e->globals;
}

/* Whether the value is a table as `setmetatable({}, { __index = _G })` makes it. vm->funcs is there. */
bool vai__enc_falls_back(struct vai__enc *e, int idx);
/* Writes the globals that the function at f names: T_NAME. */
enum vai__enc_result vai__enc_captures(struct vai__enc *e, int f, const struct vai_code *code, int names);
/* Writes all that the script has set: T_NAME. What cannot be sent is left out. */
enum vai__enc_result vai__enc_all_globals(struct vai__enc *e);

/* ---- functions (encode_func.c) ---- */

/* Writes the function at idx, of Lua or C. */
enum vai__enc_result vai__enc_function(struct vai__enc *e, int idx);
/* Writes the contents of the function at idx, whose head is at `at`. known: what the state remembers of it, if the
 * caller knows; NULL: it is looked up. */
enum vai__enc_result vai__enc_function_body(struct vai__enc *e, int idx, size_t at, const struct vai__func *known);

/* ---- plain calls (encode_plain.c) ---- */

/* Writes a call whose function (e->body) uses no globals, has captured only scalars and objects, and gets only those.
 * ENC_NO: it is another one, and what has been written is to be given back. */
enum vai__enc_result vai__enc_plain_call(struct vai__enc *e);
/* Keeps the plain call that has been written as a plan for the function's next ones, if it is one that can be. */
void vai__enc_plan_make(const struct vai__enc *e);
/* Writes a call of the function at f by its plan. NULL: there is none that fits, or no memory; nothing has changed.
 * Neither raises nor collects. */
struct vai__block *vai__enc_plan_write(lua_State *L, struct vai_vm *vm, int f, int nargs);

/* ---- lost assignments (encode_shared_locals.c) ---- */

/* For a function that a goroutine's function has captured: raises if it assigns a local that others share. ENC_RETRY:
 * to find that out takes a guarded look. */
enum vai__enc_result vai__enc_lost(struct vai__enc *e, int f, const struct vai_code *code);

/* ---- changed libraries and modules (encode_field.c) ---- */

/* Writes T_FIELD for each field of a library or module that the function at f uses and that is not as in a fresh
 * state. */
enum vai__enc_result vai__enc_fields(struct vai__enc *e, int f, const struct vai_code *code, int names);

/* ---- metatables of types (encode_types.c) ---- */

/* Writes T_TYPE for each metatable of a type (e->types) and of _G (e->globals_meta) that is not as in a fresh state. */
enum vai__enc_result vai__enc_types(struct vai__enc *e);

/* ---- modules and metamethods (encode_module.c) ---- */

/* For a function that may use of modules and libraries what its code does not tell: the new goroutine gets what the
 * script has changed in any of them. Does nothing unless a call is encoded, as the next two. */
enum vai__enc_result vai__enc_tell_changes(struct vai__enc *e);
/* For a function that may call methods of strings by names that only the run tells: the same for the library of
 * strings. */
enum vai__enc_result vai__enc_tell_methods(struct vai__enc *e);
/* For a function that may require modules: the new goroutine also gets what the script has told `require`. */
enum vai__enc_result vai__enc_tell_paths(struct vai__enc *e);
/* Whether the table at idx is a loaded module. */
enum vai__enc_result vai__enc_is_module(struct vai__enc *e, int idx);
/* The name of the module at idx, valid until the next call of Lua; NULL: it is not known yet, or this is unguarded. */
const char *vai__enc_name_of(struct vai__enc *e, int idx);
/* Whether the table at idx is a loaded module. Called before anything is encoded: it makes what it needs, and may
 * raise. */
bool vai__enc_has_name(struct vai__enc *e, int idx);
/* Writes the module at idx by its names. */
enum vai__enc_result vai__enc_module(struct vai__enc *e, int idx);
/* Writes the value at idx as a member of a module, by the names that lead to it there. ENC_NO: no module has it;
 * nothing but the stream has changed then. */
enum vai__enc_result vai__enc_member(struct vai__enc *e, int idx);
/* The same for a kind of value that is seldom sent and useless alone: also looks at modules that were loaded without
 * `require`. */
enum vai__enc_result vai__enc_stranger(struct vai__enc *e, int idx);
/* Makes vm->funcs->loaded. ENC_YES: it is there; ENC_NO: nothing has been loaded in this state. */
enum vai__enc_result vai__enc_need_loaded(struct vai__enc *e);
/* Writes a table that fills itself, which has the hidden metatable. ENC_NO: it has to be written as any other. */
enum vai__enc_result vai__enc_lazy(struct vai__enc *e, int idx);
/* The table at idx is the library of that name, not filled yet. */
bool vai__enc_is_lazy_lib(struct vai__enc *e, int idx, const char *name);
/* Tells `seen` of all modules, for all_modules. */
enum vai__enc_result vai__enc_all_modules(struct vai__enc *e);
/* Whether the metatable on top of the stack has a __vai_send, which is pushed then. */
enum vai__enc_result vai__enc_has_send(struct vai__enc *e);
/* Writes what the metamethod on top gives for the value at idx. Guarded only. */
enum vai__enc_result vai__enc_translated(struct vai__enc *e, int idx, int how);

/* ---- classes (encode_class.c) ---- */

/* Writes the table at idx as a class, if it is a metatable or looks like a class; it was noted as met at the end of the
 * stream. ENC_NO: the caller writes its contents. */
enum vai__enc_result vai__enc_class(struct vai__enc *e, int idx, int how);

/* ---- errors (encode_error.c) ---- */

/* "thread cannot be sent"; ENC_RETRY where unguarded. */
enum vai__enc_result vai__enc_unsendable(struct vai__enc *e, int idx);
/* Fails because a C function belongs to no loaded module and the host forbids that; ENC_RETRY where unguarded. */
enum vai__enc_result vai__enc_homeless(struct vai__enc *e);
/* Fails because the sandbox does not allow that C function (NULL: it has no name); ENC_RETRY where unguarded. */
enum vai__enc_result vai__enc_barred(struct vai__enc *e, const char *name);
/* Fails because what __vai_send gave, on top of the stack, cannot stand there (`what` says where), or because
 * __vai_send itself, on top, cannot be called. Guarded only, as the next. */
enum vai__enc_result vai__enc_misfit(struct vai__enc *e, const char *what);
enum vai__enc_result vai__enc_misfit_send(struct vai__enc *e);
/* Fails because __vai_send gave nil and, on top, no function; or too many arguments for it. */
enum vai__enc_result vai__enc_misfit_call(struct vai__enc *e, bool too_much);
/* These put the place before the message of ENC_FAIL, and hand on any other result. */
enum vai__enc_result vai__enc_in_field(struct vai__enc *e, enum vai__enc_result result, int key);
enum vai__enc_result vai__enc_in_key(struct vai__enc *e, int result);
enum vai__enc_result vai__enc_in(struct vai__enc *e, enum vai__enc_result result, const char *where);
enum vai__enc_result vai__enc_in_named(
	struct vai__enc *e, enum vai__enc_result result, const char *what, const char *name, int number);
enum vai__enc_result vai__enc_in_argument(struct vai__enc *e, enum vai__enc_result result, int i);

#endif
