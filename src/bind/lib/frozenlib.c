/* SPDX-License-Identifier: MIT */
/* Frozen tables in a Lua state: proxies, freeze, thaw, next.
 *
 * A proxy is an empty table. All proxies of a block share a metatable. Its functions have the upvalues that the
 * constants UP_ list: the handle of the view, the weak list of proxies by number, the metatable. One iterator
 * function walks all tables of the block. Its position in a table is noted with the proxy, and is checked against the
 * key that it is called with. The iterator keeps the strings of field names by their places in the block, as finding
 * a string there is cheaper than making it.
 *
 * A proxy that is read often gets a metatable of its own whose __index is a table, the cache. A key that is in the
 * cache costs two look-ups in tables and no call of C. A full cache is emptied.
 *
 * A script with the debug library can put anything into upvalues and metatables, and keep a proxy longer than its
 * view. So the view comes from an upvalue only if vai__handle_test accepts that, and a table is a proxy only if the
 * view knows its address. */
#include "bind/lib/view.h"
#include "bind/lib/lib.h"
#include "bind/site.h"
#include "transfer/codec.h"

enum { UP_VIEW = 1, UP_LIST, UP_META, UP_PROXY, UP_COUNT };
enum { UP_NAMES = UP_META + 1, UP_STEP = UP_META + 1 };
enum { HOT = 12 /* misses */, CACHE_MAX = 256, NAMES_MAX = 1024, NAME_LONGEST = 40 };

static const char views_key, view_key, list_key, step_key;

static int frozen_index(lua_State *L);
static int frozen_newindex(lua_State *L);
static int frozen_len(lua_State *L);
static int frozen_pairs(lua_State *L);
static int step(lua_State *L);

/* ---- views ---- */

static _Noreturn void not_frozen(lua_State *L)
{
	luaL_error(L, "not a frozen table, or one that was collected");
	__builtin_unreachable();
}

/* The view of the running function, from its upvalues. */
static inline struct vai__view *own_view(lua_State *L)
{
	struct vai__view *v = (struct vai__view *)vai__handle_test(L, lua_upvalueindex(UP_VIEW), &vai__view_class);
	if (VAI_UNLIKELY(!v))
		not_frozen(L);
	return v;
}

static inline struct vai__view_proxy *proxy_at(lua_State *L, struct vai__view *v, int idx)
{
	struct vai__view_proxy *p = vai__view_by_address(v, lua_topointer(L, idx));
	if (VAI_UNLIKELY(!p))
		not_frozen(L);
	return p;
}

/* The view and the proxy for the value at idx, or NULL. Does not raise and leaves nothing on the stack. */
static struct vai__view *view_at(lua_State *L, int idx, struct vai__view_proxy **proxy)
{
	struct vai__view *v = NULL;
	if (lua_type(L, idx) != LUA_TTABLE || !lua_getmetatable(L, idx))
		return NULL;
	lua_rawgetp(L, -1, &view_key);
	v = (struct vai__view *)vai__handle_test(L, -1, &vai__view_class);
	lua_pop(L, 2);
	*proxy = v ? vai__view_by_address(v, lua_topointer(L, idx)) : NULL;
	return *proxy ? v : NULL;
}

static void push_weak(lua_State *L)
{
	lua_createtable(L, 0, 1);
	lua_pushliteral(L, "v");
	lua_setfield(L, -2, "__mode");
	lua_pushvalue(L, -1);
	lua_setmetatable(L, -2);
}

/* Sets a function in the metatable at meta, with the view and the list as upvalues. cold: index of the metatable that
 * new proxies get. */
static void set_function(lua_State *L, int meta, int cold, const char *name, lua_CFunction f)
{
	lua_rawgetp(L, meta, &view_key);
	lua_rawgetp(L, meta, &list_key);
	lua_pushvalue(L, cold);
	lua_pushcclosure(L, f, 3);
	lua_setfield(L, meta, name);
}

/* Sets __pairs in the metatable at meta, with the iterator function of the metatable at cold. */
static void set_pairs(lua_State *L, int meta, int cold)
{
	const int top = lua_gettop(L);
	lua_rawgetp(L, meta, &view_key);
	lua_rawgetp(L, meta, &list_key);
	lua_pushvalue(L, cold);
	if (lua_rawgetp(L, cold, &step_key) != LUA_TFUNCTION) {
		lua_pop(L, 1);
		for (int i = 1; i <= 3; i++)
			lua_pushvalue(L, top + i);
		lua_newtable(L);
		lua_pushcclosure(L, step, UP_NAMES);
		lua_pushvalue(L, -1);
		lua_rawsetp(L, cold, &step_key);
	}
	lua_pushcclosure(L, frozen_pairs, UP_STEP);
	lua_setfield(L, meta, "__pairs");
}

