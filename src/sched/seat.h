/* SPDX-License-Identifier: MIT */
/* The place in the poller: part of rt.h, which includes it. */
#ifndef VAI_SEAT_H
#define VAI_SEAT_H

#include <stdbool.h>
#include <stdint.h>

struct m;

struct vai__seat {
	bool sat;        /* it last slept in the poller */
	int brief;       /* how often in a row it was back from work at once */
	int64_t rose_at; /* when it was woken and got its P; 0: not since it slept */
};

bool vai__seat_take(struct m *m);   /* m goes to sleep; true: it does so in the poller */
void vai__seat_leave(void);         /* it has awoken there */
bool vai__seat_rise(struct m *m);   /* m, which has a P, works from now on; true: the place is kept for it */
void vai__seat_return(struct m *m); /* it has given its P up, as there is no work */
bool vai__seat_is_kept(void), vai__seat_is_watched(void);
bool vai__seat_look(void);         /* without waiting; false: nothing is pending, or another thread polls */
void vai__seat_watch(int64_t now); /* sysmon: takes the place from an M that is not back in time */
/* How often in a row an M must have been back in time; the simulation changes it. */
extern int vai__seat_times;

#endif
