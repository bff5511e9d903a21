/* SPDX-License-Identifier: MIT */
/* A small table is encoded as a record: the length of its list and its shape, then the values of the list, then the
 * values of its keys in the shape's order. In a message the record follows the tag. In a block the shape may be
 * NO_SHAPE; then each value of a key follows its key, with the key's length. A number takes as few bytes as hold it. */
#include "transfer/small_table.h"
#include <lauxlib.h>
#include "transfer/layout.h"
#include "transfer/message.h"
#include "transfer/shape.h"
#include "transfer/symbol.h"

enum {
	VALUES_MAX = 320,
	LIST_MAX = 64,
	KEY_MAX = 40,
	STRING_MAX = 200,
	LEVEL = 4,
	NO_SHAPE = 0xffff,
	/* Where the parts of a record begin, in bytes. */
	AT_LIST = 1,
	AT_SHAPE = 2,
	AT_VALUES = 4,
	INLINE_MAX = sizeof(vai_msg) - AT_VALUES
};

/* The first byte of a value is its tag. A string has STRING plus its length, up to STRING_MAX. */
enum { FALSE, TRUE, INT1, INT2, INT4, INT8, FLOAT4, FLOAT8, STRING, LIGHT = STRING + STRING_MAX + 1 };

struct flat {
	unsigned char *p; /* in values */
	unsigned nlist, nkeys;
	struct vai__key keys[VAI__SHAPE_KEYS];
	unsigned char values[VALUES_MAX];
};

/* ---- encoding ---- */

static inline void put(struct flat *f, unsigned tag, const void *bytes, size_t n)
{
	f->p[0] = (unsigned char)tag;
	memcpy(f->p + 1, bytes, n);
	f->p += 1 + n;
}

static void put_integer(struct flat *f, int64_t i)
{
	int8_t i1 = (int8_t)i;
	int16_t i2 = (int16_t)i;
	int32_t i4 = (int32_t)i;
	if (i1 == i)
		put(f, INT1, &i1, sizeof i1);
	else if (i2 == i)
		put(f, INT2, &i2, sizeof i2);
	else if (i4 == i)
		put(f, INT4, &i4, sizeof i4);
	else
		put(f, INT8, &i, sizeof i);
}

/* Writes a float, in 4 bytes if these hold it exactly. A NaN takes 8, so that its bits are kept. */
static void put_float(struct flat *f, lua_Number n)
{
	float half = n >= -1e30 && n <= 1e30 ? (float)n : 0;
	double back = (double)half;
	uint64_t bits, bits_back;
	memcpy(&bits, &n, sizeof bits);
	memcpy(&bits_back, &back, sizeof bits_back);
	if (bits == bits_back)
		put(f, FLOAT4, &half, sizeof half);
	else
		put(f, FLOAT8, &n, sizeof n);
}

static inline bool put_bytes(struct flat *f, const char *s, size_t len)
{
	if (len > STRING_MAX || len >= (size_t)(f->values + VALUES_MAX - f->p))
		return false;
	put(f, STRING + (unsigned)len, s, len);
	return true;
}

static bool put_string(struct flat *f, lua_State *L)
{
	size_t len;
	const char *s = lua_tolstring(L, -1, &len);
	return put_bytes(f, s, len);
}

/* Writes the value on top. False: records do not hold values of its type, or there is no room. */
static bool put_value(struct flat *f, lua_State *L)
{
	int type = lua_type(L, -1);
	if (type == LUA_TSTRING)
		return put_string(f, L);
	if (VAI_UNLIKELY(f->values + VALUES_MAX - f->p < 9))
		return false;
	if (type == LUA_TNUMBER) {
		if (lua_isinteger(L, -1))
			put_integer(f, lua_tointegerx(L, -1, NULL));
		else
			put_float(f, lua_tonumberx(L, -1, NULL));
		return true;
	}
	if (type == LUA_TLIGHTUSERDATA) {
		uint64_t word = (uintptr_t)lua_touserdata(L, -1);
		put(f, LIGHT, &word, sizeof word);
		return true;
	}
	*f->p++ = lua_toboolean(L, -1) ? TRUE : FALSE;
	return type == LUA_TBOOLEAN;
}

