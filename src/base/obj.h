/* SPDX-License-Identifier: MIT */
/* Reference-counted objects that live outside every Lua heap (channels, wait groups,
 * tasks, ...). The struct vai_obj is the first member of each. Any thread may call. */
#ifndef VAI_OBJ_H
#define VAI_OBJ_H

#include <stdbool.h>
#include <stdint.h>
#include "base/atomic.h"
#include "base/mem.h"

struct vai_obj;

struct vai_class {
	const char *name;                  /* the word for it in messages to users, such as "channel" */
	void (*destroy)(struct vai_obj *); /* called when the last reference has gone */
};

struct vai_obj {
	const struct vai_class *cls;
	atomic_uint refs;
	uint32_t site; /* where it was created (the number of bind/site.h), for dumps; 0: unknown */
};

/* Makes o an object of the class, with one reference, which the caller owns. */
static inline void vai__obj_init(struct vai_obj *o, const struct vai_class *cls)
{
	o->cls = cls;
	atomic_init(&o->refs, 1);
	o->site = 0;
}

/* A new object of `size` bytes, all zero but for its head. The caller owns its one reference. NULL: out of memory. */
static inline void *vai__obj_new(size_t size, const struct vai_class *cls)
{
	struct vai_obj *o = vai__mem_zalloc(size);
	if (o)
		vai__obj_init(o, cls);
	return o;
}

/* Takes one more reference. The caller has one already, or is lent one. */
static inline void vai__obj_ref(struct vai_obj *o)
{
	atomic_fetch_add_relaxed(&o->refs, 1);
}

/* Takes a reference to an object that was found where no reference is kept. False: it is being destroyed. */
static inline bool vai__obj_try_ref(struct vai_obj *o)
{
	unsigned n = atomic_load_relaxed(&o->refs);
	while (n > 0)
		if (atomic_cas_weak_relaxed(&o->refs, &n, n + 1))
			return true;
	return false;
}

/* Gives a reference back. The last one destroys the object, and then the caller must hold no lock of the runtime. */
static inline void vai__obj_unref(struct vai_obj *o)
{
	if (atomic_fetch_sub_acq_rel(&o->refs, 1) == 1)
		o->cls->destroy(o);
}

/* Called, if set, before a channel, a task or a once is destroyed, without locks. Set while there are none. */
extern void (*vai__obj_gone)(struct vai_obj *o);
static inline void vai__obj_tell_gone(struct vai_obj *o)
{
	if (vai__obj_gone)
		vai__obj_gone(o);
}

#endif
