/* SPDX-License-Identifier: MIT */
/* Waking all waiters of a queue, and waiting for one event. The protocol is in waitq.h. */
#include "sync/waitq.h"

enum { BATCH = 16 };

static int pop_batch(struct vai__waitq *q, struct vai__wake *batch)
{
	int n = 0;
	struct vai__waiter *w;
	while (n < BATCH && (w = vai__waitq_pop(q)))
		batch[n++] = vai__waitq_wake(w);
	return n;
}

bool vai__waitq_abandoned(const struct vai__waitq *q)
{
	for (const struct vai__waitq *at = q->next; vai__sched_running() && at != q; at = at->next)
		if (!vai__g_on_main(VAI_CONTAINER((struct vai__waitq *)(uintptr_t)at, struct vai__waiter, link)->g))
			return false;
	return true;
}

void vai__waitq_fire_all(struct vai__waitq *q, int add, struct vai_lock *lock)
{
	struct vai__wake batch[BATCH];
	int n;
	while ((n = pop_batch(q, batch)) > 0) {
		vai__unlock(lock);
		for (int i = 0; i < n; i++)
			vai__fire(batch[i].g, batch[i].ticket, batch[i].code + add);
		vai__lock(lock);
	}
	vai__unlock(lock);
}

int vai__waitq_wait(vai_g *self, struct vai__waitq *q, struct vai_lock *lock, enum vai_wait_reason reason,
	const void *obj, int64_t deadline)
{
	struct vai__waiter w = {.g = self, .ticket = vai__wait_begin(self), .code = VAI_WAKE_USER};
	int code;
	vai__waitq_push(q, &w);
	vai__unlock(lock);
	code = vai__wait(self, reason, obj, deadline);
	if (code == VAI_WAKE_USER)
		return VAI_OK;
	vai__lock(lock);
	if (vai__waitq_linked(&w))
		vai__waitq_unlink(&w);
	vai__unlock(lock);
	return vai__wake_result(code);
}
