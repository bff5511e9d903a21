/* SPDX-License-Identifier: MIT */
/* Fuzz target: sequences of channel and select operations by several goroutines on one P, against
 * a sequential model of Go's semantics (model.h). Each operation's result, each channel's length
 * and every message's way are compared; who should be able to go on must go on.
 *
 * One P that nobody takes away (hold): between asking the model and telling it what happened nobody
 * else runs, unless the operation waits. The goroutines share the input: whoever runs takes its next
 * bytes. */
#include <string.h>
#include "base/obj.h"
#include "fuzz.h"
#include "model.h"
#include "sched/rt.h"
#include "sync/chan.h"
#include "sync/select.h"

enum { MAX_MSGS = 4096, PATIENCE = 200000 };
enum fate { UNMADE, OWNED, SENT, SPENT };

static struct model model;
static vai_chan *chans[MODEL_CHANS];
static vai_g *gs[MODEL_GS];
static bool done[MODEL_GS];
static enum fate fates[MAX_MSGS];
static int nchans, ngs, nmsgs;
static struct fuzz input;

/* Whoever runs is taken to be inside vai, from where sysmon takes no P, until it switches. */
static void hold(void)
{
	struct m *m = vai__m_self();
	bool was;
	vai__m_need_p(&m, &was);
}

static void yield(vai_g *self)
{
	vai__yield(self);
	hold();
}

/* ---- messages ---- */

static int new_msg(void)
{
	FUZZ_CHECK(nmsgs + 1 < MAX_MSGS, "too many messages");
	fates[++nmsgs] = OWNED;
	return nmsgs;
}

static vai_msg message(int id)
{
	return (vai_msg){{(uint64_t)id, ~(uint64_t)id, 7, 9}};
}

static int id_of(const vai_msg *msg)
{
	int id = (int)msg->w[0];
	FUZZ_CHECK(
		id > 0 && id <= nmsgs && msg->w[1] == ~(uint64_t)id && msg->w[2] == 7 && msg->w[3] == 9, "message %d", id);
	return id;
}

static void move(int id, enum fate from, enum fate to)
{
	FUZZ_CHECK(fates[id] == from, "message %d is %d, not %d", id, fates[id], from);
	fates[id] = to;
}

static void drop(vai_msg *msg)
{
	move(id_of(msg), SENT, SPENT);
}

/* ---- the state that both agree on ---- */

static void check_channels(void)
{
	for (int i = 0; i < nchans; i++) {
		FUZZ_CHECK(vai__chan_len(chans[i]) == model.chans[i].ring.n, "channel %d holds %d, not %d", i,
			(int)vai__chan_len(chans[i]), model.chans[i].ring.n);
		FUZZ_CHECK(vai__chan_is_closed(chans[i]) == model.chans[i].closed, "channel %d is closed or not", i);
	}
}

static int result_of(enum model_end end)
{
	return end == MODEL_OK ? VAI_OK : end == MODEL_CLOSED ? VAI_ECLOSED : VAI_ECANCELED;
}

/* ---- one operation ---- */

/* What vai did: the case that went or -1, and its result. */
struct outcome {
	int which, result;
	int received;
};

static bool sends_on(const struct model_op *op, int ch)
{
	for (int i = 0; i < op->n; i++)
		if (op->cases[i].ch == ch && op->cases[i].dir == MODEL_SEND)
			return true;
	return false;
}

/* Between one and MODEL_CASES cases. A channel may occur often, but to send only once: which of
 * two messages goes first would be chance. */
static void choose_cases(struct model_op *op, int n)
{
	*op = (struct model_op){0};
	while (op->n < n) {
		unsigned byte = fuzz_byte(&input);
		int ch = (int)(byte >> 1) % nchans;
		bool send = (byte & 1) && !sends_on(op, ch);
		struct model_case *c = &op->cases[op->n++];
		c->ch = ch;
		c->dir = send ? MODEL_SEND : MODEL_RECV;
		c->msg = send ? new_msg() : 0;
	}
}

