/* SPDX-License-Identifier: MIT */
/* What the bindings of fs/ share. Called by the goroutine that makes the call. System calls on files may sleep in the
 * kernel; sysmon takes the goroutine's P meanwhile. */
#ifndef VAI_FSLIB_H
#define VAI_FSLIB_H

#include "bind/lib/netlib.h"
#include "fs/file.h"
#include "fs/tree.h"

/* The calling goroutine, before a system call that may sleep. If the goroutine is on main's thread but not main, it
 * moves to another thread first, for which it may park. Raises on threads that run no goroutine. */
vai_g *vai__fs_self(lua_State *L);
/* Ends a call that has no result: pushes true, or for rc < 0 what vai__io_failed pushes. Returns the number of
 * values. */
int vai__fs_done(lua_State *L, vai_g *g, int rc, const char *what);
/* Pushes the table that `stat` returns: type, size in bytes, mode (permissions only), uid, gid, nlink, dev, ino, and
 * atime, mtime, ctime in seconds since 1970. Raises if memory is out. */
void vai__fs_push_stat(lua_State *L, const struct stat *st);
/* Pushes one field of that table. False: the table has no field of this name, and nothing is pushed. */
bool vai__fs_push_fact(lua_State *L, const struct stat *st, const char *name);

#endif
