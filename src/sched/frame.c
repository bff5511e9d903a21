/* SPDX-License-Identifier: MIT */
/* A host's frames: between them main's thread is the host's own and its M has no P, so what waits in the P's queue
 * runs on other Ms. In a frame main waits, with a deadline, and that M is a machine like any other; the frame is over
 * when the deadline fires main's wait or when the M would look for work elsewhere than in its own queues
 * (vai__frame_idle). Each home has frames of its own. A goroutine of Lua that computes on the M when the time is over
 * gets the signal of a timer by the wall's clock: those on a thread's processor time are up to 10 ms late.
 *
 * A frame depends on no other thread. The M takes its P from a goroutine that runs, wherever it has come to, and gives
 * it back to it if that has not noticed; an M without a P ends the frame, and main runs on without one.
 *
 * The functions are called on that M, unless a comment here or in frame.h says otherwise. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "mach/thread.h"
#include "sched/rt.h"

enum { FRAME_IDLE = VAI_WAKE_USER, NAP = 200000 /* ns */ };
#ifdef VAI_SIM
enum { TRIES = 1, PAUSES = 1 };
#else
enum { TRIES = 100, PAUSES = 20 }; /* looks for a P before the M sleeps, some 50 microseconds in all */
#endif

static const char alarm_mark; /* the value of every frame's timer, whose signal comes to the thread of the frame */
static atomic_int ndue;       /* frames that are due */

/* ---- the end of a frame, as its M's loop sees it ---- */

bool vai__frame_idle(struct m *m)
{
	struct home *h = m->home;
	if (!atomic_load_relaxed(&h->frame.on))
		return false;
	atomic_store_relaxed(&h->frame.on, false);
	return vai__fire(h->pub.main, h->frame.ticket, FRAME_IDLE);
}

bool vai__frame_alarm(struct m *m, const siginfo_t *info, bool *over)
{
	if (info->si_code != SI_TIMER || info->si_value.sival_ptr != &alarm_mark)
		return false;
	*over = m && m->home && atomic_load_relaxed(&m->home->frame.on);
	if (*over) {
		if (!atomic_exchange_seq_cst(&m->home->frame.due, true))
			atomic_fetch_add_seq_cst(&ndue, 1);
		atomic_store_seq_cst(&vai__sched.attention, true);
	}
	return true;
}

bool vai__frame_due(void)
{
	return atomic_load_seq_cst(&ndue) > 0;
}

/* Resets f->due. True: it was set. */
static bool clear_due(struct frame *f)
{
	if (!atomic_load_relaxed(&f->due))
		return false;
	vai__lock(&vai__sched.lock);
	if (atomic_exchange_seq_cst(&f->due, false))
		atomic_fetch_sub_seq_cst(&ndue, 1);
	vai__loop_attention_update();
	vai__unlock(&vai__sched.lock);
	return true;
}

void vai__frame_check(struct m *m)
{
	if (clear_due(&m->home->frame))
		vai__frame_idle(m);
}

bool vai__frame_wants(void)
{
	return atomic_load_relaxed(&vai__sched.nframes) > 0;
}

int64_t vai__frame_end(const struct home *h)
{
	return atomic_load_relaxed(&h->frame.end);
}

/* Takes main out of m->locked. NULL: main is not in it. */
static struct g *take_main(struct m *m)
{
	struct gqueue others = {0};
	struct g *g, *found = NULL;
	vai__lock(&vai__sched.lock);
	while ((g = vai__gqueue_pop(&m->locked)) != NULL) {
		if (g == g_of(m->home->pub.main))
			found = g;
		else
			vai__gqueue_push(&others, g);
	}
	m->locked = others;
	atomic_store_release(&m->nlocked, m->locked.count);
	vai__unlock(&vai__sched.lock);
	return found;
}

/* Main needs no P to return from its frame. NULL: there is no frame, or main waits for a P and the frame's time is not
 * over. */