/* Pushes a metatable for proxies. view, list, cold: stack indices; cold 0: the new metatable is the one for new
 * proxies. */
static int push_metatable(lua_State *L, int view, int list, int cold)
{
	lua_createtable(L, 0, 8);
	int meta = lua_gettop(L);
	cold = cold ? cold : meta;
	lua_pushvalue(L, view);
	lua_rawsetp(L, meta, &view_key);
	lua_pushvalue(L, list);
	lua_rawsetp(L, meta, &list_key);
	set_function(L, meta, cold, "__len", frozen_len);
	set_pairs(L, meta, cold);
	lua_pushcfunction(L, frozen_newindex);
	lua_setfield(L, meta, "__newindex");
	lua_pushliteral(L, "vai.frozen");
	lua_pushvalue(L, -1);
	lua_setfield(L, meta, "__metatable");
	lua_setfield(L, meta, "__name");
	return meta;
}

/* Pushes the metatable of the block's proxies in this state. */
static void push_block(lua_State *L, struct vai_vm *vm, vai_frozen *block)
{
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &views_key) != LUA_TTABLE) {
		lua_pop(L, 1);
		push_weak(L);
		lua_pushvalue(L, -1);
		lua_rawsetp(L, LUA_REGISTRYINDEX, &views_key);
	}
	const int views = lua_gettop(L);
	if (lua_rawgetp(L, views, block) != LUA_TTABLE) {
		lua_pop(L, 1);
		struct vai__view *v = vai__view_new(block);
		if (!v)
			vai__arg_no_memory(L);
		vai__handle_push(L, vm, &v->obj, true);
		push_weak(L);
		int meta = push_metatable(L, views + 1, views + 2, 0);
		set_function(L, meta, meta, "__index", frozen_index);
		lua_pushvalue(L, meta);
		lua_rawsetp(L, views, block);
	}
	lua_replace(L, views);
	lua_settop(L, views);
}

/* ---- proxies ---- */

/* Pushes the proxy with number n. False: it is gone or n is 0, and nothing is pushed. */
static inline bool push_known(lua_State *L, struct vai__view *v, uint32_t n, int list)
{
	if (!n)
		return false;
	vai__view_note(v, n);
	if (VAI_LIKELY(lua_rawgeti(L, list, n) == LUA_TTABLE))
		return true;
	lua_pop(L, 1);
	return false;
}

/* Pushes a new proxy for the table, which has number n (0: none) and no proxy. */
static VAI_NOINLINE void push_new(lua_State *L, struct vai__view *v, uint64_t table, uint32_t n, int list, int meta)
{
	const uint32_t changes = v->changes;
	lua_createtable(L, 0, 0);
	if (VAI_UNLIKELY(v->changes != changes)) { /* finalizers have run and may have made one */
		n = vai__view_by_table(v, table);
		if (push_known(L, v, n, list))
			return;
	}
	lua_pushvalue(L, meta);
	lua_setmetatable(L, -2);
	if (!n && !(n = vai__view_number(L, v, list)))
		vai__arg_no_memory(L);
	lua_pushvalue(L, -1);
	lua_rawseti(L, list, n);
	vai__view_set(v, n, table, lua_topointer(L, -1));
	vai__view_note(v, n);
}

/* Pushes the table's proxy. list, meta: stack or upvalue indices. */
static void push_table(lua_State *L, struct vai__view *v, uint64_t table, int list, int meta)
{
	if (VAI_UNLIKELY(!lua_istable(L, list)))
		not_frozen(L);
	uint32_t n = vai__view_by_table(v, table);
	if (VAI_LIKELY(push_known(L, v, n, list)))
		return;
	if (VAI_UNLIKELY(!lua_istable(L, meta)))
		not_frozen(L);
	push_new(L, v, table, n, list, meta);
}

/* Replaces the handle of a frozen table, on top, by its proxy. */
static void to_proxy(lua_State *L, struct vai_vm *vm)
{
	const struct vai__frozen_ref *r = (struct vai__frozen_ref *)vai__handle_any(L, -1);
	luaL_checkstack(L, 12, "a frozen table");
	push_block(L, vm, r->block);
	const int meta = lua_gettop(L);
	lua_rawgetp(L, meta, &list_key);
	lua_rawgetp(L, meta, &view_key);
	struct vai__view *v = (struct vai__view *)vai__handle_test(L, -1, &vai__view_class);
	if (v)
		push_table(L, v, r->table, meta + 1, meta);
	else
		not_frozen(L);
	lua_replace(L, meta - 1);
	lua_settop(L, meta - 1);
}

