/* SPDX-License-Identifier: MIT */
/* Ctrl-C while main waits, and vai_interrupt. The `lua` program's handler sets a hook on main's state, which raises
 * "interrupted!" at main's next instruction; in stock Lua main comes to that when its blocking call has ended. In vai
 * main may wait for ever, so its wait has to end. Our handler calls the handler that it has found. If that has set a
 * hook on main's state, sysmon ends main's wait, now or when it begins.
 *
 * `lua` has its handler in place only while it runs a chunk. So ours is put around it when the runtime starts, which a
 * chunk has asked for, and again when main begins to wait for long, perhaps in a later chunk: before M0 sleeps, and
 * when sysmon finds main waiting. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include "sched/rt.h"

static struct vai_lock lock; /* held while our handler is installed or removed; no other lock is held with it */
static struct sigaction
	inner; /* the handler that ours calls; written under lock, read by our handler once it is in place */
static const void *_Atomic set; /* the hook that a handler has set and main has not come to yet, or NULL */
static atomic_bool asked;       /* some home may have `interrupt` set */
static atomic_bool aside;       /* vai__sigint_set_aside: other code has a handler for SIGINT; changed under lock */

static void call_inner(int sig, siginfo_t *info, void *uc)
{
	struct sigaction sa = inner;
	if (sa.sa_flags & SA_SIGINFO)
		sa.sa_sigaction(sig, info, uc);
	else if (sa.sa_handler != SIG_DFL && sa.sa_handler != SIG_IGN)
		sa.sa_handler(sig);
}

static void on_interrupt(int sig, siginfo_t *info, void *uc)
{
	int saved = errno;
	const void *before = vai__sched_hooks.main_hook();
	call_inner(sig, info, uc);
	const void *after = vai__sched_hooks.main_hook();
	if (after && after != before) {
		atomic_store_seq_cst(&set, after);
		vai__sysmon_hurry();
	}
	errno = saved;
}

static bool is_ours(const struct sigaction *sa)
{
	return (sa->sa_flags & SA_SIGINFO) && sa->sa_sigaction == on_interrupt;
}

static bool is_handler(const struct sigaction *sa)
{
	return (sa->sa_flags & SA_SIGINFO) || (sa->sa_handler != SIG_DFL && sa->sa_handler != SIG_IGN);
}

void vai__sigint_wrap(void)
{
	struct sigaction now;
	if (atomic_load_relaxed(&aside) || vai__sched.no_signals || !vai__sched_hooks.main_hook ||
		sigaction(SIGINT, NULL, &now) != 0 || is_ours(&now) || !is_handler(&now))
		return;
	vai__lock(&lock);
	if (!aside && sigaction(SIGINT, NULL, &now) == 0 && !is_ours(&now) && is_handler(&now)) {
		struct sigaction ours = now;
		inner = now;
		ours.sa_sigaction = on_interrupt;
		ours.sa_flags |= SA_SIGINFO | SA_ONSTACK;
		sigaction(SIGINT, &ours, NULL);
	}
	vai__unlock(&lock);
}

void vai__sigint_remove(void)
{
	struct sigaction now;
	atomic_store_relaxed(&set, NULL);
	if (vai__sched_hooks.main_hook && sigaction(SIGINT, NULL, &now) == 0 && is_ours(&now))
		sigaction(SIGINT, &inner, NULL);
}

void vai__sigint_set_aside(bool yes)
{
	struct sigaction now;
	vai__lock(&lock);
	atomic_store_relaxed(&aside, yes);
	if (yes && sigaction(SIGINT, NULL, &now) == 0 && is_ours(&now))
		sigaction(SIGINT, &inner, NULL);
	vai__unlock(&lock);
}

/* ---- vai_interrupt ---- */

bool vai__sched_interrupt(uint64_t id)
{
	vai__lock(&vai__sched.lock);
	struct home *found = NULL; /* the list ends with the first that was opened */
	for (struct home *h = atomic_load_relaxed(&vai__sched.homes); h; h = atomic_load_relaxed(&h->next))
		if (id == 0 || atomic_load_relaxed(&h->pub.id) == id)
			found = h;
	if (found)
		atomic_store_relaxed(&found->interrupt, atomic_load_relaxed(&found->pub.id));
	vai__unlock(&vai__sched.lock);
	if (!found)
		return false;
	atomic_store_seq_cst(&asked, true);
	vai__sysmon_hurry();
	return true;
}

