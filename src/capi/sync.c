/* SPDX-License-Identifier: MIT */
/* vai.h: wait groups, mutexes and contexts. */
#include "base/obj.h"
#include "capi/capi.h"
#include "sync/context.h"
#include "sync/mutex.h"
#include "sync/waitgroup.h"
#include "transfer/message.h"

/* ---- wait groups ---- */

vai_waitgroup *vai_waitgroup_new(void)
{
	return vai__waitgroup_new();
}

int vai_waitgroup_add(vai_waitgroup *wg, int64_t n)
{
	vai_g *g;
	int rc = vai__capi_enter(&g);
	if (rc != VAI_OK)
		return rc;
	vai_ref(wg);
	rc = vai__waitgroup_add(wg, n);
	vai_unref(wg);
	vai__capi_leave(g);
	return rc;
}

int vai_waitgroup_done(vai_waitgroup *wg)
{
	return vai_waitgroup_add(wg, -1);
}

int vai_waitgroup_wait(vai_waitgroup *wg, int64_t ns)
{
	vai_g *self = vai__g_self();
	return self ? vai__capi_at_once(vai__waitgroup_wait(self, wg, vai__capi_deadline(ns)), ns) : VAI_ETHREAD;
}

/* ---- mutexes ---- */

vai_mutex *vai_mutex_new(void)
{
	return vai__mutex_new();
}

int vai_mutex_lock(vai_mutex *m, int64_t ns)
{
	vai_g *self = vai__g_self();
	if (!self)
		return VAI_ETHREAD;
	if (ns <= 0)
		return vai__mutex_trylock(self, m) ? VAI_OK : VAI_EAGAIN;
	return vai__mutex_lock(self, m, vai__capi_deadline(ns));
}

int vai_mutex_unlock(vai_mutex *m)
{
	vai_g *g;
	int rc = vai__capi_enter(&g);
	if (rc != VAI_OK)
		return rc;
	vai_ref(m);
	rc = vai__mutex_unlock(m);
	vai_unref(m);
	vai__capi_leave(g);
	return rc;
}

/* ---- contexts ---- */

vai_context *vai_context_new(vai_context *parent, int64_t ns)
{
	vai_g *self = vai__g_self();
	vai_context *root = !self ? NULL : parent ? vai_ref(parent) : vai__context_new(vai__msg_drop);
	vai_context *ctx = root ? vai__context_child(self, root, vai__capi_deadline(ns)) : NULL;
	vai_unref(root);
	return ctx;
}

int vai_context_cancel(vai_context *ctx)
{
	vai_msg cause = {{0}};
	if (!vai__g_self())
		return VAI_ETHREAD;
	vai__context_cancel(ctx, &cause);
	return VAI_OK;
}

int vai_context_error(vai_context *ctx)
{
	vai_g *g;
	int rc = vai__capi_enter(&g);
	if (rc != VAI_OK)
		return rc;
	rc = vai__context_err(ctx);
	vai__capi_leave(g);
	return rc;
}

vai_chan *vai_context_done(vai_context *ctx)
{
	return vai__g_self() ? vai__context_done(ctx) : NULL;
}

int vai_context_bound(vai_context *ctx)
{
	vai_g *self = vai__g_self();
	return self ? vai__context_bound(self, ctx) : VAI_ETHREAD;
}
