/* SPDX-License-Identifier: MIT */
/* Some facts about the host's state that reports, dumps and handlers ask for. Each is one word that main writes;
 * goroutines read the panic thread and its runner while the runtime ends, too, so these are atomic. */
#include "bind/main_state.h"
#include "base/atomic.h"

static struct {
	struct vai_vm *vm, *last;
	_Atomic(lua_State *) L;
	_Atomic(lua_State *) panic_thread;
	_Atomic(vai_g *) runner;
	atomic_int guests;
} state;

struct vai_vm *vai__main_vm(void)
{
	return state.vm;
}

void vai__main_set_vm(struct vai_vm *vm)
{
	state.vm = vm;
	if (vm)
		state.last = vm;
	atomic_store_relaxed(&state.L, vm ? vm->L : NULL);
	atomic_store_relaxed(&state.guests, 0);
}

const struct vai_vm *vai__main_last_vm(void)
{
	return state.last;
}

lua_State *vai__main_L(void)
{
	return atomic_load_relaxed(&state.L);
}

lua_State *vai__main_panic_thread(void)
{
	return atomic_load_relaxed(&state.panic_thread);
}

void vai__main_set_panic_thread(lua_State *L)
{
	atomic_store_relaxed(&state.panic_thread, L);
}

vai_g *vai__main_panic_runner(void)
{
	return atomic_load(&state.runner);
}

void vai__main_set_panic_runner(vai_g *g)
{
	atomic_store(&state.runner, g);
}

void vai__main_clear_panic_runner(vai_g *g)
{
	atomic_compare_exchange_strong(&state.runner, &g, NULL);
}

int vai__main_guests(int n)
{
	return atomic_fetch_add(&state.guests, n) + n;
}

/* The answer is right also while main runs in a coroutine that C code has resumed by itself. */
lua_State *vai__main_at(void)
{
	lua_State *L = atomic_load_relaxed(&vai__g_main()->running);
	return L ? L : vai__main_vm()->L;
}
