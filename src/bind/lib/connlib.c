/* SPDX-License-Identifier: MIT */
/* Connections and their methods. The handle at index 1 keeps the connection alive while the goroutine waits in it; the
 * strings of a write lie on its Lua stack, where they do not move. */
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "bind/lib/fslib.h"
#include "bind/lib/netlib.h"
#include "bind/life/shed.h"
#include "net/serve.h"
#include "net/socket.h"

enum { FEW = 8 };

static inline vai_conn *self_conn(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__conn_class, fname);
}

/* The limit of a view. The handle keeps the context of the limit alive. */
static struct vai__limit own_limit(vai_conn *c)
{
	double seconds = vai__conn_limit(c);
	int64_t deadline = seconds < 0 ? VAI_FOREVER : vai__arg_seconds_deadline(seconds);
	return (struct vai__limit){.deadline = deadline, .ctx = (vai_context *)vai__conn_context(c)};
}

/* The limit at stack index idx; without one, the view's. */
static struct vai__limit limit_at(lua_State *L, vai_conn *c, int idx, const char *fname)
{
	if (!lua_isnoneornil(L, idx))
		return vai__arg_limit(L, idx, idx - 1, fname);
	return own_limit(c);
}

static int write_failed(lua_State *L, vai_g *g, vai_conn *c, int rc, size_t done)
{
	if (rc != VAI__KIND_FAILED)
		return vai__io_write_failed(L, g, rc, done, NULL);
	vai__io_conn_failed(L, g, c, rc);
	lua_pushinteger(L, (lua_Integer)done);
	return 4;
}

/* ---- reading ---- */

/* What the arguments of read ask for, from index 2 on. If the wait becomes long it ends with VAI__RENEW, so that the
 * goroutine can tidy up its state before it waits on (read_anew). */
static struct vai__asked asked(lua_State *L, const vai_g *g)
{
	struct vai__asked what = {.renews = !vai__bind_vm(g)->is_host};
	what.what = vai__io_read_what(L, 2, "read", &what.count);
	return what;
}

static int read_anew(
	lua_State *L, vai_g *g, vai_conn *c, struct vai__asked what, struct vai__limit limit, lua_KFunction end);

/* Returns the results of a read, or reads its next part. end: the continuation for a wait without a stack. */
static int have_read(lua_State *L, vai_g *g, vai_conn *c, int rc, struct vai__bytes *bytes, lua_KFunction end)
{
	if (rc == VAI_SHEDS)
		return vai__shed_in(L, vai__life(g)->rest, end);
	if (VAI_UNLIKELY(rc != VAI_OK))
		return vai__io_conn_failed(L, g, c, rc);
	vai__io_push_bytes(L, vai__bind_vm(g), c, bytes);
	return 1;
}

static int read_first(
	lua_State *L, vai_g *g, vai_conn *c, struct vai__asked what, struct vai__limit limit, lua_KFunction end)
{
	struct vai__bytes bytes;
	luaL_checkstack(L, 4, NULL);
	vai__note_stack(g, L);
	struct vai__rest *rest = limit.ctx ? NULL : vai__shed_may(L, g);
	if (VAI_UNLIKELY(rest != NULL))
		rest->limit = limit.deadline;
	int rc = VAI_LIMITED(g, limit, vai__conn_read(g, c, what, limit.deadline, rest, &bytes));
	if (VAI_UNLIKELY(rc == VAI__RENEW))
		return read_anew(L, g, c, what, limit, end);
	return have_read(L, g, c, rc, &bytes, end);
}

/* Begins the read anew after a wait that has become long, as it may last much longer: collects garbage first and, if
 * that is possible, waits without the stack. */
static VAI_NOINLINE int read_anew(
	lua_State *L, vai_g *g, vai_conn *c, struct vai__asked what, struct vai__limit limit, lua_KFunction end)
{
	vai__state_tidy(L, vai__bind_vm(g));
	what.renews = false;
	return read_first(L, g, c, what, limit, end);
}

static int read_on(lua_State *L, vai_conn *c, struct vai__asked what, struct vai__rest *rest, lua_KFunction end)
{
	struct vai__bytes bytes;
	vai_g *g = vai__bind_self(L);
	int rc = vai__conn_read_on(g, c, what, rest->limit, rest, &bytes);
	if (rc == VAI__RENEW)
		return read_anew(L, g, c, what, (struct vai__limit){.deadline = rest->limit}, end);
	return have_read(L, g, c, rc, &bytes, end);
}

