/* SPDX-License-Identifier: MIT */
/* See signal.h.
 *
 * The handler sets a bit and writes to an eventfd; the thread that is in the poller reads both and posts to the
 * channels. The deadlock detector counts a goroutine as awaited while it waits at a channel that is told of a signal.
 * The scheduler puts a handler of its own around that of SIGINT, so it is removed before SIGINT is taken here. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "proc/signal.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "net/descriptor.h"
#include "sched/poll.h"

enum { SIGNALS = 65, REALTIME_FIRST = 34 /* the C library has those before it */ };

struct listener {
	struct listener *next;
	vai_chan *ch; /* with a reference */
	uint64_t signals;
	bool (*make)(vai_msg *msg, const char *name);
	vai_drop_fn *drop;
};

static struct {
	pthread_mutex_t lock;
	struct vai__desc *desc; /* of the eventfd; NULL: no signal is taken */
	struct vai__watch watch;
	struct listener *listeners;
	uint64_t taken; /* the signals whose action is ours; `old` has what they had before */
	struct sigaction old[SIGNALS];
} reg = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_awaited(void);
static struct vai__source source = {.awaited = is_awaited};

/* Written by the handler. */
static atomic_int eventfd_now = -1;
static _Atomic(uint64_t) pending;

static uint64_t bit(int sig)
{
	return (uint64_t)1 << (sig - 1);
}

/* ---- names ---- */

static const struct {
	const char *name;
	int number;
} names[] = {
	{"SIGHUP", SIGHUP},
	{"SIGINT", SIGINT},
	{"SIGQUIT", SIGQUIT},
	{"SIGILL", SIGILL},
	{"SIGTRAP", SIGTRAP},
	{"SIGABRT", SIGABRT},
	{"SIGBUS", SIGBUS},
	{"SIGFPE", SIGFPE},
	{"SIGKILL", SIGKILL},
	{"SIGUSR1", SIGUSR1},
	{"SIGSEGV", SIGSEGV},
	{"SIGUSR2", SIGUSR2},
	{"SIGPIPE", SIGPIPE},
	{"SIGALRM", SIGALRM},
	{"SIGTERM", SIGTERM},
	{"SIGCHLD", SIGCHLD},
	{"SIGCONT", SIGCONT},
	{"SIGSTOP", SIGSTOP},
	{"SIGTSTP", SIGTSTP},
	{"SIGTTIN", SIGTTIN},
	{"SIGTTOU", SIGTTOU},
	{"SIGURG", SIGURG},
	{"SIGXCPU", SIGXCPU},
	{"SIGXFSZ", SIGXFSZ},
	{"SIGVTALRM", SIGVTALRM},
	{"SIGPROF", SIGPROF},
	{"SIGWINCH", SIGWINCH},
	{"SIGIO", SIGIO},
	{"SIGSYS", SIGSYS},
	{"SIGPWR", SIGPWR},
	{"SIGSTKFLT", SIGSTKFLT},
#define REALTIME(n) \
	{ \
		"SIGRTMIN+" #n, REALTIME_FIRST + (n) \
	}
	{"SIGRTMIN", REALTIME_FIRST},
	REALTIME(1),
	REALTIME(2),
	REALTIME(3),
	REALTIME(4),
	REALTIME(5),
	REALTIME(6),
	REALTIME(7),
	REALTIME(8),
	REALTIME(9),
	REALTIME(10),
	REALTIME(11),
	REALTIME(12),
	REALTIME(13),
	REALTIME(14),
	REALTIME(15),
	REALTIME(16),
	REALTIME(17),
	REALTIME(18),
	REALTIME(19),
	REALTIME(20),
	REALTIME(21),
	REALTIME(22),
	REALTIME(23),
	REALTIME(24),
	REALTIME(25),
	REALTIME(26),
	REALTIME(27),
	REALTIME(28),
	REALTIME(29),
	REALTIME(30),
};
enum { NAMES = sizeof names / sizeof *names };

int vai__signal_number(const char *name)
{
	for (int i = 0; i < NAMES; i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].number;
	return 0;
}

const char *vai__signal_name(int sig)
{
	for (int i = 0; i < NAMES; i++)
		if (names[i].number == sig)
			return names[i].name;
	return "an unknown signal";
}

