/* SPDX-License-Identifier: MIT */
/* map and its methods. None of them waits. Values are encoded before a function of data/map.h is called, and decoded
 * after it. The functions that run under the map's locks (of type vai__map_fn) handle messages only. */
#include <math.h>
#include <string.h>
#include "base/hash.h"
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/result.h"
#include "data/map.h"
#include "transfer/codec.h"
#include "transfer/message.h"

static inline vai_map *self_map(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__map_class, fname);
}

int vai__lib_map(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	vai_map *m = vai__map_new();
	return vai__bind_push_new(L, g, (struct vai_obj *)m);
}

/* ---- keys ---- */

static void number_key(lua_State *L, struct vai__map_key *key, const char *fname)
{
	int whole;
	lua_Number n = lua_tonumber(L, 2);
	key->kind = VAI_KEY_INTEGER;
	key->word = (uint64_t)lua_tointegerx(L, 2, &whole);
	if (VAI_LIKELY(whole))
		return;
	if (isnan(n))
		vai__arg_error(L, 1, fname, "nan is no key");
	key->kind = VAI_KEY_FLOAT;
	memcpy(&key->word, &n, sizeof key->word);
}

/* Reads the key, which is the first argument. A string is borrowed from the stack. */
static inline void key_of(lua_State *L, struct vai__map_key *key, const char *fname)
{
	size_t len;
	key->word = 0;
	key->bytes = NULL;
	switch (lua_type(L, 2)) {
	case LUA_TSTRING:
		key->kind = VAI_KEY_STRING;
		key->bytes = lua_tolstring(L, 2, &len);
		key->word = len;
		return;
	case LUA_TNUMBER: number_key(L, key, fname); return;
	case LUA_TBOOLEAN: key->kind = lua_toboolean(L, 2) ? VAI_KEY_TRUE : VAI_KEY_FALSE; return;
	default: vai__arg_type_error(L, 2, 1, fname, "boolean, number or string");
	}
}

static void push_key(lua_State *L, const struct vai__map_key *key)
{
	lua_Number n;
	switch (key->kind) {
	case VAI_KEY_STRING: lua_pushlstring(L, key->bytes, (size_t)key->word); break;
	case VAI_KEY_INTEGER: lua_pushinteger(L, (lua_Integer)key->word); break;
	case VAI_KEY_FLOAT:
		memcpy(&n, &key->word, sizeof n);
		lua_pushnumber(L, n);
		break;
	default: lua_pushboolean(L, key->kind == VAI_KEY_TRUE);
	}
}

/* ---- values ---- */

/* Encodes the value at idx, which is not nil. The result belongs to the caller, which must not raise before passing
 * it on. False: the value's __vai_send has given nil. */
static bool value_of(lua_State *L, vai_g *g, int idx, struct vai__map_value *value, const char *what)
{
	value->owner = NULL;
	vai__encode(L, vai__bind_vm(g), idx, &value->msg, what);
	if (VAI_LIKELY(!vai__msg_owns(&value->msg)))
		return vai__msg_tag(&value->msg) != M_NIL;
	value->owner = vai__msg_share(&value->msg);
	if (VAI_LIKELY(value->owner != NULL))
		return true;
	vai__msg_drop(&value->msg);
	vai__arg_no_memory(L);
}

/* Pushes the value and takes over its reference. */
static inline int push_value(lua_State *L, vai_g *g, struct vai__map_value *value)
{
	if (VAI_LIKELY(vai__msg_tag(&value->msg) == M_INT)) {
		lua_pushinteger(L, (lua_Integer)value->msg.w[1]);
		return 1;
	}
	return value->owner ? vai__decode_shared(L, vai__bind_vm(g), &value->msg, value->owner)
						: vai__decode(L, vai__bind_vm(g), &value->msg);
}

static int push_or_nil(lua_State *L, vai_g *g, bool had, struct vai__map_value *value)
{
	if (had)
		return push_value(L, g, value);
	lua_pushnil(L);
	return 1;
}

/* ---- get, set, delete ---- */

static int map_get(lua_State *L)
{
	vai_map *m = self_map(L, "get");
	struct vai__map_key key;
	struct vai__map_value value;
	key_of(L, &key, "get");
	vai_g *g = vai__bind_self(L);
	return push_or_nil(L, g, vai__map_get(m, &key, &value, NULL), &value);
}

static enum vai__map_change store(
	void *arg, const struct vai__map_value *old, uint64_t version, struct vai__map_value *now)
{
	(void)old;
	(void)version;
	*now = *(const struct vai__map_value *)arg;
	return VAI_MAP_STORE;
}

