/* SPDX-License-Identifier: MIT */
/* Preemption: a signal to the thread of an M whose goroutine has run for too long, as in Go since 1.14 and with the
 * same signal, SIGURG, which no program gets without asking for it. The handler runs on that very thread, so the M and
 * the goroutine that it sees stand still. It asks the layer above (vai__sched_hooks.interrupt, for
 * Lua bind/life/interrupt.c) to make the goroutine yield soon.
 *
 * sched.all_ms holds the Ms whose threads live. A thread takes its M out under sched.lock before it ends, and signals
 * are sent under that lock: so none goes to a dead thread, unless a host's thread ended without closing its state. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <time.h>
#include "base/fatal.h"
#include "mach/thread.h"
#include "sched/rt.h"

enum {
	LOOK = 100000,         /* ns between two looks at what another thread has done */
	CHASE = 10000000,      /* ns for which a thread that got another one's signal waits */
	SURE = 3000000,        /* ns of computing without a sleep after which a thread is surely in no system call */
	UNANSWERED = 20000000, /* ns after which a thread that has not answered is asked again */
	UNKNOWN = 100000000,   /* ns after which, without timers, a thread is asked though nothing is sure */
	LATELY = 100000000,    /* ns of processor time over which surely_computes looks back */
	KERNEL_PART = 10       /* surely_computes: at most 1/10 of the time was the kernel's */
};

static struct sigaction old_action;
static _Atomic(enum vai_preempt_mode) mode = VAI_PREEMPT_OFF;
static bool fell_back; /* sched.lock: the mode was to be signal, but the system came to refuse all signals */
atomic_bool vai__preempt_counts;
static int64_t clock_tick; /* ns between two ticks of the system's clock, but at most half a slice */

static void pass_on(int sig, siginfo_t *info, void *uc)
{
	if (old_action.sa_flags & SA_SIGINFO)
		old_action.sa_sigaction(sig, info, uc);
	else if (old_action.sa_handler != SIG_DFL && old_action.sa_handler != SIG_IGN)
		old_action.sa_handler(sig);
}