struct g *vai__frame_return(struct m *m)
{
	struct home *h = m->home;
	if (vai__frame_end(h) == 0)
		return NULL;
	if (atomic_exchange_explicit(&h->frame.on, false, memory_order_relaxed) &&
		vai__fire_here(h->pub.main, h->frame.ticket, FRAME_IDLE))
		return g_of(h->pub.main);
	return vai__clock_real() >= vai__frame_end(h) ? take_main(m) : NULL;
}

/* A goroutine that computes for long would use up the frame, and with it the host's time, although another M is free to
 * run it: the one that m has taken its P from. So m runs the other goroutines of the queue first, and then gives g away
 * together with the P, which ends the frame. */
bool vai__frame_puts_off(struct m *m, struct g *g)
{
	struct p *p = m_p(m);
	struct frame *f = &m->home->frame;
	uint32_t tick = atomic_load_relaxed(&p->tick);
	if (!atomic_load_relaxed(&f->on))
		return false;
	f->nput_off = tick == f->put_off_at + 1 ? f->nput_off + 1 : 1;
	f->put_off_at = tick;
	if (f->nput_off > vai__runq_len(p))
		return vai__m0_leave_to_others(m, g);
	vai__runq_put(p, g, false);
	return true;
}

/* When the first of all frames is over; VAI_FOREVER: there is none. sched.lock held. */
static int64_t first_end(void)
{
	int64_t first = VAI_FOREVER;
	for (struct home *h = atomic_load_relaxed(&vai__sched.homes); h; h = atomic_load_relaxed(&h->next)) {
		int64_t end = vai__frame_end(h);
		if (end != 0 && end < first)
			first = end;
	}
	return first;
}

/* m wakes by itself a moment after the end of the frame, because the host's M should not have to wake it when it gives
 * its P back: the kernel would most likely run m at once, on the CPU of the host's M, and the frame would end late by a
 * time slice of the kernel's. */
void vai__frame_nap(struct m *m)
{
	int64_t end = first_end();
	if (end < VAI_FOREVER - NAP && vai__clock_real() < end)
		atomic_store_relaxed(&m->nap_until, end + NAP);
}

bool vai__frame_left_to_a_napper(struct home *h)
{
	if (vai__clock_real() < vai__frame_end(h))
		return false;
	for (struct m *m = vai__sched.idle_ms; m; m = m->link) {
		int64_t nap = atomic_load_relaxed(&m->nap_until);
		if (nap != 0 && nap <= vai__frame_end(h) + NAP)
			return true;
	}
	return false;
}

/* ---- the descriptor ---- */

