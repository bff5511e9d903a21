/* SPDX-License-Identifier: MIT */
/* vai.h: goroutines of C code. What one is to do lies in a block that the goroutine frees when it begins, so nothing
 * of it is left while it runs. The outcome of a task is a light userdata in the form of transfer/message.h, so Lua code
 * that joins one gets that. */
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
	void *(*f_of_task)(void *arg); /* in place of f */
	void *arg;
};

static struct work *new_work(void (*f)(void *), void *(*f_of_task)(void *), void *arg)
{
	struct work *w = vai__mem_alloc(sizeof *w);
	if (w)
		*w = (struct work){f, f_of_task, arg};
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
	vai_msg outcome = vai_value_pointer(w.f_of_task(w.arg));
	g->bound = NULL;
	vai__task_finish(task, VAI_TASK_DONE, &outcome);
	g->task = NULL;
	vai__obj_unref((struct vai_obj *)task);
}

int vai_go(void (*f)(void *), void *arg)
{
	vai_g *self = vai__g_self();
	if (!self)
		return VAI_ETHREAD;
	struct work *w = new_work(f, NULL, arg);
	vai_g *g = w ? vai__g_new(entry, w) : NULL;
	if (!g) {
		vai__mem_free(w, sizeof *w);
		return VAI_ENOMEM;
	}
	vai__g_start(self, g);
	return VAI_OK;
}

int vai_post(void (*f)(void *), void *arg)
{
	vai_g *g;
	int rc = vai__capi_enter(&g);
	if (rc != VAI_OK)
		return rc;
	struct work *w = new_work(f, NULL, arg);
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

/* A goroutine with a task, not started; on_main: one that only the host's thread runs. */
static vai_task *new_task(void *(*f)(void *), void *arg, bool on_main)
{
	struct work *w = new_work(NULL, f, arg);
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
	vai_task *task = self ? new_task(f, arg, false) : NULL;
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
	int rc = vai__task_join(self, task, vai__capi_deadline(ns));
	if (rc == VAI_ETIMEOUT && ns <= 0)
		return VAI_EAGAIN;
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

struct call {
	void (*f)(void *arg);
	void *arg;
};

static void *call(void *arg)
{
	struct call c = *(struct call *)arg;
	vai__mem_free(arg, sizeof c);
	c.f(c.arg);
	return NULL;
}

int vai_on_host(void (*f)(void *), void *arg)
{
	vai_g *self = vai__g_self();
	if (!self)
		return VAI_ETHREAD;
	if (self == vai__g_main() || vai__g_on_main(self)) {
		f(arg);
		return VAI_OK;
	}
	struct call *c = vai__mem_alloc(sizeof *c);
	vai_task *task = NULL;
	if (c) {
		*c = (struct call){f, arg};
		task = new_task(call, c, true);
	}
	if (!task) {
		vai__mem_free(c, sizeof *c);
		return VAI_ENOMEM;
	}
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

/* Under the lock of timers. */
static bool fire(void *arg)
{
	struct work *w = arg, *own = new_work(w->f, NULL, w->arg);
	vai_g *g = own ? vai__g_new(entry, own) : NULL;
	if (!g) {
		vai__mem_free(own, sizeof *own);
		return false;
	}
	vai__g_start(NULL, g);
	return true;
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
	struct work *w = self ? new_work(f, NULL, arg) : NULL;
	vai_timer_object *t = w ? vai__timer_object_new(self, when(ns), fire, release, w) : NULL;
	if (w && !t)
		vai__mem_free(w, sizeof *w);
	return (vai_timer *)(void *)t;
}

bool vai_timer_stop(vai_timer *t)
{
	return vai__g_self() && vai__timer_object_stop((vai_timer_object *)(void *)t);
}

int vai_timer_reset(vai_timer *t, int64_t ns)
{
	vai_g *self = vai__g_self();
	bool was;
	return self ? vai__timer_object_reset(self, (vai_timer_object *)(void *)t, when(ns), &was) : VAI_ETHREAD;
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
