/* SPDX-License-Identifier: MIT */
/* The encoder: messages for values that cannot be sent. They grow from the inside out, as the recursion returns, in
 * ERROR_SLOT of the guarded call's stack, so nothing is kept on the way in. All of this runs guarded. */
#include <string.h>
#include "stdlib/sandbox.h"
#include "transfer/encode.h"

enum { SHOWN_KEY = 60 };

/* What to do about a value of that type and name. */
static const char *advice(int type, const char *name)
{
	if (type == LUA_TTHREAD)
		return "make the coroutine where it is to run";
	if (strcmp(name, LUA_FILEHANDLE) == 0)
		return "open the file there, or by vai.fs.open";
	return "a __vai_send in its metatable may tell how";
}

enum vai__enc_result vai__enc_unsendable(struct vai__enc *e, int idx)
{
	lua_State *L = e->L;
	const char *name = "";
	if (!e->guarded)
		return ENC_RETRY;
	luaL_checkstack(L, LEVEL_STACK, NULL);
	const char *type = luaL_typename(L, idx);
	if (lua_type(L, idx) == LUA_TUSERDATA && luaL_getmetafield(L, idx, "__name") == LUA_TSTRING)
		name = lua_tostring(L, -1);
	lua_pushfstring(L, "%s%s%s cannot be sent: %s", type, *name ? " " : "", name, advice(lua_type(L, idx), name));
	lua_replace(L, ERROR_SLOT);
	return ENC_FAIL;
}

enum vai__enc_result vai__enc_barred(struct vai__enc *e, const char *name)
{
	if (!e->guarded)
		return ENC_RETRY;
	if (name)
		lua_pushfstring(e->L, "the sandbox does not allow '%s'", name);
	else
		lua_pushliteral(e->L, "the sandbox does not allow a C function of the host's that it was not told of");
	lua_replace(e->L, ERROR_SLOT);
	return ENC_FAIL;
}

enum vai__enc_result vai__enc_homeless(struct vai__enc *e)
{
	if (!e->guarded)
		return ENC_RETRY;
	if (vai__sandbox_self())
		return vai__enc_barred(e, NULL);
	lua_pushliteral(e->L, "a C function that belongs to no loaded module cannot be sent: the host forbids it");
	lua_replace(e->L, ERROR_SLOT);
	return ENC_FAIL;
}

enum vai__enc_result vai__enc_misfit(struct vai__enc *e, const char *what)
{
	lua_State *L = e->L;
	const char *value = lua_type(L, -1) == LUA_TNUMBER ? "a number" : luaL_typename(L, -1);
	if (lua_type(L, -1) == LUA_TNUMBER && !lua_rawequal(L, -1, -1))
		value = "NaN";
	lua_pushfstring(L, "__vai_send gave %s for %s", value, what);
	lua_replace(L, ERROR_SLOT);
	return ENC_FAIL;
}

enum vai__enc_result vai__enc_misfit_send(struct vai__enc *e)
{
	lua_State *L = e->L;
	lua_pushfstring(L, "__vai_send is a %s value, not a function", luaL_typename(L, -1));
	lua_replace(L, ERROR_SLOT);
	return ENC_FAIL;
}

enum vai__enc_result vai__enc_misfit_call(struct vai__enc *e, bool too_much)
{
	lua_State *L = e->L;
	if (too_much)
		lua_pushliteral(L, "__vai_send gave too many arguments, or calls inside of calls");
	else
		lua_pushfstring(L, "__vai_send gave nil and a %s value, not a function", luaL_typename(L, -1));
	lua_replace(L, ERROR_SLOT);
	return ENC_FAIL;
}

enum vai__enc_result vai__enc_in(struct vai__enc *e, enum vai__enc_result result, const char *where)
{
	lua_State *L = e->L;
	if (result != ENC_FAIL)
		return result;
	luaL_checkstack(L, 4, NULL);
	lua_pushfstring(L, "%s: %s", where, lua_tostring(L, ERROR_SLOT));
	lua_replace(L, ERROR_SLOT);
	return result;
}

enum vai__enc_result vai__enc_in_named(
	struct vai__enc *e, enum vai__enc_result result, const char *what, const char *name, int number)
{
	char where[SHOWN_KEY + 64];
	if (result != ENC_FAIL)
		return result;
	if (name)
		snprintf(where, sizeof where, "%s '%.*s'", what, SHOWN_KEY, name);
	else
		snprintf(where, sizeof where, "%s %d", what, number);
	return vai__enc_in(e, result, where);
}

enum vai__enc_result vai__enc_in_field(struct vai__enc *e, enum vai__enc_result result, int key)
{
	lua_State *L = e->L;
	char where[64];
	if (result != ENC_FAIL)
		return result;
	switch (lua_type(L, key)) {
	case LUA_TSTRING: return vai__enc_in_named(e, result, "field", lua_tostring(L, key), 0);
	case LUA_TNUMBER:
		if (lua_isinteger(L, key))
			snprintf(where, sizeof where, "[%lld]", (long long)lua_tointeger(L, key));
		else
			snprintf(where, sizeof where, "[%.14g]", lua_tonumber(L, key));
		break;
	case LUA_TBOOLEAN: snprintf(where, sizeof where, "[%s]", lua_toboolean(L, key) ? "true" : "false"); break;
	default: snprintf(where, sizeof where, "[%s]", luaL_typename(L, key)); break;
	}
	return vai__enc_in(e, result, where);
}

enum vai__enc_result vai__enc_in_key(struct vai__enc *e, int result)
{
	lua_State *L = e->L;
	if (result != ENC_FAIL)
		return result;
	luaL_checkstack(L, 4, NULL);
	lua_pushfstring(L, "key of table: %s", lua_tostring(L, ERROR_SLOT));
	lua_replace(L, ERROR_SLOT);
	return result;
}

enum vai__enc_result vai__enc_in_argument(struct vai__enc *e, enum vai__enc_result result, int i)
{
	char where[SHOWN_KEY + 64];
	if (!e->what) /* the image of a class: the encoder that wants it puts the place before the message */
		return result;
	if (result != ENC_FAIL || !e->number)
		return vai__enc_in(e, result, e->what);
	snprintf(where, sizeof where, "%.*s %d", SHOWN_KEY, e->what, e->number + i);
	return vai__enc_in(e, result, where);
}
