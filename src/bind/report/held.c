/* SPDX-License-Identifier: MIT */
/* A goroutine that locks something has a handle of it in its state. So when the state gives its
 * references back, each is asked whether that goroutine still holds it. A handle that the collector
 * takes while its goroutine holds the lock leaves its reference in the state for that. */
#include "bind/report/held.h"
#include <stdio.h>
#include "base/obj.h"
#include "bind/site.h"
#include "state/handle.h"
#include "state/state.h"
#include "sync/mutex.h"
#include "sync/task.h"

/* The goroutine whose state vm is, when it lets go by itself; or NULL. */
static vai_g *owner(const struct vai_vm *vm)
{
	vai_g *g = vai__g_self();
	return g && g->vm == vm && !vm->is_host ? g : NULL;
}

static void tell(vai_g *g, const struct vai_obj *o, const char *how)
{
	char who[VAI_TASK_NAME + 40];
	if (g->task)
		vai__task_title(g->task, who, sizeof who);
	else
		snprintf(who, sizeof who, "goroutine %llu", (unsigned long long)g->id);
	fprintf(stderr, "vai: %s ended with %s%s%s %s\n", who, o->cls->name, o->site ? " made at " : "",
		vai__site_text(o->site), how);
}

static void leaves(struct vai_vm *vm, struct vai_obj *o)
{
	vai_g *g = owner(vm);
	if (g && o->cls == &vai__mutex_class && vai__mutex_left((vai_mutex *)o, g->id))
		tell(g, o, "locked");
}

/* Where nobody else has it nobody can miss it. */
static bool keeps(struct vai_vm *vm, struct vai_obj *o)
{
	vai_g *g = owner(vm);
	if (!g || o->cls != &vai__mutex_class || atomic_load_relaxed(&o->refs) == 1)
		return false;
	struct vai__mutex_info info;
	vai__mutex_info((vai_mutex *)o, &info);
	return info.holder == g->id;
}

void vai__held_install(void)
{
	vai__handle_left = leaves;
	vai__handle_keeps = keeps;
}
