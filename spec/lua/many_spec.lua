-- SPDX-License-Identifier: MIT
-- Very many goroutines at once (a hundred thousand in a whole run and in examples/hundred_thousand.lua), parked and
-- woken round after round in one process: a round comes that takes no more memory than the one before; and when
-- nobody needs it any more it goes back.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- (Sanitizers and builds without caches hold memory back for reasons of their own: not there. TSan keeps
-- 700 kB for each goroutine alive.)
-- run(round): round() returns when all are parked, with a function that wakes them and waits for
-- their end.
local head = [[
local n = check.scaled(check.whole and WHOLE or N)
if os.getenv "VAI_VARIANT" == "tsan" or os.getenv "VAI_VARIANT" == "valgrind" then n = n // 16 * 2 end
local function rss()
	collectgarbage()
	collectgarbage()
	return check.rss()
end
local function run(round)
	local parked, after = {}, {}
	local function grew(list, r) return list[r] > list[r - 1] + SLACK + list[r - 1] // 50 end
	for r = 1, 10 do
		local finish = round()
		parked[r] = rss()
		finish()
		check.until_true(function() return vai.count() == 1 end)
		after[r] = rss()
		if r >= 3 and not grew(parked, r) and not grew(after, r) then return end
		if r >= 3 and check.slowness > 1 then return end
	end
	error(table.concat(parked, " ") .. " parked, " .. table.concat(after, " ") .. " kB after")
end
]]

-- With n goroutines, or with many more; less than a page of each is found as growth.
local function test(name, n, whole, body)
	program.test(name, ("local N, WHOLE, SLACK = %d, %d, %d "):format(n, whole, n // 3 * 2) .. head:gsub("\n", " ") .. body, { sample = 1 })
end

describe("very many goroutines", function()
	test("waiting for a channel to close", 15000, 100000, [[
		run(function()
			local gate, ready, done = chan(), waitgroup(), waitgroup()
			ready:add(n)
			done:add(n)
			for _ = 1, n do
				go(function()
					ready:done()
					gate:recv()
					done:done()
				end)
			end
			ready:wait()
			check.eq(vai.count(), n + 1)
			return function()
				gate:close()
				done:wait()
			end
		end)
	]])

	test("each woken with a value of its own, answering", 6000, 10000, [[
		run(function()
			local inbox, out = chan(), chan(64)
			local ready = waitgroup()
			ready:add(n)
			for _ = 1, n do
				go(function() ready:done() out:send(inbox:recv() + 1) end)
			end
			ready:wait()
			return function()
				go(function() for i = 1, n do inbox:send(i) end end)
				local sum = 0
				for _ = 1, n do sum = sum + out:recv() end
				check.eq(sum, n * (n + 1) // 2 + n)
			end
		end)
	]])

	test("waiting in select", 6000, 10000, [[
		run(function()
			local stop, ready, done = chan(), waitgroup(), waitgroup()
			ready:add(n)
			for _ = 1, n do
				done:go(function() ready:done() select { stop, chan(), timeout = 1000 } end)
			end
			ready:wait()
			return function()
				stop:close()
				done:wait()
			end
		end)
	]])

	test("waiting for a wait group or with a timeout", 6000, 10000, [[
		run(function()
			local stop, wg, ready, done = chan(), waitgroup(), waitgroup(), waitgroup()
			wg:add(1)
			ready:add(n)
			for _ = 1, n // 2 do
				done:go(function() ready:done() wg:wait() end)
				done:go(function() ready:done() stop:recv(5000) end)
			end
			ready:wait()
			return function()
				stop:close()
				wg:done()
				done:wait()
			end
		end)
	]])

	test("asleep at once", 6000, 10000, [[
		run(function()
			local gate, ready, done = chan(), waitgroup(), waitgroup()
			ready:add(n)
			for i = 1, n do
				done:go(function()
					ready:done()
					gate:recv()
					vai.sleep(0.1 + i % 100 * 0.001)
				end)
			end
			ready:wait()
			return function()
				gate:close()
				done:wait()
			end
		end)
	]])

	test("whose memory goes back to the system when they have ended", 12000, 30000, [[
		local function round()
			local gate, ready, done = chan(), waitgroup(), waitgroup()
			ready:add(n)
			done:add(n)
			for _ = 1, n do
				go(function()
					ready:done()
					gate:recv()
					done:done()
				end)
			end
			ready:wait()
			local parked = rss()
			gate:close()
			done:wait()
			return parked
		end
		local parked = round()
		if check.slowness == 1 then
			while rss() > parked // 3 do vai.sleep(0.05) end
		end
		round()
	]])
end)
