/* SPDX-License-Identifier: MIT */
/* From messages to Lua values. A block is only read, so it can be decoded again, also by several states at once;
 * what is pushed gets references of its own. Everything here may raise. Blocks come from the encoder alone, so they
 * are trusted. */
#include "transfer/codec.h"
#include "transfer/call_pattern.h"
#include "transfer/classes.h"
#include "base/fatal.h"
#include "base/mem.h"
#include "transfer/lost_writes.h"
#include "transfer/message.h"
#include "transfer/names.h"
#include "transfer/small_table.h"
#include "transfer/symbol.h"
#include "transfer/encode_types.h"
#include "stdlib/catalog.h"
#include "state/handle.h"
#include "stdlib/lazy.h"
#include "stdlib/sandbox.h"

enum { LEVEL_STACK = 3, SPARE_STACK = 8 };

struct dec {
	lua_State *L;
	struct vai_vm *vm;
	const unsigned char *p;
	int seen;                    /* stack index of the list of values by slot */
	int keys;                    /* the stack index below that of the key with number 1 */
	int loaded;                  /* stack index of the call's function, if the state came with it; 0: it did not */
	const struct vai_code *code; /* the code of that function */
	int helpers;                 /* the stack index below that of the first helper with which the state came */
	unsigned unused;             /* a bit for each of these helpers that was not asked for yet */
	bool call;                   /* this state is a new goroutine's, which gets the sender's globals */
	int stack;                   /* slots that the deepest nesting may need */
	uint32_t sandbox;            /* of the block */
};

void (*vai__codec_change_libraries)(lua_State *L, struct vai_vm *vm);

static void get_value(struct dec *d);

static inline uint32_t get32(struct dec *d)
{
	uint32_t x = vai__load32(d->p);
	d->p += 4;
	return x;
}

static inline uint64_t get64(struct dec *d)
{
	uint64_t x = vai__load64(d->p);
	d->p += 8;
	return x;
}

static inline void get_bytes(struct dec *d, size_t len)
{
	lua_pushlstring(d->L, (const char *)d->p, len);
	d->p += len;
}

/* Reads a reference; returns the object with a reference for the caller. */
static struct vai_obj *get_reference(struct dec *d)
{
	struct vai_obj *o = (struct vai_obj *)(uintptr_t)vai__load64(d->p);
	d->p += REF_SIZE;
	return o;
}

/* Notes that the value on top of the stack has that slot. */
static inline void note(struct dec *d, uint32_t slot)
{
	if (VAI_UNLIKELY(slot != 0)) {
		lua_pushvalue(d->L, -1);
		lua_rawseti(d->L, d->seen, slot);
	}
}

/* ---- tables ---- */

/* Checks what `require` has returned for a module that was a metatable where it came from: here it may be another
 * value. */
static void check_module(struct dec *d)
{
	if (!lua_istable(d->L, -1))
		luaL_error(d->L, "a module that was sent as a metatable is a %s value here", luaL_typename(d->L, -1));
	lua_pushliteral(d->L, "__gc"); /* notes a __gc that does not come with the message */
	d->vm->needs_close |= lua_rawget(d->L, -2) != LUA_TNIL;
	lua_pop(d->L, 1);
}

/* Sets the metatable on top without the finalizer that it asks for: the sandbox allows none. */
static VAI_NOINLINE void set_without_gc(lua_State *L, int t)
{
	int mt = lua_gettop(L);
	if (!lua_istable(L, mt)) {
		lua_setmetatable(L, t);
		return;
	}
	luaL_checkstack(L, 4, NULL);
	lua_pushliteral(L, "__gc");
	lua_pushliteral(L, "__gc");
	lua_rawget(L, mt);
	lua_pushliteral(L, "__gc");
	lua_pushnil(L);
	lua_rawset(L, mt);
	lua_pushvalue(L, mt);
	lua_setmetatable(L, t);
	lua_rawset(L, mt);
	lua_pop(L, 1);
}

