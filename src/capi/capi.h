/* SPDX-License-Identifier: MIT */
/* Private to capi/, and what bind/ adds to it. */
#ifndef VAI_CAPI_H
#define VAI_CAPI_H

#include "base/base.h"
#include "base/clock.h"
#include "sched/sched.h"
#include "sync/chan.h"

/* A span of time as a deadline: 0 stays 0, which does not wait. */
static inline int64_t vai__capi_deadline(int64_t ns)
{
	if (ns <= 0)
		return 0;
	return vai__clock_add(ns == VAI_FOREVER ? 0 : vai__clock_now(), ns);
}

/* The result of a wait of ns: what takes a deadline and knows no "does not wait" says timeout there. */
static inline int vai__capi_at_once(int rc, int64_t ns)
{
	return rc == VAI_ETIMEOUT && ns <= 0 ? VAI_EAGAIN : rc;
}

/* The calling thread, which may be unknown to vai, comes to use what goroutines use, *g with its goroutine or NULL.
 * VAI_OK, and vai__capi_leave(*g) follows, or VAI_ESTOPPED. */
int vai__capi_enter(vai_g **g);
/* The same for a call that waits for ns at most, which only goroutines may: VAI_ETHREAD. */
int vai__capi_enter_wait(vai_g **g, int64_t ns);
void vai__capi_leave(vai_g *g);

/* How the channel's elements look. */
enum vai__capi_kind { VAI__CAPI_BYTES, VAI__CAPI_VALUES, VAI__CAPI_NONE };
enum vai__capi_kind vai__capi_kind(const vai_chan *ch);
/* A channel of int64_t is made by others with this as its drop function. */
void vai__capi_drop_stamp(vai_msg *msg);

/* Closes for vai the state of Lua's of that main goroutine, the caller, as lua_close does; returns whether there was
 * one. Set by bind/, or NULL. */
extern bool (*vai__capi_detach)(vai_g *main);

#endif
