-- SPDX-License-Identifier: MIT
-- The shared map: one value for each key, whatever goroutines do at once.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("a map", function()
	test("holds values under booleans, numbers and strings", [[
		local m = vai.map()
		local long = ("k"):rep(1000)
		local keys = { true, false, 0, -1, math.maxinteger, math.mininteger, 1.5, math.huge, -math.huge, "", "a", "a\0b",
			("x"):rep(16), ("x"):rep(17), long, 2^53, 2^70 }
		for i, k in ipairs(keys) do
			check.eq(m:get(k), nil)
			check.returns(table.pack(m:set(k, i)))
		end
		check.eq(#m, #keys)
		for i, k in ipairs(keys) do check.eq(m:get(k), i) end
		check.eq(m:get("1"), nil)
		for i, k in ipairs(keys) do
			check.eq(m:delete(k), i)
			check.eq(m:delete(k), nil)
			check.eq(m:get(k), nil)
		end
		check.eq(#m, 0)
		assert(tostring(m):find "^map: ")
	]])

	test("has one key where Lua has one", [[
		local m = vai.map()
		m:set(1, "one")
		check.eq(m:get(1.0), "one")
		m:set(2.0, "two")
		check.eq(m:get(2), "two")
		check.eq(math.type((next { [2.0] = true })), "integer")
		for k in pairs(m) do check.eq(math.type(k), "integer") end
		m:set(0.0, "zero")
		check.eq(m:get(-0.0), "zero")
		m:set(-0.0, "none")
		check.eq(m:get(0), "none")
		m:set(2^63, "float")
		check.eq(m:get(math.mininteger), nil)
		check.eq(m:get(2^63), "float")
		check.eq(#m, 4)
	]])

	test("takes all that can be sent, and gives a copy of it to each reader", [[
		local m, ch = vai.map(), chan(1)
		local t = { 1, { 2 }, name = "x" }
		t.self = t
		m:set("t", t)
		t[1] = "changed afterwards"
		local a, b = m:get("t"), m:get("t")
		assert(a ~= b and a.self == a and a[1] == 1 and a[2][1] == 2 and b.name == "x")
		m:set("s", ("y"):rep(100000))
		check.eq(#m:get("s"), 100000)
		m:set("c", ch)
		assert(m:get("c") == ch)
		m:set("m", { m })
		assert(m:get("m")[1] == m)
		m:delete("m")
		m:set("f", function(n) return n * 2 + #t end)
		check.eq(m:get("f")(4), 10)
		m:set("p", print)
		assert(m:get("p") == print)
		m:set("false", false)
		check.eq(m:get("false"), false)
		m:set("lib", string)
		assert(m:get("lib") == string)
		check.eq(#m, 7)
		m:set("t", nil)
		check.eq(m:get("t"), nil)
		check.eq(m:delete("s"), ("y"):rep(100000))
		check.eq(#m, 5)
	]])

	test("says what is wrong", [[
		local m = vai.map()
		check.raises({ "set: argument 2", "field 'log'", "FILE" }, m.set, m, 1, { log = io.stdout })
		check.eq(m:get(1), nil)
		check.raises({ "#1", "get", "boolean, number or string expected, got table" }, m.get, m, {})
		check.raises({ "#1", "set", "nil" }, m.set, m, nil, 1)
		check.raises({ "#1", "set", "nan" }, m.set, m, 0/0, 1)
		check.raises({ "#2", "set", "value expected" }, m.set, m, 1)
		check.raises({ "#2", "add", "number expected, got string" }, m.add, m, 1, "2")
		m:set("word", "x")
		check.raises({ "add", "'word' is no number" }, m.add, m, "word", 1)
		check.eq(m:get("word"), "x")
		check.raises({ "#2", "cas", "got table" }, m.cas, m, 1, {}, 2)
		check.raises({ "#2", "cas", "got function" }, m.cas, m, 1, print, 2)
		check.raises({ "cas: argument 3", "thread" }, m.cas, m, 1, nil, coroutine.create(print))
		check.raises({ "#2", "update", "function expected" }, m.update, m, 1)
		check.raises("the function's result: thread", m.update, m, 1, function() return coroutine.create(print) end)
		check.raises("my own", m.update, m, 1, function() error "my own" end)
		check.eq(#m, 1)
	]])

	test("adds as Lua does", [[
		local m = vai.map()
		check.eq(m:add("n", 5), 5)
		check.eq(m:add("n", -7), -2)
		check.eq(m:add("n", 0.5), -1.5)
		check.eq(m:add("n", 1), -0.5)
		check.eq(m:add("f", 1.5), 1.5)
		m:set("max", math.maxinteger)
		check.eq(m:add("max", 1), math.mininteger)
	]])

	test("tells keys apart that differ in one byte, whatever their length", [[
		local m, keys = vai.map(), {}
		for len = 0, 40 do
			keys[#keys + 1] = ("k"):rep(len)
			for at = 1, len do
				keys[#keys + 1] = ("k"):rep(at - 1) .. "\0" .. ("k"):rep(len - at)
			end
		end
		for i, key in ipairs(keys) do
			check.eq(m:add(key, i), i)
		end
		check.eq(#m, #keys)
		for i, key in ipairs(keys) do
			check.eq(m:get(key), i)
		end
		local frozen = {}
		for i, key in ipairs(keys) do
			frozen[key] = i
		end
		frozen = vai.freeze(frozen)
		for i, key in ipairs(keys) do
			check.eq(frozen[key], i)
		end
	]])

	test("an update sees a sum that has come between", [[
		local m, calls = vai.map(), 0
		m:set("n", 1)
		check.eq(m:update("n", function(v)
			calls = calls + 1
			if calls == 1 then m:add("n", 10) end
			return v * 2
		end), 22)
		check.eq(calls, 2)
	]])

	test("compares and swaps by Lua's equality", [[
		local m, ch, long = vai.map(), chan(), ("s"):rep(500)
		check.eq(m:cas("k", 1, 2), false)
		check.eq(m:cas("k", nil, 1), true)
		check.eq(m:cas("k", nil, 2), false)
		check.eq(m:cas("k", 1.0, 2), true)
		check.eq(m:cas("k", 2, 2.5), true)
		check.eq(m:cas("k", 2.5, "short"), true)
		check.eq(m:cas("k", "shore", 1), false)
		check.eq(m:cas("k", "short", long), true)
		check.eq(m:cas("k", long .. "x", 1), false)
		for i = 1, 300 do -- in each form that a message may have
			check.eq(m:cas("k", long .. i, true), false)
			check.eq(m:cas("k", long, long), true)
			check.eq(m:get("k"), long)
		end
		check.eq(m:cas("k", long, true), true)
		check.eq(m:cas("k", false, 1), false)
		check.eq(m:cas("k", true, ch), true)
		check.eq(m:cas("k", chan(), 1), false)
		check.eq(m:cas("k", ch, { 1 }), true)
		check.eq(m:get("k")[1], 1)
		check.eq(m:cas("k", ch, 1), false)
		m:set("k", 0/0)
		check.eq(m:cas("k", 0/0, 1), false)
		m:set("k", 1 << 53)
		check.eq(m:cas("k", 2^53, (1 << 53) + 1), true)
		check.eq(m:cas("k", 2^53, 0), false)
		check.eq(m:cas("k", (1 << 53) + 1, nil), true)
		check.eq(m:cas("k", nil, nil), true)
		check.eq(#m, 0)
	]])

	test("update runs its function until nobody has come between", [[
		local m = vai.map()
		check.eq(m:update("n", function(v) return (v or 10) + 1 end), 11)
		local runs = 0
		check.eq(m:update("n", function(v)
			runs = runs + 1
			if runs < 3 then m:add("n", 100) end
			return v + 1
		end), 212)
		check.eq(runs, 3)
		check.eq(m:get("n"), 212)
		check.eq(m:update("n", function() end), nil)
		check.eq(#m, 0)
		m:update("list", function() return { 1 } end)
		m:update("list", function(l) l[#l + 1] = 2 return l end)
		check.eq(#m:get("list"), 2)
		-- The same value again is a change, too.
		m:set("x", 1)
		runs = 0
		m:update("x", function(v) runs = runs + 1 if runs == 1 then m:set("x", 2) m:set("x", 1) end return v + 1 end)
		check.eq(runs, 2)
		check.eq(m:get("x"), 2)
	]])

	test("update tells a function that it changes the key itself, whenever it is called", [[
		local m = vai.map()
		local runs, other = 0, vai.map()
		local function changes(f)
			return function(v)
				runs = runs + 1
				other:set("n", runs)
				m:set("beside", runs)
				f()
				return v
			end
		end
		for _, f in ipairs { function() m:set("n", 1) end, function() m:add("n", 1) end,
			function() m:update("n", function() return 5 end) end,
			function() coroutine.wrap(function() m:update("beside", function() m:set("n", 3) end) end)() end } do
			m:set("n", 0)
			check.raises("^update: the function itself changes the key 'n' each time", m.update, m, "n", changes(f))
		end
		check.raises("mine", m.update, m, "n", changes(function() m:set("n", 1) if runs % 150 == 0 then error("mine") end end))
		-- Of keys that others change it says nothing.
		local left = 200
		m:set("n", 0)
		check.eq(m:update("n", function()
			left = left - 1
			m:set("beside", left)
			if left > 0 then vai.async(function() m:add("n", 1) end):join() end
			return left
		end), 0)
	]])

	test("pairs is all that was there at one moment", [[
		local m = vai.map()
		for i = 1, 100 do m:set(i, { i }) m:set(("long key number "):rep(2) .. i, i) end
		local n, sum = 0, 0
		for k, v in pairs(m) do
			n = n + 1
			m:delete(k)
			m:set("new" .. n, 0)
			sum = sum + (type(v) == "table" and v[1] or v)
		end
		check.eq(n, 200)
		check.eq(sum, 10100)
		check.eq(#m, 200)
		local step, snapshot = pairs(m)
		for _ = 1, 200 do assert(step(snapshot) ~= nil) end
		check.returns(table.pack(step(snapshot)), nil)
		check.returns(table.pack(step(snapshot)), nil)
		for _ in pairs(vai.map()) do error "empty" end
		-- One that moves a number between two keys: their sum is always the same.
		local a = vai.map()
		for i = 1, 50 do a:set(i, 10) end
		local stop = vai.atomic()
		local mover = vai.async(function()
			while stop:get() == 0 do
				local i = math.random(50)
				local v = a:delete(i)
				a:set(i, v)
			end
		end)
		for _ = 1, 50 do
			local there = 0
			for _, v in pairs(a) do there = there + v end
			assert(there == 500 or there == 490, there)
			vai.yield()
		end
		stop:set(1)
		mover:join()
	]], { timeout = 60 })

	test("a million additions from 8 goroutines: none lost", [[
		local m, wg = vai.map(), waitgroup()
		local each = check.scaled(125000)
		for i = 1, 8 do
			wg:go(function() for k = 1, each do m:add(k % 7, 1) end end)
		end
		wg:wait()
		local sum = 0
		for k, v in pairs(m) do sum = sum + v end
		check.eq(sum, 8 * each)
		check.eq(#m, 7)
	]], { timeout = 60 })

	test("updates from 8 goroutines: none lost", [[
		local m, wg = vai.map(), waitgroup()
		local each = check.scaled(400)
		for i = 1, 8 do
			wg:go(function()
				for k = 1, each do
					m:update("t", function(t) t = t or { n = 0, by = {} } t.n = t.n + 1 t.by[i] = (t.by[i] or 0) + 1 return t end)
				end
			end)
		end
		wg:wait()
		local t = m:get("t")
		check.eq(t.n, 8 * each)
		for i = 1, 8 do check.eq(t.by[i], each) end
	]], { timeout = 60 })

	test("grows, and shrinks again", [[
		local m = vai.map()
		local n = check.scaled(30000)
		for i = 1, n do m:set(i, i) m:set("key" .. i, "value " .. i) end
		check.eq(#m, 2 * n)
		for i = 1, n, 997 do check.eq(m:get(i), i) check.eq(m:get("key" .. i), "value " .. i) end
		for i = 1, n do m:delete(i) m:delete("key" .. i) end
		check.eq(#m, 0)
		for _ in pairs(m) do error "empty" end
		-- What it held is free: as much again takes no more memory.
		local full = check.rss()
		for _ = 1, 5 do
			local other = vai.map()
			for i = 1, n do other:set(i, i) end
			other = nil
			collectgarbage()
		end
		assert(check.rss() < full * 1.3 + 8000, "memory grows")
	]], { timeout = 60 })

	test("many goroutines set, delete and read the same keys", [[
		local m, wg = vai.map(), waitgroup()
		for i = 1, 8 do
			wg:go(function()
				math.randomseed(i)
				for _ = 1, check.scaled(5000) do
					local k = math.random(20)
					if k % 3 == 0 then k = ("a long key, number "):rep(2) .. k end
					local dice = math.random(10)
					if dice <= 3 then m:set(k, { k, k })
					elseif dice == 4 then m:set(k, k)
					elseif dice <= 6 then m:delete(k)
					elseif dice == 7 and math.random(20) == 1 then
						for key, v in pairs(m) do assert(v == key or v[1] == key and v[2] == key) end
					else
						local v = m:get(k)
						assert(v == nil or v == k or v[1] == k and v[2] == k)
					end
				end
			end)
		end
		wg:wait()
	]], { timeout = 60 })

	test("is cleared at one moment, also for who walks it or changes it meanwhile", [[
		local m, keys = vai.map(), 200
		m:clear()
		m:set("own", { chan(1), m })
		m:set(("long"):rep(10), ("z"):rep(5000))
		m:clear()
		check.eq(#m, 0)
		check.eq(m:get("own"), nil)
		local other, whole, walks, quit = vai.map(), vai.atomic(), vai.atomic(), vai.atomic()
		local walker = vai.async(function()
			repeat
				local before, n = whole:get(), 0
				walks:add(1)
				for _ in pairs(m) do n = n + 1 end
				assert(n == 0 or n == keys or before % 2 == 0 or whole:get() ~= before, n)
			until quit:get() == 1
		end)
		local adder = vai.async(function()
			for i = 1, check.scaled(20000) do other:add(i % 100, 1) end
		end)
		local function next_walk()
			local n = walks:get()
			while walks:get() == n and walker:status() ~= "failed" do vai.yield() end
		end
		for _ = 1, check.scaled(150) do
			for k = 1, keys do m:set(k, k) end
			whole:add(1)
			next_walk()
			m:clear()
			next_walk()
			whole:add(1)
			check.eq(#m, 0)
			other:clear()
		end
		quit:set(1)
		check.returns(table.pack(walker:join()), true)
		check.eq(adder:join(), true)
		for i = 1, 1000 do other:set(i, i) end
		check.eq(#other, 1000)
	]])

	test("lives as long as somebody has it", [[
		local ch = chan(1)
		go(function()
			local m = vai.map()
			m:set("ch", { chan(1), ("z"):rep(5000) })
			ch:send(m)
		end)
		local m = ch:recv()
		collectgarbage()
		m:get("ch")[1]:send(1)
		check.eq(m:get("ch")[1]:recv(), 1)
		local tasks = {}
		for i = 1, 20 do
			tasks[i] = vai.async(function() m:set(i, { m:get("ch") }) for k, v in pairs(m) do return k end end)
		end
		for i = 1, 20 do assert(tasks[i]:join()) end
		check.eq(#m, 21)
	]])
end)
