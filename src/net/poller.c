/* SPDX-License-Identifier: MIT */
/* The functions of sched/poll.h: choosing the poller, and counting the goroutines that wait for it. */
#include "sched/poll.h"
#include <stdlib.h>
#include <string.h>
#include "base/atomic.h"
#include "base/base.h"
#include "net/poller.h"
#include "net/resolve.h"

static _Atomic(int64_t) pending;
static _Atomic(int64_t) sourced;
static struct vai__source *_Atomic sources;

static const struct vai__poller *choose(void)
{
	const char *wish = getenv("VAI_POLL");
#ifdef __linux__
	if (!wish || strcmp(wish, "uv") != 0)
		return &vai__poller_epoll;
#endif
	(void)wish;
	return &vai__poller_uv;
}

int vai__poll_start(const char **call)
{
	vai__desc_poller = choose();
	atomic_store(&pending, 0);
	atomic_store(&sourced, 0);
	return vai__desc_poller->start(call);
}

/* Descriptors are closed before the poller ends, as it has to take them out. */
void vai__poll_stop(void)
{
	vai__resolve_stop();
	vai__desc_stop();
	vai__desc_poller->stop();
}

void vai__poll_wait(int64_t until)
{
	vai__desc_poller->wait(until);
}

void vai__poll_wake(void)
{
	vai__desc_poller->wake();
}

void vai__poll_check(void)
{
	vai__desc_poller->check();
}

int64_t vai__poll_pending(void)
{
	return atomic_load_seq_cst(&pending);
}

void vai__poll_count(int n)
{
	atomic_fetch_add_seq_cst(&pending, n);
}

void vai__poll_source(struct vai__source *s, int n)
{
	if (!atomic_exchange(&s->known, true)) {
		s->next = atomic_load(&sources);
		while (!atomic_compare_exchange_weak(&sources, &s->next, s))
			;
	}
	atomic_fetch_add_seq_cst(&sourced, n);
}

int64_t vai__poll_sources(void)
{
	return atomic_load_seq_cst(&sourced);
}

bool vai__poll_sources_awaited(void)
{
	bool awaited = false;
	for (struct vai__source *s = atomic_load(&sources); s && !awaited; s = s->next)
		awaited = s->awaited();
	return awaited;
}
