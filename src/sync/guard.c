/* SPDX-License-Identifier: MIT */
/* Guards. Any goroutine may call; the caller holds a reference during the call. `armed` is the id for which
 * something is to be undone; it is taken out once. */
#include "sync/guard.h"

#include "base/atomic.h"
#include "base/base.h"
#include "base/mem.h"

struct vai_guard {
	struct vai_obj obj;
	struct vai_obj *what; /* one reference */
	void (*undo)(struct vai_obj *what, uint64_t id);
	_Atomic(uint64_t) armed; /* 0: there is nothing to undo */
};

static void destroy(struct vai_obj *o)
{
	vai_guard *guard = VAI_CONTAINER(o, vai_guard, obj);
	vai__guard_fire(guard);
	vai__obj_unref(guard->what);
	vai__mem_free(guard, sizeof *guard);
}

const struct vai_class vai__guard_class = {"guard", destroy};

vai_guard *vai__guard_new(struct vai_obj *what, void (*undo)(struct vai_obj *what, uint64_t id))
{
	vai_guard *guard = vai__obj_new(sizeof *guard, &vai__guard_class);
	if (!guard)
		return NULL;
	vai__obj_ref(what);
	guard->what = what;
	guard->undo = undo;
	return guard;
}

void vai__guard_arm(vai_guard *guard, uint64_t id)
{
	atomic_store_release(&guard->armed, id);
}

void vai__guard_fire(vai_guard *guard)
{
	uint64_t id = atomic_exchange_acq_rel(&guard->armed, 0);
	if (id)
		guard->undo(guard->what, id);
}

struct vai_obj *vai__guard_what(const vai_guard *guard)
{
	return guard->what;
}
