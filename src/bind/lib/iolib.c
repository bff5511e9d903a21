/* SPDX-License-Identifier: MIT */
/* Arguments and results of everything that does input and output. */
#include "bind/lib/netlib.h"
#include <math.h>
#include <string.h>
#include "base/clock.h"
#include "base/fork.h"
#include "bind/site.h"
#include "net/socket.h"
#include "state/arena.h"

/* RESERVED: the largest block that vai__arena_reserve serves. INPUT_MANY: the bytes that a goroutine has read when its
 * collector is set to work. */
enum { NAME_SIZE = 32, TEXT_SIZE = 128, WHY_SIZE = 512, STRING_HEADER = 64, RESERVED = 1024, INPUT_MANY = 8192 };

/* ---- results ---- */

static int system_failed(lua_State *L, int rc, const char *what)
{
	char name[NAME_SIZE], text[TEXT_SIZE];
	vai__net_error_name(rc, name, sizeof name);
	vai__net_error_text(rc, text, sizeof text);
	lua_pushnil(L);
	if (what)
		lua_pushfstring(L, "%s: %s", what, text);
	else
		lua_pushstring(L, text);
	lua_pushstring(L, name);
	return 3;
}

int vai__io_failed(lua_State *L, vai_g *g, int rc, const char *what)
{
	switch (rc) {
	case VAI_ECLOSED: return vai__bind_nil(L, "closed");
	case VAI__TOO_LONG: return vai__bind_nil(L, "too long");
	case VAI__EOF: lua_pushnil(L); return 1;
	default: return rc <= -1000 ? system_failed(L, rc, what) : vai__bind_failed(L, g, rc);
	}
}

int vai__io_conn_failed(lua_State *L, vai_g *g, vai_conn *c, int rc)
{
	char text[WHY_SIZE];
	const char *code = NULL;
	const struct vai__conn_ops *ops = vai__conn_ops(c);
	if (rc != VAI__KIND_FAILED || !ops->why)
		return vai__io_failed(L, g, rc, NULL);
	ops->why(vai__conn_base(c), text, sizeof text, &code);
	lua_pushnil(L);
	lua_pushstring(L, text);
	lua_pushstring(L, code);
	return 3;
}

static int push_string(lua_State *L)
{
	const struct vai__bytes *b = lua_touserdata(L, 1);
	lua_pushlstring(L, b->p + b->at, b->n);
	return 1;
}

/* The collector of a new state does nothing until the heap has grown to many times its first size (state/template.c),
 * as most goroutines end before. But a goroutine that reads in a loop lives as long as its connection, and what it
 * reads soon is garbage. So the collector is set to work after some input; otherwise the state of each connection
 * would once become that big. */
static inline void note_input(lua_State *L, struct vai_vm *vm, size_t n)
{
	if (VAI_LIKELY(vm->input >= INPUT_MANY))
		return;
	vm->input = (uint16_t)(vm->input + (n < INPUT_MANY ? n : INPUT_MANY));
	if (vm->input >= INPUT_MANY && !vm->is_host && lua_gc(L, LUA_GCISRUNNING))
		lua_gc(L, LUA_GCSTEP, 0);
}

/* If memory is out, what was read must not be lost. */
void vai__io_push_bytes(lua_State *L, struct vai_vm *vm, vai_conn *c, struct vai__bytes *b)
{
	bool small = b->n <= RESERVED - STRING_HEADER;
	if (VAI_LIKELY(small && vm->arena && vai__arena_reserve(vm->arena, b->n + STRING_HEADER))) {
		lua_pushlstring(L, b->n ? b->p + b->at : "", b->n);
	} else {
		lua_pushcfunction(L, push_string);
		lua_pushlightuserdata(L, b);
		if (VAI_UNLIKELY(lua_pcall(L, 1, 1, 0) != LUA_OK)) {
			if (c)
				vai__conn_unread(c, b);
			vai__conn_bytes_free(b);
			lua_error(L);
		}
	}
	size_t n = b->n;
	vai__conn_bytes_free(b);
	note_input(L, vm, n);
}

