/* SPDX-License-Identifier: MIT */
/* What the files of the encoder share. An encoder (struct vai__enc) turns one list of values into a message.
 *
 * It first works unguarded: only with API calls that neither raise nor collect, so that no Lua code runs and nothing
 * can be lost. If a value needs more (a function that the state does not know yet, a metamethod, an error message,
 * very deep tables), the step gives ENC_RETRY, and everything begins again guarded: inside of a protected call, where
 * anything may raise and the caller cleans up. In both cases the encoder lies on the C stack of vai__encode*. */
#ifndef VAI_ENCODE_H
#define VAI_ENCODE_H

#include <lua.h>
#include <lauxlib.h>
#include "base/base.h"
#include "transfer/message.h"
#include "transfer/object_map.h"
#include "state/state.h"
#include "code/code.h"

/* The result of a step of the encoder. A step that writes gives ENC_OK when all that it was asked to write is in the
 * stream. A step that writes only under a condition gives ENC_NO if the condition does not hold, and has written
 * nothing then. A step that answers a question gives ENC_YES or ENC_NO. A result below 0 ends the attempt: every
 * caller returns it unchanged. */
enum vai__enc_result {
	ENC_OK,
	ENC_NO,
	ENC_YES,
	ENC_RETRY = -1, /* the encoder has to begin again: guarded, or with another setting */
	ENC_NOMEM = -2,
	ENC_FAIL = -3 /* guarded only: the error's message is in ERROR_SLOT */
};

enum {
	MAX_DEPTH = 48,   /* levels of tables that recursion follows; contents below them are written later, in sections */
	INNER_DEPTH = 4,  /* the same in a value that __vai_send gave, so that a hundred such calls fit on a C stack */
	LEVEL_STACK = 14, /* slots of the Lua stack that one level may use */
	KEY_SLOTS = 16,   /* how many string keys are remembered by address */
	SMALL = 384,      /* bytes of the encoder's own buffer; a longer stream is moved to a block */
	/* The Lua stack of the guarded call: the error message, then three tables or nils, then the values. */
	ERROR_SLOT = 1,
	SENDS_SLOT = 2, /* table: for a value, what its __vai_send gave. So it is called once, and its result kept alive */
	LATER_SLOT = 3, /* list of tables and functions whose contents are still to be written */
	METAS_SLOT = 4, /* list of slots and metatables in turn, which are to be set at the very end */
	GUARDED_VALUES = 5
};

/* Flags (parameter `how`): the role of the value that is encoded. */
enum {
	/* The value itself is an upvalue, captured global, field of a module, metatable or argument of a call, and does
	 * not only lie in a table that is. So it may be a module. */
	ENC_DIRECT = 1,
	ENC_TRANSLATED = 2, /* __vai_send has given the value */
	ENC_METATABLE = 4,  /* the value is a metatable: its __vai_send has to give a table or nil */
	ENC_KEY = 8         /* the value is a key: its __vai_send has to give a value that may be a key */
};

/* What the map `seen` knows of an object that was met: the kind, a number, and the place in the stream. */
enum vai__seen_kind { SEEN_OBJECT, SEEN_UPVALUE, SEEN_NAME, SEEN_MODULE, SEEN_NOTHING };

struct vai__func;

