/* SPDX-License-Identifier: MIT */
/* What the bindings of fs/ share. */
#ifndef VAI_FSLIB_H
#define VAI_FSLIB_H

#include "bind/lib/netlib.h"
#include "fs/file.h"
#include "fs/tree.h"

/* The calling goroutine, off main's thread: what it is about to do may sleep there. */
vai_g *vai__fs_self(lua_State *L);
/* true; or as vai__io_failed. */
int vai__fs_done(lua_State *L, vai_g *g, int rc, const char *what);
/* Pushes a table. */
void vai__fs_push_stat(lua_State *L, const struct stat *st);

#endif
