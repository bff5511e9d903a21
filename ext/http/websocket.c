/* SPDX-License-Identifier: MIT */
/* WebSocket frames, by wslay if the system has it (VAI_WSLAY). A reader belongs to the state that made it: bytes go in,
 * messages and the bytes to answer with (pongs, closes) come out. Frames to send need no state. Nothing of Lua's is
 * called while wslay runs. */
#include "http.h"

#ifdef VAI_WSLAY
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <wslay/wslay.h>

enum { HEAD_MOST = 14, CONTROL_MOST = 125, NO_STATUS = 1005 };

struct message {
	struct message *next;
	int opcode, code;
	size_t n;
	char data[];
};

/* A close frame as it comes. wslay refuses the codes that were registered after it was written. */
struct last_frame {
	bool begun, whole;
	size_t n;
	char data[CONTROL_MOST];
};

struct reader {
	wslay_event_context_ptr ctx;
	bool client;
	bool closed; /* the peer has sent a code that wslay does not know */
	struct last_frame close;
	const uint8_t *in; /* the bytes that are being fed */
	size_t nin;
	struct message *first, **last; /* the messages that have come */
	char *out;                     /* the bytes to answer with */
	size_t nout, cap;
};

static const char type_name[] = "vai.http.websocket_reader";

/* ---- what wslay calls ---- */

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t n, int flags, void *arg)
{
	struct reader *r = arg;
	(void)flags;
	if (r->nin == 0) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	if (n > r->nin)
		n = r->nin;
	memcpy(buf, r->in, n);
	r->in += n;
	r->nin -= n;
	return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t n, int flags, void *arg)
{
	struct reader *r = arg;
	(void)flags;
	if (n > r->cap - r->nout) {
		size_t cap = 2 * r->cap + n;
		char *grown = realloc(r->out, cap);
		if (!grown) {
			wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
			return -1;
		}
		r->out = grown;
		r->cap = cap;
	}
	memcpy(r->out + r->nout, data, n);
	r->nout += n;
	return (ssize_t)n;
}

