-- SPDX-License-Identifier: MIT
-- Goroutines that compute are interrupted for others, whatever they are in the middle of, and do not
-- notice.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- Ten goroutines run `loop`; a ticker beside them must tick on: between two ticks the process uses little processor
-- time, however long that takes beside others.
local beside = [[
local function beside(loop)
	local tasks = {}
	for i = 1, 10 do tasks[i] = vai.async(loop) end
	local ticker = vai.async(function()
		local t = vai.ticker(0.005)
		local ticks, last, worst = t:chan(), os.clock(), 0
		for _ = 1, 20 do
			ticks:recv()
			local now = os.clock()
			worst = math.max(worst, now - last)
			last = now
		end
		t:stop()
		return worst
	end)
	local ok, worst = ticker:join()
	assert(ok, worst)
	assert(worst < 4 * check.slowness, "a tick came late: " .. worst)
	for i = 1, 10 do tasks[i]:cancel() end
	for i = 1, 10 do check.failed(table.pack(tasks[i]:join()), "canceled") end
end
]]
beside = beside:gsub("\n%s*", " ")

local function test(name, source, opts)
	for _, mode in ipairs({ "signal", "count" }) do
		opts = opts or {}
		opts.env, opts.sample = { VAI_PREEMPT = mode }, 1
		program.test(name .. " (" .. mode .. ")", beside .. source, opts)
	end
end

describe("a ticker goes on beside", function()
	test("loops", "beside(function() while true do end end)")
	test("loops in coroutines in coroutines", [[
		beside(function()
			coroutine.wrap(function()
				coroutine.resume(coroutine.create(function() coroutine.yield() end))
				coroutine.wrap(function() while true do end end)()
			end)()
		end)
	]])
	test("coroutines that yield all the time, and iterators", [[
		beside(function()
			local co = coroutine.wrap(function() while true do coroutine.yield() end end)
			while true do co() end
		end)
	]])
	test("loops of protected calls", [[
		beside(function() while true do pcall(error) end end)
	]])
	test("metamethods", [[
		local function loop() while true do end end
		beside(function() return setmetatable({}, { __index = loop }).x end)
	]])
	test("callbacks of C functions", [[
		local function loop() while true do end end
		beside(function() string.gsub("x", "x", loop) end)
	]])
	test("recursion, closers and message handlers", [[
		beside(function()
			local function loop() while true do end end
			local function deep(n) if n == 0 then loop() end return 1 + deep(n - 1) end
			local id = vai.id() % 3
			if id == 0 then deep(10000) end
			if id == 1 then xpcall(error, loop) end
			do local _ <close> = setmetatable({}, { __close = loop }) end
		end)
	]])
	test("states with hooks of the script's", [[
		beside(function()
			local n, id = 0, vai.id() % 4
			debug.sethook(function() n = n + 1 end, id == 0 and "l" or id == 1 and "cr" or "", id > 1 and 10 ^ (3 * (id - 1)) // 1 or nil)
			local function f() return n end
			while true do f() end
		end)
	]])
	test("loops that are as short as the hook", [[
		beside(function()
			debug.sethook(function() end, "l")
			while true do end
		end)
	]])
	test("a hook that is set and taken away all the time", [[
		beside(function()
			local f = function() end
			while true do debug.sethook(f, "l") debug.sethook(f, "", 1000000) debug.sethook() debug.gethook() end
		end)
	]])
end)

describe("main", function()
	test("is interrupted, also in a coroutine", [[
		local out = chan(100)
		go(function() for i = 1, 3 do vai.sleep(0.001) out:send(i) end end)
		while #out < 3 do end
		go(function() for i = 1, 3 do vai.sleep(0.001) out:send(i) end end)
		coroutine.wrap(function() while #out < 6 do end end)()
		go(function() for i = 1, 3 do vai.sleep(0.001) out:send(i) end end)
		coroutine.wrap(function() pcall(function() coroutine.wrap(function() while #out < 9 do end end)() end) end)()
		debug.sethook(function() end, "l")
		go(function() for i = 1, 3 do vai.sleep(0.001) out:send(i) end end)
		while #out < 12 do end
	]])
	test("is interrupted with a hook from before vai", [==[
		local lines = 0
		local hook = function(e) assert(e == "line") lines = lines + 1 end
		debug.sethook(hook, "l")
		local vai = require "vai"
		local out = vai.chan(10)
		vai.go(function() for i = 1, 3 do vai.sleep(0.001) out:send(i) end end)
		while #out < 3 do
			lines = lines
		end
		assert(debug.gethook() == hook or debug.gethook() == "external hook", tostring(debug.gethook()))
		local before = lines
		local x = 1
		assert(lines > before)
	]==], { raw = true })
end)

describe("hooks of the script's", function()
	-- The same work gives the same number of events, alone and with others that want to run.
	test("see every event", [[
		local function count(mask, every)
			local function work()
				local x = 0
				for i = 1, 30000 do
					x = x + i % 7
				end
				return x
			end
			local n = 0
			debug.sethook(function() n = n + 1 end, mask, every)
			for _ = 1, 3 do work() end
			local f, m, c = debug.gethook()
			debug.sethook()
			assert(type(f) == "function" and m == mask and c == (every or 0))
			assert(debug.gethook() == nil)
			return n
		end
		for _, case in ipairs { { "l" }, { "cr" }, { "", 1 }, { "", 100 }, { "", 1500 }, { "", 70001 }, { "l", 333 } } do
			local ok, alone = vai.async(count, case[1], case[2]):join()
			assert(ok, alone)
			local stop, tasks = chan(), {}
			local busy = vai.async(function() while not stop:is_closed() do end end)
			for i = 1, 3 do tasks[i] = vai.async(count, case[1], case[2]) end
			for i = 1, 3 do check.returns(table.pack(tasks[i]:join()), true, alone) end
			stop:close()
			busy:join()
		end
	]], { timeout = 60 })
	test("may raise, wait, and end", [[
		local ch = chan()
		local task = vai.async(function()
			local n = 0
			debug.sethook(function() n = n + 1 if n == 3 then
				debug.sethook() ch:send("from a hook") error("from a hook", 0) end end, "", 1500)
			while true do end
		end)
		check.eq(ch:recv(), "from a hook")
		check.failed(table.pack(task:join()), "from a hook")
	]])
end)

describe("VAI_PREEMPT", function()
	local told = "^vai: VAI_PREEMPT: 'on' is none of signal, count and off\n$"
	program.test("is told what it does not know", "", { procs = 2, env = { VAI_PREEMPT = "on" }, err = { told } })
	program.test("may be empty", "", { procs = 2, env = { VAI_PREEMPT = "" } })
end)

describe("VAI_PREEMPT=off", function()
	program.test("interrupts nobody", [[
		local function spin() local t = os.clock() while os.clock() - t < 0.05 do end end
		local wg = waitgroup()
		for _ = 1, 4 do wg:go(spin) end
		spin()
		wg:wait()
		check.eq(vai.stats().preempted, 0)
	]], { env = { VAI_PREEMPT = "off" } })
end)
