-- SPDX-License-Identifier: MIT
-- A goroutine may wait wherever Lua code runs: in callbacks of C functions, in metamethods, in
-- message handlers, in coroutines. Each program runs its body as a goroutine and then in main.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- The body gets wait(v), which gives v back after a round trip through another goroutine.
local head = [[
local requests = chan()
local function wait(v)
	local reply = chan()
	requests:send { v, reply }
	return reply:recv()[1]
end
for _ = 1, 3 do
	go(function() for r in requests do vai.yield() r[2]:send { r[1] } end end)
end
local function body()
]]
local foot = [[
end
local tasks = {}
for i = 1, 5 do tasks[i] = vai.async(body) end
for i = 1, 5 do
	local ok, err = tasks[i]:join()
	assert(ok, err)
end
body()
local main = coroutine.wrap(function() body() return "over" end)
check.eq(main(), "over")
]]
head = head:gsub("\n", " ")

local function test(name, body, opts)
	program.test(name, head .. body .. foot, opts)
end

describe("waiting", function()
	test("in a table.sort comparator", [[
		local t = { 5, 3, 9, 1, 7, 2, 8 }
		table.sort(t, function(a, b) return wait(a) < wait(b) end)
		check.eq(table.concat(t, " "), "1 2 3 5 7 8 9")
	]])

	test("in string.gsub and gmatch callbacks", [[
		check.eq((("a b c"):gsub("%a", function(c) return wait(c:upper()) end)), "A B C")
		check.eq((("x y"):gsub("%a", setmetatable({}, { __index = function(_, k) return wait(k .. k) end }))), "xx yy")
		local s = ""
		for w in ("one two"):gmatch "%a+" do s = s .. wait(w) end
		check.eq(s, "onetwo")
	]])

	test("in __index and __newindex", [[
		local log = {}
		local t = setmetatable({}, {
			__index = function(_, k) return wait(k) .. "!" end,
			__newindex = function(_, k, v) log[k] = wait(v) end,
		})
		check.eq(t.a .. t.b, "a!b!")
		t.x = 5
		check.eq(log.x, 5)
	]])

	test("in arithmetic, concatenation and comparison metamethods", [[
		local mt = {}
		local function num(n) return setmetatable({ n = n }, mt) end
		mt.__add = function(a, b) return num(wait(a.n) + b.n) end
		mt.__unm = function(a) return num(-wait(a.n)) end
		mt.__idiv = function(a, b) return num(wait(a.n) // b.n) end
		mt.__shl = function(a, b) return num(wait(a.n) << b.n) end
		mt.__eq = function(a, b) return wait(a.n) == b.n end
		mt.__lt = function(a, b) return wait(a.n) < b.n end
		mt.__le = function(a, b) return wait(a.n) <= b.n end
		mt.__concat = function(a, b)
			return wait(type(a) == "table" and a.n or a) .. (type(b) == "table" and b.n or b)
		end
		mt.__len = function(a) return wait(a.n) end
		mt.__call = function(a, x) return wait(a.n) * x end
		mt.__tostring = function(a) return "num " .. wait(a.n) end
		check.eq((num(2) + num(3)).n, 5)
		check.eq((-num(2)).n, -2)
		check.eq((num(7) // num(2)).n, 3)
		check.eq((num(1) << num(4)).n, 16)
		assert(num(2) == num(2) and num(2) ~= num(3))
		assert(num(2) < num(3) and num(2) <= num(2) and not (num(3) > num(4)))
		check.eq(num(1) .. "x" .. num(2), "1x2")
		check.eq(#num(4), 4)
		check.eq(num(4)(5), 20)
		check.eq(tostring(num(6)), "num 6")
		check.eq(("%s"):format(num(7)), "num 7")
	]])

	test("in __close, in every way out of a block", [[
		local log = {}
		local function closing(name)
			return setmetatable({}, { __close = function(_, err)
				log[#log + 1] = wait(name) .. (err and ":" .. tostring(err) or "")
			end })
		end
		do local a <close> = closing "end" end
		for i = 1, 3 do
			local a <close> = closing("loop" .. i)
			if i == 2 then break end
		end
		local function ret()
			local a <close> = closing "return"
			return "value", 2
		end
		local v, n = ret()
		assert(v == "value" and n == 2)
		local ok, err = pcall(function()
			local a <close> = closing "outer"
			local b <close> = closing "inner"
			error("E", 0)
		end)
		assert(not ok and err == "E")
		for _ in next, {}, nil, closing "for" do end
		check.eq(table.concat(log, " "), "end loop1 loop2 return inner:E outer:E for")
	]])

	test("in __pairs, iterators and generic for", [[
		local t = setmetatable({}, { __pairs = function(t)
			return function(_, k) k = (k or 0) + 1 if k <= 3 then return wait(k), k * k end end, t, nil
		end })
		local sum = 0
		for k, v in pairs(t) do sum = sum + k + v end
		check.eq(sum, 20)
		local function range(n)
			local i = 0
			return function() i = i + 1 if i <= n then return wait(i) end end
		end
		sum = 0
		for i in range(10) do sum = sum + i end
		check.eq(sum, 55)
	]])

	test("in __gc, when a collection runs it", [[
		local done = {}
		for i = 1, 3 do setmetatable({}, { __gc = function() done[i] = wait(i) end }) end
		collectgarbage()
		collectgarbage()
		for i = 1, 3 do check.eq(done[i], i) end
	]])

	test("in pcall, xpcall and its handler, error objects", [[
		local ok, v = pcall(wait, "p")
		assert(ok and v == "p")
		ok, v = pcall(function() error(wait "thrown", 0) end)
		assert(not ok and v == "thrown")
		ok, v = xpcall(function() error("E", 0) end, function(e) return wait("handled " .. e) end)
		assert(not ok and v == "handled E")
		ok, v = xpcall(function() return pcall(function() return xpcall(wait, print, "deep") end) end, print)
		assert(ok and v == true)
	]])

	test("in load readers and chunks", [[
		local parts = { "return ", "1 +", " 2" }
		local i = 0
		local f = assert(load(function() i = i + 1 return wait(parts[i] or false) or nil end))
		check.eq(f(), 3)
		check.eq(load("local w = ... return w(7)")(wait), 7)
	]])

	test("in string.format, table.concat helpers, tostring", [[
		local o = setmetatable({}, { __tostring = function() return wait "text" end, __name = "T" })
		check.eq(("[%s %d %10s]"):format(o, 1, o), "[text 1       text]")
		local list = setmetatable({}, { __index = function(_, k) return wait("e" .. k) end, __len = function() return wait(3) end })
		check.eq(table.concat(list, ","), "e1,e2,e3")
		check.eq(table.pack(table.unpack(list))[3], "e3")
		local sorted = setmetatable({}, { __len = function() return wait(0) end })
		table.sort(sorted)
		table.insert(setmetatable({}, { __len = function() return wait(0) end }), "x")
	]])

	test("in coroutines, resumed and wrapped, nested", [[
		local co = coroutine.create(function(a)
			local b = coroutine.yield(wait(a) + 1)
			local inner = coroutine.wrap(function()
				for i = 1, 3 do coroutine.yield(wait(i)) end
			end)
			local sum = 0
			for _ = 1, 3 do sum = sum + inner() end
			coroutine.yield(wait(b) + sum)
			return wait "last"
		end)
		local ok, v = coroutine.resume(co, 1)
		assert(ok and v == 2, v)
		ok, v = coroutine.resume(co, 10)
		assert(ok and v == 16, v)
		ok, v = coroutine.resume(co)
		assert(ok and v == "last")
		check.eq(coroutine.status(co), "dead")
		local gen = coroutine.wrap(function() for i = 1, 5 do coroutine.yield(wait(i)) end end)
		local n = 0
		for i in gen do n = n + i end
		check.eq(n, 15)
	]])

	test("in coroutines inside C callbacks and the other way round", [[
		local out = ("abc"):gsub(".", coroutine.wrap(function(c)
			while true do c = coroutine.yield(wait(c .. c)) end
		end))
		check.eq(out, "aabbcc")
		local co = coroutine.wrap(function()
			local t = { 3, 1, 2 }
			table.sort(t, function(a, b) return wait(a) < wait(b) end)
			coroutine.yield(table.concat(t))
			return (("z"):gsub(".", wait))
		end)
		check.eq(co(), "123")
		check.eq(co(), "z")
	]])

	test("in coroutine.close and errors through coroutines", [[
		local log = {}
		local co = coroutine.create(function()
			local c <close> = setmetatable({}, { __close = function() log[1] = wait "closed" end })
			coroutine.yield()
		end)
		coroutine.resume(co)
		check.eq(coroutine.close(co), true)
		check.eq(log[1], "closed")
		local bad = coroutine.create(function() wait(1) error("E", 0) end)
		local ok, err = coroutine.resume(bad)
		assert(not ok and err == "E")
		ok, err = pcall(coroutine.wrap(function() wait(1) error("W", 0) end))
		assert(not ok and err == "W")
	]])

	test("in tail calls, varargs, deep recursion, many levels of pcall", [[
		local function tail(n) if n == 0 then return wait "t" end return tail(n - 1) end
		check.eq(tail(1000), "t")
		local function deep(n) if n == 0 then return wait(0) end return 1 + deep(n - 1) end
		check.eq(deep(5000), 5000)
		local function guarded(n) if n == 0 then return wait "g" end return _G.select(2, pcall(guarded, n - 1)) end
		check.eq(guarded(100), "g")
		local function va(...) wait(1) return ... end
		check.eq(table.pack(va(table.unpack({}, 1, 200))).n, 200)
	]])

	test("in hooks and debug functions", [[
		local n = 0
		debug.sethook(function() debug.sethook() n = wait(1) end, "l")
		local x = 1
		debug.sethook()
		check.eq(n, 1)
		check.eq(x, 1)
		local tb = debug.traceback("msg " .. wait "m")
		assert(tb:find "^msg m\n")
	]])

	test("with big values on the way", [[
		for _, n in ipairs { 10, 1000, 100000 } do
			local s = wait(("x"):rep(n))
			check.eq(#s, n)
			local t = {}
			for i = 1, n // 10 do t[i] = { i, tostring(i) } end
			local r = wait(t)
			check.eq(#r, #t)
			check.eq(r[#r][2], tostring(n // 10))
		end
	]])

	test("while collections run", [[
		collectgarbage "generational"
		local keep = {}
		for i = 1, 200 do
			keep[i % 10] = wait { i, tostring(i), {} }
			if i % 20 == 0 then collectgarbage "step" end
		end
		collectgarbage "incremental"
		for i = 190, 199 do check.eq(keep[i % 10][1] >= 190, true) end
	]])
end)

describe("waiting in required modules", function()
	local files = {
		["slow.lua"] = [[
			local vai = require "vai"
			local ch = vai.chan()
			vai.go(function() vai.yield() ch:send "loaded" end)
			local M = { state = ch:recv() }
			vai.sleep(0.001)
			return M
		]],
		["outer.lua"] = [[
			local vai = require "vai"
			vai.yield()
			local slow = require "slow"
			return { state = slow.state .. " through outer" }
		]],
	}

	program.test("in goroutines and main", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		local tasks = {}
		for i = 1, 10 do
			tasks[i] = vai.async(function()
				local a, b = require "outer".state, require "slow".state
				return a, b, require "outer" == require "outer"
			end)
		end
		for i = 1, 10 do
			check.returns(table.pack(tasks[i]:join()), true, "loaded through outer", "loaded", true)
		end
		check.eq(require "outer".state, "loaded through outer")
	]], { files = files })

	program.test("in a module searcher", [[
		local ch = chan()
		go(function() while true do ch:send "from a channel" end end)
		table.insert(package.searchers, function(name)
			if name == "virtual" then
				local text = ch:recv()
				return function() return { text = text } end
			end
		end)
		check.eq(require "virtual".text, "from a channel")
	]])
end)

describe("coroutines", function()
	program.test("know where they are", [[
		local function facts()
			local co, main = coroutine.running()
			return main, coroutine.isyieldable(), type(co)
		end
		check.returns(table.pack(vai.async(facts):join()), true, true, false, "thread")
		local ok, main, yieldable = vai.async(function() return coroutine.wrap(facts)() end):join()
		assert(ok and main == false and yieldable == true)
	]])

	program.test("of one goroutine yield to it, not to others", [[
		local wg, out = waitgroup(), chan(1000)
		for g = 1, 4 do
			wg:go(function()
				local gen = coroutine.wrap(function()
					for i = 1, 50 do
						vai.yield()
						coroutine.yield(g * 1000 + i)
					end
				end)
				for i = 1, 50 do
					local v = gen()
					assert(v == g * 1000 + i)
					out:send(v)
				end
			end)
		end
		wg:wait()
		check.eq(#out, 200)
	]])

	program.test("yield outside of one is an error as in any Lua", [[
		local ok, err = vai.async(function() coroutine.yield() end):join()
		assert(not ok and err:find "outside a coroutine", err)
		check.raises("outside a coroutine", coroutine.yield)
	]])
end)
