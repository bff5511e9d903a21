/* SPDX-License-Identifier: MIT */
/* vai.signal, vai.tty and the streams vai.stdin, vai.stdout, vai.stderr. */
#include <string.h>
#include "base/mem.h"
#include "bind/lib/netlib.h"
#include "proc/signal.h"
#include "proc/tty.h"
#include "sync/chan.h"
#include "transfer/codec.h"

/* ---- signals ---- */

static int signal_at(lua_State *L, int idx, const char *fname)
{
	const char *name = vai__io_string(L, idx, idx, fname, NULL);
	int sig = vai__signal_number(name);
	if (sig == 0)
		vai__arg_error(L, idx, fname, "unknown signal '%.40s'", name);
	if (!vai__signal_is_free(sig))
		vai__arg_error(L, idx, fname, "signal '%s' cannot be taken", name);
	return sig;
}

/* Checks all signals from index `first` on, before one of them is taken. */
static int check_signals(lua_State *L, int first, const char *fname)
{
	int n = lua_gettop(L);
	if (n < first)
		vai__arg_error(L, first, fname, "signal expected, got no value");
	for (int i = first; i <= n; i++)
		signal_at(L, i, fname);
	return n;
}

static bool make_name(vai_msg *msg, const char *name)
{
	return vai__msg_string(msg, name, strlen(name)) == VAI_OK;
}

static int signal_notify(lua_State *L)
{
	vai_chan *ch = (vai_chan *)vai__handle_test(L, 1, &vai__chan_class);
	if (!ch)
		vai__arg_type_error(L, 1, 1, "notify", "channel");
	else if (vai__chan_is_kept(ch))
		luaL_error(L, "notify on the channel of a context or task");
	int n = check_signals(L, 2, "notify");
	vai_g *g = vai__bind_self(L);
	for (int i = 2; i <= n; i++) {
		int rc = vai__signal_notify(ch, signal_at(L, i, "notify"), make_name, vai__msg_drop);
		if (rc != VAI_OK)
			return vai__io_failed(L, g, rc, lua_tostring(L, i));
	}
	lua_pushboolean(L, 1);
	return 1;
}

static int signal_ignore(lua_State *L)
{
	int n = check_signals(L, 1, "ignore");
	vai_g *g = vai__bind_self(L);
	for (int i = 1; i <= n; i++) {
		int rc = vai__signal_ignore(signal_at(L, i, "ignore"));
		if (rc != VAI_OK)
			return vai__io_failed(L, g, rc, lua_tostring(L, i));
	}
	lua_pushboolean(L, 1);
	return 1;
}

static int signal_reset(lua_State *L)
{
	int n = lua_gettop(L) > 0 ? check_signals(L, 1, "reset") : 0;
	vai__bind_self(L);
	if (n == 0)
		vai__signal_reset(0);
	for (int i = 1; i <= n; i++)
		vai__signal_reset(signal_at(L, i, "reset"));
	return 0;
}

static const luaL_Reg functions[] = {
	{"notify", signal_notify},
	{"ignore", signal_ignore},
	{"reset", signal_reset},
	{NULL, NULL},
};

int vai__lib_signal(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}

/* ---- terminals ---- */

struct tty {
	struct vai_obj obj;
	int fd;
};

static void destroy(struct vai_obj *o)
{
	vai__mem_free(VAI_CONTAINER(o, struct tty, obj), sizeof(struct tty));
}

static const struct vai_class tty_class = {"tty", destroy};

int vai__lib_tty(lua_State *L)
{
	int columns, rows;
	int64_t fd = vai__arg_integer(L, 1, 1, "tty");
	if (fd < 0 || fd > INT32_MAX)
		vai__arg_error(L, 1, "tty", "descriptor %lld", (long long)fd);
	vai_g *g = vai__bind_self(L);
	int rc = vai__tty_size((int)fd, &columns, &rows);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, NULL);
	struct tty *t = vai__mem_alloc(sizeof *t);
	if (!t)
		vai__arg_no_memory(L);
	vai__obj_init(&t->obj, &tty_class);
	t->fd = (int)fd;
	vai__io_push(L, g, &t->obj);
	return 1;
}

static int tty_size(lua_State *L)
{
	int columns, rows;
	struct tty *t = vai__bind_object(L, &tty_class, "size");
	vai_g *g = vai__bind_self(L);
	int rc = vai__tty_size(t->fd, &columns, &rows);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, NULL);
	lua_pushinteger(L, columns);
	lua_pushinteger(L, rows);
	return 2;
}

static int tty_raw(lua_State *L)
{
	struct tty *t = vai__bind_object(L, &tty_class, "raw");
	if (lua_type(L, 2) != LUA_TBOOLEAN)
		vai__arg_type_error(L, 2, 1, "raw", "boolean");
	vai_g *g = vai__bind_self(L);
	int rc = vai__tty_raw(t->fd, lua_toboolean(L, 2));
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, NULL);
	lua_pushboolean(L, 1);
	return 1;
}

const struct vai__handle_type vai__lib_tty_type = {
	&tty_class, "vai.tty", VAI__METHODS({"size", tty_size}, {"raw", tty_raw}), NULL};

/* ---- streams ---- */

static int push_stream(lua_State *L, int n)
{
	int rc;
	vai_g *g = vai__bind_self(L);
	vai_conn *c = vai__std_conn(n, &rc);
	if (!c)
		vai__arg_no_memory(L);
	vai__handle_push(L, vai__bind_vm(g), (struct vai_obj *)c, false);
	return 1;
}

int vai__lib_stdin(lua_State *L)
{
	return push_stream(L, 0);
}

int vai__lib_stdout(lua_State *L)
{
	return push_stream(L, 1);
}

int vai__lib_stderr(lua_State *L)
{
	return push_stream(L, 2);
}
