/* SPDX-License-Identifier: MIT */
/* The functions of the module's table, file by file, and the types of its objects. Each function is a lua_CFunction
 * with the name that Lua knows it by (vai__lib_go is vai.go): lua/vai/types.lua describes its arguments and results,
 * what it raises and whether it waits. It runs on the goroutine that calls it, and raises on threads that run none.
 * Functions that push a table (vai.net, vai.fs, ...) are called once in each state. */
#ifndef VAI_LIB_H
#define VAI_LIB_H

#include "sched/sched.h"
#include "data/bytes.h"
#include "state/handle.h"
#include "sync/context.h"

/* golib.c: goroutines and their tasks */
int vai__lib_go(lua_State *L);
int vai__lib_async(lua_State *L);
int vai__lib_yield(lua_State *L);
int vai__lib_id(lua_State *L);
int vai__lib_count(lua_State *L);
int vai__lib_maxprocs(lua_State *L);
int vai__lib_numcpu(lua_State *L);
int vai__lib_stats(lua_State *L);
extern const struct vai__handle_type vai__lib_task_type;
/* Pushes the outcome of a task that has ended: true, results... or false, error and, if that was raised, its
 * traceback. Returns the number of values. */
int vai__lib_push_outcome(lua_State *L, vai_g *g, struct vai_task *task);
/* spawnlib.c: goroutines with bounds or with a thread of their own */
int vai__lib_spawn(lua_State *L);
int vai__lib_lock_thread(lua_State *L);
int vai__lib_unlock_thread(lua_State *L);
/* dumplib.c */
int vai__lib_dump(lua_State *L);
/* chanlib.c, selectlib.c */
int vai__lib_chan(lua_State *L);
int vai__lib_select(lua_State *L);
extern const struct vai__handle_type vai__lib_chan_type;
/* waitlib.c */
int vai__lib_waitgroup(lua_State *L);
extern const struct vai__handle_type vai__lib_waitgroup_type;
/* contextlib.c */
int vai__lib_context(lua_State *L);
extern const struct vai__handle_type vai__lib_context_type, vai__lib_after_type;
/* deferlib.c, symbollib.c */
int vai__lib_defer(lua_State *L);
int vai__lib_symbol(lua_State *L);
/* mutexlib.c, guardlib.c */
int vai__lib_mutex(lua_State *L);
extern const struct vai__handle_type vai__lib_guard_type, vai__lib_mutex_type;
/* rwmutexlib.c, condlib.c, oncelib.c, semaphorelib.c */
int vai__lib_rwmutex(lua_State *L);
int vai__lib_cond(lua_State *L);
int vai__lib_once(lua_State *L);
int vai__lib_once_value(lua_State *L);
int vai__lib_semaphore(lua_State *L);
extern const struct vai__handle_type vai__lib_rwmutex_type, vai__lib_cond_type, vai__lib_once_type,
	vai__lib_semaphore_type;
/* atomiclib.c, maplib.c */
int vai__lib_atomic(lua_State *L);
int vai__lib_map(lua_State *L);
extern const struct vai__handle_type vai__lib_atomic_type, vai__lib_map_type, vai__lib_snapshot_type;
/* bufferlib.c */
int vai__lib_buffer(lua_State *L);
/* The range of bytes that the optional arguments i and j at stack index idx and idx + 1 give, by default all of b.
 * Returns its length; *i: its first byte. arg: the number of the argument i. Raises. */
uint64_t vai__lib_places(lua_State *L, vai_bytes *b, int idx, int arg, int64_t *i, const char *fname);
extern const struct vai__handle_type vai__lib_buffer_type;
/* freezelib.c, frozenlib.c */
int vai__lib_freeze(lua_State *L);
int vai__lib_thaw(lua_State *L);
int vai__lib_next(lua_State *L);
/* Whether the value at idx is a frozen table. */
bool vai__lib_frozen_at(lua_State *L, int idx);
/* Replaces a frozen table at idx by a copy, for C code that reads tables by lua_next or raw access. False: the value
 * was no frozen table, and nothing is done. */
bool vai__lib_thaw_at(lua_State *L, int idx);
/* Sets the hooks by which messages and handles treat frozen tables. Once per process. */
void vai__lib_frozen_install(void);
extern const struct vai__handle_type vai__lib_frozen_type, vai__lib_view_type;
/* grouplib.c */
int vai__lib_group(lua_State *L);
extern const struct vai__handle_type vai__lib_group_type;
/* Pushes what ctx:cause() returns: why ctx is over, which may be the error of a group's child; nil if ctx is not
 * over. May raise. */
void vai__lib_push_cause(lua_State *L, vai_g *g, vai_context *ctx);
/* supervisorlib.c */
int vai__lib_supervisor(lua_State *L);
/* netlib.c pushes the table vai.net; connlib.c, listenlib.c, servelib.c */
int vai__lib_net(lua_State *L);
extern const struct vai__handle_type vai__lib_conn_type, vai__lib_listener_type, vai__lib_packet_type,
	vai__lib_server_type;
/* processlib.c, signallib.c */
int vai__lib_process(lua_State *L);
int vai__lib_signal(lua_State *L);
int vai__lib_tty(lua_State *L);
int vai__lib_stdin(lua_State *L);
int vai__lib_stdout(lua_State *L);
int vai__lib_stderr(lua_State *L);
extern const struct vai__handle_type vai__lib_process_type, vai__lib_tty_type;
/* socketlib.c pushes the tables vai.socket and vai.compat */
int vai__lib_socket(lua_State *L);
int vai__lib_compat(lua_State *L);
/* fslib.c pushes the table vai.fs; filelib.c */
int vai__lib_fs(lua_State *L);
extern const struct vai__handle_type vai__lib_file_type;
/* testlib.c pushes the table vai.test */
int vai__lib_test(lua_State *L);
/* extensionlib.c */
int vai__lib_extension(lua_State *L);
int vai__lib_idle_timer(lua_State *L);
/* timelib.c */
int vai__lib_sleep(lua_State *L);
int vai__lib_now(lua_State *L);
int vai__lib_after(lua_State *L);
int vai__lib_timer(lua_State *L);
int vai__lib_ticker(lua_State *L);
extern const struct vai__handle_type vai__lib_timer_type, vai__lib_ticker_type;

#endif
