/* SPDX-License-Identifier: MIT */
/* Homes: what each of several Lua states of a process has for itself, as far as the scheduler goes. The host's thread
 * of a home is an M that has the home's main goroutine; besides, such an M runs any goroutine while its main waits.
 *
 * A home ends while the scheduler runs on. Its goroutines may be anywhere then: in queues, on other Ms, in waits, in C
 * calls. Nothing counts them, since a spawn would pay for that. Main looks through the records of all goroutines, again
 * and again, and each that belongs to the home is asked to end where that can be done without a race with the end of
 * that goroutine and the beginning of another one in its record:
 *
 * - a goroutine that waits, by whoever wins its wait (vai__fire_end): a wait's ticket is never given out again;
 *
 * - one that is in a queue, by the M that runs it next (vai__home_tell);
 *
 * - one that runs is interrupted, so that it comes to a queue; or it begins to wait, and its M asks it then
 *   (vai__home_parked), because main may not look at it again.
 *
 * No goroutine starts another one in a home that closes. So two looks in a row that find none left tell that there is
 * none: one that the first look has missed, because its starter ended before the look came to it, is seen by the
 * second. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include "base/fork.h"
#include "sched/rt.h"

enum { PAUSE = 50000, PAUSE_MAX = 2000000 /* ns between two looks */ };

static struct home nobody = {.pub.id = UINT64_C(1) << 31}; /* no other has such a number */
struct vai__home *const vai__home_of_nobody = &nobody.pub;
static struct home *unused; /* under sched.lock; records are never freed, since goroutines may be left */
static struct home *made;   /* all records, by next_made; sched.lock */
static uint64_t last_id;    /* sched.lock */

struct vai__home *vai__home_self(void)
{
	vai_g *g = vai__g_self();
	return g ? vai__g_home(g) : vai__home_of_nobody;
}

struct m *vai__home_m(const struct vai__home *home)
{
	struct m *m = ((const struct home *)(const void *)home)->m;
	return m ? m : vai__sched.m0;
}