static VAI_NOINLINE void forbid_between(struct dec *d, const char *what, bool code)
{
	const struct vai__sandbox *s = vai__sandbox_self();
	if (d->sandbox != vai__sandbox_id())
		luaL_error(d->L, "%s cannot cross between states with different sandboxes", what);
	if (code && s && s->trusts_main && d->vm->is_host)
		luaL_error(d->L, "%s cannot leave the sandbox", what);
}

/* Raises if code comes out of a sandbox into a trusted host's state or into another sandbox's: it would run with all
 * that the receiver has, or give the receiver what its own sandbox does not. */
static inline void forbid_code(struct dec *d, const char *what)
{
	if (VAI_UNLIKELY(d->sandbox != 0 || atomic_load_relaxed(&vai__sandbox_count) != 0))
		forbid_between(d, what, true);
}

/* The same for modules, but a trusted host's state may take them: it has them already, or loads its own. */
static inline void forbid_modules(struct dec *d)
{
	if (VAI_UNLIKELY(d->sandbox != 0 || atomic_load_relaxed(&vai__sandbox_count) != 0))
		forbid_between(d, "a module", false);
}

static VAI_NOINLINE void get_metatable(struct dec *d, int t)
{
	bool module = *d->p >= T_MODULE && *d->p <= T_CALL;
	get_value(d);
	if (VAI_UNLIKELY(module))
		check_module(d);
	const struct vai__sandbox *s = vai__sandbox_self();
	if (VAI_UNLIKELY(s != NULL) && !s->finalizers)
		set_without_gc(d->L, t);
	else
		lua_setmetatable(d->L, t);
}

static inline void get_key(struct dec *d, enum vai__tag tag)
{
	size_t len;
	unsigned number;
	if (tag == T_KEY) {
		len = d->p[0];
		number = d->p[1];
		d->p += 2;
		get_bytes(d, len);
		if (number) {
			lua_pushvalue(d->L, -1);
			lua_replace(d->L, d->keys + (int)number);
		}
	} else if (tag == T_AGAIN) {
		lua_pushvalue(d->L, d->keys + *d->p++);
	} else {
		d->p--;
		get_value(d);
	}
}

/* Fills the table on top of the stack. */
static void fill_table(struct dec *d, uint32_t narr)
{
	lua_State *L = d->L;
	const int t = lua_gettop(L);
	for (uint32_t i = 1; i <= narr; i++) {
		get_value(d);
		lua_rawseti(L, t, i);
	}
	for (;;) {
		enum vai__tag tag = *d->p++;
		if (tag == T_END)
			return;
		if (VAI_UNLIKELY(tag == T_META)) {
			get_metatable(d, t);
			return;
		}
		get_key(d, tag);
		get_value(d);
		lua_rawset(L, t);
	}
}

static void get_table(struct dec *d, bool later)
{
	uint32_t slot = get32(d), narr = get32(d), nrec = get32(d);
	lua_createtable(d->L, (int)narr, (int)nrec);
	if (VAI_UNLIKELY(vai__lost_watching) && d->call)
		vai__lost_watch(d->L);
	note(d, slot);
	if (!later)
		fill_table(d, narr);
}

/* ---- functions ---- */

/* Reads a global that the sender's code uses. A global that this state has already stays; a name that every state has
 * is set only in a goroutine that the sender has made. */
static void get_global(struct dec *d)
{
	lua_State *L = d->L;
	const int globals = lua_gettop(L) + 1, name = globals + 1;
	size_t len;
	luaL_checkstack(L, d->stack, NULL);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	get_value(d);
	const char *s = lua_tolstring(L, name, &len);
	bool stock = vai__catalog_global(s, len) >= 0;
	lua_pushvalue(L, name);
	bool absent = lua_rawget(L, globals) == LUA_TNIL;
	lua_pop(L, 1);
	get_value(d);
	if (stock && d->call && d->vm->lazy[VAI__LAZY_GLOBALS])
		lua_settable(L, globals); /* not raw, because the globals may be a table that fills itself */
	else if (stock ? d->call : absent)
		lua_rawset(L, globals);
	lua_settop(L, globals - 1);
}

