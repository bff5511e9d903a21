/* SPDX-License-Identifier: MIT */
/* oom [-k KIND] [-m once|on] [-s SECONDS] [-n N] [-a] PROGRAM.lua ...
 *
 * Runs each program over and over as a host with Lua and vai would, in a process of its own, and lets the
 * first, second, third ... call of a kind fail, until the program makes no more of them:
 *   memory   malloc and its relatives and mmap, called by vai
 *   lua      the same, called by liblua once vai is being loaded: the host's state, and states that vai builds
 *   arena    what Lua asks of vai in goroutines (a build with VAI_OOM)
 *   advise   madvise and mprotect, called by vai
 *   thread   pthread_create, called by vai
 * once: that call alone fails; on: it and all after it. A run is good if it ends as it does when nothing
 * fails, or with another status than 0 and a message that says what is lacking; never by a signal, never by
 * its time running out, never with other output. -s: skips so many that it takes about so long; -a: none is
 * skipped; -n: only the Nth, with its output shown. The functions that fail are defined here and, as those
 * of the main program, are found before libc's. Host thread only, but for those functions. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>

enum { HANG = 30, OUTPUT_MAX = 1 << 16, SHOWN = 2000 };
enum kind { MEMORY, LUA, ARENA, ADVISE, THREAD, KINDS };
static const char *const kind_names[KINDS] = {"memory", "lua", "arena", "advise", "thread"};

/* ---- which calls fail ---- */

struct range {
	uintptr_t low, high;
};

static struct {
	struct range vai, lua;
	enum kind kind;
	bool on; /* all from the Nth */
	long nth;
	atomic_long *count; /* shared with the parent */
} plan;

static bool within(const struct range *r, const void *p)
{
	return (uintptr_t)p - r->low < r->high - r->low;
}

static bool counted(enum kind kind)
{
	if (plan.kind != kind || !plan.count)
		return false;
	long n = atomic_fetch_add(plan.count, 1) + 1;
	return plan.nth > 0 && (plan.on ? n >= plan.nth : n == plan.nth);
}

static bool memory_fails(const void *caller)
{
	if (within(&plan.vai, caller) ? counted(MEMORY) : within(&plan.lua, caller) && counted(LUA)) {
		errno = ENOMEM;
		return true;
	}
	return false;
}

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
int vai_oom_fails(void);
#define CALLER __builtin_return_address(0)

int vai_oom_fails(void)
{
	return counted(ARENA);
}

void *malloc(size_t n)
{
	return memory_fails(CALLER) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return memory_fails(CALLER) ? NULL : __libc_calloc(n, size);
}

/* Lua relies on it that shrinking does not fail. */
void *realloc(void *p, size_t n)
{
	if (n == 0 || (p && malloc_usable_size(p) >= n))
		return __libc_realloc(p, n);
	return memory_fails(CALLER) ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	return memory_fails(CALLER) ? NULL : __libc_memalign(align, n);
}

char *strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *copy = memory_fails(CALLER) ? NULL : __libc_malloc(n);
	return copy ? memcpy(copy, s, n) : NULL;
}

int asprintf(char **out, const char *fmt, ...)
{
	va_list ap;
	if (memory_fails(CALLER))
		return -1;
	va_start(ap, fmt);
	int n = vasprintf(out, fmt, ap);
	va_end(ap);
	return n;
}

void *mmap(void *at, size_t size, int prot, int flags, int fd, off_t off)
{
	if (memory_fails(CALLER))
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, at, size, prot, flags, fd, off);
}

int madvise(void *p, size_t size, int advice)
{
	if (within(&plan.vai, CALLER) && counted(ADVISE)) {
		errno = EAGAIN;
		return -1;
	}
	return (int)syscall(SYS_madvise, p, size, advice);
}

int mprotect(void *p, size_t size, int prot)
{
	if (within(&plan.vai, CALLER) && counted(ADVISE)) {
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_mprotect, p, size, prot);
}

int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*f)(void *), void *arg)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	if (within(&plan.vai, CALLER) && counted(THREAD))
		return EAGAIN;
	return real(t, attr, f, arg);
}

static int find_ranges(struct dl_phdr_info *info, size_t size, void *unused)
{
	struct range *r = strstr(info->dlpi_name, "/vai.so") ? &plan.vai
		: strstr(info->dlpi_name, "liblua5.4")           ? &plan.lua
														 : NULL;
	(void)size;
	(void)unused;
	if (!r)
		return 0;
	r->low = UINTPTR_MAX;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + ph->p_vaddr;
		if (ph->p_type != PT_LOAD)
			continue;
		r->low = from < r->low ? from : r->low;
		r->high = from + ph->p_memsz > r->high ? from + ph->p_memsz : r->high;
	}
	return 0;
}

/* liblua's, to load a module. */
void *dlopen(const char *name, int flags)
{
	static void *(*real)(const char *, int);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "dlopen");
	void *lib = real(name, flags);
	if (lib && name && strstr(name, "/vai.so"))
		dl_iterate_phdr(find_ranges, NULL);
	return lib;
}

/* ---- one run ---- */

static int on_error(lua_State *L)
{
	const char *text = lua_tostring(L, 1);
	luaL_traceback(L, L, text ? text : "(no message)", 1);
	return 1;
}