int vai__io_write_failed(lua_State *L, vai_g *g, int rc, size_t done, const char *what)
{
	int n = vai__io_failed(L, g, rc, what);
	if (n == 2)
		lua_pushnil(L);
	lua_pushinteger(L, (lua_Integer)done);
	return 4;
}

int vai__io_line(lua_State *L, int n)
{
	if (VAI_LIKELY(n <= 1))
		return n;
	luaL_where(L, 1);
	lua_pushvalue(L, -n);
	lua_concat(L, 2);
	return lua_error(L);
}

int vai__io_lines(lua_State *L, lua_CFunction step)
{
	lua_pushcfunction(L, step);
	lua_pushvalue(L, 1);
	return 2;
}

/* ---- arguments ---- */

const char *vai__io_string(lua_State *L, int idx, int arg, const char *fname, size_t *len)
{
	if (VAI_UNLIKELY(lua_type(L, idx) != LUA_TSTRING))
		vai__arg_type_error(L, idx, arg, fname, "string");
	return lua_tolstring(L, idx, len);
}

const char *vai__io_path(lua_State *L, int idx, int arg, const char *fname)
{
	size_t len;
	const char *path = vai__io_string(L, idx, arg, fname, &len);
	if (VAI_UNLIKELY(strlen(path) != len))
		vai__arg_error(L, arg, fname, "a path cannot contain NUL");
	return path;
}

enum vai__read_what vai__io_read_what(lua_State *L, int idx, const char *fname, size_t *count)
{
	*count = 0;
	if (lua_isnoneornil(L, idx))
		return VAI__READ_SOME;
	if (lua_type(L, idx) == LUA_TNUMBER) {
		int64_t n = vai__arg_integer(L, idx, idx - 1, fname);
		if (n < 0)
			vai__arg_error(L, idx - 1, fname, "%lld bytes", (long long)n);
		*count = (size_t)n;
		return VAI__READ_COUNT;
	}
	const char *s = vai__io_string(L, idx, idx - 1, fname, NULL);
	const char *letter = s + (*s == '*');
	if (strcmp(letter, "l") == 0)
		return VAI__READ_LINE;
	if (strcmp(letter, "L") == 0)
		return VAI__READ_LINE_KEPT;
	if (strcmp(letter, "a") == 0)
		return VAI__READ_ALL;
	vai__arg_error(L, idx - 1, fname, "invalid format '%.20s'", s);
}

static vai_bytes *buffer_at(lua_State *L, int idx)
{
	return (vai_bytes *)vai__handle_test(L, idx, &vai__bytes_class);
}

/* Pins all of b; repeats if b is resized meanwhile. */
static int pin_all(vai_bytes *b, struct iovec *iov)
{
	char *p = NULL;
	int rc;
	do {
		iov->iov_len = vai__bytes_length(b);
		rc = vai__bytes_pin(b, VAI_PIN_LONG, 0, iov->iov_len, &p);
	} while (rc == VAI_ERANGE);
	iov->iov_base = p;
	return rc;
}

static _Noreturn void slice_is_gone(lua_State *L, int arg, const char *fname)
{
	vai__arg_error(L, arg, fname, "a resize has taken bytes of the slice away");
}

static VAI_NOINLINE void pin_buffers(lua_State *L, struct iovec *iov, int n, int arg, const char *fname)
{
	for (int i = 0; i < n; i++) {
		vai_bytes *b = buffer_at(L, i + 2);
		if (b && pin_all(b, &iov[i]) != VAI_OK) {
			vai__io_release(L, i);
			slice_is_gone(L, i + arg, fname);
		}
	}
}

void vai__io_collect(lua_State *L, struct iovec *iov, int n, int arg, const char *fname)
{
	bool buffers = false;
	for (int i = 0; i < n; i++) {
		int type = lua_type(L, i + 2);
		if (VAI_LIKELY(type == LUA_TSTRING || type == LUA_TNUMBER))
			iov[i].iov_base = (void *)(uintptr_t)lua_tolstring(L, i + 2, &iov[i].iov_len);
		else if (buffer_at(L, i + 2))
			buffers = true;
		else
			vai__arg_type_error(L, i + 2, i + arg, fname, "string or buffer");
	}
	if (VAI_UNLIKELY(buffers))
		pin_buffers(L, iov, n, arg, fname);
}

