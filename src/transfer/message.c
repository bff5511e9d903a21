/* SPDX-License-Identifier: MIT */
/* Messages without Lua: making simple ones, dropping any. Any thread may call.
 *
 * What a message owns may own messages in turn: channels that lie in channels, a million deep if a script likes. So
 * when a goroutine, or a thread without one, comes here again while it is dropping a message, it only puts the inner
 * one on its list, and the outer call works the list off. */
#include "transfer/message.h"
#include "base/mem.h"
#include "sched/sched.h"

struct vai__block *vai__block_new(size_t len)
{
	const size_t head = offsetof(struct vai__block, data);
	if (len > SIZE_MAX / 2)
		return NULL;
	struct vai__block *b = vai__mem_alloc(head + len);
	if (b)
		*b = (struct vai__block){.size = head + len, .len = len};
	return b;
}

void vai__block_unref_after(const unsigned char *data, size_t last, size_t at)
{
	while (last && last >= at) {
		struct vai_obj *o = (struct vai_obj *)(uintptr_t)vai__load64(data + last);
		last = (size_t)vai__load64(data + last + 8);
		vai__obj_unref(o);
	}
}

void vai__block_unref_all(const unsigned char *data, size_t last)
{
	vai__block_unref_after(data, last, 0);
}

static void discharge(struct vai__block *b)
{
	if (VAI_LIKELY(!b->account))
		return;
	atomic_fetch_sub_relaxed(&b->account->bytes, b->charge);
	vai__account_unref(b->account);
}

static void free_now(struct vai__block *b)
{
	vai__block_unref_all(b->data, b->last_ref);
	discharge(b);
	vai__mem_free(b, b->size);
}

/* The list of a thread that runs no goroutine; such a thread does not park. */
static _Thread_local __attribute__((tls_model("initial-exec"))) void *dropping;

static VAI_NOINLINE void free_with_references(struct vai__block *b)
{
	static struct vai__block end;
	struct vai__block *next;
	vai_g *g = vai__g_self();
	void **list = g ? &g->dropping : &dropping;
	if (*list) {
		b->next = *list;
		*list = b;
		return;
	}
	*list = &end;
	free_now(b);
	while ((next = *list) != &end) {
		*list = next->next;
		free_now(next);
	}
	*list = NULL;
}

void vai__block_free(struct vai__block *b)
{
	if (!b)
		return;
	if (b->last_ref) {
		free_with_references(b);
		return;
	}
	discharge(b);
	vai__mem_free(b, b->size);
}

/* Gives a reference back. If it is the last one, a block carries it, so that the object is destroyed from the list. */
static void unref_object(struct vai_obj *o)
{
	struct vai__block *b = NULL;
	if (atomic_load_relaxed(&o->refs) == 1)
		b = vai__block_new(1 + REF_SIZE);
	if (!b) {
		vai__obj_unref(o);
		return;
	}
	vai__store64(b->data + 1, (uintptr_t)o);
	vai__store64(b->data + 1 + 8, 0);
	b->last_ref = 1;
	free_with_references(b);
}

static void free_text(struct vai__msg_text *b)
{
	vai__mem_free(b, sizeof *b + b->len);
}

void vai__msg_drop(vai_msg *msg)
{
	unsigned tag = vai__msg_tag(msg);
	uint64_t word = msg->w[1];
	*msg = (vai_msg){{0, 0, 0, 0}};
	if (tag == M_TEXT)
		free_text((struct vai__msg_text *)(uintptr_t)word);
	else if (tag == M_BLOCK)
		vai__block_free((struct vai__block *)(uintptr_t)word);
	else if (tag == M_OBJECT)
		unref_object((struct vai_obj *)(uintptr_t)word);
}

void vai__msg_each_object(const vai_msg *msg, void (*f)(void *arg, struct vai_obj *o), void *arg)
{
	if (vai__msg_tag(msg) == M_OBJECT)
		f(arg, (struct vai_obj *)(uintptr_t)msg->w[1]);
	if (vai__msg_tag(msg) != M_BLOCK)
		return;
	const unsigned char *data = vai__msg_block(msg)->data;
	for (size_t at = vai__msg_block(msg)->last_ref; at; at = (size_t)vai__load64(data + at + 8))
		f(arg, (struct vai_obj *)(uintptr_t)vai__load64(data + at));
}

struct counted {
	const struct vai_obj *o;
	unsigned n;
};

static void count_object(void *arg, struct vai_obj *o)
{
	struct counted *c = arg;
	c->n += o == c->o;
}