static int read_end(lua_State *L, int status, lua_KContext rest)
{
	(void)status;
	return read_on(L, self_conn(L, "read"), asked(L, vai__g_self()), (struct vai__rest *)rest, read_end);
}

static int conn_read(lua_State *L)
{
	vai_conn *c = self_conn(L, "read");
	vai_g *g = vai__bind_self(L);
	struct vai__asked what = asked(L, g);
	return read_first(L, g, c, what, limit_at(L, c, 3, "read"), read_end);
}

/* read_into(buffer [, i [, j [, limit]]]): reads what is there, at least one byte, into the buffer. */
static int conn_read_into(lua_State *L)
{
	struct iovec to;
	vai_conn *c = self_conn(L, "read_into");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = limit_at(L, c, 5, "read_into");
	luaL_checkstack(L, 4, NULL);
	vai__note_stack(g, L);
	vai_bytes *b = vai__io_room(L, &to, "read_into");
	size_t got = 0;
	int rc = VAI_OK;
	if (to.iov_len > 0) {
		rc = VAI_LIMITED(g, limit, vai__conn_read_into(g, c, to.iov_base, to.iov_len, limit.deadline, &got));
		vai__bytes_unpin(b, VAI_PIN_LONG);
	}
	if (rc != VAI_OK)
		return vai__io_conn_failed(L, g, c, rc);
	lua_pushinteger(L, (lua_Integer)got);
	return 1;
}

static struct vai__asked a_line(const vai_g *g)
{
	return (struct vai__asked){.what = VAI__READ_LINE, .renews = !vai__bind_vm(g)->is_host};
}

static int line_end(lua_State *L, int status, lua_KContext rest)
{
	(void)status;
	return vai__io_line(
		L, read_on(L, self_conn(L, "lines"), a_line(vai__g_self()), (struct vai__rest *)rest, line_end));
}

/* for line in c:lines(): called with the connection, which `lines` gives as the loop's state. */
static int next_line(lua_State *L)
{
	vai_conn *c = self_conn(L, "lines");
	vai_g *g = vai__bind_self(L);
	return vai__io_line(L, read_first(L, g, c, a_line(g), limit_at(L, c, 4, "lines"), line_end));
}

static int conn_lines(lua_State *L)
{
	self_conn(L, "lines");
	return vai__io_lines(L, next_line);
}

static int conn_max(lua_State *L)
{
	vai_conn *c = self_conn(L, "max");
	int64_t n = vai__arg_integer(L, 2, 1, "max");
	if (n < 1)
		vai__arg_error(L, 1, "max", "%lld bytes", (long long)n);
	vai__conn_set_max(c, (size_t)n, (size_t)n);
	lua_settop(L, 1);
	return 1;
}

/* ---- writing ---- */

/* Writes the n values from stack index 2 on. */
static int write_all(lua_State *L, vai_g *g, vai_conn *c, struct vai__limit limit, int n)
{
	struct iovec few[FEW], *iov = few;
	size_t done = 0;
	luaL_checkstack(L, 5, NULL);
	if (n > FEW)
		iov = lua_newuserdatauv(L, (size_t)n * sizeof *iov, 0);
	vai__note_stack(g, L);
	vai__io_collect(L, iov, n, 1, "write");
	int rc = VAI_LIMITED(g, limit, vai__conn_write(g, c, iov, n, limit.deadline, &done));
	vai__io_release(L, n);
	if (VAI_UNLIKELY(rc != VAI_OK))
		return write_failed(L, g, c, rc, done);
	lua_pushvalue(L, 1);
	return 1;
}

static int conn_write(lua_State *L)
{
	vai_conn *c = self_conn(L, "write");
	return write_all(L, vai__bind_self(L), c, own_limit(c), lua_gettop(L) - 1);
}

/* write_within(limit, ...). The limit is moved above the rest, where its context stays alive. */
static int conn_write_within(lua_State *L)
{
	vai_conn *c = self_conn(L, "write_within");
	vai_g *g = vai__bind_self(L);
	luaL_checkany(L, 2);
	struct vai__limit limit = limit_at(L, c, 2, "write_within");
	lua_rotate(L, 2, -1);
	return write_all(L, g, c, limit, lua_gettop(L) - 2);
}

/* The file argument of send_file, which is held open until vai__desc_unhold. *n, if it is negative, becomes what the
 * file has from offset `at` on. */
