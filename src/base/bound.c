/* SPDX-License-Identifier: MIT */
/* See bound.h. */
#include "base/bound.h"

_Atomic(int64_t) vai__bound_most;
static _Atomic(int64_t) taken;

void vai__bound_set(size_t bytes)
{
	atomic_store_relaxed(&taken, 0);
	atomic_store_relaxed(&vai__bound_most, bytes < INT64_MAX / 2 ? (int64_t)bytes : INT64_MAX / 2);
}

void vai__bound_widen(int64_t bytes)
{
	if (atomic_load_relaxed(&vai__bound_most) != 0)
		atomic_fetch_sub_relaxed(&taken, bytes);
}

bool vai__bound_take_counted(size_t bytes)
{
	if (bytes >= (size_t)INT64_MAX / 2)
		return false;
	int64_t before = atomic_fetch_add_relaxed(&taken, (int64_t)bytes);
	if (before + (int64_t)bytes <= atomic_load_relaxed(&vai__bound_most))
		return true;
	vai__bound_give_counted(bytes);
	return false;
}

void vai__bound_give_counted(size_t bytes)
{
	atomic_fetch_sub_relaxed(&taken, (int64_t)bytes);
}
