/* SPDX-License-Identifier: MIT */
/* The entries of the encoder. A value that a message holds in itself goes there at once. For any other the encoder
 * runs, first unguarded, then guarded if it asks for that. Only here is anything raised, after everything that the
 * encoder owned has been given back. */
#include "transfer/codec.h"
#include <stdlib.h>
#include "base/mem.h"
#include "transfer/charge.h"
#include "transfer/encode.h"
#include "sched/sched.h"
#include "stdlib/catalog.h"
#include "stdlib/sandbox.h"
#include "transfer/small_table.h"
#include "transfer/known_funcs.h"
#include "transfer/lost_writes.h"
#include "transfer/names.h"
#include "transfer/encode_types.h"
#include "state/handle.h"
#include "stdlib/catalog.h"

#ifdef VAI_HARD
#define COLLECT(L) lua_gc(L, LUA_GCCOLLECT)
#else
#define COLLECT(L) ((void)0)
#endif

/* ---- the encoder's life ---- */

static struct vai__block *encode_image(lua_State *L, struct vai_vm *vm, int idx);

static void begin(struct vai__enc *e)
{
	e->image_of = encode_image;
	e->base = e->p = e->small;
	e->end = e->small + SMALL;
	e->heap = NULL;
	e->last_ref = 0;
	e->nslots = 0;
	e->depth = e->deepest = e->apart = 0;
	e->module_scans = e->flags = e->nkeys = 0;
	e->library = e->globals_put = e->falls_back = false;
	e->key_slots = 0;
	e->calls = 0;
	e->nlater = e->nmetas = 0;
	vai__seen_init(&e->seen);
}

/* Gives back what a failed attempt owns. */
static void give_up(struct vai__enc *e)
{
	vai__block_unref_all(e->base, e->last_ref);
	if (e->heap)
		vai__mem_free(e->heap, e->heap->size);
	vai__object_map_free(&e->seen);
	begin(e);
}

static enum vai__enc_result attempt(struct vai__enc *e)
{
	enum vai__enc_result r = vai__enc_all(e);
	if (VAI_UNLIKELY(r != ENC_OK))
		give_up(e);
	return r;
}

/* Arguments: the encoder, then nil for its lists, then the values. Each ENC_RETRY here comes
 * with a setting that was not set before. Returns the message of ENC_FAIL. */
static int guarded(lua_State *L)
{
	struct vai__enc *e = lua_touserdata(L, ERROR_SLOT);
	e->L = L;
	e->guarded = true;
	e->first = GUARDED_VALUES;
	do {
		for (int slot = LATER_SLOT; slot <= METAS_SLOT; slot++) {
			lua_pushnil(L);
			lua_replace(L, slot);
		}
		lua_settop(L, GUARDED_VALUES - 1 + e->n);
		e->result = attempt(e);
	} while (e->result == ENC_RETRY);
	lua_settop(L, ERROR_SLOT);
	return 1;
}

/* Leaves the message on the stack if the result is ENC_FAIL, and any error object, which is Lua's own error, if it
 * is ENC_RETRY. */
static VAI_NOINLINE enum vai__enc_result attempt_guarded(struct vai__enc *e)
{
	lua_State *L = e->L;
	if (!lua_checkstack(L, e->n + GUARDED_VALUES))
		return ENC_NOMEM;
	lua_pushcfunction(L, guarded);
	lua_pushlightuserdata(L, e);
	for (int slot = SENDS_SLOT; slot <= METAS_SLOT; slot++)
		lua_pushnil(L);
	for (int i = 0; i < e->n; i++)
		lua_pushvalue(L, e->first + i);
	e->vm->encoders++;
	int status = lua_pcall(L, e->n + METAS_SLOT, 1, 0);
	e->vm->encoders--;
	e->L = L;
	if (status == LUA_OK)
		return e->result;
	give_up(e);
	return ENC_RETRY;
}

/* Raises what attempt_guarded has left on the stack. */
static _Noreturn void raise_result(lua_State *L, enum vai__enc_result result)
{
	if (result == ENC_NOMEM)
		vai__state_out_of_memory(L);
	if (result == ENC_FAIL) {
		luaL_where(L, 1);
		lua_insert(L, -2);
		lua_concat(L, 2);
	}
	lua_error(L);
	abort();
}

