/* SPDX-License-Identifier: MIT */
/* Shared integers. Each value has a cache line of its own, as counters that are made one after the other would
 * otherwise slow each other down. Any thread may call. */
#include "data/atomic.h"
#include "base/mem.h"

struct vai_atomic {
	struct vai_obj obj;
	_Atomic(uint64_t) n;
	char rest[VAI_CACHELINE - sizeof(struct vai_obj) - sizeof(uint64_t)];
};

static void destroy(struct vai_obj *o)
{
	vai__mem_free(VAI_CONTAINER(o, vai_atomic, obj), sizeof(vai_atomic));
}

const struct vai_class vai__atomic_class = {"atomic", destroy};

vai_atomic *vai__atomic_new(int64_t n)
{
	vai_atomic *a = vai__obj_new(sizeof *a, &vai__atomic_class);
	if (!a)
		return NULL;
	atomic_init(&a->n, (uint64_t)n);
	return a;
}

int64_t vai__atomic_get(vai_atomic *a)
{
	return (int64_t)atomic_load_seq_cst(&a->n);
}

void vai__atomic_set(vai_atomic *a, int64_t n)
{
	atomic_store_seq_cst(&a->n, (uint64_t)n);
}

int64_t vai__atomic_add(vai_atomic *a, int64_t n)
{
	return (int64_t)(atomic_fetch_add_seq_cst(&a->n, (uint64_t)n) + (uint64_t)n);
}

int64_t vai__atomic_swap(vai_atomic *a, int64_t n)
{
	return (int64_t)atomic_exchange_seq_cst(&a->n, (uint64_t)n);
}

bool vai__atomic_cas(vai_atomic *a, int64_t old, int64_t now)
{
	uint64_t expected = (uint64_t)old;
	return atomic_cas_strong_seq_cst(&a->n, &expected, (uint64_t)now);
}
