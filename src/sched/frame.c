/* SPDX-License-Identifier: MIT */
/* A host's frames: between them main's thread is the host's own and M0 has no P, so what waits in the P's queue runs
 * on other Ms. In a frame main waits, with a deadline, and M0 is a machine like any other; the frame is over when the
 * deadline fires main's wait or when M0 would look for work elsewhere than in its own queues (vai__frame_idle). A
 * goroutine of Lua that computes on M0 when the time is over gets the signal of a timer by the wall's clock: those on a
 * thread's processor time are up to 10 ms late.
 *
 * A frame depends on no other thread. M0 takes its P from a goroutine that runs, wherever it has come to, and gives it
 * back to it if that has not noticed; M0 without a P ends the frame, and main runs on without one.
 *
 * What needs no other comment is called on M0. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "mach/thread.h"
#include "sched/rt.h"

enum { FRAME_IDLE = VAI_WAKE_USER, NAP = 200000 /* ns */ };
#ifdef VAI_SIM
enum { TRIES = 1, PAUSES = 1 };
#else
enum { TRIES = 100, PAUSES = 20 }; /* looks for a P before M0 sleeps, some 50 microseconds in all */
#endif

static struct {
	enum { NO_TIMER, TIMER_THERE, NO_TIMERS } has_timer;
	timer_t timer;
	vai_ticket ticket;             /* of main's wait */
	_Atomic(int64_t) end;          /* when the frame is over; 0: main is in none */
	atomic_bool due;               /* the signal says that it is over; M0 has not come to its loop since */
	uint32_t nput_off, put_off_at; /* so many goroutines in a row were put off; the round of the last one */
	_Atomic(int) fd;               /* one more than the descriptor; 0: nobody has asked for it */
	atomic_bool rung;              /* it can be read */
} frame;

/* ---- the end of a frame, as M0's loop sees it ---- */

bool vai__frame_idle(void)
{
	if (!atomic_load_relaxed(&vai__sched.in_frame))
		return false;
	atomic_store_relaxed(&vai__sched.in_frame, false);
	return vai__fire(&vai__sched.main->pub, frame.ticket, FRAME_IDLE);
}

/* In the signal's handler. */
bool vai__frame_alarm(const siginfo_t *info, bool *over)
{
	if (info->si_code != SI_TIMER || info->si_value.sival_ptr != &frame)
		return false;
	*over = atomic_load_relaxed(&vai__sched.in_frame);
	if (*over) {
		atomic_store_seq_cst(&frame.due, true);
		atomic_store_seq_cst(&vai__sched.attention, true);
	}
	return true;
}

/* Any thread. */
bool vai__frame_due(void)
{
	return atomic_load_seq_cst(&frame.due);
}

static void clear_due(void)
{
	if (!atomic_load_relaxed(&frame.due))
		return;
	vai__lock(&vai__sched.lock);
	atomic_store_seq_cst(&frame.due, false);
	vai__loop_attention_update();
	vai__unlock(&vai__sched.lock);
}

/* M0 has a P. */
void vai__frame_check(void)
{
	if (!vai__frame_due())
		return;
	clear_due();
	vai__frame_idle();
}

/* Any thread. */
bool vai__frame_wants(void)
{
	return atomic_load_relaxed(&frame.end) != 0;
}

int64_t vai__frame_end(void)
{
	return atomic_load_relaxed(&frame.end);
}

/* Main, if it is among those that only M0 may run. */
static struct g *take_main(struct m *m)
{
	struct gqueue others = {0};
	struct g *g, *found = NULL;
	vai__lock(&vai__sched.lock);
	while ((g = vai__gqueue_pop(&m->locked)) != NULL) {
		if (g == vai__sched.main)
			found = g;
		else
			vai__gqueue_push(&others, g);
	}
	m->locked = others;
	atomic_store_release(&m->nlocked, m->locked.count);
	vai__unlock(&vai__sched.lock);
	return found;
}

/* M0 has no P. Main, which then runs without one; NULL: there is no frame, or main waits for a P and its time is not
 * over. */
struct g *vai__frame_return(void)
{
	struct g *g = vai__sched.main;
	if (!vai__frame_wants())
		return NULL;
	if (atomic_exchange_explicit(&vai__sched.in_frame, false, memory_order_relaxed) &&
		vai__fire_here(&g->pub, frame.ticket, FRAME_IDLE))
		return g;
	return vai__clock_real() >= vai__frame_end() ? take_main(vai__sched.m0) : NULL;
}

/* g has used up a slice while main was in a frame. What computes for long would use up the frame, too, and with it the
 * host's time, while another M is free to run it: the one that M0 has taken the P from. So M0 runs the others first,
 * and then gives g away with its P, which ends the frame. True: M0 is not to run g. */
bool vai__frame_puts_off(struct m *m, struct g *g)
{
	struct p *p = m_p(m);
	uint32_t tick = atomic_load_relaxed(&p->tick);
	if (!atomic_load_relaxed(&vai__sched.in_frame))
		return false;
	frame.nput_off = tick == frame.put_off_at + 1 ? frame.nput_off + 1 : 1;
	frame.put_off_at = tick;
	if (frame.nput_off > vai__runq_len(p))
		return vai__m0_leave_to_others(m, g);
	vai__runq_put(p, g, false);
	return true;
}

/* m, which goes idle, wakes by itself a moment after the end of the frame. If M0 woke it then, while it gives its P
 * back, the kernel would most likely run it in M0's place, on whose CPU it was, and the frame would end a slice of the
 * kernel's late. */
