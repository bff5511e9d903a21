/* SPDX-License-Identifier: MIT */
/* What Lua gets to see of the outcomes of the layers below. */
#include "bind/bind.h"
#include "bind/life/life.h"
#include "transfer/message.h"

static int deliver_inline(lua_State *L, struct vai_vm *vm, vai_chan *ch, vai_msg *msg)
{
	if (vm->decoding_from)
		return vai__decode(L, vm, msg);
	vm->decoding_from = ch;
	vm->taken = *msg;
	int n = vai__decode(L, vm, msg);
	vai__msg_set(&vm->taken, M_NIL, 0);
	vm->decoding_from = NULL;
	return n;
}

/* While a message is decoded, vm->decoding (its block; or vm->taken) and vm->decoding_from tell
 * what becomes of it if that raises; the codec clears the first. Where the decoder runs Lua code itself it is not
 * set, and while a finalizer runs in the middle of one the collector says it is stopped. */
int vai__bind_deliver(lua_State *L, struct vai_vm *vm, vai_chan *ch, vai_msg *msg)
{
	if (VAI_LIKELY(vai__msg_tag(msg) < M_OBJECT)) {
		if (vai__msg_tag(msg) >= M_STRING)
			return deliver_inline(L, vm, ch, msg);
		if (vai__msg_tag(msg) != M_INT)
			return vai__decode(L, vm, msg);
		lua_pushinteger(L, (lua_Integer)msg->w[1]);
		return 1;
	}
	if (vai__msg_tag(msg) != M_BLOCK || vm->decoding_from)
		return vai__decode_take(L, vm, msg);
	vm->decoding_from = ch;
	int n = vai__decode_take(L, vm, msg);
	vm->decoding_from = NULL;
	return n;
}

void vai__bind_put_back(lua_State *L, struct vai_vm *vm)
{
	vai_msg msg = vm->taken;
	if (vm->decoding)
		vai__msg_set(&msg, M_BLOCK, (uintptr_t)vm->decoding);
	if (L && vai__msg_tag(&msg) != M_NIL && lua_gc(L, LUA_GCISRUNNING) != 1)
		return;
	vai_chan *ch = vm->decoding_from;
	vm->decoding_from = NULL;
	if (vai__msg_tag(&msg) == M_NIL)
		return;
	vm->decoding = NULL;
	vai__msg_set(&vm->taken, M_NIL, 0);
	/* it was borrowed: the goroutine may have dropped its handle since */
	if (!vai__handles_hold(vm, ch) || vai__chan_unrecv(ch, &msg) != VAI_OK)
		vai__msg_drop(&msg);
}

int vai__bind_nil(lua_State *L, const char *why)
{
	lua_pushnil(L);
	lua_pushstring(L, why);
	return 2;
}

int vai__bind_failed(lua_State *L, vai_g *g, int rc)
{
	(void)g;
	switch (rc) {
	case VAI_ETIMEOUT:
	case VAI_EAGAIN: return vai__bind_nil(L, "timeout");
	case VAI_ECANCELED: vai__end_raise(L, g);
	case VAI_EDEADLOCK: vai__report_deadlock(L);
	case VAI_ENOMEM: vai__arg_no_memory(L);
	default: return luaL_error(L, "vai: unexpected result %d", rc);
	}
}

int vai__bind_tostring(lua_State *L, const char *name)
{
	lua_pushfstring(L, "%s: %p", name, (void *)vai__handle_any(L, 1));
	return 1;
}
