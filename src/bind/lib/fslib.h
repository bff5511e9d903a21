/* SPDX-License-Identifier: MIT */
/* What the bindings of fs/ share. Called by the goroutine that makes the call; nothing here parks for long: system
 * calls on files sleep in the kernel, and the monitor takes the P meanwhile. */
#ifndef VAI_FSLIB_H
#define VAI_FSLIB_H

#include "bind/lib/netlib.h"
#include "fs/file.h"
#include "fs/tree.h"

/* The calling goroutine, which has left main's thread for another if it was there (it may park for that), since what it
 * is about to do may sleep in the kernel. Main itself stays. Raises on threads that run no goroutine. */
vai_g *vai__fs_self(lua_State *L);
/* The end of a call that gives nothing back: pushes true, or for rc < 0 what vai__io_failed pushes. Returns how many
 * values. */
int vai__fs_done(lua_State *L, vai_g *g, int rc, const char *what);
/* Pushes the table of `stat`: type, size in bytes, mode (permissions only), uid, gid, nlink, dev, ino, and atime,
 * mtime, ctime in seconds since 1970. Leaves one value; may raise that memory is out. */
void vai__fs_push_stat(lua_State *L, const struct stat *st);

#endif
