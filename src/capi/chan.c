/* SPDX-License-Identifier: MIT */
/* vai.h: channels of bytes and select. An element of up to four words lies in the message itself; a larger one in a
 * block, whose address and size are the message. A channel's drop function tells the form of its elements. */
#include <string.h>
#include "base/mem.h"
#include "capi/capi.h"
#include "sync/chan_private.h"
#include "sync/select.h"
#include "transfer/message.h"

enum { CASES_ON_STACK = 4 };

struct byte_chan {
	vai_chan chan; /* first */
	size_t size;   /* of an element */
};

static void drop_small(vai_msg *msg)
{
	(void)msg;
}

static void drop_big(vai_msg *msg)
{
	vai__mem_free((void *)(uintptr_t)msg->w[0], msg->w[1]);
}

void vai__capi_drop_stamp(vai_msg *msg)
{
	(void)msg;
}

static bool is_ours(const vai_chan *ch)
{
	return ch->drop == drop_small || ch->drop == drop_big;
}

static inline size_t size_of(const vai_chan *ch)
{
	if (VAI_LIKELY(is_ours(ch)))
		return ((const struct byte_chan *)(const void *)ch)->size;
	return ch->drop == vai__capi_drop_stamp ? sizeof(int64_t) : 0;
}

enum vai__capi_kind vai__capi_kind(const vai_chan *ch)
{
	if (ch->drop == vai__msg_drop)
		return VAI__CAPI_VALUES;
	return is_ours(ch) || ch->drop == vai__capi_drop_stamp ? VAI__CAPI_BYTES : VAI__CAPI_NONE;
}

vai_chan *vai_chan_new(size_t size, size_t capacity)
{
	if (capacity > VAI_CHAN_MAX_CAP)
		return NULL;
	vai_chan *ch =
		vai__chan_alloc(sizeof(struct byte_chan), (int64_t)capacity, size <= sizeof(vai_msg) ? drop_small : drop_big);
	if (ch)
		VAI_CONTAINER(ch, struct byte_chan, chan)->size = size;
	return ch;
}

/* ---- elements ---- */

/* Copies an element. Most are one word, for which this is no call. */
static inline void copy(void *to, const void *from, size_t size)
{
	if (VAI_LIKELY(size == sizeof(uint64_t)))
		memcpy(to, from, sizeof(uint64_t));
	else if (size)
		memcpy(to, from, size);
}

static VAI_NOINLINE int pack_big(size_t size, const void *element, vai_msg *out)
{
	void *block = vai__mem_alloc(size);
	if (!block)
		return VAI_ENOMEM;
	memcpy(block, element, size);
	*out = (vai_msg){{(uintptr_t)block, size, 0, 0}};
	return VAI_OK;
}

static inline int pack(const vai_chan *ch, const void *element, vai_msg *out)
{
	size_t size = size_of(ch);
	*out = (vai_msg){{0}};
	if (VAI_UNLIKELY(size > sizeof *out))
		return pack_big(size, element, out);
	copy(out, element, size);
	return VAI_OK;
}

static inline void unpack(const vai_chan *ch, void *element, vai_msg *msg)
{
	size_t size = size_of(ch);
	if (VAI_LIKELY(size <= sizeof *msg)) {
		copy(element, msg, size);
	} else {
		memcpy(element, (void *)(uintptr_t)msg->w[0], size);
		drop_big(msg);
	}
}

static void drop(const vai_chan *ch, vai_msg *msg)
{
	if (ch->drop)
		ch->drop(msg);
}

/* ---- send and receive ---- */

/* Sends. A message in the ring can be received, and the channel given back, before the send is over, so this holds a
 * reference. Handing a message to a waiting receiver is the last thing that a send does. */
static inline int send(vai_g *g, vai_chan *ch, vai_msg *msg, int64_t ns)
{
	const bool buffered = ch->cap > 0;
	if (buffered)
		vai__obj_ref(&ch->obj);
	int rc = vai__chan_send(g, ch, msg, vai__capi_deadline(ns));
	if (buffered)
		vai__obj_unref(&ch->obj);
	return rc;
}

int vai_send(vai_chan *ch, const void *element, int64_t ns)
{
	vai_g *g;
	vai_msg msg;
	if (!is_ours(ch))
		return VAI_EINVAL;
	int rc = vai__capi_enter_wait(&g, ns);
	if (rc != VAI_OK)
		return rc;
	rc = pack(ch, element, &msg);
	if (rc == VAI_OK) {
		rc = send(g, ch, &msg, ns);
		if (rc != VAI_OK)
			drop(ch, &msg);
	}
	vai__capi_leave(g);
	return rc;
}

int vai_recv(vai_chan *ch, void *element, int64_t ns)
{
	vai_g *g;
	vai_msg msg;
	if (VAI_UNLIKELY(ch->drop == vai__msg_drop)) /* a channel of values */
		return VAI_EINVAL;
	int rc = vai__capi_enter_wait(&g, ns);
	if (rc != VAI_OK)
		return rc;
	rc = vai__chan_recv(g, ch, &msg, vai__capi_deadline(ns));
	if (rc == VAI_OK)
		unpack(ch, element, &msg);
	vai__capi_leave(g);
	return rc;
}

int vai_try_send(vai_chan *ch, const void *element)
{
	return vai_send(ch, element, 0);
}

