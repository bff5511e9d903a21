/* SPDX-License-Identifier: MIT */
/* Waits that last long are begun anew where their goroutines wish so. A goroutine that will wait for long had better
 * shed its stack and collect its garbage, which does not pay for a short wait, and beforehand nobody knows which it is
 * going to be. So it says of a wait that it may be ended without a reason (vai__wait_renews). A wait that has lasted
 * for a whole period of the scavenger is then ended by VAI_WAKE_LONG, which races for the ticket like any other code.
 *
 * The word of the wait is read before the goroutine's wish. If that wish belongs to a later wait, the ticket of the
 * word is no longer valid, and the call that ends the wait fails. */
#include "sched/turns.h"

/* Each goroutine that wakes collects its garbage, for some tens of microseconds on a P that others wait for. */
enum { AT_ONCE = 8 };

/* Some goroutine may have begun such a wait since the last walk through all. It is set and read without a barrier, so
 * that a walk under way may miss a wait that begins at that moment: that lasts until another walk has a reason. */
static atomic_bool wanted;

void vai__wait_renews(vai_g *self, bool yes)
{
	atomic_store_relaxed(&g_of(self)->renews, yes);
	if (yes && !atomic_load_relaxed(&wanted))
		atomic_store_relaxed(&wanted, true);
}

bool vai__renew_wanted(void)
{
	return atomic_load_relaxed(&wanted);
}

/* Ends g's wait if it wishes so and has lasted since `before`. True: it has been ended. */
static bool renew(struct g *g, int64_t before)
{
	uint64_t w = atomic_load_acquire(&g->wait);
	if ((!atomic_load_relaxed(&g->renews) && !VAI_BUG(renew_any)) || turn_of(g) != 0)
		return false;
	if ((uint32_t)w == VAI_WAKE_PARKED && atomic_load_relaxed(&g->since) < before)
		return vai__fire(&g->pub, (vai_ticket)(w >> 32), VAI_WAKE_LONG);
	atomic_store_relaxed(&wanted, true); /* the next time */
	return false;
}

bool vai__renew_some(int64_t *next, int64_t before)
{
	struct g *gs = NULL;
	if (*next == 0)
		atomic_store_relaxed(&wanted, false);
	for (int n = 0; n < AT_ONCE && (gs = vai__g_slab(*next / SLAB)) != NULL; ++*next)
		n += renew(&gs[*next % SLAB], before);
	return gs != NULL;
}
