/* SPDX-License-Identifier: MIT */
/* The encoder: what the script has added to, changed in or taken from standard libraries, and functions and scalars
 * that it has set in loaded modules. The bytecode tells which names a function uses, so that nothing is paid for
 * others. Tables inside of modules are each state's own. */
#include <lualib.h>
#include <string.h>
#include "stdlib/catalog.h"
#include "stdlib/lazy.h"
#include "transfer/encode.h"
#include "transfer/known_funcs.h"
#include "transfer/module_changes.h"
#include "transfer/names.h"

/* Stack indices of the table, the field's name and its value. */
struct field {
	int table, name, value;
};

/* Whether the value on top can be set in another state: it is no userdata (a file) and no table, which is state of the
 * library's own. */
static bool is_light(lua_State *L)
{
	switch (lua_type(L, -1)) {
	case LUA_TFUNCTION:
	case LUA_TNUMBER:
	case LUA_TSTRING:
	case LUA_TBOOLEAN: return true;
	default: return false;
	}
}

/* Whether the value on top of the stack is what every fresh state has as that field. A field that a library which fills
 * itself does not have yet may still come. */
static bool is_stock_field(const struct vai__enc *e, int lib, int entry)
{
	lua_State *L = e->L;
	if (lua_isnil(L, -1))
		return entry < 0 || (!e->vm->is_host && vai__lazy_awaits(e->vm, VAI__LAZY_LIBS + lib, entry));
	if (entry < 0)
		return !is_light(L) && !(lua_istable(L, -1) && lib != vai__catalog_lib(LUA_LOADLIBNAME));
	return vai__catalog_holds(L, &vai__catalog.libs[lib].names.entries[entry]);
}

/* Whether the value on top is the very function that the module had when it was loaded. */
static bool is_own_member(const struct vai__enc *e, const struct field *f)
{
	lua_State *L = e->L;
	const int top = lua_gettop(L);
	bool own =
		vai__names_path(L, e->vm, f->value) == 1 && lua_rawequal(L, -1, f->table) && lua_rawequal(L, -2, f->name);
	lua_settop(L, top);
	return own;
}

/* Writes the field of the module, once in a message. */
static enum vai__enc_result put_field(struct vai__enc *e, const struct field *f, int lib)
{
	lua_State *L = e->L;
	bool found;
	const char *name = lua_tostring(L, f->name);
	const uint64_t fresh = vai__seen_value(SEEN_NAME, 1, vai__enc_at(e));
	uint64_t *met = vai__seen_put(&e->seen, name + 1 + (lib < 0 ? 0 : lib), fresh, &found);
	if (!met)
		return ENC_NOMEM;
	if (found && lib >= 0 && vai__seen_kind(*met) == SEEN_NAME)
		return ENC_OK;
	*met = fresh;
	enum vai__enc_result r = vai__enc_tag(e, T_FIELD);
	if (r == ENC_OK)
		r = vai__enc_module(e, f->table);
	e->library = false;
	if (r == ENC_OK)
		r = vai__enc_string(e, f->name);
	if (r == ENC_OK)
		r = vai__enc_value(e, f->value, ENC_DIRECT);
	return vai__enc_in_named(e, r, "field", name, 0);
}

/* Whether the script has put the table on top into the module, and no function of that. */
static enum vai__enc_result is_added_table(struct vai__enc *e, const struct field *f)
{
	lua_State *L = e->L;
	if (vai__names_added(L, e->vm, f->value))
		return ENC_YES;
	if (!lua_istable(L, f->value) || !e->vm->is_host || vai__names_noted(L, e->vm, f->value))
		return ENC_NO;
	if (!e->guarded)
		return ENC_RETRY;
	if (vai__module_changes_sets(L, e->vm, f->table, f->name))
		return ENC_NO;
	vai__names_add(L, e->vm, f->value);
	return ENC_YES;
}

/* Writes a field of a module that is no standard library, if a fresh module would not have it so. */
static enum vai__enc_result put_of_module(struct vai__enc *e, const struct field *f)
{
	if (!is_light(e->L)) {
		enum vai__enc_result r = is_added_table(e, f);
		return r == ENC_YES ? put_field(e, f, -1) : r == ENC_NO ? ENC_OK : r;
	}
	if (VAI_UNLIKELY(vai__names_stale(e->vm))) {
		if (!e->guarded)
			return ENC_RETRY;
		vai__names_refresh(e->L, e->vm);
	}
	if (lua_isfunction(e->L, f->value) && (!vai__names_any(e->vm) || is_own_member(e, f)))
		return ENC_OK;
	return put_field(e, f, -1);
}

