/* SPDX-License-Identifier: MIT */
/* Files and their methods. The handle at index 1 keeps the file alive; the strings of a write lie on the Lua stack,
 * where they do not move. */
#include <string.h>
#include "base/fork.h"
#include "bind/lib/fslib.h"

enum { FEW = 8 };

static inline vai_file *self_file(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__file_class, fname);
}

/* ---- reading ---- */

static int read_into(lua_State *L, vai_g *g, vai_file *f, enum vai__read_what what, size_t count)
{
	struct vai__bytes bytes;
	luaL_checkstack(L, 4, NULL);
	int rc = vai__file_read(g, f, what, count, &bytes);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, vai__file_path(f));
	vai__io_push_bytes(L, vai__bind_vm(g), vai__file_conn(f), &bytes);
	return 1;
}

static int file_read(lua_State *L)
{
	vai_file *f = self_file(L, "read");
	size_t count;
	enum vai__read_what what = vai__io_read_what(L, 2, "read", &count);
	return read_into(L, vai__fs_self(L), f, what, count);
}

/* read_into(buffer [, i [, j]]): reads what is there, at least one byte, into the buffer. */
static int file_read_into(lua_State *L)
{
	struct iovec to;
	vai_file *f = self_file(L, "read_into");
	vai_g *g = vai__fs_self(L);
	luaL_checkstack(L, 4, NULL);
	vai_bytes *b = vai__io_room(L, &to, "read_into");
	size_t got = 0;
	int rc = VAI_OK;
	if (to.iov_len > 0) {
		rc = vai__file_read_into(g, f, to.iov_base, to.iov_len, &got);
		vai__bytes_unpin(b, VAI_PIN_LONG);
	}
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, vai__file_path(f));
	lua_pushinteger(L, (lua_Integer)got);
	return 1;
}

/* for line in f:lines(): called with the file, which `lines` gives as the loop's state. */
static int next_line(lua_State *L)
{
	vai_file *f = self_file(L, "lines");
	int n = read_into(L, vai__fs_self(L), f, VAI__READ_LINE, 0);
	return vai__io_line(L, n);
}

static int file_lines(lua_State *L)
{
	self_file(L, "lines");
	return vai__io_lines(L, next_line);
}

/* ---- writing ---- */

static int file_write(lua_State *L)
{
	struct iovec few[FEW], *iov = few;
	vai_file *f = self_file(L, "write");
	int n = lua_gettop(L) - 1;
	size_t done;
	luaL_checkstack(L, 5, NULL);
	if (n > FEW)
		iov = lua_newuserdatauv(L, (size_t)n * sizeof *iov, 0);
	vai_g *g = vai__fs_self(L);
	vai__io_collect(L, iov, n, 1, "write");
	int rc = vai__file_write(g, f, iov, n, &done);
	vai__io_release(L, n);
	if (rc != VAI_OK)
		return vai__io_write_failed(L, g, rc, done, vai__file_path(f));
	lua_pushvalue(L, 1);
	return 1;
}

static int file_seek(lua_State *L)
{
	static const char *const names[] = {"set", "cur", "end"};
	static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END};
	vai_file *f = self_file(L, "seek");
	const char *name = lua_isnoneornil(L, 2) ? "cur" : vai__io_string(L, 2, 1, "seek", NULL);
	int64_t offset = lua_isnoneornil(L, 3) ? 0 : vai__arg_integer(L, 3, 2, "seek"), at;
	int i = 0;
	while (i < 3 && strcmp(names[i], name) != 0)
		i++;
	if (i == 3)
		vai__arg_error(L, 1, "seek", "\"set\", \"cur\" or \"end\" expected, got \"%.20s\"", name);
	vai_g *g = vai__fs_self(L);
	int rc = vai__file_seek(g, f, whences[i], offset, &at);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, vai__file_path(f));
	lua_pushinteger(L, at);
	return 1;
}

static int file_truncate(lua_State *L)
{
	vai_file *f = self_file(L, "truncate");
	int64_t size = vai__arg_integer(L, 2, 1, "truncate");
	if (size < 0)
		vai__arg_error(L, 1, "truncate", "%lld bytes", (long long)size);
	vai_g *g = vai__fs_self(L);
	return vai__fs_done(L, g, vai__file_truncate(g, f, size), vai__file_path(f));
}

static int file_sync(lua_State *L)
{
	vai_file *f = self_file(L, "sync");
	vai_g *g = vai__fs_self(L);
	return vai__fs_done(L, g, vai__file_sync(g, f), vai__file_path(f));
}

/* stat([name, ...]): the table, or the fields with these names. */
static int file_stat(lua_State *L)
{
	struct stat st;
	int n = lua_gettop(L);
	vai_file *f = self_file(L, "stat");
	vai_g *g = vai__fs_self(L);
	int rc = vai__file_stat(f, &st);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, vai__file_path(f));
	luaL_checkstack(L, n, NULL);
	if (n <= 1) {
		vai__fs_push_stat(L, &st);
		return 1;
	}
	for (int i = 2; i <= n; i++) {
		const char *name = vai__io_string(L, i, i - 1, "stat", NULL);
		if (!vai__fs_push_fact(L, &st, name))
			vai__arg_error(L, i - 1, "stat", "no field '%.20s'", name);
	}
	return n - 1;
}

/* Also called where no goroutine runs: in finalizers at the end of a state. */
static int file_close(lua_State *L)
{
	vai_file *f = self_file(L, "close");
	if (vai__forked)
		vai__arg_no_goroutine(L);
	vai__file_close(f);
	return vai__io_await_close(L, vai__conn_desc(vai__file_conn(f)), (struct vai_obj *)vai__file_conn(f));
}

static int file_tostring(lua_State *L)
{
	vai_file *f = self_file(L, "tostring");
	lua_pushfstring(L, "file: %s%s", vai__file_path(f), vai__file_is_closed(f) ? " (closed)" : "");
	return 1;
}

const struct vai__handle_type vai__lib_file_type = {&vai__file_class, "vai.file",
	.methods = VAI__METHODS({"read", file_read}, {"read_into", file_read_into}, {"lines", file_lines},
		{"write", file_write}, {"seek", file_seek}, {"truncate", file_truncate}, {"sync", file_sync},
		{"stat", file_stat}, {"close", file_close}),
	.meta = VAI__METHODS({"__close", file_close}, {"__tostring", file_tostring})};