/* Returns the stream as a block of its own size, or as the one in which it grew. */
static struct vai__block *finish(struct vai__enc *e)
{
	size_t len = vai__enc_at(e);
	struct vai__block *b = e->heap;
	if (VAI_UNLIKELY(e->looked || e->methods) && !vai__sandbox_self() &&
		atomic_load_relaxed(&vai__home_self()->changed_libs))
		e->flags |= BLOCK_LIBS | BLOCK_CALLS_OUT;
	if (!b || len < b->len - b->len / 4) {
		b = vai__block_new(len);
		if (VAI_UNLIKELY(!b)) {
			give_up(e);
			return NULL;
		}
		memcpy(b->data, e->base, len);
		if (e->heap)
			vai__mem_free(e->heap, e->heap->size);
	}
	b->len = len;
	b->last_ref = e->last_ref;
	b->nslots = e->nslots;
	b->nvalues = (uint32_t)e->n;
	b->sandbox = vai__sandbox_id();
	b->nkeys = e->nkeys;
	b->depth = (uint8_t)e->deepest;
	b->flags = e->flags;
	vai__object_map_free(&e->seen);
	return b;
}

/* Reports writes into captured tables, which reach only the goroutine's copies. Modules do not count: each state has
 * its own. */
static void report_written_tables(struct vai__enc *e, int idx, struct vai_code *code)
{
	lua_State *L = e->L;
	for (int i = 0; i < code->nups; i++) {
		struct vai__upval *up = &code->upvals[i];
		if (VAI_LIKELY(!up->written_line) || up->warned || !lua_getupvalue(L, idx, i + 1))
			continue;
		if (lua_istable(L, -1) && lua_topointer(L, -1) != e->globals && !vai__enc_has_name(e, -1))
			vai__lost_report(L, idx, &up->warned, up->written_line, "writes into captured table", up->name, i + 1);
		lua_pop(L, 1);
	}
}

/* Checks and prepares a call before it is encoded. After the code was asked for nothing collects, here and in the
 * unguarded attempt: so what the state remembers of the function stays where it is. */
static void check_call(struct vai__enc *e)
{
	lua_State *L = e->L;
	if (lua_iscfunction(L, e->first) || !lua_isfunction(L, e->first))
		return;
	e->body = vai__known_funcs_hit(L, e->vm, e->first);
	e->types = (!e->body || vai__encode_types_seen(e->vm)) && vai__encode_types_differ(L);
	e->body = e->body && !e->types ? e->body : vai__known_funcs_get(L, e->vm, e->first);
	const struct vai_code *code = e->body->code;
	if (VAI_UNLIKELY(
			code->uses_require || code->any_library || (code->any_method && vai__enc_tell_methods(e) != ENC_OK))) {
		vai__codec_note_paths(L, e->vm);
		e->looked = e->noted = true;
		e->body = vai__known_funcs_get(L, e->vm, e->first);
	}
	vai__lost_check(L, e->first, e->body->code);
	report_written_tables(e, e->first, e->body->code);
}

/* Encodes a plain call (encode_plain.c). False: it is none. */
static bool is_plain_call(struct vai__enc *e)
{
	if (!e->body || e->types || e->globals_meta || e->looked || e->methods)
		return false;
	if (vai__enc_plain_call(e) == ENC_OK) {
		vai__enc_plan_make(e);
		return true;
	}
	give_up(e);
	return false;
}

/* What is to be encoded. Its fields are those of the same names in struct vai__enc. */
struct values {
	int first, n;
	const char *what;
	int number;
	bool call;
};

/* Encodes the values into one block. */
static void encode_block(lua_State *L, struct vai_vm *vm, const struct values *v, vai_msg *out)
{
	struct vai__enc e;
	int top = lua_gettop(L);
	COLLECT(L);
	e.L = L;
	e.vm = vm;
	e.first = lua_absindex(L, v->first);
	e.n = v->n;
	e.what = v->what;
	e.number = v->number;
	e.guarded = e.all_modules = e.late_metas = e.classes = e.image = false;
	e.call = v->call;
	e.looked = e.noted = e.methods = e.all_globals = false;
	e.body = NULL;
	e.number_of_all = 0;
	e.max_depth = VAI_LIKELY(vm->encoders == 0) ? MAX_DEPTH : INNER_DEPTH;
	if (!lua_checkstack(L, LEVEL_STACK))
		raise_result(L, ENC_NOMEM);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	e.globals = lua_topointer(L, -1);
	e.types = false;
	e.globals_meta = v->call && vai__enc_has_metatable(L, vm);
	lua_settop(L, top);
	begin(&e);
	if (v->call)
		check_call(&e);
	if (!is_plain_call(&e)) {
		lua_settop(L, top);
		enum vai__enc_result r = attempt(&e);
		if (r == ENC_RETRY) {
			lua_settop(L, top);
			r = attempt_guarded(&e);
		}
		if (VAI_UNLIKELY(r != ENC_OK))
			raise_result(L, r);
		lua_settop(L, top);
	}
	struct vai__block *b = finish(&e);
	if (VAI_UNLIKELY(!b))
		raise_result(L, ENC_NOMEM);
	vai__msg_set(out, M_BLOCK, (uintptr_t)b);
	vai__charge_message(vm, out);
}