/* Writes what the function uses of the module at `table`, which an upvalue holds. */
static enum vai__enc_result put_captured(
	struct vai__enc *e, int table, const struct vai__upval *up, int list, lua_Integer place)
{
	lua_State *L = e->L;
	const int top = lua_gettop(L);
	enum vai__enc_result r = vai__enc_is_module(e, table);
	int lib = -1;
	if (r != ENC_YES)
		return r == ENC_NO ? ENC_OK : r;
	const char *name = vai__enc_name_of(e, table);
	if (!name)
		return e->guarded ? ENC_OK : ENC_RETRY;
	lib = vai__catalog_lib(name);
	r = ENC_OK;
	for (int k = 0; k < up->nnames && r == ENC_OK; k++) {
		const struct field f = {table, top + 1, top + 2};
		if (!up->names[k].read)
			continue;
		lua_rawgeti(L, list, place + k + 1);
		lua_pushvalue(L, f.name);
		lua_rawget(L, table);
		if (lib < 0)
			r = put_of_module(e, &f);
		else if (!is_stock_field(e, lib,
					 vai__catalog_find(&vai__catalog.libs[lib].names, up->names[k].name, strlen(up->names[k].name))))
			r = put_field(e, &f, lib);
		if (r == ENC_OK)
			lua_settop(L, top);
	}
	return r;
}

/* Writes what the function uses of modules that its upvalues hold. */
static enum vai__enc_result put_upvalues(struct vai__enc *e, int f, const struct vai_code *code, int list)
{
	lua_State *L = e->L;
	const int top = lua_gettop(L);
	lua_Integer place = 0;
	enum vai__enc_result r = ENC_OK;
	for (int i = 0; i < code->nups && r == ENC_OK; i++) {
		const struct vai__upval *up = &code->upvals[i];
		if (up->nnames > 0 && lua_getupvalue(L, f, i + 1)) {
			if (lua_istable(L, -1) && lua_topointer(L, -1) != e->globals)
				r = put_captured(e, top + 1, up, list, place);
			if (r == ENC_OK)
				lua_settop(L, top);
		}
		place += up->nnames;
	}
	return r;
}

/* Writes a field of a table that a global holds. A method counts as a field of the library that strings have. */
static enum vai__enc_result put_global_field(
	struct vai__enc *e, const struct vai__field *known, int list, lua_Integer place)
{
	lua_State *L = e->L;
	const struct field f = {lua_gettop(L) + 1, lua_gettop(L) + 2, lua_gettop(L) + 3};
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	lua_rawgeti(L, list, place + 2);
	if (lua_rawget(L, -2) != LUA_TTABLE || lua_topointer(L, -1) == e->globals)
		return ENC_OK;
	lua_replace(L, f.table);
	lua_rawgeti(L, list, place + 1);
	lua_pushvalue(L, f.name);
	lua_rawget(L, f.table);
	if (known->lib >= 0 && is_stock_field(e, known->lib, known->entry))
		return ENC_OK;
	if (known->lib < 0 && !is_light(L) && !lua_istable(L, -1))
		return ENC_OK;
	enum vai__enc_result r = vai__enc_is_module(e, f.table);
	if (r != ENC_YES)
		return r == ENC_NO ? ENC_OK : r;
	return known->lib < 0 ? put_of_module(e, &f) : put_field(e, &f, known->lib);
}

/* Whether the method is called on a userdata, such as a channel. Then it does not matter whether strings have a method
 * of that name. */
static bool is_of_userdata(lua_State *L, int f, const struct vai__field *known)
{
	if (known->on < 0 || !lua_getupvalue(L, f, known->on + 1))
		return false;
	bool userdata = lua_isuserdata(L, -1);
	lua_pop(L, 1);
	return userdata;
}

static bool needs_fields(lua_State *L, int f, const struct vai_code *code)
{
	int i = 0;
	while (i < code->nfields && is_of_userdata(L, f, &code->fields[i]))
		i++;
	return code->nnames > 0 || i < code->nfields;
}

enum vai__enc_result vai__enc_fields(struct vai__enc *e, int f, const struct vai_code *code, int names)
{
	lua_State *L = e->L;
	const int top = lua_gettop(L);
	enum vai__enc_result r = ENC_OK;
	if (!needs_fields(L, f, code))
		return ENC_OK;
	if (!lua_checkstack(L, 2 * LEVEL_STACK))
		return ENC_NOMEM;
	lua_rawgeti(L, LUA_REGISTRYINDEX, names);
	if (code->nnames > 0)
		r = put_upvalues(e, f, code, top + 1);
	for (int i = 0; i < code->nfields && r == ENC_OK; i++) {
		if (is_of_userdata(L, f, &code->fields[i]))
			continue;
		r = put_global_field(e, &code->fields[i], top + 1, code->nnames + 2 * i);
		if (r == ENC_OK)
			lua_settop(L, top + 1);
	}
	if (r == ENC_OK)
		lua_settop(L, top);
	return r;
}