/* Finds what a message has in place of a proxy: a reference to the frozen table. */
static bool stand_in(lua_State *L, int idx, struct vai_obj **out)
{
	struct vai__view_proxy *p;
	const struct vai__view *v = view_at(L, idx, &p);
	if (v)
		*out = (struct vai_obj *)vai__frozen_ref_new(v->block, p->table);
	return v != NULL;
}

void vai__lib_frozen_install(void)
{
	vai__handle_proxied(&vai__frozen_ref_class, to_proxy);
	vai__codec_stand_in = stand_in;
}

/* ---- values ---- */

static inline bool key_at(lua_State *L, int idx, struct vai__frozen_key *key)
{
	int whole;
	size_t len;
	lua_Number n;
	key->word = 0;
	switch (lua_type(L, idx)) {
	case LUA_TSTRING:
		key->tag = FROZEN_STRING;
		key->bytes = lua_tolstring(L, idx, &len);
		key->word = len;
		return true;
	case LUA_TNUMBER:
		key->tag = FROZEN_INTEGER;
		key->word = (uint64_t)lua_tointegerx(L, idx, &whole);
		if (whole)
			return true;
		n = lua_tonumber(L, idx);
		key->tag = FROZEN_FLOAT;
		memcpy(&key->word, &n, sizeof n);
		return n == n;
	case LUA_TBOOLEAN: key->tag = lua_toboolean(L, idx) ? FROZEN_TRUE : FROZEN_FALSE; return true;
	case LUA_TLIGHTUSERDATA:
		key->tag = FROZEN_LIGHT;
		key->word = (uintptr_t)lua_touserdata(L, idx);
		return true;
	default: return false;
	}
}

static void push_object(lua_State *L, struct vai_obj *o)
{
	vai__obj_ref(o);
	vai__handle_push(L, vai__bind_vm(vai__bind_self(L)), o, false);
}

static void push_scalar(lua_State *L, const vai_frozen *f, struct vai__frozen_value value)
{
	size_t len;
	lua_Number n;
	const char *s;
	switch (value.tag) {
	case FROZEN_STRING:
		s = vai__frozen_string(f, value.word, &len);
		lua_pushlstring(L, s, len);
		break;
	case FROZEN_INTEGER: lua_pushinteger(L, (lua_Integer)value.word); break;
	case FROZEN_FLOAT:
		memcpy(&n, &value.word, sizeof n);
		lua_pushnumber(L, n);
		break;
	case FROZEN_LIGHT: lua_pushlightuserdata(L, (void *)(uintptr_t)value.word); break;
	case FROZEN_OBJECT: push_object(L, (struct vai_obj *)(uintptr_t)value.word); break;
	case FROZEN_TRUE: lua_pushboolean(L, 1); break;
	case FROZEN_FALSE: lua_pushboolean(L, 0); break;
	default: lua_pushnil(L);
	}
}

static inline void push_value(lua_State *L, struct vai__view *v, struct vai__frozen_value value, int list, int meta)
{
	if (value.tag == FROZEN_TABLE)
		push_table(L, v, value.word, list, meta);
	else
		push_scalar(L, v->block, value);
}

/* Pushes the value of the key at index 2 in the proxy. False: the key has none there. */
static inline bool push_field(lua_State *L, struct vai__view *v, const struct vai__view_proxy *p)
{
	struct vai__frozen_key key;
	if (VAI_UNLIKELY(!key_at(L, 2, &key)))
		return false;
	struct vai__frozen_value value = vai__frozen_get(v->block, p->table, &key);
	if (value.tag == FROZEN_NIL)
		return false;
	push_value(L, v, value, lua_upvalueindex(UP_LIST), lua_upvalueindex(UP_META));
	return true;
}

/* ---- metamethods ---- */

static void empty(lua_State *L, int table)
{
	lua_pushnil(L);
	while (lua_next(L, table)) {
		lua_pop(L, 1);
		lua_pushvalue(L, -1);
		lua_pushnil(L);
		lua_rawset(L, table);
	}
}

/* __index of a cache. Arguments: the cache, the key. */
static int cache_miss(lua_State *L)
{
	struct vai__view *v = own_view(L);
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 2);
	if (!push_field(L, v, proxy_at(L, v, lua_upvalueindex(UP_PROXY))))
		return 0;
	lua_Integer n = lua_tointeger(L, lua_upvalueindex(UP_COUNT));
	if (n >= CACHE_MAX) {
		empty(L, 1);
		n = 0;
	}
	lua_pushinteger(L, n + 1);
	lua_replace(L, lua_upvalueindex(UP_COUNT));
	lua_pushvalue(L, 2);
	lua_pushvalue(L, 3);
	lua_rawset(L, 1);
	return 1;
}

