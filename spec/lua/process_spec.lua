-- SPDX-License-Identifier: MIT
-- vai.process, vai.signal, vai.tty and the standard streams.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

local test = program.tester [[
	local lua = os.getenv "LUA" or "lua5.4"
	local spawn, run, fs = vai.process.spawn, vai.process.run, vai.fs
	local fds = check.fds
	local function children()
		local n = 0
		for pid in fs.scandir("/proc") do
			local stat = pid:find("^%d+$") and fs.read_file("/proc/" .. pid .. "/stat")
			if stat and tonumber(stat:match("%) %a (%d+)")) == me then n = n + 1 end
		end
		return n
	end
	me = tonumber(fs.readlink("/proc/self"))
]]

describe("a process", function()
	local release = (os.getenv("VAI_VARIANT") or "release") == "release"
	local no_null = [[
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <errno.h>
		#include <string.h>
		int open(const char *path, int flags, int mode)
		{
			int (*real)(const char *, int, int) = dlsym(RTLD_NEXT, "open");
			errno = EACCES;
			return strcmp(path, "/dev/null") == 0 ? -1 : real(path, flags, mode);
		}
	]]
	local _ = release and program.test("does not get this one's stream in place of /dev/null", [[
		local dir, lua = arg[1], os.getenv "LUA" or "lua5.4"
		assert(os.execute(("cc -w -shared -fPIC -o %s/no_null.so %s/no_null.c -ldl"):format(dir, dir)))
		assert(os.execute(("LD_PRELOAD=%s/no_null.so exec %s %s/inner.lua"):format(dir, lua, dir)))
	]], { files = { ["no_null.c"] = no_null, ["inner.lua"] = [[
		local vai, check = require "vai", require "check"
		local what = { "echo", "this is for nobody", stdout = "null" }
		check.returns(table.pack(vai.process.spawn(what)), nil, "echo: permission denied", "EACCES")
	]] } })

	test("talks through pipes and ends with a code", [[
		local p <close> = assert(spawn { "sh", "-c", "read x; echo got $x; echo no >&2; exit 3", stdin = "pipe",
			stdout = "pipe", stderr = "pipe" })
		check.eq(tostring(p), "process: " .. p:pid())
		check.eq(p.nothing, nil)
		check.eq(p.stdin == p.stdin, true)
		p.stdin:write("this\n")
		check.eq(p.stdout:read("a"), "got this\n")
		check.eq(p.stderr:read("l"), "no")
		check.eq(p:wait(), 3)
		check.eq(p:wait(0), 3)
		check.eq(tostring(p), "process: " .. p:pid() .. " (ended)")
		check.returns(table.pack(p:kill()), nil, "no such process", "ESRCH")
	]])

	test("ends by a signal", [[
		local p = assert(spawn { "sleep", "1000" })
		check.returns(table.pack(p:wait(0)), nil, "timeout")
		check.returns(table.pack(p:wait(0.01)), nil, "timeout")
		check.eq(p:kill("SIGINT"), true)
		check.returns(table.pack(p:wait()), nil, "signal", "SIGINT")
		p = assert(spawn { "sleep", "1000" })
		check.eq(p:kill(9), true)
		check.returns(table.pack(p:wait()), nil, "signal", "SIGKILL")
		p = assert(spawn { "sleep", "1000" })
		p:kill()
		check.returns(table.pack(p:wait()), nil, "signal", "SIGTERM")
	]])

	test("that cannot be started tells why, and leaves nothing", [[
		local before = fds()
		check.returns(table.pack(spawn { "/no/such/command", stdin = "pipe", stdout = "pipe" }), nil,
			"/no/such/command: no such file or directory", "ENOENT")
		check.returns(table.pack(spawn { "vai-no-such-command" }), nil, "vai-no-such-command: no such file or directory", "ENOENT")
		check.eq(table.pack(spawn { "true", cwd = "/no/such/place" })[3], "ENOENT")
		check.eq(table.pack(spawn { "/etc/passwd" })[3], "EACCES")
		local a, b = vai.net.pipe()
		a:close()
		check.returns(table.pack(spawn { "true", stdin = a, stdout = "pipe" }), nil, "closed")
		b:close()
		collectgarbage()
		check.until_true(function() return fds() == before end)
	]])

	test("that cannot be started is told of by what is at fault", [[
		local function fails(options, why, code)
			local ok, told, name = spawn(options)
			check.eq(ok, nil)
			check.eq(told, why)
			check.eq(name, code)
		end
		fails({ "true", cwd = "/no/such" }, "/no/such: no such file or directory", "ENOENT")
		fails({ "true", cwd = "/dev/null" }, "/dev/null: not a directory", "ENOTDIR")
		fails({ "./no-such", cwd = "/" }, "./no-such: no such file or directory", "ENOENT")
		local path = check.temp()
		assert(fs.open(path, "w", tonumber("755", 8))):write("echo no first line that says what it is"):close()
		fails({ path }, path .. ": exec format error", "ENOEXEC")
	]])

	test("is given its arguments or refused where the call stands", [[
		local line = "program.lua:" .. debug.getinfo(1, "l").currentline + 1 .. ": "
		local ok, why = pcall(function() local r = run { "echo", nil, "x" } return r end)
		check.eq(why:match("([^/]*)$"), line .. "bad argument #1 to 'run' (a nil before argument 2)")
		check.raises("option 'argument 1': string expected, got nil", function() spawn { "echo", nil, "x" } end)
		check.raises("'run' %(unknown option 'foo'%)", function() local r = run { "true", foo = 1 } return r end)
	]])

	test("need not read what it is given, nor end before those that it leaves behind", [[
		local big = ("x"):rep(1000000)
		check.eq(run { "true", input = big }.code, 0)
		check.eq(run { "head", "-c", "3", input = big }.out, "xxx")
		check.eq(run { "sh", "-c", "exec <&-; echo done", input = big }.out, "done\n")
		local r = run { "sh", "-c", "head -c 1000000 /dev/zero & head -c 1000000 /dev/zero >&2; wait" }
		check.eq(#r.out, 1000000)
		check.eq(#r.err, 1000000)
		check.eq(run { "sh", "-c", "(sleep 0.1; echo late) & echo now" }.out, "now\nlate\n")
		check.returns(table.pack(run { "sh", "-c", "sleep 60 & echo now", limit = 0.1, group = true }), nil, "timeout")
	]])

	test("that asked to end with its parent does not end with the thread that started it", [[
		-- Blocking calls make threads, which the kernel takes for the parents, and which end within three seconds.
		local wg, processes = vai.waitgroup(), vai.chan(40)
		for i = 1, 40 do
			wg:go(function()
				os.execute("sleep 0.3")
				processes:send((assert(vai.process.spawn { "setpriv", "--pdeathsig", "TERM", "sleep", "100" })))
			end)
		end
		wg:wait()
		vai.sleep(3.5)
		local alive = 0
		for i = 1, 40 do
			local p = processes:recv()
			local _, why = p:wait(0)
			if why == "timeout" then alive = alive + 1 end
			p:kill()
			p:wait()
		end
		check.eq(alive, 40)
		check.until_true(function()
			local threads = 0
			for _ in assert(fs.scandir("/proc/self/task")) do threads = threads + 1 end
			return threads < 30
		end)
	]])

	test("ends by a signal that has a number only", [[
		check.eq(run { "sh", "-c", "kill -40 $$" }.signal, "SIGRTMIN+6")
		local p <close> = spawn { "sleep", "60" }
		check.eq(p:kill("SIGRTMIN+6"), true)
		check.returns(table.pack(p:wait()), nil, "signal", "SIGRTMIN+6")
	]])

	test("gets its environment and directory", [[
		local r = run { "sh", "-c", "echo $A-$B-${HOME-none}; pwd", env = { A = "x y", B = 5, HOME = false }, cwd = "/usr" }
		check.eq(r.out, "x y-5-none\n/usr\n")
		r = run { "/usr/bin/env", env = { ONLY = "this" }, clear_env = true }
		check.eq(r.out, "ONLY=this\n")
		r = run { "/usr/bin/env", clear_env = true }
		check.eq(r.out, "")
		r = run { "echo", 1, 2.5, "*" }
		check.eq(r.out, "1 2.5 *\n")
	]])

	test("gets three descriptors and no more", [[
		local function list() return run({ "ls", "-1", "/proc/self/fd" }).out end
		local before = list() -- some shells leave one of their own to all programs
		check.eq(before:sub(1, 6), "0\n1\n2\n")
		local f <close> = fs.open("/dev/null")
		local a <close>, b = vai.net.pipe()
		check.eq(list(), before)
		b:close()
	]])

	test("begins with no signal blocked, and SIGPIPE as it is by default", [[
		vai.signal.ignore("SIGPIPE")
		local r = run { "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status" }
		check.eq(r.out:match("SigBlk:%s+(%x+)"), "0000000000000000")
		local function ignored(text) return tonumber(text:match("SigIgn:%s+(%x+)"), 16) & 0x7fffffff end -- beyond: libc's own
		local sigpipe = 1 << 12
		check.eq(ignored(r.out), ignored(vai.fs.read_file("/proc/self/status")) & ~sigpipe) -- nohup ignores one as well
		r = run { "sh", "-c", "yes | head -1" }
		check.eq(r.out, "y\n")
	]])

	test("takes files, connections and other processes' pipes as its streams", [[
		local name = check.temp()
		local f = assert(fs.open(name, "w"))
		local p = assert(spawn { "sh", "-c", "echo out; echo err >&2", stdout = f, stderr = "stdout" })
		check.eq(p:wait(), 0)
		f:write("after\n"):close()
		check.eq(fs.read_file(name), "out\nerr\nafter\n")
		local input <close> = assert(fs.open(name))
		check.eq(input:read("l"), "out")
		input:seek("set", 4)
		check.eq(run { "cat", stdin = input }.out, "err\nafter\n")
		-- A pipeline.
		local seq = assert(spawn { "seq", check.scaled(20000), stdout = "pipe" })
		local tac = assert(spawn { "tac", stdin = seq.stdout, stdout = "pipe" })
		local head = assert(spawn { "head", "-n", "1", stdin = tac.stdout, stdout = "pipe" })
		seq.stdout:close()
		tac.stdout:close()
		check.eq(head.stdout:read("a"), check.scaled(20000) .. "\n")
		check.eq(seq:wait(), 0)
		-- A connection, on which both go on.
		local ours, theirs = vai.net.pipe()
		local cat = assert(spawn { "cat", stdin = theirs, stdout = theirs })
		theirs:close()
		ours:write("there and back\n")
		check.eq(ours:read("l"), "there and back")
		ours:close_write()
		check.eq(ours:read("a"), "")
		check.eq(cat:wait(), 0)
	]])

	test("is the same object in other goroutines, and many may wait for it", [[
		local p = assert(spawn { "cat", stdin = "pipe", stdout = "pipe" })
		local tasks = {}
		for i = 1, 10 do tasks[i] = vai.async(function() return p:wait() end) end
		for i = 1, 10 do check.waiting(tasks[i]) end
		go(function() p.stdin:write("x") p.stdin:close() end)
		check.eq(p.stdout:read("a"), "x")
		for i = 1, 10 do check.returns(table.pack(tasks[i]:join()), true, 0) end
	]])

	test("ends with its block, however that is left, with its group", [[
		local before = fds()
		local group, pid
		do
			local p <close> = assert(spawn { "sh", "-c", "sleep 1000 & echo $!; wait", stdout = "pipe", group = true })
			pid = p.stdout:read("l")
		end
		check.until_true(function()
			local stat = fs.read_file("/proc/" .. pid .. "/stat") -- whoever inherits it reaps it when he likes
			return not stat or stat:find(") Z") ~= nil
		end)
		local task = vai.async(function()
			local p <close> = assert(spawn { "sleep", "1000", stdin = "pipe" })
			p:wait()
		end)
		check.waiting(task)
		task:cancel()
		check.returns(table.pack(task:join()), false, "canceled")
		check.raises("on purpose", function()
			local p <close> = assert(spawn { "sleep", "1000", stdout = "pipe" })
			error("on purpose")
		end)
		check.eq(children(), 0)
		collectgarbage()
		check.until_true(function() return fds() == before end)
	]])

	test("that nobody waits for is reaped", [[
		for _ = 1, 5 do assert(spawn { "true" }) end
		check.until_true(function() return children() == 0 end)
		collectgarbage()
		local before = fds()
		for _ = 1, 5 do assert(spawn { "true", stdout = "pipe" }) end
		check.until_true(function() collectgarbage() return children() == 0 and fds() == before end)
	]])

	test("whose status somebody else has taken is an error, no hang", [[
		local p = assert(spawn { "cat", stdin = "pipe" })
		local waiter = vai.async(function() return p:wait() end)
		check.waiting(waiter)
		vai.signal.ignore("SIGCHLD") -- the system throws the status away then
		p.stdin:close()
		local ok, code, why, name = waiter:join()
		check.eq(ok, true)
		check.eq(code, nil)
		check.eq(why, "process " .. p:pid()
			.. ": its exit status is gone: somebody else has waited for it, or SIGCHLD is ignored")
		check.eq(name, "ECHILD")
		vai.signal.reset()
		check.returns(table.pack(os.execute("exit 3")), nil, "exit", 3)
	]])

	test("waits end by limit, context, cancel, and with the runtime", [[
		local p <close> = assert(spawn { "sleep", "1000" })
		check.returns(table.pack(p:wait(0.01)), nil, "timeout")
		local ctx, cancel = vai.context():with_cancel()
		local task = vai.async(function() return p:wait(ctx) end)
		check.waiting(task)
		cancel()
		check.returns(table.pack(task:join()), true, nil, "canceled")
		local soon = vai.context():with_timeout(0.01)
		check.returns(table.pack(p:wait(soon)), nil, "deadline exceeded")
		task = vai.async(function() return p:wait() end)
		check.waiting(task)
		task:cancel("enough")
		check.returns(table.pack(task:join()), false, "enough")
		go(function() p:wait() end)
		vai.sleep(0.01)
	]])

	test("parks who waits, and is hope", [[
		local p = assert(spawn { "sleep", "0.05" })
		local other = vai.async(function() for _ = 1, 10 do vai.sleep(0.001) end return "ran" end)
		check.eq(p:wait(), 0)
		check.returns(table.pack(other:join()), true, "ran")
		local cat <close> = assert(spawn { "cat", stdin = "pipe" })
		local waiter = vai.async(function() return cat:wait() end)
		check.waiting(waiter)
		local name = check.temp()
		vai.dump(name)
		check.eq(fs.read_file(name):find("IO wait: process " .. cat:pid(), 1, true) ~= nil, true)
	]])
end)

describe("run", function()
	test("gives and takes at the same time", [[
		local text = ("line of text\n"):rep(check.scaled(30000))
		local r = run { "sh", "-c", "tee /dev/stderr", input = text }
		check.eq(r.code, 0)
		check.eq(r.signal, nil)
		check.eq(r.out == text and r.err == text, true)
		r = run { "sh", "-c", "kill -TERM $$" }
		check.eq(r.code, nil)
		check.eq(r.signal, "SIGTERM")
		check.eq(run { "cat" }.out, "")
		check.eq(run { "true", input = text }.code, 0) -- which does not read it
		check.eq(run { "echo", "x", stdout = "null" }.out, nil)
		check.eq(table.pack(run { "vai-no-such-command" })[3], "ENOENT")
	]])

	test("has a limit, after which nothing is left", [[
		local before = fds()
		check.returns(table.pack(run { "sleep", "1000", limit = 0.02 }), nil, "timeout")
		local ctx = vai.context():with_timeout(0.02)
		check.returns(table.pack(run { "sleep", "1000", limit = ctx }), nil, "deadline exceeded")
		check.eq(children(), 0)
		check.until_true(function() collectgarbage() return fds() == before end)
	]])
end)

describe("signals", function()
	test("are sent into channels by name", [[
		local ch, all = chan(4), chan(10)
		check.eq(vai.signal.notify(ch, "SIGUSR1", "SIGUSR2"), true)
		vai.signal.notify(all, "SIGUSR1")
		vai.signal.notify(all, "SIGTERM", "SIGINT")
		local function kill(name) assert(run { "kill", "-" .. name, me }.code == 0) end
		kill("USR1")
		check.eq(ch:recv(), "SIGUSR1")
		check.eq(all:recv(), "SIGUSR1")
		kill("USR2")
		check.eq(ch:recv(), "SIGUSR2")
		kill("TERM")
		check.eq(all:recv(), "SIGTERM")
		kill("INT")
		check.eq(all:recv(), "SIGINT")
		check.eq(#all, 0)
		vai.signal.reset("SIGUSR1")
		vai.signal.ignore("SIGUSR1")
		kill("USR1")
		kill("USR2")
		check.eq(ch:recv(), "SIGUSR2")
		check.eq(#all, 0)
		ch:close()
		kill("USR2")
		vai.signal.reset()
	]])

	test("that nobody asks for any more do what they did", [[
		local ch = chan(1)
		vai.signal.notify(ch, "SIGTERM")
		vai.signal.reset("SIGTERM")
		run { "kill", "-TERM", me }
		vai.sleep(10)
	]], { status = 143 })

	test("end a wait as they come, and are hope for who waits for them", [[
		local ch = chan(1)
		vai.signal.notify(ch, "SIGUSR1")
		spawn { "sh", "-c", "sleep 0.05; kill -USR1 " .. me }
		check.eq(ch:recv(), "SIGUSR1")
		vai.signal.reset()
		check.raises("deadlock", function() ch:recv() end)
	]])

	test("are no hope where nobody waits for them", [[
		local ch, other = chan(1), chan()
		vai.signal.notify(ch, "SIGUSR1")
		check.raises("deadlock", function() other:recv() end)
		vai.go(function() vai.select { ch } other:send(1) end) -- now somebody does
		spawn { "sh", "-c", "sleep 0.05; kill -USR1 " .. me }
		check.eq(other:recv(), 1)
		check.raises("deadlock", function() other:recv() end)
	]])

	test("reach a program that computes", [[
		local ch = chan(1)
		vai.signal.notify(ch, "SIGUSR1")
		spawn { "sh", "-c", "sleep 0.05; kill -USR1 " .. me }
		while not ch:try_recv() do end
	]])

	test("leave no descriptor", [[
		local before = fds()
		for _ = 1, 3 do
			vai.signal.notify(chan(1), "SIGUSR1")
			vai.signal.reset()
		end
		check.until_true(function() return fds() == before end)
	]])
end)

describe("the standard streams", function()
	test("are connections", [[
		check.eq(vai.stdin:read("l"), "first")
		local rest = vai.async(function() return vai.stdin:read("a") end)
		check.returns(table.pack(rest:join()), true, "second\nthird")
		check.eq(vai.stdin, vai.stdin)
		check.eq(vai.stdout:write("to ", "stdout\n"), vai.stdout)
		vai.stderr:write("")
		check.eq(tostring(vai.stdin), "connection: stdin")
	]], { stdin = "first\nsecond\nthird", out = "to stdout\n" })

	test("park who waits, end by a limit or a close, and stay blocking for others", [[
		local script = ("local vai = require 'vai' io.stdout:setvbuf('no') "
			.. "print(vai.stdin:read('l', 0.01)) "
			.. "local t = vai.async(function() return vai.stdin:read() end) "
			.. "while t:status() ~= 'waiting' do vai.yield() end "
			.. "print('ready') print(t:join()) "
			.. "t = vai.async(function() return vai.stdin:read() end) "
			.. "while t:status() ~= 'waiting' do vai.yield() end "
			.. "vai.stdin:close() print(t:join()) "
			.. "print(vai.fs.read_file('/proc/self/fdinfo/0'):match('flags:%s*(%d+)'))")
		local p = assert(spawn { lua, "-e", script, stdin = "pipe", stdout = "pipe" })
		check.eq(p.stdout:read("l"), "nil\ttimeout")
		check.eq(p.stdout:read("l"), "ready")
		p.stdin:write("data")
		check.eq(p.stdout:read("l"), "true\tdata")
		check.eq(p.stdout:read("l"), "true\tnil\tclosed")
		local flags = tonumber(p.stdout:read("l"), 8)
		check.eq(flags & 2048, 0) -- O_NONBLOCK
		check.eq(p:wait(), 0)
	]])

	test("write as much as there is, to who reads slowly", [[
		local script = "local vai = require 'vai' assert(vai.stdout:write(('x'):rep(1000000)))"
		local p = assert(spawn { lua, "-e", script, stdout = "pipe" })
		local n = 0
		repeat
			local s = p.stdout:read(10000)
			n = n + #(s or "")
		until not s
		check.eq(n, 1000000)
		check.eq(p:wait(), 0)
		p = assert(spawn { lua, "-e", "local vai = require 'vai' print(select(3, vai.stdout:write(('x'):rep(1000000))))",
			stdout = "pipe", stderr = "null" })
		p.stdout:close()
		local code, why = p:wait()
		check.eq(code == 0 or why == "signal", true)
	]])
end)

describe("a terminal", function()
	test("is none where there is none", [[
		check.returns(table.pack(vai.tty(0)), nil, "inappropriate ioctl for device", "ENOTTY")
		check.returns(table.pack(vai.tty(9999)), nil, "bad file descriptor", "EBADF")
	]])

	-- script gives it one.
	local endings = { { "normally", "" }, { "by an error", "error('on purpose')" }, { "by exit", "os.exit(3)" },
		{ "by a signal", "vai.process.run { 'kill', '-TERM', vai.fs.readlink('/proc/self') } vai.sleep(10)" },
		{ "in a goroutine", "vai.go(error, 'on purpose') vai.sleep(10)" } }
	for _, ending in ipairs(endings) do
		local source = [[
			local inner = arg[1] .. "/inner.lua"
			assert(fs.write_file(inner, "local vai = require 'vai' local t = assert(vai.tty(0)) assert(t:size() >= 0) "
				.. "local function cooked() return vai.process.run { 'stty', '-a', stdin = vai.stdin }.out:find(' icanon') end "
				.. "assert(t:raw(true)) assert(not cooked()) assert(t:raw(false)) assert(cooked()) assert(t:raw(true)) "
				.. "assert(not cooked()) vai.fs.write_file(arg[1], 'came here') ENDING"))
			local r = run { "script", "-qec", lua .. " " .. inner .. " " .. arg[1] .. "/mark >/dev/null 2>&1; stty -a",
				"/dev/null" }
			check.eq(fs.read_file(arg[1] .. "/mark"), "came here")
			check.eq(r.out:find(" icanon", 1, true) ~= nil, true)
			check.eq(r.out:find(" -icanon", 1, true), nil)
		]]
		test("has its mode set back when the program ends " .. ending[1], (source:gsub("ENDING", ending[2])))
	end
end)
