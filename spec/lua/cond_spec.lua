-- SPDX-License-Identifier: MIT
-- Conditions: what Go's tests of sync.Cond ask for; limits, and signals to goroutines that are canceled.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("a cond", function()
	test("wakes one for a signal, in order, all for a broadcast", [[
		local m = vai.mutex()
		local c, out = vai.cond(m), chan(100)
		local function wait(i)
			return vai.async(function()
				m:lock()
				c:wait()
				out:send(i)
				m:unlock()
			end)
		end
		for i = 1, 10 do check.waiting(wait(i)) end
		for i = 1, 4 do
			m:lock() c:signal() m:unlock()
			check.eq(out:recv(), i)
		end
		check.eq(#out, 0)
		m:lock() c:broadcast() m:unlock()
		local sum = 0
		for _ = 5, 10 do sum = sum + out:recv() end
		check.eq(sum, 45)
		c:signal() c:broadcast()
		m:lock()
		check.returns(table.pack(c:wait(0.005)), nil, "timeout")
		check.eq(m:try_lock(), false)
		m:unlock()
		check.raises("unlock of unlocked mutex", c.wait, c)
		check.raises("mutex expected", vai.cond, 1)
		check.eq(tostring(c):match("^cond: ") ~= nil, true)
	]])

	test("holds the mutex again in every case", [[
		local m = vai.mutex()
		local c = vai.cond(m)
		local ctx, stop = vai.context():with_cancel()
		m:lock()
		check.returns(table.pack(c:wait(0)), nil, "timeout")
		check.eq(m:try_lock(), false)
		vai.timer(0.005, stop)
		check.returns(table.pack(c:wait(ctx)), nil, "canceled")
		check.eq(m:try_lock(), false)
		check.returns(table.pack(c:wait(ctx)), nil, "canceled")
		m:unlock()
		local free = chan()
		local task = vai.async(function()
			local held <close> = m:guard()
			local ok, err = pcall(c.wait, c)
			assert(not ok and err == "enough")
			assert(not m:try_lock())
			error(err, 0)
		end)
		check.waiting(task)
		m:lock()
		task:cancel("enough")
		check.returns(table.pack(task:join(0.01)), nil, "timeout")
		m:unlock()
		check.failed(table.pack(task:join()), "enough")
		check.eq(m:try_lock(), true)
		m:unlock()
		vai.async(function() kept = m:guard() c:wait(0.001) end):join()
		check.eq(m:try_lock(), true)
	]])

	test("canceled, waits for no holder of the mutex that has ended, before or after", [[
		local m = vai.mutex()
		local c = vai.cond(m)
		local function waiting()
			local task = vai.async(function()
				m:lock()
				local ok, err = pcall(c.wait, c)
				error(("%s %s"):format(ok, err), 0)
			end)
			check.waiting(task)
			return task
		end
		local function ends_with_it(go_on)
			return vai.async(function()
				m:lock()
				go_on:recv()
			end)
		end
		local go_on = chan()
		go_on:close()
		local task = waiting()
		ends_with_it(go_on):join()
		check.eq(m:try_lock(), false)
		task:cancel("enough")
		check.failed(table.pack(task:join()), "enough")
		m:unlock()
		-- It waits for the mutex already, and others do, too: they get it once somebody unlocks it.
		go_on = chan()
		local waits = { waiting(), waiting() }
		local last = ends_with_it(go_on)
		check.waiting(last)
		local other = vai.async(function() m:lock() return "mine" end)
		check.waiting(other)
		for _, w in ipairs(waits) do
			w:cancel("enough")
			check.returns(table.pack(w:join(0.01)), nil, "timeout")
		end
		go_on:close()
		for _, w in ipairs(waits) do check.failed(table.pack(w:join()), "enough") end
		last:join()
		check.eq(m:try_lock(), false)
		m:unlock()
		check.returns(table.pack(other:join()), true, "mine")
		-- The signal came first, then the holder's end, then the cancel.
		m:unlock()
		go_on = chan()
		local late = waiting()
		last = ends_with_it(go_on)
		check.waiting(last)
		c:signal()
		check.returns(table.pack(late:join(0.01)), nil, "timeout")
		go_on:close()
		last:join()
		check.returns(table.pack(late:join(0.01)), nil, "timeout")
		late:cancel("late")
		check.failed(table.pack(late:join()), "late")
	]], { err = { "ended with mutex made at [^\n]* locked" } })

	test("gives a signal on from one that is canceled before it runs", [[
		local m = vai.mutex()
		local c = vai.cond(m)
		for round = 1, check.scaled(3000) do
			local first = vai.async(function() local held <close> = m:guard() c:wait() end)
			check.waiting(first)
			local second = vai.async(function() local held <close> = m:guard() return c:wait() end)
			check.waiting(second)
			c:signal()
			first:cancel()
			-- where the first one had the signal already, there is none left
			if first:join() then c:signal() end
			check.returns(table.pack(second:join(20)), true, true)
		end
	]], { procs = 1, timeout = 60 })

	test("makes a queue of many producers and consumers", [[
		local m = vai.mutex()
		local filled, emptied = vai.cond(m), vai.cond(m)
		local items, wg, total = chan(3), waitgroup(), chan(1)
		local n = check.scaled(500)
		total:send(0)
		for p = 1, 4 do
			wg:go(function()
				for i = 1, n do
					local held <close> = m:guard()
					while #items == 3 do emptied:wait() end
					items:send(i)
					filled:signal()
				end
			end)
			wg:go(function()
				for _ = 1, n do
					local held <close> = m:guard()
					while #items == 0 do filled:wait() end
					total:send(total:recv() + items:recv())
					emptied:signal()
				end
			end)
		end
		wg:wait()
		check.eq(total:recv(), 4 * n * (n + 1) // 2)
	]], { timeout = 60 })

	test("stands in dumps", [[
		local m = vai.mutex()
		local c = vai.cond(m)
		m:lock()
		local ok, err = pcall(c.wait, c)
		assert(err:find("cond wait]:\n\ton cond made at [^\n]*program.lua:2 %(1 waiting%)"), err)
	]])
end)
