/* SPDX-License-Identifier: MIT */
/* Serial phases: main runs, and no goroutine of its home does, until main ends the phase.
 *
 * Invariant: from the moment that vai__serial_begin has returned VAI_OK until vai__serial_end, no goroutine of the home
 * but main runs code other than vai's. Those between vai__g_block_begin and vai__g_block_end are in C calls of which
 * their callers have said that nothing depends on them; they do not come back from vai__g_block_end meanwhile.
 *
 * An M that is about to run a goroutine says so first (m->curg, or g->blocks at the end of a block) and then looks
 * whether the home is in such a phase; main says first that it is, and then looks at all Ms. So one of the two sees the
 * other. The price is on main's side (mach/barrier.h): a goroutine's start costs nothing more than the look at
 * sched.nwatched, which is there anyway.
 *
 * An M that is about to run a goroutine of such a home puts it aside (h->held) instead. One that runs is
 * interrupted, comes to its M's loop, is put into a queue, and is put aside by the M that takes it from there. Main
 * does not depend on any of that to be woken: it sleeps for a moment at a time and looks again, on its thread and
 * not as a goroutine, so it needs no P, no timer and no other M for it. An M that puts a goroutine aside wakes main,
 * which looks at once. */
#include "base/futex.h"
#include "sched/rt.h"

enum { FIRST_LOOK = 20000, LAST_LOOK = 200000 /* ns between two looks */, URGE_AGAIN = 1000000 /* ns */ };

/* Puts g, which is no M's curg, aside. False: the phase is over. */
static bool put_aside(struct home *h, struct g *g)
{
	vai__lock(&vai__sched.lock);
	bool aside = atomic_load_relaxed(&h->serial);
	if (aside) {
		atomic_store_relaxed(&g->state, VAI_G_RUNNABLE);
		vai__gqueue_push(&h->held, g);
	}
	vai__unlock(&vai__sched.lock);
	if (!aside)
		return false;
	atomic_fetch_add_seq_cst(&h->looks, 1);
	if (atomic_load_seq_cst(&h->serial_waits))
		vai__futex_wake(&h->looks, 1);
	return true;
}

bool vai__serial_holds(struct m *m, struct g *g)
{
	struct home *h = home_of(vai__g_home(&g->pub));
	while (atomic_load_seq_cst(&h->serial) && h->pub.main != &g->pub) {
		m_set_curg(m, NULL); /* once it lies aside it may be another M's at any moment */
		if (put_aside(h, g))
			return true;
		m_set_curg(m, g);
		vai__barrier_light();
	}
	return false;
}

void vai__serial_pass(vai_g *self)
{
	struct home *h = home_of(vai__g_home(self));
	if (atomic_load_seq_cst(&h->serial) && h->pub.main != self)
		vai__park_switch(g_of(self), OP_YIELD);
}

/* How many goroutines of the home run. urge: they are interrupted. */
static int count_running(struct home *h, int64_t now, bool urge)
{
	int n = 0;
	vai__lock(&vai__sched.lock);
	for (struct m *m = vai__sched.all_ms; m; m = m->next_m) {
		struct g *g = atomic_load_acquire(&m->curg);
		if (!g || &g->pub == h->pub.main || home_of(vai__g_home(&g->pub)) != h || atomic_load_acquire(&g->blocks))
			continue;
		if (urge)
			vai__preempt_urge(m, now);
		n++;
	}
	vai__unlock(&vai__sched.lock);
	return n;
}

/* Waits until no goroutine of the home runs. False: some still run at `until`. */
static bool wait_until_none(struct home *h, int64_t until)
{
	int64_t urged = 0;
	for (int64_t pause = FIRST_LOOK;; pause = pause < LAST_LOOK ? 2 * pause : pause) {
		unsigned seen = atomic_load_seq_cst(&h->looks);
		int64_t now = vai__clock_real();
		bool urge = now - urged >= URGE_AGAIN;
		if (count_running(h, now, urge) == 0)
			return true;
		if (now >= until)
			return false;
		if (urge)
			urged = now;
		vai__futex_wait(&h->looks, seen, until - now < pause ? until : now + pause);
	}
}

int vai__serial_begin(vai_g *main, int64_t until)
{
	struct home *h = home_of(vai__g_home(main));
	if (atomic_load_relaxed(&h->serial))
		return VAI_EINVAL;
	atomic_fetch_add_seq_cst(&vai__sched.nwatched, 1);
	vai__lock(&vai__sched.lock);
	atomic_store_seq_cst(&h->serial, true);
	vai__unlock(&vai__sched.lock);
	vai__barrier_heavy();
	atomic_store_seq_cst(&h->serial_waits, true);
	bool none = wait_until_none(h, until);
	atomic_store_seq_cst(&h->serial_waits, false);
	if (!none)
		vai__serial_end(main);
	return none ? VAI_OK : VAI_ETIMEOUT;
}

/* Makes the goroutines runnable that were put aside. */
static void let_go(struct gqueue *held)
{
	struct gqueue anywhere = {0};
	struct g *g;
	while ((g = vai__gqueue_pop(held)) != NULL) {
		if (g->locked_m && g->locked_m != OFF_MAIN)
			vai__loop_ready_locked(g);
		else
			vai__gqueue_push(&anywhere, g);
	}
	if (!anywhere.head)
		return;
	vai__global_put_batch(&anywhere);
	vai__idle_wake_one();
}

bool vai__serial_end(vai_g *main)
{
	struct home *h = home_of(vai__g_home(main));
	if (!atomic_load_relaxed(&h->serial))
		return false;
	vai__lock(&vai__sched.lock);
	struct gqueue held = h->held;
	h->held = (struct gqueue){0};
	atomic_store_seq_cst(&h->serial, false);
	vai__unlock(&vai__sched.lock);
	atomic_fetch_sub_seq_cst(&vai__sched.nwatched, 1);
	let_go(&held);
	return true;
}
