/* SPDX-License-Identifier: MIT */
/* Machines: OS threads. M0 is the host's thread; its scheduler loop runs on a stack of its own, because the thread's
 * stack is main's. The other Ms run the loop on their thread's stack.
 *
 * The pointer to the thread's M is thread-local. It would go stale across a switch if the compiler kept its address,
 * so vai__m_self is never inlined. It uses the initial-exec model, because the fault handler reads it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/fatal.h"
#include "mach/stack_overflow.h"
#include "mach/stack.h"
#include "mach/thread.h"
#include "sched/poll.h"
#include "sched/rt.h"

enum { M_STACK = 262144 /* bytes */, RETRY_MIN = 200000, RETRY_MAX = 20000000 /* ns */ };
#ifdef VAI_HARD
enum { KEEP_CACHE = 200000, KEEP_MORE = 200000 /* ns asleep */ };
#else
enum { KEEP_CACHE = 1000000000, KEEP_MORE = 2000000000 /* ns asleep */ };
#endif

static _Thread_local __attribute__((tls_model("initial-exec"))) struct m *tls_m;

VAI_NOINLINE struct m *vai__m_self(void)
{
	__asm__ volatile("" ::: "memory");
	return tls_m;
}

VAI_NOINLINE vai_g *vai__g_self(void)
{
	__asm__ volatile("" ::: "memory");
	return tls_m && m_curg(tls_m) ? &m_curg(tls_m)->pub : NULL;
}

static VAI_NOINLINE void set_self(struct m *m)
{
	tls_m = m;
	__asm__ volatile("" ::: "memory");
}

void vai__m_forget_self(void)
{
	set_self(NULL);
}

/* Runs in the fault handler, on its own stack, and ends the process. It takes no lock and allocates nothing. */
static void report_overflow(void)
{
	char buf[256];
	struct m *m = tls_m;
	int n = 0;
	vai__dying();
	if (m && m_curg(m))
		n = snprintf(buf, sizeof(buf),
			"vai: goroutine stack overflow: goroutine %llu, created at %s, used all %zu bytes of its C stack "
			"(VAI_STACK=bytes in the environment sets the size)\n",
			(unsigned long long)m_curg(m)->pub.id, m_curg(m)->pub.site ? m_curg(m)->pub.site : "?", vai__stack_size());
	if (n > 0 && write(2, buf, (size_t)n) < 0)
		_exit(2);
	_exit(2);
}

/* Records of Ms whose threads have ended; they are used again and never freed, because a waker may still touch the
 * record of a thread that it has just woken. Under sched.lock. */
static struct m *unused;

static struct m *m_alloc(void)
{
	vai__lock(&vai__sched.lock);
	struct m *m = unused;
	if (m)
		unused = m->link;
	vai__unlock(&vai__sched.lock);
	if (!m && !(m = malloc(sizeof(*m))))
		return NULL;
	atomic_uint *wake = &m->wake; /* the only field that a late waker reads */
	memset(m, 0, offsetof(struct m, wake));
	memset(wake + 1, 0, sizeof(*m) - offsetof(struct m, wake) - sizeof(*wake));
	atomic_store_relaxed(wake, 0);
	m->rand = (uint32_t)(uintptr_t)m * 2654435761u | 1;
	atomic_store_relaxed(&m->busy, true);
	return m;
}

static void m_free(struct m *m)
{
	vai__lock(&vai__sched.lock);
	m->link = unused;
	unused = m;
	vai__unlock(&vai__sched.lock);
}

static void loop_entry(void *arg)
{
	vai__ctx_entered();
	vai__loop_schedule(arg);
	vai__fatal("the main thread's scheduler loop has ended");
}

struct m *vai__m_new_main(const char **call)
{
	struct m *m = m_alloc();
	char *top = m ? vai__stack_alloc() : NULL;
	*call = top ? "sigaltstack" : "memory";
	if (!top)
		errno = ENOMEM;
	if (!vai__sched.no_signals)
		vai__stack_overflow_install(report_overflow);
	if (!top || vai__stack_overflow_thread_init() != 0) {
		int why = errno;
		if (top)
			vai__stack_free(top);
		if (m)
			m_free(m);
		errno = why;
		return NULL;
	}
	m->loop_stack = top;
	vai__preempt_install();
	vai__preempt_add(
		m); /* contexts of mach/ctx_ucontext.c keep a signal mask, so the signal must be set up before any is made */
	vai__ctx_make(&m->ctx, vai__stack_low(top), top - 16, loop_entry, m);
	set_self(m);
	return m;
}

