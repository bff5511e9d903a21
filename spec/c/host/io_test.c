/* SPDX-License-Identifier: MIT */
/* Hosts that have children, signals, a libuv loop and an epoll of their own beside vai's: both go on. And what is left
 * of files, processes, watches and signals when the host closes its state: nothing. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "host/host.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

/* libuv closes descriptors by a system call of its own, which ThreadSanitizer does not see: for it the pipe of uv_spawn
 * stays open, and whoever gets its number next, on another thread, races with the host's loop. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:uv_pipe\n";
}

/* ---- SIGCHLD and waitpid ---- */

static atomic_int chld_seen;

static void on_chld(int sig)
{
	(void)sig;
	atomic_fetch_add(&chld_seen, 1);
}

static pid_t start_child(int code)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(code);
	assert_true(pid > 0);
	return pid;
}

/* The host's handler is called for its own children and for vai's, and each waits for its own. */
static void test_own_sigchld_handler(void **state)
{
	struct sigaction sa = {.sa_handler = on_chld, .sa_flags = SA_RESTART}, old, now;
	int status;
	(void)state;
	assert_int_equal(sigaction(SIGCHLD, &sa, &old), 0);
	lua_State *L = host_open();
	for (int i = 0; i < 20; i++) {
		int before = atomic_load(&chld_seen);
		pid_t pid = start_child(7);
		host_run(L,
			"local vai = require 'vai'\n"
			"local p = assert(vai.process.spawn { 'sh', '-c', 'exit 5' })\n"
			"assert(p:wait() == 5)\n");
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WEXITSTATUS(status), 7);
		assert_true(atomic_load(&chld_seen) > before);
	}
	assert_int_equal(sigaction(SIGCHLD, NULL, &now), 0);
	assert_true(now.sa_handler == on_chld);
	lua_close(L);
	assert_int_equal(sigaction(SIGCHLD, &old, &now), 0);
	assert_true(now.sa_handler == on_chld);
}

static atomic_bool stop;
static atomic_int reaped;

/* As servers have it: whatever ends is its own. */
static void *reap_all(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		if (waitpid(-1, NULL, WNOHANG) > 0)
			atomic_fetch_add(&reaped, 1);
		else
			usleep(100);
	}
	return NULL;
}

/* Each status goes to one of the two; who does not get it is told, and nobody hangs. */
static void test_own_waitpid_of_all(void **state)
{
	pthread_t thread;
	(void)state;
	lua_State *L = host_open();
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&thread, NULL, reap_all, NULL), 0);
	lua_pushinteger(L, host_scaled(40));
	lua_setglobal(L, "n");
	host_run(L,
		"local vai = require 'vai'\n"
		"got, lost = 0, 0\n"
		"for i = 1, n do\n"
		"	local p = assert(vai.process.spawn { 'sh', '-c', i % 2 == 0 and 'exit 5' or 'sleep 0.01; exit 5' })\n"
		"	local code, why, name = p:wait(60)\n"
		"	assert(code == 5 or name == 'ECHILD', why)\n"
		"	if code then got = got + 1 else lost = lost + 1 end\n"
		"end\n");
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	lua_getglobal(L, "lost");
	assert_int_equal(lua_tointeger(L, -1), atomic_load(&reaped));
	lua_close(L);
}

/* ---- loops ---- */

static atomic_int ticks, exits, bytes;

static void on_tick(uv_timer_t *t)
{
	atomic_fetch_add(&ticks, 1);
	if (atomic_load(&stop))
		uv_close((uv_handle_t *)t, NULL);
}

static void on_child(uv_process_t *p, int64_t status, int sig)
{
	(void)sig;
	atomic_fetch_add(&exits, status == 9);
	uv_close((uv_handle_t *)p, NULL);
}

/* A loop with a timer and a child of its own. */
static void *own_loop(void *arg)
{
	uv_loop_t *loop = arg;
	uv_timer_t timer;
	uv_process_t process;
	char *args[] = {(char *)"sh", (char *)"-c", (char *)"exit 9", NULL};
	uv_process_options_t options = {.file = "sh", .args = args, .exit_cb = on_child};
	uv_timer_init(loop, &timer);
	uv_timer_start(&timer, on_tick, 1, 1);
	if (uv_spawn(loop, &process, &options) != 0)
		abort();
	uv_run(loop, UV_RUN_DEFAULT);
	return NULL;
}

static void *own_epoll(void *arg)
{
	int *fds = arg, ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLIN};
	char c;
	epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev);
	while (!atomic_load(&stop))
		if (epoll_wait(ep, &ev, 1, 10) == 1 && read(fds[0], &c, 1) == 1)
			atomic_fetch_add(&bytes, 1);
	close(ep);
	return NULL;
}

