-- SPDX-License-Identifier: MIT
-- Mutexes and guards; what Go's tests of sync.Mutex ask for, and what goes beyond them: limits, guards, goroutines that
-- are canceled while they wait for the mutex, have just been given it, or hold it.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("a mutex", function()
	test("is locked and unlocked", [[
		local m = vai.mutex()
		check.eq(m:lock(), true)
		check.eq(m:try_lock(), false)
		check.returns(table.pack(m:lock(0)), nil, "timeout")
		check.returns(table.pack(m:lock(0.01)), nil, "timeout")
		m:unlock()
		check.eq(m:try_lock(), true)
		m:unlock()
		check.raises("unlock of unlocked mutex", m.unlock, m)
		check.eq(m:lock(math.huge), true)
		m:unlock()
		check.raises("mutex", function() m.lock(vai.chan()) end)
		m:lock()
		check.raises({ "#1", "with", "function expected" }, m.with, m) -- before it waits
		m:unlock()
		check.eq(tostring(m):match("^mutex: ") ~= nil, true)
	]])

	-- Go's HammerMutex: somebody else's mutual exclusion would lose counts here.
	test("excludes", [[
		local m, wg, box = vai.mutex(), waitgroup(), chan(1)
		local n = check.scaled(2000)
		box:send(0)
		for i = 1, 8 do
			wg:go(function()
				for k = 1, n do
					if k % 3 == 0 then
						if not m:try_lock() then m:lock() end
					else
						m:lock()
					end
					local v = assert(box:try_recv())
					if k % 100 == i then vai.yield() end
					assert(box:try_send(v + 1))
					m:unlock()
				end
			end)
		end
		wg:wait()
		check.eq(box:recv(), 8 * n)
	]])

	test("is the same object everywhere, and anybody may unlock it", [[
		local m, ch = vai.mutex(), chan(1)
		m:lock()
		ch:send({ m })
		local task = vai.async(function() ch:recv()[1]:unlock() return m end)
		check.eq(m:lock(), true)
		check.eq(select { false, default = true }, nil)
		local _, same = task:join()
		check.eq(same, m)
	]])

	-- Go's TestMutexFairness.
	test("serves who has waited for a millisecond, beside one that locks all the time", [[
		local m, over = vai.mutex(), chan()
		local hog = vai.async(function()
			repeat
				m:lock()
				for i = 1, 1000 do end
				m:unlock()
			until over:is_closed()
		end)
		local task = vai.async(function()
			local worst = 0
			for i = 1, 10 do
				vai.sleep(0.001)
				assert(m:lock(10), "starved")
				m:unlock()
			end
		end)
		assert(task:join())
		over:close()
		assert(hog:join())
	]])

	test("serves in order once somebody has waited for a millisecond", [[
		local m, order = vai.mutex(), chan(10)
		m:lock()
		for i = 1, 10 do
			check.waiting(go(function() m:lock() order:send(i) m:unlock() end))
		end
		vai.sleep(0.01)
		m:unlock()
		for i = 1, 10 do check.eq(order:recv(), i) end
	]])

	test("is not given to who has given up", [[
		local m = vai.mutex()
		m:lock()
		local late = vai.async(function() return m:lock(0.005) end)
		local canceled = vai.async(function() m:lock() m:unlock() end)
		check.waiting(canceled)
		check.returns(table.pack(late:join()), true, nil, "timeout")
		canceled:cancel("enough")
		m:unlock()
		check.eq(m:try_lock(), true)
		check.failed(table.pack(canceled:join()), "enough")
		m:unlock()
	]])

	for _, how in ipairs({ "guard", "with" }) do
		test("goes on from one that is canceled before it runs: " .. how, ([[
			local m = vai.mutex()
			local n = check.scaled(10000)
			for round = 1, n do
				m:lock()
				local first = vai.async(function()
					if HOW == "guard" then
						local held <close> = m:guard()
					else
						m:with(function() end)
					end
				end)
				local second = vai.async(function() m:lock() m:unlock() return true end)
				check.waiting(first)
				if round % 2 == 0 then check.waiting(second) end
				if round % 500 == 1 then vai.sleep(0.002) end
				m:unlock()
				first:cancel()
				check.returns(table.pack(second:join(10)), true, true)
				first:join()
				assert(m:try_lock(), "lost")
				m:unlock()
			end
		]]):gsub("HOW", ("%q"):format(how)), { timeout = 60 })
	end

	test("survives goroutines that give up, fail and are canceled at random", [[
		local m = vai.mutex()
		local n = check.scaled(2000)
		local function work(seed)
			math.randomseed(seed)
			for _ = 1, 5 do
				local dice = math.random(4)
				local limit = dice == 1 and 0 or dice == 2 and math.random() / 1000 or nil
				local held <close> = m:guard(limit)
				if held then
					if math.random(10) == 1 then vai.yield() end
					if math.random(20) == 1 then error("fails", 0) end
				end
			end
		end
		local tasks = {}
		for i = 1, n do
			tasks[i] = vai.async(work, i)
			if i % 3 == 0 then tasks[i - math.random(0, 2)]:cancel() end
		end
		for i = 1, n do
			local ok, err = tasks[i]:join(30)
			if ok == nil or (not ok and err ~= "fails" and err ~= "canceled") then error(tostring(err)) end
		end
		check.eq(m:try_lock(), true)
		m:unlock()
	]], { timeout = 60 })
end)