int vai__home_count(void)
{
	return atomic_load_relaxed(&vai__sched.nhomes);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

void vai__home_gate(bool in)
{
	if (in)
		pthread_mutex_lock(&gate);
	else
		pthread_mutex_unlock(&gate);
}

bool vai__home_id_is_open(uint64_t id)
{
	if (vai__forked) /* there is one thread, and the lock may be held by none */
		return id <= last_id;
	vai__lock(&vai__sched.lock);
	struct home *h = atomic_load_relaxed(&vai__sched.homes);
	while (h && atomic_load_relaxed(&h->pub.id) != id)
		h = atomic_load_relaxed(&h->next);
	vai__unlock(&vai__sched.lock);
	return h != NULL;
}

/* ---- the beginning ---- */

/* Takes an unused record, or makes one with a record for its main; NULL: out of memory. */
static struct home *new_record(void)
{
	vai__lock(&vai__sched.lock);
	struct home *h = unused;
	if (h)
		unused = atomic_load_relaxed(&h->next);
	vai__unlock(&vai__sched.lock);
	if (h)
		return h;
	struct g *g = vai__g_alloc_outside();
	h = g ? calloc(1, sizeof *h) : NULL;
	if (h) {
		h->pub.main = &g->pub;
		vai__lock(&vai__sched.lock);
		h->next_made = made;
		made = h;
		vai__unlock(&vai__sched.lock);
		return h;
	}
	if (g) {
		vai__lock(&vai__sched.lock);
		vai__gqueue_push(&vai__sched.gfree, g);
		atomic_store_relaxed(&vai__sched.ngfree, vai__sched.gfree.count);
		vai__unlock(&vai__sched.lock);
	}
	return NULL;
}

/* What the calling thread runs becomes the home's main goroutine. */
static void begin_main(struct home *h)
{
	struct g *g = g_of(h->pub.main);
	vai__g_begin_new(g, NULL, NULL, &h->pub);
	g->pub.id = vai__sched.main ? atomic_fetch_add_relaxed(&vai__sched.next_id, 1) : 1;
	g->pub.bound = NULL;
	g->pub.dropping = NULL;
	atomic_store_relaxed(&g->blocks, false);
	g->locked_m = h->m;
	vai__ctx_native(&g->ctx);
	atomic_store_relaxed(&g->m, h->m);
	atomic_store_release(&g->state, VAI_G_RUNNING);
	m_set_curg(h->m, g);
	m_leave(h->m, false);
}

/* Adds h to the open homes, with a new id. */
static void enlist(struct home *h)
{
	vai__lock(&vai__sched.lock);
	atomic_store_relaxed(&h->pub.id, ++last_id);
	atomic_store_relaxed(&h->next, atomic_load_relaxed(&vai__sched.homes));
	atomic_store_release(&vai__sched.homes, h);
	atomic_fetch_add_relaxed(&vai__sched.nhomes, 1);
	vai__sched.nms++;
	vai__sched.nawake++;
	if (!vai__sched.main) {
		vai__sched.main = g_of(h->pub.main);
		vai__sched.m0 = h->m;
	}
	vai__unlock(&vai__sched.lock);
}

/* Makes a home whose host's thread is m's, the calling one; NULL: out of memory. */
static struct home *begin(struct m *m)
{
	struct home *h = new_record();
	if (!h)
		return NULL;
	h->pub.paths = h->pub.names = NULL;
	atomic_store_relaxed(&h->pub.lacks, 0);
	atomic_store_relaxed(&h->pub.warns, false);
	atomic_store_relaxed(&h->pub.types_seen, false);
	h->pub.preloading = NULL;
	h->pub.only_modules = false;
	h->pub.sandbox = NULL;
	h->pub.setup = NULL;
	h->pub.setup_id = 0;
	h->pub.budget = NULL;
	atomic_store_relaxed(&h->pub.closing, VAI_HOME_STAYS);
	atomic_store_relaxed(&h->interrupt, 0);
	atomic_store_relaxed(&h->serial, false);
	h->held = (struct gqueue){0};
	atomic_store_relaxed(&h->ended, 0);
	atomic_store_relaxed(&h->wake_at, INT64_MAX);
	h->has_left = false;
	h->m = m;
	m->home = h;
	begin_main(h);
	enlist(h);
	return h;
}

struct home *vai__home_begin(const char **call)
{
	struct m *m = vai__m_new_main(call);
	struct home *h = m ? begin(m) : NULL;
	if (!m || h)
		return h;
	*call = "memory";
	vai__m_retire_main(m);
	vai__m_free_main(m);
	errno = ENOMEM;
	return NULL;
}

struct vai__home *vai__home_open(const char **call)
{
	struct home *h = vai__home_begin(call);
	return h ? &h->pub : NULL;
}

/* ---- what others ask ---- */

/* Takes note of what every main waits in, so that its end cannot hit another wait. */
static void note_stuck(void)
{
	vai__lock(&vai__sched.lock);
	for (struct home *h = atomic_load_relaxed(&vai__sched.homes); h; h = atomic_load_relaxed(&h->next)) {
		h->stuck = true;
		h->stuck_in = (vai_ticket)(atomic_load_acquire(&g_of(h->pub.main)->wait) >> 32);
	}
	vai__unlock(&vai__sched.lock);
}

/* The next main that is to be told, with the ticket of its wait; NULL: all have been told. */
static vai_g *take_stuck(vai_ticket *ticket)
{
	vai__lock(&vai__sched.lock);
	struct home *h = atomic_load_relaxed(&vai__sched.homes);
	while (h && !h->stuck)
		h = atomic_load_relaxed(&h->next);
	if (h) {
		h->stuck = false;
		*ticket = h->stuck_in;
	}
	vai__unlock(&vai__sched.lock);
	return h ? h->pub.main : NULL;
}

/* While nothing runs no home ends. A thread that is no M yet may open one, but that is put before the others, where
 * this walk does not come by. */
void vai__home_each(void (*f)(struct vai__home *home))
{
	for (struct home *h = atomic_load_acquire(&vai__sched.homes); h; h = atomic_load_relaxed(&h->next))
		f(&h->pub);
}

void vai__home_fire_all(int code)
{
	vai_g *main;
	vai_ticket ticket;
	note_stuck();
	while ((main = take_stuck(&ticket)) != NULL)
		vai__fire(main, ticket, code);
}

bool vai__home_all_wait(void)
{
	for (struct home *h = atomic_load_relaxed(&vai__sched.homes); h; h = atomic_load_relaxed(&h->next))
		if (atomic_load_acquire(&g_of(h->pub.main)->state) != VAI_G_WAITING || h->m->locked.count > 0)
			return false;
	return true;
}

void vai__home_tell(struct g *g)
{
	int no = VAI_END_NO;
	struct vai__home *home = vai__g_home(&g->pub);
	int closing = atomic_load_acquire(&home->closing);
	if (closing == VAI_HOME_STAYS || home->main == &g->pub)
		return;
	if (closing == VAI_HOME_ENDS && atomic_load_relaxed(&g->told))
		return;
	atomic_store_relaxed(&g->told, true);
	atomic_cas_strong_relaxed(&g->pub.end, &no, VAI_END_CLOSED);
}

void vai__home_note_end(struct vai__home *home)
{
	struct home *h = home_of(home);
	if (atomic_load_relaxed(&home->closing) == VAI_HOME_STAYS)
		return;
	if (atomic_fetch_add_seq_cst(&h->ended, 1) + 1 >= atomic_load_seq_cst(&h->wake_at))
		vai__fire(home->main, atomic_load_relaxed(&h->ticket), VAI_WAKE_USER);
}

/* ---- the end of its goroutines ---- */

/* Asks g to end if it belongs to the home. True: it does. */
static bool ask(struct home *h, struct g *g, bool force)
{
	if (atomic_load_acquire(&g->state) == VAI_G_DEAD || &g->pub == h->pub.main)
		return false;
	/* Read before the home: if this word can still end the wait, g has not run since, and the home is its own. */
	uint64_t word = atomic_load_acquire(&g->wait);
	if (vai__g_home(&g->pub) != &h->pub)
		return false;
	vai__fire_end(g, word, force);
	return true;
}

void vai__home_parked(struct g *g)
{
	struct vai__home *home = vai__g_home(&g->pub);
	const int closing = atomic_load_acquire(&home->closing);
	if (closing != VAI_HOME_STAYS)
		ask(home_of(home), g, closing == VAI_HOME_FORCES);
}

/* Asks all goroutines of the home to end, and returns how many there are. */
static int64_t ask_all(struct home *h, bool force)
{
	int64_t n = 0;
	struct g *gs;
	for (int64_t i = 0; (gs = vai__g_slab(i)) != NULL; i++)
		for (int k = 0; k < SLAB; k++)
			n += ask(h, &gs[k], force);
	return n;
}

/* Interrupts the home's goroutines that run, so that they come to a queue and are asked there. */
static void interrupt_running(struct home *h)
{
	int64_t now = vai__clock_real();
	vai__lock(&vai__sched.lock);
	for (struct m *m = vai__sched.all_ms; m; m = m->next_m) {
		struct g *g = atomic_load_acquire(&m->curg);
		if (g && vai__g_home(&g->pub) == &h->pub && &g->pub != h->pub.main)
			vai__preempt_ask(m, now);
	}
	vai__unlock(&vai__sched.lock);
}

/* Waits until n more of the home's goroutines have ended, or for `pause` ns. */
static void pause_for(struct home *h, vai_g *self, int64_t n, int64_t pause)
{
	int64_t until = vai__clock_real() + pause;
	atomic_uint nothing = 0;
	if (!self) {
		vai__futex_wait(&nothing, 0, until);
		return;
	}
	struct vai__bound *bound = self->bound;
	self->bound = NULL;
	atomic_store_relaxed(&h->ticket, vai__wait_begin(self));
	atomic_store_seq_cst(&h->wake_at, atomic_load_seq_cst(&h->ended) + n);
	vai__wait(self, VAI_WAIT_SLEEP, NULL, until);
	atomic_store_seq_cst(&h->wake_at, INT64_MAX);
	self->bound = bound;
}

/* Asks the home's goroutines to end until none is left. False: some are left at `until`. */
static bool end_until(struct home *h, vai_g *self, int64_t until)
{
	bool force = atomic_load_relaxed(&h->pub.closing) == VAI_HOME_FORCES;
	int none = 0;
	for (int64_t pause = PAUSE; none < 2; pause = pause < PAUSE_MAX ? 2 * pause : pause) {
		int64_t n = ask_all(h, force);
		none = n == 0 ? none + 1 : 0;
		if (n == 0)
			continue;
		interrupt_running(h);
		if (vai__clock_real() >= until)
			return false;
		pause_for(h, self, n, pause);
	}
	return true;
}

/* Waits until the timers' callbacks that run now are over: they may be about to start a goroutine of the home, because
 * they looked before it began to close. */
static void pass_timers(void)
{
	for (int i = 0; i < atomic_load_acquire(&vai__sched.nps); i++) {
		vai__lock(&vai__sched.ps[i]->timers.lock);
		vai__unlock(&vai__sched.ps[i]->timers.lock);
	}
}

bool vai__home_end(struct vai__home *home, vai_g *self, int64_t grace)
{
	struct home *h = home_of(home);
	vai__serial_end(home->main);
	atomic_fetch_add_seq_cst(&vai__sched.nwatched, 1);
	atomic_store_seq_cst(&home->closing, VAI_HOME_ENDS);
	vai__barrier_heavy(); /* whoever starts a goroutine from now on sees that */
	pass_timers();
	bool all = end_until(h, self, vai__clock_real() + grace);
	if (!all) {
		atomic_store_seq_cst(&home->closing, VAI_HOME_FORCES);
		all = end_until(h, self, vai__clock_real() + grace);
	}
	h->has_left = !all;
	if (all)
		atomic_fetch_sub_seq_cst(&vai__sched.nwatched, 1);
	return all;
}

/* ---- the end ---- */

/* Takes h out of the open homes. Lock held. */
static void delist(struct home *h)
{
	_Atomic(struct home *) *at = &vai__sched.homes;
	while (atomic_load_relaxed(at) != h)
		at = &atomic_load_relaxed(at)->next;
	atomic_store_relaxed(at, atomic_load_relaxed(&h->next));
	atomic_fetch_sub_relaxed(&vai__sched.nhomes, 1);
	vai__sched.nms--;
	struct home *first = atomic_load_relaxed(&vai__sched.homes);
	while (first && atomic_load_relaxed(&first->next))
		first = atomic_load_relaxed(&first->next);
	vai__sched.main = first ? g_of(first->pub.main) : NULL;
	vai__sched.m0 = first ? first->m : NULL;
}

/* Gives h's record back. If goroutines of the home are left they refer to it, and it is not used again. Lock held. */
static void bury(struct home *h)
{
	atomic_store_relaxed(&h->pub.id, 0);
	atomic_store_release(&g_of(h->pub.main)->state, VAI_G_DEAD);
	if (h->has_left)
		return;
	atomic_store_relaxed(&h->next, unused);
	unused = h;
}

/* Gives m's P up, because its thread ends as an M. Called on that thread or, if it may be gone, on another. */
static void give_p_up(struct m *m)
{
	struct p *p = NULL;
	if (m == vai__m_self()) {
		m_enter(m);
		vai__m_hand_off(m);
		return;
	}
	vai__lock(&vai__sched.lock);
	if (m_p(m))
		p = vai__handoff_retake(m);
	vai__unlock(&vai__sched.lock);
	if (p)
		vai__p_hand_off(p);
}

struct home *vai__home_made(void)
{
	return made;
}

void vai__home_close(struct vai__home *home)
{
	struct home *h = home_of(home);
	struct m *m = h->m;
	give_p_up(m);
	vai__frame_close(h);
	vai__m_retire_main(m);
	m->lost |= h->has_left; /* some of those may be locked to it */
	vai__lock(&vai__sched.lock);
	vai__handoff_unwant(m);
	delist(h);
	bury(h);
	vai__unlock(&vai__sched.lock);
	vai__deadlock_check();
	vai__m_free_main(m);
}

void vai__home_forget_all(void)
{
	vai__lock(&vai__sched.lock);
	while (atomic_load_relaxed(&vai__sched.homes)) {
		struct home *h = atomic_load_relaxed(&vai__sched.homes);
		delist(h);
		bury(h);
	}
	vai__unlock(&vai__sched.lock);
}
