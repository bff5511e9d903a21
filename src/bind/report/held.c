/* SPDX-License-Identifier: MIT */
/* What happens when a state gives back its reference to a channel or a lock.
 *
 * A channel that is referred to only by messages in itself is emptied, so that it can be freed.
 *
 * A lock that the state's goroutine still holds is reported. The goroutine has had a handle of the lock in its state,
 * so the state's references at its end include every lock that the goroutine may hold. If the collector frees a
 * handle while the goroutine holds the lock, the state keeps the reference until its end. */
#include "bind/report/held.h"
#include <stdio.h>
#include "base/fork.h"
#include "base/obj.h"
#include "base/mem.h"
#include "bind/goroutine.h"
#include "bind/report/host_log.h"
#include "bind/site.h"
#include "state/handle.h"
#include "state/state.h"
#include "sync/chan.h"
#include "sync/mutex.h"
#include "sync/rwmutex.h"
#include "sched/replay.h"
#include "sync/task.h"
#include "transfer/message.h"

/* The calling goroutine, if vm is its own state and it is not main; otherwise NULL. */
static vai_g *owner(const struct vai_vm *vm)
{
	vai_g *g = vai__g_self();
	return g && g->vm == vm && !vm->is_host ? g : NULL;
}

static void report_held(vai_g *g, const struct vai_obj *o, const char *how)
{
	char who[VAI_TASK_NAME + 40];
	if (vai__replay_is_closing())
		return; /* a seeded run ends by canceling its goroutines, which may hold locks then */
	if (g->task)
		vai__task_title(g->task, who, sizeof who);
	else
		snprintf(who, sizeof who, "goroutine %llu", (unsigned long long)g->id);
	vai__host_log(
		"%s ended with %s%s%s %s", who, o->cls->name, o->site ? " made at " : "", vai__site_text(o->site), how);
}

/* ---- readers ---- */

static struct vai__read *find_read(const vai_g *g, const struct vai_obj *lock, struct vai__read **before)
{
	struct vai__read *r = g->life ? &vai__life(g)->read : NULL;
	for (*before = NULL; r && r->lock != lock; r = r->next)
		*before = r;
	return r;
}

void vai__held_read(vai_g *g, struct vai_obj *lock)
{
	struct vai__read *before, *r = find_read(g, lock, &before);
	if (!r && g->life)
		r = find_read(g, NULL, &before);
	if (!r && before && (r = vai__mem_zalloc(sizeof *r)))
		before->next = r;
	if (!r)
		return;
	r->lock = lock;
	r->n++;
}

static uint64_t take_reads(vai_g *g, struct vai_obj *lock, uint64_t n)
{
	struct vai__read *before, *r = find_read(g, lock, &before);
	if (!r)
		return 0;
	if (n > r->n)
		n = r->n;
	r->n -= n;
	if (r->n > 0)
		return n;
	r->lock = NULL;
	if (before) {
		before->next = r->next;
		vai__mem_free(r, sizeof *r);
	}
	return n;
}

void vai__held_unread(vai_g *g, struct vai_obj *lock)
{
	take_reads(g, lock, 1);
}

/* ---- references that a state gives back ---- */

static void tell_rwmutex(vai_g *g, struct vai_obj *o)
{
	struct vai__rwmutex_info info;
	if (vai__rwmutex_left((vai_rwmutex *)o, g->id))
		report_held(g, o, "locked");
	if (take_reads(g, o, UINT64_MAX) == 0)
		return;
	vai__rwmutex_info((vai_rwmutex *)o, &info);
	if (info.readers > 0) /* otherwise another goroutine has unlocked it for this one */
		report_held(g, o, "locked for reading");
}

static void leave_channel(struct vai_obj *o)
{
	if (o->cls == &vai__chan_class && !vai__forked)
		vai__chan_leave((vai_chan *)o, vai__msg_count_object);
}

static void object_left(struct vai_vm *vm, struct vai_obj *o)
{
	leave_channel(o);
	if (o->cls != &vai__mutex_class && o->cls != &vai__rwmutex_class)
		return;
	vai_g *g = owner(vm);
	if (!g)
		return;
	if (o->cls == &vai__rwmutex_class)
		tell_rwmutex(g, o);
	else if (vai__mutex_left((vai_mutex *)o, g->id))
		report_held(g, o, "locked");
}

static bool holds_lock(vai_g *g, struct vai_obj *o)
{
	struct vai__read *before;
	if (o->cls == &vai__mutex_class) {
		struct vai__mutex_info info;
		vai__mutex_info((vai_mutex *)o, &info);
		return info.holder == g->id;
	}
	if (o->cls == &vai__rwmutex_class) {
		struct vai__rwmutex_info info;
		vai__rwmutex_info((vai_rwmutex *)o, &info);
		return info.writer == g->id || find_read(g, o, &before);
	}
	return false;
}

/* Whether the state has to keep its reference to o, whose handle the collector frees, as its goroutine holds the
 * lock. If the state has the only reference no other goroutine can wait for the lock: then it is not kept, and only
 * taken out of the list of reads. */
static bool state_keeps(struct vai_vm *vm, struct vai_obj *o)
{
	leave_channel(o);
	if (o->cls != &vai__mutex_class && o->cls != &vai__rwmutex_class)
		return false;
	vai_g *g = vai__g_self();
	if (!g || g->vm != vm)
		return false;
	if (atomic_load_relaxed(&o->refs) > 1)
		return holds_lock(g, o);
	take_reads(g, o, UINT64_MAX);
	return false;
}

void vai__held_install(void)
{
	vai__handle_left = object_left;
	vai__handle_keeps = state_keeps;
}