static struct vai__desc *file_at(lua_State *L, int idx, int64_t at, int64_t *n)
{
	struct stat st = {0};
	vai_file *f = (vai_file *)vai__handle_test(L, idx, &vai__file_class);
	if (!f) {
		vai__arg_type_error(L, idx, idx - 1, "send_file", "file");
		return NULL;
	}
	struct vai__desc *d = vai__conn_desc(vai__file_conn(f));
	if ((*n < 0 && vai__file_stat(f, &st) != VAI_OK) || !vai__desc_hold(d))
		return NULL;
	if (*n < 0)
		*n = st.st_size > at ? st.st_size - at : 0;
	return d;
}

/* send_file(file [, at, n, head, limit]): writes the string head, then n bytes of the file from offset `at` on. */
static int conn_send_file(lua_State *L)
{
	vai_conn *c = self_conn(L, "send_file");
	vai_g *g = vai__fs_self(L);
	int64_t at = lua_isnoneornil(L, 3) ? 0 : vai__arg_integer(L, 3, 2, "send_file");
	int64_t n = lua_isnoneornil(L, 4) ? -1 : vai__arg_integer(L, 4, 3, "send_file");
	struct iovec iov = {.iov_base = NULL};
	if (at < 0 || (n < 0 && !lua_isnoneornil(L, 4)))
		vai__arg_error(L, at < 0 ? 2 : 3, "send_file", "out of range");
	if (!lua_isnoneornil(L, 5))
		iov.iov_base = (void *)(uintptr_t)vai__io_string(L, 5, 4, "send_file", &iov.iov_len);
	luaL_checkstack(L, 6, NULL);
	void *block = vai__sendfile_possible(c) ? NULL : lua_newuserdatauv(L, VAI__SEND_BLOCK, 0);
	struct vai__limit limit = limit_at(L, c, 6, "send_file");
	struct vai__desc *file = file_at(L, 2, at, &n);
	size_t done = 0;
	if (!file)
		return vai__io_write_failed(L, g, VAI_ECLOSED, 0, NULL);
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__sendfile(g, c, &iov, block, vai__desc_fd(file), at, n, limit.deadline, &done));
	vai__desc_unhold(file);
	if (rc == VAI__EOF) {
		lua_pushnil(L);
		lua_pushliteral(L, "the file has ended");
		lua_pushnil(L);
		lua_pushinteger(L, (lua_Integer)done);
		return 4;
	}
	if (rc != VAI_OK)
		return write_failed(L, g, c, rc, done);
	lua_pushvalue(L, 1);
	return 1;
}

/* unread(string): the next reads return it first. */
static int conn_unread(lua_State *L)
{
	struct vai__bytes b = {0};
	size_t n;
	vai_conn *c = self_conn(L, "unread");
	const char *s = vai__io_string(L, 2, 1, "unread", &n);
	vai__bind_self(L);
	if (n > 0) {
		b = (struct vai__bytes){.n = n, .cap = vai__mem_round(n)};
		b.p = vai__mem_alloc(b.cap);
		if (!b.p)
			vai__arg_no_memory(L);
		memcpy(b.p, s, n);
	}
	if (!vai__conn_unread(c, &b))
		return vai__bind_nil(L, vai__desc_is_closed(vai__conn_desc(c)) ? "closed" : "somebody reads");
	lua_pushvalue(L, 1);
	return 1;
}

/* ---- limits ---- */

static int conn_with(lua_State *L)
{
	vai_conn *c = self_conn(L, "with");
	vai_g *g = vai__bind_self(L);
	struct vai_obj *ctx = vai__handle_test(L, 2, &vai__context_class);
	bool none = lua_isnoneornil(L, 2) || ctx;
	if (!none && lua_type(L, 2) != LUA_TNUMBER)
		vai__arg_type_error(L, 2, 1, "with", "number or context");
	double seconds = none ? -1 : vai__arg_seconds(L, 2, 1, "with");
	vai_conn *v = vai__conn_view(c, none || seconds >= 0 ? seconds : 0, ctx);
	if (!v)
		vai__arg_no_memory(L);
	vai__io_push(L, g, (struct vai_obj *)v);
	return 1;
}

VAI__IO_DEADLINE(conn, set_deadline, true, true)
VAI__IO_DEADLINE(conn, set_read_deadline, true, false)
VAI__IO_DEADLINE(conn, set_write_deadline, false, true)

/* ---- closing ---- */

static int conn_close(lua_State *L)
{
	vai_conn *c = self_conn(L, "close");
	vai__io_check_close(L);
	vai_g *g = vai__io_closer(L);
	if (g)
		vai__conn_settle(g, c);
	vai__conn_close(c);
	return vai__io_await_close(L, vai__conn_desc(c), (struct vai_obj *)c);
}

