/* SPDX-License-Identifier: MIT */
/* What becomes of an error that no Lua code has caught. */
#ifndef VAI_PANIC_H
#define VAI_PANIC_H

#include "bind/arg.h"
#include "bind/main_state.h"
#include "sync/task.h"

/* The message handler under every goroutine: notes the traceback, keeps the error. */
int vai__report_handler(lua_State *L);
/* After such a pcall: pushes text and traceback ("" if there is none) of the error at the
 * top, in place of it: error, text, traceback. Protected calls only. */
void vai__report_describe(lua_State *L);
/* The error at the top of L ended a goroutine whose error no task keeps: hands it to vai.on_panic's
 * function, or reports it and, unless it `goes_on`, ends the process. */
void vai__report_panic(vai_g *g, lua_State *L, bool goes_on);
/* The same, where not even a Lua state could be had. */
void vai__report_panic_plain(vai_g *g, const char *text, bool goes_on);
/* For vai__task_new: the task has failed, and nobody has joined it. */
void vai__report_orphan(vai_task *task);
/* Before the goroutines of a state: uncaught errors end the process. */
void vai__report_start(struct vai__main *main);
/* Runs the panic handlers that main has not come to; main only, at the end;
 * uncaught errors are nobody's business from then on. */
void vai__report_flush(lua_State *L, struct vai__main *main);
/* vai.on_panic, as a lua_CFunction. */
int vai__lib_on_panic(lua_State *L);

#endif