/* Notes the key below the top, which is a string or the next index of the list; the list comes before all strings.
 * False: it is another key; or it begins like a metamethod's name, and only the general encoder can tell whether the
 * table is a class. */
static bool put_key(struct flat *f, lua_State *L)
{
	struct vai__key *k = &f->keys[f->nkeys];
	if (VAI_UNLIKELY(lua_type(L, -2) != LUA_TSTRING)) {
		if (f->nkeys || f->nlist == LIST_MAX || !lua_isinteger(L, -2) ||
			lua_tointegerx(L, -2, NULL) != (lua_Integer)f->nlist + 1)
			return false;
		f->nlist++;
		return true;
	}
	if (f->nkeys == VAI__SHAPE_KEYS)
		return false;
	k->s = lua_tolstring(L, -2, &k->len);
	f->nkeys++;
	return k->len <= KEY_MAX && !(k->len >= 2 && k->s[0] == '_' && k->s[1] == '_');
}

static bool read_table(struct flat *f, lua_State *L, int t)
{
	const int top = lua_gettop(L);
	if (!lua_checkstack(L, LEVEL))
		return false;
	if (lua_getmetatable(L, t)) {
		lua_settop(L, top);
		return false;
	}
	lua_pushnil(L);
	while (lua_next(L, t)) {
		if (!put_key(f, L) || !put_value(f, L)) {
			lua_settop(L, top);
			return false;
		}
		lua_settop(L, top + 1);
	}
	return true;
}

/* Writes the value of a node. False: as for put_value. */
static inline bool put_node(struct flat *f, const struct vai__node *n)
{
	if (n->tag == VAI__TAG_STRING)
		return put_bytes(f, n->value.string->bytes, n->value.string->length);
	if (n->tag == VAI__TAG_LONG)
		return put_bytes(f, n->value.string->bytes, n->value.string->long_length);
	if (VAI_UNLIKELY(f->values + VALUES_MAX - f->p < 9))
		return false;
	switch (n->tag) {
	case VAI__TAG_INTEGER: put_integer(f, n->value.integer); return true;
	case VAI__TAG_FLOAT: put_float(f, n->value.number); return true;
	case VAI__TAG_LIGHT: put(f, LIGHT, &n->value.light, sizeof n->value.light); return true;
	case VAI__TAG_FALSE:
	case VAI__TAG_TRUE: *f->p++ = n->tag == VAI__TAG_TRUE ? TRUE : FALSE; return true;
	default: return false;
	}
}

/* Reads a table from memory by a layout of the state (transfer/layout.h). NULL: no layout fits the table, or records
 * do not hold its values. */
static const struct vai__shape *read_memory(struct flat *f, struct vai_vm *vm, const void *table)
{
	const struct vai__table *t = table;
	const struct vai__layout *l = vai__layout_of_table(vm, t);
	if (!l)
		return NULL;
	for (unsigned i = 0; i < l->shape->nkeys; i++)
		if (VAI_UNLIKELY(!put_node(f, &t->nodes[l->at[i]])))
			return NULL;
	return l->shape;
}

static size_t key_bytes(const struct flat *f)
{
	size_t n = 1;
	for (unsigned i = 0; i < f->nkeys; i++)
		n += 1 + f->keys[i].len;
	return n;
}

static unsigned char *put_keys(const struct flat *f, unsigned char *p)
{
	*p++ = (unsigned char)f->nkeys;
	for (unsigned i = 0; i < f->nkeys; i++) {
		*p++ = (unsigned char)f->keys[i].len;
		memcpy(p, f->keys[i].s, f->keys[i].len);
		p += f->keys[i].len;
	}
	return p;
}

/* Writes the length of the list and the shape, at AT_LIST and AT_SHAPE. */
static void put_head(unsigned char *to, const struct flat *f, unsigned shape)
{
	uint16_t id = (uint16_t)shape;
	to[AT_LIST] = (unsigned char)f->nlist;
	memcpy(to + AT_SHAPE, &id, sizeof id);
}

