-- SPDX-License-Identifier: MIT
-- Wait groups.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("a wait group", function()
	test("waits for all", [[
		local wg, done = waitgroup(), chan(100)
		for i = 1, 100 do
			wg:add(1)
			go(function()
				for _ = 1, i % 5 do vai.yield() end
				done:send(i)
				wg:done()
			end)
		end
		wg:wait()
		check.eq(#done, 100)
	]])

	test("adds one by default, and any number", [[
		local wg = waitgroup()
		wg:add()
		wg:add(3)
		wg:add(0)
		for _ = 1, 4 do
			check.returns(table.pack(wg:wait(0)), nil, "timeout")
			wg:done()
		end
		assert(wg:wait())
		wg:add(5)
		wg:add(-2)
		wg:add(-3)
		assert(wg:wait(0))
	]])

	test("does not wait at zero", [[
		local wg = waitgroup()
		assert(wg:wait())
		assert(wg:wait(0))
		assert(wg:wait(5))
	]])

	test("times out", [[
		local wg = waitgroup()
		wg:add(1)
		local t0 = vai.now()
		check.returns(table.pack(wg:wait(0.02)), nil, "timeout")
		assert(vai.now() - t0 >= 0.0199)
		wg:done()
		assert(wg:wait(0.02))
	]])

	test("wakes every one that waits", [[
		local wg, out = waitgroup(), chan(20)
		wg:add(2)
		for i = 1, 20 do
			check.waiting(go(function()
				wg:wait()
				out:send(i)
			end))
		end
		wg:done()
		check.eq(#out, 0)
		wg:done()
		local sum = 0
		for _ = 1, 20 do sum = sum + out:recv() end
		check.eq(sum, 210)
	]])

	test("can be used again", [[
		local wg, n = waitgroup(), chan(1000)
		for round = 1, 50 do
			for _ = 1, 10 do
				wg:add(1)
				go(function() n:send(1) wg:done() end)
			end
			wg:wait()
			check.eq(#n, round * 10)
		end
	]])

	test("below zero raises and leaves the counter alone", [[
		local wg = waitgroup()
		check.raises("negative waitgroup counter", wg.done, wg)
		check.raises("negative waitgroup counter", function() wg:add(-1) end)
		wg:add(2)
		check.raises("negative waitgroup counter", wg.add, wg, -3)
		check.returns(table.pack(wg:wait(0)), nil, "timeout")
		wg:done()
		wg:done()
		assert(wg:wait())
		check.raises("waitgroup counter", function() wg:add(math.maxinteger) wg:add(1) end)
	]])

	test("is the same object in every goroutine", [[
		local wg, ch = waitgroup(), chan(1)
		wg:add(1)
		ch:send { wg }
		go(function() ch:recv()[1]:done() end)
		wg:wait()
		ch:send(wg)
		check.eq(ch:recv(), wg)
		check.eq(type(tostring(wg)), "string")
	]])
end)

describe("wg:go", function()
	test("counts, runs with arguments, counts down", [[
		local wg, out = waitgroup(), chan(100)
		for i = 1, 100 do
			wg:go(function(a, b) out:send(a + b) end, i, 1000)
		end
		wg:wait()
		local sum = 0
		for _ = 1, 100 do sum = sum + out:recv() end
		check.eq(sum, 5050 + 100000)
	]])

	test("counts down where the function raised", [[
		local panics = 0
		vai.on_panic(function() panics = panics + 1 end)
		local wg = waitgroup()
		wg:go(function() error "x" end)
		wg:go(function() end)
		wg:wait()
		check.until_true(function() return panics == 1 end)
	]])

	test("does not count what cannot start", [[
		local wg, n = waitgroup(), 0
		check.raises("n", function() wg:go(function() n = n + 1 end) end)
		check.raises("FILE%*", function() wg:go(function() end, io.stdout) end)
		assert(wg:wait(0))
	]])

	test("nests", [[
		local wg, out = waitgroup(), chan(1000)
		for _ = 1, 10 do
			wg:go(function()
				for _ = 1, 10 do
					wg:go(function() out:send(1) end)
				end
			end)
		end
		wg:wait()
		check.eq(#out, 100)
	]])
end)
