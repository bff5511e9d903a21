/* SPDX-License-Identifier: MIT */
/* Stock functions that may stay in a C call for long. sysmon would take the P from such a call, but a call on main's
 * thread would hold main up, too. os.execute gives its P away before it begins, as a process takes long to start.
 * Goroutines that have opened a file or got a foreign C function have left main's thread (vai__state_foreign), but
 * the standard files are open from the start. So a goroutine that reads a standard file leaves main's thread, and so
 * does one that writes while the output is not ready. */
#include "bind/replaced/blocking.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "bind/arg.h"

/* A function of its own, as is the one that sets errno: errno belongs to the thread, and between the two the
 * goroutine may change threads. */
static VAI_NOINLINE int run_command(const char *command, int *error)
{
	errno = 0;
	int status = system(command); /* NOLINT(cert-env33-c): os.execute runs a shell */
	*error = errno;
	return status;
}

static VAI_NOINLINE int push_result(lua_State *L, int status, int error)
{
	errno = error;
	return luaL_execresult(L, status);
}

int vai__blocking_os_execute(lua_State *L)
{
	const char *command = luaL_optstring(L, 1, NULL);
	vai_g *g = vai__g_self();
	int error;
	if (!command || !g || !g->vm) {
		int status = run_command(command, &error);
		if (command)
			return push_result(L, status, error);
		lua_pushboolean(L, status);
		return 1;
	}
	vai__note_stack(g, L);
	vai__g_block_begin(g);
	int status = run_command(command, &error);
	vai__g_block_end(g);
	return push_result(L, status, error);
}

static _Atomic(lua_CFunction) stock_read, stock_lines; /* each new state stores them, always the same values */

static int off_main(lua_State *L, lua_CFunction stock)
{
	vai_g *g = vai__g_self();
	if (VAI_UNLIKELY(!stock)) /* the stock function was missing at the start */
		vai__arg_no_memory(L);
	if (g && g->vm) {
		vai__note_stack(g, L);
		vai__g_leave_main(g);
	}
	return stock(L);
}

int vai__blocking_file_read(lua_State *L)
{
	return off_main(L, atomic_load_relaxed(&stock_read));
}

int vai__blocking_file_lines(lua_State *L)
{
	return off_main(L, atomic_load_relaxed(&stock_lines));
}

void vai__blocking_stock(lua_CFunction ours, lua_CFunction stock)
{
	if (ours == vai__blocking_file_read)
		atomic_store_relaxed(&stock_read, stock);
	else if (ours == vai__blocking_file_lines)
		atomic_store_relaxed(&stock_lines, stock);
}

/* Whether writing n bytes may block. A pipe that is ready for poll has room for PIPE_BUF bytes. */
static bool may_wait(FILE *f, size_t n, bool flush)
{
	struct pollfd fd = {.fd = fileno(f), .events = POLLOUT};
	struct stat st;
	n += __fpending(f);
	if (!flush && !__flbf(f) && n < __fbufsize(f))
		return false;
	return poll(&fd, 1, 0) == 0 || (n > PIPE_BUF && fstat(fd.fd, &st) == 0 && !S_ISREG(st.st_mode));
}

void vai__blocking_lock_output(lua_State *L, FILE *f, size_t n, bool flush)
{
	vai_g *g = vai__g_self();
	if (g && g->vm && vai__g_holds_main(g)) {
		if (ftrylockfile(f) == 0) {
			if (VAI_LIKELY(!may_wait(f, n, flush)))
				return;
			funlockfile(f);
		}
		vai__note_stack(g, L);
		vai__g_leave_main(g);
	}
	flockfile(f);
}
