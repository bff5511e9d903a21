/* SPDX-License-Identifier: MIT */
/* How long a call may wait: one rule for all calls. Used by the goroutine that waits. */
#ifndef VAI_WAIT_LIMIT_H
#define VAI_WAIT_LIMIT_H

#include "bind/arg.h"
#include "sync/context.h"

struct vai__limit {
	int64_t deadline; /* absolute, ns; 0: the call does not wait */
	vai_context *ctx; /* a context that ends the wait when it is done, borrowed from the Lua stack; or NULL */
};
/* The limit at idx: none or nil (the call waits for ever), seconds from now, or a context. */
struct vai__limit vai__arg_limit(lua_State *L, int idx, int arg, const char *fname);
/* The result of the expression `call`, which waits until limit.deadline at the latest; its waits end when limit.ctx is
 * done. If that is done already `call` is not evaluated. `call` must not raise. */
#define VAI_LIMITED(g, limit, call) (vai__limit_enter((g), &(limit)) ?: vai__limit_leave((g), (call)))

/* The two halves of VAI_LIMITED. After enter the context ends the goroutine's waits; VAI_OK, or why the context is
 * over already. After leave it does not any more. */
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