/* Gives the proxy at index 1 a metatable of its own, with a cache. */
static VAI_NOINLINE void make_hot(lua_State *L)
{
	luaL_checkstack(L, 10, NULL);
	const int top = lua_gettop(L);
	lua_pushvalue(L, lua_upvalueindex(UP_VIEW));
	lua_pushvalue(L, lua_upvalueindex(UP_LIST));
	lua_pushvalue(L, lua_upvalueindex(UP_META));
	int meta = push_metatable(L, top + 1, top + 2, top + 3);
	lua_newtable(L);
	lua_createtable(L, 0, 1);
	lua_pushvalue(L, top + 1);
	lua_pushvalue(L, top + 2);
	lua_pushvalue(L, top + 3);
	lua_pushvalue(L, 1);
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, cache_miss, UP_COUNT);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	lua_setfield(L, meta, "__index");
	lua_setmetatable(L, 1);
	lua_settop(L, top);
}

static int frozen_index(lua_State *L)
{
	struct vai__view *v = own_view(L);
	struct vai__view_proxy *p = proxy_at(L, v, 1);
	if (VAI_UNLIKELY(++p->misses == HOT)) {
		make_hot(L); /* allocates, so finalizers may run and change the view: p is searched for again */
		p = proxy_at(L, v, 1);
	}
	return push_field(L, v, p);
}

static int frozen_newindex(lua_State *L)
{
	return luaL_error(L, "attempt to change a frozen table");
}

static int frozen_len(lua_State *L)
{
	struct vai__view *v = own_view(L);
	lua_pushinteger(L, (lua_Integer)vai__frozen_length(v->block, proxy_at(L, v, 1)->table));
	return 1;
}

/* The number of the entry whose key is at idx; 0 for nil. */
static inline uint64_t number_of(lua_State *L, const struct vai__view *v, uint64_t table, int idx, uint64_t guess)
{
	struct vai__frozen_key key;
	if (VAI_UNLIKELY(!key_at(L, idx, &key))) {
		if (!lua_isnoneornil(L, idx))
			luaL_error(L, "invalid key to 'next'");
		return 0;
	}
	if (VAI_LIKELY(vai__frozen_is_at(v->block, table, guess, &key)))
		return guess;
	guess = vai__frozen_find(v->block, table, &key);
	if (!guess)
		luaL_error(L, "invalid key to 'next'");
	return guess;
}

/* Pushes the name of a field. True: the name is kept in the table at upvalue UP_NAMES, which takes names as long as
 * it is small. */
static bool push_name(lua_State *L, struct vai__view *v, uint64_t place)
{
	size_t len;
	const char *name = vai__frozen_string(v->block, place, &len);
	const bool kept = len <= NAME_LONGEST && lua_istable(L, lua_upvalueindex(UP_NAMES));
	if (kept) {
		if (VAI_LIKELY(lua_rawgeti(L, lua_upvalueindex(UP_NAMES), (lua_Integer)place) == LUA_TSTRING))
			return true;
		lua_pop(L, 1);
	}
	lua_pushlstring(L, name, len);
	if (!kept || v->names >= NAMES_MAX)
		return false;
	v->names++;
	lua_pushvalue(L, -1);
	lua_rawseti(L, lua_upvalueindex(UP_NAMES), (lua_Integer)place);
	return true;
}

/* Pushes the key of the table's entry at that number. */
static inline void push_key(
	lua_State *L, struct vai__view *v, struct vai__frozen_value key, uint64_t table, uint64_t at)
{
	v->name = NULL;
	if (key.tag != FROZEN_STRING) {
		push_scalar(L, v->block, key);
	} else if (push_name(L, v, key.word)) {
		v->name = lua_topointer(L, -1);
		v->name_table = table;
		v->name_at = at;
	}
}

/* The number of the entry whose key is at index 2. A walk mostly calls with the name that it was given last. That
 * string is recognized by its address: the state keeps the string, so no other one can lie there. */
static inline uint64_t number_before(lua_State *L, const struct vai__view *v, const struct vai__view_proxy *p)
{
	if (v->name && v->name_table == p->table && lua_topointer(L, 2) == v->name && lua_type(L, 2) == LUA_TSTRING)
		return v->name_at;
	return number_of(L, v, p->table, 2, p->at);
}

