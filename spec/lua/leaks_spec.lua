-- SPDX-License-Identifier: MIT
-- VAI_DEBUG=leaks: goroutines and objects that nobody can reach; and channels that hold themselves, which are freed.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- With hooks that count, as ThreadSanitizer's build has them, nothing is told at the end of the main chunk: see API.md.
if os.getenv "VAI_VARIANT" == "tsan" then return end

-- The end of each program: once at least WAITING goroutines wait, and nobody is about to run but those that compute. One
-- that runs on a thread which the system has long given no CPU to looks as if it were in a C call.
local settle = [[
local WAITING, COMPUTING = %d, %d
check.until_true(function()
	local name = arg[1] .. "/dump"
	assert(vai.dump(name))
	local f <close> = assert(io.open(name))
	local text = f:read "a"
	local _, n = text:gsub("\ngoroutine %%d+[^\n]* %%[[^r]", "")
	local _, ready = text:gsub("%%[runnable", "")
	local _, starved = text:gsub("%%[in a C call", "")
	return ready + starved <= COMPUTING and n - starved >= WAITING
end)]]

local function test(name, goroutines, objects, source, more)
	local opts = { env = { VAI_DEBUG = "leaks" }, timeout = 60, err_not = more and more.err_not }
	opts.err = { ("^vai: leaks: %d goroutines?, %d objects?\n"):format(goroutines, objects), table.unpack(more or {}) }
	-- Where nothing is leaked somebody waits all the same, unless it is said that nobody does.
	local waiting = goroutines == 0 and objects == 0 and not (more and more.ends) and 1 or goroutines
	program.test(name, source .. "\n" .. settle:format(waiting, more and more.computing or 0), opts)
end