static int protected_run(lua_State *L)
{
	const char *file = lua_touserdata(L, 1);
	luaL_openlibs(L);
	lua_pushcfunction(L, on_error);
	if (luaL_loadfile(L, file) != LUA_OK)
		return lua_error(L);
	if (lua_pcall(L, 0, 0, -2) != LUA_OK)
		return lua_error(L);
	return 0;
}

/* As lua.c does it. */
static int run_program(char *file)
{
	lua_State *L = luaL_newstate();
	if (!L)
		return 3;
	lua_pushcfunction(L, protected_run);
	lua_pushlightuserdata(L, file);
	int status = lua_pcall(L, 1, 0, 0);
	if (status != LUA_OK)
		fprintf(stderr, "oom: %s\n", lua_tostring(L, -1));
	lua_close(L);
	return status == LUA_OK ? 0 : 1;
}

struct result {
	int status; /* of waitpid */
	long count;
	char out[OUTPUT_MAX], err[OUTPUT_MAX];
};

static void read_back(int fd, char *text)
{
	ssize_t n = pread(fd, text, OUTPUT_MAX - 1, 0);
	text[n > 0 ? n : 0] = '\0';
}

static void run(char *file, long nth, struct result *r)
{
	int out = memfd_create("out", 0), err = memfd_create("err", 0);
	fflush(NULL);
	atomic_store(plan.count, 0);
	plan.nth = nth;
	pid_t pid = fork();
	if (pid == 0) {
		alarm(HANG);
		dup2(out, 1);
		dup2(err, 2);
		exit(run_program(file));
	}
	if (pid < 0 || waitpid(pid, &r->status, 0) < 0) {
		perror("oom: fork");
		exit(2);
	}
	r->count = atomic_load(plan.count);
	read_back(out, r->out);
	read_back(err, r->err);
	close(out);
	close(err);
}

/* ---- the verdict ---- */

static bool says_what_is_lacking(const char *err)
{
	static const char *const texts[] = {"not enough memory", "cannot start", "the system refused", NULL};
	for (int i = 0; texts[i]; i++)
		if (strstr(err, texts[i]))
			return true;
	return false;
}

/* NULL, or what is wrong. */
static const char *judge(const struct result *r, const struct result *good)
{
	if (WIFSIGNALED(r->status))
		return WTERMSIG(r->status) == SIGALRM ? "does not end" : "ended by a signal";
	if (strstr(r->err, "vai: fatal"))
		return "a broken invariant";
	if (r->status != good->status || r->status != 0) {
		if (r->status == 0)
			return "status 0";
		bool same = r->status == good->status && strcmp(r->out, good->out) == 0 && *r->err;
		return same || says_what_is_lacking(r->err) ? NULL : "no message that says what is lacking";
	}
	return strcmp(r->out, good->out) == 0 ? NULL : "other output";
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void show(const struct result *r)
{
	printf("    status %#x\n    stdout: %.*s\n    stderr: %.*s\n", (unsigned)r->status, SHOWN, r->out, SHOWN, r->err);
}

/* Tries one program; the number of bad runs. */
static int try_all(char *file, double budget, long *runs)
{
	static struct result good, r;
	double start = seconds();
	int bad = 0;
	run(file, 0, &good);
	run(file, 0, &good); /* the first one may have been slow */
	if (WIFSIGNALED(good.status)) {
		printf("FAILED  %s: ends by a signal when nothing fails\n", file);
		show(&good);
		return 1;
	}
	long total = good.count, step = 1;
	double each = (seconds() - start) / 2;
	if (budget > 0 && each * (double)total > budget)
		step = (long)(each * (double)total / budget) + 1;
	for (long n = 1 + (step > 1 ? (long)time(NULL) % step : 0); n <= total + 200; n += step) {
		run(file, n, &r);
		++*runs;
		const char *why = judge(&r, &good);
		if (why) {
			printf("FAILED  %s -k %s -m %s -n %ld: %s\n", file, kind_names[plan.kind], plan.on ? "on" : "once", n, why);
			if (bad++ < 3)
				show(&r);
		}
		if (r.count < n)
			break; /* it was not asked so often */
	}
	printf("%s  %-28s %-6s %-4s %6ld calls, every %ld\n", bad ? "FAILED" : "ok    ", strrchr(file, '/') + 1,
		kind_names[plan.kind], plan.on ? "on" : "once", total, step);
	return bad;
}

static void set_kind(const char *name)
{
	for (int i = 0; i < KINDS; i++)
		if (strcmp(kind_names[i], name) == 0)
			plan.kind = (enum kind)i;
}

int main(int argc, char **argv)
{
	double budget = 0;
	long only = 0, runs = 0;
	int bad = 0, opt;
	plan.count = (atomic_long *)syscall(
		SYS_mmap, NULL, sizeof(atomic_long), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	while ((opt = getopt(argc, argv, "k:m:s:n:a")) != -1) {
		switch (opt) {
		case 'k': set_kind(optarg); break;
		case 'm': plan.on = strcmp(optarg, "on") == 0; break;
		case 's': budget = atof(optarg); break;
		case 'n': only = atol(optarg); break;
		case 'a': budget = 0; break;
		default: return 2;
		}
	}
	if (only) {
		plan.nth = only;
		return run_program(argv[optind]);
	}
	for (int i = optind; i < argc; i++)
		bad += try_all(argv[i], budget, &runs);
	printf("%ld passed, %d failed\n", runs - bad, bad);
	return bad ? 1 : 0;
}
