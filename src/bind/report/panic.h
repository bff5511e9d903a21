/* SPDX-License-Identifier: MIT */
/* What becomes of an error that no Lua code has caught. */
#ifndef VAI_PANIC_H
#define VAI_PANIC_H

#include "bind/arg.h"
#include "bind/main_state.h"
#include "sync/task.h"

/* The message handler below every goroutine: keeps the error and notes the traceback. As a lua_CFunction. */
int vai__report_handler(lua_State *L);
/* After a pcall with that handler, replaces the error on top by three values: the error, its text, and its traceback
 * ("" if there is none). In protected calls only. */
void vai__report_describe(lua_State *L);
/* The error on top of L has ended a goroutine, and no task keeps it: hands it to vai.on_panic's function; without one
 * reports it and, unless `goes_on`, ends the process. */
void vai__report_panic(vai_g *g, lua_State *L, bool goes_on);
/* The same, with a text for the error, if the goroutine has no Lua state, or its error could not be kept. */
void vai__report_panic_plain(vai_g *g, const char *text, bool goes_on);
/* For vai__task_new: called when the task has failed and nobody can join it any more. */
void vai__report_orphan(vai_task *task);
/* Sets that uncaught errors end the process. Before a state has goroutines. */
void vai__report_start(struct vai__main *main);
/* Runs the panic handlers that are still due. From then on uncaught errors are ignored. For main alone, at its end. */
void vai__report_flush(lua_State *L, struct vai__main *main);
/* vai.on_panic, as a lua_CFunction. */
int vai__lib_on_panic(lua_State *L);

#endif
