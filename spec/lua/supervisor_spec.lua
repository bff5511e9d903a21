-- SPDX-License-Identifier: MIT
-- Supervisors: Erlang's strategies, restart intensity, ordered start and stop, children that are supervisors.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

-- A supervisor s with children a, b, c, which log their starts and ends and fail when told to by their channel.
local head = [[
local log, orders = chan(200), {}
local function worker(name, order)
	local over <close> = setmetatable({}, { __close = function() log:send("-" .. name) end })
	log:send("+" .. name)
	local what = order:recv()
	if what == "fail" then error(name .. " fails", 0) end
	return what
end
local function add(s, name, restart)
	orders[name] = orders[name] or chan()
	return s:child { name = name, start = worker, args = { name, orders[name] }, restart = restart }
end
local function expect(...)
	for _, want in ipairs({ ... }) do check.eq(log:recv(20), want) end
end
]]

describe("a supervisor", function()
	test("restarts a child that ends: one for one", head .. [[
		local s = vai.supervisor { strategy = "one_for_one", max = 10, within = 60 }
		for _, name in ipairs { "a", "b", "c" } do add(s, name) expect("+" .. name) end
		orders.b:send("fail")
		expect("-b", "+b")
		orders.a:send("enough")
		expect("-a", "+a")
		local list = s:children()
		check.eq(#list, 3)
		check.eq(list[1].name .. list[2].name .. list[3].name, "abc")
		check.eq(list[1].restarts, 1)
		check.eq(list[2].restarts, 1)
		check.eq(list[3].restarts, 0)
		check.eq(list[3].status, "running")
		check.eq(list[3].task:status() == "waiting", true)
		s:stop()
		expect("-c", "-b", "-a")
		check.returns(table.pack(s:wait()), true)
		check.eq(#log, 0)
	]], { err = "^vai: supervisor: child 'b' failed: b fails\n$" })

	test("restarts all, in order, stopped in reverse: one for all", head .. [[
		local s = vai.supervisor { strategy = "one_for_all", max = 10, within = 60 }
		for _, name in ipairs { "a", "b", "c" } do add(s, name) expect("+" .. name) end
		orders.b:send("fail")
		expect("-b", "-c", "-a")
		local got = { log:recv(20), log:recv(20), log:recv(20) }
		table.sort(got)
		check.eq(table.concat(got), "+a+b+c")
		s:stop()
	]], { err = "^vai: supervisor: child 'b' failed: b fails\n$" })

	test("restarts those after it: rest for one", head .. [[
		local s <close> = vai.supervisor { strategy = "rest_for_one", max = 10, within = 60 }
		for _, name in ipairs { "a", "b", "c" } do add(s, name) expect("+" .. name) end
		orders.b:send("fail")
		expect("-b", "-c")
		local got = { log:recv(20), log:recv(20) }
		table.sort(got)
		check.eq(table.concat(got), "+b+c")
		check.eq(s:children()[1].restarts, 0)
	]], { err = "^vai: supervisor: child 'b' failed: b fails\n$" })

	test("raises errors of arguments at the place that has called it", [[
		for _, options in ipairs { { foo = 1 }, { max = -1 }, { strategy = "none" }, { max = "x" }, { within = 0 } } do
			local line = debug.getinfo(1, "l").currentline + 1
			local ok, err = pcall(function() local s = vai.supervisor(options) end)
			check.eq(tostring(err):match("program.lua:(%d+): bad argument #1 to 'supervisor' "), tostring(line))
		end
	]])

	test("transient children that end well, and temporary ones, stay away", head .. [[
		local s <close> = vai.supervisor { max = 10, within = 60 }
		add(s, "a", "transient") add(s, "b", "temporary")
		local got = { log:recv(20), log:recv(20) }
		orders.a:send("fail")
		expect("-a", "+a")
		orders.a:send("done")
		expect("-a")
		orders.b:send("fail")
		expect("-b")
		check.until_true(function()
			local list = s:children()
			return #list == 1 and list[1].status == "done"
		end)
		check.eq(#log, 0)
	]], { err = "supervisor: child 'a' failed: a fails\n" })

	test("temporary children that have ended are none any more", head .. [[
		local s <close> = vai.supervisor { strategy = "one_for_all", max = 10, within = 60 }
		for _ = 1, 100 do
			s:child { name = "again", start = function() end, restart = "temporary" }:join()
			check.until_true(function() return #s:children() == 0 end)
		end
		add(s, "a") expect("+a")
		local gone = s:child { name = "t", start = vai.sleep, args = { 60 }, restart = "temporary" }
		add(s, "b") expect("+b")
		orders.a:send("fail")
		expect("-a", "-b")
		local got = { log:recv(20), log:recv(20) }
		table.sort(got)
		check.eq(table.concat(got), "+a+b")
		check.eq(gone:status(), "failed")
		check.eq(#s:children(), 2)
		-- the end of the earlier one of that name is not that of this one
		local t = s:child { name = "t", start = vai.sleep, args = { 60 }, restart = "temporary" }
		check.eq(s:children()[3].task:id(), t:id())
		vai.sleep(0.01)
		check.eq(s:children()[3].status, "running")
		local inner = vai.supervisor()
		s:child { start = inner, restart = "temporary" }
		inner:stop()
		check.until_true(function() return #s:children() == 3 end)
		check.raises("the supervisor has ended", s.child, s, { start = inner })
		add(s, "c") expect("+c")
		check.eq(s:children()[4].name, "c")
	]], { err = "^vai: supervisor: child 'a' failed: a fails\n$" })

	test("gives up when there are too many restarts, and stops the others", head .. [[
		local s = vai.supervisor { max = 3, within = 60 }
		add(s, "a") expect("+a")
		local t0 = vai.now()
		s:child { name = "bad", start = function() log:send("try") error("always", 0) end }
		check.returns(table.pack(s:wait(20)), nil, "child 'bad' failed: always")
		expect("try", "try", "try", "try", "-a")
		check.eq(#log, 0)
		assert(vai.now() - t0 >= 0.02) -- it has waited between the restarts
		check.eq(#s:children(), 0)
		s:stop()
	]], { err = { "^" .. ("vai: supervisor: child 'bad' failed: always\n"):rep(4), "always\nvai: supervisor gives up after 3 restarts " ..
		"within 60 s: child 'bad' failed: always\nstack traceback:\n.*program.lua:%d+: in " } })

	test("says what is wrong with a child's shutdown time", head .. [[
		local s <close> = vai.supervisor {}
		for _, time in ipairs { -1, 0/0 } do
			check.raises("shutdown: %-%S+ is no time", s.child, s, { start = vai.sleep, args = { 60 }, shutdown = -math.abs(time) })
		end
		check.raises("shutdown: number expected, got string", s.child, s, { start = vai.sleep, shutdown = "5" })
		check.eq(#s:children(), 0)
	]])

	test("insists where a child does not end", head .. [[
		local s = vai.supervisor {}
		local task = s:child { name = "deaf", shutdown = 0.01, start = function()
			local never <close> = setmetatable({}, { __close = function() vai.sleep(60) end })
			log:send("up")
			chan():recv(vai.context():with_timeout(60))
		end }
		expect("up")
		check.waiting(task)
		s:stop()
		check.eq(task:status(), "failed")
	]])

	test("tells on_failure of its children's failures, and nobody of other ends", [[
		local told = chan(10)
		local s = vai.supervisor { max = 2, within = 60, on_failure = function(...)
			told:send({ ... })
			if (...) == "text" then error("in on_failure", 0) end
		end }
		s:child { name = "table", restart = "temporary", start = function() error({ code = 7 }) end }
		local name, err, traceback = table.unpack(told:recv())
		check.eq(name, "table")
		check.eq(err.code, 7)
		assert(traceback:find("^stack traceback:\n.*program.lua:%d+: in "), traceback)
		s:child { name = "text", restart = "temporary", start = function() error("some", 0) end }
		check.eq(told:recv()[2], "some")
		s:child { name = "well", restart = "transient", start = function() end }
		s:child { name = "stopped", start = vai.sleep, args = { 60 } }
		check.until_true(function() return s:children()[1].status == "done" end)
		s:stop()
		check.eq(#told, 0)
		check.raises("on_failure: function expected, got boolean", vai.supervisor, { on_failure = true })
	]], { err = "^vai: supervisor: child 'text' failed: some; on_failure: in on_failure\n$" })

	test("warns of writes of on_failure into captured tables", [[
		local failures = {}
		vai.supervisor({ on_failure = function(name) failures[name] = true end }):stop()
	]], { err = "captured table 'failures'" })

	test("that gives up tells that on stderr, also with on_failure and for a child that ends well", [[
		local s = vai.supervisor { max = 0, on_failure = print }
		s:child { name = "short", start = function() end }
		check.returns(table.pack(s:wait(20)), nil, "child 'short' ended")
	]], { err = "^vai: supervisor gives up after 0 restarts within 5 s: child 'short' ended\n$", out = "" })

	test("has supervisors as children", head .. [[
		local outer = vai.supervisor { max = 10, within = 60 }
		local inner = vai.supervisor { max = 1, within = 60 }
		add(inner, "a") expect("+a")
		outer:child { name = "inner", start = inner }
		orders.a:send("fail")
		expect("-a", "+a")
		orders.a:send("fail")
		expect("-a", "+a") -- the inner one has given up, and was restarted with its child
		check.eq(outer:children()[1].restarts, 1)
		check.eq(inner:children()[1].name, "a")
		outer:stop()
		expect("-a")
	]], { err = { ("vai: supervisor 'inner': child 'a' failed: a fails\n"):rep(2) .. "vai: supervisor 'inner' gives up after 1 restarts ",
		"vai: supervisor: child 'inner' failed: child 'a' failed: a fails\n" } })

	-- What the inner one's children of its first life send as they are stopped must not reach its second.
	test("restarts a supervisor that gave up once, also one that bears no restart", head .. [[
		local outer <close> = vai.supervisor { max = 10, within = 60 }
		local inner = vai.supervisor { max = 0 }
		add(inner, "a") expect("+a")
		for _, name in ipairs { "b", "c", "d" } do add(inner, name) expect("+" .. name) end
		outer:child { name = "inner", start = inner }
		orders.a:send("fail")
		expect("-a", "-d", "-c", "-b")
		local got = { log:recv(20), log:recv(20), log:recv(20), log:recv(20) }
		table.sort(got)
		check.eq(table.concat(got), "+a+b+c+d")
		check.eq(log:recv(0.05), nil)
		check.eq(outer:children()[1].restarts, 1)
	]], { err = "vai: supervisor 'inner' gives up after 0 restarts within 5 s: child 'a' failed: a fails\n" })

	test("starts no temporary child of a supervisor again that is", head .. [[
		local outer <close> = vai.supervisor { max = 10, within = 60 }
		local inner = vai.supervisor()
		add(inner, "t", "temporary") expect("+t")
		add(inner, "a") expect("+a")
		outer:child { name = "inner", start = inner }
		inner:stop()
		expect("-a", "-t", "+a")
		add(inner, "b") expect("+b")
		inner:stop()
		expect("-b", "-a")
		local got = { log:recv(20), log:recv(20) }
		table.sort(got)
		check.eq(table.concat(got), "+a+b")
		local list = inner:children()
		check.eq(#list, 2)
		check.eq(list[1].name .. list[2].name, "ab")
	]])

	test("starts a supervisor again that was stopped, which its handle then means", head .. [[
		local outer = vai.supervisor { max = 10, within = 60 }
		local inner = vai.supervisor()
		add(inner, "a") expect("+a")
		outer:child { name = "inner", start = inner }
		inner:stop()
		expect("-a", "+a")
		check.eq(inner:children()[1].name, "a")
		add(inner, "b") expect("+b")
		local before = os.clock()
		vai.sleep(0.3)
		assert(os.clock() - before < 0.2, "it computes while it waits")
		outer:stop()
		expect("-b", "-a")
		check.eq(#inner:children(), 0)
		check.raises("the supervisor has ended", outer.child, vai.supervisor(), { start = inner })
	]])

	test("leaves nothing of a supervisor with many children behind", head .. [[
		local before = vai.count()
		local outer, inner = vai.supervisor(), vai.supervisor()
		for i = 1, 40 do inner:child { start = vai.sleep, args = { 60 } } end
		outer:child { start = inner }
		outer:stop()
		check.until_true(function() return vai.count() == before end)
	]])

	test("gives a supervisor all the time that its children may take", head .. [[
		vai.test.run(1, function()
			local outer, inner = vai.supervisor(), vai.supervisor()
			for i = 1, 3 do
				inner:child { shutdown = 9, start = function()
					local _ <close> = vai.defer(function() vai.sleep(8) log:send("over") end)
					vai.sleep(3600)
				end }
			end
			outer:child { start = inner }
			vai.sleep(1)
			outer:stop()
			expect("over", "over", "over")
		end)
	]])

	test("is in no circle, and a child of one only", head .. [[
		local a, b, c <close> = vai.supervisor(), vai.supervisor(), vai.supervisor()
		check.raises("a supervisor cannot be below itself", a.child, a, { start = a })
		a:child { start = b }
		check.raises("a supervisor cannot be below itself", b.child, b, { start = a })
		check.raises("the supervisor is a child already", c.child, c, { start = b })
		c:child { name = "x", start = vai.sleep, args = { 60 } }
		check.raises("there is a child 'x' already", c.child, c, { name = "x", start = a })
		c:child { start = a } -- it was not made a child by the call that raised
	]])

	test("takes children without names from many goroutines at once", head .. [[
		local s <close>, g = vai.supervisor(), vai.group()
		for _ = 1, 20 do g:go(function() s:child { start = vai.sleep, args = { 60 } } end) end
		check.returns(table.pack(g:wait()), true)
		check.eq(#s:children(), 20)
	]])

	-- Trees of supervisors whose children fail, end and are slow to end, stopped at any moment.
	test("stops all that is below it, whatever happens there", [[
		local kinds, strategies = { "permanent", "transient", "temporary" }, { "one_for_one", "one_for_all", "rest_for_one" }
		local function tree(live, depth)
			local s = vai.supervisor { strategy = strategies[math.random(3)], max = math.random(0, 4), within = math.random(3) }
			for i = 1, math.random(4) do
				local child = { restart = kinds[math.random(3)] }
				if depth < 3 and math.random(3) == 1 then
					child.start = tree(live, depth + 1)
				else
					child.shutdown, child.args = math.random() / 20, { math.random(3), math.random() / 20 }
					function child.start(what, s)
						live:add(1)
						local over <close> = vai.defer(function() live:add(-1) vai.sleep(s / 2) end)
						vai.sleep(s)
						if what == 1 then error("fails", 0) elseif what == 2 then vai.sleep(3600) end
					end
				end
				if not pcall(s.child, s, child) and type(child.start) == "table" then child.start:stop() end
			end
			return s
		end
		for seed = 1, 20 do
			local _, left, stopped = vai.test.run(seed, function()
				local live = vai.atomic()
				local s = tree(live, 1)
				vai.sleep(math.random())
				local stopped = vai.async(s.stop, s):join(60)
				vai.sleep(30)
				return live:get(), stopped
			end)
			check.eq(stopped, true)
			check.eq(left, 0)
		end
	]], { err = "supervisor .*gives up" })

	test("can be used from other goroutines, and has its names in dumps", head .. [[
		local s = vai.supervisor {}
		local task = vai.async(function() add(s, "worker a") return #s:children() end)
		check.returns(table.pack(task:join(20)), true, 1)
		expect("+worker a")
		check.waiting(s:children()[1].task)
		vai.dump(arg[1] .. "/dump")
		local text = io.open(arg[1] .. "/dump"):read("a")
		assert(text:find("goroutine %d+ %(supervisor%) %[select"), text)
		assert(text:find("goroutine %d+ %(worker a%) %[chan receive"), text)
		s:stop()
	]])

	test("bad options raise", head .. [[
		check.raises("unknown option 'stratgy'", vai.supervisor, { stratgy = "x" })
		check.raises("strategy: 'x' is none", vai.supervisor, { strategy = "x" })
		check.raises("max: number expected", vai.supervisor, { max = "x" })
		check.raises("max: %-1 is no integer from 0 on", vai.supervisor, { max = -1 })
		check.raises("within: 0 is not positive", vai.supervisor, { within = 0 })
		check.raises("table expected", vai.supervisor, 1)
		local s <close> = vai.supervisor()
		check.raises("start: function or supervisor expected", s.child, s, { name = "x" })
		check.raises("restart: 'x' is none", s.child, s, { start = print, restart = "x" })
		check.raises("unknown option 'nmae'", s.child, s, { start = print, nmae = "x" })
		add(s, "a")
		check.raises("there is a child 'a' already", add, s, "a")
		check.eq(s:child { start = function() chan():recv(vai.context():with_timeout(60)) end }:status() ~= "done", true)
		check.eq(s:children()[2].name, "child 2")
		local co = coroutine.create(print)
		check.raises("upvalue 'co': thread cannot be sent", s.child, s, { start = function() return co end })
		check.returns(table.pack(s:wait(0.01)), nil, "timeout")
		check.eq(tostring(s):match("^supervisor: goroutine") ~= nil, true)
	]])
end)
