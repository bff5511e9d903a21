/* SPDX-License-Identifier: MIT */
/* What happens when a state releases a lock or a channel. A channel that only its own messages hold is emptied.
 *
 * Locks that a goroutine holds at its end are reported. A goroutine that locks something has a handle of it in its
 * state, so when the state gives its references back, each lock among them is asked whether that goroutine still holds
 * it. If the collector ends a handle while its goroutine holds the lock, the state keeps the reference for that. */
#include "bind/report/held.h"
#include <stdio.h>
#include "base/fatal.h"
#include "base/fork.h"
#include "base/obj.h"
#include "base/mem.h"
#include "bind/goroutine.h"
#include "bind/site.h"
#include "state/handle.h"
#include "state/state.h"
#include "sync/chan.h"
#include "sync/mutex.h"
#include "sync/rwmutex.h"
#include "sched/replay.h"
#include "sync/task.h"
#include "transfer/message.h"

/* The goroutine whose state vm is, if it releases the object itself; otherwise NULL. */
static vai_g *owner(const struct vai_vm *vm)
{
	vai_g *g = vai__g_self();
	return g && g->vm == vm && !vm->is_host ? g : NULL;
}

static void tell(vai_g *g, const struct vai_obj *o, const char *how)
{
	char who[VAI_TASK_NAME + 40];
	if (vai__replay_is_closing())
		return; /* a seeded run cancels its goroutines wherever they are */
	if (g->task)
		vai__task_title(g->task, who, sizeof who);
	else
		snprintf(who, sizeof who, "goroutine %llu", (unsigned long long)g->id);
	vai__log("%s ended with %s%s%s %s", who, o->cls->name, o->site ? " made at " : "", vai__site_text(o->site), how);
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

/* ---- what a state lets go of ---- */

static void tell_rwmutex(vai_g *g, struct vai_obj *o)
{
	struct vai__rwmutex_info info;
	if (vai__rwmutex_left((vai_rwmutex *)o, g->id))
		tell(g, o, "locked");
	if (take_reads(g, o, UINT64_MAX) == 0)
		return;
	vai__rwmutex_info((vai_rwmutex *)o, &info);
	if (info.readers > 0) /* otherwise another goroutine has unlocked it */
		tell(g, o, "locked for reading");
}

static void leave_channel(struct vai_obj *o)
{
	if (o->cls == &vai__chan_class && !vai__forked)
		vai__chan_leave((vai_chan *)o, vai__msg_count_object);
}

static void left(struct vai_vm *vm, struct vai_obj *o)
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
		tell(g, o, "locked");
}

static bool holds(vai_g *g, struct vai_obj *o)
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

/* Whether the state has to keep its reference. If no other reference exists nobody can miss the lock, apart from the
 * list of reads. */
static bool keeps(struct vai_vm *vm, struct vai_obj *o)
{
	leave_channel(o);
	if (o->cls != &vai__mutex_class && o->cls != &vai__rwmutex_class)
		return false;
	vai_g *g = vai__g_self();
	if (!g || g->vm != vm)
		return false;
	if (atomic_load_relaxed(&o->refs) > 1)
		return holds(g, o);
	take_reads(g, o, UINT64_MAX);
	return false;
}

void vai__held_install(void)
{
	vai__handle_left = left;
	vai__handle_keeps = keeps;
}