int64_t vai__preempt_thread_cpu(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void vai__preempt_bound_cpu(struct vai__home *home, int64_t ns)
{
	atomic_store_relaxed(&home->cpu_used, 0);
	atomic_store_relaxed(&home->cpu_exceeded, false);
	atomic_store_relaxed(&home->cpu_most, ns);
}

/* Whether the goroutines of g's home have used more than they may together. more: ns that g has used and cpu_used does
 * not count yet. */
static bool exceeds_all(const struct g *g, int64_t more)
{
	struct vai__home *home = vai__g_home(&g->pub);
	int64_t most = atomic_load_relaxed(&home->cpu_most);
	if (VAI_LIKELY(most == 0) || atomic_load_relaxed(&home->cpu_used) + more <= most)
		return false;
	atomic_store_relaxed(&home->cpu_exceeded, true);
	return true;
}

bool vai__preempt_cpu_exceeded(const struct vai__home *home)
{
	return atomic_load_relaxed(&home->cpu_exceeded);
}

/* The limit is checked here as well as when g is interrupted, because a goroutine that never runs for long is seldom
 * interrupted. */
void vai__preempt_cpu_begin(struct g *g)
{
	int no = VAI_END_NO;
	int64_t limit = atomic_load_relaxed(&g->pub.cpu_limit);
	g_m(g)->cpu_from = vai__preempt_thread_cpu();
	if (limit && (g->cpu_used > limit || exceeds_all(g, 0)))
		atomic_cas_strong_relaxed(&g->pub.end, &no, VAI_END_CPU);
}

void vai__preempt_cpu_end(struct g *g)
{
	struct m *m = g_m(g);
	int64_t now = vai__preempt_thread_cpu(), used = now - m->cpu_from;
	g->cpu_used += used;
	struct vai__home *home = vai__g_home(&g->pub);
	if (VAI_UNLIKELY(atomic_load_relaxed(&home->cpu_most) != 0))
		atomic_fetch_add_relaxed(&home->cpu_used, used);
	m->cpu_from = now;
}

int64_t vai__g_cpu(vai_g *self)
{
	struct g *g = g_of(self);
	return g->cpu_used + vai__preempt_thread_cpu() - g_m(g)->cpu_from;
}

/* A signal that comes in between sees the old limit or the new one. */
void vai__g_limit_cpu(vai_g *self, int64_t ns)
{
	if (!has_cpu_limit(g_of(self)))
		vai__preempt_cpu_begin(g_of(self));
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_relaxed(&self->cpu_limit, vai__g_cpu(self) + ns);
}

/* Asks g, which runs on this thread, to end if it is over its limit or its home's. */
static void check_cpu(struct g *g)
{
	int no = VAI_END_NO;
	int64_t limit = atomic_load_relaxed(&g->pub.cpu_limit);
	if (!limit)
		return;
	int64_t used = vai__g_cpu(&g->pub);
	if (used > limit || exceeds_all(g, used - g->cpu_used))
		atomic_cas_strong_relaxed(&g->pub.end, &no, VAI_END_CPU);
}

void vai__preempt_interrupt(struct g *g)
{
	check_cpu(g);
	g->asked_outside = false;
	if (vai__sched_hooks.interrupt)
		vai__sched_hooks.interrupt(&g->pub);
}

void vai__preempt_call_in(struct m *m, struct g *g)
{
	vai__preempt_interrupt(g);
	g->asked_outside = !m_p(m);
}

/* wanted: the goroutine whose thread is to stop in its handler (vai__g_freeze). got: that whose thread has. */
static struct {
	_Atomic(struct g *) wanted, got;
} frozen;

static _Noreturn void freeze(struct g *g)
{
	atomic_store_release(&frozen.got, g);
	for (;;)
		pause();
}

/* Whether the slice for which the timer was started is over. */
static bool comes_late(struct m *m)
{
	struct p *p = m_p(m);
	return p && atomic_load_relaxed(&p->tick) != atomic_load_relaxed(&m->asked_tick);
}

/* If the system only lets vai signal the whole process, any thread may get the signal that is meant for an M, `chased`.
 * A thread that gets it wrongly sends it again and waits in the handler, where the signal is blocked: so each time
 * another thread gets it. NULL: no such signal is on its way. */
static _Atomic(struct m *) chased;

/* Whether the signal was meant for `chased`, and was sent again. */
static bool pass_along(const siginfo_t *info)
{
	if (info->si_code != SI_USER || info->si_pid != getpid() || !atomic_load_acquire(&chased))
		return false;
	int64_t until = vai__clock_real() + CHASE;
	kill(getpid(), SIGURG);
	while (atomic_load_acquire(&chased) && vai__clock_real() < until)
		nanosleep(&(struct timespec){.tv_nsec = LOOK}, NULL);
	return true;
}

static void on_signal(int sig, siginfo_t *info, void *uc)
{
	int saved = errno;
	struct m *m = vai__m_self(), *found = m;
	bool timer = info->si_code == SI_TIMER && m && info->si_value.sival_ptr == &m->timer;
	bool over;
	if (m)
		atomic_compare_exchange_strong(&chased, &found, NULL);
	if (vai__frame_alarm(m, info, &over)) {
		if (over && m_curg(m))
			vai__preempt_interrupt(m_curg(m));
	} else if (timer && comes_late(m)) {
		atomic_store_relaxed(&m->preempt, false);
	} else if (m && atomic_exchange_acquire(&m->preempt, false)) {
		struct g *g = m_curg(m);
		if (g && g == atomic_load_acquire(&frozen.wanted))
			freeze(g);
		atomic_fetch_add_relaxed(&vai__sched.npreempted, 1);
		if (g)
			vai__preempt_call_in(m, g);
	} else if (!timer && !pass_along(info)) {
		pass_on(sig, info, uc);
	}
	errno = saved;
}

static enum vai_preempt_mode wished_mode(void)
{
	const char *wish = getenv("VAI_PREEMPT");
	if (wish && strcmp(wish, "off") == 0)
		return VAI_PREEMPT_OFF;
	if (wish && strcmp(wish, "count") == 0)
		return VAI_PREEMPT_COUNT;
	if (wish && *wish && strcmp(wish, "signal") != 0)
		vai__log("VAI_PREEMPT: '%s' is none of signal, count and off", wish);
#ifdef VAI_TSAN
	return VAI_PREEMPT_COUNT; /* TSan delivers a signal only when the thread calls something */
#else
	return VAI_PREEMPT_SIGNAL;
#endif
}

static void set_mode(enum vai_preempt_mode m)
{
	atomic_store_relaxed(&mode, m);
	atomic_store_relaxed(&vai__preempt_counts, m == VAI_PREEMPT_COUNT);
}

void vai__preempt_count_too(bool on)
{
	atomic_store_relaxed(&vai__preempt_counts, on || mode == VAI_PREEMPT_COUNT);
}

/* Says once what the system refuses without which no signal is sent: a filter of system calls may forbid that. */
static void tell_refused(const char *call, const char *what)
{
	static atomic_bool told;
	if (!atomic_exchange(&told, true))
		vai__log("the system refuses %s (%m): %s", call, what);
}

/* The system refuses signals from the start, so that all goroutines look themselves whether they are to be
 * interrupted. */
static void count_from_start(const char *refused)
{
	tell_refused(refused, "goroutines look themselves whether they are to be interrupted (VAI_PREEMPT=count)");
	set_mode(VAI_PREEMPT_COUNT);
}

/* The period of the system's clock in ns, for clock_tick. */
static int64_t measure_tick(void)
{
	struct timespec ts = {0, 0};
	clock_getres(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec == 0 && ts.tv_nsec < SLICE_MAX / 2 ? ts.tv_nsec : SLICE_MAX / 2;
}

static void install(void)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	set_mode(vai__sched.no_signals ? VAI_PREEMPT_COUNT : wished_mode());
	clock_tick = measure_tick();
	sigemptyset(&sa.sa_mask);
	if (mode == VAI_PREEMPT_SIGNAL && syscall(SYS_tgkill, getpid(), vai__thread_id(), 0) != 0)
		count_from_start("tgkill");
	if (mode == VAI_PREEMPT_SIGNAL && sigaction(SIGURG, &sa, &old_action) != 0)
		count_from_start("rt_sigaction");
}

void vai__preempt_install(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, install);
}

