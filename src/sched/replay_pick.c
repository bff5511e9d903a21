/* SPDX-License-Identifier: MIT */
/* Three ways to pick whose turn is next.
 *
 * - By the seed: the goroutine that runs goes on three times of four, and otherwise each candidate is as likely as the
 *   others.
 *
 * - PCT (Burckhardt and others, "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", 2010): each
 *   goroutine has a random priority, the highest runs, and at `depth` random decisions the one that runs falls behind
 *   all. A bug that needs d such changes in a program of n goroutines and k decisions is met with a chance of
 *   1/(n * k^d) at least. A goroutine that yields falls behind as well, because it may wait for another that way.
 *
 * - Recorded: the default, but for the points that are listed. */
#include "sched/replay_pick.h"
#include "base/random.h"

static uint64_t random_next(struct vai__replay_pick *p)
{
	p->rand += VAI__RANDOM_STEP;
	return vai__random_mix(p->rand);
}

/* A random number from 0 to n - 1. */
static uint32_t random_below(struct vai__replay_pick *p, uint32_t n)
{
	return (uint32_t)(((random_next(p) >> 32) * n) >> 32);
}

void vai__replay_pick_begin(struct vai__replay_pick *p, const struct vai__replay_plan *plan)
{
	*p = (struct vai__replay_pick){.plan = *plan, .rand = vai__random_mix(plan->seed + VAI__RANDOM_STEP)};
	if (p->plan.depth > VAI__PICK_LOWERED)
		p->plan.depth = VAI__PICK_LOWERED;
	for (uint32_t i = 0; plan->how == VAI_REPLAY_PCT && i < p->plan.depth; i++)
		p->change[i] = 1 + random_below(p, plan->length ? plan->length : 1);
}

/* ---- PCT ---- */

void vai__replay_pick_lower(struct vai__replay_pick *p, uint32_t g)
{
	uint32_t i = 0;
	if (p->plan.how != VAI_REPLAY_PCT)
		return;
	while (i < VAI__PICK_LOWERED - 1 && p->lowered[i].g != 0 && p->lowered[i].g != g)
		i++;
	p->lowered[i].g = g;
	p->lowered[i].level = ++p->nlowered;
}

/* The larger, the sooner g runs. */
static uint64_t priority(const struct vai__replay_pick *p, uint32_t g)
{
	for (uint32_t i = 0; i < VAI__PICK_LOWERED; i++)
		if (p->lowered[i].g == g)
			return UINT32_MAX - p->lowered[i].level;
	return vai__random_mix(p->plan.seed ^ g * VAI__RANDOM_STEP) | (uint64_t)1 << 63;
}

static uint32_t pick_by_priority(struct vai__replay_pick *p, const uint32_t *candidates, uint32_t n, bool goes_on)
{
	uint32_t best = 0;
	for (uint32_t i = 0; goes_on && i < p->plan.depth; i++)
		if (p->change[i] == p->decisions)
			vai__replay_pick_lower(p, candidates[0]);
	for (uint32_t i = 1; i < n; i++)
		if (priority(p, candidates[i]) > priority(p, candidates[best]))
			best = i;
	return best;
}

/* ---- the others ---- */

static uint32_t pick_by_seed(struct vai__replay_pick *p, uint32_t n, bool goes_on)
{
	if (goes_on && random_below(p, 4) != 0)
		return 0;
	return random_below(p, n);
}

static uint32_t pick_recorded(
	const struct vai__replay_plan *plan, struct vai__replay_at at, const uint32_t *candidates, uint32_t n)
{
	uint32_t next = 0;
	for (size_t i = 0; i < plan->nchoices && next == 0; i++)
		if (plan->choices[i].at.g == at.g && plan->choices[i].at.n == at.n)
			next = plan->choices[i].next;
	for (uint32_t i = 0; i < n; i++)
		if (candidates[i] == next)
			return i;
	return 0;
}

uint32_t vai__replay_pick_next(
	struct vai__replay_pick *p, struct vai__replay_at at, const uint32_t *candidates, uint32_t n, bool goes_on)
{
	p->decisions++;
	switch (p->plan.how) {
	case VAI_REPLAY_SEED: return pick_by_seed(p, n, goes_on);
	case VAI_REPLAY_PCT: return pick_by_priority(p, candidates, n, goes_on);
	default: return pick_recorded(&p->plan, at, candidates, n);
	}
}
