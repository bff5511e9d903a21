/* SPDX-License-Identifier: MIT */
/* fork() while goroutines run, by main, by goroutines and by hosts without a runtime. A child that hangs
 * is ended by its alarm, which fails the test. */
#include "host/host.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ALARM = 600 };

static void skip_sanitized(void)
{
	if (host_variant("asan") || host_variant("tsan")) {
		print_message("the locks of a sanitizer's allocator are not freed in a child\n");
		skip();
	}
}

/* fork(): the child's pid, or 0 in the child. */
static int lua_fork(lua_State *L)
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		alarm(ALARM);
	lua_pushinteger(L, pid);
	return 1;
}

/* wait(pid): its exit status; 1000 + the signal that ended it. */
static int lua_wait(lua_State *L)
{
	int status = 0;
	while (waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0) < 0)
		;
	lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status));
	return 1;
}

static lua_State *open_forking(void)
{
	lua_State *L = host_open();
	lua_register(L, "fork", lua_fork);
	lua_register(L, "wait", lua_wait);
	return L;
}

/* Others that are most of the time inside of the allocator, in channels and in the module cache. */
static const char busy[] =
	"vai = require 'vai' vai.maxprocs(4)\n"
	"shared = vai.chan(4)\n"
	"for i = 1, 3 do\n"
	"  vai.go(function() while true do vai.go(function(t) return #t end, { ('x'):rep(i * 100) }):join() end end)\n"
	"  vai.go(function()\n"
	"    while true do\n"
	"      shared:send({ {}, { ('y'):rep(i * 300) } }) shared:recv()\n"
	"      if not preempts then vai.yield() end\n"
	"    end\n"
	"  end)\n"
	"end\n"
	"vai.sleep(0.01)\n";

/* Everything of vai's raises; Lua goes on. */
static const char in_child[] =
	"function child()\n"
	"  local function refused(f, ...)\n"
	"    local ok, err = pcall(f, ...)\n"
	"    if ok or not tostring(err):find('does not survive fork', 1, true) then\n"
	"      io.stderr:write(tostring(err), '\\n') os.exit(91)\n"
	"    end\n"
	"  end\n"
	"  for _, name in ipairs { 'chan', 'sleep', 'yield', 'waitgroup', 'stats', 'id', 'count', 'maxprocs', 'now2' } do\n"
	"    if vai[name] then refused(vai[name], 1) end\n"
	"  end\n"
	"  refused(vai.go, print) refused(vai.after, 1) refused(vai.timer, 1, print) refused(vai.select, {})\n"
	"  refused(shared.send, shared, 1) refused(shared.recv, shared) refused(shared.close, shared)\n"
	"  refused(function() return #shared end) refused(shared.is_closed, shared)\n"
	"  for i = 1, 500 do local t = {} for j = 1, i % 50 do t[j] = ('z'):rep(i + j) end end\n"
	"  local co = coroutine.wrap(function() for i = 1, 10 do coroutine.yield(i) end end)\n"
	"  for i = 1, 10 do assert(co() == i) end\n"
	"  for i = 1, 1e5 do end\n"
	"  collectgarbage() collectgarbage()\n"
	"end\n";

static void test_main_forks(void **state)
{
	(void)state;
	skip_sanitized();
	lua_State *L = open_forking();
	host_run(L, busy);
	host_run(L, in_child);
	for (int i = 0; i < host_scaled(20) + 3; i++) {
		lua_pushinteger(L, i % 4);
		lua_setglobal(L, "how");
		char *text = host_try(L,
			"local pid = fork()\n"
			"if pid == 0 then\n"
			"  child()\n"
			"  if how == 1 then os.exit(31) elseif how == 2 then os.exit(32, true) end\n"
			"  error('in the child')\n"
			"end\n"
			"for i = 1, 10 do shared:try_send(i) shared:try_recv() end\n"
			"local status = wait(pid)\n"
			"assert(status == 30 + how, status)\n");
		if (text && strstr(text, "in the child")) {
			if (i % 4 == 3)
				_exit(33);
			lua_close(L);
			exit(30);
		}
		if (text)
			fail_msg("%s", text);
	}
	lua_close(L);
}