static bool start_timer(struct m *m);

/* The system has come to refuse tgkill while goroutines run that look at nothing themselves. A timer of m's thread may
 * interrupt it all the same. Where no timer is to be had, goroutines that begin now look themselves, and the others
 * are reached by a signal to the process, which disturbs other threads, too. */
static void send_refused(struct m *m)
{
	tell_refused("tgkill", "goroutines that compute are interrupted later");
	if (start_timer(m))
		return;
	if (!fell_back)
		set_mode(VAI_PREEMPT_COUNT);
	fell_back = true;
	atomic_store_release(&chased, m);
	kill(getpid(), SIGURG);
}

/* A host's thread may be gone, and pthread_kill must not be used on such a thread; tgkill fails for it (ESRCH). */
void vai__preempt_send(struct m *m)
{
	if (mode == VAI_PREEMPT_OFF)
		return;
	atomic_store_release(&m->preempt, true);
	if (mode == VAI_PREEMPT_COUNT && !fell_back)
		return;
	if (syscall(SYS_tgkill, getpid(), m->tid, SIGURG) != 0 && errno != ESRCH && errno != EAGAIN)
		send_refused(m);
}

/* Whether a thread that was found asleep still sleeps or is only about to wake: it has used no processor time since.
 * This look is some thirty times cheaper than asking the system whether it sleeps. */
static bool still_sleeps(struct m *m, struct g *g, int64_t cpu)
{
	return m->look.asleep && cpu >= 0 && cpu == m->look.seen && g == m->look.g;
}

/* Notes that m's thread begins to compute for g now, without a sleep so far. */
static void look_anew(struct m *m, struct g *g, uint32_t tick, int64_t cpu)
{
	if (g != m->look.g || tick != m->look.tick)
		m->unsure_at = 0;
	m->look.g = g;
	m->look.tick = tick;
	m->look.cpu = cpu;
	m->look.user = vai__thread_user(m->tid);
}