static int random_bytes(uint8_t *buf, size_t n)
{
	while (n > 0) {
		ssize_t k = getrandom(buf, n, 0);
		if (k < 0 && errno != EINTR)
			return -1;
		if (k > 0) {
			buf += k;
			n -= (size_t)k;
		}
	}
	return 0;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t n, void *arg)
{
	(void)arg;
	if (random_bytes(buf, n) == 0)
		return 0;
	wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static bool add_message(struct reader *r, int opcode, int code, const void *data, size_t n)
{
	struct message *m = malloc(sizeof *m + n);
	if (!m)
		return false;
	*m = (struct message){.opcode = opcode, .code = code, .n = n};
	if (n)
		memcpy(m->data, data, n);
	*r->last = m;
	r->last = &m->next;
	return true;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *got, void *arg)
{
	if (!add_message(arg, got->opcode, got->status_code, got->msg, got->msg_length))
		wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
}

static void on_frame(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_start_arg *got, void *arg)
{
	struct reader *r = arg;
	(void)ctx;
	r->close.begun = got->opcode == WSLAY_CONNECTION_CLOSE;
}

static void on_part(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_chunk_arg *got, void *arg)
{
	struct last_frame *f = &((struct reader *)arg)->close;
	(void)ctx;
	if (!f->begun || got->data_length > sizeof f->data - f->n)
		return;
	memcpy(f->data + f->n, got->data, got->data_length);
	f->n += got->data_length;
}

static void on_frame_end(wslay_event_context_ptr ctx, void *arg)
{
	struct last_frame *f = &((struct reader *)arg)->close;
	(void)ctx;
	f->whole = f->begun;
}

/* ---- a frame that is sent ---- */

struct frame {
	char *to;
	size_t n;
};

static ssize_t put(const uint8_t *data, size_t n, int flags, void *arg)
{
	struct frame *f = arg;
	(void)flags;
	memcpy(f->to + f->n, data, n);
	f->n += n;
	return (ssize_t)n;
}

static int mask(uint8_t *buf, size_t n, void *arg)
{
	(void)arg;
	return random_bytes(buf, n);
}

static int send_frame(struct wslay_frame_iocb *io, struct frame *f)
{
	static const struct wslay_frame_callbacks callbacks = {.send_callback = put, .genmask_callback = mask};
	wslay_frame_context_ptr ctx;
	if (wslay_frame_context_init(&ctx, &callbacks, f) != 0)
		return -1;
	ssize_t k = 0;
	do {
		io->data += k;
		io->data_length -= (size_t)k;
		k = wslay_frame_send(ctx, io);
	} while (k >= 0 && (size_t)k < io->data_length);
	wslay_frame_context_free(ctx);
	return k < 0 ? -1 : 0;
}

/* ---- a reader ---- */

static struct reader *self(lua_State *L)
{
	struct reader *r = luaL_checkudata(L, 1, type_name);
	if (!r->ctx)
		luaL_error(L, "the reader is closed");
	return r;
}

static int reader_gc(lua_State *L)
{
	struct reader *r = luaL_checkudata(L, 1, type_name);
	if (r->ctx)
		wslay_event_context_free(r->ctx);
	while (r->first) {
		struct message *m = r->first;
		r->first = m->next;
		free(m);
	}
	free(r->out);
	*r = (struct reader){0};
	return 0;
}

/* ---- a close whose code wslay does not know ---- */

/* The code of the close, if IANA lists it and wslay refuses it (service restart, try again later, bad gateway);
 * otherwise 0. */
static int later_code(struct reader *r)
{
	const struct last_frame *f = &r->close;
	if (!f->whole || f->n < 2 || wslay_event_get_read_enabled(r->ctx) ||
		wslay_event_get_status_code_sent(r->ctx) != WSLAY_CODE_PROTOCOL_ERROR)
		return 0;
	int code = (unsigned char)f->data[0] << 8 | (unsigned char)f->data[1];
	return code >= 1012 && code <= 1014 ? code : 0;
}

/* Adds the close as a message, and an answer with the same code, instead of wslay's refusal. */
static int take_close(struct reader *r, int code)
{
	const struct last_frame *f = &r->close;
	char bytes[HEAD_MOST + CONTROL_MOST];
	struct wslay_frame_iocb io = {
		.fin = 1,
		.opcode = WSLAY_CONNECTION_CLOSE,
		.payload_length = f->n,
		.mask = r->client,
		.data = (const uint8_t *)f->data,
		.data_length = f->n,
	};
	struct frame answer = {.to = bytes};
	r->closed = true;
	r->nout = 0;
	if (!add_message(r, WSLAY_CONNECTION_CLOSE, code, f->data, f->n) || send_frame(&io, &answer) != 0)
		return WSLAY_ERR_NOMEM;
	return on_send(r->ctx, (const uint8_t *)bytes, answer.n, 0, r) < 0 ? WSLAY_ERR_NOMEM : 0;
}

/* feed(bytes) -> the bytes to answer with, and whether they are the last, as a close or a violation of the rules has
 * come; or nil: the bytes are no frames. */
static int reader_feed(lua_State *L)
{
	struct reader *r = self(L);
	r->in = (const uint8_t *)luaL_checklstring(L, 2, &r->nin);
	r->nout = 0;
	int rc = wslay_event_recv(r->ctx);
	if (rc == 0 && wslay_event_want_write(r->ctx))
		rc = wslay_event_send(r->ctx);
	int code = rc == 0 && !r->closed ? later_code(r) : 0;
	if (code)
		rc = take_close(r, code);
	if (rc == 0)
		lua_pushlstring(L, r->out ? r->out : "", r->nout);
	else
		lua_pushnil(L);
	lua_pushboolean(L, wslay_event_get_close_received(r->ctx) || !wslay_event_get_read_enabled(r->ctx));
	r->in = NULL;
	r->nin = 0;
	return 2;
}

/* The code in a close message. */
static int code_of(const struct message *m)
{
	if (m->opcode != WSLAY_CONNECTION_CLOSE || m->n >= 2)
		return m->code;
	return m->n == 0 ? NO_STATUS : WSLAY_CODE_PROTOCOL_ERROR; /* a single byte is half of a code */
}

/* next() -> data, opcode, code of the next message that is no ping or pong; nil: there is none. Only a close has a
 * code. */
static int reader_next(lua_State *L)
{
	struct reader *r = self(L);
	struct message *m = r->first;
	if (!m)
		return lua_pushnil(L), 1;
	size_t code = m->opcode != WSLAY_CONNECTION_CLOSE ? 0 : m->n < 2 ? m->n : 2; /* the code stands before the reason */
	lua_pushlstring(L, m->data + code, m->n - code);
	lua_pushinteger(L, m->opcode);
	lua_pushinteger(L, code_of(m));
	r->first = m->next;
	if (!r->first)
		r->last = &r->first;
	free(m);
	return 3;
}

/* failed() -> the code with which the peer's bytes were refused; nil: they are good so far. */
static int reader_failed(lua_State *L)
{
	struct reader *r = self(L);
	if (r->closed || wslay_event_get_read_enabled(r->ctx) || wslay_event_get_close_received(r->ctx))
		lua_pushnil(L);
	else
		lua_pushinteger(L, wslay_event_get_status_code_sent(r->ctx));
	return 1;
}

static const luaL_Reg methods[] = {
	{"feed", reader_feed}, {"next", reader_next}, {"failed", reader_failed}, {NULL, NULL}};

/* websocket_reader(client, most) -> a reader for a client or a server; most: the longest message in bytes. */
int vai__http_websocket_reader(lua_State *L)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_recv,
		.send_callback = on_send,
		.genmask_callback = on_mask,
		.on_msg_recv_callback = on_message,
		.on_frame_recv_start_callback = on_frame,
		.on_frame_recv_chunk_callback = on_part,
		.on_frame_recv_end_callback = on_frame_end,
	};
	bool client = lua_toboolean(L, 1);
	lua_Integer most = luaL_checkinteger(L, 2);
	struct reader *r = lua_newuserdatauv(L, sizeof *r, 0);
	*r = (struct reader){.last = &r->first, .client = client};
	vai__http_set_type(L, type_name, methods, reader_gc);
	int rc = client ? wslay_event_context_client_init(&r->ctx, &callbacks, r)
					: wslay_event_context_server_init(&r->ctx, &callbacks, r);
	if (rc != 0) {
		r->ctx = NULL;
		return luaL_error(L, "not enough memory");
	}
	wslay_event_config_set_max_recv_msg_length(r->ctx, (uint64_t)most);
	return 1;
}

