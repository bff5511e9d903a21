/* SPDX-License-Identifier: MIT */
/* How long a call may wait: the one rule for all of them. Called by the goroutine that waits. */
#ifndef VAI_WAIT_LIMIT_H
#define VAI_WAIT_LIMIT_H

#include "bind/arg.h"
#include "sync/context.h"

struct vai__limit {
	int64_t deadline; /* 0: not at all */
	vai_context *ctx; /* until it is done, or NULL. Borrowed from the Lua stack */
};
/* The limit at idx: none or nil is for ever, seconds from now, or a context. */
struct vai__limit vai__arg_limit(lua_State *L, int idx, int arg, const char *fname);
/* The result of `call`, which waits within limit.deadline; waits in it end when limit.ctx is done. Where
 * that is so already, nothing is called. `call` raises nothing. */
#define VAI_LIMITED(g, limit, call) (vai__limit_enter((g), &(limit)) ?: vai__limit_leave((g), (call)))

/* The two halves of VAI_LIMITED: waits are bound by the context, VAI_OK or why it is over already; and not any more. */
static inline int vai__limit_enter(vai_g *g, const struct vai__limit *limit)
{
	return VAI_LIKELY(!limit->ctx) ? VAI_OK : vai__context_bound(g, limit->ctx);
}

static inline int vai__limit_leave(vai_g *g, int rc)
{
	g->bound = NULL;
	return rc;
}

#endif