/* Gives the connection back to its server, which starts a goroutine for it when more has come. */
static int conn_idle(lua_State *L)
{
	vai_conn *c = self_conn(L, "idle");
	vai_g *g = vai__bind_self(L);
	int rc = vai__serve_idle(g, c);
	if (rc == VAI_EINVAL)
		return luaL_error(L, "calling 'idle' on a connection that is no server's");
	if (rc == VAI_EAGAIN)
		return luaL_error(L, "calling 'idle' on a connection that somebody reads");
	if (rc == VAI_ETIMEOUT)
		return vai__io_conn_failed(L, g, c, rc);
	if (rc != VAI_OK) {
		int n = vai__io_conn_failed(L, g, c, rc);
		vai__conn_close(c); /* the connection has ended; the goroutine may go on */
		return n;
	}
	lua_pushboolean(L, 1);
	return 1;
}

/* The next connection of the same server that has bytes: c itself, or another one. */
static int conn_next(lua_State *L)
{
	vai_conn *c = self_conn(L, "next"), *next = NULL;
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = limit_at(L, c, 2, "next");
	luaL_checkstack(L, 4, NULL);
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__serve_next(g, c, limit.deadline, &next));
	if (rc == VAI_EINVAL)
		return luaL_error(L, "calling 'next' on a connection that is no server's");
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, NULL);
	vai__io_push(L, g, (struct vai_obj *)next);
	return 1;
}

static int closed_side(lua_State *L, vai_g *g, vai_conn *c, int rc)
{
	if (rc != VAI_OK)
		return vai__io_conn_failed(L, g, c, rc);
	lua_pushboolean(L, 1);
	return 1;
}

static int conn_close_write(lua_State *L)
{
	vai_conn *c = self_conn(L, "close_write");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = limit_at(L, c, 2, "close_write");
	vai__note_stack(g, L);
	return closed_side(L, g, c, VAI_LIMITED(g, limit, vai__conn_close_write(g, c, limit.deadline)));
}

static int conn_close_read(lua_State *L)
{
	vai_conn *c = self_conn(L, "close_read");
	vai_g *g = vai__bind_self(L);
	return closed_side(L, g, c, vai__conn_close_read(c));
}

/* Does the handshake at once instead of at the first read or write. */
static int conn_handshake(lua_State *L)
{
	vai_conn *c = self_conn(L, "handshake");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = limit_at(L, c, 2, "handshake");
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__conn_begin(g, c, limit.deadline));
	if (rc != VAI_OK)
		return vai__io_conn_failed(L, g, c, rc);
	lua_pushvalue(L, 1);
	return 1;
}

static int conn_info(lua_State *L)
{
	vai_conn *c = self_conn(L, "info");
	vai__bind_self(L);
	if (!vai__conn_ops(c)->info) {
		lua_pushnil(L);
		return 1;
	}
	luaL_checkstack(L, 20, NULL);
	vai__conn_ops(c)->info(vai__conn_base(c), L);
	return 1;
}

/* ---- names and options ---- */

static int conn_local_addr(lua_State *L)
{
	struct vai__addr a;
	vai_conn *c = self_conn(L, "local_addr");
	vai_g *g = vai__bind_self(L);
	return vai__io_push_addr(L, g, vai__conn_local(c, &a), &a);
}

static int conn_remote_addr(lua_State *L)
{
	struct vai__addr a;
	vai_conn *c = self_conn(L, "remote_addr");
	vai_g *g = vai__bind_self(L);
	return vai__io_push_addr(L, g, vai__conn_remote(c, &a), &a);
}

_Noreturn static void no_option(lua_State *L, const char *option, const char *fname)
{
	vai__arg_error(L, 1, fname, "unknown option '%.40s'", option);
}

/* Seconds as an integer, rounded up. */
static int64_t whole_seconds(lua_State *L, int idx)
{
	double seconds = vai__arg_seconds(L, idx, idx - 1, "set");
	if (seconds < 0)
		vai__arg_error(L, idx - 1, "set", "a negative number");
	if (seconds > (double)INT32_MAX)
		return INT32_MAX;
	int64_t n = (int64_t)seconds;
	return (double)n < seconds ? n + 1 : n;
}

static int64_t bytes_at(lua_State *L, int idx)
{
	lua_Integer n = vai__arg_integer(L, idx, idx - 1, "set");
	if (n < 0)
		vai__arg_error(L, idx - 1, "set", "a negative number");
	return n;
}

