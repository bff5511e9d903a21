/* SPDX-License-Identifier: MIT */
/* What `require` has read once, for all states of the process: compiled modules by file, and the frozen tables that
 * modules returned. Any thread; the lock (VAI_RANK_CODE) is held for look-ups only. Used by require.c. */
#ifndef VAI_MODCACHE_H
#define VAI_MODCACHE_H

#include <lua.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/base.h"
#include "base/obj.h"

/* What tells one version of a file from another. */
struct vai__mark {
	dev_t device;
	ino_t inode;
	off_t size;
	int64_t modified, changed; /* nanoseconds since 1970 */
};

/* Fills in the mark of the file as it is now. False: there is no such regular file. */
bool vai__modcache_look(const char *filename, struct vai__mark *mark);
/* Pushes the loader that was read from that version of the file, or nothing and false. May raise. */
bool vai__modcache_push(lua_State *L, const char *filename, const struct vai__mark *mark);
/* Remembers that the loader at idx came from that version of the file. Neither raises nor fails: a module that cannot
 * be kept is read again. */
void vai__modcache_remember(lua_State *L, int idx, const char *filename, const struct vai__mark *mark);

/* The frozen table that the module in the file returns in states with the setup of the calling goroutine, with a
 * reference; NULL: unknown. */
struct vai_obj *vai__modcache_result(const char *filename, const struct vai__mark *mark);
/* Notes that the module in the file has returned `result`, whose reference is taken over. Returns the table that all
 * states get, with a reference: the first one that was noted. */
struct vai_obj *vai__modcache_share(const char *filename, const struct vai__mark *mark, struct vai_obj *result);

/* Forgets everything. No other thread uses the cache any more. */
void vai__modcache_drop(void);

#endif