static void test_goroutines_fork(void **state)
{
	(void)state;
	skip_sanitized();
	lua_State *L = open_forking();
	int out = open("/dev/null", O_WRONLY), err = dup(2);
	host_run(L, busy);
	host_run(L, in_child);
	dup2(out, 2); /* what children report */
	char *text = host_try(L,
		"local hows = {\n"
		"  [0] = function() end,\n"
		"  [2] = function() error('in the child') end,\n"
		"  [5] = function() os.exit(5) end,\n"
		"  [6] = function() os.exit(6, true) end,\n"
		"  [8] = function() local t <close> = setmetatable({}, { __close = function() os.exit(8) end }) end,\n"
		"}\n"
		"local wg = vai.waitgroup()\n"
		"for round = 1, 2 do\n"
		"  for status, how in pairs(hows) do\n"
		"    for _, start in ipairs { vai.go, vai.async } do\n"
		"      wg:add(1)\n"
		"      start(function()\n"
		"        local pid = fork()\n"
		"        if pid == 0 then child() how() return 1, shared end\n"
		"        local got = wait(pid)\n"
		"        assert(got == status, got .. ' in place of ' .. status)\n"
		"        wg:done()\n"
		"      end)\n"
		"    end\n"
		"  end\n"
		"end\n"
		"wg:wait()\n");
	dup2(err, 2);
	if (text)
		fail_msg("%s", text);
	lua_close(L);
	close(out);
	close(err);
}

/* The handler of vai.on_panic runs on main's thread, as a goroutine of its own. */
static void test_handlers_fork(void **state)
{
	(void)state;
	skip_sanitized();
	lua_State *L = open_forking();
	host_run(L, in_child);
	host_run(L,
		"vai = require 'vai' shared = vai.chan(1)\n"
		"local done = vai.chan(1)\n"
		"vai.on_panic(function()\n"
		"  local pid = fork()\n"
		"  if pid == 0 then return child() end\n"
		"  done:send(wait(pid))\n"
		"end)\n"
		"vai.go(error, 'x')\n"
		"assert(done:recv() == 0)\n");
	lua_close(L);
}

/* A server that opens vai in its children only, or has closed it before. */
static void test_before_and_after(void **state)
{
	(void)state;
	if (host_variant("tsan")) {
		print_message("with TSan a process cannot make threads after a fork\n");
		skip();
	}
	for (int round = 0; round < 3; round++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			alarm(ALARM);
			lua_State *L = open_forking();
			char *text = host_try(L,
				"local vai = require 'vai'\n"
				"local ch = vai.chan()\n"
				"vai.go(function() for i = 1, 1000 do ch:send(i) end ch:close() end)\n"
				"local sum = 0 for i in ch do sum = sum + i end assert(sum == 500500)\n");
			lua_close(L);
			exit(text ? 1 : 0);
		}
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		lua_State *L = open_forking();
		host_run(L, busy);
		lua_close(L);
		host_wait_threads(1);
	}
}

/* A state of its own does not help a child whose parent's runtime ran. */
static void test_new_state_in_child(void **state)
{
	(void)state;
	skip_sanitized();
	lua_State *L = open_forking();
	host_run(L, busy);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(ALARM);
		lua_State *C = open_forking();
		char *text = host_try(C, "require 'vai'");
		lua_close(C);
		lua_close(L);
		exit(text && strstr(text, "does not survive fork") ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	lua_close(L);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_before_and_after),
		host_test(test_main_forks),
		host_test(test_goroutines_fork),
		host_test(test_handlers_fork),
		host_test(test_new_state_in_child),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
