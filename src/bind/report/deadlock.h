/* SPDX-License-Identifier: MIT */
/* The report of a deadlock: noted by the thread that finds it, raised by main. */
#ifndef VAI_DEADLOCK_H
#define VAI_DEADLOCK_H

#include <lua.h>
#include <stdbool.h>

/* vai__sched_hooks.deadlock: writes the report. Nothing runs meanwhile. */
void vai__deadlock_note(void);
/* A goroutine of a seeded run has failed: the text is what vai__report_deadlock raises there, if it is the first. NULL:
 * there was no memory for it. */
void vai__deadlock_replace(const char *text);
/* Pushes why the seeded run has failed, or nothing: false. Once. */
bool vai__deadlock_push_failure(lua_State *L);
/* Raises the report in main, whose wait has ended for it. */
_Noreturn void vai__report_deadlock(lua_State *L);

#endif
