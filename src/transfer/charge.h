/* SPDX-License-Identifier: MIT */
/* Memory that a state holds through handles. Lua's collector sees a handle, not the messages in the channel behind it:
 * so what a state has sent and nobody has freed yet drives its collector as allocations of its own do, and counts for
 * the bound of its memory. A message is charged to the state that sends it, or to the one that made the channel or task
 * in which it waits. Called by the state's goroutine; nothing parks, but finalizers run where a comment says so. */
#ifndef VAI_CHARGE_H
#define VAI_CHARGE_H

#include <lua.h>
#include "base/account.h"
#include "base/base.h"
#include "state/state.h"
#include "transfer/message.h"

enum { VAI__CHARGE_GRAIN = 4096, VAI__CHARGE_STEP = 65536 }; /* bytes */

/* The state's account, made on first use; NULL: out of memory. Borrowed. */
struct vai__account *vai__charge_account(struct vai_vm *vm);
/* The parts of the functions below that most calls do not need. */
void vai__charge_block(struct vai_vm *vm, struct vai__block *b);
void vai__charge_look_closely(lua_State *L, struct vai_vm *vm, bool bounded);

/* Charges the state for a message that it has just made. Small ones are charged together, by one of them. */
static inline void vai__charge_message(struct vai_vm *vm, const vai_msg *msg)
{
	if (vai__msg_tag(msg) != M_BLOCK)
		return;
	vm->uncharged += vai__msg_block(msg)->size;
	if (VAI_UNLIKELY(vm->uncharged >= VAI__CHARGE_GRAIN))
		vai__charge_block(vm, vai__msg_block(msg));
}

/* The same for a string of so many bytes that is to have no block. False: the charge is due, and the string needs a
 * block to carry it. */
static inline bool vai__charge_text(struct vai_vm *vm, size_t len)
{
	if (VAI_UNLIKELY(vm->uncharged + len >= VAI__CHARGE_GRAIN))
		return false;
	vm->uncharged += sizeof(struct vai__msg_text) + len;
	return true;
}

/* Whether vai__charge_move has something to move: few messages carry a charge. */
static inline bool vai__charge_is_carried(const vai_msg *msg)
{
	return vai__msg_tag(msg) == M_BLOCK && vai__msg_block(msg)->account;
}

/* The message is put into a channel or task of `owner` (or NULL): it is charged to that account from now on, unless the
 * sender (NULL: it has ended) has a memory bound. */
void vai__charge_move(const vai_msg *msg, const struct vai_vm *sender, struct vai__account *owner);
/* Makes the collector work for what the state is charged for more than at the last look. Called before there is
 * anything that would be lost if this raised: finalizers run, and if `bounded`, what is beyond the state's bound
 * raises. */
static inline void vai__charge_look(lua_State *L, struct vai_vm *vm, bool bounded)
{
	if (!vm->account)
		return;
	int64_t grown = atomic_load_relaxed(&vm->account->bytes) - vm->charged;
	bool much = grown <= -VAI__CHARGE_STEP || grown >= VAI__CHARGE_STEP;
	if (VAI_UNLIKELY(much || (bounded && vai__memory_is_limited(vm))))
		vai__charge_look_closely(L, vm, bounded);
}
/* The state ends: gives its account back. */
void vai__charge_close(struct vai_vm *vm);

#endif
