/* SPDX-License-Identifier: MIT */
/* See main_state.h. */
#include "bind/main_state.h"
#include <stdlib.h>
#include "base/atomic.h"

struct vai__main *vai__main_open(struct vai__home *home)
{
	struct vai__main *main = home->bind;
	if (main)
		return main;
	main = calloc(1, sizeof *main);
	if (!main)
		return NULL;
	main->home = home;
	main->end = &main->first;
	vai__lock_init(&main->lock, VAI_RANK_RUNTIME);
	home->bind = main;
	return main;
}

atomic_int vai__main_count;

const char *vai__main_shortage(void)
{
	const struct vai__main *main = vai__home_self()->bind;
	return main && *main->shortage ? main->shortage : "not enough memory";
}

void vai__main_set_vm(struct vai__main *main, struct vai_vm *vm)
{
	main->vm = vm;
	if (vm)
		main->last = vm;
	atomic_store_relaxed(&main->L, vm ? vm->L : NULL);
	atomic_store_relaxed(&main->guests, 0);
}

lua_State *vai__main_first_L(void)
{
	const vai_g *g = vai__g_main();
	const struct vai__main *main = g ? vai__main_of(g) : NULL;
	return main ? atomic_load_relaxed(&main->L) : NULL;
}

/* The result also holds while main runs in a coroutine that C code has resumed by lua_resume. */
lua_State *vai__main_at(const struct vai__main *main)
{
	lua_State *L = atomic_load_relaxed(&main->home->main->running);
	return L ? L : main->vm->L;
}