/* Whether the main of the home's opening `id` is to be interrupted; true only once for each vai__sched_interrupt. */
static bool take_interrupt(struct home *h, uint64_t id)
{
	return id != 0 && atomic_cas_strong_seq_cst(&h->interrupt, &id, 0);
}

bool vai__sched_interrupted(vai_g *g)
{
	struct home *h = home_of(vai__g_home(g));
	return vai__g_is_main(g) && take_interrupt(h, atomic_load_relaxed(&h->interrupt));
}

bool vai__sigint_pending(void)
{
	return atomic_load_seq_cst(&set) != NULL || atomic_load_seq_cst(&asked);
}

/* A home whose main is to be interrupted and waits, with that wait's ticket and the home's id; NULL: there is none.
 * Mains that run Lua code are interrupted, so that they ask vai__sched_interrupted. *more: set if some main is to be
 * interrupted. */
static struct home *next_waiting(vai_ticket *ticket, uint64_t *id, bool *more)
{
	struct home *found = NULL;
	vai__lock(&vai__sched.lock);
	for (struct home *h = atomic_load_relaxed(&vai__sched.homes); h; h = atomic_load_relaxed(&h->next)) {
		struct g *main = g_of(h->pub.main);
		if (atomic_load_relaxed(&h->interrupt) == 0)
			continue;
		*more = true;
		if (atomic_load_acquire(&main->state) == VAI_G_WAITING) {
			found = h;
			*ticket = (vai_ticket)(atomic_load_acquire(&main->wait) >> 32);
			*id = atomic_load_relaxed(&h->pub.id);
		} else if (m_curg(h->m) == main) {
			vai__preempt_ask(h->m, vai__clock_real());
		}
	}
	vai__unlock(&vai__sched.lock);
	return found;
}

/* Puts back the wish to interrupt the main of the home's opening `id`, if the home is still open as that. */
static void put_back(struct home *h, uint64_t id)
{
	uint64_t none = 0;
	vai__lock(&vai__sched.lock);
	if (atomic_load_relaxed(&h->pub.id) == id)
		atomic_cas_strong_seq_cst(&h->interrupt, &none, id);
	vai__unlock(&vai__sched.lock);
}

/* The wait is ended by its ticket and without the lock: by then main may have come out of it, and its home may have
 * closed. The wish is taken before the wait is ended. As soon as it has ended, main runs and may be interrupted once
 * more, and that wish is another one. */
static void check_asked(void)
{
	vai_ticket ticket;
	uint64_t id;
	bool more;
	struct home *h;
	if (!atomic_exchange_seq_cst(&asked, false))
		return;
	while (more = false, (h = next_waiting(&ticket, &id, &more)) != NULL) {
		if (take_interrupt(h, id) && !vai__fire(h->pub.main, ticket, VAI_WAKE_INTERRUPTED)) {
			put_back(h, id);
			break;
		}
	}
	if (more)
		atomic_store_seq_cst(&asked, true);
}

/* ---- Ctrl-C ---- */

/* Ends main's wait if a handler has set a hook that main has not come to. `set` is cleared before the wait ends, for
 * the reason given at check_asked, and set again if main neither waits nor has come to the hook. */
static void check_hook(bool waits)
{
	const void *hook = atomic_exchange_seq_cst(&set, NULL), *none = NULL;
	if (!hook || vai__sched_hooks.main_hook() != hook)
		return;
	if (!waits || !vai__fire_any(&vai__sched.main->pub, VAI_WAKE_INTERRUPTED))
		atomic_cas_strong_seq_cst(&set, &none, hook);
}

void vai__sigint_check(void)
{
	bool waits = atomic_load_acquire(&vai__sched.main->state) == VAI_G_WAITING;
	if (waits)
		vai__sigint_wrap();
	check_asked();
	check_hook(waits);
}
