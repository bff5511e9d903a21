/* SPDX-License-Identifier: MIT */
/* Private to capi/, and what bind/ adds to it. */
#ifndef VAI_CAPI_H
#define VAI_CAPI_H

#include "base/base.h"
#include "base/clock.h"
#include "sched/sched.h"
#include "sync/chan.h"

/* The deadline (absolute, ns) of a wait of ns from now; 0, which does not wait, stays 0. */
static inline int64_t vai__capi_deadline(int64_t ns)
{
	if (ns <= 0)
		return 0;
	return vai__clock_add(ns == VAI_FOREVER ? 0 : vai__clock_now(), ns);
}

/* The result of a wait of ns: if ns is 0, VAI_ETIMEOUT of a wait that has only a deadline becomes VAI_EAGAIN. */
static inline int vai__capi_at_once(int rc, int64_t ns)
{
	return rc == VAI_ETIMEOUT && ns <= 0 ? VAI_EAGAIN : rc;
}

/* Begins a call by any thread, also one that vai does not know. VAI_OK: *g is the thread's goroutine or NULL, and
 * vai__capi_leave(*g) ends the call; or VAI_ESTOPPED. */
int vai__capi_enter(vai_g **g);
/* The same for a call that may wait for ns. VAI_ETHREAD: it may, and the thread runs no goroutine. */
int vai__capi_enter_wait(vai_g **g, int64_t ns);
void vai__capi_leave(vai_g *g);

/* What a channel's elements are; NONE: no channel of the C API. */
enum vai__capi_kind { VAI__CAPI_BYTES, VAI__CAPI_VALUES, VAI__CAPI_NONE };
enum vai__capi_kind vai__capi_kind(const vai_chan *ch);
/* The drop function of the channels of int64_t that vai makes itself: vai__capi_kind knows them by it. */
void vai__capi_drop_stamp(vai_msg *msg);

/* Closes for vai the Lua state of that main goroutine, the caller, as lua_close does. Returns whether there was one.
 * Set by bind/; NULL without Lua. */
extern bool (*vai__capi_detach)(vai_g *main);

#endif
