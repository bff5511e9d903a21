-- SPDX-License-Identifier: MIT
-- Tasks: async, join, status, id, tostring.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("join", function()
	test("gives the results", [[
		local task = vai.async(function(a, b) return a + b, a * b end, 3, 4)
		check.returns(table.pack(task:join()), true, 7, 12)
	]])

	test("gives no result, nils, and nils at the end", [[
		check.returns(table.pack(vai.async(function() end):join()), true)
		check.returns(table.pack(vai.async(function() return nil end):join()), true, nil)
		check.returns(table.pack(vai.async(function() return nil, 2, nil end):join()), true, nil, 2, nil)
		check.returns(table.pack(vai.async(function() return false end):join()), true, false)
	]])

	test("gives many results", [[
		local task = vai.async(function()
			local t = {}
			for i = 1, 150 do t[i] = i end
			return table.unpack(t)
		end)
		local r = table.pack(task:join())
		check.eq(r.n, 151)
		check.eq(r[151], 150)
	]])

	test("can be asked again, and by several", [[
		local task = vai.async(function() vai.yield() return "once", { 1 } end)
		local wg, out = waitgroup(), chan(10)
		for _ = 1, 10 do
			wg:go(function()
				local ok, s, t = task:join()
				out:send(ok and s == "once" and t[1] == 1)
			end)
		end
		wg:wait()
		for _ = 1, 10 do check.eq(out:recv(), true) end
		local _, _, a = task:join()
		local _, _, b = task:join()
		check.eq(a[1], 1)
		check.eq(b[1], 1)
	]])

	test("gives false and the error", [[
		local task = vai.async(function() error("broken", 0) end)
		for _ = 1, 2 do
			local ok, err = task:join()
			check.eq(ok, false)
			check.eq(err, "broken")
		end
	]])

	test("gives the traceback of a failure after the error", [[
		local function inner() error "deep" end
		local task = vai.async(function() inner() end)
		for _ = 1, 2 do
			local ok, err, trace = task:join()
			check.eq(ok, false)
			assert(err:find "program.lua:1: deep$", err)
			assert(trace:find "^stack traceback:\n.*in upvalue 'inner'" or trace:find "^stack traceback:\n.*in function <", trace)
		end
		local _, err, trace = vai.spawn({ name = "x" }, function() error { 7 } end):join()
		check.eq(err[1], 7)
		assert(trace:find "stack traceback:", trace)
		task = vai.async(vai.sleep, 60)
		task:cancel "stop"
		check.failed(table.pack(task:join()), "stop")
	]])

	test("gives results of what go has started", [[
		check.returns(table.pack(vai.go(function(a, b) return a + b, nil end, 1, 2):join()), true, 3, nil)
	]])

	test("gives positions in error messages", [[
		local ok, err = vai.async(function()
			error "here"
		end):join()
		check.eq(ok, false)
		assert(err:find "program.lua:2: here$", err)
		ok, err = vai.async(function() local t = nil; return t.x end):join()
		check.eq(ok, false)
		assert(err:find "attempt to index a nil value %(local 't'%)", err)
	]])

	test("gives error objects", [[
		local ok, err = vai.async(function() error { code = 3, list = { 1, 2 } } end):join()
		check.eq(ok, false)
		check.eq(err.code, 3)
		check.eq(err.list[2], 2)
		check.eq(_G.select("#", vai.async(function() error(42) end):join()), 3)
		check.eq(_G.select(2, vai.async(function() error(42) end):join()), 42)
		check.eq(_G.select(2, vai.async(function() error(nil) end):join()), nil)
		local class = { __tostring = function(self) return "E" .. self.n end }
		ok, err = vai.async(function() error(setmetatable({ n = 5 }, class)) end):join()
		check.eq(ok, false)
		check.eq(tostring(err), "E5")
	]])

	test("tells an error object that cannot be sent", [[
		local ok, err = vai.async(function() error(coroutine.create(print)) end):join()
		check.eq(ok, false)
		assert(type(err) == "string" and err:find "thread", tostring(err))
	]])

	test("tells results that cannot be sent", [[
		local ok, err = vai.async(function() return 1, { file = io.stdout } end):join()
		check.eq(ok, false)
		assert(err:find "file" and err:find "FILE%*" and err:find "cannot be sent", err)
	]])

	test("times out, and can be tried again", [[
		local gate = chan()
		local task = vai.async(function() return gate:recv() end)
		local t0 = vai.now()
		check.returns(table.pack(task:join(0.02)), nil, "timeout")
		assert(vai.now() - t0 >= 0.0199)
		check.returns(table.pack(task:join(0)), nil, "timeout")
		gate:send "done"
		check.returns(table.pack(task:join(10)), true, "done")
		check.returns(table.pack(task:join(0)), true, "done")
	]])

	test("works from goroutines, on tasks sent to them", [[
		local task = vai.async(function() vai.yield() return "r" end)
		local inbox = chan()
		local outer = vai.async(function()
			local t = inbox:recv()
			return t:join()
		end)
		inbox:send(task)
		check.returns(table.pack(outer:join()), true, true, "r")
	]])

	test("of a task of go()", [[
		local task = go(function() return "value" end)
		check.returns(table.pack(task:join()), true, "value")
	]])

	test("keeps tasks in order as a tree of results", [[
		local function fib(n)
			if n < 2 then return n end
			local a, b = vai.async(fib, n - 1), vai.async(fib, n - 2)
			local _, x = a:join()
			local _, y = b:join()
			return x + y
		end
		check.eq(fib(11), 89)
	]])

	test("of oneself raises", [[
		local inbox = chan(1)
		local task = vai.async(function()
			local me = inbox:recv()
			return me:join()
		end)
		inbox:send(task)
		local ok, err = task:join()
		assert(not ok and err:find "join", err)
	]])
end)