struct vai__enc {
	lua_State *L;
	struct vai_vm *vm;
	unsigned char *p, *end, *base; /* where the stream goes on; the end and the beginning of its memory */
	struct vai__block *heap;       /* the block that has the stream; NULL: `small` has it */
	size_t last_ref;               /* place of the last reference to an object in the stream; 0: none */
	const void *globals;           /* the address of the state's table of globals */
	const struct vai__func *body;  /* of a call, unguarded: what the state knows of the function; or NULL */
	const char *what;              /* the name of the values in error messages, before the value's number */
	int number;                    /* the number of the first value in error messages; 0: there is only one */
	int first, n;                  /* the values to encode: stack index of the first, and how many */
	/* Makes the image of the class at idx, or raises (codec.c). */
	struct vai__block *(*image_of)(lua_State *L, struct vai_vm *vm, int idx);
	uint64_t number_of_all; /* identifies this encoding among all of the process; 0: not given yet */
	uint32_t nslots;
	int depth, deepest, max_depth; /* levels of nesting: now, the most so far, the most that recursion follows */
	int apart;                     /* how many tables enclose the value, plus one if the outermost is no capture */
	enum vai__enc_result result;   /* of the guarded call */
	bool guarded;
	bool call;         /* the values are a goroutine's function and arguments, so lost assignments are errors */
	bool all_modules;  /* `seen` knows all modules, and each table is looked up there */
	bool looked;       /* of a call: all modules and libraries were searched for changes by the script */
	bool noted;        /* of a call: the script's settings for `require` were searched for changes, too */
	bool methods;      /* of a call: only the library of strings was searched, and it has changes */
	bool library;      /* the value that was written last is a standard library, sent by its name */
	bool all_globals;  /* some code uses globals by names of run time, so all of the script's are sent */
	bool globals_put;  /* all of the script's globals have been written */
	bool falls_back;   /* a table whose __index is _G was written, so code may use globals through it */
	bool types;        /* of a call: the metatable of some type differs from that of a fresh state */
	bool globals_meta; /* of a call: _G has a metatable */
	bool classes;      /* each table is checked whether it is a class */
	bool image;        /* the image of a class is being made, which includes the classes that it refers to */
	bool late_metas;   /* some metatable has __gc, so metatables are set when all contents are there */
	uint8_t module_scans;
	uint8_t flags; /* those that the block gets */
	uint8_t nkeys;
	uint16_t key_slots; /* which of keys are in use */
	lua_Integer nlater, nmetas;
	const char *keys[KEY_SLOTS]; /* string keys that were written, by address */
	uint32_t key_at[KEY_SLOTS];  /* the place of each in the stream */
	struct vai__object_map seen;
	uint8_t calls; /* how deep results of __vai_send are nested in each other */
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

/* Moves the stream to a larger block, with room for n more bytes. False: memory is out, or the stream would be too
 * long. */
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
/* Writes a reference to o at e->p, where there must be room. The stream gets a reference of its own. */
void vai__enc_reference(struct vai__enc *e, struct vai_obj *o);
/* Writes a string as T_SHORT or T_LONG. */
enum vai__enc_result vai__enc_string(struct vai__enc *e, int idx);
/* The number (slot) by which the stream can refer to the object that begins at `at`. It gets one if it has none. */
uint32_t vai__enc_slot(struct vai__enc *e, size_t at);
/* If the object was met before, writes it as T_REF, or as the module that it is. ENC_NO: it is new, and is noted as
 * the object that begins at the end of the stream. */
enum vai__enc_result vai__enc_met(struct vai__enc *e, int idx, const void *object);
/* Notes that the contents of the object that begins at `at` are to be written later. Guarded only. */
enum vai__enc_result vai__enc_later(struct vai__enc *e, int idx, size_t at);
/* Notes that the metatable at mt is to be set later, when all contents are there, for the table that begins at `at`. */
enum vai__enc_result vai__enc_late_meta(struct vai__enc *e, int mt, size_t at);

/* ---- values ---- */

/* Writes the value at idx, of that Lua type. how: flags ENC_DIRECT ... */
enum vai__enc_result vai__enc_typed(struct vai__enc *e, int idx, int type, int how);

static inline enum vai__enc_result vai__enc_value(struct vai__enc *e, int idx, int how)
{
	return vai__enc_typed(e, idx, lua_type(e->L, idx), how);
}

/* Writes all values, and the sections after them. */
enum vai__enc_result vai__enc_all(struct vai__enc *e);

/* ---- tables (encode_table.c) ---- */

/* Writes the table at idx: by its contents, or by a shorter form if it is a module, a class or the like. */
enum vai__enc_result vai__enc_table(struct vai__enc *e, int idx, int how);
/* Writes the contents of the table at t and their counts into its head, which is at `at`. mt: index of its metatable,
 * or 0. checked: the table is known not to be a module. */
enum vai__enc_result vai__enc_table_body(struct vai__enc *e, int t, int mt, size_t at, bool checked);

/* ---- globals (encode_globals.c) ---- */

static inline bool vai__enc_holds_globals(const struct vai__enc *e, int idx)
{
	return lua_istable(e->L, idx) && lua_topointer(e->L, idx) == e->globals;
}

/* Whether the value is a table as `setmetatable({}, { __index = _G })` makes it. vm->funcs must not be NULL. */
bool vai__enc_falls_back(struct vai__enc *e, int idx);
/* Writes the globals that the function at f names: T_NAME. */
enum vai__enc_result vai__enc_captures(struct vai__enc *e, int f, const struct vai_code *code, int names);
/* Writes all globals that the script has set, as T_NAME. Those that cannot be sent are left out. */
enum vai__enc_result vai__enc_all_globals(struct vai__enc *e);

/* ---- functions (encode_func.c) ---- */

/* Writes the function at idx, of Lua or C. */
enum vai__enc_result vai__enc_function(struct vai__enc *e, int idx);
/* Writes the contents of the function at idx, whose head is at `at`. known: what the state knows of the function;
 * NULL: that is looked up. */
enum vai__enc_result vai__enc_function_body(struct vai__enc *e, int idx, size_t at, const struct vai__func *known);

/* ---- plain calls (encode_plain.c) ---- */

/* Writes a call whose function (e->body) uses no globals and whose upvalues and arguments are all scalars or objects
 * of vai's. ENC_NO: the call is another one. Then the caller drops what has been written. */
enum vai__enc_result vai__enc_plain_call(struct vai__enc *e);
/* Keeps the plain call that has been written as a plan for the function's next ones, if it is one that can be. */
void vai__enc_plan_make(const struct vai__enc *e);
/* Writes a call of the function at f by its plan. NULL: there is none that fits, or no memory; nothing has changed.
 * Neither raises nor collects. */
struct vai__block *vai__enc_plan_write(lua_State *L, struct vai_vm *vm, int f, int nargs);

/* ---- lost assignments (encode_shared_locals.c) ---- */

/* For the function at f, which a goroutine's function has captured: fails if it assigns a local that other functions
 * share, as the assignment would be lost. ENC_RETRY: that can be found out guarded only. */
enum vai__enc_result vai__enc_lost(struct vai__enc *e, int f, const struct vai_code *code);

/* ---- changed libraries and modules (encode_field.c) ---- */

/* Writes T_FIELD for each field of a library or module that the function at f uses and that differs from a fresh
 * state's. */
enum vai__enc_result vai__enc_fields(struct vai__enc *e, int f, const struct vai_code *code, int names);

/* ---- metatables of types (encode_types.c) ---- */

/* Writes T_TYPE for each metatable of a type (e->types) and of _G (e->globals_meta) that differs from a fresh
 * state's. */
enum vai__enc_result vai__enc_types(struct vai__enc *e);
/* Whether _G, which is on top, has a metatable other than vai's own. May leave one value on it. */
static inline bool vai__enc_has_metatable(lua_State *L, const struct vai_vm *vm)
{
	return lua_getmetatable(L, -1) && lua_topointer(L, -1) != vm->hidden;
}

/* ---- modules and metamethods (encode_module.c) ---- */

/* For a function whose code does not show which fields of modules and libraries it uses: sends all that the script
 * has changed in any of them. Does nothing unless a call is encoded, as the next two. */
enum vai__enc_result vai__enc_tell_changes(struct vai__enc *e);
/* For a function that may call methods of strings by names of run time: the same for the library of strings. */
enum vai__enc_result vai__enc_tell_methods(struct vai__enc *e);
/* For a function that may require modules: sends the script's settings for `require` (package.path and so on). */
enum vai__enc_result vai__enc_tell_paths(struct vai__enc *e);
/* Whether the table at idx is a loaded module. */
enum vai__enc_result vai__enc_is_module(struct vai__enc *e, int idx);
/* The name of the module at idx, valid until the next call of Lua. NULL: it has none, or finding it needs a guarded
 * encoder. */
const char *vai__enc_name_of(struct vai__enc *e, int idx);
/* Whether the table at idx is a loaded module. Called before anything is encoded, as it may make vm->funcs->loaded
 * and raise. */
bool vai__enc_has_name(struct vai__enc *e, int idx);
/* Writes the module at idx by its names. */
enum vai__enc_result vai__enc_module(struct vai__enc *e, int idx);
/* Writes the value at idx as a member of a module, by the names that lead from the module to it. ENC_NO: no module
 * has it, and nothing has changed but the memory of the stream. */
enum vai__enc_result vai__enc_member(struct vai__enc *e, int idx);
/* The same for a value that can only be sent as a member (a C function, a userdata): also searches modules that were
 * loaded without `require`. */
enum vai__enc_result vai__enc_stranger(struct vai__enc *e, int idx);
/* Makes vm->funcs->loaded, if it is not there. ENC_NO: this state has loaded no module; otherwise ENC_YES. */
enum vai__enc_result vai__enc_need_loaded(struct vai__enc *e);
/* Writes a table that is not filled yet and so has the hidden metatable (stdlib/lazy.h). ENC_NO: it has to be written
 * as any other table. */
enum vai__enc_result vai__enc_lazy(struct vai__enc *e, int idx);
/* Whether the table at idx is the library of that name, and not filled yet. */
bool vai__enc_is_lazy_lib(struct vai__enc *e, int idx, const char *name);
/* Enters all modules into `seen`, as all_modules needs it. */
enum vai__enc_result vai__enc_all_modules(struct vai__enc *e);
/* Whether the metatable on top of the stack has a __vai_send. If so, that is pushed. */
enum vai__enc_result vai__enc_has_send(struct vai__enc *e);
/* Calls the __vai_send on top for the value at idx and writes its result. Guarded only. */
enum vai__enc_result vai__enc_translated(struct vai__enc *e, int idx, int how);

/* ---- classes (encode_class.c) ---- */

/* Writes the table at idx as a class, if it is a metatable or looks like a class. The table has been noted as met, at
 * the end of the stream. ENC_NO: it is no class, and the caller writes its contents. */
enum vai__enc_result vai__enc_class(struct vai__enc *e, int idx, int how);

/* ---- errors (encode_error.c) ---- */

/* Fails with "thread cannot be sent" or the like; ENC_RETRY if unguarded. */
enum vai__enc_result vai__enc_unsendable(struct vai__enc *e, int idx);
/* Fails because a C function belongs to no loaded module and the host forbids that; ENC_RETRY if unguarded. */
enum vai__enc_result vai__enc_homeless(struct vai__enc *e);
/* Fails because the sandbox does not allow the C function of that name (NULL: it has none); ENC_RETRY if unguarded. */
enum vai__enc_result vai__enc_barred(struct vai__enc *e, const char *name);
/* The first fails because the value on top, which __vai_send gave, is not allowed in its place; `what` names the
 * place. The second fails because __vai_send itself, on top, cannot be called. Guarded only, as the next. */
enum vai__enc_result vai__enc_misfit(struct vai__enc *e, const char *what);
enum vai__enc_result vai__enc_misfit_send(struct vai__enc *e);
/* Fails because __vai_send gave nil and then no function, but the value on top; or (too_much) too many arguments for
 * the function. */
enum vai__enc_result vai__enc_misfit_call(struct vai__enc *e, bool too_much);
/* These put the place of the value before the message if the result is ENC_FAIL. They return the result. */
enum vai__enc_result vai__enc_in_field(struct vai__enc *e, enum vai__enc_result result, int key);
enum vai__enc_result vai__enc_in_key(struct vai__enc *e, int result);
enum vai__enc_result vai__enc_in(struct vai__enc *e, enum vai__enc_result result, const char *where);
enum vai__enc_result vai__enc_in_named(
	struct vai__enc *e, enum vai__enc_result result, const char *what, const char *name, int number);
enum vai__enc_result vai__enc_in_argument(struct vai__enc *e, enum vai__enc_result result, int i);

#endif
