/* SPDX-License-Identifier: MIT */
/* The report of a deadlock: written by the thread that finds it, raised by main. */
#ifndef VAI_DEADLOCK_H
#define VAI_DEADLOCK_H

#include <lua.h>
#include <stdbool.h>

/* vai__sched_hooks.deadlock: writes the report. No other thread of the runtime runs meanwhile. */
void vai__deadlock_note(void);
/* Replaces the report by the text with which a goroutine of a seeded run has failed; the first such text counts. NULL:
 * there was no memory for the text. */
void vai__deadlock_replace(const char *text);
/* Pushes why the seeded run has failed, once. False: it has not, and nothing is pushed. */
bool vai__deadlock_push_failure(lua_State *L);
/* Raises the report in main, whose wait has ended because of the deadlock. */
_Noreturn void vai__report_deadlock(lua_State *L);

#endif
