-- SPDX-License-Identifier: MIT
-- sleep, now, after, timer, ticker. Nothing here depends on how fast the machine is: only on orders
-- and on times that must at least have passed.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("now", function()
	test("is a float that never goes back", [[
		local last = vai.now()
		check.eq(math.type(last), "float")
		for _ = 1, 10000 do
			local t = vai.now()
			assert(t >= last)
			last = t
		end
	]])

	test("is one clock for all goroutines", [[
		local ch = chan()
		local n = 0
		local before = vai.now()
		go(function() for _ = 1, 100 do ch:send(vai.now()) end ch:close() end)
		for t in ch do
			assert(t >= before and t <= vai.now())
			n = n + 1
		end
		check.eq(n, 100)
	]])
end)

describe("sleep", function()
	test("takes at least as long as asked", [[
		for _, s in ipairs { 0.05, 0.01, 0.001, 1e-5, 0 } do
			local t0 = vai.now()
			vai.sleep(s)
			assert(vai.now() - t0 >= s - 1e-6)
		end
	]])

	test("of zero or less returns", [[
		vai.sleep(0)
		vai.sleep(0.0)
		vai.sleep(1e-300)
		for _ = 1, 1000 do vai.sleep(0) end
	]])

	test("lets others run", [[
		local ch = chan(1)
		go(function() ch:send(1) end)
		vai.sleep(0.001)
		check.eq(ch:recv(), 1)
	]])

	test("of many ends in the order of their deadlines", [[
		local ch, n = chan(100), 40
		local start = vai.now() + 0.1
		for i = 1, n do
			local k = (i * 17) % n + 1 -- scrambled
			go(function()
				local due = start + k * 0.005
				vai.sleep(due - vai.now())
				ch:send { k = k, late = vai.now() - due }
			end)
		end
		for _ = 1, n do
			local r = ch:recv()
			assert(r.late >= -1e-6, "woke early")
		end
	]])

	test("of ten thousand at once", [[
		local wg = waitgroup()
		for i = 1, check.scaled(10000) do
			wg:go(function() vai.sleep(0.001 * (i % 50)) end)
		end
		wg:wait()
	]])
end)

