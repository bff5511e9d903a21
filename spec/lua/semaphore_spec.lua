-- SPDX-License-Identifier: MIT
-- Semaphores: what the tests of Go's x/sync/semaphore ask for, with limits and goroutines that are canceled.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("a semaphore", function()
	test("gives and takes permits", [[
		local s = vai.semaphore(3)
		check.eq(s:acquire(), true)
		check.eq(s:acquire(2), true)
		check.eq(s:acquire(0), true)
		check.eq(s:try_acquire(0), true)
		check.eq(s:try_acquire(), false)
		check.returns(table.pack(s:acquire(1, 0)), nil, "timeout")
		check.returns(table.pack(s:acquire(1, 0.005)), nil, "timeout")
		s:release(3)
		check.eq(s:try_acquire(3), true)
		s:release()
		s:release(2)
		s:release(0)
		check.raises("released more than acquired", s.release, s)
		check.raises({ "acquire", "4 of 3" }, s.acquire, s, 4)
		check.raises("try_acquire", s.try_acquire, s, 4)
		check.raises("release", s.release, s, 4)
		check.raises("negative", s.acquire, s, -1)
		check.raises("negative", s.release, s, -1)
		check.raises("semaphore", vai.semaphore, -1)
		check.raises("semaphore", vai.semaphore)
		check.raises("semaphore", vai.semaphore, 1.5)
		local none = vai.semaphore(0)
		check.eq(none:acquire(0), true)
		check.raises("1 of 0", none.acquire, none)
		check.eq(tostring(s):match("^semaphore: ") ~= nil, true)
	]])

	test("gives what a guard holds back at the end of its block, of its goroutine, or when it is collected", [[
		local s = vai.semaphore(3)
		do
			local held <close> = s:guard(2)
			check.eq(s:try_acquire(2), false)
			check.returns(table.pack(s:guard(2, 0)), nil, "timeout")
			local none <close> = s:guard(0)
			local one <close> = s:guard()
			check.eq(s:try_acquire(), false)
		end
		check.eq(s:try_acquire(3), true)
		s:release(3)
		s:guard(3)
		collectgarbage()
		collectgarbage()
		check.eq(s:acquire(3, 60), true)
		local waiting = vai.async(function() local held = s:guard(2) chan():recv() end)
		check.waiting(waiting)
		s:release(3)
		check.until_true(function() return not s:try_acquire(2) or s:release(2) end)
		waiting:cancel()
		check.eq(s:acquire(3, 60), true)
		local canceled = vai.async(function() return s:guard() end)
		check.waiting(canceled)
		canceled:cancel()
		check.eq(canceled:join(), false)
		s:release(3)
		check.eq(s:acquire(3, 60), true)
		check.raises({ "guard", "4 of 3" }, s.guard, s, 4)
		check.raises({ "guard", "negative" }, s.guard, s, -1)
	]])

	test("is first come, first served: a large request is not overtaken", [[
		local s, order = vai.semaphore(4), chan(10)
		s:acquire(3)
		local function start(k, name)
			local t = vai.async(function() s:acquire(k) order:send(name) end)
			check.waiting(t)
		end
		start(3, "large") start(1, "small") start(1, "third")
		check.eq(s:try_acquire(), false)
		check.returns(table.pack(order:recv(0.005)), nil, "timeout")
		s:release(2)
		check.eq(order:recv(), "large")
		check.eq(#order, 0)
		s:release(1)
		check.eq(order:recv(), "small")
		s:release(1)
		check.eq(order:recv(), "third")
	]])

	test("one that gives up lets those behind it through", [[
		local s, ctx, stop = vai.semaphore(4), vai.context():with_cancel()
		s:acquire(3)
		local large = vai.async(function() return s:acquire(4, ctx) end)
		check.waiting(large)
		local canceled = vai.async(function() return s:acquire(4) end)
		check.waiting(canceled)
		local small = vai.async(function() return s:acquire(1) end)
		check.waiting(small)
		canceled:cancel()
		check.returns(table.pack(small:join(0.005)), nil, "timeout")
		stop()
		check.returns(table.pack(large:join()), true, nil, "canceled")
		check.returns(table.pack(small:join(10)), true, true)
		s:release(4)
		check.eq(s:try_acquire(4), true)
	]])

	test("permits go on from one that is canceled before it runs", [[
		local s = vai.semaphore(2)
		for round = 1, check.scaled(10000) do
			s:acquire(2)
			local got = chan(1)
			local first = vai.async(function()
				local back <close> = setmetatable({}, { __close = function() if got:try_recv() then s:release(2) end end })
				if s:acquire(2) then got:send(true) end
			end)
			check.waiting(first)
			local second = vai.async(function() s:acquire(1) s:release(1) return true end)
			if round % 2 == 0 then check.waiting(second) end
			s:release(2)
			first:cancel()
			check.returns(table.pack(second:join(10)), true, true)
			first:join()
			assert(s:try_acquire(2), "lost")
			s:release(2)
		end
	]], { procs = 1, timeout = 60 })

	test("holds its size under load, and loses nothing", [[
		local s, inside, wg = vai.semaphore(5), chan(5), waitgroup()
		local n = check.scaled(1000)
		for i = 1, 16 do
			wg:go(function()
				math.randomseed(i)
				for k = 1, n do
					local want = math.random(0, 5)
					local limit = math.random(3) == 1 and math.random() / 2000 or nil
					if s:acquire(want, limit) then
						for _ = 1, want do assert(inside:try_send(1), "too many") end
						if k % 20 == 0 then vai.yield() end
						for _ = 1, want do assert(inside:try_recv()) end
						s:release(want)
					end
				end
			end)
		end
		wg:wait()
		check.eq(s:try_acquire(5), true)
	]], { timeout = 60 })

	test("stands in dumps", [[
		local s = vai.semaphore(2)
		s:acquire()
		local ok, err = pcall(s.acquire, s, 2)
		assert(err:find("semaphore acquire]:\n\ton semaphore made at [^\n]*:1 %(1 of 2 left, 1 waiting%)"), err)
	]])
end)