/* Reads a field that the sender has changed in a library or module. A goroutine that the sender has made gets it,
 * others only if they have no such field. */
static void get_field(struct dec *d)
{
	lua_State *L = d->L;
	const int module = lua_gettop(L) + 1;
	luaL_checkstack(L, d->stack, NULL);
	get_value(d);
	get_value(d);
	lua_pushvalue(L, module + 1);
	bool wanted = lua_istable(L, module) && (d->call || lua_gettable(L, module) == LUA_TNIL);
	lua_settop(L, module + 1);
	get_value(d);
	if (VAI_UNLIKELY(wanted && lua_istable(L, -1)))
		vai__names_add(L, d->vm, -1);
	if (wanted && lua_getmetatable(L, module) && d->vm->hidden == lua_topointer(L, -1)) {
		lua_pop(L, 1);
		lua_settable(L, module); /* not raw, because a library may be a table that fills itself */
	} else if (wanted) {
		lua_settop(L, module + 2);
		lua_rawset(L, module);
	}
	lua_settop(L, module - 1);
}

/* Reads the metatable of a type, or of _G. Goroutines that this state makes get it, too (types_seen). */
static void get_type(struct dec *d)
{
	lua_State *L = d->L;
	const int top = lua_gettop(L), type = *d->p++;
	luaL_checkstack(L, d->stack, NULL);
	if (type == LUA_TTABLE) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
		vai__lazy_complete_at(L, d->vm, top + 1);
	} else {
		d->vm->types_seen = true;
		vai__encode_types_push(L, type);
		if (type == LUA_TSTRING)
			vai__lazy_open_string(L, d->vm);
	}
	get_metatable(d, top + 1);
	lua_settop(L, top);
}

/* Gives the function on top of the stack its upvalues, and then the globals that it names. */
static void fill_function(struct dec *d, int nups)
{
	lua_State *L = d->L;
	const int f = lua_gettop(L);
	for (int i = 1; i <= nups; i++) {
		if (*d->p == T_JOIN) {
			d->p++;
			lua_rawgeti(L, d->seen, get32(d));
			lua_upvaluejoin(L, f, i, f + 1, *d->p++);
			lua_pop(L, 1);
		} else {
			get_value(d);
			lua_setupvalue(L, f, i);
		}
	}
	for (enum vai__tag tag; (tag = *d->p++) != T_END;) {
		if (tag == T_NAME)
			get_global(d);
		else if (VAI_UNLIKELY(tag == T_TYPE))
			get_type(d);
		else
			get_field(d);
	}
}

/* Reads a class with its contents. If the state has the class already, the contents are read and forgotten. */
static void get_origin(struct dec *d)
{
	lua_State *L = d->L;
	uint64_t origin = get64(d);
	bool later = *d->p++ == T_TABLE_LATER;
	uint32_t slot = get32(d), narr = get32(d), nrec = get32(d);
	luaL_checkstack(L, d->stack, NULL);
	bool known = vai__class_push(L, origin);
	if (!known) {
		lua_createtable(L, (int)narr, (int)nrec);
		vai__class_enter(L, d->vm, -1, origin, NULL);
	}
	note(d, slot);
	if (known) {
		lua_createtable(L, (int)narr, (int)nrec);
		if (later) { /* the section that fills the table needs it under its slot */
			lua_pushvalue(L, -1);
			lua_rawseti(L, d->seen, -(lua_Integer)slot);
		}
	}
	if (!later)
		fill_table(d, narr);
	if (known)
		lua_pop(L, 1);
}

static int get_block(lua_State *L, struct vai_vm *vm, const struct vai__block *b);

