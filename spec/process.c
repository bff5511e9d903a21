/* SPDX-License-Identifier: MIT */
/*
 * Runs the tests' programs: each in a process group of its own, under a limit of time, with its streams in files.
 * Built twice by spec/run: as a Lua module, `process`, and with -DMAIN as a command:
 *
 *   limit SECONDS FILE COMMAND...   runs the command; its processor time goes into the file. Status as timeout's.
 *
 * The seconds of a limit are those of a machine with nothing else to do: while there are more runnable threads than
 * processors, the clock of the limit is slower by as much. So a limit tells of a program that hangs, not of
 * neighbours. A program over its limit gets SIGQUIT, at which one that uses vai says where its goroutines are, and
 * soon after that SIGKILL. Whatever a program leaves running in its group ends with it; and a program ends with the
 * process that runs it. One thread.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HUNG = 124, NO_COMMAND = 127, GRACE = 10 };

struct program {
	char *const *argv;
	char *const *env;           /* NAME=value, added to this process's; or NULL */
	const char *in, *out, *err; /* files; NULL: this process's own streams */
	const char *closed;         /* numbers of standard streams that it starts without; or NULL */
	unsigned long memory;       /* bytes of address space, 0: no limit */
	bool ignore_quit;           /* it starts with SIGQUIT ignored */
	double seconds;
};

/* ---- the clock of limits ---- */

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* How much of a processor a thread gets just now: 1 where no more are runnable than there are processors. */
static double share(void)
{
	long runnable = 1, processors = sysconf(_SC_NPROCESSORS_ONLN);
	FILE *f = fopen("/proc/loadavg", "r");
	if (f != NULL) {
		if (fscanf(f, "%*f %*f %*f %ld", &runnable) != 1)
			runnable = 1;
		fclose(f);
	}
	return runnable > processors ? (double)processors / (double)runnable : 1;
}

/* Waits until the process has ended, leaving it for waitpid, or until the seconds of the clock above are over. */
static bool ends_within(pid_t pid, int fd, double seconds)
{
	double last = now();
	for (;;) {
		siginfo_t info = {0};
		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid)
			return true;
		if (seconds <= 0)
			return false;
		struct pollfd p = {.fd = fd, .events = POLLIN};
		poll(&p, 1, fd >= 0 ? 500 : 5); /* a kernel without pidfds: looks now and then */
		double t = now();
		seconds -= (t - last) * share();
		last = t;
	}
}

/* ---- one program ---- */

static void redirect(int number, const char *file, int flags)
{
	if (file == NULL)
		return;
	int fd = open(file, flags | O_CLOEXEC, 0666);
	if (fd < 0 || dup2(fd, number) < 0) {
		perror(file);
		_exit(NO_COMMAND);
	}
}

/* In the child. */
static void become(const struct program *p, pid_t parent)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(NO_COMMAND);
	for (char *const *e = p->env; e != NULL && *e != NULL; e++)
		putenv(*e);
	if (p->memory != 0)
		setrlimit(RLIMIT_AS, &(struct rlimit){p->memory, p->memory});
	signal(SIGINT, SIG_DFL); /* a shell ignores both for what it starts in the background */
	signal(SIGQUIT, p->ignore_quit ? SIG_IGN : SIG_DFL);
	redirect(0, p->in, O_RDONLY);
	redirect(1, p->out, O_WRONLY | O_CREAT | O_TRUNC);
	redirect(2, p->err, O_WRONLY | O_CREAT | O_TRUNC);
	for (const char *c = p->closed; c != NULL && *c != 0; c++)
		close(*c - '0');
	execvp(p->argv[0], p->argv);
	perror(p->argv[0]);
	_exit(NO_COMMAND);
}

static volatile pid_t running; /* for stop() */

