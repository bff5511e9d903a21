-- SPDX-License-Identifier: MIT
-- vai.spawn: names and bounds; goroutines that are tied to their threads.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("spawn", function()
	test("runs as async does", [[
		check.returns(table.pack(vai.spawn({}, function(a, b) return a + b, a * b end, 3, 4):join()), true, 7, 12)
		check.failed(table.pack(vai.spawn({ name = "x", memory = 1 << 24, cpu = 10 }, error, "broken", 0):join()), "broken")
		local task = vai.spawn({ name = "worker" }, function() end)
		assert(tostring(task):find "^goroutine %d+$")
		task:join()
		check.returns(table.pack(vai.spawn({ libs = {} }, function(...)
			return _G.select("#", ...), ... end, 1, nil, "x"):join()), true, 3, 1, nil, "x")
		for i = 1, 20 do
			check.returns(table.pack(vai.spawn({ libs = { "string" } }, function(n)
				return ("x"):rep(n) end, i):join()), true, ("x"):rep(i))
		end
	]])
	test("checks its arguments", [[
		local function bad(pattern, ...) check.raises("^bad argument #1 to 'spawn' %(" .. pattern, vai.spawn, ...) end
		bad("table expected, got no value")
		bad("table expected, got function", print)
		bad("unknown option 'memroy'", { memroy = 1 }, print)
		bad("unknown option '1'", { "name" }, print)
		bad("name: string expected, got number", { name = 5 }, print)
		bad("name: 1 to 63 bytes", { name = "" }, print)
		bad("name: 1 to 63 bytes", { name = ("x"):rep(64) }, print)
		bad("name: 1 to 63 bytes", { name = "a\0b" }, print)
		bad("memory: number expected, got string", { memory = "1000000" }, print)
		bad("memory: number has no integer", { memory = 1e6 + 0.5 }, print)
		bad("memory: a goroutine needs 65536 bytes to start, got 1000", { memory = 1000 }, print)
		bad("memory: a goroutine needs 65536 bytes to start, got %-1", { memory = -1 }, print)
		bad("cpu: number expected, got boolean", { cpu = true }, print)
		bad("cpu: seconds above zero expected, got 0", { cpu = 0 }, print)
		bad("cpu: seconds above zero expected, got %-?nan", { cpu = 0 / 0 }, print)
		bad("libs: table expected, got string", { libs = "io" }, print)
		bad("libs: no library 'oi'", { libs = { "io", "oi" } }, print)
		bad("libs: names of libraries expected, got table", { libs = { {} } }, print)
		bad("libs: a list of names expected, got other keys", { libs = { string = true } }, print)
		check.raises("^bad argument #2 to 'spawn' %(function expected, got no value", vai.spawn, {})
		check.raises("^bad argument #2 to 'spawn' %(function expected, got table", vai.spawn, {}, {})
		check.raises("spawn: argument 3.*cannot be sent", vai.spawn, {}, print, coroutine.create(print))
		check.eq(vai.count(), 1)
	]])
	test("starts with the least memory", [[
		check.returns(table.pack(vai.spawn({ memory = 65536 }, function()
			return ("x"):rep(100):upper() end):join()), true, ("X"):rep(100))
	]])
end)