static void get_class(struct dec *d)
{
	lua_State *L = d->L;
	uint32_t slot = get32(d);
	struct vai__class *c = VAI_CONTAINER(get_reference(d), struct vai__class, obj);
	luaL_checkstack(L, d->stack, NULL);
	if (!vai__class_push(L, c->origin)) {
		get_block(L, d->vm, atomic_load_explicit(&c->image, memory_order_acquire));
		vai__class_enter(L, d->vm, -1, c->origin, c);
	}
	note(d, slot);
}

static void get_call(struct dec *d)
{
	uint32_t slot = get32(d);
	int n = *d->p++;
	forbid_code(d, "a call of __vai_send's");
	luaL_checkstack(d->L, n + d->stack, NULL);
	for (int i = 0; i <= n; i++)
		get_value(d);
	lua_call(d->L, n, 1);
	note(d, slot);
}

/* Pushes the helper with that code, if the state came with it. */
static bool push_helper(struct dec *d, const struct vai_code *code)
{
	for (int i = 0; d->unused >> i; i++) {
		if (!(d->unused >> i & 1) || d->code->loaded[i] != code->id)
			continue;
		d->unused &= ~(1u << i);
		lua_pushvalue(d->L, d->helpers + 1 + i);
		return true;
	}
	return false;
}

static VAI_NOINLINE void note_helper(const struct dec *d, const struct vai_code *code)
{
	struct vai_code *spawned = VAI_CONTAINER(d->vm->profiled, struct vai_code, uses);
	if (spawned != code)
		vai__code_note_helper(spawned, code);
}

/* Pushes a closure of that code: a helper with which the state came, or one that is loaded. */
static void push_closure(struct dec *d, const struct vai_code *code)
{
	if (push_helper(d, code))
		return;
	if (VAI_UNLIKELY(d->call && d->vm->profiled))
		note_helper(d, code);
	if (vai__code_load(d->L, code) != LUA_OK)
		lua_error(d->L);
}

static void get_function(struct dec *d, bool later)
{
	uint32_t slot = get32(d);
	const struct vai_code *code = VAI_CONTAINER(get_reference(d), struct vai_code, obj);
	int nups = *d->p++;
	forbid_code(d, "a function");
	if (d->loaded) {
		lua_pushvalue(d->L, d->loaded);
		d->loaded = 0;
	} else {
		push_closure(d, code);
	}
	note(d, slot);
	if (!later)
		fill_function(d, nups);
}

static void get_cclosure(struct dec *d, bool later)
{
	uint32_t slot = get32(d);
	forbid_code(d, "a function");
	lua_CFunction f = vai__lazy_cfunction_in(d->L, d->vm, (lua_CFunction)(uintptr_t)get64(d));
	int nups = *d->p++;
	luaL_checkstack(d->L, nups + d->stack, NULL);
	for (int i = 0; i < nups; i++)
		lua_pushnil(d->L);
	lua_pushcclosure(d->L, f, nups);
	note(d, slot);
	if (!later)
		fill_function(d, nups);
}

/* ---- values ---- */

static void get_cfunction(struct dec *d)
{
	forbid_code(d, "a function");
	lua_pushcfunction(d->L, vai__lazy_cfunction_in(d->L, d->vm, (lua_CFunction)(uintptr_t)get64(d)));
}

static void get_closure(struct dec *d)
{
	forbid_code(d, "a function");
	vai__lazy_closure_in(d->L, d->vm, (int)get32(d));
}

static void get_object(struct dec *d)
{
	struct vai_obj *o = get_reference(d);
	vai__obj_ref(o);
	vai__handle_push(d->L, d->vm, o, false);
}

static void get_module(struct dec *d)
{
	lua_State *L = d->L;
	forbid_modules(d);
	get_value(d);
	vai__lazy_require(L, d->vm, lua_tostring(L, -1));
	lua_remove(L, -2);
}

