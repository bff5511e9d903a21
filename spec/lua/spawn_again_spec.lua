-- SPDX-License-Identifier: MIT
-- Functions that are spawned many times: their goroutines' states come with what the first calls had in common.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("a function that is spawned many times", function()
	test("gets the objects of its own call", [[
		local wg, chans = waitgroup(), {}
		for i = 1, 200 do
			local ch = chan(1)
			chans[i] = ch
			wg:add(1)
			go(function() ch:send(i) wg:done() end)
		end
		wg:wait()
		for i = 1, 200 do check.eq(chans[i]:recv(), i) end
	]])

	test("gets scalars of any kind", [[
		local values = { 1, 1.5, "a", "", true, false, ("long"):rep(100), -1, 1 << 40, 2^70, "a\0b" }
		local ch = chan(1)
		for i = 1, 200 do
			local before, v, after = i % 3, values[i % (#values + 1)], ch
			go(function() after:send { before, v, kind = math.type(v) or type(v) } end)
			local got = ch:recv()
			check.eq(got[1], before)
			check.eq(got[2], v)
			check.eq(got.kind, math.type(v) or type(v))
		end
	]])

	test("gets one handle for one object, and another for another", [[
		local a, b = chan(1), chan(1)
		local function run(x, y, other)
			local task = vai.async(function(arg)
				local t = { [x] = "x" }
				return x == y, x == arg, t[arg], t[y], x == other:recv()
			end, x)
			other:send(x)
			return table.pack(task:join())
		end
		local out = chan()
		for i = 1, 60 do
			check.returns(run(a, b, out), true, false, true, "x", nil, true)
			check.returns(run(a, a, out), true, true, true, "x", "x", true)
			check.returns(run(b, out, out), true, false, true, "x", nil, true)
		end
	]])

	test("gets objects of other classes", [[
		local seen = {}
		for i = 1, 90 do
			local o = i < 30 and chan() or i < 60 and waitgroup() or vai.mutex()
			local _, text, name = vai.async(function() return tostring(o):match "^[%a.]+", getmetatable(o) end):join()
			seen[text] = (seen[text] or 0) + 1
		end
		local n = 0
		for _, k in pairs(seen) do n = n + 1 assert(k > 28) end
		check.eq(n, 3)
	]])

	test("has more objects, functions and nesting than a state comes with", [[
		local a, b, c, d, e, f = chan(1), chan(1), chan(1), chan(1), chan(1), chan(1)
		local function one() return a, b, c end
		local function two() return d, e, f, one() end
		local function three() return two() end
		for i = 1, 60 do
			check.returns(table.pack(vai.async(function() return _G.select("#", three()), three() end):join()),
				true, 6, d, e, f, a, b, c)
			check.returns(table.pack(vai.async(function() return one() end):join()), true, a, b, c)
		end
	]])

	test("shares locals with functions that come along, and calls itself", [[
		local n, wg = 0, waitgroup()
		local function get() return n end
		local function down(k) if k == 0 then return get() + n end return down(k - 1) end
		for i = 1, 100 do
			n = i
			check.returns(table.pack(vai.async(function(k) return down(k), n end, 5):join()), true, 2 * i, i)
			check.returns(table.pack(vai.async(down, 3):join()), true, 2 * i)
		end
	]])

	test("gets functions that come along as they are now", [[
		local function twice(x) return 2 * x end
		local function thrice(x) return 3 * x end
		local made = load "local base = ... return function(x) return base + x end"
		for i = 1, 100 do
			local f = i % 3 == 0 and twice or i % 3 == 1 and thrice or made(i)
			check.returns(table.pack(vai.async(function() return f(5) end):join()), true, f(5))
		end
	]])

	test("gets globals of the script as they are now", [[
		for i = 1, 100 do
			number, name, helper = i, "n" .. i, i % 2 == 0 and function() return number end or nil
			local ok, a, b, c = vai.async(function() return number, name, helper and helper() end):join()
			check.returns(table.pack(ok, a, b, c), true, i, "n" .. i, i % 2 == 0 and i or nil)
		end
	]])

	test("gets arguments of any kind beside what it captures", [[
		local ch, k = chan(1), 7
		local function work(...) ch:send { k, ... } end
		local shared = { 1 }
		for i = 1, 60 do
			go(work, i, { i, shared, shared }, ch, "s", nil, work)
			local got = ch:recv()
			check.eq(got[1], 7)
			check.eq(got[2], i)
			check.eq(got[3][1], i)
			check.eq(got[3][2], got[3][3])
			check.eq(got[4], ch)
			check.eq(got[5], "s")
			check.eq(got[6], nil)
			check.eq(type(got[7]), "function")
			go(work)
			check.same(ch:recv(), { 7 })
		end
	]])

	test("gets as many arguments as Lua's first stack holds, one more, and hundreds", [[
		for _, n in ipairs { 10, 18, 19, 20, 35, 36, 37, 38, 39, 40, 41, 200 } do
			local args = {}
			for i = 1, n do args[i] = i end
			for _ = 1, 25 do
				check.returns(table.pack(vai.async(function(...)
					local sum = 0
					for i = 1, _G.select("#", ...) do sum = sum + _G.select(i, ...) end
					return sum
				end, table.unpack(args)):join()), true, n * (n + 1) // 2)
			end
		end
	]])

	-- A method that the state lacks is looked for, and takes memory.
	test("comes with the methods that its code calls, though none of its goroutines has called them yet", [[
		local start, out, begun = chan(), chan(60), waitgroup()
		local cloned = vai.stats().states == "clone"
		local function deep() return out:cap() end
		local function ask() return start:is_closed() end
		local function work()
			begun:done()
			start:recv()
			deep()
			local before = collectgarbage("count")
			ask()
			out:send(collectgarbage("count") - before)
		end
		begun:add(60)
		for i = 1, 60 do go(work) end
		begun:wait()
		start:close()
		local none = 0
		for i = 1, 60 do none = none + (out:recv() == 0 and 1 or 0) end
		assert(none >= 10 or not cloned, none) -- those that start before there is a template have to look
	]])

	test("lets go of an object that it drops, and meets it again", [[
		local back, ch = chan(1), chan(1)
		for i = 1, 60 do
			local mine = chan(1)
			mine:send(i)
			local task = vai.async(function()
				local got = mine:recv()
				debug.setupvalue(debug.getinfo(1, "f").func, 1, nil)
				assert(mine == nil)
				collectgarbage() collectgarbage()
				local one, two, three = back:recv(), back:recv(), chan(1)
				local t = { [one] = true }
				return got, t[two], one ~= three, one:recv()
			end)
			local other = i % 2 == 0 and mine or ch
			back:send(other)
			other:send "again"
			back:send(other)
			check.returns(table.pack(task:join()), true, i, true, true, "again")
		end
	]])

	test("gets values of other kinds and in other numbers than the call before", [[
		local ch = chan(1)
		local values = { 1, 2, 1.5, -0.0, 1 << 62, chan(), chan(), "text", 3, true, 4, waitgroup(), 5.25 }
		local function run(captured, ...)
			local function f(...) ch:send(table.pack(captured, ...)) end
			go(f, ...)
			local got, want = ch:recv(), table.pack(captured, ...)
			check.eq(got.n, want.n)
			for i = 1, want.n do
				check.eq(got[i], want[i])
				check.eq(math.type(got[i]), math.type(want[i]))
			end
		end
		for i = 1, 200 do
			local function at(k) return values[(i * k) % #values + 1] end
			run(at(1))
			run(at(3), at(5))
			run(at(3), at(5), at(7))
		end
	]])

	test("gets the metatable of numbers that came after the call before", [[
		local ch, n = chan(1), 5
		local function look(use)
			go(function(used) ch:send(used == 1 and #n or 0) end, use)
			return ch:recv()
		end
		for _ = 1, 30 do check.eq(look(0), 0) end
		debug.setmetatable(1, { __len = function() return 8 end })
		for _ = 1, 3 do check.eq(look(1), 8) end
		debug.setmetatable(1, { __len = function() return 9 end })
		for _ = 1, 3 do check.eq(look(1), 9) end
		debug.setmetatable(1, nil)
		check.eq(look(0), 0)
	]])

	test("is not taken for a function that was collected", [[
		local ch = chan(1)
		for i = 1, 300 do
			local f = load("local ch, n = ... return function() ch:send(n + " .. i .. ") end")(ch, i)
			for _ = 1, 3 do
				go(f)
				check.eq(ch:recv(), 2 * i)
			end
			f = nil
			if i % 7 == 0 then collectgarbage() end
		end
	]])

	test("gets frozen tables", [[
		local f = vai.freeze { { x = 1 }, y = { z = 5 }, n = 3 }
		for _ = 1, 60 do
			check.returns(table.pack(vai.async(function(g)
				local n = 0
				for _, v in pairs(f) do n = n + (v == f.y and 100 or type(v) == "table" and v.x or v) end
				return f == g, rawequal(f.y, g.y), f.y.z, n, #f
			end, f):join()), true, true, true, 5, 104, 1)
		end
	]])
end)