describe("memory", function()
	test("ends who builds for ever, while neighbours allocate on", [[
		local stop = chan()
		local neighbours = {}
		for i = 1, 3 do
			neighbours[i] = vai.async(function()
				local n = 0
				repeat
					local t = {}
					for k = 1, 1000 do t[k] = { k, tostring(k) } end
					assert(t[1000][2] == "1000")
					n = n + 1
				until stop:is_closed()
				return n
			end)
		end
		local function hog() local t = {} for i = 1, math.huge do t[i] = { i } end end
		local hogs = {}
		for i = 1, 3 do hogs[i] = vai.spawn({ memory = 16 << 20 }, hog) end
		for i = 1, 3 do check.failed(table.pack(hogs[i]:join()), "not enough memory") check.eq(hogs[i]:status(), "failed") end
		stop:close()
		for i = 1, 3 do local ok, n = neighbours[i]:join() assert(ok and n > 0, n) end
	]], { timeout = 60 })
	test("can be caught once", [[
		local function hog() local t = {} for i = 1, math.huge do t[i] = { i } end end
		check.returns(table.pack(vai.spawn({ memory = 1 << 20 }, function()
			local ok, err = pcall(hog)
			return ok, err, #("x"):rep(30000)
		end):join()), true, false, "not enough memory", 30000)
		check.returns(table.pack(vai.spawn({ memory = 1 << 20 }, function()
			local ok, err = coroutine.resume(coroutine.create(hog))
			return ok, err
		end):join()), true, false, "not enough memory")
		local caught = chan(100)
		check.failed(table.pack(vai.spawn({ memory = 1 << 20 }, function()
			while true do
				pcall(hog)
				caught:send(true)
			end
		end):join()), "not enough memory")
		check.eq(#caught, 1)
		check.failed(table.pack(vai.spawn({ memory = 1 << 20 }, function()
			while true do coroutine.resume(coroutine.create(hog)) end
		end):join()), "not enough memory")
		check.failed(table.pack(vai.spawn({ memory = 1 << 20 }, function()
			while true do xpcall(hog, function(m) return m end) end
		end):join()), "not enough memory")
	]], { timeout = 60 })
	test("counts strings, received messages and coroutines", [[
		check.failed(table.pack(vai.spawn({ memory = 1 << 20 }, function()
			return #("x"):rep(1 << 21) end):join()), "not enough memory")
		local ch = chan(1)
		local big = {}
		for i = 1, 50000 do big[i] = i end
		ch:send(big)
		check.failed(table.pack(vai.spawn({ memory = 1 << 19 }, function() return #ch:recv() end):join()), "not enough memory")
		check.eq(#ch, 0) -- it went with its receiver
		check.failed(table.pack(vai.spawn({ memory = 1 << 19 }, function(t) return #t end, big):join()), "not enough memory")
		check.failed(table.pack(vai.spawn({ memory = 1 << 20 }, function()
			coroutine.wrap(function() local t = {} for i = 1, math.huge do t[i] = { i } end end)()
		end):join()), "not enough memory")
		check.failed(table.pack(vai.spawn({ memory = 1 << 20 }, function() local function deep() return 1 + deep() end
			return deep() end):join()), "not enough memory")
		check.returns(table.pack(vai.spawn({ memory = 8 << 20 }, function() -- garbage does not count
			for i = 1, 300 do local t = {} for k = 1, 5000 do t[k] = k end end
			return "fine"
		end):join()), true, "fine")
	]], { timeout = 60 })
	test("counts what the goroutine has put into channels and timers, as long as nobody has received it", [[
		local ways = {
			own = "local c = vai.chan(100000) return function(s) c:send(s) end",
			try = "local c = vai.chan(100000) return function(s) c:try_send { s, print } end",
			select = "local c = vai.chan(100000) return function(s) vai.select { { c, s } } end",
			nested = "local c = vai.chan(100000) return function(s) local d = vai.chan(1) d:send(s) c:send(d) end",
			timer = "local list = {} return function(s) list[#list + 1] = vai.timer(1000, print, s) end",
			record = "local c = vai.chan(1000000) return function(s) for i = 1, 50 do c:send { i, i, s:sub(1, 200) } end end",
		}
		for name, way in pairs(ways) do
			local task = vai.spawn({ memory = 1 << 20 }, function()
				local put, n = load("local vai = require 'vai' " .. way)(), 0
				local ok, err = pcall(function()
					for i = 1, 1000 do put(("x"):rep(10000) .. i) n = i end
				end)
				return ok, err, n
			end)
			local _, ok, err, n = task:join()
			assert(ok == false and err == "not enough memory" and n > 20 and n < 120, ("%s: %s %s %s"):format(name, ok, err, n))
		end
		local c = chan(4)
		local task = vai.spawn({ memory = 1 << 20 }, function()
			for i = 1, 1000 do c:send(("x"):rep(10000) .. i) end
			for i = 1, 1000 do local dropped = vai.chan(1) dropped:send(("x"):rep(10000) .. i) end
			c:close()
		end)
		local n = 0
		for _ in c do n = n + 1 end
		check.eq(n, 1000)
		check.returns(table.pack(task:join()), true)
	]], { timeout = 60 })
	test("holds in metamethods of the error that the function leaves, and in finalizers after it", [[
		local out = chan(10)
		local function hog()
			local t = {}
			for i = 1, 1 << 21 do t[i] = i end -- 32 MiB
			out:send("had it")
		end
		local ok, err = vai.spawn({ memory = 1 << 20 }, function()
			left = setmetatable({}, { __gc = hog })
			error(setmetatable({ 7 }, { __tostring = hog }))
		end):join()
		check.eq(ok, false)
		check.eq(err[1], 7)
		check.until_true(function() return vai.count() == 1 end)
		check.eq(#out, 0)
		ok, err = vai.spawn({ memory = 1 << 20 }, function() error(setmetatable({}, { __vai_send = hog })) end):join()
		check.eq(ok, false)
		check.eq(err, "(error object is a table value) (not enough memory)")
	]])
	test("leaves closers to run, and everything held is given back", [[
		local out, wg = chan(10), waitgroup()
		wg:add(1)
		local task = vai.spawn({ memory = 1 << 20 }, function()
			local _ <close> = setmetatable({}, { __close = function(_, e) out:send(e) wg:done() end })
			local held = {}
			for i = 1, math.huge do held[i] = chan() end
		end)
		check.failed(table.pack(task:join()), "not enough memory")
		check.eq(out:recv(), "not enough memory")
		wg:wait()
		check.until_true(function() return vai.count() == 1 end)
	]])
end)

describe("cpu", function()
	test("ends who computes too long", [[
		for _, f in ipairs {
			function() while true do end end,
			function() while true do pcall(error) end end,
			function() coroutine.wrap(function() while true do end end)() end,
			function() while true do coroutine.resume(coroutine.create(function() while true do end end)) end end,
			function() while true do pcall(function() while true do end end) end end,
			function() while true do vai.yield() end end,
			function() local ch = chan(1) while true do ch:send(1) ch:recv() end end,
		} do
			local task = vai.spawn({ cpu = 0.02 }, f)
			check.failed(table.pack(task:join()), "cpu time exceeded")
			check.eq(task:status(), "failed")
		end
	]], { timeout = 60 })
	test("ends soon who never computes for long at once", [[
		local ch = chan(1)
		for _, f in ipairs {
			function() while true do vai.yield() end end,
			function() while true do ch:send(1) ch:recv() end end,
		} do
			local before = os.clock()
			local ok, err = vai.spawn({ cpu = 0.02 }, f):join()
			check.eq(ok, false)
			check.eq(err, "cpu time exceeded")
			assert(os.clock() - before < 0.5 * check.slowness, os.clock() - before)
		end
	]])
	test("does not count waiting", [[
		check.returns(table.pack(vai.spawn({ cpu = 0.05 }, function()
			for _ = 1, 20 do vai.sleep(0.01) end
			return "slept"
		end):join()), true, "slept")
	]])
	test("lets closers run", [[
		local out = chan(10)
		local task = vai.spawn({ cpu = 0.02 }, function()
			local _ <close> = setmetatable({}, { __close = function(_, e) vai.sleep(0.001) out:send(e) end })
			while true do end
		end)
		check.failed(table.pack(task:join()), "cpu time exceeded")
		check.eq(out:recv(), "cpu time exceeded")
		task = vai.spawn({ cpu = 0.02 }, function()
			local _ <close> = setmetatable({}, { __close = function(_, e) while true do end end })
			while true do end
		end)
		check.failed(table.pack(task:join()), "cpu time exceeded")
	]])
	local late = [[
		local function loop() while true do end end
		local function fails(event, f) return function() error(setmetatable({ 7 }, { [event] = f })) end end
		for _, f in ipairs {
			fails("__tostring", loop),
			fails("__tostring", function() while true do pcall(loop) end end),
			fails("__tostring", function() xpcall(loop, loop) end),
			fails("__tostring", function() while true do coroutine.wrap(loop)() end end),
			fails("__tostring", function() while true do coroutine.resume(coroutine.create(loop)) end end),
		} do
			local ok, err = vai.spawn({ cpu = 0.02 }, f):join()
			check.eq(ok, false)
			check.eq(err[1], 7)
		end
		local ok, err = vai.spawn({ cpu = 0.02 }, fails("__vai_send", loop)):join()
		check.eq(ok, false)
		assert(err:find("^%(error object is a table value%) %(.*cpu time exceeded%)$"), err)
	]]
	test("holds in metamethods of the error that the function leaves", late, { timeout = 60 })
	test("holds there without signals, too", late, { timeout = 60, env = { VAI_PREEMPT = "count" } })
	test("can be canceled before", [[
		local task = vai.spawn({ cpu = 1000, memory = 1 << 24 }, function() while true do pcall(error) end end)
		vai.sleep(0.01)
		task:cancel("enough")
		check.failed(table.pack(task:join()), "enough")
	]])
end)

describe("libs", function()
	test("are those, and the base functions", [[
		local all = { "coroutine", "table", "os", "string", "math", "utf8", "debug", "io", "package" }
		local function look(names)
			local found = {}
			for _, name in ipairs(names) do found[name] = type(_G[name]) end
			return found, type(require), type(print), type(pcall), type(load), _G._G == _G
		end
		for i = 0, #all do
			local ok, found, req, p, pc, l, g = vai.spawn({ libs = { all[i] } }, look, all):join()
			assert(ok, found)
			for _, name in ipairs(all) do check.eq(found[name], name == all[i] and "table" or "nil", name) end
			check.eq(req, all[i] == "package" and "function" or "nil")
			check.eq(p .. pc .. l, "functionfunctionfunction")
			check.eq(g, true)
		end
		local ok, found = vai.spawn({ libs = all }, look, all):join()
		for _, name in ipairs(all) do check.eq(found[name], "table", name) end
		check.eq(type(io), "table") -- others have theirs
		check.returns(table.pack(vai.async(function() return type(io), ("x"):upper() end):join()), true, "table", "X")
	]])
	test("cannot be had in other ways", [[
		local ok, names = vai.spawn({ libs = { "package" } }, function()
			local names = {}
			for k in pairs(_G) do names[#names + 1] = k end
			for k in pairs(package.loaded) do names[#names + 1] = "loaded." .. tostring(k) end
			for k in next, package.loaded do names[#names + 1] = "loaded." .. tostring(k) end
			names[#names + 1] = tostring(rawget(_G, "io")) .. tostring(rawget(package.loaded, "os"))
			package.path, package.cpath = "", ""
			for _, name in ipairs { "io", "os", "debug", "string" } do names[#names + 1] = tostring(pcall(require, name)) end
			local s = "x"
			names[#names + 1] = tostring(pcall(function() return s:upper() end))
			names[#names + 1] = tostring(pcall(function() return getmetatable("").__index.dump end))
			return names
		end):join()
		assert(ok, names)
		for _, name in ipairs(names) do
			for _, lib in ipairs { "io", "os", "debug", "string", "math", "table", "coroutine", "utf8" } do
				assert(name ~= lib and name ~= "loaded." .. lib and name ~= "true", name)
			end
		end
		local ok, err = vai.spawn({ libs = { "debug" } }, function()
			local found = {}
			for k, v in pairs(debug.getregistry()) do
				if type(v) == "table" and (rawget(v, "open") or rawget(v, "execute")) then found[#found + 1] = tostring(k) end
			end
			return #found, debug.getmetatable("")
		end):join()
		check.eq(ok, true)
		check.eq(err, 0)
	]])
	test("that were captured are missed, functions of theirs work", [[
		local mylib, open, upper, random = io, io.open, string.upper, math.random
		local ok, err = vai.spawn({ libs = {} }, function() return mylib.open end):join()
		check.eq(ok, false)
		assert(err:find "does not have the library 'io'", err)
		check.returns(table.pack(vai.spawn({ libs = {} }, function()
			local f = open("/dev/null")
			local kind = tostring(f)
			f:close()
			return upper("x"), type(io), type(kind)
		end):join()), true, "X", "nil", "string")
		ok, err = vai.spawn({ libs = {} }, function() return random(1) end):join()
		check.eq(ok, false)
		assert(err:find "does not have the library 'math'", err)
		local ch = chan()
		check.returns(table.pack(vai.spawn({ libs = {} }, function(a) vai.yield()
			return a, vai.id() > 1, ch:cap() end, 5):join()), true, 5, true, 0)
	]])
end)

describe("lock_thread", function()
	test("keeps a goroutine on its thread, and nests", [[
		local function thread()
			local f = io.open("/proc/thread-self/stat")
			local id = f:read("n")
			f:close()
			return id
		end
		if not io.open("/proc/thread-self/stat") then return end
		local tasks = {}
		for i = 1, 4 do
			tasks[i] = vai.async(function()
				vai.lock_thread()
				vai.lock_thread()
				local id = thread()
				for k = 1, 20 do
					vai.yield()
					vai.sleep(0.0005)
					assert(thread() == id, "it has moved")
					if k == 10 then vai.unlock_thread() end
				end
				vai.unlock_thread()
				vai.yield()
				return id
			end)
		end
		local busy = vai.async(function() while true do vai.yield() end end)
		for i = 1, 4 do
			local ok, id = tasks[i]:join()
			assert(ok, id)
		end
		busy:cancel()
		busy:join()
	]])
	test("of main, and unlocking what is not locked", [[
		check.raises("not locked to its thread", vai.unlock_thread)
		vai.lock_thread()
		vai.lock_thread()
		check.returns(table.pack(vai.async(function() return "others run" end):join()), true, "others run")
		vai.unlock_thread()
		vai.unlock_thread()
		check.raises("not locked to its thread", vai.unlock_thread)
		check.eq((vai.async(vai.unlock_thread):join()), false)
	]])
	test("ends with the goroutine, also a canceled one", [[
		for i = 1, 10 do
			check.returns(table.pack(vai.async(function() vai.lock_thread() return "ended" end):join()), true, "ended")
			local ch = chan()
			local task = vai.async(function() vai.lock_thread() ch:recv() end)
			check.waiting(task)
			task:cancel()
			check.eq((task:join()), false)
		end
		check.until_true(function() return vai.count() == 1 end)
		check.returns(table.pack(vai.async(function() return 1 end):join()), true, 1)
	]])
end)
