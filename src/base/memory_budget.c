/* SPDX-License-Identifier: MIT */
/* See memory_budget.h. */
#include "base/memory_budget.h"

_Atomic(int64_t) vai__memory_budget_most;
static _Atomic(int64_t) taken;

void vai__memory_budget_set(size_t bytes)
{
	atomic_store_relaxed(&taken, 0);
	atomic_store_relaxed(&vai__memory_budget_most, bytes < INT64_MAX / 2 ? (int64_t)bytes : INT64_MAX / 2);
}

void vai__memory_budget_widen(int64_t bytes)
{
	if (atomic_load_relaxed(&vai__memory_budget_most) != 0)
		atomic_fetch_sub_relaxed(&taken, bytes);
}

bool vai__memory_budget_take_counted(size_t bytes)
{
	if (bytes >= (size_t)INT64_MAX / 2)
		return false;
	int64_t before = atomic_fetch_add_relaxed(&taken, (int64_t)bytes);
	if (before + (int64_t)bytes <= atomic_load_relaxed(&vai__memory_budget_most))
		return true;
	vai__memory_budget_give_counted(bytes);
	return false;
}

void vai__memory_budget_give_counted(size_t bytes)
{
	atomic_fetch_sub_relaxed(&taken, (int64_t)bytes);
}