static struct outcome do_plain(vai_g *self, const struct model_case *c, int64_t deadline)
{
	vai_msg msg = c->dir == MODEL_SEND ? message(c->msg) : (vai_msg){{1, 2, 3, 4}};
	int r = c->dir == MODEL_SEND ? vai__chan_send(self, chans[c->ch], &msg, deadline)
								 : vai__chan_recv(self, chans[c->ch], &msg, deadline);
	struct outcome o = {.which = r == VAI_OK || r == VAI_ECLOSED ? 0 : -1, .result = r};
	if (c->dir == MODEL_RECV && r == VAI_OK)
		o.received = id_of(&msg);
	else if (c->dir == MODEL_RECV)
		FUZZ_CHECK(!msg.w[0] && !msg.w[1] && !msg.w[2] && !msg.w[3], "something was received after all");
	return o;
}

static struct outcome do_select(vai_g *self, const struct model_op *op, int64_t deadline)
{
	struct vai__case cases[MODEL_CASES + 1];
	memset(cases, 0xee, sizeof cases);
	for (int i = 0; i < op->n; i++) {
		bool send = op->cases[i].dir == MODEL_SEND;
		cases[i] = (struct vai__case){.ch = chans[op->cases[i].ch], .dir = send ? VAI_DIR_SEND : VAI_DIR_RECV};
		if (send)
			cases[i].msg = message(op->cases[i].msg);
	}
	cases[op->n] = (struct vai__case){.ch = NULL, .dir = VAI_DIR_RECV}; /* never ready */
	int r = vai__select(self, cases, op->n + 1, deadline);
	FUZZ_CHECK(r < op->n, "case %d of %d", r, op->n);
	struct outcome o = {.which = r < 0 ? -1 : r, .result = r < 0 ? r : cases[r].result};
	if (r >= 0 && op->cases[r].dir == MODEL_RECV && o.result == VAI_OK)
		o.received = id_of(&cases[r].msg);
	return o;
}

/* It went at once: the model does the same. */
static void compare_at_once(int g, unsigned ready, const struct outcome *o)
{
	int received;
	FUZZ_CHECK(o->which >= 0 && (ready >> o->which & 1), "case %d (result %d) of those that can go: %x", o->which,
		o->result, ready);
	enum model_end end = model_do(&model, g, o->which, &received);
	FUZZ_CHECK(o->result == result_of(end), "result %d, not %d", o->result, result_of(end));
	FUZZ_CHECK(o->received == received, "received %d, not %d", o->received, received);
}

static void compare_waited(const struct model_op *op, const struct outcome *o)
{
	FUZZ_CHECK(!op->waiting, "it came back (%d, %d), but should wait", o->which, o->result);
	FUZZ_CHECK(o->result == result_of(op->end), "result %d, not %d", o->result, result_of(op->end));
	FUZZ_CHECK(op->end == MODEL_CANCELED ? o->which == -1 : o->which >= 0 && (op->which >> o->which & 1),
		"case %d, not one of %x", o->which, op->which);
	FUZZ_CHECK(o->received == op->msg, "received %d, not %d", o->received, op->msg);
}

/* Messages of the operation that did not go stay with it; what came is gone. */
static void settle(const struct model_op *op, const struct outcome *o)
{
	for (int i = 0; i < op->n; i++) {
		if (op->cases[i].dir == MODEL_SEND && !(i == o->which && o->result == VAI_OK))
			move(op->cases[i].msg, SENT, SPENT);
	}
	if (o->received)
		move(o->received, SENT, SPENT);
}

static void operate(int g, int n, bool plain, bool may_wait)
{
	struct model_op *op = &model.ops[g];
	choose_cases(op, n);
	for (int i = 0; i < n; i++)
		if (op->cases[i].dir == MODEL_SEND)
			move(op->cases[i].msg, OWNED, SENT);
	unsigned ready = model_ready(&model, g);
	if (!ready && may_wait)
		model_wait(&model, g);
	int64_t deadline = may_wait ? VAI_FOREVER : 0;
	vai_g *self = g < ngs ? gs[g] : vai__g_main();
	struct outcome o = plain ? do_plain(self, &op->cases[0], deadline) : do_select(self, op, deadline);
	hold();
	if (ready)
		compare_at_once(g, ready, &o);
	else if (may_wait)
		compare_waited(op, &o);
	else
		FUZZ_CHECK(o.which == -1 && o.result == VAI_EAGAIN, "case %d, result %d, but none can go", o.which, o.result);
	settle(op, &o);
}

