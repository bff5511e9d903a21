/* SPDX-License-Identifier: MIT */
/* Private to sched/: the monitor, what it looks at, and the memory that it gives back. Included by rt.h. Where nothing
 * else is said, sysmon's thread calls; times are vai__clock_real(). */
#ifndef VAI_SYSMON_H
#define VAI_SYSMON_H

#include "sched/rt.h"

/* sysmon.c */
/* Starts the thread. VAI_OK; VAI_ESYS: the system refused (errno). Host's thread. */
int vai__sysmon_start(void);
/* Ends the thread, and blocks until it has ended. Host's thread. */
void vai__sysmon_stop(void);
/* Wakes sysmon if it sleeps because all Ps were idle. Any thread. */
void vai__sysmon_poke(void);
/* Makes sysmon look now. Any thread, also in a signal handler. */
void vai__sysmon_hurry(void);
/* One look at everything. True: another should follow soon. sysmon, and tests. */
bool vai__sysmon_tick(void);
/* sysmon_watch.c: the look at the Ms. "Lock held": sched.lock */
/* Whether m's thread sleeps in a C call. Any thread; lock held. */
bool vai__m_is_asleep(struct m *m);
/* Looks at all Ms once. True: another look should follow soon. */
bool vai__watch_ms(int64_t now);
/* Whether at the last look some goroutine that ran had a bound, or was to end. */
bool vai__watch_needed(void);
/* Whether slices are short, so that a goroutine which is to end has its turn sooner. Any thread. */
bool vai__watch_hurries(int64_t now);
/* A main wants a P and none is idle: takes one from a goroutine that computes. Any thread; lock held. */
void vai__watch_for_main(void);
/* schedtrace.c: VAI_DEBUG */
/* Reads VAI_DEBUG. Host's thread, before sysmon starts. */
void vai__schedtrace_start(void);
/* When the next line is due; VAI_FOREVER: never. */
int64_t vai__schedtrace_next(void);
/* Writes a line, if it is due. */
void vai__schedtrace_tick(int64_t now);
/* scavenge.c: idle memory goes back */
/* Host's thread, before sysmon starts. */
void vai__scavenge_start(void);
/* Ends a period if it is over. idle: nothing runs. */
void vai__scavenge_tick(int64_t now, bool idle);
/* sysmon was woken, so there may be work: a period begins anew. */
void vai__scavenge_awake(int64_t now);
/* When the next tick has to come, even while all is idle; VAI_FOREVER: never. */
int64_t vai__scavenge_next(void);
/* Ends the thread that gives memory back, and blocks until it has ended. */
void vai__scavenge_stop(void);
/* renew.c: waits that last long. Called by sysmon and by the scavenger's thread. */
/* Whether there may be waits to end. */
bool vai__renew_wanted(void);
/* Ends some waits that have begun before the time `before`. True: there may be more, call again. *next, 0 at first,
 * tells the next call where to go on. */
bool vai__renew_some(int64_t *next, int64_t before);

#endif