/* Requires a module under all its names: each may add to the one table. */
static void get_modules(struct dec *d)
{
	lua_State *L = d->L;
	size_t len;
	get_module(d);
	get_value(d);
	const char *name = lua_tolstring(L, -1, &len), *end = name + len;
	for (; name < end; name += strlen(name) + 1) {
		vai__lazy_require(L, d->vm, name);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* Raises an error: the value on top, to which the names lead here, is not of the type that it has in the sender's
 * state. */
static _Noreturn void no_member(struct dec *d, const unsigned char *head, int type)
{
	lua_State *L = d->L;
	const char *got = luaL_typename(L, -1);
	d->p = head + MEMBER_HEAD;
	int top = lua_gettop(L), n = head[MEMBER_HEAD - 1];
	d->p++; /* T_MODULE or T_MODULES */
	get_value(d);
	if (head[MEMBER_HEAD] == T_MODULES) {
		get_value(d);
		lua_pop(L, 1);
	}
	lua_pushliteral(L, "");
	for (int i = 0; i < n; i++) {
		lua_pushliteral(L, ".");
		get_value(d);
		lua_concat(L, 3);
	}
	luaL_error(L, "a %s was sent as '%s' of module '%s', which is a %s value here", lua_typename(L, type),
		lua_tostring(L, -1) + 1, lua_tostring(L, top + 1), got);
	__builtin_unreachable();
}

static void get_member(struct dec *d)
{
	lua_State *L = d->L;
	const unsigned char *head = d->p - 1;
	uint32_t slot = get32(d);
	int type = *d->p++, n = *d->p++;
	if (type == LUA_TFUNCTION)
		forbid_code(d, "a function");
	luaL_checkstack(L, d->stack, NULL);
	get_value(d);
	for (int i = 0; i < n; i++) {
		if (!lua_istable(L, -1) && (!lua_isfunction(L, -1) || lua_iscfunction(L, -1)))
			no_member(d, head, type);
		get_value(d);
		if (lua_istable(L, -2))
			lua_gettable(L, -2);
		else if (!vai__names_upvalue(L, lua_gettop(L) - 1, lua_tostring(L, -1)))
			lua_pushnil(L);
		else
			lua_remove(L, -2);
		lua_remove(L, -2);
	}
	if (lua_type(L, -1) != type)
		no_member(d, head, type);
	note(d, slot);
}

static void push_float(lua_State *L, uint64_t word)
{
	lua_Number n;
	memcpy(&n, &word, sizeof n);
	lua_pushnumber(L, n);
}

static void get_value(struct dec *d)
{
	lua_State *L = d->L;
	enum vai__tag tag = *d->p++;
	size_t len;
	switch (tag) {
	case T_NIL: lua_pushnil(L); break;
	case T_FALSE: lua_pushboolean(L, 0); break;
	case T_TRUE: lua_pushboolean(L, 1); break;
	case T_INT: lua_pushinteger(L, (lua_Integer)get64(d)); break;
	case T_FLOAT: push_float(L, get64(d)); break;
	case T_SHORT:
		len = *d->p++;
		get_bytes(d, len);
		break;
	case T_LONG:
		len = (size_t)get64(d);
		get_bytes(d, len);
		break;
	case T_KEY:
	case T_AGAIN: get_key(d, tag); break;
	case T_LIGHT: vai__symbol_push_light(L, get64(d)); break;
	case T_CFUNC: get_cfunction(d); break;
	case T_CLOSURE: get_closure(d); break;
	case T_OBJECT: get_object(d); break;
	case T_GLOBALS: lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS); break;
	case T_MODULE: get_module(d); break;
	case T_MODULES: get_modules(d); break;
	case T_MEMBER: get_member(d); break;
	case T_CLASS: get_class(d); break;
	case T_ORIGIN: get_origin(d); break;
	case T_CALL: get_call(d); break;
	case T_REF: lua_rawgeti(L, d->seen, get32(d)); break;
	case T_TABLE:
	case T_TABLE_LATER: get_table(d, tag == T_TABLE_LATER); break;
	case T_FUNC:
	case T_FUNC_LATER: get_function(d, tag == T_FUNC_LATER); break;
	case T_CCLOSURE:
	case T_CCLOSURE_LATER: get_cclosure(d, tag == T_CCLOSURE_LATER); break;
	default: vai__fatal("a message is broken: tag %d", (int)tag);
	}
}

/* ---- blocks ---- */

static void get_section(struct dec *d, enum vai__tag tag)
{
	lua_State *L = d->L;
	uint32_t slot = get32(d);
	if (lua_rawgeti(L, d->seen, -(lua_Integer)slot) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_rawgeti(L, d->seen, slot);
	}
	if (tag == S_META) {
		get_metatable(d, lua_gettop(L));
	} else {
		uint32_t n = get32(d);
		if (lua_istable(L, -1))
			fill_table(d, n);
		else
			fill_function(d, (int)n);
	}
	lua_pop(L, 1);
}

/* Moves the n values on top of the stack down to `to`. */
static void move_down(lua_State *L, int to, int n)
{
	int from = lua_gettop(L) - n + 1;
	if (from == to)
		return;
	for (int i = 0; i < n; i++)
		lua_copy(L, from + i, to + i);
	lua_settop(L, to + n - 1);
}

/* Decodes the rest of the block that d points to, of which n values are to come. What it holds takes the place of all
 * that lies above stack index `below`. */
static int get_values(struct dec *d, const struct vai__block *b, int n, int below)
{
	lua_State *L = d->L;
	enum vai__tag tag;
	d->stack = (b->depth + 1) * LEVEL_STACK + SPARE_STACK;
	luaL_checkstack(L, d->stack + n + b->nkeys, NULL);
	if (b->flags & BLOCK_FINALIZERS)
		d->vm->needs_close = true;
	if (VAI_UNLIKELY(b->flags & BLOCK_LIBS) && d->call)
		vai__codec_change_libraries(L, d->vm);
	if (b->nslots) {
		lua_createtable(L, (int)b->nslots, 0);
		d->seen = lua_gettop(L);
	}
	d->keys = lua_gettop(L);
	if (b->nkeys)
		lua_settop(L, d->keys + b->nkeys);
	for (int i = 0; i < n; i++)
		get_value(d);
	while ((tag = *d->p++) != S_STOP)
		get_section(d, tag);
	move_down(L, below + 1, n);
	return n;
}

static int get_block(lua_State *L, struct vai_vm *vm, const struct vai__block *b)
{
	struct dec d = {.L = L, .vm = vm, .p = b->data, .sandbox = b->sandbox};
	return get_values(&d, b, (int)b->nvalues, lua_gettop(L));
}

/* ---- entries ---- */

static int block_values(lua_State *L, struct vai_vm *vm, const struct vai__block *b)
{
	return b->flags & BLOCK_FLAT ? vai__small_table_decode_block(L, vm, b) : get_block(L, vm, b);
}

static void push_inline(lua_State *L, struct vai_vm *vm, const vai_msg *msg)
{
	const unsigned char *bytes = (const unsigned char *)msg;
	uint64_t word = msg->w[1];
	switch ((enum vai__msg_tag)bytes[0]) {
	case M_NIL: lua_pushnil(L); break;
	case M_FALSE: lua_pushboolean(L, 0); break;
	case M_TRUE: lua_pushboolean(L, 1); break;
	case M_INT: lua_pushinteger(L, (lua_Integer)word); break;
	case M_FLOAT: push_float(L, word); break;
	case M_LIGHT: vai__symbol_push_light(L, word); break;
	case M_CFUNC:
		if (VAI_UNLIKELY(vai__sandbox_self() != NULL)) /* in whose states none is encoded so */
			luaL_error(L, "a function cannot cross between states with different sandboxes");
		lua_pushcfunction(L, vai__lazy_cfunction_in(L, vm, (lua_CFunction)(uintptr_t)word));
		break;
	case M_STRING: lua_pushlstring(L, (const char *)bytes + 2, bytes[1]); break;
	case M_RECORD: vai__small_table_decode(L, vm, msg); break;
	default: vai__fatal("a message is broken: tag %d", bytes[0]);
	}
}

/* Pushes an object; takes over a reference. */
static int push_object(lua_State *L, struct vai_vm *vm, const vai_msg *msg)
{
	vai__handle_push(L, vm, (struct vai_obj *)(uintptr_t)msg->w[1], false);
	return 1;
}

int vai__decode(lua_State *L, struct vai_vm *vm, const vai_msg *msg)
{
	switch (vai__msg_tag(msg)) {
	case M_NONE: return 0;
	case M_OBJECT: vai__obj_ref((struct vai_obj *)(uintptr_t)msg->w[1]); return push_object(L, vm, msg);
	case M_BLOCK: return block_values(L, vm, vai__msg_block(msg));
	case M_TEXT: lua_pushlstring(L, vai__msg_text(msg)->s, vai__msg_text(msg)->len); return 1;
	default: push_inline(L, vm, msg); return 1;
	}
}

int vai__decode_call(lua_State *L, struct vai_vm *vm, const vai_msg *msg, const struct vai_code *code, int loaded)
{
	if (vai__msg_tag(msg) != M_BLOCK)
		return vai__decode(L, vm, msg) - 1;
	const struct vai__block *b = vai__msg_block(msg);
	const int top = lua_gettop(L), below = top - loaded;
	struct dec d = {
		.L = L, .vm = vm, .p = b->data, .call = true, .code = code, .helpers = below, .sandbox = b->sandbox};
	if (VAI_LIKELY(loaded > 0)) {
		d.loaded = top;
		d.unused = (1u << (loaded - 1)) - 1;
	}
	return get_values(&d, b, (int)b->nvalues, below) - 1;
}

void vai__decode_pattern(lua_State *L, struct vai_vm *vm, const vai_msg *msg, const struct vai__call_pattern *pattern)
{
	const struct vai__block *b = vai__msg_block(msg);
	struct dec d = {.L = L,
		.vm = vm,
		.p = b->data,
		.call = true,
		.stack = (b->depth + 1) * LEVEL_STACK + SPARE_STACK,
		.sandbox = b->sandbox};
	luaL_checkstack(L, d.stack + (int)pattern->nargs, NULL);
	if (b->nslots)
		lua_createtable(L, (int)b->nslots, 0);
	d.seen = lua_gettop(L);
	for (unsigned i = 0; i <= pattern->nargs; i++)
		get_value(&d);
	if (b->nslots)
		lua_remove(L, d.seen);
}

/* Sets an upvalue or argument of the call that the clone came with (vai__call_pattern_differences). */
static void replace(void *arg, int upvalue, int argument, const unsigned char *value)
{
	struct dec *d = arg;
	d->p = value;
	get_value(d);
	if (upvalue)
		lua_setupvalue(d->L, d->loaded, upvalue);
	else
		lua_replace(d->L, d->loaded + argument);
}

int vai__decode_rest(lua_State *L, struct vai_vm *vm, const vai_msg *msg, const struct vai__call_pattern *pattern)
{
	const struct vai__block *b = vai__msg_block(msg);
	const int n = (int)(b->nvalues - 1 - pattern->nargs), top = lua_gettop(L);
	struct dec d = {.L = L, .vm = vm, .call = true, .loaded = top - (int)pattern->nargs, .sandbox = b->sandbox};
	d.p = vai__call_pattern_differences(pattern, b->data, replace, &d);
	d.loaded = 0;
	return (int)pattern->nargs + (n > 0 ? get_values(&d, b, n, top) : 0);
}

/* Arguments: the vm, the message. */
static int decode_protected(lua_State *L)
{
	struct vai_vm *vm = lua_touserdata(L, 1);
	const vai_msg *msg = lua_touserdata(L, 2);
	return vai__decode(L, vm, msg);
}

static int pcall_decode(lua_State *L, struct vai_vm *vm, const vai_msg *msg)
{
	lua_pushcfunction(L, decode_protected);
	lua_pushlightuserdata(L, vm);
	lua_pushlightuserdata(L, (void *)(uintptr_t)msg);
	return lua_pcall(L, 2, LUA_MULTRET, 0);
}

static VAI_NOINLINE int take_protected(lua_State *L, struct vai_vm *vm, vai_msg *msg)
{
	int top = lua_gettop(L);
	int status = pcall_decode(L, vm, msg);
	vai__msg_drop(msg);
	if (status != LUA_OK)
		lua_error(L);
	return lua_gettop(L) - top;
}

/* Makes vm->decoding hold what the message owns while that is decoded without protection: the address of a block, or
 * of a text plus 1. If the decoder raises it stays there, and the next claim frees it. But if this is a finalizer
 * that an allocation of a decoder has set off, that decoder still works on it: collector and finalizers do not nest,
 * so lua_gc says that the collector is stopped then. If it is stopped for another reason the leftover waits. False:
 * it is in use. */
static bool claim(lua_State *L, struct vai_vm *vm, const vai_msg *msg)
{
	const bool text = vai__msg_tag(msg) == M_TEXT;
	if (VAI_UNLIKELY(!text && vai__msg_block(msg)->flags & BLOCK_CALLS_OUT))
		return false;
	if (VAI_UNLIKELY(vm->decoding != 0)) {
		if (lua_gc(L, LUA_GCISRUNNING) != 1)
			return false;
		vai__codec_release(vm);
	}
	vm->decoding = (uintptr_t)msg->w[1] + text;
	return true;
}

int vai__decode_take(lua_State *L, struct vai_vm *vm, vai_msg *msg)
{
	vai_msg taken = *msg;
	*msg = (vai_msg){{0, 0, 0, 0}};
	if (vai__msg_tag(&taken) == M_OBJECT)
		return push_object(L, vm, &taken);
	if (!vai__msg_owns(&taken))
		return vai__decode(L, vm, &taken);
	if (!claim(L, vm, &taken))
		return take_protected(L, vm, &taken);
	int n = vai__decode(L, vm, &taken);
	vm->decoding = 0;
	vai__msg_drop(&taken);
	return n;
}

/* ---- messages that several read ---- */

struct shared {
	struct vai_obj obj;
	vai_msg msg;
};

static void destroy_shared(struct vai_obj *o)
{
	struct shared *s = VAI_CONTAINER(o, struct shared, obj);
	vai__msg_drop(&s->msg);
	vai__mem_free(s, sizeof *s);
}

static const struct vai_class shared_class = {"message", destroy_shared};

struct vai_obj *vai__msg_share(vai_msg *msg)
{
	struct shared *s = vai__mem_alloc(sizeof *s);
	if (!s)
		return NULL;
	vai__obj_init(&s->obj, &shared_class);
	s->msg = *msg;
	return &s->obj;
}

int vai__decode_shared(lua_State *L, struct vai_vm *vm, const vai_msg *msg, struct vai_obj *owner)
{
	const int top = lua_gettop(L);
	if (vai__msg_tag(msg) == M_OBJECT) {
		vai__obj_ref((struct vai_obj *)(uintptr_t)msg->w[1]);
		vai__obj_unref(owner);
		return push_object(L, vm, msg);
	}
	int status = pcall_decode(L, vm, msg);
	vai__obj_unref(owner);
	if (status != LUA_OK)
		lua_error(L);
	return lua_gettop(L) - top;
}