static void close_one(int ch)
{
	FUZZ_CHECK((vai__chan_close(chans[ch]) == VAI_OK) == model_close(&model, ch), "channel %d was closed or not", ch);
}

static void cancel_one(int g)
{
	if (done[g] || model.ops[g].n == 0) /* it is gone, or has never waited */
		return;
	bool waits = model.ops[g].waiting;
	if (waits)
		FUZZ_CHECK(vai__fire_any(gs[g], VAI_WAKE_CANCELED) == model_cancel(&model, g), "goroutine %d", g);
}

/* The next step of goroutine g; main is number ngs and does not wait. */
static void step(int g)
{
	unsigned what = fuzz_byte(&input), kind = what % 16;
	bool may_wait = g < ngs && (what & 128);
	if (nmsgs > MAX_MSGS - 2 * MODEL_CASES)
		input.p = input.end;
	else if (kind < 6)
		operate(g, 1, true, may_wait);
	else if (kind < 11)
		operate(g, (int)(what >> 4 & 3) + 1, false, may_wait);
	else if (kind == 11 && what >= 128)
		close_one((int)fuzz_byte(&input) % nchans);
	else if (kind == 12)
		cancel_one((int)fuzz_byte(&input) % ngs);
	else if (g < ngs)
		yield(gs[g]);
	check_channels();
}

/* ---- the goroutines ---- */

static void goroutine(vai_g *self, void *arg)
{
	int g = (int)(intptr_t)arg;
	(void)self;
	hold();
	while (input.p < input.end)
		step(g);
	done[g] = true;
}

/* Lets all run that can. */
static void run_others(void)
{
	for (int rounds = 0;; rounds++) {
		bool some = false;
		for (int g = 0; g < ngs; g++)
			some |= !done[g] && !model.ops[g].waiting;
		if (!some)
			return;
		FUZZ_CHECK(rounds < PATIENCE, "somebody who can go on does not");
		yield(vai__g_main());
	}
}

static void begin(void)
{
	memset(&model, 0, sizeof model);
	memset(done, 0, sizeof done);
	memset(fates, 0, (size_t)(nmsgs + 1) * sizeof *fates);
	nmsgs = 0;
	nchans = (int)fuzz_below(&input, MODEL_CHANS) + 1;
	ngs = (int)fuzz_below(&input, MODEL_GS - 2) + 2;
	ngs = ngs < MODEL_GS - 1 ? ngs : MODEL_GS - 1;
	vai__sched.ps[0]->rand = 1; /* the same input, the same choices */
	for (int i = 0; i < nchans; i++) {
		model.chans[i].cap = (int)fuzz_below(&input, 4);
		chans[i] = vai__chan_new(model.chans[i].cap, drop);
	}
	for (int g = 0; g < ngs; g++) {
		gs[g] = vai__g_new(goroutine, (void *)(intptr_t)g);
		vai__g_start(vai__g_main(), gs[g]);
	}
}

/* Closing ends every wait. */
static void finish(void)
{
	for (int i = 0; i < nchans; i++)
		if (!model.chans[i].closed)
			close_one(i);
	run_others();
	check_channels();
	for (int i = 0; i < nchans; i++)
		vai__obj_unref((struct vai_obj *)chans[i]);
	for (int id = 1; id <= nmsgs; id++)
		FUZZ_CHECK(fates[id] == SPENT, "message %d is %d", id, fates[id]);
	while (vai__g_count() > 1)
		yield(vai__g_main());
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	FUZZ_CHECK(vai__sched_start(&(struct vai__sched_opts){.maxprocs = 1}) == VAI_OK, "no runtime");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = (struct fuzz){data, data + size};
	hold();
	begin();
	run_others();
	while (input.p < input.end) {
		step(ngs);
		run_others();
	}
	finish();
	return 0;
}
