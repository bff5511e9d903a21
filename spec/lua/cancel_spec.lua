-- SPDX-License-Identifier: MIT
-- task:cancel: what it ends and how, what it leaves alone, what still runs, what is given back.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

-- For programs: ended(f, ...) starts f(...) and, once it runs or waits, cancels it; it must end for that,
-- in the time that the process has. What swallowed the end for ever would hang.
local support = [[
local function begun(f, ...)
	local ch = chan()
	local task = vai.async(function(...) ch:send(true) return f(...) end, ...)
	assert(ch:recv())
	return task
end
local function finish(task, reason)
	check.eq(task:cancel(reason), true)
	local ok, err = task:join()
	check.eq(ok, false)
	check.eq(task:status(), "failed")
	return err
end
local function there(f)
	local ch = chan(1)
	local task = vai.async(f, function() ch:send(true) end)
	ch:recv()
	return task
end
local function ended(f, ...)
	local task = begun(f, ...)
	vai.sleep(0.005)
	check.eq(finish(task), "canceled")
end
]]
support = support:gsub("\n%s*", " ")

local function ends(name, source, opts)
	test(name, support .. source, opts)
end

describe("cancel ends", function()
	ends("a loop", "ended(function() while true do end end)")
	ends("a loop in a coroutine, and in one of its", [[
		ended(function() coroutine.wrap(function() while true do end end)() end)
		ended(function() coroutine.wrap(function() coroutine.resume(coroutine.create(function() while true do end end))
			while true do end end)() end)
	]])
	ends("loops over coroutines", [[
		ended(function() local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end end)
		ended(function() while true do coroutine.resume(coroutine.create(function() error("x") end)) end end)
		ended(function() while true do coroutine.resume(coroutine.create(function() while true do end end)) end end)
		ended(function()
			while true do
				local co = coroutine.create(function() coroutine.yield() end)
				coroutine.resume(co)
				coroutine.close(co)
			end
		end)
	]])
	ends("loops of protected calls", [[
		ended(function() while true do pcall(error) end end)
		ended(function() while true do pcall(function() while true do end end) end end)
		ended(function() while true do pcall(pcall, function() while true do end end) end end)
		ended(function() while true do xpcall(function() while true do end end, function(m) return m end) end end)
		ended(function() while true do xpcall(error, print == nil or function() end) end end)
	]])
	ends("message handlers that do not return", [[
		local function loop() while true do end end
		ended(function() xpcall(loop, loop) loop() end)
		ended(function() xpcall(error, loop) loop() end)
		ended(function() local ch = chan() xpcall(ch.recv, loop, ch) loop() end)
		ended(function() xpcall(xpcall, loop, loop, loop) loop() end)
	]])
	ends("protected calls in each other", [[
		local function nest(n) while true do pcall(nest, n - 1) end end
		ended(nest, 100)
		local function once(n) if n > 0 then pcall(once, n - 1) end while true do end end
		ended(once, 100)
	]])
	ends("waits in protected calls", [[
		local ch = chan()
		ended(function() while true do pcall(ch.recv, ch) end end)
		ended(function() while true do pcall(vai.sleep, 100) end end)
		ended(function() while true do coroutine.resume(coroutine.create(function() ch:recv() end)) end end)
	]])
	ends("a wait for anything", [[
		local ch, full, wg, never = chan(), chan(1), waitgroup(), chan()
		full:send(1)
		wg:add(1)
		local other = vai.async(function() never:recv() end)
		local waits = {
			function() ch:recv() end,
			function() for _ in ch do end end,
			function() ch:send(1) end,
			function() full:send({ 1 }) end,
			function() ch:recv(1000) end,
			function() select({ ch, { full, 2 } }) end,
			function() select({}) end,
			function() select({ ch, timeout = 1000 }) end,
			function() wg:wait() end,
			function() wg:wait(1000) end,
			function() other:join() end,
			function() vai.sleep(1000) end,
			function() vai.after(1000):recv() end,
			function() for _ in vai.ticker(1000):chan() do end end,
			function() table.sort({ 3, 2, 1 }, function(a, b) ch:recv() return a < b end) end,
			function() string.gsub("abc", ".", function() ch:recv() end) end,
			function() coroutine.wrap(function() ch:recv() end)() end,
			function() return setmetatable({}, { __index = function() ch:recv() end }).x end,
		}
		for _, f in ipairs(waits) do
			local task = vai.async(f)
			check.waiting(task)
			check.eq(finish(task), "canceled")
		end
		check.eq(#full, 1) -- nobody is left in their queues
		check.returns(table.pack(ch:try_send(1)), nil, "full")
		check.returns(table.pack(ch:try_recv()), nil, "empty")
		other:cancel()
		check.eq(other:join(), false)
	]])
	ends("a C function as body, yields, and long calls one after the other", [[
		local task = vai.async(vai.sleep, 1000)
		check.waiting(task)
		check.eq(finish(task), "canceled")
		ended(function() while true do vai.yield() end end)
		ended(function() while true do vai.sleep(0) end end)
		ended(function() while true do string.rep("a", 100000):find("b.-c") end end)
		ended(function() while true do table.sort({ 5, 2, 8, 1 }, function(a, b) return a < b end) end end)
		ended(function() local t = setmetatable({}, { __add = function() while true do end end }) return t + t end)
		ended(function() while true do load("local x = 1")() end end)
	]])
	ends("what catches errors without vai's knowing", [[
		ended(function() while true do load(function() while true do end end) end end)
		ended(function() debug.sethook(function() end, "l") while true do load(function() while true do end end) end end)
	]], { timeout = 90, sample = 1 })
	ends("a goroutine that has not begun, or is in a queue", [[
		local ran = chan(1)
		local tasks = {}
		for i = 1, 50 do tasks[i] = vai.async(function() ran:try_send(true) end) end
		for i = 1, 50 do tasks[i]:cancel("never " .. i) end
		local n = 0
		for i = 1, 50 do
			local ok, err = tasks[i]:join()
			if not ok then
				check.eq(err, "never " .. i)
				n = n + 1
			end
		end
		if vai.maxprocs() == 1 then check.eq(n, 50) check.eq(#ran, 0) end
	]], { env = { VAI_PREEMPT = "off" } })
	ends("itself", [[
		local give = chan()
		local task
		task = vai.async(function() local me = give:recv() me:cancel("by itself") error("not reached") end)
		give:send(task)
		check.failed(table.pack(task:join()), "by itself")
	]])
	ends("from a timer, and from several", [[
		local task = begun(function() while true do end end)
		vai.timer(0.01, function() task:cancel("timer") end)
		check.failed(table.pack(task:join()), "timer")
		task = begun(function() local ch = chan() ch:recv() end)
		local wg, yes = waitgroup(), chan(20)
		for i = 1, 20 do wg:go(function() yes:send(task:cancel(i)) end) end
		wg:wait()
		local ok, by = task:join()
		check.eq(ok, false)
		assert(math.type(by) == "integer" and by >= 1 and by <= 20)
	]])
	ends("one that joins itself for a while", [[
		local give = chan()
		local task = vai.async(function() local me = give:recv() return me:join(1000) end)
		give:send(task)
		check.waiting(task)
		check.eq(finish(task), "canceled")
	]])
	ends("many at once, while others work", [[
		local tasks, ch = {}, chan()
		for i = 1, check.whole and check.scaled(400) or 80 do
			tasks[i] = vai.async(i % 4 == 0 and function() while true do pcall(error) end end or i % 4 == 1 and function() ch:recv() end
				or i % 4 == 2 and function() coroutine.wrap(function() while true do end end)() end or function() vai.sleep(1000) end)
		end
		local worker = vai.async(function() local s = 0 for i = 1, 1000000 do s = s + i end return s end)
		for _, t in ipairs(tasks) do t:cancel() end
		for _, t in ipairs(tasks) do check.failed(table.pack(t:join()), "canceled") end
		check.returns(table.pack(worker:join()), true, 500000500000)
		check.until_true(function() return vai.count() == 1 end)
	]])
end)

describe("cancel", function()
	ends("tells whether it was alive", [[
		local task = vai.async(function() return 1 end)
		task:join()
		check.eq(task:cancel(), false)
		check.eq(task:status(), "done")
		check.returns(table.pack(task:join()), true, 1)
		task = vai.async(error)
		task:join()
		check.eq(task:cancel("late"), false)
		check.failed(table.pack(task:join()), nil)
	]])
	ends("carries any reason", [[
		local ch = chan()
		local function wait() ch:recv() end
		for _, reason in ipairs { "text", ("long"):rep(100), 42, 1.5, false, true } do
			local task = vai.async(wait)
			check.waiting(task)
			check.eq(finish(task, reason), reason)
			check.eq(table.pack(task:join()).n, 2)
		end
		local err = finish(begun(wait), { code = 7, list = { 1, 2 } })
		check.eq(err.code, 7)
		check.eq(err.list[2], 2)
		check.eq(finish(begun(wait), ch), ch)
		check.eq(finish(begun(wait), nil), "canceled")
		local task = begun(wait)
		check.raises("cancel: argument 1: .*cannot be sent", task.cancel, task, coroutine.create(print))
		check.raises("calling 'cancel' on bad self", task.cancel, 1)
		check.eq(finish(task), "canceled")
	]])
	ends("keeps the first reason", [[
		local ch, at = chan(), chan()
		local task = vai.async(function()
			local _ <close> = setmetatable({}, { __close = function() at:send("closing") ch:recv() end })
			ch:recv()
		end)
		check.waiting(task)
		check.eq(task:cancel("first"), true)
		check.eq(at:recv(), "closing")
		check.waiting(task)
		check.eq(task:cancel("second"), true) -- not for closers any more
		check.failed(table.pack(task:join()), "first")
	]])
	ends("raises the very value where it is caught", [[
		local ch, out = chan(), chan(10)
		local task = vai.async(function()
			local ok, err = pcall(ch.recv, ch)
			out:send(ok)
			out:send(err.why)
			return "done all the same"
		end)
		check.waiting(task)
		task:cancel({ why = "x" })
		check.returns(table.pack(task:join()), true, "done all the same")
		check.eq(task:status(), "done")
		check.eq(out:recv(), false)
		check.eq(out:recv(), "x")
		task = there(function(here)
			local ok, err = xpcall(function() here() while true do end end, function(e) return "handled " .. e end)
			return ok, err
		end)
		task:cancel("y")
		check.returns(table.pack(task:join()), true, false, "handled y")
		task = there(function(here)
			local co = coroutine.create(function() here() while true do end end)
			local ok, err = coroutine.resume(co)
			return ok, err, coroutine.status(co)
		end)
		task:cancel("z")
		check.returns(table.pack(task:join()), true, false, "z", "dead")
	]])
	ends("runs to-be-closed variables, which may wait and catch errors", [[
		local out, gate = chan(20), chan()
		local task = there(function(here)
			local function closer(name, f)
				return setmetatable({}, { __close = function(_, e)
					out:send(name .. ":" .. tostring(e))
					if f then f() end
				end })
			end
			local a <close> = closer("a", function() check.eq(gate:recv(), "go on") out:send("waited") end)
			local b <close> = closer("b", function() for _ = 1, 10 do pcall(error, "own") pcall(error, {}) end vai.sleep(0.05) end)
			local c <close> = closer("c", function() coroutine.wrap(function() vai.sleep(0.001) pcall(error) end)() end)
			pcall(function()
				local d <close> = closer("d")
				coroutine.wrap(function() local e <close> = closer("e") here() while true do end end)()
			end)
			while true do end
		end)
		task:cancel("end")
		for _, s in ipairs { check.closers_replace and "e:end" or "e:nil", "d:end", "c:end", "b:end", "a:end" } do check.eq(out:recv(), s) end
		vai.sleep(0.05)
		gate:send("go on")
		check.eq(out:recv(), "waited")
		check.failed(table.pack(task:join()), "end")
	]])
	ends("lets a caught end be raised again", [[
		local out = chan(10)
		local task = there(function(here)
			local _ <close> = setmetatable({}, { __close = function(_, e) vai.sleep(0.1) out:send(e) end })
			local ok, err = pcall(function() here() while true do end end)
			out:send("cleaning up")
			error(err, 0)
		end)
		check.eq(finish(task, "why"), "why")
		check.eq(out:recv(), "cleaning up")
		check.eq(out:recv(), "why")
		task = there(function(here)
			local ok, err = pcall(function() here() while true do end end)
			error("wrapped: " .. err)
		end)
		check.eq(finish(task, "why"), "why")
		task = there(function(here) assert(pcall(function() here() while true do end end)) end)
		check.eq(finish(task, "why"), "why")
	]])
	ends("gives who catches it a moment, in which waits work", [[
		local out = chan(10)
		local task = there(function(here)
			local ok, err = pcall(function() here() while true do end end)
			vai.sleep(0.001)
			out:send(err)
			vai.sleep(1000)
		end)
		check.eq(finish(task, "r"), "r")
		if #out > 0 then check.eq(out:recv(), "r") end -- a slow machine's moment may be over
	]])
	ends("ends closers that compute for ever, in the end", [[
		local task = there(function(here)
			local _ <close> = setmetatable({}, { __close = function() while true do end end })
			here()
			while true do end
		end)
		task:cancel()
		check.failed(table.pack(task:join()), "canceled")
		task = there(function(here)
			local _ <close> = setmetatable({}, { __close = function() while true do pcall(error) end end })
			here()
			while true do end
		end)
		task:cancel()
		vai.sleep(0.01)
		task:cancel() -- at once
		check.failed(table.pack(task:join()), "canceled")
	]], { timeout = 90, sample = 1 })
	ends("leaves the program and stderr alone", [[
		local ch = chan()
		do
			local t = go(function() ch:recv() end)
			check.waiting(t)
			t:cancel()
			check.failed(table.pack(t:join()), "canceled")
			t = go(function() while true do pcall(error) end end)
			vai.sleep(0.005)
			t:cancel()
			t:join()
			t = go(function() local ok, err = pcall(ch.recv, ch) error("wrapped " .. err) end)
			check.waiting(t)
			t:cancel()
			check.until_true(function() return t:status() == "failed" end)
			for _ = 1, 10 do vai.async(function() ch:recv() end):cancel() end
		end
		collectgarbage()
		collectgarbage()
		check.until_true(function() return vai.count() == 1 end)
	]])
	ends("releases what the goroutine held", [[
		local wg, ch, gone = waitgroup(), chan(), chan(2)
		local task = wg:go(function() ch:recv() end)
		check.waiting(task)
		task:cancel()
		wg:wait()
		local name = check.temp()
		task = vai.async(function()
			local f = assert(io.open(name, "w"))
			f:write("buffered")
			local t = setmetatable({}, { __gc = function() gone:send("collected") end })
			ch:recv()
			return f, t
		end)
		check.waiting(task)
		task:cancel()
		check.eq(task:join(), false)
		check.eq(gone:recv(), "collected")
		local f = assert(io.open(name))
		check.eq(f:read("a"), "buffered")
		f:close()
	]])
	ends("reaches metamethods of the error that the function has left", [[
		local ch = chan(1)
		local task = vai.async(function()
			error(setmetatable({}, { __tostring = function()
				ch:send(true)
				while true do pcall(function() while true do end end) end
			end }), 0)
		end)
		ch:recv()
		vai.sleep(0.005)
		task:cancel()
		local ok, err = task:join()
		check.eq(ok, false)
		check.eq(type(err), "table")
	]])
	ends("reaches a finalizer's waits and what follows", [[
		local ch = chan()
		local task = begun(function()
			setmetatable({}, { __gc = function() ch:recv() end })
			collectgarbage()
			ch:recv()
		end)
		check.waiting(task)
		check.eq(finish(task), "canceled")
	]])
	ends("comes between results and their arrival without harm", [[
		for i = 1, check.scaled(2000) do
			local task = vai.async(function(n) local t = {} for k = 1, n do t[k] = k end return t end, i % 50)
			if i % 3 == 0 then vai.yield() end
			task:cancel(i)
			local ok, v = task:join()
			if ok then check.eq(#v, i % 50) else check.eq(v, i) end
		end
	]])
	test("acts where goroutines wait or yield when preemption is off", support .. [[
		local ch = chan()
		ended(function() ch:recv() end)
		ended(function() while true do vai.yield() end end)
		ended(function() while true do pcall(vai.sleep, 0.001) end end)
	]], { env = { VAI_PREEMPT = "off" } })
	test("reaches loops when states look themselves", support .. [[
		ended(function() while true do end end)
		ended(function() while true do pcall(error) end end)
		ended(function() coroutine.wrap(function() while true do end end)() end)
		ended(function() debug.sethook(function() end, "l") while true do end end)
	]], { env = { VAI_PREEMPT = "count" } })
	ends("reaches states with a hook of the script's", [[
		ended(function() debug.sethook(function() end, "l") while true do end end)
		ended(function() debug.sethook(function() end, "", 1) while true do end end)
		ended(function() debug.sethook(function() end, "", 1 << 30) while true do end end)
		ended(function() debug.sethook(function() end, "cr") while true do end end)
	]])
end)