static struct vai__block *encode_image(lua_State *L, struct vai_vm *vm, int idx)
{
	struct vai__enc e = {.L = L, .vm = vm, .n = 1, .image = true, .classes = true, .max_depth = MAX_DEPTH};
	const int top = lua_gettop(L);
	e.first = lua_absindex(L, idx);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	e.globals = lua_topointer(L, -1);
	lua_settop(L, top);
	begin(&e);
	enum vai__enc_result r = attempt_guarded(&e);
	struct vai__block *b = r == ENC_OK ? finish(&e) : NULL;
	if (!b)
		raise_result(L, r == ENC_OK ? ENC_NOMEM : r);
	lua_settop(L, top);
	return b;
}

/* ---- what needs no encoder ---- */

static bool encode_string(lua_State *L, struct vai_vm *vm, int idx, vai_msg *out)
{
	size_t len;
	const char *s = lua_tolstring(L, idx, &len);
	bool block = false;
	if (len > MSG_STRING_MAX) {
		vai__charge_look(L, vm, true);
		block = len > MSG_TEXT_MAX || !vai__charge_text(vm, len);
	}
	if ((block ? vai__msg_string_block : vai__msg_string)(out, s, len) != VAI_OK)
		vai__state_out_of_memory(L);
	vai__charge_message(vm, out);
	return true;
}

static bool encode_handle(lua_State *L, struct vai_vm *vm, int idx, vai_msg *out)
{
	struct vai_obj *o = vai__handle_any(L, idx);
	if (!o)
		return false;
	vai__handle_leaves(L, vm, idx);
	vai__obj_ref(o);
	vai__msg_set(out, M_OBJECT, (uintptr_t)o);
	return true;
}

static bool encode_cfunction(lua_State *L, struct vai_vm *vm, int idx, vai_msg *out)
{
	lua_CFunction f = lua_tocfunction(L, idx);
	if (!f || VAI_UNLIKELY(vai__sandbox_self() != NULL) ||
		(!vai__catalog_knows(f) && (vai__names_any(vm) || vai__home_self()->only_modules)))
		return false;
	if (lua_getupvalue(L, idx, 1)) {
		lua_pop(L, 1);
		return false;
	}
	vai__msg_set(out, M_CFUNC, (uintptr_t)vai__catalog_cfunction_out(f));
	return true;
}

static void encode_number(lua_State *L, int idx, vai_msg *out)
{
	if (lua_isinteger(L, idx)) {
		vai__msg_set(out, M_INT, (uint64_t)lua_tointeger(L, idx));
	} else {
		vai__msg_number(out, lua_tonumber(L, idx));
	}
}

/* Encodes a value of that type that the message holds in itself. False: it needs a block. */
static bool encode_inline(lua_State *L, struct vai_vm *vm, int idx, int type, vai_msg *out)
{
	switch (type) {
	case LUA_TNIL: vai__msg_set(out, M_NIL, 0); return true;
	case LUA_TBOOLEAN: vai__msg_bool(out, lua_toboolean(L, idx)); return true;
	case LUA_TNUMBER: encode_number(L, idx, out); return true;
	case LUA_TSTRING: return encode_string(L, vm, idx, out);
	case LUA_TLIGHTUSERDATA: vai__msg_set(out, M_LIGHT, (uintptr_t)lua_touserdata(L, idx)); return true;
	case LUA_TUSERDATA: return encode_handle(L, vm, idx, out);
	case LUA_TFUNCTION: return encode_cfunction(L, vm, idx, out);
	default: return false;
	}
}

