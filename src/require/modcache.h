/* SPDX-License-Identifier: MIT */
/* What `require` has read once, for all states of the process: compiled modules by file, and the frozen tables that
 * modules returned. Any thread; the lock (VAI_RANK_CODE) is held for look-ups only. require.c is who asks. */
#ifndef VAI_MODCACHE_H
#define VAI_MODCACHE_H

#include <lua.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/base.h"
#include "base/obj.h"

/* What tells one state of a file from another. */
struct vai__mark {
	dev_t device;
	ino_t inode;
	off_t size;
	int64_t modified, changed; /* nanoseconds */
};

/* False: there is no such plain file. */
bool vai__modcache_look(const char *filename, struct vai__mark *mark);
/* Pushes the module's loader as it was read from the file in that state, or nothing and false. May raise. */
bool vai__modcache_push(lua_State *L, const char *filename, const struct vai__mark *mark);
/* Remembers that the loader at idx came from that file. Neither raises nor fails: a module that cannot be kept is
 * read again. */
void vai__modcache_remember(lua_State *L, int idx, const char *filename, const struct vai__mark *mark);

/* The frozen table that the module in the file is known to return in states of the calling goroutine's kind (with the
 * same setup), with a reference, or NULL. */
struct vai_obj *vai__modcache_result(const char *filename, const struct vai__mark *mark);
/* The module in the file has returned `result`, whose reference is taken over. Returns what is the file's result from
 * now on, with a reference: the first that came. */
struct vai_obj *vai__modcache_share(const char *filename, const struct vai__mark *mark, struct vai_obj *result);

/* Forgets all. No other thread uses it any more. */
void vai__modcache_drop(void);

#endif
