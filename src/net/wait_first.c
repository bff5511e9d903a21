/* SPDX-License-Identifier: MIT */
/* See wait_first.h. Whether something is ready is asked of the system and of the connections' buffers; an edge only
 * says when to ask again. A direction that another goroutine waits in cannot be waited for, so it is looked at every
 * AGAIN ns. */
#include "net/wait_first.h"
#include <poll.h>
#include "base/clock.h"
#include "sched/poll.h"

enum { AGAIN = 5000000, STALE = 2 };

static bool is_ready(vai_g *self, const struct vai__wait_first *r)
{
	if (r->conn && r->dir == VAI__READ) {
		int rc = vai__conn_peek(self, r->conn, true);
		return rc != VAI_EAGAIN && rc != VAI_ETIMEOUT;
	}
	if (!vai__desc_hold(r->desc))
		return true;
	struct pollfd p = {.fd = vai__desc_fd(r->desc), .events = r->dir == VAI__READ ? POLLIN : POLLOUT};
	bool ready = poll(&p, 1, 0) != 0;
	vai__desc_unhold(r->desc);
	return ready;
}

static bool look(vai_g *self, struct vai__wait_first *list, int n)
{
	bool any = false;
	for (int i = 0; i < n; i++) {
		list[i].ready = is_ready(self, &list[i]);
		any |= list[i].ready;
	}
	return any;
}

/* Leaves the ticket in all entries. True: all of them can be waited for. */
static bool ask(vai_g *self, struct vai__wait_first *list, int n, vai_ticket ticket)
{
	bool all = true;
	for (int i = 0; i < n; i++) {
		list[i].asked = vai__desc_publish(self, list[i].desc, list[i].dir, ticket);
		all &= list[i].asked;
	}
	return all;
}

static int wait_once(vai_g *self, struct vai__wait_first *list, int n, int64_t limit, bool patient)
{
	vai_ticket ticket = vai__wait_begin(self);
	vai__poll_count(1);
	if (!ask(self, list, n, ticket)) {
		if (patient) /* not a stale edge: another goroutine waits there */
			limit = limit - vai__clock_now() < AGAIN ? limit : vai__clock_now() + AGAIN;
		else
			vai__fire(self, ticket, VAI_WAKE_USER);
	}
	int code = vai__wait(self, VAI_WAIT_READ, list[0].conn, limit);
	vai__poll_count(-1);
	for (int i = 0; i < n; i++)
		if (list[i].asked)
			vai__desc_retract(self, list[i].desc, list[i].dir);
	return code == VAI_WAKE_USER ? VAI_OK : vai__wake_result(code);
}

int vai__wait_first(vai_g *self, struct vai__wait_first *list, int n, int64_t limit)
{
	for (int turn = 0;; turn++) {
		if (look(self, list, n))
			return VAI_OK;
		if (vai__clock_is_past(limit))
			return VAI_ETIMEOUT;
		int rc = wait_once(self, list, n, limit, turn >= STALE);
		if (rc != VAI_OK && rc != VAI_ETIMEOUT)
			return rc;
	}
}
