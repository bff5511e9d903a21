-- SPDX-License-Identifier: MIT
-- What scripts may do to bring the runtime down: values that are not what they seem, states that are
-- looked at while others go, the debug library used on vai's own objects.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- Fills freed memory with what no pointer may be.
local test = program.tester [[
local function litter()
	collectgarbage()
	collectgarbage()
	local t = {}
	for i = 1, 3000 do t[i] = ("\255"):rep(i % 300 + 20) .. i end
end
]]

describe("values that change on their way", function()
	test("a metatable that was a module is one on the other side, too, or an error", [[
		for _, code in ipairs { "return true", "return 5", "return 'x'", "return print" } do
			package.loaded.mod = {}
			package.preload.mod = load(code)
			local ch = chan(1)
			ch:send(setmetatable({ 1 }, package.loaded.mod))
			local ok, err = vai.async(function() return ch:recv()[1] end):join()
			assert(not ok and err:find("metatable"), err)
			local ok, err = vai.async(function(v) return v[1] end, setmetatable({ 1 }, package.loaded.mod)):join()
			assert(not ok and err:find("metatable"), err)
		end
	]])

	test("__vai_send gives metatables and keys that are some", [[
		local ch = chan(1)
		local function sends(v) return { __vai_send = function() return v end } end
		local function refused(v, why)
			local ok, err = pcall(ch.send, ch, v)
			assert(not ok and err:find(why, 1, true), err)
			check.eq(#ch, 0)
		end
		for _, v in ipairs { 5, true, "x", print } do
			refused(setmetatable({}, setmetatable({}, sends(v))), "for a metatable")
			refused({ setmetatable({ f = print }, setmetatable({ __gc = print }, sends(v))) }, "for a metatable")
		end
		ch:send(setmetatable({}, setmetatable({}, sends(nil))))
		check.eq(getmetatable(ch:recv()), nil)
		ch:send(setmetatable({}, setmetatable({}, sends({ __len = function() return 7 end }))))
		check.eq(#ch:recv(), 7)
		refused({ [setmetatable({}, sends(nil))] = 1 }, "key of table: __vai_send gave nil for a key")
		refused({ [setmetatable({}, sends(0 / 0))] = 1 }, "key of table: __vai_send gave NaN for a key")
		ch:send({ [setmetatable({}, sends("k"))] = 1 })
		check.eq(ch:recv().k, 1)
	]])

	test("nil that __vai_send gives is not sent either", [[
		local ch = chan(3)
		local nothing = setmetatable({}, { __vai_send = function() end })
		for _, f in ipairs { ch.send, ch.try_send } do
			local ok, err = pcall(f, ch, nothing)
			assert(not ok and err:find("nil cannot be sent", 1, true), err)
		end
		for _, cases in ipairs { { { ch, nothing } }, { { ch, { 1 } }, { ch, print }, { ch, nothing } } } do
			local ok, err = pcall(vai.select, cases)
			assert(not ok and err:find("nil cannot be sent", 1, true), err)
		end
		ch:send({ nothing })
		check.eq(#ch, 1)
		check.eq(next(ch:recv()), nil)
	]])

	test("a __vai_send that sends on and on ends in a C stack overflow that can be caught", [[
		local shapes = {
			function(v) return { v } end,
			function(v) return { [v] = 1 } end,
			function(v) return setmetatable({}, v) end,
			function(v) return function() return v end end,
		}
		local function try(i, depth)
			local nested
			local function send() chan(1):send(nested) end
			nested = setmetatable({}, { __vai_send = function() send() return {} end })
			for _ = 1, depth do nested = type(nested) == "table" and shapes[i](nested) or { nested } end
			local ok, err = pcall(send)
			return ok, err
		end
		for i = 1, #shapes do
			for _, depth in ipairs { 0, 30, 47, 100 } do
				local _, ok, err = assert(vai.async(try, i, depth):join())
				assert(not ok and err:find("C stack overflow"), err)
			end
		end
	]])
end)

describe("dumps of goroutines", function()
	test("find main where it waits after a panic handler has waited, too", [[
		vai.on_panic(function() vai.sleep(0.1) end)
		local ch = chan()
		go(error, "x")
		coroutine.wrap(function() ch:recv(0.05) end)()
		litter()
		local ok, err = pcall(ch.recv, ch)
		assert(not ok and err:find("asleep") and not err:find("in a coroutine"), err)
	]])

	test("find one that moves off main's thread in a coroutine after another is gone", [[
		local function move(how)
			local file = io.stdin
			coroutine.wrap(function() vai.yield() end)()
			litter()
			if how == 1 then
				io.open("/dev/null"):close()
			elseif how == 2 then
				file:read(0)
			else
				io.popen("true"):close()
			end
			vai.yield()
		end
		for how = 1, 3 do
			for _ = 1, check.scaled(16) do
				local task = vai.async(move, how)
				for _ = 1, 10 do
					vai.yield()
					assert(vai.dump("/dev/null"))
				end
				assert(task:join())
			end
		end
	]], { stdin = "x\n" })
end)

describe("the debug library", function()
	test("takes handles their finalizers", [[
		local function rob()
			for i = 1, 50 do
				debug.setmetatable(chan(), nil)
				litter()
				local a, b = chan(), waitgroup()
			end
			debug.getmetatable(chan()).__gc = nil
			for i = 1, 50 do
				chan()
				litter()
				local a, b = chan(), waitgroup()
			end
		end
		rob()
		assert(vai.async(rob):join())
	]])

	test("cannot end an object that is in use", [[
		local function use()
			local ch = chan(1)
			local gc = debug.getmetatable(ch).__gc
			ch:send(setmetatable({}, { __vai_send = function() gc(ch) litter() return 1 end }))
			check.eq(ch:recv(), 1)
			local t = setmetatable({}, { __vai_send = function() gc(ch) return pcall(gc, ch) end })
			check.eq(select({ { ch, t } }), 1)
			check.eq(ch:recv(), true)
			local tells -- before Lua 5.4.4 nobody can tell another object's finalizer from the collector
			setmetatable({}, { __gc = function() tells = collectgarbage "count" == nil end })
			litter()
			if not tells then return check.raises("channel expected", function()
				setmetatable({}, { __gc = function() gc(ch) end })
				litter()
				ch:send(2)
			end) end
			setmetatable({}, { __gc = function() gc(ch) end })
			litter()
			ch:send(2)
			check.eq(ch:recv(), 2)
		end
		use()
		assert(vai.async(use):join())
	]])

	test("raises in hooks when functions are sent for the first time", [[
		local function try(n)
			for i = 1, 100 do
				local f = load("return function() return " .. i .. " end")()
				local ok, task = pcall(function()
					local calls = 0
					debug.sethook(function()
						calls = calls + 1
						if calls == n then
							debug.sethook()
							error("hook")
						end
					end, "r")
					local task = vai.async(f)
					debug.sethook()
					return task
				end)
				debug.sethook()
				if ok then assert(task:join()) end
			end
		end
		for n = 1, 8 do
			try(n)
			assert(vai.async(try, n):join())
		end
	]])
end)

describe("a process without standard streams", function()
	for _, closed in ipairs({ "0", "1", "2", "012" }) do
		test("begins, waits and ends: " .. closed, [[
			local c = chan()
			go(function() for i = 1, 3 do vai.sleep(0.001) c:send(i) end end)
			for i = 1, 3 do assert(c:recv() == i) end
			os.exit(7, true)
		]], { closed = closed, status = 7 })
	end
end)