/* Its exit status, 128 and the number of the signal that ended it, or HUNG; *used is its processor time. */
static int run(const struct program *p, double *used)
{
	*used = 0;
	pid_t self = getpid(), pid = fork();
	if (pid == 0)
		become(p, self);
	if (pid < 0)
		return NO_COMMAND;
	setpgid(pid, pid); /* as the child does: whoever is first */
	running = pid;
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), status = 0;
	bool hung = !ends_within(pid, fd, p->seconds);
	if (hung) {
		kill(-pid, SIGQUIT);
		ends_within(pid, fd, GRACE);
	}
	kill(-pid, SIGKILL);
	running = 0;
	struct rusage r;
	while (wait4(pid, &status, 0, &r) < 0 && errno == EINTR)
		;
	if (fd >= 0)
		close(fd);
	*used = (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
	return hung ? HUNG : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

#ifdef MAIN

static void stop(int signal)
{
	if (running > 0)
		kill(-running, SIGKILL);
	_exit(128 + signal);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: limit SECONDS FILE COMMAND...\n");
		return NO_COMMAND;
	}
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	double used;
	int status = run(&(struct program){.argv = argv + 3, .in = "/dev/null", .seconds = strtod(argv[1], NULL)}, &used);
	FILE *f = fopen(argv[2], "w");
	if (f != NULL) {
		fprintf(f, "%.2f\n", used);
		fclose(f);
	}
	return status;
}

#else
#include <lauxlib.h>
#include <lua.h>

/* The strings of the list at t[name], NULL after the last; they stay anchored in the table. */
static char **list(lua_State *L, int t, const char *name)
{
	lua_getfield(L, t, name);
	lua_Integer n = lua_isnil(L, -1) ? 0 : luaL_len(L, -1);
	char **v = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *v, 0);
	for (lua_Integer i = 1; i <= n; i++) {
		if (lua_geti(L, -2, i) != LUA_TSTRING)
			luaL_error(L, "process.run: %s[%d] is no string", name, (int)i);
		v[i - 1] = (char *)lua_tostring(L, -1);
		lua_pop(L, 1);
	}
	v[n] = NULL;
	return v;
}

static const char *text(lua_State *L, int t, const char *name)
{
	lua_getfield(L, t, name);
	return luaL_optstring(L, -1, NULL);
}

/* run{ argv =, env =, input =, out =, err =, closed =, memory = bytes, ignore_quit =, seconds = }: status, and the
 * processor time in seconds. */
static int l_run(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	struct program p = {.argv = list(L, 1, "argv"), .env = list(L, 1, "env")};
	p.in = text(L, 1, "input");
	p.out = text(L, 1, "out");
	p.err = text(L, 1, "err");
	p.closed = text(L, 1, "closed");
	lua_getfield(L, 1, "memory");
	p.memory = (unsigned long)luaL_optinteger(L, -1, 0);
	lua_getfield(L, 1, "ignore_quit");
	p.ignore_quit = lua_toboolean(L, -1);
	lua_getfield(L, 1, "seconds");
	p.seconds = luaL_checknumber(L, -1);
	luaL_argcheck(L, p.argv[0] != NULL, 1, "no command");
	double used;
	lua_pushinteger(L, run(&p, &used));
	lua_pushnumber(L, used);
	return 2;
}

/* A new folder below the one given. */
static int l_folder(lua_State *L)
{
	char name[4096];
	snprintf(name, sizeof name, "%s/vXXXXXX", luaL_checkstring(L, 1));
	if (mkdtemp(name) == NULL)
		return luaL_error(L, "%s: %s", name, strerror(errno));
	lua_pushstring(L, name);
	return 1;
}

static int l_mkdir(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	return mkdir(name, 0777) == 0 ? 0 : luaL_error(L, "%s: %s", name, strerror(errno));
}

static int remove_one(const char *name, const struct stat *s, int kind, struct FTW *f)
{
	(void)s;
	(void)kind;
	(void)f;
	remove(name);
	return 0;
}

/* The folder with all that is in it. */
static int l_remove(lua_State *L)
{
	nftw(luaL_checkstring(L, 1), remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

int luaopen_process(lua_State *L);
int luaopen_process(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"run", l_run}, {"folder", l_folder}, {"mkdir", l_mkdir}, {"remove", l_remove}, {NULL, NULL}};
	luaL_newlib(L, functions);
	return 1;
}
#endif
