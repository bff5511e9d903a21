/* SPDX-License-Identifier: MIT */
/* See sandbox_bounds.h. A state's bounds do not change while it has goroutines, so a goroutine that was counted at
 * its start is counted down at its end. While no state has a sandbox the functions return at once. */
#include "bind/life/sandbox_bounds.h"
#include <stdio.h>
#include "base/atomic.h"
#include "base/memory_budget.h"

/* The record of the home if it has bounds; otherwise NULL. */
static struct vai__main *bounded(const struct vai__home *home)
{
	return VAI_UNLIKELY(atomic_load_relaxed(&vai__sandbox_count) != 0) && home->sandbox ? home->bind : NULL;
}

static void word_shortage(struct vai__main *main)
{
	char each[48] = "", all[48] = "";
	if (main->bounds.memory)
		snprintf(each, sizeof each, " %zu bytes to a goroutine", main->bounds.memory);
	if (main->bounds.memory_in_all)
		snprintf(all, sizeof all, "%s %zu bytes in all", *each ? " and" : "", main->bounds.memory_in_all);
	snprintf(main->shortage, sizeof main->shortage, "not enough memory%s%s%s",
		*each || *all ? ": the sandbox allows" : "", each, all);
}

bool vai__sandbox_bounds_set(struct vai__main *main, const struct vai__sandbox_bounds *bounds)
{
	main->bounds = bounds ? *bounds : (struct vai__sandbox_bounds){0};
	if (main->bounds.memory_in_all && !(main->home->budget = vai__memory_budget_open(main->bounds.memory_in_all)))
		return false;
	atomic_store_relaxed(&main->alive, 0);
	vai__preempt_bound_cpu(main->home, main->bounds.cpu_in_all);
	word_shortage(main);
	return true;
}

bool vai__sandbox_bounds_enter(const struct vai__home *home)
{
	struct vai__main *main = bounded(home);
	if (VAI_LIKELY(!main || main->bounds.goroutines == 0))
		return true;
	if (atomic_fetch_add_relaxed(&main->alive, 1) < main->bounds.goroutines)
		return true;
	vai__sandbox_bounds_leave(home);
	return false;
}

void vai__sandbox_bounds_leave(const struct vai__home *home)
{
	struct vai__main *main = bounded(home);
	if (VAI_UNLIKELY(main && main->bounds.goroutines != 0))
		atomic_fetch_sub_relaxed(&main->alive, 1);
}

void vai__sandbox_bounds_error(lua_State *L, const struct vai__home *home)
{
	luaL_error(L, "too many goroutines: the sandbox allows %I at once", (LUAI_UACINT)home->bind->bounds.goroutines);
	__builtin_unreachable();
}

void vai__sandbox_bounds_apply(const struct vai__home *home, struct vai_vm *vm)
{
	const struct vai__main *main = bounded(home);
	size_t bytes = main ? main->bounds.memory : 0;
	if (VAI_UNLIKELY(bytes != 0) && (!vai__memory_is_limited(vm) || vai__memory_limit_allows(vm, bytes)))
		vai__memory_limit(vm, bytes);
}

int64_t vai__sandbox_bounds_cpu(const struct vai__home *home, int64_t ns)
{
	const struct vai__main *main = bounded(home);
	int64_t most = main ? main->bounds.cpu : 0;
	if (main && !most && main->bounds.cpu_in_all)
		most = INT64_MAX / 2; /* time is measured for goroutines with a bound only, and the sandbox adds it up */
	return most && (!ns || ns > most) ? most : ns;
}