static enum vai__map_change erase(
	void *arg, const struct vai__map_value *old, uint64_t version, struct vai__map_value *now)
{
	(void)arg;
	(void)old;
	(void)version;
	(void)now;
	return VAI_MAP_REMOVE;
}

/* ---- changes ---- */

/* A call of update's function after many calls that were in vain. It lies on the stack of map_update, and
 * vm->updating points to it while the function runs in a protected call. */
struct vai__update {
	const vai_map *map;
	const struct vai__map_key *key;
	struct vai__update *outer;
	bool self_made; /* the function itself has changed the key during the call */
};

static bool is_same(const struct vai__map_key *a, const struct vai__map_key *b)
{
	return a->kind == b->kind && a->word == b->word &&
		(a->kind != VAI_KEY_STRING || vai__same_bytes(a->bytes, b->bytes, (size_t)a->word));
}

static void note_change(struct vai__update *u, const vai_map *m, const struct vai__map_key *key)
{
	for (; u; u = u->outer)
		u->self_made |= u->map == m && is_same(u->key, key);
}

/* Calls vai__map_change for the goroutine g. */
static inline int change(vai_g *g, vai_map *m, const struct vai__map_key *key, vai__map_fn *fn, void *arg,
	struct vai__map_value *before, bool *had)
{
	int rc = vai__map_change(m, key, fn, arg, before, had);
	if (VAI_UNLIKELY(vai__bind_vm(g)->updating != NULL) && rc == 1)
		note_change(vai__bind_vm(g)->updating, m, key);
	return rc;
}

static int map_set(lua_State *L)
{
	vai_map *m = self_map(L, "set");
	struct vai__map_key key;
	struct vai__map_value value;
	key_of(L, &key, "set");
	vai_g *g = vai__bind_self(L);
	if (VAI_UNLIKELY(lua_gettop(L) < 3))
		vai__arg_error(L, 2, "set", "value expected");
	if (!value_of(L, g, 3, &value, "set: argument 2")) {
		change(g, m, &key, erase, NULL, NULL, NULL);
	} else if (VAI_UNLIKELY(change(g, m, &key, store, &value, NULL, NULL) < 0)) {
		vai__map_value_drop(&value);
		vai__arg_no_memory(L);
	}
	return 0;
}

static int map_delete(lua_State *L)
{
	vai_map *m = self_map(L, "delete");
	struct vai__map_key key;
	struct vai__map_value old;
	bool had;
	key_of(L, &key, "delete");
	vai_g *g = vai__bind_self(L);
	if (change(g, m, &key, erase, NULL, &old, &had) < 0)
		vai__arg_no_memory(L);
	return push_or_nil(L, g, had, &old);
}

/* ---- add ---- */

struct sum {
	vai_msg n; /* the number to add; afterwards the sum */
	bool no_number;
};

static double float_of(const vai_msg *msg)
{
	double n;
	memcpy(&n, &msg->w[1], sizeof n);
	return vai__msg_tag(msg) == M_FLOAT ? n : (double)(int64_t)msg->w[1];
}

static enum vai__map_change add(
	void *arg, const struct vai__map_value *old, uint64_t version, struct vai__map_value *now)
{
	struct sum *sum = arg;
	(void)version;
	unsigned tag = old ? vai__msg_tag(&old->msg) : M_NIL;
	sum->no_number = old && tag != M_INT && tag != M_FLOAT;
	if (sum->no_number)
		return VAI_MAP_KEEP;
	if (tag == M_INT && vai__msg_tag(&sum->n) == M_INT)
		sum->n.w[1] += old->msg.w[1];
	else if (old)
		vai__msg_number(&sum->n, float_of(&old->msg) + float_of(&sum->n));
	*now = (struct vai__map_value){.msg = sum->n};
	return VAI_MAP_STORE;
}

/* Adds if both are integers, as counters are. */
static bool add_integer(void *arg, vai_msg *msg)
{
	vai_msg *n = arg;
	if (vai__msg_tag(msg) != M_INT)
		return false;
	n->w[1] += msg->w[1];
	msg->w[1] = n->w[1];
	return true;
}

/* Reads the number, which is the second argument. */
static inline void number_of(lua_State *L, vai_msg *n)
{
	if (VAI_LIKELY(lua_isinteger(L, 3)))
		vai__msg_set(n, M_INT, (uint64_t)lua_tointeger(L, 3));
	else if (VAI_LIKELY(lua_type(L, 3) == LUA_TNUMBER))
		vai__msg_number(n, lua_tonumber(L, 3));
	else
		vai__arg_type_error(L, 3, 2, "add", "number");
}