void vai__frame_nap(struct m *m)
{
	int64_t end = vai__frame_end();
	if (end < VAI_FOREVER - NAP && vai__clock_real() < end)
		atomic_store_relaxed(&m->nap_until, end + NAP);
}

/* Whether the frame has used up its time, and an M that sleeps will look for an idle P by itself. */
bool vai__frame_left_to_a_napper(void)
{
	if (vai__clock_real() < vai__frame_end())
		return false;
	for (struct m *m = vai__sched.idle_ms; m; m = m->link)
		if (atomic_load_relaxed(&m->nap_until) != 0)
			return true;
	return false;
}

/* ---- the descriptor ---- */

/* Any thread, no lock held. */
void vai__frame_ring(void)
{
	int fd = atomic_load_relaxed(&frame.fd) - 1;
	uint64_t one = 1;
	if (fd < 0 || atomic_exchange_seq_cst(&frame.rung, true))
		return;
	while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

/* At the end of a frame, in which M0 has run what there was. */
static void unring(void)
{
	int fd = atomic_load_relaxed(&frame.fd) - 1;
	uint64_t n;
	if (fd < 0 || !atomic_load_seq_cst(&frame.rung))
		return;
	while (read(fd, &n, sizeof n) < 0 && errno == EINTR)
		;
	atomic_store_seq_cst(&frame.rung, false);
	if (atomic_load_seq_cst(&vai__sched.m0->nlocked) > 0) /* it may have been rung before it was put down */
		vai__frame_ring();
}

static void set_alarm(int64_t ns)
{
	if (frame.has_timer == NO_TIMER && vai__preempt_mode() == VAI_PREEMPT_SIGNAL)
		frame.has_timer =
			vai__thread_alarm_new(vai__sched.m0->tid, SIGURG, &frame, &frame.timer) ? TIMER_THERE : NO_TIMERS;
	if (frame.has_timer == TIMER_THERE)
		vai__thread_alarm(frame.timer, ns);
}

/* ---- frames ---- */

/* Whether there is anything for M0 to do. What other Ms run needs no P of M0's. */
static bool has_work(int64_t now)
{
	vai__m_poll_once();
	return atomic_load_acquire(&vai__sched.m0->nlocked) > 0 || vai__idle_work_anywhere(true) ||
		vai__timers_next_of_all() <= now;
}

static bool take_p_at_once(struct m *m)
{
	bool was = m_enter(m);
	vai__lock(&vai__sched.lock);
	struct p *p = m_p(m);
	if (!p && (p = vai__p_get_idle()) == NULL)
		p = vai__watch_evict();
	if (p && !m_p(m))
		vai__m_own(m, p);
	vai__unlock(&vai__sched.lock);
	m_leave(m, was);
	return p != NULL;
}

/* False: the time is over before there was a P. Ms that are in their loop or in a call of vai cannot lose their P; they
 * come out of that soon, unless their thread has to wait for a CPU. */
static bool take_p(vai_g *self, struct m *m)
{
	for (int i = 0; i < TRIES; i++) {
		if (take_p_at_once(m))
			return true;
		for (int k = 0; k < PAUSES; k++)
			vai__cpu_relax();
	}
	while (!m_p(m) && vai__clock_real() < vai__frame_end())
		vai__yield(self);
	return m_p(m) != NULL;
}

static int run_others(vai_g *self, int64_t end)
{
	int64_t now;
	frame.ticket = vai__wait_begin(self);
	atomic_store_relaxed(&vai__sched.in_frame, true);
	if (end != VAI_FOREVER)
		set_alarm(end > (now = vai__clock_real()) ? end - now : 1);
	int code = vai__wait(self, VAI_WAIT_FRAME, NULL, end);
	atomic_store_relaxed(&vai__sched.in_frame, false);
	if (end != VAI_FOREVER)
		set_alarm(0);
	clear_due();
	return code == VAI_WAKE_TIMEOUT || code == FRAME_IDLE ? VAI_OK : vai__wake_result(code);
}

int vai__frame_poll(vai_g *self, int64_t ns)
{
	struct m *m = vai__sched.m0;
	int64_t now = clock_note(), end = ns < VAI_FOREVER - now ? now + ns : VAI_FOREVER;
	atomic_store_relaxed(&frame.end, end);
	int rc = has_work(now) && take_p(self, m) ? run_others(self, end) : VAI_OK;
	unring();
	bool was = m_enter(m);
	vai__m_give_back(m);
	m_leave(m, was);
	atomic_store_relaxed(&frame.end, 0);
	return rc;
}

int vai__frame_fd(void)
{
	int fd = atomic_load_relaxed(&frame.fd) - 1;
	if (fd >= 0)
		return fd;
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0)
		return VAI_ESYS;
	atomic_store_relaxed(&frame.rung, false);
	atomic_store_seq_cst(&frame.fd, fd + 1);
	if (atomic_load_acquire(&vai__sched.m0->nlocked) > 0) /* they have rung before there was a bell */
		vai__frame_ring();
	return fd;
}

/* No other M runs. */
void vai__frame_stop(void)
{
	int fd = atomic_exchange_seq_cst(&frame.fd, 0) - 1;
	if (fd >= 0)
		close(fd);
	if (frame.has_timer == TIMER_THERE)
		timer_delete(frame.timer);
	frame.has_timer = NO_TIMER;
}