describe("async", function()
	test("joined failures are nobody's business", [[
		for _ = 1, 10 do vai.async(error, "quiet", 0):join() end
		collectgarbage()
		collectgarbage()
	]])

	test("dropped successes neither", [[
		for _ = 1, 10 do vai.async(function() return 1 end) end
		collectgarbage()
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("a dropped failure is reported on stderr", [[
		do
			local task = vai.async(function() error("nobody listens", 0) end)
			check.until_true(function() return task:status() == "failed" end)
		end
		collectgarbage()
		collectgarbage()
		print "on"
	]], { err = "nobody listens", out = "on\n" })

	test("a failure that was awaited with a timeout only is reported", [[
		local gate = chan()
		do
			local task = vai.async(function() gate:recv() error("too late", 0) end)
			check.returns(table.pack(task:join(0)), nil, "timeout")
			gate:close()
			check.until_true(function() return task:status() == "failed" end)
		end
		collectgarbage()
		collectgarbage()
	]], { err = "too late" })
end)

describe("status", function()
	test("is waiting, then done", [[
		local gate = chan()
		local task = vai.async(function() gate:recv() end)
		check.waiting(task)
		gate:close()
		task:join()
		check.eq(task:status(), "done")
	]])

	test("is failed after an error", [[
		local task = vai.async(error, "x", 0)
		task:join()
		check.eq(task:status(), "failed")
	]])

	test("is runnable before it ran, on one P", [[
		local task = vai.async(function() end)
		check.eq(task:status(), "runnable")
		task:join()
	]], { procs = 1 })

	test("is running for oneself", [[
		local inbox = chan(1)
		local task = vai.async(function() return inbox:recv():status() end)
		inbox:send(task)
		check.returns(table.pack(task:join()), true, "running")
	]])

	test("is waiting in sleep, send, select, wait and join", [[
		local tasks = {}
		tasks[1] = vai.async(function() vai.sleep(1000) end)
		local full, wg = chan(), waitgroup()
		wg:add(1)
		tasks[2] = vai.async(function() full:send(1) end)
		tasks[3] = vai.async(function() select { false, chan() } end)
		tasks[4] = vai.async(function() wg:wait() end)
		local first = tasks[1]
		tasks[5] = vai.async(function() first:join() end)
		for _, t in ipairs(tasks) do check.waiting(t) end
	]])
end)

describe("a task", function()
	test("has an id and a name", [[
		local task = vai.async(function() return vai.id() end)
		local _, inside = task:join()
		check.eq(task:id(), inside)
		check.eq(math.type(task:id()), "integer")
		check.eq(tostring(task), "goroutine " .. task:id())
	]])

	test("is the same object wherever it goes", [[
		local task = vai.async(function() return 1 end)
		local ch = chan(2)
		ch:send(task)
		ch:send { task, key = task }
		check.eq(ch:recv(), task)
		local t = ch:recv()
		assert(t[1] == task and t.key == task)
		task:join()
	]])

	test("outlives its goroutine and every handle", [[
		for _ = 1, 100 do
			local task = vai.async(function() return ("x"):rep(1000) end)
			local holder = vai.async(function() return task end)
			task = nil
			collectgarbage()
			local _, back = holder:join()
			local _, s = back:join()
			check.eq(#s, 1000)
		end
	]])
end)

describe("a task that nobody takes", function()
	test("has no handle", [[
		local wg = waitgroup()
		local function done() wg:done() end
		local function grown(start)
			local before = collectgarbage "count"
			for _ = 1, 200 do start() end
			wg:wait()
			return (collectgarbage "count" - before) * 1024 / 200
		end
		local function started() wg:add(1) go(done) end
		local tasks = {}
		local function taken() wg:add(1) tasks[#tasks + 1] = go(done) end
		local function counted() wg:add(1) wg:go(done) end
		started()
		collectgarbage "stop"
		taken() counted()
		wg:wait()
		assert(grown(started) < 16)
		assert(grown(counted) < 16)
		assert(grown(taken) > 32)
	]])

	test("ends at its bound, and is reported when it fails", [[
		local seen, reported = chan(1), chan(1)
		vai.spawn({ cpu = 0.01 }, function()
			local over <close> = setmetatable({}, { __close = function() seen:send "over" end })
			while true do end
		end)
		check.eq(seen:recv(), "over")
		vai.on_panic(function(err) reported:send(err) end)
		go(function() error("unseen", 0) end)
		check.eq(reported:recv(), "unseen")
	]], { err = "nobody joined it: cpu time exceeded" })
end)
