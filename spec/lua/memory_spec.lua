-- SPDX-License-Identifier: MIT
-- What a goroutine's work leaves resident is at most twice what the same work leaves in a process of the
-- stock Lua, whatever sizes it asks for; and a bound of memory fails only when what lives needs it.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- The work is a text, so that both run the same. Its fixed seed makes both ask for the same sizes. SLACK is what
-- runtime, code cache and caches of blocks take once. It is less than a huge page.
local head = [[
local SLACK = 1536
local function status(key)
	for line in io.lines "/proc/self/status" do
		local kb = line:match("^" .. key .. ":%s+(%d+)")
		if kb then return tonumber(kb) end
	end
end
local stock = [=[
local function status(key)
	for line in io.lines "/proc/self/status" do
		local kb = line:match("^" .. key .. ":%%s+(%%d+)")
		if kb then return tonumber(kb) end
	end
end
math.randomseed(42)
local base = status "VmRSS"
local function work() %s end
local kept = work()
print(status "VmRSS" - base, status "VmHWM" - base)
]=]
local function run(work)
	if check.slowness > 1 then return end
	local file = check.temp()
	local f = assert(io.open(file, "w"))
	f:write(stock:format(work))
	f:close()
	local p = assert(io.popen((os.getenv "LUA" or "lua5.4") .. " " .. file))
	local rss, peak = p:read("n", "n")
	assert(p:close())
	vai.async(function() end):join()
	local base = status "VmRSS"
	local ok, got, most = vai.async(function()
		math.randomseed(42)
		local kept = assert(load(work))()
		return status "VmRSS" - base, status "VmHWM" - base
	end):join()
	assert(ok, got)
	local report = ("%d kB resident where stock has %d, at most %d where stock had %d"):format(got, rss, most, peak)
	assert(got <= 2 * rss + SLACK and most <= 2 * peak + SLACK, report)
end
]]

local function test(name, work)
	program.test(name, head:gsub("\n", " ") .. "run [==[" .. work .. "]==]", { timeout = 60, sample = 1 })
end