int64_t vai__preempt_computes(struct m *m)
{
	struct vai__thread_look now;
	struct p *p = m_p(m);
	struct g *g = m_curg(m);
	uint32_t tick = p ? atomic_load_relaxed(&p->tick) : m->look.tick;
	int64_t cpu =
		vai__thread_cpu(m->tid); /* read before the thread is looked at, because still_sleeps compares with it */
	if (still_sleeps(m, g, cpu))
		return -1;
	vai__thread_look(m->tid, &now);
	m->look.seen = cpu;
	if (cpu < 0)
		cpu = vai__clock_real();
	if (g != m->look.g || tick != m->look.tick || now.asleep || now.sleeps != m->look.sleeps)
		look_anew(m, g, tick, cpu);
	m->look.sleeps = now.sleeps;
	m->look.asleep = now.asleep;
	return now.asleep ? -1 : cpu - m->look.cpu;
}

/* Makes and starts m's timer, under sched.lock. False: the system has no such timers, or refuses more. */
static bool start_timer(struct m *m)
{
	struct p *p = m_p(m);
	if (m->has_timer == TIMER_NONE)
		m->has_timer = vai__thread_timer_new(m->tid, SIGURG, &m->timer, &m->timer) ? TIMER_MADE : TIMER_REFUSED;
	if (m->has_timer != TIMER_MADE)
		return false;
	if (p)
		atomic_store_relaxed(&m->asked_tick, atomic_load_relaxed(&p->tick));
	atomic_store_release(&m->preempt, true);
	if (vai__thread_timer_start(m->timer))
		return true;
	timer_delete(m->timer);
	m->has_timer = TIMER_REFUSED;
	return false;
}

/* A signal is on its way to m. */
static void note_asked(struct m *m, int64_t now)
{
	atomic_store_relaxed(&m->asked, true);
	m->asked_at = now;
	m->unsure_at = 0;
}

/* Sends the signal where no timer can be had: if the thread has surely computed outside of the kernel, or if nothing
 * has been sure about it for long. Only once: the handler has armed a hook then, and what keeps the goroutine from
 * coming to it may be a system call. */
static bool ask_by_guess(struct m *m, int64_t now)
{
	int64_t used = vai__preempt_computes(m), user = vai__thread_user(m->tid);
	if (used < 0 || atomic_load_relaxed(&m->asked))
		return false;
	bool sure = used >= SURE && (user < 0 || user - m->look.user >= used / 2);
	if (!sure && m->unsure_at == 0)
		m->unsure_at = now;
	if (!sure && now - m->unsure_at < UNKNOWN)
		return m->unsure_at == now;
	vai__preempt_send(m);
	note_asked(m, now);
	return false;
}

/* A signal ends a system call early: write(2) and its like have then moved only a part, and poll(2) fails with
 * EINTR. No look from outside tells where a thread will be when the signal arrives. A timer on the thread's own time
 * in user mode does: it expires at a tick of the system's clock that finds the thread there. A thread that sleeps
 * needs no timer: without a P its goroutine hinders nobody. */
bool vai__preempt_ask(struct m *m, int64_t now)
{
	if (mode != VAI_PREEMPT_SIGNAL && !fell_back) {
		vai__preempt_send(m);
		return false;
	}
	if (atomic_load_relaxed(&m->asked) && now - m->asked_at < UNANSWERED)
		return false;
	if (!m_p(m) && vai__preempt_computes(m) < 0)
		return false;
	if (!start_timer(m))
		return ask_by_guess(m, now);
	note_asked(m, now);
	return false;
}

/* Whether m's thread has computed outside of the kernel for nearly all the time that it had lately, and does not sleep
 * now. What the system says of the time outside of the kernel is true to a tick. */
static bool surely_computes(struct m *m)
{
	int64_t used = vai__thread_cpu(m->tid) - m->look.urged_cpu;
	int64_t user = vai__thread_user(m->tid) - m->look.urged_user;
	struct vai__thread_look now;
	if (used > LATELY) {
		m->look.urged_cpu += used / 2;
		m->look.urged_user += user / 2;
	}
	if (used < SURE || user + clock_tick < used - used / KERNEL_PART)
		return false;
	vai__thread_look(m->tid, &now);
	return !now.asleep;
}