void vai__io_release(lua_State *L, int n)
{
	for (int i = 0; i < n; i++) {
		vai_bytes *b = lua_type(L, i + 2) == LUA_TUSERDATA ? buffer_at(L, i + 2) : NULL;
		if (b)
			vai__bytes_unpin(b, VAI_PIN_LONG);
	}
}

static vai_bytes *check_buffer(lua_State *L, const char *fname)
{
	vai_bytes *b = buffer_at(L, 2);
	if (!b)
		vai__arg_type_error(L, 2, 1, fname, "buffer");
	return b;
}

vai_bytes *vai__io_room(lua_State *L, struct iovec *to, const char *fname)
{
	vai_bytes *b = check_buffer(L, fname);
	char *p = NULL;
	int64_t i;
	to->iov_len = vai__lib_places(L, b, 3, 2, &i, fname);
	if (to->iov_len == 0)
		return b;
	int rc = vai__bytes_pin(b, VAI_PIN_LONG, (uint64_t)i - 1, to->iov_len, &p);
	if (rc == VAI_ECLOSED)
		slice_is_gone(L, 1, fname);
	if (rc != VAI_OK)
		vai__arg_error(L, 2, fname, "out of range: another goroutine has resized the buffer");
	to->iov_base = p;
	return b;
}

int64_t vai__io_deadline(lua_State *L, int idx, int arg, const char *fname)
{
	if (lua_isnoneornil(L, idx))
		return VAI_FOREVER;
	double ns = vai__arg_seconds(L, idx, arg, fname) * 1e9;
	return ns >= 9e18 ? VAI_FOREVER : ns <= 0 ? 0 : (int64_t)ns;
}

const struct vai__network *vai__io_network(lua_State *L, int idx, const char *fname, int type)
{
	const char *name = vai__io_string(L, idx, 1, fname, NULL);
	const struct vai__network *net = vai__addr_network_find(name);
	if (!net || (type && net->type != type))
		vai__arg_error(L, 1, fname, "unknown network '%s'", name);
	return net;
}

/* ---- methods of all that has a descriptor ---- */

void vai__io_check_close(lua_State *L)
{
	if (vai__forked)
		vai__arg_no_goroutine(L);
}

vai_g *vai__io_closer(lua_State *L)
{
	vai_g *g = vai__g_self();
	if (!g || !g->vm || vai__g_ending(g))
		return NULL;
	vai__note_stack(g, L);
	return g;
}

int vai__io_await_close(lua_State *L, struct vai__desc *d, struct vai_obj *o)
{
	vai_g *g = vai__io_closer(L);
	if (!g)
		return 0;
	struct vai__iowait w = {.reason = VAI_WAIT_CLOSE, .obj = o, .limit = VAI_FOREVER};
	int rc = vai__desc_await(g, d, &w);
	return VAI_LIKELY(rc == VAI_OK) ? 0 : vai__io_failed(L, g, rc, NULL);
}

int vai__io_push_addr(lua_State *L, vai_g *g, int rc, const struct vai__addr *a)
{
	char text[VAI__ADDR_TEXT];
	if (rc < 0)
		return vai__io_failed(L, g, rc, NULL);
	vai__addr_text(a, text);
	lua_pushstring(L, text);
	return 1;
}

int vai__io_push_local(lua_State *L, struct vai__desc *d)
{
	struct vai__addr a;
	vai_g *g = vai__bind_self(L);
	return vai__io_push_addr(L, g, vai__socket_local_of(d, &a), &a);
}

int vai__io_set_deadlines(lua_State *L, struct vai__desc *d, const char *fname, bool read, bool write)
{
	int64_t when = vai__io_deadline(L, 2, 1, fname);
	vai__bind_self(L);
	if (read)
		vai__desc_set_deadline(d, VAI__READ, when);
	if (write)
		vai__desc_set_deadline(d, VAI__WRITE, when);
	return 0;
}

/* ---- objects ---- */

void vai__io_push(lua_State *L, vai_g *g, struct vai_obj *o)
{
	vai__bind_push_new(L, g, o);
}
