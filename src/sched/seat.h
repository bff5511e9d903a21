/* SPDX-License-Identifier: MIT */
/* The place in the poller (seat.c): which M sleeps there. Included by rt.h. Where nothing else is said, m's thread
 * calls. */
#ifndef VAI_SEAT_H
#define VAI_SEAT_H

#include <stdbool.h>
#include <stdint.h>

struct m;

struct vai__seat {
	bool sat;        /* the M last slept in the poller, not on its futex */
	int brief;       /* how often in a row it was asleep again in time (BRIEF in seat.c) */
	int64_t rose_at; /* when it was woken and got its P; 0: not since it slept */
};

/* m goes to sleep. True: it has the place, and sleeps in the poller. */
bool vai__seat_take(struct m *m);
/* The M that had the place has awoken. */
void vai__seat_leave(void);
/* m, which has a P, works from now on. True: the place is kept for it. */
bool vai__seat_rise(struct m *m);
/* m has given its P up, as there is no work. */
void vai__seat_return(struct m *m);
/* Whether the place is kept for an M that works. Any thread. */
bool vai__seat_is_kept(void);
/* Whether events of the poller are noticed: an M sleeps there, or the place is kept. Any thread. */
bool vai__seat_is_watched(void);
/* Looks into the poller without waiting. False: nothing is pending, or another thread polls. Any thread. */
bool vai__seat_look(void);
/* Takes the place from an M that is not back in time. sysmon. */
void vai__seat_watch(int64_t now);
/* How often in a row an M must have been back in time, so that the place is kept for it; the simulation changes it. */
extern int vai__seat_times;

#endif