/* ---- entries ---- */

void vai__encode(lua_State *L, struct vai_vm *vm, int idx, vai_msg *out, const char *what)
{
	if (lua_isinteger(L, idx)) { /* integers are sent most, so they come first */
		vai__msg_set(out, M_INT, (uint64_t)lua_tointeger(L, idx));
		return;
	}
	const int type = lua_type(L, idx);
	if (encode_inline(L, vm, idx, type, out))
		return;
	COLLECT(L);
	vai__charge_look(L, vm, true);
	if (type == LUA_TTABLE &&
		vai__small_table_encode(L, vm, idx > 0 ? idx : lua_absindex(L, idx), !vai__names_any(vm), out)) {
		vai__charge_message(vm, out);
		return;
	}
	encode_block(L, vm, &(struct values){idx, 1, what, 0, false}, out);
	if (VAI_UNLIKELY(vai__msg_block(out)->data[0] == T_NIL)) { /* __vai_send gave it */
		vai__msg_drop(out);
		vai__msg_set(out, M_NIL, 0);
	}
}

void vai__encode_values(lua_State *L, struct vai_vm *vm, int first, int n, vai_msg *out, const char *what)
{
	if (n == 0)
		vai__msg_set(out, M_NONE, 0);
	else if (n != 1 || !encode_inline(L, vm, first, lua_type(L, first), out))
		encode_block(L, vm, &(struct values){first, n, what, 1, false}, out);
}

/* Splits a number off: "timer: argument 2" becomes "timer: argument", with 2 for the first. buf holds what is cut
 * off. */
static const char *split_number(const char *what, char *buf, size_t size, int *number)
{
	size_t len = strlen(what), digits = len;
	while (digits > 0 && what[digits - 1] >= '0' && what[digits - 1] <= '9')
		digits--;
	*number = 1;
	if (digits == len || digits == 0 || what[digits - 1] != ' ' || digits > size || len - digits > 4)
		return what;
	*number = 0;
	for (size_t i = digits; i < len; i++)
		*number = *number * 10 + (what[i] - '0');
	memcpy(buf, what, digits - 1);
	buf[digits - 1] = '\0';
	return buf;
}

/* The code object with which a block of a call begins. */
static struct vai_code *code_of_block(const struct vai__block *b)
{
	if (b->data[0] != T_FUNC)
		return NULL;
	return (struct vai_code *)(uintptr_t)vai__load64(b->data + FUNC_CODE);
}

void vai__encode_call(
	lua_State *L, struct vai_vm *vm, int idx, int n, vai_msg *out, struct vai_code **code, const char *what)
{
	char buf[64];
	int number;
	vai__charge_look(L, vm, true);
	COLLECT(L);
	struct vai__block *again = vai__enc_plan_write(L, vm, lua_absindex(L, idx), n);
	if (again) {
		vai__msg_set(out, M_BLOCK, (uintptr_t)again);
		vai__charge_message(vm, out);
	} else {
		what = split_number(what, buf, sizeof buf, &number);
		encode_block(L, vm, &(struct values){idx, n + 1, what, number, true}, out);
	}
	*code = code_of_block(vai__msg_block(out));
}

bool vai__codec_hand_over(const vai_msg *msg, unsigned n)
{
	struct vai__block *b = vai__msg_block(msg);
	size_t at = b->last_ref;
	while (n > 0 && at > FUNC_CODE) {
		at = (size_t)vai__load64(b->data + at + 8);
		n--;
	}
	if (n > 0 || at != FUNC_CODE)
		return false;
	b->last_ref = FUNC_CODE;
	return true;
}

void vai__encode_look(lua_State *L, struct vai_vm *vm, int idx)
{
	struct vai__enc e = {.L = L, .vm = vm};
	if (lua_iscfunction(L, idx))
		return;
	const struct vai__func *f = vai__known_funcs_get(L, vm, idx);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	e.globals = lua_topointer(L, -1);
	lua_pop(L, 1);
	begin(&e);
	report_written_tables(&e, idx, f->code);
}

void vai__codec_release(struct vai_vm *vm)
{
	vai_msg msg;
	bool text = vm->decoding & 1;
	vai__msg_set(&msg, text ? M_TEXT : vm->decoding ? M_BLOCK : M_NIL, vm->decoding - text);
	vm->decoding = 0;
	vai__msg_drop(&msg);
}
