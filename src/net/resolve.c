/* SPDX-License-Identifier: MIT */
/* See resolve.h.
 *
 * A request belongs to its goroutine and, from when it is queued until it is answered, to the threads as well; the last
 * of the two frees it. A goroutine that gives up leaves its request behind, and with it a thread, until the system has
 * answered: so threads are few, and requests queue. All requests are in a list, for goroutines that never run again.
 * The lock is held for moments. The threads take no signals. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "net/resolve.h"
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "net/descriptor.h"
#include "sched/poll.h"

enum { MAX_THREADS = 8, IDLE_SECONDS = 5, STACK = 262144 };

struct request {
	struct request *next, *prev; /* in the list of all */
	struct request *queued;
	vai_g *g;
	vai_ticket ticket;
	bool owned; /* its goroutine still has it; under the lock */
	bool asked; /* a thread works on it, or will; under the lock */
	int rc;     /* the result, once answered; under the lock */
	int family, type;
	bool reverse;
	char host[VAI__HOST_MAX + 1]; /* or the answer, when a name is looked up */
	char service[VAI__SERVICE_MAX + 1];
	struct vai__addr addrs[VAI__ADDRS_MAX];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct request *all;
	struct request *first, **last;
	int threads, idle;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER, .last = &pool.first};

/* Frees r if neither its goroutine nor a thread has it. Lock held. */
static void drop(struct request *r)
{
	if (r->owned || r->asked)
		return;
	if (r->prev)
		r->prev->next = r->next;
	else
		pool.all = r->next;
	if (r->next)
		r->next->prev = r->prev;
	free(r);
}

/* ---- the threads ---- */

static int copy_addrs(struct request *r, const struct addrinfo *list)
{
	int n = 0;
	for (; list && n < VAI__ADDRS_MAX; list = list->ai_next) {
		if ((list->ai_family != AF_INET && list->ai_family != AF_INET6) || list->ai_addrlen > sizeof r->addrs[n].u)
			continue;
		memset(&r->addrs[n], 0, sizeof r->addrs[n]);
		memcpy(&r->addrs[n].u, list->ai_addr, list->ai_addrlen);
		r->addrs[n++].len = list->ai_addrlen;
	}
	return n;
}

static int gai_result(int err)
{
	if (err == EAI_SYSTEM)
		return VAI__ERRNO(errno);
	return err == EAI_MEMORY ? VAI_ENOMEM : VAI__GAI_ERROR(err);
}

static int ask(struct request *r)
{
	if (r->reverse) {
		int err = getnameinfo(&r->addrs[0].u.sa, r->addrs[0].len, r->host, sizeof r->host, NULL, 0, NI_NAMEREQD);
		return err ? gai_result(err) : VAI_OK;
	}
	struct addrinfo hints = {.ai_family = r->family, .ai_socktype = r->type}, *list = NULL;
	int err = getaddrinfo(*r->host ? r->host : NULL, *r->service ? r->service : NULL, &hints, &list);
	if (err)
		return gai_result(err);
	int n = copy_addrs(r, list);
	freeaddrinfo(list);
	return n > 0 ? n : VAI__GAI_ERROR(EAI_NONAME);
}

/* Gives the answer to the goroutine, if it still waits. Lock held. */
static void answer(struct request *r, int rc)
{
	r->rc = rc;
	r->asked = false;
	if (r->owned)
		vai__fire(r->g, r->ticket, VAI_WAKE_USER);
	drop(r);
}

/* The next request for a thread; waits for one. NULL: none has come for so long that the thread may end. Lock held. */
static struct request *next_request(void)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += IDLE_SECONDS;
	pool.idle++;
	while (!pool.first && pthread_cond_timedwait(&pool.more, &pool.lock, &until) != ETIMEDOUT)
		;
	pool.idle--;
	struct request *r = pool.first;
	if (r && !(pool.first = r->queued))
		pool.last = &pool.first;
	return r;
}

