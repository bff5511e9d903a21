/* SPDX-License-Identifier: MIT */
/* Whose turn is next in a seeded run (replay.h). It is asked for a place in a list of candidates, the first of which
 * is the default: who runs goes on, or else who has waited longest has its turn. So a schedule is what differs from
 * that. Pure: the same questions get the same answers. */
#ifndef VAI_REPLAY_PICK_H
#define VAI_REPLAY_PICK_H

#include "base/base.h"
#include "sched/replay.h"

enum { VAI__PICK_LOWERED = 16 };

struct vai__replay_pick {
	struct vai__replay_plan plan;
	uint64_t rand;      /* state of the generator for the schedule's own random numbers */
	uint32_t decisions; /* how many decisions were asked for */
	/* PCT: at these decisions the goroutine that runs falls behind all others. */
	uint32_t change[VAI__PICK_LOWERED];
	struct {
		uint32_t g;     /* a goroutine that fell behind; 0: unused */
		uint32_t level; /* the later that was, the larger */
	} lowered[VAI__PICK_LOWERED];
	uint32_t nlowered; /* how often a goroutine fell behind */
};

/* Makes p ready for the choices of one run by a copy of *plan. */
void vai__replay_pick_begin(struct vai__replay_pick *p, const struct vai__replay_plan *plan);
/* Picks one of n > 1 candidates at that point, and returns its place in the list. goes_on: the first of them runs now
 * and could go on. */
uint32_t vai__replay_pick_next(
	struct vai__replay_pick *p, struct vai__replay_at at, const uint32_t *candidates, uint32_t n, bool goes_on);
/* PCT: goroutine g has yielded, or has had its turn for long: it falls behind all others. */
void vai__replay_pick_lower(struct vai__replay_pick *p, uint32_t g);

#endif