/* If m's thread is not the calling one it may be gone, and if it is not, it still points to m: so m is lost. */
void vai__m_retire_main(struct m *m)
{
	vai__preempt_remove(m);
	if (vai__m_self() == m)
		set_self(NULL);
	else
		m->lost = true;
	m_set_curg(m, NULL);
}

void vai__m_free_main(struct m *m)
{
	vai__ctx_free(&m->ctx);
	vai__stack_free(m->loop_stack);
	vai__stack_overflow_thread_exit(); /* does nothing on another thread */
	if (!m->lost)                      /* otherwise its thread, if it still lives, points to this record */
		m_free(m);
}

/* The end of m's thread: after vai__threads_gone the runtime may have ended. */
static void leave(struct m *m)
{
	vai__m_hand_off(m);
	vai__lock(&vai__sched.lock);
	vai__sched.nms--;
	vai__unlock(&vai__sched.lock);
	vai__deadlock_check();
	vai__idle_stop_one();
	set_self(NULL);
	m_free(m);
	vai__stack_overflow_thread_exit();
	vai__mem_thread_exit();
	vai__threads_end();
	vai__threads_gone();
}

static void *thread_main(void *arg)
{
	struct m *m = arg;
	set_self(m);
	vai__threads_begin("m");
	vai__stack_overflow_thread_init(); /* if this fails, a stack overflow ends in a plain fault without a report */
	vai__ctx_native(&m->ctx);
	vai__m_own(m, m->nextp); /* m is not in all_ms yet, so no other thread looks at it */
	m->nextp = NULL;
	vai__preempt_add(m);
	vai__loop_schedule(m);
	vai__preempt_remove(m);
	leave(m);
	return NULL;
}

/* Starts m's thread. m may be gone when this returns. The thread inherits the caller's signal mask, as do processes
 * that a goroutine on it starts; a signal for the whole process goes to the first thread, if that takes it. */
static int start_thread(struct m *m)
{
	return vai__threads_create(thread_main, m, M_STACK);
}

/* After the system has refused a thread the next attempt is put off, for each one takes its time and many Ms may
 * want a thread. */
static _Atomic(int64_t) refused_until, refused_for;

/* Whether the system may be asked for a thread now. */
static bool may_try(void)
{
	return atomic_load_relaxed(&refused_until) == 0 || vai__clock_real() >= atomic_load_relaxed(&refused_until);
}

/* Notes what the system has answered. Each refusal in a row doubles the pause until the next attempt. */
static void note_refusal(bool refused)
{
	int64_t pause = 2 * atomic_load_relaxed(&refused_for);
	if (!refused && atomic_load_relaxed(&refused_until) == 0)
		return;
	pause = pause < RETRY_MIN ? RETRY_MIN : pause > RETRY_MAX ? RETRY_MAX : pause;
	atomic_store_relaxed(&refused_for, refused ? pause : 0);
	atomic_store_relaxed(&refused_until, refused ? vai__clock_real() + pause : 0);
}

/* The number of threads is bounded, as in Go. Once it is reached, Ps wait until Ms come back from their C calls. */
static bool has_room(void)
{
	static atomic_bool told;
	vai__lock(&vai__sched.lock);
	bool room = vai__sched.nms < MAX_MS;
	vai__unlock(&vai__sched.lock);
	if (!room && !atomic_exchange(&told, true))
		vai__log("%d threads are in use, the limit; goroutines wait until C calls return", (int)MAX_MS);
	return room;
}

bool vai__m_new(struct p *p, bool spinning)
{
	struct m *m = may_try() && has_room() ? m_alloc() : NULL;
	if (!m)
		return false;
	m->nextp = p;
	m->spinning = spinning;
	vai__lock(&vai__sched.lock);
	vai__sched.nms++;
	vai__sched.nawake++;
	vai__unlock(&vai__sched.lock);
	atomic_fetch_add_seq_cst(&vai__sched.live_ms, 1);
	bool made = start_thread(m) == 0;
	note_refusal(!made);
	if (made)
		return true;
	atomic_fetch_sub_seq_cst(&vai__sched.live_ms, 1);
	vai__lock(&vai__sched.lock);
	vai__sched.nms--;
	vai__unlock(&vai__sched.lock);
	m_free(m);
	return false;
}

