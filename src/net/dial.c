/* SPDX-License-Identifier: MIT */
/* See dial.h. Attempts begin 250 ms apart, IPv6 and IPv4 in turn, and the next one begins at once when one has failed.
 * One goroutine waits for all of them by one ticket. */
#include "net/dial.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "net/socket.h"
#include "sched/poll.h"

enum { SELF_MOST = 8 };
enum { STAGGER = 250000000, FULL_FIRST = 1000000, FULL_MOST = 50000000 /* ns */ };

/* ---- where to ---- */

static int localhost(struct vai__dial *d, int family, int port)
{
	int n = 0;
	if (family != AF_INET6)
		vai__addr_numeric(&d->list[n++], AF_INET, "127.0.0.1", port);
	if (family != AF_INET)
		vai__addr_numeric(&d->list[n++], AF_INET6, "::1", port);
	return n;
}

static int everywhere(struct vai__dial *d, int family, int port)
{
	int n = 0;
	if (family != AF_INET)
		vai__addr_numeric(&d->list[n++], AF_INET6, "", port);
	if (family != AF_INET6)
		vai__addr_numeric(&d->list[n++], AF_INET, "", port);
	return n;
}

/* Sorts the list so that families take turns, that of the first address first; each family keeps its order. */
static void interleave(struct vai__dial *d)
{
	struct vai__addr sorted[VAI__ADDRS_MAX];
	int next[2] = {0, 0}, first = d->list[0].u.sa.sa_family;
	for (int k = 0; k < d->n; k++) {
		int side = k % 2;
		for (int tries = 0; tries < 2; tries++, side = !side) {
			int *i = &next[side];
			while (*i < d->n && (d->list[*i].u.sa.sa_family == first) == (side == 1))
				++*i;
			if (*i < d->n)
				break;
		}
		sorted[k] = d->list[next[side]++];
	}
	memcpy(d->list, sorted, (size_t)d->n * sizeof *sorted);
}

int vai__dial_find(vai_g *self, struct vai__dial *d, const struct vai__network *net, const char *text, size_t len,
	bool listening, int64_t limit, const char **why)
{
	char host[VAI__HOST_MAX + 1], service[VAI__SERVICE_MAX + 1];
	memset(d, 0, sizeof *d);
	d->net = net;
	if (net->family == AF_UNIX) {
		*why = vai__addr_unix(&d->list[0], text, len);
		d->n = 1;
		return *why ? VAI_EINVAL : VAI_OK;
	}
	if ((*why = vai__addr_split(text, len, host, service)) != NULL)
		return VAI_EINVAL;
	int port = vai__addr_port(service);
	if (*host || port < 0)
		d->n = vai__resolve(self, host, service, net->family, net->type, limit, d->list);
	else if (listening)
		d->n = everywhere(d, net->family, port);
	else
		d->n = localhost(d, net->family, port);
	if (d->n < 0)
		return d->n;
	interleave(d);
	return VAI_OK;
}

/* ---- attempts ---- */

/* Begins to connect a new socket. VAI_OK: connected; VAI_EAGAIN: under way; otherwise why it failed. */
static int open_to(const struct vai__addr *a, int type, int *fd)
{
	*fd = vai__socket_new(a->u.sa.sa_family, type);
	if (*fd < 0)
		return *fd;
	int did = vai__socket_connect(*fd, a);
	if (did >= 0)
		did = vai__socket_connected(*fd);
	if (did == VAI__ERRNO(EINPROGRESS))
		return VAI_EAGAIN;
	if (did < 0 && did != VAI_EAGAIN)
		close(*fd);
	return did;
}

/* As open_to. A datagram socket is refused only if the system gave it the very port that it is to send to, so then
 * another socket is tried, which gets another port. */
static int open_other(const struct vai__addr *a, int type, int *fd)
{
	int did, tries = 0;
	do
		did = open_to(a, type, fd);
	while (
		type == SOCK_DGRAM && did == VAI__ERRNO(ECONNREFUSED) && a->u.sa.sa_family != AF_UNIX && ++tries < SELF_MOST);
	return did;
}

/* Begins attempt k. VAI_OK: connected; VAI_EAGAIN: under way; otherwise why it failed. */
static int begin(struct vai__dial *d, int k)
{
	int rc, fd, did = open_other(&d->list[k], d->net->type, &fd);
	if (did < 0 && did != VAI_EAGAIN)
		return did;
	d->tries[k] = vai__desc_new(fd, &rc);
	if (!d->tries[k]) {
		close(fd);
		return rc;
	}
	return did < 0 ? VAI_EAGAIN : VAI_OK;
}

