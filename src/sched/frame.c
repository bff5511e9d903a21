/* SPDX-License-Identifier: MIT */
/* A host's frames: between them main's thread is the host's own and M0 has no P, so what waits in the P's queue runs
 * on other Ms. In a frame main waits, with a deadline, and M0 is a machine like any other; the frame is over when the
 * deadline fires main's wait or when M0 would look for work elsewhere than in its own queues (vai__frame_idle). A
 * goroutine of Lua that computes on M0 when the time is over gets the signal of a timer by the wall's clock: those on a
 * thread's processor time are up to 10 ms late.
 *
 * All but vai__frame_ring and vai__frame_over is called on M0. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "mach/thread.h"
#include "sched/rt.h"

enum { FRAME_IDLE = VAI_WAKE_USER };

static struct {
	enum { NO_TIMER, TIMER_THERE, NO_TIMERS } has_timer;
	timer_t timer;
	vai_ticket ticket; /* of main's wait */
	_Atomic(int) fd;   /* one more than the descriptor; 0: nobody has asked for it */
	atomic_bool rung;  /* it can be read */
} frame;

bool vai__frame_idle(void)
{
	if (!atomic_load_relaxed(&vai__sched.in_frame))
		return false;
	atomic_store_relaxed(&vai__sched.in_frame, false);
	return vai__fire(&vai__sched.main->pub, frame.ticket, FRAME_IDLE);
}

bool vai__frame_over(const siginfo_t *info)
{
	return info->si_code == SI_TIMER && info->si_value.sival_ptr == &frame && atomic_load_relaxed(&vai__sched.in_frame);
}

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

static void give_p_back(void)
{
	struct m *m = vai__sched.m0;
	bool was = m_enter(m);
	vai__m_hand_off(m);
	m_leave(m, was);
}

int vai__frame_poll(vai_g *self, int64_t ns)
{
	struct m *m = vai__sched.m0;
	bool was;
	int64_t now = clock_note(), end = ns < VAI_FOREVER - now ? now + ns : VAI_FOREVER;
	vai__m_need_p(&m, &was);
	m_leave(m, was);
	frame.ticket = vai__wait_begin(self);
	atomic_store_relaxed(&vai__sched.in_frame, true);
	if (end != VAI_FOREVER)
		set_alarm(end > (now = vai__clock_now()) ? end - now : 1);
	int code = vai__wait(self, VAI_WAIT_FRAME, NULL, end);
	atomic_store_relaxed(&vai__sched.in_frame, false);
	if (end != VAI_FOREVER)
		set_alarm(0);
	unring();
	give_p_back();
	return code == VAI_WAKE_TIMEOUT || code == FRAME_IDLE ? VAI_OK : vai__wake_result(code);
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
