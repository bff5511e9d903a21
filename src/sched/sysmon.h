/* SPDX-License-Identifier: MIT */
/* Private to sched/: the monitor, and the memory that it gives back. Included by rt.h. */
#ifndef VAI_SYSMON_H
#define VAI_SYSMON_H

#include "sched/rt.h"

/* sysmon.c */
int vai__sysmon_start(void);  /* its thread; VAI_ESYS: the system refused (errno) */
void vai__sysmon_stop(void);  /* waits until the thread has ended */
void vai__sysmon_poke(void);  /* not all Ps are idle any more */
void vai__sysmon_hurry(void); /* makes sysmon look now */
bool vai__sysmon_tick(void);  /* one look at everything; sysmon's own and tests' */
/* scavenge.c: idle memory goes back; sysmon's */
void vai__scavenge_start(void);
void vai__scavenge_tick(int64_t now, bool idle); /* ends a period if it is over; idle: nothing runs */
void vai__scavenge_awake(int64_t now);           /* sysmon was woken: it may get busy again */
int64_t vai__scavenge_next(void);                /* when sysmon has to call the next tick, also if all is idle */
void vai__scavenge_stop(void);                   /* waits for the thread that gives back */
/* renew.c: waits that last long; called by the scavenger */
bool vai__renew_wanted(void); /* there may be some */
/* Ends some waits that have begun before that time. True: to be called again. *next: 0 at first. */
bool vai__renew_some(int64_t *next, int64_t before);

#endif