describe("after", function()
	test("gives the time once", [[
		local t0 = vai.now()
		local ch = vai.after(0.02)
		local t = ch:recv()
		check.eq(math.type(t), "float")
		assert(t - t0 >= 0.02 - 1e-6)
		assert(vai.now() >= t)
		check.returns(table.pack(ch:try_recv()), nil, "empty")
		check.returns(table.pack(ch:recv(0.005)), nil, "timeout")
	]])

	test("keeps the value for a late receiver", [[
		local ch = vai.after(0.001)
		check.until_true(function() return #ch == 1 end)
		assert(ch:recv())
	]])

	test("serves as a timeout in select", [[
		local never = chan()
		local i, t = select { never, vai.after(0.01) }
		check.eq(i, 2)
		assert(t <= vai.now())
	]])

	test("of zero fires at once", [[
		assert(vai.after(0):recv())
	]])

	test("can be dropped", [[
		for _ = 1, 1000 do vai.after(0.001) end
		for _ = 1, 1000 do vai.after(1000) end
		collectgarbage()
		vai.sleep(0.01)
		collectgarbage()
	]])

	test("can be sent to others", [[
		local ch = vai.after(0.005)
		local task = vai.async(function() return ch:recv() end)
		local ok, t = task:join()
		assert(ok and t <= vai.now())
	]])
end)

describe("timer", function()
	test("runs a function later, as a goroutine, with arguments", [[
		local out = chan(1)
		local t0, main = vai.now(), vai.id()
		vai.timer(0.02, function(a, b)
			out:send { at = vai.now(), a = a, b = b, id = vai.id() }
		end, "x", 7)
		local r = out:recv()
		assert(r.at - t0 >= 0.02 - 1e-6)
		assert(r.a == "x" and r.b == 7)
		assert(r.id ~= main)
	]])

	test("stopped in time never runs", [[
		local out = chan(10)
		local t = vai.timer(0.1, function() out:send "ran" end)
		local stopped = t:stop()
		check.eq(t:stop(), false)
		vai.sleep(0.15)
		local later = chan()
		vai.timer(0.001, function() later:send "later" end)
		check.eq(later:recv(), "later")
		if stopped then check.eq(#out, 0) end
		t = vai.timer(1000, function() end)
		check.eq(t:stop(), true)
		check.eq(t:stop(), false)
	]])

	test("stop after it fired says so", [[
		local out = chan(1)
		local t = vai.timer(0.001, function() out:send(1) end)
		out:recv()
		check.eq(t:stop(), false)
	]])

	test("reset moves it", [[
		local out = chan(10)
		local t = vai.timer(1000, function() out:send(vai.now()) end)
		local t0 = vai.now()
		check.eq(t:reset(0.02), true)
		assert(out:recv() - t0 >= 0.02 - 1e-6)
		check.eq(t:reset(0.001), false)
		assert(out:recv())
		check.eq(#out, 0)
	]])

	test("reset after stop starts it again", [[
		local out = chan(10)
		local t = vai.timer(1000, function() out:send "ran" end)
		t:stop()
		t:reset(0.001)
		check.eq(out:recv(), "ran")
	]])

	test("runs each time with arguments of its own", [[
		local out = chan(10)
		local t = vai.timer(0.001, function(list)
			list[#list + 1] = "more"
			out:send(#list)
		end, { "one" })
		check.eq(out:recv(), 2)
		t:reset(0.001)
		check.eq(out:recv(), 2)
	]])

	test("goes on without its handle", [[
		local out = chan(1)
		vai.timer(0.02, function() out:send "still" end)
		collectgarbage()
		collectgarbage()
		check.eq(out:recv(), "still")
	]])

	test("takes no function that assigns a captured local, no unsendable argument", [[
		local n = 0
		check.raises("n", function() vai.timer(0, function() n = n + 1 end) end)
		check.raises("FILE%*", vai.timer, 0, function() end, io.stdout)
	]])

	test("an error in it is an uncaught error", [[
		vai.timer(0.001, function() error "from the timer" end)
		vai.sleep(1000)
	]], { status = 2, err = "from the timer" })
end)

describe("ticker", function()
	test("says where its channel is to who loops over it", [[
		local t <close> = vai.ticker(1000)
		local what = "program.lua:%d+: a ticker is no channel %(ticker:chan%(%) is one%)"
		check.raises(what, function() for _ in t do break end end)
		check.raises(what, function() t:recv() end)
	]])

	test("ticks again and again", [[
		local t0, last = vai.now(), 0
		local t = vai.ticker(0.005)
		for i = 1, 5 do
			local at = t:chan():recv()
			check.eq(math.type(at), "float")
			assert(at > last)
			assert(at - t0 >= i * 0.005 - 1e-6)
			last = at
		end
		t:stop()
	]])

	test("has one channel", [[
		local t = vai.ticker(0.01)
		assert(t:chan() == t:chan())
		t:stop()
	]])

	test("drops ticks for slow receivers", [[
		local t = vai.ticker(0.001)
		local ch = t:chan()
		check.until_true(function() return #ch > 0 end)
		vai.sleep(0.02)
		check.eq(#ch, 1)
		t:stop()
	]])

	test("stops", [[
		local t = vai.ticker(0.001)
		assert(t:chan():recv())
		t:stop()
		t:chan():try_recv()
		check.returns(table.pack(t:chan():recv(0.02)), nil, "timeout")
		t:stop()
		check.eq(t:chan():is_closed(), false)
	]])

	test("is reset to another period", [[
		local t = vai.ticker(1000)
		t:reset(0.002)
		local a = t:chan():recv()
		local b = t:chan():recv()
		assert(b > a)
		t:stop()
		t:reset(0.002)
		assert(t:chan():recv())
		t:stop()
	]])

	test("dropped does no harm", [[
		for _ = 1, 100 do vai.ticker(0.001) end
		collectgarbage()
		vai.sleep(0.02)
		collectgarbage()
	]])

	test("range over it", [[
		local t, n = vai.ticker(0.001), 0
		for _ in t:chan() do
			n = n + 1
			if n == 5 then break end
		end
		t:stop()
		check.eq(n, 5)
	]])
end)