/* Whether some main may want what goroutines have: it is in a frame, or wants to be alone. */
static bool main_presses(void)
{
	return vai__frame_wants() || atomic_load_relaxed(&vai__sched.nwatched) > 0;
}

/* The timer's tick may be 10 ms away, for which the goroutine competes for a CPU with main. So a thread that is hardly
 * ever in the kernel gets the signal at once. */
void vai__preempt_urge(struct m *m, int64_t now)
{
	if (mode != VAI_PREEMPT_SIGNAL || !main_presses() || !surely_computes(m)) {
		vai__preempt_ask(m, now);
		return;
	}
	vai__preempt_send(m);
	note_asked(m, now);
}

/* A timer takes up to a tick to find the thread computing. */
int64_t vai__preempt_lead(struct m *m)
{
	bool timer = mode == VAI_PREEMPT_SIGNAL && m->has_timer != TIMER_REFUSED;
	return timer ? clock_tick : 0;
}

bool vai__g_freeze(vai_g *pub, int64_t timeout)
{
	struct g *g = g_of(pub);
	int64_t until = vai__clock_real() + timeout;
	vai__lock(&vai__sched.lock);
	struct m *m = g_m(g);
	bool there = m && m_curg(m) == g && !m_p(m) && mode == VAI_PREEMPT_SIGNAL;
	atomic_store_release(&frozen.wanted, there ? g : NULL);
	if (there)
		vai__preempt_send(m);
	vai__unlock(&vai__sched.lock);
	bool got = false;
	while (there && !got && vai__clock_real() < until) {
		atomic_uint nothing = 0;
		vai__futex_wait(&nothing, 0, vai__clock_real() + LOOK);
		got = atomic_load_acquire(&frozen.got) == g;
	}
	return got;
}

enum vai_preempt_mode vai__preempt_mode(void)
{
	return mode;
}

void vai__g_answered(vai_g *self)
{
	atomic_store_relaxed(&g_m(g_of(self))->asked, false);
}

bool vai__g_asked(vai_g *self)
{
	struct m *m = g_m(g_of(self));
	if (!atomic_load_relaxed(&m->preempt) || !atomic_exchange_acquire(&m->preempt, false))
		return false;
	atomic_fetch_add_relaxed(&vai__sched.npreempted, 1);
	check_cpu(g_of(self));
	return true;
}

/* pthread_sigmask for SIGURG alone. */
static void mask(int how, sigset_t *old)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGURG);
	pthread_sigmask(how, &set, old);
}

/* Lets the signal through. A host may block all signals, and the runtime's threads inherit that; Go lets this one
 * through as well. */
static void let_through(struct m *m)
{
	sigset_t old;
	if (mode != VAI_PREEMPT_SIGNAL)
		return;
	mask(SIG_UNBLOCK, &old);
	m->blocked = sigismember(&old, SIGURG) == 1;
}

void vai__preempt_add(struct m *m)
{
	m->tid = vai__thread_id();
	let_through(m);
	vai__lock(&vai__sched.lock);
	m->next_m = vai__sched.all_ms;
	vai__sched.all_ms = m;
	vai__unlock(&vai__sched.lock);
}

void vai__preempt_remove(struct m *m)
{
	vai__lock(&vai__sched.lock);
	struct m **at = &vai__sched.all_ms;
	while (*at != m)
		at = &(*at)->next_m;
	*at = m->next_m;
	if (m->has_timer == TIMER_MADE)
		timer_delete(m->timer);
	m->has_timer = TIMER_NONE;
	vai__unlock(&vai__sched.lock);
	if (m->blocked && m == vai__m_self())
		mask(SIG_BLOCK, NULL);
}

void vai__preempt_all(void)
{
	struct m *self = vai__m_self();
	int64_t now = vai__clock_real();
	vai__lock(&vai__sched.lock);
	for (struct m *m = vai__sched.all_ms; m; m = m->next_m) {
		if (m != self && m_curg(m) && !m->idle)
			vai__preempt_ask(m, now);
	}
	vai__unlock(&vai__sched.lock);
}