static void *work(void *arg)
{
	struct request *r;
	(void)arg;
	pthread_setname_np(pthread_self(), "vai-dns");
	pthread_mutex_lock(&pool.lock);
	while ((r = next_request()) != NULL) {
		pthread_mutex_unlock(&pool.lock);
		int rc = ask(r);
		pthread_mutex_lock(&pool.lock);
		answer(r, rc);
	}
	pool.threads--;
	pthread_mutex_unlock(&pool.lock);
	return NULL;
}

/* Starts a thread if none is idle and there may be more. False: there is no thread at all, and none can be started.
 * Lock held. */
static bool need_thread(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	if (pool.idle > 0 || pool.threads == MAX_THREADS)
		return true;
	if (pthread_attr_init(&attr) != 0)
		return pool.threads > 0;
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	bool made = pthread_create(&thread, &attr, work, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	pool.threads += made;
	return pool.threads > 0;
}

/* ---- goroutines ---- */

/* Queues r for the threads. False: there are none. Lock held. */
static bool submit(struct request *r)
{
	r->next = pool.all;
	if (pool.all)
		pool.all->prev = r;
	pool.all = r;
	if (!need_thread())
		return false;
	r->asked = true;
	*pool.last = r;
	pool.last = &r->queued;
	pthread_cond_signal(&pool.more);
	return true;
}

/* Queues r and waits. VAI_OK: r->rc is the answer. The caller calls leave in any case. */
static int wait_for(vai_g *self, struct request *r, int64_t limit)
{
	r->g = self;
	r->owned = true;
	r->ticket = vai__wait_begin(self);
	pthread_mutex_lock(&pool.lock);
	bool ok = submit(r);
	pthread_mutex_unlock(&pool.lock);
	if (!ok)
		return VAI__ERRNO(EAGAIN);
	vai__poll_count(1);
	int code = vai__wait(self, VAI_WAIT_LOOKUP, NULL, limit);
	vai__poll_count(-1);
	return code == VAI_WAKE_USER ? VAI_OK : vai__wake_result(code);
}

static void leave(struct request *r)
{
	pthread_mutex_lock(&pool.lock);
	r->owned = false;
	drop(r);
	pthread_mutex_unlock(&pool.lock);
}

static int request(vai_g *self, struct request *r, int64_t limit, struct vai__addr *addrs, char *name)
{
	int rc = wait_for(self, r, limit);
	if (rc == VAI_OK) {
		pthread_mutex_lock(&pool.lock);
		rc = r->rc;
		pthread_mutex_unlock(&pool.lock);
	}
	if (rc > 0 && addrs)
		memcpy(addrs, r->addrs, (size_t)rc * sizeof *addrs);
	if (rc == VAI_OK && name)
		memcpy(name, r->host, sizeof r->host);
	leave(r);
	return rc;
}

int vai__resolve(
	vai_g *self, const char *host, const char *service, int family, int type, int64_t limit, struct vai__addr *out)
{
	int port = vai__addr_port(service);
	if (*host && port >= 0 && vai__addr_numeric(out, family, host, port))
		return 1;
	if (limit == 0)
		return VAI_ETIMEOUT;
	struct request *r = calloc(1, sizeof *r);
	if (!r)
		return VAI_ENOMEM;
	r->family = family;
	r->type = type;
	memcpy(r->host, host, strlen(host) + 1);
	memcpy(r->service, service, strlen(service) + 1);
	return request(self, r, limit, out, NULL);
}

int vai__resolve_name(vai_g *self, const struct vai__addr *a, int64_t limit, char name[VAI__HOST_MAX + 1])
{
	if (limit == 0)
		return VAI_ETIMEOUT;
	struct request *r = calloc(1, sizeof *r);
	if (!r)
		return VAI_ENOMEM;
	r->reverse = true;
	r->addrs[0] = *a;
	return request(self, r, limit, NULL, name);
}

void vai__resolve_stop(void)
{
	pthread_mutex_lock(&pool.lock);
	for (struct request *r = pool.all, *next; r; r = next) {
		next = r->next;
		r->owned = false;
		drop(r);
	}
	pthread_mutex_unlock(&pool.lock);
}