int vai_try_recv(vai_chan *ch, void *element)
{
	return vai_recv(ch, element, 0);
}

int vai_close(vai_chan *ch)
{
	vai_g *g;
	if (vai__chan_is_kept(ch))
		return VAI_EINVAL;
	int rc = vai__capi_enter(&g);
	if (rc != VAI_OK)
		return rc;
	vai__obj_ref(&ch->obj);
	rc = vai__chan_close(ch);
	vai__obj_unref(&ch->obj);
	vai__capi_leave(g);
	return rc;
}

size_t vai_chan_length(vai_chan *ch)
{
	return (size_t)vai__chan_len(ch);
}

/* ---- channels of values ---- */

vai_chan *vai_chan_new_values(size_t capacity)
{
	return capacity > VAI_CHAN_MAX_CAP ? NULL : vai__chan_new((int64_t)capacity, vai__msg_drop);
}

int vai_send_value(vai_chan *ch, vai_value *v, int64_t ns)
{
	vai_g *g;
	if (vai__capi_kind(ch) != VAI__CAPI_VALUES || vai__msg_tag(v) == M_NIL)
		return VAI_EINVAL;
	int rc = vai__capi_enter_wait(&g, ns);
	if (rc != VAI_OK)
		return rc;
	rc = send(g, ch, v, ns);
	if (rc == VAI_OK)
		*v = (vai_value){{0}};
	vai__capi_leave(g);
	return rc;
}

int vai_recv_value(vai_chan *ch, vai_value *v, int64_t ns)
{
	vai_g *g;
	if (vai__capi_kind(ch) != VAI__CAPI_VALUES)
		return VAI_EINVAL;
	int rc = vai__capi_enter_wait(&g, ns);
	if (rc != VAI_OK)
		return rc;
	rc = vai__chan_recv(g, ch, v, vai__capi_deadline(ns));
	vai__capi_leave(g);
	return rc;
}

/* ---- select ---- */

/* Reads a case. VAI_OK; or what is wrong with it, and then it owns nothing. */
static int read_case(const vai_case *c, struct vai__case *out)
{
	bool values = c->ch && vai__capi_kind(c->ch) == VAI__CAPI_VALUES;
	*out = (struct vai__case){.ch = c->direction == VAI_NEVER ? NULL : c->ch};
	if (!out->ch)
		return VAI_OK;
	if (c->direction != VAI_SEND && c->direction != VAI_RECV)
		return VAI_EINVAL;
	out->dir = c->direction == VAI_SEND ? VAI_DIR_SEND : VAI_DIR_RECV;
	if (out->dir == VAI_DIR_RECV)
		return VAI_OK;
	int rc = VAI_OK;
	if (values && vai__msg_tag(c->element) != M_NIL)
		out->msg = *(const vai_value *)c->element;
	else
		rc = values || !is_ours(c->ch) ? VAI_EINVAL : pack(c->ch, c->element, &out->msg);
	if (rc == VAI_OK)
		vai__obj_ref(&c->ch->obj); /* held as in send */
	return rc;
}

/* Writes the result of the case back and gives up what it owns. chosen: it is the case that has gone. */
static void write_case(vai_case *c, struct vai__case *in, bool chosen)
{
	if (!in->ch)
		return;
	bool values = vai__capi_kind(in->ch) == VAI__CAPI_VALUES;
	bool done = chosen && in->result == VAI_OK;
	if (chosen)
		c->result = in->result;
	if (in->dir == VAI_DIR_SEND && values && done)
		*(vai_value *)c->element = (vai_value){{0}};
	else if (in->dir == VAI_DIR_SEND && !values && !done)
		drop(in->ch, &in->msg);
	else if (in->dir == VAI_DIR_RECV && done && values)
		*(vai_value *)c->element = in->msg;
	else if (in->dir == VAI_DIR_RECV && done)
		unpack(in->ch, c->element, &in->msg);
	if (in->dir == VAI_DIR_SEND)
		vai__obj_unref(&in->ch->obj);
}

static int run_cases(vai_g *g, vai_case *cases, struct vai__case *own, int n, int64_t ns)
{
	int rc = VAI_OK, read = 0;
	while (rc == VAI_OK && read < n)
		if ((rc = read_case(&cases[read], &own[read])) == VAI_OK)
			read++;
	int chosen = rc == VAI_OK ? vai__select(g, own, n, vai__capi_deadline(ns)) : rc;
	for (int i = 0; i < read; i++)
		write_case(&cases[i], &own[i], i == chosen);
	return chosen;
}

static VAI_NOINLINE int run_few(vai_g *g, vai_case *cases, int n, int64_t ns)
{
	struct vai__case own[CASES_ON_STACK];
	return run_cases(g, cases, own, n, ns);
}

int vai_select(vai_case *cases, int n, int64_t ns)
{
	vai_g *g = vai__g_self();
	if (!g)
		return VAI_ETHREAD;
	if (n < 0)
		return VAI_EINVAL;
	if (n <= CASES_ON_STACK)
		return run_few(g, cases, n, ns);
	size_t bytes = (size_t)n * sizeof(struct vai__case);
	struct vai__case *own = vai__mem_alloc(bytes);
	if (!own)
		return VAI_ENOMEM;
	int chosen = run_cases(g, cases, own, n, ns);
	vai__mem_free(own, bytes);
	return chosen;
}
