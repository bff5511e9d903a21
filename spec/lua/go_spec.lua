-- SPDX-License-Identifier: MIT
-- go(), yield, id, count, maxprocs, numcpu, on_panic, stats; main as a goroutine.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("go", function()
	test("runs a function with arguments", [[
		local out = chan(1)
		go(function(a, b, c) out:send(a .. b .. tostring(c)) end, "x", 2, nil)
		check.eq(out:recv(), "x2nil")
	]])

	test("counts nil arguments", [[
		local out, n = chan(4), _G.select
		go(function(...)
			out:send(n("#", ...))
			local a, b, c, d = ...
			out:send(tostring(a) .. tostring(b) .. tostring(c) .. tostring(d))
		end, nil, 1, nil, nil)
		check.eq(out:recv(), 4)
		check.eq(out:recv(), "nil1nilnil")
	]])

	test("takes many arguments", [[
		local out = chan(1)
		local args = {}
		for i = 1, 200 do args[i] = i end
		go(function(...)
			local sum = 0
			for _, v in ipairs { ... } do sum = sum + v end
			out:send(sum)
		end, table.unpack(args))
		check.eq(out:recv(), 20100)
	]])

	test("takes a C function", [[
		local task = go(math.max, 3, 9, 4)
		check.returns(table.pack(task:join()), true, 9)
	]])

	test("runs vai's own functions", [[
		local ch = chan(1)
		go(ch.send, ch, "direct")
		check.eq(ch:recv(), "direct")
	]])

	test("gives every goroutine an id of its own", [[
		check.eq(math.type(vai.id()), "integer")
		local seen, ids = { [vai.id()] = true }, chan(8)
		local tasks = {}
		for i = 1, 50 do
			tasks[i] = go(function() ids:send(vai.id()) end)
		end
		local got = {}
		for _ = 1, 50 do got[ids:recv()] = true end
		for i = 1, 50 do
			local id = tasks[i]:id()
			assert(not seen[id], "an id came twice")
			seen[id] = true
			assert(got[id], "task:id() is not what vai.id() says inside")
		end
	]])

	test("starts goroutines from goroutines", [[
		local leaves = chan(16)
		local function tree(depth)
			if depth == 0 then
				leaves:send(1)
			else
				go(tree, depth - 1)
				go(tree, depth - 1)
			end
		end
		go(tree, 7)
		local n = 0
		for _ = 1, 128 do n = n + leaves:recv() end
		check.eq(n, 128)
	]])

	test("keeps globals of goroutines apart", [[
		local out = chan(2)
		for i = 1, 2 do
			go(function(n)
				local before = rawget(_G, "mine")
				_G.mine = n
				for _ = 1, 10 do vai.yield() end
				out:send { before == nil, _G.mine == n }
			end, i)
		end
		for _ = 1, 2 do
			local r = out:recv()
			assert(r[1] and r[2])
		end
		check.eq(mine, nil)
	]])

	test("leaves a fresh state for each goroutine", [[
		for _ = 1, 200 do
			local task = vai.async(function()
				local dirty = rawget(_G, "leak") ~= nil or string.leak ~= nil or package.loaded.leak ~= nil
					or getmetatable("").leak ~= nil
				_G.leak, string.leak, package.loaded.leak, getmetatable("").leak = 1, 2, 3, 4
				return dirty
			end)
			check.returns(table.pack(task:join()), true, false)
		end
	]])
end)