describe("the memory of a goroutine that lives long", function()
	test("loads chunks of random size", [[
		for i = 1, 25000 do
			local t = {}
			for k = 1, math.random(12) do t[k] = ("local v%d = %d + %g"):format(k, math.random(1000000), math.random()) end
			t[#t + 1] = "return function() return '" .. ("x"):rep(math.random(0, 200)) .. "' end"
			assert(load(table.concat(t, "\n")))
		end]])

	test("loads one short chunk again and again", [[
		for i = 1, 150000 do load "return 1.5" end]])

	test("loads large chunks of random size, and keeps some", [[
		local keep = {}
		for i = 1, 2000 do
			local t = {}
			for k = 1, math.random(100, 1600) do
				local r = math.random(4)
				t[k] = r == 1 and "do local a = " .. i .. " end" or r == 2 and "x = {" .. k .. ", '" .. math.random(100000) .. "'}"
					or r == 3 and "do local function f() return " .. math.random(99999) .. " end end"
					or "y = 'k" .. math.random(100000) .. "'"
			end
			keep[math.random(20)] = assert(load(table.concat(t, "\n")))
		end
		keep = nil]])

	test("has sizes that change from phase to phase", [[
		for _, size in ipairs { 20, 100, 1000, 5000, 3000, 12000, 700, 40, 20000, 7000, 14000, 60, 2500, 300 } do
			local live = {}
			for i = 1, 8000000 // size do live[i] = ("%08d"):format(i) .. ("x"):rep(size - 8) end
			live = nil
			collectgarbage()
		end]])

	test("keeps one of a hundred of what it makes", [[
		local keep = {}
		for round = 1, 12 do
			local live, size = {}, math.random(10, 3000)
			for i = 1, 5000000 // size do
				live[i] = ("%08d"):format(i) .. ("x"):rep(size - 8)
				if i % 100 == 0 then keep[#keep + 1] = live[i] end
			end
			for i = 1, #keep // 2 do keep[math.random(#keep)] = table.remove(keep) end
			collectgarbage()
		end
		return keep]])

	test("grows and trims tables", [[
		local live = {}
		for i = 1, 200000 do
			local k, r = math.random(1000), math.random(6)
			local t = live[k] or {}
			if r == 1 then t = nil
			elseif r == 2 then t = { table.unpack(t, 1, math.random(0, 20)) }
			elseif r == 3 then for j = #t + 1, #t + math.random(30) do t[j] = j end
			elseif r == 4 then for j = 1, math.random(10) do t["k" .. math.random(100000)] = j end
			elseif r == 5 then for j in pairs(t) do t[j] = nil end
			else t[#t + 1] = ("y"):rep(math.random(300)) end
			live[k] = t
		end
		return live]])

	test("has much, and then little", [[
		local live = {}
		for i = 1, 200000 do live[i] = { i, tostring(i) } end
		live = nil
		collectgarbage()
		for i = 1, 20 do local t = {} for k = 1, 20000 do t[k] = ("z"):rep(math.random(100)) end end]])

	test("makes objects with finalizers and drops them", [[
		local meta = { __gc = function() end }
		for i = 1, 2000000 do setmetatable({}, meta) end]])

	program.test("stays small where handles are made and dropped", [[
		local _, most = vai.async(function()
			local most = 0
			for i = 1, 900 do
				for k = 1, 1000 do vai.chan() end
				most = math.max(most, collectgarbage "count")
			end
			return most
		end):join()
		assert(most < 300, most)
	]], { sample = 1 })

	test("makes closures and coroutines", [[
		local live = {}
		for i = 1, 100000 do
			local a, b, c, k = i, i * 2, {}, math.random(5000)
			live[k] = math.random(2) == 1 and function() return a, b, c end or coroutine.wrap(function() coroutine.yield(a) end)
			if i % 7 == 0 then live[k]() end
			if i % 50000 == 0 then for j = 1, 5000 do if j % 5 ~= 0 then live[j] = nil end end end
		end
		return live]])

	program.test("goes back to the system when little is left", [[
		if check.slowness > 1 then return end
		local before = check.rss()
		assert(vai.async(function()
			local live = {}
			for i = 1, 400000 do live[i] = { i, tostring(i) } end
			assert(check.rss() > before + 30000)
			live = nil
			collectgarbage()
			check.until_true(function() return check.rss() < before + 20000 end)
		end):join())
	]], { timeout = 60, sample = 1 })
end)

describe("a bound of memory", function()
	program.test("is not reached by what has been freed", [[
		local works = {
			function() for i = 1, check.scaled(200000) do assert(load "local a,b,c=1,2,3 return function() return a+b+c end") end end,
			function()
				for i = 1, check.scaled(100000) do
					local t = {}
					for k = 1, i % 50 do t[k] = k end
					for k = i % 50, 1, -1 do t[k] = nil end
					t.x, t.y, t[i] = 1, 2, ("s"):rep(i % 3000)
				end
			end,
			-- With half of it in use, strings that are built in buffers.
			function()
				local keep = {}
				for i = 1, 6 do keep[i] = ("k"):rep(100000) .. i end
				for i = 1, check.scaled(2000) do local s = ("x"):rep(50000 + i % 100) .. i end
				for i = 1, check.scaled(2000) do local s = table.concat({ keep[1]:sub(1, 40000), i, keep[2]:sub(1, 40000) }) end
			end,
			-- Survivors everywhere, then sizes that fit nowhere between them.
			function()
				local t = {}
				for i = 1, 7000 do t[i] = ("%060d"):format(i) end
				for i = 1, 7000 do if i % 5 ~= 0 then t[i] = false end end
				local u = {}
				for i = 1, 50 do u[i] = ("x"):rep(10000) .. i end
			end,
		}
		for i, work in ipairs(works) do
			local ok, err = vai.spawn({ memory = 1 << 20 }, work):join()
			assert(ok, i .. ": " .. tostring(err))
		end
	]], { timeout = 60, sample = 1 })

	program.test("is reached by what lives", [[
		for i, work in ipairs {
			function() local t = {} for i = 1, 1e7 do t[i] = i end end,
			function() local t = {} for i = 1, 1e7 do t[i] = { i } end end,
			function() local t = {} for i = 1, 1e7 do t[i] = ("x"):rep(i) end end,
			function() local s = "x" while true do s = s .. s end end,
			function() local t = {} for i = 1, 1e7 do t["k" .. i] = true end end,
			function() return #("x"):rep(3 << 20) end,
		} do
			local ok, err = vai.spawn({ memory = 1 << 20 }, work):join()
			check.eq(ok, false, i)
			check.eq(tostring(err):match "not enough memory", "not enough memory", i)
		end
	]], { timeout = 60 })
end)

-- 150 MB, of which nothing is needed, go through; the collector has to hear of them.
describe("what dropped handles hold", function()
	local ways = {
		["their channels"] = "local c = chan(1) c:send(s)",
		["channels in which others reply"] = "local c = chan(1) server:send(c) if i % 50 == 0 then vai.sleep(0.001) end",
		tasks = "local t = vai.async(string.rep, 'x', 100000) if i % 50 == 0 then t:join() end",
		timers = "vai.timer(1000, print, s):stop()",
		["arguments of timers"] = "vai.timer(1000, print, { s, print }):stop()",
		["channels with many small values"] = "local c = chan(100) for k = 1, 100 do c:send { small, print } end",
		["channels in channels"] = "local c, d = chan(1), chan(1) c:send(s) d:send(c)",
	}
	for name, way in pairs(ways) do
		for where, run in pairs { main = "work()", ["a goroutine"] = not name:find "^[cat]" and "assert(vai.async(work):join())" or nil } do
			program.test("is given back: " .. name .. ", in " .. where, ([[
				local server = chan()
				go(function() for r in server do r:send(("y"):rep(100000)) end end)
				local function work()
					local s, small = ("x"):rep(100000), ("x"):rep(1000)
					local live, before, most = {}, nil, 0
					for i = 1, 20000 do live[i] = { i } end
					before = check.rss()
					for i = 1, check.scaled(1500) do
						%s
						if i %% 100 == 0 then most = math.max(most, check.rss()) end
					end
					assert(os.getenv "VAI_VARIANT" ~= "release" or most - before < 60000, most - before .. " kB")
				end
				%s]]):format(way, run), { timeout = 60, procs = 2 })
		end
	end
end)