static bool woken(struct m *m)
{
	return atomic_load_seq_cst(&m->wake) != 0;
}

/* Until when the M may sleep in the poller. It has to watch timers only while a P is idle to run them on. Otherwise
 * the owners of the Ps watch them, and an M that gives up its P wakes this one to look again (see below). */
static int64_t sleep_until(void)
{
	bool idle = atomic_load_seq_cst(&vai__sched.nidle_ps) > 0;
	return idle ? vai__timers_next_of_all() : VAI_FOREVER;
}

/* When m wakes by itself: a host's M at the end of its frame, another one that naps (vai__frame_nap) after that. */
static int64_t wakes_at(struct m *m)
{
	int64_t nap = atomic_load_relaxed(&m->nap_until);
	if (VAI_UNLIKELY(m->home != NULL) && vai__frame_end(m->home) != 0)
		nap = vai__frame_end(m->home);
	return nap ? nap : VAI_FOREVER;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void sleep_in_poller(struct m *m)
{
	int64_t until = sleep_until();
	atomic_store_seq_cst(&vai__sched.poll_until, until);
	int64_t again = sleep_until(); /* pairs with vai__timer_start */
	/* Never longer than was published: no timer started in between would wake this M. */
	m->polling = true;
	if (!woken(m) || VAI_BUG(poll_blind))
		vai__poll_wait(earlier(wakes_at(m), earlier(again, until)));
	m->polling = false;
	atomic_store_relaxed(&vai__sched.polled_at, clock_note());
	atomic_store_seq_cst(&vai__sched.poll_until, 0);
}

/* An M asleep for longer than KEEP_CACHE gives its cached blocks back: each could pin a whole span (base/mem). After up
 * to KEEP_MORE it ends, if there are enough other idle ones; the time is random, so that not all Ms of a burst end at
 * the same moment.
 *
 * A thread that has child processes stays. To the kernel a process is the child of the thread that started it, and if
 * it has asked for a signal at its parent's end (prctl(2), PR_SET_PDEATHSIG) it gets that when the thread ends. */
static void sleep_on_futex(struct m *m)
{
	int64_t at = wakes_at(m);
	if (VAI_UNLIKELY(at != VAI_FOREVER)) {
		vai__futex_wait(&m->wake, 0, at);
		return;
	}
	if (!woken(m))
		vai__futex_wait(&m->wake, 0, vai__clock_real() + KEEP_CACHE);
	if (!woken(m))
		vai__mem_thread_exit();
	do {
		if (!woken(m))
			vai__futex_wait(&m->wake, 0, vai__clock_real() + vai__random_next(&m->rand) % KEEP_MORE);
	} while (!woken(m) && vai__thread_has_children());
	if (!woken(m) && vai__idle_retire(m))
		return;
	while (!woken(m))
		vai__futex_wait(&m->wake, 0, VAI_FOREVER);
}

void vai__m_sleep(struct m *m)
{
	if (m->home)
		vai__sigint_wrap();
	if (vai__seat_take(m)) {
		sleep_in_poller(m);
		vai__seat_leave();
		return;
	}
	if (sleep_until() < atomic_load_seq_cst(&vai__sched.poll_until))
		vai__poll_wake();
	sleep_on_futex(m);
}

/* Pairs with vai__m_sleep: here the word is written first and the poller's M read second, there the M is written
 * first and the word read second. */
void vai__m_wake(struct m *m)
{
	bool early = VAI_BUG(wake_order) && atomic_load_seq_cst(&vai__sched.poller) != m;
	atomic_store_seq_cst(&m->wake, 1);
	if (m == vai__m_self() && m->polling)
		return; /* m is awake already: the poller has made one of its own goroutines ready */
	if (!early && atomic_load_seq_cst(&vai__sched.poller) == m)
		vai__poll_wake();
	else
		vai__futex_wake(&m->wake, 1);
}