/* The value of an option, in the form that vai__socket_set takes. */
static int64_t value_at(lua_State *L, int idx, const char *option)
{
	enum vai__option_kind kind = vai__socket_option_kind(option);
	bool boolean = lua_type(L, idx) == LUA_TBOOLEAN, on = lua_toboolean(L, idx);
	if (kind == VAI__OPTION_NONE)
		no_option(L, option, "set");
	if (kind == VAI__OPTION_FLAG && !boolean)
		vai__arg_type_error(L, idx, idx - 1, "set", "boolean");
	if (kind == VAI__OPTION_FLAG)
		return on;
	if (kind == VAI__OPTION_BYTES)
		return bytes_at(L, idx);
	if (boolean && !(on && kind == VAI__OPTION_LINGER))
		return on - 1;
	if (lua_type(L, idx) != LUA_TNUMBER)
		vai__arg_type_error(
			L, idx, idx - 1, "set", kind == VAI__OPTION_LINGER ? "seconds or false" : "seconds or boolean");
	int64_t n = whole_seconds(L, idx);
	if (kind == VAI__OPTION_KEEPALIVE && (n < 1 || n > VAI__KEEPALIVE_MOST))
		vai__arg_error(L, idx - 1, "set", "%d seconds are out of range", (int)n);
	return n;
}

static int conn_set(lua_State *L)
{
	vai_conn *c = self_conn(L, "set");
	vai_g *g = vai__bind_self(L);
	const char *option = vai__io_string(L, 2, 1, "set", NULL);
	struct vai__desc *d = vai__conn_desc(c);
	int64_t v = value_at(L, 3, option);
	int rc = VAI_ECLOSED;
	if (vai__desc_hold(d)) {
		rc = vai__socket_set(vai__desc_fd(d), option, v);
		vai__desc_unhold(d);
	}
	return closed_side(L, g, c, rc);
}

/* Pushes the value of an option that vai__socket_get has given. Returns the number of results. */
static int push_option(lua_State *L, enum vai__option_kind kind, int64_t v)
{
	if (kind == VAI__OPTION_FLAG)
		lua_pushboolean(L, v != 0);
	else if (v < 0)
		lua_pushboolean(L, false);
	else if (kind == VAI__OPTION_KEEPALIVE)
		lua_pushboolean(L, true);
	else
		lua_pushinteger(L, v);
	if (kind != VAI__OPTION_KEEPALIVE || v <= 0)
		return 1;
	lua_pushinteger(L, v);
	return 2;
}

static int conn_get(lua_State *L)
{
	vai_conn *c = self_conn(L, "get");
	vai_g *g = vai__bind_self(L);
	const char *option = vai__io_string(L, 2, 1, "get", NULL);
	struct vai__desc *d = vai__conn_desc(c);
	int64_t v = 0;
	int rc = VAI_ECLOSED;
	if (vai__desc_hold(d)) {
		rc = vai__socket_get(vai__desc_fd(d), option, &v);
		vai__desc_unhold(d);
	}
	if (rc == VAI_EINVAL)
		no_option(L, option, "get");
	if (rc < 0)
		return vai__io_failed(L, g, rc, NULL);
	return push_option(L, vai__socket_option_kind(option), v);
}

static int conn_tostring(lua_State *L)
{
	char text[VAI__CONN_TEXT];
	vai__conn_text(self_conn(L, "tostring"), text);
	lua_pushfstring(L, "connection: %s", text);
	return 1;
}

const struct vai__handle_type vai__lib_conn_type = {&vai__conn_class, "vai.connection",
	.methods = VAI__METHODS({"read", conn_read}, {"read_into", conn_read_into}, {"write", conn_write},
		{"write_within", conn_write_within}, {"lines", conn_lines}, {"unread", conn_unread},
		{"send_file", conn_send_file}, {"max", conn_max}, {"with", conn_with}, {"close", conn_close},
		{"close_write", conn_close_write}, {"close_read", conn_close_read}, {"idle", conn_idle}, {"next", conn_next},
		{"handshake", conn_handshake}, {"info", conn_info}, {"set_deadline", conn_set_deadline},
		{"set_read_deadline", conn_set_read_deadline}, {"set_write_deadline", conn_set_write_deadline},
		{"local_addr", conn_local_addr}, {"remote_addr", conn_remote_addr}, {"set", conn_set}, {"get", conn_get}),
	.meta = VAI__METHODS({"__close", conn_close}, {"__tostring", conn_tostring})};
