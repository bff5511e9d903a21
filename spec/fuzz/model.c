/* SPDX-License-Identifier: MIT */
/* model.h, as plainly as can be. */
#include "model.h"
#include "fuzz.h"

static void push(struct model_queue *q, int x)
{
	FUZZ_CHECK(q->n < MODEL_QUEUE, "the model is full");
	q->at[q->n++] = x;
}

static void remove_all(struct model_queue *q, int x)
{
	int n = 0;
	for (int i = 0; i < q->n; i++)
		if (q->at[i] != x)
			q->at[n++] = q->at[i];
	q->n = n;
}

static int shift(struct model_queue *q)
{
	int x = q->at[0];
	for (int i = 1; i < q->n; i++)
		q->at[i - 1] = q->at[i];
	q->n--;
	return x;
}

/* The cases of an operation on that channel, as bits; *msg: what one of them sends. */
static unsigned cases_on(const struct model_op *op, int ch, enum model_dir dir, int *msg)
{
	unsigned bits = 0;
	for (int i = 0; i < op->n; i++)
		if (op->cases[i].ch == ch && op->cases[i].dir == dir) {
			bits |= 1u << i;
			*msg = op->cases[i].msg;
		}
	return bits;
}

/* g's wait ends; it leaves all queues. */
static void end_wait(struct model *m, int g, enum model_end end, unsigned which, int received)
{
	struct model_op *op = &m->ops[g];
	op->waiting = false;
	op->end = end;
	op->which = which;
	op->msg = received;
	for (int c = 0; c < MODEL_CHANS; c++) {
		remove_all(&m->chans[c].recvq, g);
		remove_all(&m->chans[c].sendq, g);
	}
}

/* The longest waiting receiver gets it. */
static void hand_over(struct model *m, int ch, int msg)
{
	int g = m->chans[ch].recvq.at[0], unused;
	end_wait(m, g, MODEL_OK, cases_on(&m->ops[g], ch, MODEL_RECV, &unused), msg);
}

/* The longest waiting sender gives what it has. */
static int take_over(struct model *m, int ch)
{
	int g = m->chans[ch].sendq.at[0], msg = 0;
	unsigned which = cases_on(&m->ops[g], ch, MODEL_SEND, &msg);
	end_wait(m, g, MODEL_OK, which, 0);
	return msg;
}

unsigned model_ready(const struct model *m, int g)
{
	unsigned bits = 0;
	for (int i = 0; i < m->ops[g].n; i++) {
		const struct model_case *c = &m->ops[g].cases[i];
		const struct model_chan *ch = &m->chans[c->ch];
		bool can = c->dir == MODEL_SEND ? ch->recvq.n > 0 || ch->ring.n < ch->cap : ch->ring.n > 0 || ch->sendq.n > 0;
		if (can || ch->closed)
			bits |= 1u << i;
	}
	return bits;
}

static enum model_end do_send(struct model *m, int ch, int msg)
{
	if (m->chans[ch].closed)
		return MODEL_CLOSED;
	if (m->chans[ch].recvq.n > 0)
		hand_over(m, ch, msg);
	else
		push(&m->chans[ch].ring, msg);
	return MODEL_OK;
}

static enum model_end do_recv(struct model *m, int at, int *received)
{
	struct model_chan *ch = &m->chans[at];
	if (ch->ring.n > 0) {
		*received = shift(&ch->ring);
		if (ch->sendq.n > 0 && ch->ring.n < ch->cap)
			push(&ch->ring, take_over(m, at));
	} else if (ch->sendq.n > 0) {
		*received = take_over(m, at);
	} else {
		return MODEL_CLOSED;
	}
	return MODEL_OK;
}

enum model_end model_do(struct model *m, int g, int i, int *received)
{
	const struct model_case c = m->ops[g].cases[i];
	*received = 0;
	return c.dir == MODEL_SEND ? do_send(m, c.ch, c.msg) : do_recv(m, c.ch, received);
}

void model_wait(struct model *m, int g)
{
	struct model_op *op = &m->ops[g];
	op->waiting = true;
	for (int i = 0; i < op->n; i++) {
		struct model_chan *ch = &m->chans[op->cases[i].ch];
		push(op->cases[i].dir == MODEL_SEND ? &ch->sendq : &ch->recvq, g);
	}
}

bool model_close(struct model *m, int at)
{
	struct model_chan *ch = &m->chans[at];
	int unused;
	if (ch->closed)
		return false;
	ch->closed = true;
	while (ch->recvq.n > 0) {
		int g = ch->recvq.at[0];
		end_wait(m, g, MODEL_CLOSED, cases_on(&m->ops[g], at, MODEL_RECV, &unused), 0);
	}
	while (ch->sendq.n > 0) {
		int g = ch->sendq.at[0];
		end_wait(m, g, MODEL_CLOSED, cases_on(&m->ops[g], at, MODEL_SEND, &unused), 0);
	}
	return true;
}

bool model_cancel(struct model *m, int g)
{
	if (!m->ops[g].waiting)
		return false;
	end_wait(m, g, MODEL_CANCELED, 0, 0);
	return true;
}