/* websocket_frame(opcode, data, client) -> a frame with the whole message, masked if a client sends it. */
int vai__http_websocket_frame(lua_State *L)
{
	size_t n;
	luaL_Buffer b;
	lua_Integer opcode = luaL_checkinteger(L, 1);
	const char *data = luaL_checklstring(L, 2, &n);
	struct wslay_frame_iocb io = {
		.fin = 1,
		.opcode = (uint8_t)opcode,
		.payload_length = n,
		.mask = (uint8_t)lua_toboolean(L, 3),
		.data = (const uint8_t *)data,
		.data_length = n,
	};
	struct frame f = {.to = luaL_buffinitsize(L, &b, n + HEAD_MOST)};
	if (send_frame(&io, &f) != 0)
		return luaL_error(L, "the frame cannot be made");
	luaL_pushresultsize(&b, f.n);
	return 1;
}

/* random(n) -> n bytes that nobody can predict. */
int vai__http_random(lua_State *L)
{
	uint8_t buf[64];
	lua_Integer n = luaL_checkinteger(L, 1);
	luaL_argcheck(L, n >= 0 && n <= (lua_Integer)sizeof buf, 1, "at most 64");
	if (random_bytes(buf, (size_t)n) != 0)
		return luaL_error(L, "no random bytes");
	lua_pushlstring(L, (const char *)buf, (size_t)n);
	return 1;
}
#endif