static bool to_block(const struct flat *f, const struct vai__shape *shape, vai_msg *out)
{
	size_t nvalues = (size_t)(f->p - f->values);
	struct vai__block *b = vai__block_new(AT_VALUES + nvalues + (shape ? 0 : key_bytes(f)));
	if (!b)
		return false;
	b->flags = BLOCK_FLAT;
	b->nvalues = 1;
	b->data[0] = 0;
	put_head(b->data, f, shape ? shape->id : NO_SHAPE);
	memcpy(shape ? b->data + AT_VALUES : put_keys(f, b->data + AT_VALUES), f->values, nvalues);
	vai__msg_set(out, M_BLOCK, (uintptr_t)b);
	return true;
}

static void to_message(const struct flat *f, const struct vai__shape *shape, vai_msg *out)
{
	vai__msg_set(out, M_RECORD, 0);
	put_head(vai__msg_bytes(out), f, shape->id);
	memcpy(vai__msg_bytes(out) + AT_VALUES, f->values, (size_t)(f->p - f->values));
}

bool vai__small_table_encode(lua_State *L, struct vai_vm *vm, int t, bool empty, vai_msg *out)
{
	struct flat f;
	const struct vai__shape *shape = NULL;
	f.p = f.values;
	f.nlist = f.nkeys = 0;
	if (vm->layouts)
		shape = read_memory(&f, vm, lua_topointer(L, t));
	if (!shape) {
		f.p = f.values;
		if (!read_table(&f, L, t) || (!empty && !f.nlist && !f.nkeys))
			return false;
		shape = vai__shape_find(f.keys, f.nkeys);
		if (shape && !f.nlist)
			vai__layout_missed(L, vm, t, shape, true);
	}
	if (!shape || (size_t)(f.p - f.values) > INLINE_MAX)
		return to_block(&f, shape, out);
	to_message(&f, shape, out);
	return true;
}

/* ---- decoding ---- */

static inline int16_t get2(const unsigned char *p)
{
	int16_t i;
	memcpy(&i, p, sizeof i);
	return i;
}

static inline lua_Number get_half(const unsigned char *p)
{
	float half;
	memcpy(&half, p, sizeof half);
	return (lua_Number)half;
}

static inline lua_Number get_number(const unsigned char *p)
{
	lua_Number n;
	memcpy(&n, p, sizeof n);
	return n;
}

/* Pushes the value at p; returns what follows it. */
static const unsigned char *push_value(lua_State *L, const unsigned char *p)
{
	unsigned tag = *p++;
	switch (tag) {
	case FALSE:
	case TRUE: lua_pushboolean(L, tag == TRUE); return p;
	case INT1: lua_pushinteger(L, (int8_t)*p); return p + 1;
	case INT2: lua_pushinteger(L, get2(p)); return p + 2;
	case INT4: lua_pushinteger(L, (int32_t)vai__load32(p)); return p + 4;
	case INT8: lua_pushinteger(L, (lua_Integer)vai__load64(p)); return p + 8;
	case FLOAT4: lua_pushnumber(L, get_half(p)); return p + 4;
	case FLOAT8: lua_pushnumber(L, get_number(p)); return p + 8;
	case LIGHT: vai__symbol_push_light(L, vai__load64(p)); return p + 8;
	default: lua_pushlstring(L, (const char *)p, tag - STRING); return p + (tag - STRING);
	}
}

/* Pushes a table with a list of n values, and with room for nkeys. */
static const unsigned char *push_list(lua_State *L, const unsigned char *p, int n, int nkeys)
{
	lua_createtable(L, n, nkeys);
	for (int i = 1; i <= n; i++) {
		p = push_value(L, p);
		lua_rawseti(L, -2, i);
	}
	return p;
}

/* Sets the field of the table on top. lua_setfield finds the key's string fast, as Lua caches strings by the address
 * of their bytes, and those of a shape do not move. */
static inline const unsigned char *set_field(lua_State *L, const struct vai__shape_key *key, const unsigned char *p)
{
	p = push_value(L, p);
	lua_setfield(L, -2, key->key.s);
	return p;
}