describe("VAI_DEBUG=leaks tells", function()
	test("nothing where everything ends", 0, 0, [[
		local c = chan()
		go(function() c:send(1) end)
		c:recv()
		local t = vai.async(function() return chan(1) end)
		assert(t:join())]], { err_not = "channel", ends = true })

	-- One way to hold a channel for each of those who may still use it.
	for name, source in pairs {
		["what main has in a local"] = "local c = chan() go(function() c:recv() end)",
		["what main has in a global"] = "c = chan() local d = c go(function() d:recv() end)",
		["what main has in a table"] = "local t = { { chan() } } local d = t[1][1] go(function() d:recv() end)",
		["what main has in an upvalue"] = [[local function f()
				local c = chan() go(function() c:recv() end) return function() return c end
			end
			local g = f()]],
		["what one that sleeps has"] = [[do
				local c = chan()
				go(function() c:recv() end)
				go(function() vai.sleep(100) c:send(1) end)
			end]],
		["what one that computes has"] = [[do
				local c = chan()
				go(function() c:recv() end)
				go(function() while #c == 0 do end end)
				vai.sleep(0.05)
			end]],
		["what one that waits for input has"] = [[do
				local c, r, w = chan(), vai.net.pipe()
				_G.w = w
				go(function() c:recv() end)
				go(function() r:read(1) c:send(1) end)
			end]],
		["what lies in a channel that main has"] = "local keep = chan(1) do local c = chan() go(function() c:recv() end) keep:send { { c } } end",
		["what a waiting goroutine sends to main"] = [[local keep = chan()
			do
				local c = chan()
				go(function() c:recv() end)
				go(function() keep:send { c } end)
			end]],
		["a timer's arguments"] = "do local c = chan() vai.timer(100, function() c:send(1) end) go(function() c:recv() end) end",
		["what vai.after posts into"] = "do local c = vai.after(100) go(function() c:recv() end) end",
		["what a shared map has"] = "local m = vai.map() do local c = chan() m:set('c', c) go(function() c:recv() end) end",
		["waits with a limit"] = [[do
				local c, d = chan(), chan()
				go(function() c:recv(100) end)
				go(function() select { c, d, timeout = 100 } end)
			end]],
		["waits bounded by a context"] = "local ctx, stop = vai.context():with_cancel() do local c = chan() go(function() c:recv(ctx) end) end",
		["the result of a task that main has"] = [[local t
			do
				local c = chan()
				go(function() c:recv() end)
				t = vai.async(function() return c end)
				vai.sleep(0.02)
			end]],
		["tasks that main can cancel"] = "local t = vai.async(function() chan():recv() end)",
		["goroutines at a wait group that main has"] = "local wg = waitgroup() wg:add(1) go(function() wg:wait() end)",
	} do
		test("not " .. name, 0, 0, source, name:find "computes" and { computing = 1 } or nil)
	end

	for name, source in pairs {
		receivers = "do local c = chan() go(function() c:recv() end) end",
		senders = "do local c = chan(1) go(function() c:send(1) c:send(2) end) end",
		loops = "do local c = chan() go(function() for v in c do end end) end",
		selects = "do local c, d = chan(), chan(1) go(function() select { c, { d, 1 } } select { c, { d, 1 } } end) end",
		["selects of nothing"] = "go(function() select {} end)",
		mutexes = "do local m = vai.mutex() go(function() m:lock() m:lock() end) end",
		["rw mutexes"] = "do local m = vai.rwmutex() go(function() m:lock() m:rlock() end) end",
		["wait groups"] = "do local wg = waitgroup() wg:add(1) go(function() wg:wait() end) end",
		semaphores = "do local s = vai.semaphore(1) go(function() s:acquire() s:acquire() end) end",
		conditions = "do local m = vai.mutex() local c = vai.cond(m) go(function() m:lock() c:wait() end) end",
		["closures over their own channel"] = "go(function() local c = chan() return c:recv() end)",
		["coroutines"] = "do local c = chan() go(function() coroutine.wrap(function() c:recv() end)() end) end",
	} do
		test("one of " .. name, 1, 0, source, { "\ngoroutine %d+ %[", "created at [^\n]*program%.lua:1\n" })
	end

	test("circles of goroutines", 2, 0, [[
		do
			local a, b = chan(), chan()
			go(function() a:recv() b:send(1) end)
			go(function() b:recv() a:send(1) end)
		end]])
	test("locks taken in two orders, with guards", 2, 0, [[
		do
			local a, b, both = vai.mutex(), vai.mutex(), waitgroup()
			both:add(2)
			go(function() local g <close> = a:guard() both:done() both:wait() b:lock() end)
			go(function() local g <close> = b:guard() both:done() both:wait() a:lock() end)
		end]])
	test("those that wait for them", 2, 0, [[
		do
			local c = chan()
			local t = vai.async(function() c:recv() end)
			go(function() t:join() end)
		end]])
	test("many as one", 300, 0, [[
		local function forget() local c = chan() go(function() c:recv() end) end
		for i = 1, 300 do forget() end]], { "\n300 goroutines %[chan receive%]:\n\ton channel made at [^\n]*:1 " })
	test("channels that hold each other", 0, 3, [[
		do
			local a, b, c = chan(1), chan(1), chan(1)
			a:send { b } b:send { c } c:send { a, b }
		end]], { "\nchannel made at [^\n]*:2 %(3 of them%)\n" })
	test("a task that is its own result", 0, 2, [[
		do
			local c = chan(1)
			local t = vai.async(function() return (c:recv()), c end)
			c:send { t }
			t:join()
			c:send { t, c }
		end]])

	program.test("in vai.dump and at os.exit, too", [[
		local function forget() local c = chan() check.waiting(go(function() c:recv() end)) end
		forget()
		collectgarbage()
		local name = arg[1] .. "/dump"
		assert(vai.dump(name))
		local f = assert(io.open(name))
		local text = f:read "a"
		assert(text:find "\nvai: leaks: 1 goroutine, 0 objects\n\ngoroutine %d+ %[chan receive%]", text)
		os.exit(3)
	]], { env = { VAI_DEBUG = "leaks" }, status = 3, err = "^vai: leaks: 1 goroutine, 0 objects\n" })

	program.test("with the results of the main chunk in place", [[
		local f = assert(io.open(arg[1] .. "/chunk.lua", "w"))
		f:write [=[local vai = require "vai"
			do local c = vai.chan() require "check".waiting(vai.go(function() c:recv() end)) end
			return 1, "two", nil, 4]=]
		f:close()
		assert(loadfile(arg[1] .. "/chunk.lua"))
		local a, b, c, d = dofile(arg[1] .. "/chunk.lua")
		assert(a == 1 and b == "two" and c == nil and d == 4)
	]], { env = { VAI_DEBUG = "leaks" }, err = "^vai: leaks: 1 goroutine, 0 objects\n" })
end)

describe("a channel that holds itself", function()
	program.test("is freed when nobody else has it", [[
		local big = ("x"):rep(100000)
		local ways = {
			function(c) c:send(c) end,
			function(c) c:send { c, { c }, big } end,
			function(c) c:try_send { [1] = { c } } end,
			function(c) select { { c, { c } } } end,
			function(c) c:send { c } c:recv() c:send { c } c:send(c) end,
			function(c) local d = c c:send(function() return d end) end,
			function(c) c:send { c } c:close() end,
		}
		local function work()
			local before = check.rss()
			for i = 1, check.scaled(1000) do
				for k, way in ipairs(ways) do
					local c = chan(4)
					if k ~= 7 then c:send(big) end
					way(c)
				end
			end
			collectgarbage()
			assert(check.slowness > 1 or check.rss() - before < 30000, check.rss() - before .. " kB")
		end
		work()
		assert(vai.async(work):join())
	]], { timeout = 60 })

	program.test("is not while somebody else has it", [[
		local keep = chan(1)
		local function make()
			local c = chan(3)
			c:send(c)
			c:send "value"
			keep:send(c)
		end
		for i = 1, 100 do
			make()
			collectgarbage()
			local c = keep:recv()
			assert(c:recv() == c)
			check.eq(c:recv(), "value")
		end
		-- Two that let go at the same time.
		for i = 1, check.scaled(300) do
			local tasks = {}
			local function give()
				local c = chan(3)
				c:send { c, ("x"):rep(1000) }
				for k = 1, 4 do tasks[k] = vai.async(function() c:send { c } c:recv() end) end
			end
			give()
			for _, t in ipairs(tasks) do assert(t:join()) end
		end
	]], { timeout = 60 })
end)
