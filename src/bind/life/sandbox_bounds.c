/* SPDX-License-Identifier: MIT */
/* See sandbox_bounds.h. */
#include "bind/life/sandbox_bounds.h"
#include "base/atomic.h"
#include "base/memory_budget.h"
#include "sched/sched.h"

static _Atomic(int64_t) alive; /* counted while the number is bounded */

void vai__sandbox_bounds_start(void)
{
	atomic_store_relaxed(&alive, 0);
	vai__memory_budget_set(vai__sandbox.memory_in_all);
	vai__sched_bound_cpu(vai__sandbox.cpu_in_all);
}

void vai__sandbox_bounds_stop(void)
{
	vai__memory_budget_set(0);
	vai__sched_bound_cpu(0);
}

bool vai__sandbox_bounds_enter(void)
{
	if (VAI_LIKELY(vai__sandbox.goroutines == 0))
		return true;
	if (atomic_fetch_add_relaxed(&alive, 1) < vai__sandbox.goroutines)
		return true;
	vai__sandbox_bounds_leave();
	return false;
}

void vai__sandbox_bounds_leave(void)
{
	if (VAI_UNLIKELY(vai__sandbox.goroutines != 0))
		atomic_fetch_sub_relaxed(&alive, 1);
}

void vai__sandbox_bounds_error(lua_State *L)
{
	luaL_error(L, "too many goroutines: the sandbox allows %I at once", (LUAI_UACINT)vai__sandbox.goroutines);
	__builtin_unreachable();
}

void vai__sandbox_bounds_apply(struct vai_vm *vm)
{
	size_t bytes = vai__sandbox.memory;
	if (VAI_UNLIKELY(bytes != 0) && (!vai__memory_is_limited(vm) || vai__memory_limit_allows(vm, bytes)))
		vai__memory_limit(vm, bytes);
}

int64_t vai__sandbox_bounds_cpu(int64_t ns)
{
	int64_t most = vai__sandbox.cpu;
	if (!most && vai__sandbox.cpu_in_all)
		most = INT64_MAX / 2; /* so that it is measured */
	return most && (!ns || ns > most) ? most : ns;
}