describe("a guard", function()
	test("unlocks at the end of the block, however that is left", [[
		local m = vai.mutex()
		do
			local held <close> = m:guard()
			check.eq(m:try_lock(), false)
			check.eq(tostring(held):match("^guard: ") ~= nil, true)
		end
		check.eq(m:try_lock(), true)
		m:unlock()
		check.raises("^oops$", function()
			local held <close> = m:guard()
			error("oops", 0)
		end)
		check.eq(m:try_lock(), true)
		check.returns(table.pack(m:guard(0.001)), nil, "timeout")
		m:unlock()
	]])

	test("unlocks when it is collected", [[
		local m = vai.mutex()
		local g = m:guard()
		check.eq(m:try_lock(), false)
		g = nil
		collectgarbage() collectgarbage()
		check.eq(m:try_lock(), true)
		m:unlock()
	]])

	test("unlocks at the end of its goroutine, quietly", [[
		local m = vai.mutex()
		assert(vai.async(function() kept = m:guard() end):join())
		check.eq(m:try_lock(), true)
		m:unlock()
		check.raises("x", function() error((select(2, vai.async(function() kept = m:guard() error("x") end):join()))) end)
		check.eq(m:try_lock(), true)
		m:unlock()
		local task = vai.async(function() kept = m:guard() chan():recv() end)
		check.waiting(task)
		task:cancel()
		task:join()
		check.eq(m:try_lock(), true)
		m:unlock()
	]])

	test("leaves a mutex alone that was unlocked by hand", [[
		local m, free = vai.mutex(), chan()
		local task
		do
			local held <close> = m:guard()
			m:unlock()
			task = vai.async(function() m:lock() free:recv() m:unlock() end)
			check.waiting(task)
		end
		check.eq(m:try_lock(), false)
		free:send(true)
		assert(task:join())
	]])

	test("works in goroutine after goroutine", [[
		local m, wg, n = vai.mutex(), waitgroup(), chan(1)
		n:send(0)
		for _ = 1, check.scaled(500) do
			wg:go(function()
				local held <close> = m:guard()
				n:send(n:recv() + 1)
			end)
		end
		wg:wait()
		check.eq(n:recv(), check.scaled(500))
	]])
end)

describe("mutex:with", function()
	test("calls, returns results, unlocks", [[
		local m = vai.mutex()
		check.returns(table.pack(m:with(function(...) check.eq(m:try_lock(), false) return ... end, 1, nil, 3)), 1, nil, 3)
		check.returns(table.pack(m:with(function() end)))
		check.raises("^no$", m.with, m, error, "no", 0)
		check.raises("function expected", m.with, m)
		check.eq(m:try_lock(), true)
		m:unlock()
	]])

	test("a coroutine may yield in there", [[
		local m = vai.mutex()
		local co = coroutine.wrap(function() return m:with(function(v) return coroutine.yield(v) end, 1), 3 end)
		check.eq(co(), 1)
		check.eq(m:try_lock(), false)
		check.returns(table.pack(co(2)), 2, 3)
		check.eq(m:try_lock(), true)
		local left = coroutine.create(function() m:with(coroutine.yield) end)
		m:unlock()
		coroutine.resume(left)
		check.eq(m:try_lock(), false)
		coroutine.close(left)
		check.eq(m:try_lock(), true)
	]])
end)

describe("a goroutine that ends and holds a mutex", function()
	test("is told of", [[
		local m = vai.mutex()
		vai.async(function() m:lock() end):join()
		check.eq(m:try_lock(), false)
	]], { err = "^vai: goroutine %d+ ended with mutex made at [^\n]*program.lua:1 locked\n$" })

	test("is told of by its name, once, also where it has dropped the mutex", [[
		local ch, m = chan(1), vai.mutex()
		ch:send(m)
		vai.spawn({ name = "worker" }, function()
			local got = ch:recv()
			got:lock()
			got = nil
			collectgarbage() collectgarbage()
		end):join()
	]], { err = "^vai: goroutine %d+ %(worker%) ended with mutex made at [^\n]*program.lua:1 locked\n$" })

	test("stands in the report of a deadlock", [[
		local m = vai.mutex()
		vai.async(function() m:lock() end):join()
		go(function() m:lock() end)
		local ok, err = pcall(m.lock, m)
		check.eq(ok, false)
		assert(err:find("on mutex made at [^\n]*:1 %(locked by goroutine %d+, which has ended, 2 waiting%)"), err)
		assert(err:find("[mutex lock]", 1, true), err)
	]], { any_err = true })

	test("is not told of when another unlocks, or nobody else has it", [[
		vai.async(function() vai.mutex():lock() collectgarbage() collectgarbage() end):join()
		local m = vai.mutex()
		local go_on = chan()
		local task = vai.async(function() m:lock() go_on:recv() end)
		check.waiting(task)
		m:unlock()
		go_on:close()
		task:join()
		vai.async(function() m:lock() m:unlock() end):join()
	]])
end)

test("dumps show who holds a mutex", [[
	local m = vai.mutex()
	m:lock()
	local task = go(function() m:lock() m:unlock() end)
	check.waiting(task)
	vai.dump(arg[1] .. "/dump")
	local text = io.open(arg[1] .. "/dump"):read("a")
	assert(text:find("mutex lock]:\n\ton mutex made at [^\n]*program.lua:1 %(locked by goroutine 1, 1 waiting%)"), text)
	m:unlock()
	task:join()
]])
