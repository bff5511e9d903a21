/* SPDX-License-Identifier: MIT */
/* vai.h: goroutines of C code. What one is to do lies in a block that the goroutine frees when it begins. The outcome
 * of a task is a light userdata in the form of transfer/message.h, which Lua code gets that joins it. */
#include "base/mem.h"
#include "base/obj.h"
#include "capi/capi.h"
#include "sync/context.h"
#include "sync/task.h"
#include "sync/ticker.h"
#include "sync/timer_object.h"
#include "transfer/message.h"

struct work {
	void (*f)(void *arg);
	void *(*with_result)(void *arg); /* used instead of f */
	void *arg;
};

static struct work *new_work(struct work what)
{
	struct work *w = vai__mem_alloc(sizeof *w);
	if (w)
		*w = what;
	return w;
}

static struct work take(void *arg)
{
	struct work w = *(struct work *)arg;
	vai__mem_free(arg, sizeof w);
	return w;
}

static void entry(vai_g *g, void *arg)
{
	struct work w = take(arg);
	w.f(w.arg);
	g->bound = NULL;
}

static void entry_of_task(vai_g *g, void *arg)
{
	struct work w = take(arg);
	vai_task *task = g->task;
	void *result = NULL;
	if (w.with_result)
		result = w.with_result(w.arg);
	else
		w.f(w.arg);
	vai_msg outcome = vai_value_pointer(result);
	g->bound = NULL;
	vai__task_finish(task, VAI_TASK_DONE, &outcome);
	g->task = NULL;
	vai__obj_unref((struct vai_obj *)task);
}

/* Starts f(arg). self is NULL in a timer's callback. False: out of memory. */
static bool go(vai_g *self, void (*f)(void *), void *arg)
{
	struct work *w = new_work((struct work){.f = f, .arg = arg});
	vai_g *g = w ? vai__g_new(entry, w) : NULL;
	if (g)
		vai__g_start(self, g);
	else
		vai__mem_free(w, sizeof *w);
	return g != NULL;
}

int vai_go(void (*f)(void *), void *arg)
{
	vai_g *self = vai__g_self();
	return !self ? VAI_ETHREAD : go(self, f, arg) ? VAI_OK : VAI_ENOMEM;
}

int vai_post(void (*f)(void *), void *arg)
{
	vai_g *g;
	int rc = vai__capi_enter(&g);
	if (rc != VAI_OK)
		return rc;
	struct work *w = new_work((struct work){.f = f, .arg = arg});
	if (!w || !vai__g_post(entry, w)) {
		vai__mem_free(w, sizeof *w);
		rc = VAI_ENOMEM;
	}
	vai__capi_leave(g);
	return rc;
}

static void drop_nothing(vai_msg *msg)
{
	(void)msg;
}

/* Makes a goroutine with a task, and does not start it. on_main: only the host's thread runs it. */
static vai_task *new_task(struct work what, bool on_main)
{
	struct work *w = new_work(what);
	vai_g *g = !w ? NULL : on_main ? vai__g_new_on_main(entry_of_task, w) : vai__g_new(entry_of_task, w);
	vai_task *task = g ? vai__task_new(g, drop_nothing, NULL) : NULL;
	if (task) {
		g->task = task;
		return vai_ref(task);
	}
	if (g)
		vai__g_discard(g);
	vai__mem_free(w, sizeof *w);
	return NULL;
}

vai_task *vai_spawn(void *(*f)(void *), void *arg)
{
	vai_g *self = vai__g_self();
	vai_g *g;
	vai_task *task = self ? new_task((struct work){.with_result = f, .arg = arg}, false) : NULL;
	if (!task)
		return NULL;
	g = vai__task_g(task);
	vai__g_start(self, g);
	return task;
}

int vai_join(vai_task *task, void **result, int64_t ns)
{
	vai_g *self = vai__g_self();
	if (!self)
		return VAI_ETHREAD;
	int rc = vai__capi_at_once(vai__task_join(self, task, vai__capi_deadline(ns)), ns);
	if (rc != VAI_OK)
		return rc;
	vai__task_joined(task);
	if (result)
		*result = vai_value_to_pointer(vai__task_outcome(task));
	return VAI_OK;
}

bool vai_cancel(vai_task *task)
{
	vai_msg reason = {{0}};
	return vai__g_self() && vai__task_cancel(task, &reason);
}

int vai_on_host(void (*f)(void *), void *arg)
{
	vai_g *self = vai__g_self();
	if (!self)
		return VAI_ETHREAD;
	if (vai__g_is_main(self) || vai__g_on_main(self)) {
		f(arg);
		return VAI_OK;
	}
	vai_task *task = new_task((struct work){.f = f, .arg = arg}, true);
	if (!task)
		return VAI_ENOMEM;
	vai__g_start(self, vai__task_g(task));
	int rc = vai__task_join(self, task, VAI_FOREVER);
	vai_unref(task);
	return rc;
}

int vai_yield(void)
{
	vai_g *self = vai__g_self();
	if (!self)
		return VAI_ETHREAD;
	vai__yield(self);
	return VAI_OK;
}

int vai_sleep(int64_t ns)
{
	vai_g *self = vai__g_self();
	if (!self)
		return VAI_ETHREAD;
	return vai__sleep(self, vai__capi_deadline(ns));
}

uint64_t vai_id(void)
{
	const vai_g *self = vai__g_self();
	return self ? self->id : 0;
}

int vai_block_begin(void)
{
	vai_g *self = vai__g_self();
	if (!self)
		return VAI_ETHREAD;
	vai__g_block_begin(self);
	return VAI_OK;
}

int vai_block_end(void)
{
	vai_g *self = vai__g_self();
	if (!self)
		return VAI_ETHREAD;
	vai__g_block_end(self);
	return VAI_OK;
}

/* ---- timers ---- */

/* Called under the lock of timers. */
static bool fire(void *arg)
{
	const struct work *w = arg;
	return go(NULL, w->f, w->arg);
}

static void release(void *arg)
{
	vai__mem_free(arg, sizeof(struct work));
}

static int64_t when(int64_t ns)
{
	return ns <= 0 ? vai__clock_now() : vai__capi_deadline(ns);
}

vai_timer *vai_timer_new(int64_t ns, void (*f)(void *), void *arg)
{
	vai_g *self = vai__g_self();
	struct work *w = self ? new_work((struct work){.f = f, .arg = arg}) : NULL;
	vai_timer *t = w ? vai__timer_object_new(self, when(ns), fire, release, w, false) : NULL;
	if (w && !t)
		vai__mem_free(w, sizeof *w);
	return t;
}

bool vai_timer_stop(vai_timer *t)
{
	return vai__g_self() && vai__timer_object_stop(t);
}

int vai_timer_reset(vai_timer *t, int64_t ns)
{
	vai_g *self = vai__g_self();
	bool was;
	return self ? vai__timer_object_reset(self, t, when(ns), &was) : VAI_ETHREAD;
}

static void stamp(vai_msg *out, int64_t now)
{
	*out = (vai_msg){{(uint64_t)now, 0, 0, 0}};
}

vai_chan *vai_tick(int64_t ns)
{
	vai_g *self = vai__g_self();
	vai_ticker *t = self && ns > 0 ? vai__ticker_new(self, ns, stamp, vai__capi_drop_stamp) : NULL;
	vai_chan *ch = t ? vai_ref(vai__ticker_chan(t)) : NULL;
	vai_unref(t);
	return ch;
}
