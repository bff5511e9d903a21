-- SPDX-License-Identifier: MIT
-- Goroutines that wait for a message give their C stacks back meanwhile, once many are in use. Scripts must not notice:
-- each program first parks enough goroutines that others shed their stacks.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- run(f, ...) runs f in a goroutine, which is to wait in it, sends it the values and gives what it returns.
local test = program.tester(program.shedding .. [[
local function run(f, ...)
	local ch = chan()
	local task = vai.async(f, ch)
	for i = 1, _G.select("#", ...) do
		vai.sleep(0.02)
		ch:send((_G.select(i, ...)))
	end
	return task:join()
end
]])

describe("waits without a stack", function()
	test("2,000 goroutines that wait have few stacks", [[
		local ch, got, begun = chan(), chan(16), vai.atomic()
		for i = 1, 2000 do
			go(function() begun:add(1) local sum = 0 for v in ch do sum = sum + v end got:send(sum) end)
		end
		check.until_true(function() return begun:get() == 2000 and stacks() < 1200 end)
		for _ = 1, 3 do
			for _ = 1, 2000 do ch:send(1) end
			vai.sleep(0.05)
		end
		ch:close()
		local sum = 0
		for _ = 1, 2000 do sum = sum + got:recv() end
		check.eq(sum, 6000)
	]])

	test("1,200 that wait to send a large message have few stacks", [[
		local ch, begun, large = chan(), vai.atomic(), ("x"):rep(40000)
		for i = 1, 1200 do
			go(function() begun:add(1) ch:send(large) end)
		end
		check.until_true(function() return begun:get() == 1200 and stacks() < 800 end)
		for _ = 1, 1200 do check.eq(#ch:recv(), 40000) end
	]])

	test("values, false, tables and closed channels arrive", [[
		check.eq(_G.select(2, run(function(ch)
			local t = {}
			for i = 1, 4 do t[i] = tostring(ch:recv()) end
			return table.concat(t, " ")
		end, 1, false, "text", 2.5)), "1 false text 2.5")
		check.eq(_G.select(2, run(function(ch) return ch:recv().a[2] + #ch:recv() end, { a = { 1, 41 } }, ("x"):rep(1000))), 1041)
		local ch = chan()
		local task = vai.async(function() local n = 0 for v in ch do n = n + v end return n, ch:recv() end)
		vai.sleep(0.02) ch:send(5) vai.sleep(0.02) ch:close()
		check.eq(table.concat({ _G.select(2, task:join()) }, " ", 1, 1), "5")
	]])

	test("a close ends the loop and recv tells of it", [[
		local ch = chan()
		local loop = vai.async(function() for _ in ch do end return "over" end)
		local one = vai.async(function() local v, why = ch:recv() return tostring(v) .. " " .. why end)
		vai.sleep(0.02)
		ch:close()
		check.eq(_G.select(2, loop:join()), "over")
		check.eq(_G.select(2, one:join()), "nil closed")
	]])

	test("the body is no coroutine", [[
		local _, text = run(function(ch)
			local out = {}
			local function add(...) for _, v in ipairs { ... } do out[#out + 1] = tostring(v) end end
			local _, is_main = coroutine.running()
			add(coroutine.isyieldable(), is_main, pcall(coroutine.yield, 1))
			ch:recv()
			add(coroutine.isyieldable(), pcall(coroutine.yield, 1))
			local co = coroutine.running()
			add(coroutine.wrap(function()
				local yieldable = coroutine.isyieldable()
				ch:recv()
				return coroutine.status(co) .. tostring(yieldable) .. tostring(coroutine.isyieldable(co)) .. coroutine.yield("x")
			end)())
			return table.concat(out, " ")
		end, 1, 2)
		local no = "false attempt to yield from outside a coroutine"
		check.eq(text, "false true " .. no .. " false " .. no .. " x")
	]])

	test("errors after a wait are caught where they should be", [[
		local _, text = run(function(ch)
			local out = {}
			local function add(...) for _, v in ipairs { ... } do out[#out + 1] = tostring(v) end end
			add(pcall(function() ch:recv() error("one", 0) end))
			add(xpcall(function() ch:recv() error("two", 0) end, function(m)
				return m .. (debug.traceback():find("in function <") and " traced" or "")
			end))
			add(pcall(pcall, function() ch:recv() error("three", 0) end))
			add(pcall(function() return pcall(function() ch:recv() local x = nil; return x.y end) end))
			add(_G.select("#", pcall(function() return ch:recv(), nil, nil end)))
			return table.concat(out, " ")
		end, 1, 2, 3, 4, 5)
		check.eq((text:gsub("%S+:%d+:", ":")), "false one false two traced true false three true false "
			.. ": attempt to index a nil value (local 'x') 4")
	]])

	test("an error that nobody catches has its traceback", [[
		local ch = chan()
		local task = vai.async(function() local function inner() ch:recv() error("lost") end inner() end)
		vai.sleep(0.02)
		ch:send(1)
		local ok, err, trace = task:join()
		check.eq(ok, false)
		check.eq(err:match("lost$"), "lost")
		check.eq(trace:match("in upvalue 'inner'") or trace:match("in local 'inner'") or trace, "in local 'inner'")
	]])

	test("to-be-closed variables close once, and may wait themselves", [[
		local _, text = run(function(ch)
			local out = {}
			local function closer(name)
				return setmetatable({}, { __close = function(_, e) out[#out + 1] = name .. tostring(ch:recv()) .. tostring(e) end })
			end
			do local a <close> = closer "a" ch:recv() end
			pcall(function() local b <close> = closer "b" ch:recv() error("e", 0) end)
			local function f() local c <close> = closer "c" return ch:recv(), "and" end
			local x, y = f()
			out[#out + 1] = x .. y
			for v in ch do local d <close> = closer "d" out[#out + 1] = v break end
			return table.concat(out, " ")
		end, 1, 2, 3, 4, 5, 6, 7, 8)
		check.eq(text, "a2nil b4e c6nil 5and 7 d8nil")
	]])

	test("metamethods, iterators, sort and gsub around a wait", [[
		local _, text = run(function(ch)
			local out = {}
			local function add(v) out[#out + 1] = tostring(v) end
			local mt = {}
			for _, name in ipairs { "add", "concat", "index", "len", "unm", "call" } do
				mt["__" .. name] = function() return ch:recv() end
			end
			for _, name in ipairs { "eq", "lt", "le" } do mt["__" .. name] = function() return ch:recv() > 5 end end
			local a, b = setmetatable({}, mt), setmetatable({}, mt)
			add(a + 1) add("x" .. a .. "y") add(a.k) add(#a) add(-a) add(a())
			add(a == b) add(a < b) add(a <= b) add(not (a > b))
			for v in function() local v = ch:recv() return v < 12 and v or nil end do add(v) end
			add(("q"):gsub("q", function() return ch:recv() end))
			local t = { 2, 1 }
			table.sort(t, function(x, y) return ch:recv() and x < y end)
			add(t[1])
			add(_G.select(2, load(function() return ch:recv() and nil end)))
			return table.concat(out, " ")
		end, 1, 2, 3, 4, 5, 6, 1, 8, 1, 10, 11, 12, "13", true, true)
		check.eq(text, "1 x2 3 4 5 6 false true false false 11 13 1 nil")
	]])

	test("cancel ends such a wait, and closers and pcall see it", [[
		local ch, told = chan(), chan(4)
		local task = vai.async(function()
			local c <close> = setmetatable({}, { __close = function() told:send("closed") end })
			pcall(function() ch:recv() end)
			told:send("caught")
			ch:recv()
		end)
		vai.sleep(0.02)
		task:cancel("enough")
		check.eq(task:join(), false)
		check.eq(told:recv(), "caught")
		check.eq(told:recv(), "closed")
	]])

	test("the program may end while they wait", [[
		local ch = chan()
		for i = 1, 500 do
			go(function() local c <close> = setmetatable({}, { __close = function() end }) for _ in ch do end end)
		end
		vai.sleep(0.05)
	]])

	test("a goroutine that is woken at once goes on", [[
		local ch, back = chan(), chan()
		for _ = 1, 50 do go(function() for v in ch do back:send(v) end end) end
		local sum = 0
		go(function() for i = 1, 3000 do ch:send(i) end ch:close() end)
		for _ = 1, 3000 do sum = sum + back:recv() end
		check.eq(sum, 4501500)
	]])

	test("deep recursion ends as it does otherwise", [[
		local _, text = run(function(ch)
			local function f(n) return n == 0 and ch:recv() or 1 + f(n - 1) end
			local r = f(1000)
			local function over() return 1 + over() end
			return r .. tostring(_G.select(2, pcall(over)):match("stack overflow"))
		end, 5)
		check.eq(text, "1005stack overflow")
	]])

	test("an error in a result that cannot be sent", [[
		local ok, err = run(function(ch) ch:recv() return coroutine.create(print) end, 1)
		check.eq(ok, false)
		check.eq(type(err), "string")
	]])
end)
