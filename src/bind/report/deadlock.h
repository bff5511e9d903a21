/* SPDX-License-Identifier: MIT */
/* The report of a deadlock: noted by the thread that finds it, raised by main. */
#ifndef VAI_DEADLOCK_H
#define VAI_DEADLOCK_H

#include <lua.h>

/* vai__sched_hooks.deadlock: writes the report. Nothing runs meanwhile. */
void vai__deadlock_note(void);
/* Raises the report in main, whose wait has ended for it. */
_Noreturn void vai__report_deadlock(lua_State *L);

#endif