static int map_add(lua_State *L)
{
	vai_map *m = self_map(L, "add");
	struct vai__map_key key;
	struct sum sum;
	key_of(L, &key, "add");
	vai_g *g = vai__bind_self(L);
	number_of(L, &sum.n);
	if (VAI_LIKELY(vai__msg_tag(&sum.n) == M_INT) && VAI_LIKELY(!vai__bind_vm(g)->updating) &&
		VAI_LIKELY(vai__map_edit(m, &key, add_integer, &sum.n))) {
		lua_pushinteger(L, (lua_Integer)sum.n.w[1]);
		return 1;
	}
	if (change(g, m, &key, add, &sum, NULL, NULL) < 0)
		vai__arg_no_memory(L);
	if (sum.no_number)
		return luaL_error(L, "bad argument #1 to 'add' (the value of '%s' is no number)", luaL_tolstring(L, 2, NULL));
	struct vai__map_value value = {.msg = sum.n};
	return push_value(L, g, &value);
}

/* ---- cas ---- */

/* The value that is expected to be in the map; what it points to is borrowed from the stack. */
struct expected {
	int type;
	bool flag, whole;
	int64_t i;
	double f;
	const void *p; /* the bytes of a string, an object, or a light userdata */
	size_t len;
	struct vai__map_value now;
	bool remove;
};

static bool same_string(const vai_msg *msg, const struct expected *x)
{
	size_t len;
	const char *s = vai__msg_string_of(msg, &len);
	return s && len == x->len && memcmp(s, x->p, len) == 0;
}

static bool same_number(const vai_msg *msg, const struct expected *x)
{
	if (vai__msg_tag(msg) == M_INT)
		return x->whole && (int64_t)msg->w[1] == x->i;
	return vai__msg_tag(msg) == M_FLOAT && float_of(msg) == x->f;
}

static bool is_expected(const struct vai__map_value *old, const struct expected *x)
{
	const unsigned tag = old ? vai__msg_tag(&old->msg) : M_NIL;
	switch (x->type) {
	case LUA_TNIL: return !old;
	case LUA_TBOOLEAN: return tag == (x->flag ? M_TRUE : M_FALSE);
	case LUA_TNUMBER: return old && same_number(&old->msg, x);
	case LUA_TSTRING: return old && same_string(&old->msg, x);
	case LUA_TLIGHTUSERDATA: return tag == M_LIGHT && old->msg.w[1] == (uintptr_t)x->p;
	default: return tag == M_OBJECT && old->msg.w[1] == (uintptr_t)x->p;
	}
}

static enum vai__map_change compare(
	void *arg, const struct vai__map_value *old, uint64_t version, struct vai__map_value *now)
{
	struct expected *x = arg;
	(void)version;
	if (!is_expected(old, x))
		return VAI_MAP_KEEP;
	*now = x->now;
	return x->remove ? VAI_MAP_REMOVE : VAI_MAP_STORE;
}

/* Reads the expected value, which is the second argument. */
static void read_expected(lua_State *L, struct expected *x)
{
	int whole = 0;
	*x = (struct expected){.type = lua_type(L, 3)};
	switch (x->type) {
	case LUA_TNIL: break;
	case LUA_TBOOLEAN: x->flag = lua_toboolean(L, 3); break;
	case LUA_TNUMBER:
		x->i = lua_tointegerx(L, 3, &whole);
		x->whole = whole;
		x->f = lua_tonumber(L, 3);
		break;
	case LUA_TSTRING: x->p = lua_tolstring(L, 3, &x->len); break;
	case LUA_TLIGHTUSERDATA: x->p = lua_touserdata(L, 3); break;
	default:
		x->p = vai__handle_any(L, 3);
		if (!x->p)
			vai__arg_type_error(L, 3, 2, "cas", "boolean, number, string, object of vai or nil");
	}
}

static int map_cas(lua_State *L)
{
	vai_map *m = self_map(L, "cas");
	struct vai__map_key key;
	struct expected x;
	key_of(L, &key, "cas");
	vai_g *g = vai__bind_self(L);
	lua_settop(L, 4);
	read_expected(L, &x);
	x.remove = !value_of(L, g, 4, &x.now, "cas: argument 3");
	const bool absent_to_absent = x.type == LUA_TNIL && x.remove;
	bool had;
	int rc = change(g, m, &key, compare, &x, NULL, &had);
	if (rc != 1)
		vai__map_value_drop(&x.now);
	if (rc < 0)
		vai__arg_no_memory(L);
	lua_pushboolean(L, rc == 1 || (absent_to_absent && !had));
	return 1;
}