unsigned vai__msg_count_object(const vai_msg *msg, const struct vai_obj *o)
{
	struct counted c = {o, 0};
	vai__msg_each_object(msg, count_object, &c);
	return c.n;
}

void vai__msg_number(vai_msg *out, double n)
{
	uint64_t word;
	memcpy(&word, &n, sizeof word);
	vai__msg_set(out, M_FLOAT, word);
}

void vai__msg_bool(vai_msg *out, bool b)
{
	vai__msg_set(out, b ? M_TRUE : M_FALSE, 0);
}

int vai__msg_string(vai_msg *out, const char *s, size_t len)
{
	if (len > MSG_TEXT_MAX)
		return vai__msg_string_block(out, s, len);
	vai__msg_set(out, M_NIL, 0);
	if (len <= MSG_STRING_MAX) {
		unsigned char *p = vai__msg_bytes(out);
		p[0] = M_STRING;
		p[1] = (unsigned char)len;
		memcpy(p + 2, s, len);
		return VAI_OK;
	}
	struct vai__msg_text *b = vai__mem_alloc(sizeof *b + len);
	if (!b)
		return VAI_ENOMEM;
	b->len = len;
	memcpy(b->s, s, len);
	vai__msg_set(out, M_TEXT, (uintptr_t)b);
	return VAI_OK;
}

int vai__msg_string_block(vai_msg *out, const char *s, size_t len)
{
	vai__msg_set(out, M_NIL, 0);
	struct vai__block *b = len < SIZE_MAX / 2 ? vai__block_new(len + 10) : NULL;
	if (!b)
		return VAI_ENOMEM;
	b->nvalues = 1;
	b->data[0] = T_LONG;
	vai__store64(b->data + 1, len);
	memcpy(b->data + 9, s, len);
	b->data[9 + len] = S_STOP;
	vai__msg_set(out, M_BLOCK, (uintptr_t)b);
	return VAI_OK;
}

static const char *string_of_block(const struct vai__block *b, size_t *len)
{
	if (b->nvalues != 1 || b->flags & BLOCK_FLAT || (b->data[0] != T_LONG && b->data[0] != T_SHORT))
		return NULL;
	*len = b->data[0] == T_LONG ? (size_t)vai__load64(b->data + 1) : b->data[1];
	return (const char *)b->data + (b->data[0] == T_LONG ? 9 : 2);
}

const char *vai__msg_string_of(const vai_msg *msg, size_t *len)
{
	switch (vai__msg_tag(msg)) {
	case M_STRING: *len = ((const unsigned char *)msg)[1]; return (const char *)msg + 2;
	case M_TEXT: *len = vai__msg_text(msg)->len; return vai__msg_text(msg)->s;
	case M_BLOCK: return string_of_block(vai__msg_block(msg), len);
	default: return NULL;
	}
}

static unsigned char *put_key(unsigned char *p, const char *s)
{
	size_t len = strlen(s);
	p[0] = T_SHORT;
	p[1] = (unsigned char)len;
	memcpy(p + 2, s, len); /* NOLINT(bugprone-not-null-terminated-result): its length goes before it */
	return p + 2 + len;
}

static unsigned char *put_string(unsigned char *p, const char *s)
{
	size_t len = strlen(s);
	p[0] = T_LONG;
	vai__store64(p + 1, len);
	memcpy(p + 9, s, len); /* NOLINT(bugprone-not-null-terminated-result): its length goes before it */
	return p + 9 + len;
}

int vai__msg_table(vai_msg *out, const char *const *pairs, unsigned n)
{
	size_t len = TABLE_HEAD + 2;
	for (unsigned i = 0; i < n; i++)
		len += 2 + strlen(pairs[2 * i]) + 9 + strlen(pairs[2 * i + 1]);
	struct vai__block *b = vai__block_new(len);
	if (!b)
		return VAI_ENOMEM;
	unsigned char *p = b->data;
	*p = T_TABLE;
	vai__store32(p + AT_SLOT, 0);
	vai__store32(p + AT_NARR, 0);
	vai__store32(p + AT_NREC, n);
	p += TABLE_HEAD;
	for (unsigned i = 0; i < n; i++)
		p = put_string(put_key(p, pairs[2 * i]), pairs[2 * i + 1]);
	*p++ = T_END;
	*p = S_STOP;
	b->nvalues = 1;
	b->depth = 1;
	vai__msg_set(out, M_BLOCK, (uintptr_t)b);
	return VAI_OK;
}
