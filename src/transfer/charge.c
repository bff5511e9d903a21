/* SPDX-License-Identifier: MIT */
/* What states hold through handles. It costs one atomic addition for every VAI__CHARGE_GRAIN bytes of messages, and one
 * more when they are freed. */
#include "transfer/charge.h"
#include <limits.h>

struct vai__account *vai__charge_account(struct vai_vm *vm)
{
	if (!vm->account)
		vm->account = vai__account_new();
	return vm->account;
}

void vai__charge_block(struct vai_vm *vm, struct vai__block *b)
{
	if (!vai__charge_account(vm))
		return;
	b->account = vai__account_ref(vm->account);
	b->charge = (int64_t)vm->uncharged;
	vm->uncharged = 0;
	atomic_fetch_add_relaxed(&b->account->bytes, b->charge);
}

void vai__charge_move(const vai_msg *msg, const struct vai_vm *sender, struct vai__account *owner)
{
	if (!owner || !vai__charge_is_carried(msg))
		return;
	struct vai__block *b = vai__msg_block(msg);
	struct vai__account *old = b->account;
	if (old == owner || atomic_load_relaxed(&owner->closed) || (sender && vai__memory_is_limited(sender)))
		return;
	atomic_fetch_add_relaxed(&owner->bytes, b->charge);
	atomic_fetch_sub_relaxed(&old->bytes, b->charge);
	b->account = vai__account_ref(owner);
	vai__account_unref(old);
}

/* Whether the state's own memory and what it is charged for are more than its bound. */
static bool beyond_bound(lua_State *L, const struct vai_vm *vm)
{
	size_t used = (size_t)lua_gc(L, LUA_GCCOUNT) * 1024;
	int64_t charged = atomic_load_relaxed(&vm->account->bytes);
	return charged > 0 && !vai__memory_limit_allows(vm, used + (size_t)charged);
}

/* Raises a memory error if the state is beyond its bound even after a collection. */
static void keep_bound(lua_State *L, const struct vai_vm *vm)
{
	if (!beyond_bound(L, vm))
		return;
	lua_gc(L, LUA_GCCOLLECT);
	if (beyond_bound(L, vm))
		vai__state_out_of_memory(L);
}

/* Makes the collector work for so many bytes, unless the script has stopped it or it runs at this moment. */
static void step(lua_State *L, struct vai_vm *vm, int64_t grown)
{
	int64_t kb = grown / 1024;
	if (lua_gc(L, LUA_GCISRUNNING) == 1)
		lua_gc(L, LUA_GCSTEP, kb < INT_MAX / 2 ? (int)kb : INT_MAX / 2);
	int64_t bytes = atomic_load_relaxed(&vm->account->bytes);
	if (bytes < vm->charged)
		vm->charged = bytes;
}

void vai__charge_look_closely(lua_State *L, struct vai_vm *vm, bool bounded)
{
	int64_t bytes = atomic_load_relaxed(&vm->account->bytes), grown = bytes - vm->charged;
	if (bounded && VAI_UNLIKELY(vai__memory_is_limited(vm)))
		keep_bound(L, vm);
	if (grown > -VAI__CHARGE_STEP && grown < VAI__CHARGE_STEP)
		return;
	vm->charged = bytes;
	if (grown > 0)
		step(L, vm, grown);
}

void vai__charge_close(struct vai_vm *vm)
{
	if (!vm->account)
		return;
	atomic_store_relaxed(&vm->account->closed, true);
	vai__account_unref(vm->account);
	vm->account = NULL;
}
