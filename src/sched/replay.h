/* SPDX-License-Identifier: MIT */
/* Seeded runs: a set of goroutines of which one runs at a time, in an order that a plan decides, with a clock that
 * stands while one of them can run and else jumps to the next of their timers. The set is the goroutine that begins the
 * run, and those that they start. Others run as always, and share nothing with the set but the Ps.
 *
 * The goroutines of the set are numbered from 1 in the order in which they were started. The goroutine that has the
 * turn keeps it until it waits, ends or yields, or until the plan takes it away at a point (vai__replay_point).
 * Whatever else takes the goroutine from its thread (a P that is wanted elsewhere, a slice that is over) leaves it the
 * turn.
 *
 * The functions are called by goroutines of the run and do not park, unless a comment says otherwise. */
#ifndef VAI_REPLAY_H
#define VAI_REPLAY_H

#include "sched/sched.h"

enum vai__replay_how { VAI_REPLAY_SEED, VAI_REPLAY_PCT, VAI_REPLAY_RECORDED };
/* A point of goroutine g, at which its turn was over or might have been. n is twice the point's number, counted for
 * this goroutine alone, and one more if the goroutine waited there. So n does not depend on what other goroutines do,
 * and a schedule from which something is left out means the same in the rest of it. */
struct vai__replay_at {
	uint32_t g, n;
};
/* At that point goroutine `next` gets the turn, if it can run. */
struct vai__replay_choice {
	struct vai__replay_at at;
	uint32_t next;
};
struct vai__replay_plan {
	enum vai__replay_how how;
	uint64_t seed;                            /* of the order (but for RECORDED), of select and of math.random */
	uint32_t depth, length;                   /* PCT: so many changes, within so many decisions (replay_pick.c) */
	const struct vai__replay_choice *choices; /* RECORDED, in any order; they stay where they are */
	size_t nchoices;
	uint64_t most;                  /* turns after which the run is broken off */
	uint32_t (*place)(vai_g *self); /* where self is: a number for the record */
};

/* Why a turn was over. */
enum vai__replay_why { VAI_REPLAY_WAITS, VAI_REPLAY_YIELDS, VAI_REPLAY_PREEMPTED, VAI_REPLAY_ENDS };
struct vai__replay_turn {
	int64_t at;          /* the run's clock when it was over: ns since the run began */
	uint32_t g;          /* whose it was */
	uint32_t place;      /* where it was then */
	uint32_t next;       /* who came next */
	uint32_t point;      /* the number of that point of its goroutine */
	bool chosen;         /* another one than the default came next */
	uint8_t why, reason; /* enum vai__replay_why; enum vai_wait_reason if it waits */
};
enum { VAI__REPLAY_NAMED = 8 };
/* A point at which there were several candidates. */
struct vai__replay_decision {
	struct vai__replay_at at;
	uint32_t of, took;                      /* how many, and the place of the one that was taken; 0 is the default */
	uint32_t candidates[VAI__REPLAY_NAMED]; /* the first of them */
	uint32_t next;                          /* the one that was taken */
};
struct vai__replay_record {
	struct vai__replay_turn *turns;
	struct vai__replay_decision *decisions;
	char (*made)[64]; /* vai__g_site of each goroutine */
	size_t nturns, ndecisions, nmade;
	uint64_t most;       /* that of the plan */
	uint32_t goroutines; /* how many were in the run */
	int64_t at;          /* the run's clock at the end */
	bool outside;        /* a goroutine has waited for what the run does not decide (input, a process) */
	bool incomplete;     /* there was no memory for all of it */
	bool exhausted;      /* it was broken off after plan.most turns */
};

/* Begins a run of the calling goroutine, which has the first turn. VAI_EAGAIN: there is one already. */
int vai__replay_begin(vai_g *self, const struct vai__replay_plan *plan);
/* Ends the run that self has begun: the others are canceled and have turns until they have ended; self parks meanwhile.
 * False: some have not ended, because they wait again and again; they go on as ordinary goroutines. */
bool vai__replay_end(vai_g *self);
/* What has happened in the run that there is, or else in the last one. It stays until the next run begins. */
const struct vai__replay_record *vai__replay_record(void);

/* Whether there is a run. Any thread; outside of the run the answer may be an old one. */
bool vai__replay_is_on(void);
/* Whether the run's first goroutine has come to vai__replay_end, and the others are canceled. */
bool vai__replay_is_closing(void);
/* The number of g in the run; 0: it is not in it. */
uint32_t vai__replay_number(const vai_g *g);
/* That number, or else its id: what reports call g. */
static inline uint64_t vai__replay_name(const vai_g *g)
{
	uint32_t n = vai__replay_number(g);
	return n ? n : g->id;
}
/* As vai__g_each, for the goroutines of the run, while none of them runs. */
void vai__replay_each(void (*f)(vai_g *g, const struct vai_g_info *info, void *arg), void *arg);
/* vai__replay_name of the goroutine with that id. */
uint64_t vai__replay_name_of(uint64_t id);
/* A point at which the plan may give the turn to another; self parks meanwhile. slice: self has used up a slice, so the
 * turn goes to another that is ready, whatever the plan says. Outside of a run it does nothing. */
void vai__replay_point(vai_g *self, bool slice);
/* Breaks the run off: waits of its first goroutine, this one and those to come, end with VAI_WAKE_DEADLOCK, and it is
 * the next to run. */
void vai__replay_break(void);
/* Whether self has to give up: it has begun a run that was broken off. */
bool vai__replay_gives_up(const vai_g *self);
/* Sets *out to the next of the run's random numbers, for select. False: the caller is in no run. Any thread. */
bool vai__replay_random(uint64_t *out);
/* Sets *out to the seed of the calling goroutine's math.random. False: it is in no run. */
bool vai__replay_seed(uint64_t *out);

#endif
