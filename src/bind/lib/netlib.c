/* SPDX-License-Identifier: MIT */
/* vai.net: dial, listen, packet, lookup, lookup_addr, pipe. */
#include "bind/lib/netlib.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "bind/lib/lib.h"
#include "net/socket.h"

/* Pushes nil, what is wrong with a text, and "EINVAL". Returns 3. */
static int no_address(lua_State *L, const char *what, const char *text, const char *why)
{
	lua_pushnil(L);
	lua_pushfstring(L, "%s '%s': %s", what, text, why);
	lua_pushliteral(L, "EINVAL");
	return 3;
}

/* Pushes a struct vai__dial in Lua's memory, with the addresses that the text at index 2 names. If that fails the
 * results are on the stack instead, and *results is their number. */
static struct vai__dial *find(lua_State *L, vai_g *g, const struct vai__network *net, const char *fname, bool listening,
	struct vai__limit limit, int *results)
{
	size_t len;
	const char *why = NULL, *text = vai__io_string(L, 2, 2, fname, &len);
	struct vai__dial *d = lua_newuserdatauv(L, sizeof *d, 0);
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__dial_find(g, d, net, text, len, listening, limit.deadline, &why));
	if (rc == VAI_OK)
		return d;
	if (why) {
		*results = no_address(L, "address", text, why);
	} else {
		*results = vai__io_failed(L, g, rc, text);
	}
	return NULL;
}

static int net_dial(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	const struct vai__network *net = vai__io_network(L, 1, "dial", 0);
	struct vai__limit limit = vai__arg_limit(L, 3, 3, "dial");
	struct vai__desc *desc;
	int results = 0;
	struct vai__dial *d = find(L, g, net, "dial", false, limit, &results);
	if (!d)
		return results;
	int rc = VAI_LIMITED(g, limit, vai__dial_run(g, d, limit.deadline, &desc));
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, lua_tostring(L, 2));
	vai_conn *c = vai__conn_new(desc, vai__conn_ops_of(d->reached->u.sa.sa_family, net->type), NULL);
	if (!c)
		vai__arg_no_memory(L);
	vai__conn_set_remote(c, d->reached);
	vai__io_push(L, g, (struct vai_obj *)c);
	return 1;
}

/* ---- listening ---- */

static int64_t option(lua_State *L, int idx, const char *name, int64_t least, int64_t most, int64_t none)
{
	int64_t n = none;
	int ok;
	if (lua_getfield(L, idx, name) != LUA_TNIL) {
		n = lua_tointegerx(L, -1, &ok);
		if (!ok || n < least || n > most)
			vai__arg_error(L, 3, "listen", "option '%s': %s", name, luaL_tolstring(L, -1, NULL));
	}
	lua_pop(L, 1);
	return n;
}

static void check_names(lua_State *L, int idx)
{
	lua_pushnil(L);
	while (lua_next(L, idx)) {
		lua_pop(L, 1);
		const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
		if (strcmp(name, "backlog") != 0 && strcmp(name, "reuseport") != 0 && strcmp(name, "mode") != 0 &&
			strcmp(name, "keepalive") != 0)
			vai__arg_error(L, 3, "listen", "unknown option '%.40s'", luaL_tolstring(L, -1, NULL));
	}
}

/* The option `keepalive` (false, true or seconds), in the form that vai__socket_set takes. */
static int keepalive_option(lua_State *L, int idx)
{
	int type = lua_getfield(L, idx, "keepalive"), on = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return type == LUA_TBOOLEAN ? on - 1 : (int)option(L, idx, "keepalive", 1, VAI__KEEPALIVE_MOST, 0);
}

static struct vai__listen_opts options_at(lua_State *L, int idx)
{
	struct vai__listen_opts o = {.mode = -1};
	if (lua_isnoneornil(L, idx))
		return o;
	if (!lua_istable(L, idx))
		vai__arg_type_error(L, idx, 3, "listen", "table");
	vai__lib_thaw_at(L, idx);
	check_names(L, idx);
	o.backlog = (int)option(L, idx, "backlog", 1, INT32_MAX, 0);
	o.mode = (int)option(L, idx, "mode", 0, INT32_MAX, -1);
	o.keepalive = keepalive_option(L, idx);
	lua_getfield(L, idx, "reuseport");
	o.reuseport = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return o;
}

