/* SPDX-License-Identifier: MIT */
/* io.popen as in Lua 5.4's liolib.c, but without its fflush(NULL), which takes the lock of each FILE in turn: so it
 * would wait for any thread that reads a pipe or a terminal, and keep all other threads from opening files meanwhile.
 * Only the standard streams have output that must come before the new process's; they are flushed, unless a thread is
 * using them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include "stdlib/lazy.h"

static void flush_if_free(FILE *f)
{
	if (ftrylockfile(f) != 0)
		return;
	fflush_unlocked(f);
	funlockfile(f);
}

static int close_process(lua_State *L)
{
	luaL_Stream *p = luaL_checkudata(L, 1, LUA_FILEHANDLE);
	errno = 0;
	return luaL_execresult(L, pclose(p->f));
}

/* A function that is not inlined, so that errno is not read through an address from before the goroutine changed
 * threads. */
static VAI_NOINLINE int start_process(lua_State *L, luaL_Stream *p, const char *command, const char *mode)
{
	flush_if_free(stdout);
	flush_if_free(stderr);
	errno = 0;
	p->f = popen(command, mode); /* NOLINT(cert-env33-c): io.popen runs a shell */
	p->closef = close_process;
	return p->f ? 1 : luaL_fileresult(L, 0, command);
}

static bool is_mode(const char *mode)
{
	return (*mode == 'r' || *mode == 'w') && mode[1] == '\0';
}

int vai__popen(lua_State *L)
{
	const char *command = luaL_checkstring(L, 1);
	const char *mode = luaL_optstring(L, 2, "r");
	struct vai_vm *vm = vai__state_of(L);
	if (vm) {
		vai__state_foreign(L, vm);
		if (!vm->has_io)
			vai__lazy_need(L, vm, "io");
	}
	luaL_Stream *p = lua_newuserdatauv(L, sizeof *p, 0);
	p->closef = NULL; /* the handle counts as closed until popen has succeeded */
	luaL_setmetatable(L, LUA_FILEHANDLE);
	luaL_argcheck(L, is_mode(mode), 2, "invalid mode");
	return start_process(L, p, command, mode);
}