/* ---- update ---- */

/* After so many calls in vain update looks whether the function itself is the cause. */
enum { PATIENCE = 100 };

struct update {
	uint64_t version; /* 0: the key was not there */
	struct vai__map_value now;
	bool remove, done;
};

static enum vai__map_change commit(
	void *arg, const struct vai__map_value *old, uint64_t version, struct vai__map_value *now)
{
	struct update *u = arg;
	(void)old;
	u->done = version == u->version;
	*now = u->now;
	return !u->done ? VAI_MAP_KEEP : u->remove ? VAI_MAP_REMOVE : VAI_MAP_STORE;
}

/* Makes f's result, on top, the value. False: another change has come first. */
static bool try_update(lua_State *L, vai_g *g, vai_map *m, const struct vai__map_key *key, uint64_t version)
{
	struct update u = {.version = version};
	u.remove = !value_of(L, g, lua_gettop(L), &u.now, "update: the function's result");
	int rc = change(g, m, key, commit, &u, NULL, NULL);
	if (rc < 0 || !u.done)
		vai__map_value_drop(&u.now);
	if (rc < 0)
		vai__arg_no_memory(L);
	return u.done;
}

/* Calls the function that lies below its argument on top. Raises if the function itself has changed the key, since it
 * would do so in each further call, and update would never end. */
static void call_watched(lua_State *L, struct vai_vm *vm, const vai_map *m, const struct vai__map_key *key)
{
	struct vai__update u = {.map = m, .key = key, .outer = vm->updating};
	vm->updating = &u;
	int status = lua_pcall(L, 1, 1, 0);
	vm->updating = u.outer;
	if (status != LUA_OK)
		lua_error(L);
	if (u.self_made)
		luaL_error(L, "update: the function itself changes the key '%s' each time", luaL_tolstring(L, 2, NULL));
}

static int map_update(lua_State *L)
{
	vai_map *m = self_map(L, "update");
	struct vai__map_key key;
	struct vai__map_value old;
	key_of(L, &key, "update");
	vai_g *g = vai__bind_self(L);
	if (lua_type(L, 3) != LUA_TFUNCTION)
		vai__arg_type_error(L, 3, 2, "update", "function");
	for (int tries = 0;; tries++) {
		uint64_t version = 0;
		lua_settop(L, 3);
		lua_pushvalue(L, 3);
		bool had = vai__map_get(m, &key, &old, &version);
		push_or_nil(L, g, had, &old);
		if (VAI_LIKELY(tries < PATIENCE))
			lua_call(L, 1, 1);
		else
			call_watched(L, vai__bind_vm(g), m, &key);
		if (try_update(L, g, m, &key, version))
			return 1;
	}
}

/* ---- pairs and the rest ---- */

/* Returns the next key and value. Argument: the snapshot, which has its position. */
static int map_next(lua_State *L)
{
	vai_snapshot *s = vai__bind_object(L, &vai__snapshot_class, "next");
	struct vai__map_key key;
	const struct vai__map_value *value;
	vai_g *g = vai__bind_self(L);
	if (!vai__map_next(s, &key, &value)) {
		lua_pushnil(L);
		return 1;
	}
	push_key(L, &key);
	struct vai__map_value mine = *value;
	if (mine.owner)
		vai__obj_ref(mine.owner);
	return 1 + push_value(L, g, &mine);
}

static int map_pairs(lua_State *L)
{
	vai_map *m = self_map(L, "pairs");
	vai_g *g = vai__bind_self(L);
	lua_pushcfunction(L, map_next);
	vai_snapshot *s = vai__map_snapshot(m);
	if (!s)
		vai__arg_no_memory(L);
	vai__handle_push(L, vai__bind_vm(g), (struct vai_obj *)s, true);
	lua_pushnil(L);
	return 3;
}

static int map_clear(lua_State *L)
{
	vai__map_clear(self_map(L, "clear"));
	return 0;
}

static int map_len(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)vai__map_length(self_map(L, "len")));
	return 1;
}

const struct vai__handle_type vai__lib_map_type = {&vai__map_class, "vai.map",
	.methods = VAI__METHODS({"get", map_get}, {"set", map_set}, {"delete", map_delete}, {"add", map_add},
		{"cas", map_cas}, {"update", map_update}, {"clear", map_clear}),
	.meta = VAI__METHODS({"__len", map_len}, {"__pairs", map_pairs}, {"__tostring", vai__bind_tostring})};
const struct vai__handle_type vai__lib_snapshot_type = {.cls = &vai__snapshot_class, .name = "vai.snapshot"};
