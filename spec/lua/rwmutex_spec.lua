-- SPDX-License-Identifier: MIT
-- Readers' and writers' mutexes: what Go's tests of sync.RWMutex ask for, with limits, guards and goroutines that are canceled.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("an rwmutex", function()
	test("has one writer or many readers", [[
		local m = vai.rwmutex()
		check.eq(m:rlock(), true)
		check.eq(m:rlock(0), true)
		check.eq(m:try_rlock(), true)
		check.eq(m:try_lock(), false)
		check.returns(table.pack(m:lock(0)), nil, "timeout")
		check.returns(table.pack(m:lock(0.005)), nil, "timeout")
		m:runlock() m:runlock() m:runlock()
		check.eq(m:lock(), true)
		check.eq(m:try_rlock(), false)
		check.eq(m:try_lock(), false)
		check.returns(table.pack(m:rlock(0.005)), nil, "timeout")
		check.raises("runlock of unlocked rwmutex", m.runlock, m)
		m:unlock()
		check.raises("^[^:]*unlock of unlocked rwmutex", m.unlock, m)
		check.raises("runlock of unlocked rwmutex", m.runlock, m)
		m:rlock()
		check.raises("unlock of unlocked rwmutex", m.unlock, m)
		m:runlock()
		check.eq(tostring(m):match("^rwmutex: ") ~= nil, true)
	]])

	test("a writer that waits keeps new readers out, until it gives up", [[
		local m = vai.rwmutex()
		m:rlock()
		local writer = vai.async(function() local ok = m:lock(0.05) if ok then m:unlock() end return ok end)
		check.waiting(writer)
		check.eq(m:try_rlock(), false)
		local reader = vai.async(function() m:rlock() m:runlock() return true end)
		check.waiting(reader)
		check.returns(table.pack(writer:join()), true, nil)
		check.returns(table.pack(reader:join(10)), true, true)
		check.eq(m:try_rlock(), true)
		m:runlock() m:runlock()
		check.eq(m:try_lock(), true)
		m:unlock()
	]])

	test("lets readers in after a writer, and a writer after them: neither starves", [[
		local m, log, inside = vai.rwmutex(), chan(100), waitgroup()
		m:lock()
		inside:add(6) -- none of the readers ends before all are in
		local tasks = {}
		local function start(f) local t = vai.async(f) check.waiting(t) tasks[#tasks + 1] = t end
		for i = 1, 2 do
			start(function() m:lock() log:send("w") m:unlock() end)
			for _ = 1, 3 do
				start(function() m:rlock() log:send("r") inside:done() inside:wait() log:send("e") m:runlock() end)
			end
		end
		m:unlock()
		for _, t in ipairs(tasks) do assert(t:join(10)) end
		local s = ""
		while #log > 0 do s = s .. log:recv() end
		check.eq(s, ("r"):rep(6) .. ("e"):rep(6) .. "ww")
	]])

	-- Go's HammerRWMutex.
	test("excludes", [[
		local m, wg, box = vai.rwmutex(), waitgroup(), chan(1)
		local n = check.scaled(500)
		box:send(0)
		for i = 1, 4 do
			wg:go(function()
				for k = 1, n do
					m:lock()
					local v = assert(box:try_recv(), "two writers, or a reader")
					if k % 50 == i then vai.yield() end
					assert(box:try_send(v + 1))
					m:unlock()
				end
			end)
			wg:go(function()
				for k = 1, n do
					m:rlock()
					assert(#box == 1, "a writer beside a reader")
					if k % 50 == i then vai.yield() end
					assert(#box == 1, "a writer beside a reader")
					m:runlock()
				end
			end)
		end
		wg:wait()
		check.eq(box:recv(), 4 * n)
	]], { timeout = 60 })

	test("guards unlock, for readers too", [[
		local m = vai.rwmutex()
		do
			local a <close> = m:rguard()
			check.eq(m:try_lock(), false)
			check.eq(m:try_rlock(), true)
			m:runlock()
			check.returns(table.pack(m:guard(0.001)), nil, "timeout")
		end
		do
			local a <close> = m:guard()
			check.eq(m:try_rlock(), false)
			check.returns(table.pack(m:rguard(0.001)), nil, "timeout")
		end
		check.returns(table.pack(m:with(function(...) check.eq(m:try_rlock(), false) return ... end, 1, 2)), 1, 2)
		vai.async(function() kept = m:rguard() end):join()
		vai.async(function() kept = m:guard() end):join()
		kept = m:rguard()
		kept = nil
		collectgarbage() collectgarbage()
		check.eq(m:try_lock(), true)
	]])

	test("goes on from one that is canceled before it runs", [[
		local m = vai.rwmutex()
		for round = 1, check.scaled(5000) do
			local writes = round % 2 == 0
			m:lock()
			local first = vai.async(function()
				local held <close> = writes and m:guard() or not writes and m:rguard() or nil
			end)
			check.waiting(first)
			local second = vai.async(function() m:lock() m:unlock() return true end)
			if round % 3 == 0 then check.waiting(second) end
			m:unlock()
			first:cancel()
			check.returns(table.pack(second:join(10)), true, true)
			first:join()
			assert(m:try_lock(), "lost")
			m:unlock()
		end
	]], { timeout = 60 })

	test("survives goroutines that give up, fail and are canceled at random", [[
		local m = vai.rwmutex()
		local n = check.scaled(2000)
		local tasks = {}
		for i = 1, n do
			tasks[i] = vai.async(function()
				math.randomseed(i)
				for _ = 1, 5 do
					local dice = math.random(4)
					local limit = dice == 1 and 0 or dice == 2 and math.random() / 1000 or nil
					local writes = math.random(3) == 1
					local held <close> = writes and m:guard(limit) or not writes and m:rguard(limit) or nil
					if held and math.random(10) == 1 then vai.yield() end
					if math.random(30) == 1 then error("fails", 0) end
				end
			end)
			if i % 3 == 0 then tasks[i - math.random(0, 2)]:cancel() end
		end
		for i = 1, n do
			local ok, err = tasks[i]:join(30)
			if ok == nil or (not ok and err ~= "fails" and err ~= "canceled") then error(tostring(err)) end
		end
		check.eq(m:try_lock(), true)
		m:unlock()
	]], { timeout = 60 })

	test("is told of where a goroutine ends with it", [[
		local m = vai.rwmutex()
		vai.async(function() m:rlock() m:rlock() m:runlock() end):join()
		check.eq(m:try_lock(), false)
		m:runlock()
		vai.async(function() m:rlock() m:runlock() m:lock() m:unlock() end):join()
		vai.async(function() local k <close> = m:rguard() end):join()
		vai.async(function() m:lock() end):join()
		local ok, err = pcall(m.rlock, m)
		assert(err:find("rwmutex made at [^\n]*:1 %(locked by goroutine %d+, which has ended, 0 waiting to write, 1 to read%)"), err)
	]], { err = "^vai: goroutine %d+ ended with rwmutex made at [^\n]*:1 locked for reading\n"
		.. "vai: goroutine %d+ ended with rwmutex made at [^\n]*:1 locked\n$" })
end)