/* The iterator of pairs. Arguments: the proxy, the key before. */
static int step(lua_State *L)
{
	struct vai__frozen_value key, value;
	struct vai__view *v = own_view(L);
	struct vai__view_proxy *p = proxy_at(L, v, 1);
	const uint64_t table = p->table, at = vai__frozen_next(v->block, table, number_before(L, v, p), &key, &value);
	p->at = at;
	if (at == 0) {
		lua_pushnil(L);
		return 1;
	}
	push_key(L, v, key, table, at);
	push_value(L, v, value, lua_upvalueindex(UP_LIST), lua_upvalueindex(UP_META));
	return 2;
}

static int frozen_pairs(lua_State *L)
{
	proxy_at(L, own_view(L), 1);
	lua_pushvalue(L, lua_upvalueindex(UP_STEP));
	lua_pushvalue(L, 1);
	lua_pushnil(L);
	return 3;
}

/* ---- next, thaw ---- */

int vai__lib_next(lua_State *L)
{
	struct vai__view_proxy *p;
	struct vai__view *v = view_at(L, 1, &p);
	if (lua_type(L, 1) != LUA_TTABLE)
		vai__arg_type_error(L, 1, 1, "next", "table");
	lua_settop(L, 2);
	if (!v) {
		if (lua_next(L, 1))
			return 2;
		lua_pushnil(L);
		return 1;
	}
	lua_getmetatable(L, 1);
	lua_rawgetp(L, 3, &list_key);
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &views_key) != LUA_TTABLE || lua_rawgetp(L, 5, v->block) != LUA_TTABLE)
		not_frozen(L);
	struct vai__frozen_value key, value;
	const uint64_t table = p->table;
	p->at = vai__frozen_next(v->block, table, number_of(L, v, table, 2, p->at), &key, &value);
	if (p->at == 0) {
		lua_pushnil(L);
		return 1;
	}
	push_scalar(L, v->block, key);
	push_value(L, v, value, 4, 6);
	return 2;
}

/* Pushes an empty copy of a table, notes it in the table at index 2, and appends it to the list at index 3. */
static void push_copy(lua_State *L, const vai_frozen *f, uint64_t table, lua_Integer *n)
{
	if (lua_rawgeti(L, 2, (lua_Integer)table) == LUA_TTABLE)
		return;
	lua_pop(L, 1);
	lua_createtable(L, (int)vai__frozen_length(f, table), (int)vai__frozen_keys(f, table));
	lua_pushvalue(L, -1);
	lua_rawseti(L, 2, (lua_Integer)table);
	lua_pushinteger(L, (lua_Integer)table);
	lua_rawseti(L, 3, ++*n);
}

/* Fills the copy on top. */
static void fill_copy(lua_State *L, const vai_frozen *f, uint64_t table, lua_Integer *n)
{
	struct vai__frozen_value key, value;
	for (uint64_t at = 0; (at = vai__frozen_next(f, table, at, &key, &value)) != 0;) {
		push_scalar(L, f, key);
		if (value.tag == FROZEN_TABLE)
			push_copy(L, f, value.word, n);
		else
			push_scalar(L, f, value);
		lua_rawset(L, -3);
	}
}

int vai__lib_thaw(lua_State *L)
{
	struct vai__view_proxy *p;
	const struct vai__view *v = view_at(L, 1, &p);
	if (!v)
		vai__arg_type_error(L, 1, 1, "thaw", "frozen table");
	const vai_frozen *f = v->block;
	const uint64_t root = p->table;
	lua_Integer n = 0;
	lua_settop(L, 1);
	lua_newtable(L);
	lua_newtable(L);
	push_copy(L, f, root, &n);
	for (lua_Integer i = 1; i <= n; i++) {
		lua_rawgeti(L, 3, i);
		uint64_t table = (uint64_t)lua_tointeger(L, -1);
		lua_rawgeti(L, 2, (lua_Integer)table);
		fill_copy(L, f, table, &n);
		lua_settop(L, 4);
	}
	return 1;
}

bool vai__lib_frozen_at(lua_State *L, int idx)
{
	struct vai__view_proxy *p;
	return view_at(L, idx, &p) != NULL;
}

bool vai__lib_thaw_at(lua_State *L, int idx)
{
	if (VAI_LIKELY(!vai__lib_frozen_at(L, idx)))
		return false;
	lua_pushcfunction(L, vai__lib_thaw);
	lua_pushvalue(L, idx);
	lua_call(L, 1, 1);
	lua_replace(L, idx);
	return true;
}

const struct vai__handle_type vai__lib_view_type = {.cls = &vai__view_class, .name = "vai.view"};
const struct vai__handle_type vai__lib_frozen_type = {.cls = &vai__frozen_ref_class, .name = "vai.frozen"};