static int net_listen(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	const struct vai__network *net = vai__io_network(L, 1, "listen", SOCK_STREAM);
	struct vai__listen_opts opts = options_at(L, 3);
	vai_listener *l;
	int results = 0;
	struct vai__dial *d = find(L, g, net, "listen", true, (struct vai__limit){.deadline = VAI_FOREVER}, &results);
	if (!d)
		return results;
	int rc = vai__listener_open(d, &opts, &l);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, lua_tostring(L, 2));
	vai__io_push(L, g, (struct vai_obj *)l);
	return 1;
}

static int net_packet(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	const struct vai__network *net = vai__io_network(L, 1, "packet", SOCK_DGRAM);
	vai_packet *p;
	int results = 0;
	struct vai__dial *d = find(L, g, net, "packet", true, (struct vai__limit){.deadline = VAI_FOREVER}, &results);
	if (!d)
		return results;
	int rc = vai__packet_open(d, &p);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, lua_tostring(L, 2));
	vai__io_push(L, g, (struct vai_obj *)p);
	return 1;
}

/* ---- names ---- */

/* The host at index 1; NULL: no host can have such a name. */
static const char *host_at(lua_State *L, const char *fname)
{
	size_t len;
	const char *host = vai__io_string(L, 1, 1, fname, &len);
	return len == 0 || len > VAI__HOST_MAX || strlen(host) != len ? NULL : host;
}

static int net_lookup(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	const char *host = host_at(L, "lookup");
	struct vai__limit limit = vai__arg_limit(L, 2, 2, "lookup");
	if (!host)
		return no_address(L, "host", lua_tostring(L, 1), "bad host name");
	char text[VAI__ADDR_TEXT];
	struct vai__addr *list = lua_newuserdatauv(L, VAI__ADDRS_MAX * sizeof *list, 0);
	vai__note_stack(g, L);
	int n = VAI_LIMITED(g, limit, vai__resolve(g, host, "", AF_UNSPEC, SOCK_STREAM, limit.deadline, list));
	if (n < 0)
		return vai__io_failed(L, g, n, host);
	lua_createtable(L, n, 0);
	for (int i = 0; i < n; i++) {
		vai__addr_host(&list[i], text);
		lua_pushstring(L, text);
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

static int net_lookup_addr(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	const char *host = host_at(L, "lookup_addr");
	struct vai__limit limit = vai__arg_limit(L, 2, 2, "lookup_addr");
	char *name = lua_newuserdatauv(L, VAI__HOST_MAX + 1, 0);
	struct vai__addr a;
	if (!host || !vai__addr_numeric(&a, AF_UNSPEC, host, 0))
		return no_address(L, "address", lua_tostring(L, 1), "not in numbers");
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__resolve_name(g, &a, limit.deadline, name));
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, host);
	lua_createtable(L, 1, 0);
	lua_pushstring(L, name);
	lua_rawseti(L, -2, 1);
	return 1;
}

/* ---- pipe ---- */

/* Makes a connection of a descriptor, which it takes over. NULL: *rc says why. */
static vai_conn *conn_of(int fd, int *rc)
{
	struct vai__desc *d = vai__desc_new(fd, rc);
	if (!d) {
		close(fd);
		return NULL;
	}
	*rc = VAI_ENOMEM;
	return vai__conn_new(d, &vai__conn_unix, NULL);
}

static int net_pipe(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	int fds[2], rc;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return vai__io_failed(L, g, VAI__ERRNO(errno), NULL);
	vai_conn *a = conn_of(fds[0], &rc);
	if (!a) {
		close(fds[1]);
		return vai__io_failed(L, g, rc, NULL);
	}
	vai__io_push(L, g, (struct vai_obj *)a);
	vai_conn *b = conn_of(fds[1], &rc);
	if (!b)
		return vai__io_failed(L, g, rc, NULL);
	vai__io_push(L, g, (struct vai_obj *)b);
	return 2;
}

static const luaL_Reg functions[] = {
	{"dial", net_dial},
	{"listen", net_listen},
	{"packet", net_packet},
	{"lookup", net_lookup},
	{"lookup_addr", net_lookup_addr},
	{"pipe", net_pipe},
	{"serve", vai__lib_net_serve},
	{NULL, NULL},
};

int vai__lib_net(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
