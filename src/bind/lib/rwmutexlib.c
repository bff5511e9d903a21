/* SPDX-License-Identifier: MIT */
/* rwmutex and its methods: a lock for the writer, and one for readers. */
#include "bind/lib/lib.h"
#include "bind/lib/locking.h"
#include "bind/report/held.h"
#include "sync/rwmutex.h"

int vai__lib_rwmutex(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	vai_rwmutex *m = vai__rwmutex_new();
	return vai__bind_push_new(L, g, (struct vai_obj *)m);
}

/* ---- writers ---- */

LOCKING_HOLDER(writer, rwmutex)

/* ---- readers ---- */

LOCKING_CALLS(reader, rwmutex, rlock, tryrlock, runlock)

static void release_reader(struct vai_obj *o, uint64_t id)
{
	(void)id;
	vai__rwmutex_runlock((vai_rwmutex *)o);
}

/* The lock does not know its readers, so each state counts how often its goroutine has locked it
 * (bind/report/held.c). */
static const struct locking reader = {
	.class = &vai__rwmutex_class,
	.lock = reader_call_lock,
	.try_lock = reader_call_try_lock,
	.unlock = reader_call_unlock,
	.locked = vai__held_read,
	.unlocked = vai__held_unread,
	.release = release_reader,
};

LOCKING_METHOD(reader, lock, "rlock")
LOCKING_METHOD(reader, try_lock, "try_rlock")
LOCKING_METHOD(reader, unlock, "runlock")
LOCKING_METHOD(reader, guard, "rguard")

const struct vai__handle_type vai__lib_rwmutex_type = {&vai__rwmutex_class, "vai.rwmutex",
	.methods = VAI__METHODS({"lock", writer_lock}, {"try_lock", writer_try_lock}, {"unlock", writer_unlock},
		{"guard", writer_guard}, {"with", writer_with}, {"rlock", reader_lock}, {"try_rlock", reader_try_lock},
		{"runlock", reader_unlock}, {"rguard", reader_guard}),
	.meta = VAI__METHODS({"__tostring", vai__bind_tostring})};