void vai__frame_ring(struct home *h)
{
	int fd = atomic_load_relaxed(&h->frame.fd) - 1;
	uint64_t one = 1;
	if (fd < 0 || atomic_exchange_seq_cst(&h->frame.rung, true))
		return;
	while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

/* Makes the descriptor unreadable at the end of a frame, in which m has run what there was. It is read even if `rung`
 * is false: a thread that set `rung` before the end of the last frame may have written only after that. */
static void unring(struct m *m)
{
	struct frame *f = &m->home->frame;
	int fd = atomic_load_relaxed(&f->fd) - 1;
	uint64_t n;
	if (fd < 0)
		return;
	while (read(fd, &n, sizeof n) < 0 && errno == EINTR)
		;
	atomic_store_seq_cst(&f->rung, false);
	if (atomic_load_seq_cst(&m->nlocked) > 0) /* a goroutine became ready before `rung` was reset */
		vai__frame_ring(m->home);
}

/* Makes the frame's signal come in ns from now; 0: never. Without timers the frame ends when its deadline fires. */
static void set_alarm(struct m *m, int64_t ns)
{
	struct frame *f = &m->home->frame;
	if (f->has_timer == NO_TIMER && vai__preempt_mode() == VAI_PREEMPT_SIGNAL)
		f->has_timer =
			vai__thread_alarm_new(m->tid, SIGURG, (void *)(uintptr_t)&alarm_mark, &f->timer) ? TIMER_THERE : NO_TIMERS;
	if (f->has_timer == TIMER_THERE)
		vai__thread_alarm(f->timer, ns);
}

/* ---- frames ---- */

/* Whether there is anything for m to do. Goroutines that other Ms run do not count. */
static bool has_work(struct m *m, int64_t now)
{
	vai__seat_look();
	return atomic_load_acquire(&m->nlocked) > 0 || vai__idle_work_anywhere(true) || vai__timers_next_of_all() <= now;
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

/* Gets a P for m. False: the frame's time is over before there was one. Ms that are in their loop or in a call of vai
 * cannot lose their P; they come out of that soon, unless their thread has to wait for a CPU. */
static bool take_p(vai_g *self, struct m *m)
{
	for (int i = 0; i < TRIES; i++) {
		if (take_p_at_once(m))
			return true;
		for (int k = 0; k < PAUSES; k++)
			vai__cpu_relax();
	}
	while (!m_p(m) && vai__clock_real() < vai__frame_end(m->home))
		vai__yield(self);
	return m_p(m) != NULL;
}

/* Main waits, so that m's loop runs other goroutines, until the frame is over. */
static int run_others(vai_g *self, struct m *m, int64_t end)
{
	struct frame *f = &m->home->frame;
	int64_t now;
	f->ticket = vai__wait_begin(self);
	atomic_store_relaxed(&f->on, true);
	if (end != VAI_FOREVER)
		set_alarm(m, end > (now = vai__clock_real()) ? end - now : 1);
	int code = vai__wait(self, VAI_WAIT_FRAME, NULL, end);
	atomic_store_relaxed(&f->on, false);
	if (end != VAI_FOREVER)
		set_alarm(m, 0);
	clear_due(f);
	return code == VAI_WAKE_TIMEOUT || code == FRAME_IDLE ? VAI_OK : vai__wake_result(code);
}

int vai__frame_poll(vai_g *self, int64_t ns)
{
	struct m *m = g_m(g_of(self));
	struct frame *f = &m->home->frame;
	int64_t now = clock_note(), end = vai__clock_add(now, ns);
	atomic_store_relaxed(&f->end, end);
	atomic_fetch_add_relaxed(&vai__sched.nframes, 1);
	int rc = has_work(m, now) && take_p(self, m) ? run_others(self, m, end) : VAI_OK;
	unring(m);
	bool was = m_enter(m);
	vai__m_give_back(m);
	m_leave(m, was);
	atomic_fetch_sub_relaxed(&vai__sched.nframes, 1);
	atomic_store_relaxed(&f->end, 0);
	return rc;
}

int vai__frame_fd(vai_g *self)
{
	struct m *m = g_m(g_of(self));
	struct frame *f = &m->home->frame;
	int fd = atomic_load_relaxed(&f->fd);
	if (fd > 0)
		return fd - 1;
	if (f->kept_fd == 0)
		f->kept_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) + 1;
	if (f->kept_fd == 0)
		return VAI_ESYS;
	atomic_store_relaxed(&f->rung, false);
	atomic_store_seq_cst(&f->fd, f->kept_fd);
	unring(m); /* rings if a goroutine is ready already, and takes back a ring for the descriptor's last home */
	return f->kept_fd - 1;
}

void vai__frame_close(struct home *h)
{
	struct frame *f = &h->frame;
	if (f->has_timer == TIMER_THERE)
		timer_delete(f->timer);
	f->has_timer = NO_TIMER;
	atomic_store_seq_cst(&f->fd, 0);
	clear_due(f);
}

void vai__frame_stop(void)
{
	for (struct home *h = vai__home_made(); h; h = h->next_made) {
		vai__frame_close(h);
		if (h->frame.kept_fd > 0)
			close(h->frame.kept_fd - 1);
		h->frame.kept_fd = 0;
	}
}