describe("yield", function()
	test("lets others run", [[
		local order = chan(100)
		local wg = waitgroup()
		wg:add(2)
		for _, name in ipairs { "a", "b" } do
			go(function()
				for _ = 1, 20 do
					order:send(name)
					vai.yield()
				end
				wg:done()
			end)
		end
		wg:wait()
		local s = {}
		for i = 1, 40 do s[i] = order:recv() end
		s = table.concat(s)
		check.eq(#s:gsub("b", ""), 20)
		if vai.maxprocs() == 1 then
			assert(not s:find(("a"):rep(20)), s)
		end
	]])

	test("in main lets goroutines run", [[
		local ch = chan(1)
		go(function() ch:send(true) end)
		while #ch == 0 do vai.yield() end
	]])
end)

describe("count", function()
	test("counts main and what is alive", [[
		check.eq(vai.count(), 1)
		local gate = chan()
		local tasks = {}
		for i = 1, 10 do
			tasks[i] = go(function() gate:recv() end)
		end
		check.eq(vai.count(), 11)
		gate:close()
		for i = 1, 10 do assert(tasks[i]:join()) end
		check.until_true(function() return vai.count() == 1 end)
	]])
end)

describe("maxprocs and numcpu", function()
	test("tells what VAI_MAXPROCS said", [[
		check.eq(vai.maxprocs(), tonumber(os.getenv "VAI_MAXPROCS"))
		check.eq(math.type(vai.numcpu()), "integer")
		assert(vai.numcpu() >= 1)
	]])

	test("sets and returns the old", [[
		local old = vai.maxprocs()
		check.eq(vai.maxprocs(3), old)
		check.eq(vai.maxprocs(), 3)
		local wg = waitgroup()
		for _ = 1, 100 do wg:go(function() vai.yield() end) end
		wg:wait()
		check.eq(vai.maxprocs(1), 3)
		for _ = 1, 100 do wg:go(function() vai.yield() end) end
		wg:wait()
		check.eq(vai.maxprocs(), 1)
	]])

	test("can be set from a goroutine, with others at work", [[
		local wg = waitgroup()
		for i = 1, 20 do
			wg:go(function()
				for n = 1, 20 do
					vai.maxprocs((i + n) % 4 + 1)
					vai.yield()
				end
			end)
		end
		wg:wait()
	]])

	test("uses the CPUs of the process by default", [[
		check.eq(vai.maxprocs(), vai.numcpu())
	]], { procs = 1, env = { VAI_MAXPROCS = "" } })
end)

describe("on_panic", function()
	test("gets error, traceback and id, in main", [[
		local seen
		vai.on_panic(function(err, traceback, id)
			seen = { err = err, traceback = traceback, id = id }
		end)
		local function deep() error("boom") end
		local task = go(function() deep() end)
		check.until_true(function() return seen end)
		assert(seen.err:find "program.lua:%d+: boom$", seen.err)
		assert(seen.traceback:find "deep", seen.traceback)
		check.eq(seen.id, task:id())
	]])

	test("gets error objects", [[
		local seen = {}
		vai.on_panic(function(err) seen[#seen + 1] = err end)
		go(function() error({ code = 7 }) end)
		check.until_true(function() return #seen == 1 end)
		check.eq(seen[1].code, 7)
	]])

	test("lets the program go on, and join tell the failure", [[
		local panics = 0
		vai.on_panic(function() panics = panics + 1 end)
		local task = go(function() error("lost", 0) end)
		check.failed(table.pack(task:join()), "lost")
		local ch = chan()
		go(function() ch:send "alive" end)
		check.eq(ch:recv(), "alive")
		for _ = 1, 20 do go(function() error("again", 0) end) end
		check.until_true(function() return panics >= 20 end)
	]])
end)

describe("stats", function()
	test("is a table of numbers that move", [[
		local before = vai.stats()
		check.eq(type(before), "table")
		local wg = waitgroup()
		for _ = 1, 100 do wg:go(function() end) end
		wg:wait()
		local after, moved = vai.stats(), false
		for name, v in pairs(after) do
			check.eq(type(name), "string")
			if type(v) == "number" and v - (before[name] or 0) >= 100 then moved = true end
		end
		assert(moved, "no counter moved by 100")
	]])
end)

describe("long running goroutines", function()
	test("compute right sums, next to each other", [[
		local tasks = {}
		for i = 1, 8 do
			tasks[i] = vai.async(function()
				local n = 0
				for k = 1, 3000000 // check.slowness do n = n + k % 7 end
				return n
			end)
		end
		local _, want = tasks[1]:join()
		for i = 2, 8 do check.returns(table.pack(tasks[i]:join()), true, want) end
	]])

	test("keep their debug hooks", [[
		local task = vai.async(function()
			local hits = 0
			local function hook() hits = hits + 1 end
			debug.sethook(hook, "", 1000)
			for _ = 1, 1000000 // check.slowness do end
			vai.yield()
			local before = hits
			local f, mask, count = debug.gethook()
			for _ = 1, 100000 do end
			return f == hook, mask, count, hits > before
		end)
		for _ = 1, 3 do go(function() for _ = 1, 1000000 // check.slowness do end end) end
		check.returns(table.pack(task:join()), true, true, "", 1000, true)
		check.eq(debug.gethook(), nil)
	]])

	test("run while main computes", [[
		local ch = chan(1)
		go(function() ch:send(1) end)
		while #ch == 0 do end
	]], { procs = 2 })
end)

describe("the module", function()
	test("is one table", [[
		assert(vai == require "vai" and package.loaded.vai == vai)
		local task = vai.async(function() return vai == require "vai" end)
		check.returns(table.pack(task:join()), true, true)
	]])

	test("has the names of the contract", [[
		for _, name in ipairs { "go", "async", "yield", "id", "count", "maxprocs", "numcpu", "on_panic", "stats",
			"chan", "select", "waitgroup", "sleep", "now", "after", "timer", "ticker" } do
			check.eq(type(vai[name]), "function", name)
		end
	]])
end)