bool vai__signal_is_free(int sig)
{
	static const int needed[] = {SIGKILL, SIGSTOP, SIGURG, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		if (needed[i] == sig)
			return false;
	return sig > 0 && sig < SIGNALS;
}

/* ---- the handler, and the reader of what it leaves ---- */

static void on_signal(int sig)
{
	int saved = errno, fd = atomic_load_seq_cst(&eventfd_now);
	uint64_t one = 1;
	atomic_fetch_or(&pending, bit(sig));
	if (fd >= 0)
		(void)!write(fd, &one, sizeof one);
	errno = saved;
}

/* Posts the signals to the listener's channel. True: the channel is closed. Lock held. */
static bool post(struct listener *l, uint64_t came)
{
	for (int i = 0; i < NAMES; i++) {
		vai_msg msg;
		if (!(came & l->signals & bit(names[i].number)) || !l->make(&msg, names[i].name))
			continue;
		int rc = vai__chan_post(l->ch, &msg);
		if (rc != VAI_OK)
			l->drop(&msg);
		if (rc == VAI_ECLOSED)
			return true;
	}
	return false;
}

/* Whether a goroutine waits at any of the channels. */
static bool is_awaited(void)
{
	bool awaited = false;
	pthread_mutex_lock(&reg.lock);
	for (struct listener *l = reg.listeners; l && !awaited; l = l->next)
		awaited = vai__chan_is_awaited(l->ch);
	pthread_mutex_unlock(&reg.lock);
	return awaited;
}

/* Takes the listeners that have no signal left, or whose channel is closed, out of the list, and returns them as a
 * list. Lock held. */
static struct listener *take_out(uint64_t came)
{
	struct listener *out = NULL, **at = &reg.listeners, *l;
	while ((l = *at) != NULL) {
		if (l->signals != 0 && !(came && post(l, came))) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		l->next = out;
		out = l;
		vai__poll_source(&source, -1);
	}
	return out;
}

/* Gives up the listeners. Called without the lock. */
static void end(struct listener *list)
{
	while (list) {
		struct listener *l = list;
		list = l->next;
		vai__obj_unref((struct vai_obj *)l->ch);
		free(l);
	}
}

static void on_event(struct vai__watch *w)
{
	uint64_t n;
	pthread_mutex_lock(&reg.lock);
	struct vai__desc *d = reg.desc;
	struct listener *over = NULL;
	if (d && vai__desc_hold(d)) {
		do {
			while (read(vai__desc_fd(d), &n, sizeof n) < 0 && errno == EINTR)
				;
			struct listener *more = take_out(atomic_exchange(&pending, 0)), **last = &more;
			while (*last)
				last = &(*last)->next;
			*last = over;
			over = more;
		} while (!vai__desc_watch(d, VAI__READ, w) && !vai__desc_is_closed(d));
		vai__desc_unhold(d);
	}
	pthread_mutex_unlock(&reg.lock);
	end(over);
}

/* ---- actions; lock held ---- */

static int open_eventfd(void)
{
	int rc, fd = reg.desc ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (reg.desc)
		return VAI_OK;
	if (fd < 0)
		return VAI__ERRNO(errno);
	struct vai__desc *d = vai__desc_new(fd, &rc);
	if (!d) {
		close(fd);
		return rc;
	}
	reg.desc = d;
	reg.watch = (struct vai__watch){.fn = on_event};
	atomic_store(&eventfd_now, fd);
	while (!vai__desc_watch(d, VAI__READ, &reg.watch)) /* a new descriptor may seem ready at first */
		;
	return VAI_OK;
}

static int set_action(int sig, void (*handler)(int))
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_ONSTACK | SA_RESTART}, old;
	sigemptyset(&sa.sa_mask);
	if (sig == SIGINT && !(reg.taken & bit(sig)))
		vai__sigint_set_aside(true);
	if (sigaction(sig, &sa, &old) < 0)
		return VAI__ERRNO(errno);
	if (!(reg.taken & bit(sig)))
		reg.old[sig] = old;
	reg.taken |= bit(sig);
	return VAI_OK;
}

static bool is_ours(int sig)
{
	struct sigaction now;
	return sigaction(sig, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
		(now.sa_handler == on_signal || now.sa_handler == SIG_IGN);
}

/* Sets the old action again, unless other code has set another one since. */
static void restore(int sig)
{
	if (!(reg.taken & bit(sig)))
		return;
	if (is_ours(sig))
		sigaction(sig, &reg.old[sig], NULL);
	reg.taken &= ~bit(sig);
	if (sig == SIGINT)
		vai__sigint_set_aside(false);
}

static struct listener *find(vai_chan *ch)
{
	struct listener *l = reg.listeners;
	while (l && l->ch != ch)
		l = l->next;
	return l;
}

static struct listener *listener_of(vai_chan *ch, bool (*make)(vai_msg *msg, const char *name), vai_drop_fn *drop)
{
	struct listener *l = find(ch);
	if (l)
		return l;
	l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	*l = (struct listener){.next = reg.listeners, .ch = ch, .make = make, .drop = drop};
	reg.listeners = l;
	vai__obj_ref((struct vai_obj *)ch);
	vai__poll_source(&source, 1);
	return l;
}

/* ---- what the rooms above call ---- */

int vai__signal_notify(vai_chan *ch, int sig, bool (*make)(vai_msg *msg, const char *name), vai_drop_fn *drop)
{
	pthread_mutex_lock(&reg.lock);
	int rc = open_eventfd();
	struct listener *l = rc == VAI_OK ? listener_of(ch, make, drop) : NULL;
	if (rc == VAI_OK && !l)
		rc = VAI_ENOMEM;
	if (rc == VAI_OK)
		rc = set_action(sig, on_signal);
	if (rc == VAI_OK)
		l->signals |= bit(sig);
	struct listener *over = take_out(0);
	pthread_mutex_unlock(&reg.lock);
	end(over);
	return rc;
}

int vai__signal_ignore(int sig)
{
	pthread_mutex_lock(&reg.lock);
	int rc = set_action(sig, SIG_IGN);
	pthread_mutex_unlock(&reg.lock);
	return rc;
}

void vai__signal_reset(int sig)
{
	struct vai__desc *unused = NULL;
	pthread_mutex_lock(&reg.lock);
	for (int i = 1; i < SIGNALS; i++)
		if (sig == 0 || sig == i)
			restore(i);
	for (struct listener *l = reg.listeners; l; l = l->next)
		l->signals &= sig ? ~bit(sig) : 0;
	struct listener *over = take_out(0);
	if (!reg.listeners) {
		unused = reg.desc;
		reg.desc = NULL;
		atomic_store(&eventfd_now, -1);
	}
	pthread_mutex_unlock(&reg.lock);
	end(over);
	if (unused)
		vai__desc_release(unused);
}