static void drop(struct vai__dial *d, int k)
{
	if (d->tries[k])
		vai__desc_release(d->tries[k]);
	d->tries[k] = NULL;
}

static int finish(struct vai__dial *d, int k, struct vai__desc **out)
{
	*out = d->tries[k];
	d->tries[k] = NULL;
	d->reached = &d->list[k];
	for (int i = 0; i < d->begun; i++)
		drop(d, i);
	return VAI_OK;
}

/* Looks at the attempts under way. Returns the number of one that is connected, or -1; *left: how many go on. */
static int look(struct vai__dial *d, int *left, int *error)
{
	*left = 0;
	for (int k = 0; k < d->begun; k++) {
		if (!d->tries[k])
			continue;
		int rc = vai__socket_connected(vai__desc_fd(d->tries[k]));
		if (rc >= 0)
			return k;
		if (rc == VAI_EAGAIN) {
			++*left;
			continue;
		}
		*error = rc;
		drop(d, k);
	}
	return -1;
}

/* Waits until an attempt may have changed, or until `until`. */
static int wait_for_any(vai_g *self, struct vai__dial *d, int64_t until)
{
	vai_ticket ticket = vai__wait_begin(self);
	bool news = false;
	vai__poll_count(1);
	for (int k = 0; k < d->begun && !news; k++)
		if (d->tries[k])
			news = !vai__desc_publish(self, d->tries[k], VAI__WRITE, ticket);
	if (news)
		vai__fire(self, ticket, VAI_WAKE_USER);
	int code = vai__wait(self, VAI_WAIT_CONNECT, NULL, until);
	vai__poll_count(-1);
	for (int k = 0; k < d->begun; k++)
		if (d->tries[k])
			vai__desc_retract(self, d->tries[k], VAI__WRITE);
	return code == VAI_WAKE_USER ? VAI_OK : vai__wake_result(code);
}

static void drop_all(struct vai__dial *d)
{
	for (int k = 0; k < d->begun; k++)
		drop(d, k);
}

/* Runs the attempts. If all fail the first error counts, as in Go: later addresses are often of a family that this
 * machine cannot reach. */
static int race(vai_g *self, struct vai__dial *d, int64_t limit, struct vai__desc **out)
{
	int error = 0, last = 0, left = 0;
	int64_t next = 0;
	for (;;) {
		if (d->begun < d->n && (left == 0 || vai__clock_now() >= next)) {
			int k = d->begun++, rc = begin(d, k);
			if (rc == VAI_OK)
				return finish(d, k, out);
			last = rc == VAI_EAGAIN ? 0 : rc;
			next = vai__clock_now() + (rc == VAI_EAGAIN ? STAGGER : 0);
		}
		int k = look(d, &left, &last);
		if (k >= 0)
			return finish(d, k, out);
		if (last != 0)
			next = 0; /* an attempt has failed: the next begins at once */
		error = error ? error : last;
		last = 0;
		if (left == 0 && d->begun == d->n)
			return error;
		if (d->begun < d->n && (left == 0 || next <= vai__clock_now()))
			continue;
		if (limit == 0)
			return VAI_ETIMEOUT;
		int64_t until = d->begun < d->n && next < limit ? next : limit;
		int rc = wait_for_any(self, d, until);
		if (rc != VAI_OK && (rc != VAI_ETIMEOUT || until == limit))
			return rc;
	}
}

/* Tries a Unix socket whose backlog is full again and again: connect gives EAGAIN, and no event tells when there is
 * room. */
static int again_later(vai_g *self, struct vai__dial *d, int64_t limit, struct vai__desc **out)
{
	int rc;
	for (int64_t pause = FULL_FIRST;; pause = pause < FULL_MOST ? 2 * pause : pause) {
		d->begun = 0;
		rc = race(self, d, limit, out);
		if (rc != VAI__ERRNO(EAGAIN) || d->net->family != AF_UNIX)
			return rc;
		int64_t now = vai__clock_now();
		if (limit == 0 || now >= limit)
			return VAI_ETIMEOUT;
		int64_t until = limit != VAI_FOREVER && limit - now < pause ? limit : now + pause;
		vai__wait_begin(self);
		int code = vai__wait(self, VAI_WAIT_CONNECT, NULL, until);
		if (code != VAI_WAKE_TIMEOUT)
			return vai__wake_result(code);
	}
}

int vai__dial_run(vai_g *self, struct vai__dial *d, int64_t limit, struct vai__desc **out)
{
	int rc = again_later(self, d, limit, out);
	if (rc != VAI_OK)
		drop_all(d);
	return rc;
}