static const char busy[] = "local vai = require 'vai'\n"
						   "local l = assert(vai.net.listen('tcp', '127.0.0.1:0'))\n"
						   "local server = vai.net.serve(l, function(c) c:write(c:read('L')) c:idle() end)\n"
						   "local c = assert(vai.net.dial('tcp', l:addr()))\n"
						   "for i = 1, 50 do\n"
						   "	c:write(i, '\\n')\n"
						   "	assert(c:read('l') == tostring(i))\n"
						   "	if i % 10 == 0 then assert(vai.process.run { 'echo', i }.out == i .. '\\n') end\n"
						   "	vai.sleep(0.001)\n"
						   "end\n"
						   "server:close()\n";

static void test_own_libuv_loop_and_epoll(void **state)
{
	pthread_t threads[2];
	uv_loop_t loop;
	int fds[2];
	(void)state;
	atomic_store(&stop, false);
	lua_State *L = host_open();
	host_run(L, "require 'vai'");
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pthread_create(&threads[0], NULL, own_loop, &loop), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, own_epoll, fds), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(write(fds[1], "x", 1), 1);
		host_run(L, busy);
	}
	while (atomic_load(&exits) < 1 || atomic_load(&bytes) < 3 || atomic_load(&ticks) < 10)
		usleep(1000);
	atomic_store(&stop, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	assert_int_equal(uv_loop_close(&loop), 0);
	close(fds[0]);
	close(fds[1]);
	lua_close(L);
}

/* ---- the end of the state ---- */

static const char everything[] =
	"local vai = require 'vai'\n"
	"local a, b = vai.net.pipe()\n"
	"local l = vai.net.listen('tcp', '127.0.0.1:0')\n"
	"local u = vai.net.packet('udp', '127.0.0.1:0')\n"
	"local p = vai.process.spawn { 'sleep', '1000', stdout = 'pipe', stdin = 'pipe' }\n"
	"local f = vai.fs.open('/dev/null')\n"
	"local ch, signals = vai.fs.watch('/tmp'), vai.chan(1)\n"
	"vai.signal.notify(signals, 'SIGUSR1')\n"
	"local jobs = {\n"
	"	function() return a:read() end, function() return b:read('l') end, function() return l:accept() end,\n"
	"	function() return u:recv_from() end, function() return p:wait() end, function() return p.stdout:read('a') "
	"end,\n"
	"	function() return signals:recv() end, function() return vai.stdin:read(1e9) end,\n"
	"	function() while true do p.stdin:write(('x'):rep(100000)) end end,\n"
	"	function() vai.net.serve(vai.net.listen('tcp', '127.0.0.1:0'), print):shutdown() end,\n"
	"}\n"
	"local tasks = {}\n"
	"for i, job in ipairs(jobs) do tasks[i] = vai.async(job) end\n"
	"for i = 1, 9 do\n"
	"	local s\n"
	"	repeat vai.sleep(0.001) s = tasks[i]:status() until s == 'waiting' or s == 'done' or s == 'failed'\n"
	"	if s ~= 'waiting' then error(i .. ': ' .. tostring(select(2, tasks[i]:join()))) end\n"
	"end\n"
	"return p:pid()\n";

static void on_usr1(int sig)
{
	(void)sig;
}

static void test_end_with_everything_waiting(void **state)
{
	struct sigaction sa = {.sa_handler = on_usr1}, old, now;
	struct host_usage first = {0};
	int in[2];
	(void)state;
	assert_int_equal(pipe(in), 0);
	assert_int_equal(dup2(in[0], 0), 0);
	assert_int_equal(sigaction(SIGUSR1, &sa, &old), 0);
	for (int i = 0; i < 5; i++) {
		lua_State *L = host_open();
		if (luaL_dostring(L, everything) != LUA_OK)
			fail_msg("%s", lua_tostring(L, -1));
		pid_t pid = (pid_t)lua_tointeger(L, -1);
		lua_close(L);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_int_equal(sigaction(SIGUSR1, NULL, &now), 0);
		assert_true(now.sa_handler == on_usr1);
		host_wait_threads(first.threads ? first.threads : 100);
		struct host_usage u = host_usage();
		if (i == 0)
			first = u;
		else
			assert_int_equal(u.files, first.files);
	}
	sigaction(SIGUSR1, &old, NULL);
	close(in[0]);
	close(in[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_own_sigchld_handler),
		host_test(test_own_waitpid_of_all),
		host_test(test_own_libuv_loop_and_epoll),
		host_test(test_end_with_everything_waiting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
