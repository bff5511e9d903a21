/* SPDX-License-Identifier: MIT */
/* Listeners and datagram sockets, and their methods. */
#include <stdio.h>
#include "bind/lib/netlib.h"
#include "bind/life/shed.h"
#include "net/socket.h"

/* ---- listeners ---- */

static inline vai_listener *self_listener(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__listener_class, fname);
}

/* Returns the results of an accept. end: the continuation for a wait without a stack. */
static int have_accepted(lua_State *L, vai_g *g, int rc, vai_conn *c, lua_KFunction end)
{
	if (rc == VAI_SHEDS)
		return vai__shed_in(L, vai__life(g)->rest, end);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, NULL);
	vai__io_push(L, g, (struct vai_obj *)c);
	return 1;
}

static int accept_end(lua_State *L, int status, lua_KContext ctx)
{
	struct vai__rest *rest = (struct vai__rest *)ctx;
	vai_g *g = vai__bind_self(L);
	vai_conn *c = NULL;
	(void)status;
	int rc = vai__listener_accept_on(g, self_listener(L, "accept"), rest->limit, rest, &c);
	return have_accepted(L, g, rc, c, accept_end);
}

static int accept_one(lua_State *L, const char *fname, bool limited)
{
	vai_listener *l = self_listener(L, fname);
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = {.deadline = VAI_FOREVER};
	if (limited)
		limit = vai__arg_limit(L, 2, 1, "accept");
	vai_conn *c = NULL;
	vai__note_stack(g, L);
	struct vai__rest *rest = limit.ctx ? NULL : vai__shed_may(L, g);
	if (VAI_UNLIKELY(rest != NULL))
		rest->limit = limit.deadline;
	int rc = VAI_LIMITED(g, limit, vai__listener_accept(g, l, limit.deadline, rest, &c));
	return have_accepted(L, g, rc, c, accept_end);
}

static int listener_accept(lua_State *L)
{
	return accept_one(L, "accept", true);
}

/* for c in l do: ends when the listener is closed. */
static int listener_call(lua_State *L)
{
	return accept_one(L, "for iterator", false);
}

static int listener_addr(lua_State *L)
{
	return vai__io_push_local(L, vai__listener_desc(self_listener(L, "addr")));
}

VAI__IO_CLOSE(listener)

VAI__IO_DEADLINE(listener, set_deadline, true, false)

static int listener_tostring(lua_State *L)
{
	char text[VAI__CONN_TEXT];
	vai__listener_text(self_listener(L, "tostring"), text);
	lua_pushfstring(L, "listener: %s", text);
	return 1;
}

const struct vai__handle_type vai__lib_listener_type = {&vai__listener_class, "vai.listener",
	.methods = VAI__METHODS({"accept", listener_accept}, {"addr", listener_addr}, {"close", listener_close},
		{"set_deadline", listener_set_deadline}),
	.meta = VAI__METHODS({"__call", listener_call}, {"__close", listener_close}, {"__tostring", listener_tostring})};

/* ---- datagrams ---- */

static inline vai_packet *self_packet(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__packet_class, fname);
}

int vai__lib_push_datagram(lua_State *L, vai_g *g, struct vai__bytes *b, const struct vai__addr *from, bool truncated)
{
	char text[VAI__ADDR_TEXT];
	vai__io_push_bytes(L, vai__bind_vm(g), NULL, b);
	vai__addr_text(from, text);
	lua_pushstring(L, text);
	lua_pushboolean(L, truncated);
	return 3;
}

static int packet_recv_from(lua_State *L)
{
	vai_packet *p = self_packet(L, "recv_from");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, "recv_from");
	struct vai__bytes bytes;
	struct vai__addr from;
	bool truncated;
	luaL_checkstack(L, 4, NULL);
	vai__note_stack(g, L);
	int rc =
		VAI_LIMITED(g, limit, vai__packet_recv(g, p, VAI__DATAGRAM_MAX, limit.deadline, &bytes, &from, &truncated));
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, NULL);
	return vai__lib_push_datagram(L, g, &bytes, &from, truncated);
}

/* Reads a numeric address; a name would have to be looked up for each datagram. */
static void address_at(lua_State *L, const struct vai__network *net, struct vai__addr *a)
{
	char host[VAI__HOST_MAX + 1], service[VAI__SERVICE_MAX + 1];
	size_t len;
	const char *text = vai__io_string(L, 3, 2, "send_to", &len), *why;
	if (net->family == AF_UNIX) {
		why = vai__addr_unix(a, text, len);
	} else {
		why = vai__addr_split(text, len, host, service);
		if (!why && (vai__addr_port(service) < 0 || !vai__addr_numeric(a, net->family, host, vai__addr_port(service))))
			why = "not an address in numbers; vai.net.lookup gives those of a name";
	}
	if (why)
		vai__arg_error(L, 2, "send_to", "address '%.80s': %s", text, why);
}

/* Turns an IPv4 address into its IPv6 form, for a socket of both families. */
static void map_to(vai_packet *p, struct vai__addr *a)
{
	struct vai__addr own;
	char host[VAI__ADDR_TEXT], mapped[VAI__ADDR_TEXT + 8];
	if (a->u.sa.sa_family != AF_INET || vai__socket_local_of(vai__packet_desc(p), &own) < 0 ||
		own.u.sa.sa_family != AF_INET6)
		return;
	int port = ntohs(a->u.in.sin_port);
	vai__addr_host(a, host);
	snprintf(mapped, sizeof mapped, "::ffff:%s", host);
	vai__addr_numeric(a, AF_INET6, mapped, port);
}

static int packet_send_to(lua_State *L)
{
	vai_packet *p = self_packet(L, "send_to");
	vai_g *g = vai__bind_self(L);
	struct vai__addr to;
	size_t n;
	const char *data = vai__io_string(L, 2, 1, "send_to", &n);
	address_at(L, vai__packet_network(p), &to);
	map_to(p, &to);
	struct vai__limit limit = vai__arg_limit(L, 4, 3, "send_to");
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__packet_send(g, p, data, n, &to, limit.deadline));
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, NULL);
	lua_pushboolean(L, 1);
	return 1;
}

static int packet_local_addr(lua_State *L)
{
	return vai__io_push_local(L, vai__packet_desc(self_packet(L, "local_addr")));
}

VAI__IO_CLOSE(packet)

VAI__IO_DEADLINE(packet, set_deadline, true, true)
VAI__IO_DEADLINE(packet, set_read_deadline, true, false)
VAI__IO_DEADLINE(packet, set_write_deadline, false, true)

static int packet_tostring(lua_State *L)
{
	char text[VAI__CONN_TEXT];
	vai__packet_text(self_packet(L, "tostring"), text);
	lua_pushfstring(L, "packet socket: %s", text);
	return 1;
}

const struct vai__handle_type vai__lib_packet_type = {&vai__packet_class, "vai.packet",
	.methods = VAI__METHODS({"recv_from", packet_recv_from}, {"send_to", packet_send_to},
		{"local_addr", packet_local_addr}, {"close", packet_close}, {"set_deadline", packet_set_deadline},
		{"set_read_deadline", packet_set_read_deadline}, {"set_write_deadline", packet_set_write_deadline}),
	.meta = VAI__METHODS({"__close", packet_close}, {"__tostring", packet_tostring})};