/* Sets the value of a node to the value at p. NULL: that is a string, which only the API can make. */
static inline const unsigned char *set_node(struct vai__node *n, const unsigned char *p)
{
	unsigned tag = *p++;
	n->tag = tag >= FLOAT4 ? VAI__TAG_FLOAT : VAI__TAG_INTEGER;
	switch (tag) {
	case FALSE: n->tag = VAI__TAG_FALSE; return p;
	case TRUE: n->tag = VAI__TAG_TRUE; return p;
	case INT1: n->value.integer = *p < 128 ? *p : *p - 256; return p + 1;
	case INT2: n->value.integer = get2(p); return p + 2;
	case INT4: n->value.integer = (int32_t)vai__load32(p); return p + 4;
	case INT8: n->value.integer = (int64_t)vai__load64(p); return p + 8;
	case FLOAT4: n->value.number = get_half(p); return p + 4;
	case FLOAT8: n->value.number = get_number(p); return p + 8;
	default: n->tag = VAI__TAG_FALSE; return NULL;
	}
}

/* Fills the table on top, which lua_createtable has just made, with the layout's keys by a copy of memory. If the
 * collector has marked the table already no barrier is needed, as the list that keeps the keys marks them, too. Values
 * that are strings are set afterwards by the API, since making a string may run finalizers. */
static void fill_memory(lua_State *L, const struct vai__layout *l, const unsigned char *p)
{
	struct vai__table *t = (struct vai__table *)lua_topointer(L, -1);
	const struct vai__shape *shape = l->shape;
	const unsigned char *late[VAI__SHAPE_KEYS];
	unsigned which[VAI__SHAPE_KEYS], nlate = 0;
	memcpy(t->nodes, l->nodes, sizeof *l->nodes << l->exponent);
	for (unsigned i = 0; i < shape->nkeys; i++) {
		const unsigned char *next = set_node(&t->nodes[l->at[i]], p);
		if (!next) {
			late[nlate] = p;
			which[nlate++] = i;
			next = p + 1 + (*p == LIGHT ? sizeof(uint64_t) : (size_t)*p - STRING);
		}
		p = next;
	}
	for (unsigned i = 0; i < nlate; i++)
		set_field(L, &shape->keys[which[i]], late[i]);
}

static void push_shaped(
	lua_State *L, struct vai_vm *vm, const struct vai__shape *shape, const unsigned char *p, int nlist)
{
	p = push_list(L, p, nlist, shape->nkeys);
	if (vm->layouts && !nlist) {
		const struct vai__layout *l = vai__layout_for_table(vm, shape, lua_topointer(L, -1));
		if (VAI_LIKELY(l != NULL)) {
			fill_memory(L, l, p);
			return;
		}
	}
	for (unsigned i = 0; i < shape->nkeys; i++)
		p = set_field(L, &shape->keys[i], p);
	if (!nlist)
		vai__layout_missed(L, vm, lua_gettop(L), shape, false);
}

static void push_unshaped(lua_State *L, const unsigned char *keys, int nlist)
{
	unsigned nkeys = *keys++;
	const unsigned char *p = keys;
	for (unsigned i = 0; i < nkeys; i++)
		p += 1 + *p;
	p = push_list(L, p, nlist, (int)nkeys);
	for (; nkeys > 0; nkeys--) {
		size_t len = *keys++;
		lua_pushlstring(L, (const char *)keys, len);
		keys += len;
		p = push_value(L, p);
		lua_rawset(L, -3);
	}
}

static int push_record(lua_State *L, struct vai_vm *vm, const unsigned char *at)
{
	uint16_t id;
	if (VAI_UNLIKELY(!lua_checkstack(L, LEVEL)))
		luaL_error(L, "stack overflow");
	memcpy(&id, at + AT_SHAPE, sizeof id);
	if (id == NO_SHAPE)
		push_unshaped(L, at + AT_VALUES, at[AT_LIST]);
	else
		push_shaped(L, vm, vai__shape_get(id), at + AT_VALUES, at[AT_LIST]);
	return 1;
}

int vai__small_table_decode(lua_State *L, struct vai_vm *vm, const vai_msg *msg)
{
	return push_record(L, vm, (const unsigned char *)msg);
}

int vai__small_table_decode_block(lua_State *L, struct vai_vm *vm, const struct vai__block *b)
{
	return push_record(L, vm, b->data);
}
