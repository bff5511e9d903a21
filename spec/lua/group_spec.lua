-- SPDX-License-Identifier: MIT
-- Groups: what the tests of Go's x/sync/errgroup ask for, and structure: nothing outlives its group.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("a group", function()
	test("waits for all", [[
		local g, out = vai.group(), chan(100)
		for i = 1, 50 do
			local task = g:go(function(a) vai.yield() out:send(a) return a end, i)
			check.eq(math.type(task:id()), "integer")
		end
		check.returns(table.pack(g:wait()), true)
		check.eq(#out, 50)
		check.returns(table.pack(g:wait()), true)
		check.raises("go on a group that has ended", g.go, g, print)
		check.raises("try_go on a group that has ended", g.try_go, g, print)
		check.returns(table.pack(vai.group():wait(0)), true)
		check.raises("context expected", vai.group, 1)
		check.raises("function", function() vai.group():go(1) end)
		check.eq(tostring(g):match("^group: ") ~= nil, true)
	]])

	test("the first error cancels all, at once, and is given once with its task", [[
		local g = vai.group()
		local closed = chan(10)
		local ctx = g:context()
		check.eq(ctx:err(), nil)
		local others = {}
		for i = 1, 5 do
			others[i] = g:go(function()
				local c <close> = setmetatable({}, { __close = function() closed:send(i) end })
				chan():recv(vai.context():with_timeout(60))
			end)
			check.waiting(others[i])
		end
		local bad = g:go(function() error({ code = 3 }) end)
		check.returns(table.pack(ctx:done():recv(10)), nil, "closed")
		local ok, err, task = g:wait(10)
		check.eq(ok, nil)
		check.eq(err.code, 3)
		check.eq(task, bad)
		check.eq(#closed, 5)
		for i = 1, 5 do check.failed(table.pack(others[i]:join()), "canceled") end
		check.eq(ctx:err(), "canceled")
		check.eq(ctx:cause().code, 3)
		check.eq(ctx:with_value("k", 1):cause().code, 3)
		check.eq(vai.async(function() return ctx:cause().code end):join() and (_G.select(2, vai.async(function()
			return ctx:cause().code end):join())), 3)
	]])

	test("the first error comes with its traceback, and is what those see that end because of it", [[
		local g, seen = vai.group(), chan(1)
		local function deep_down() error("no luck", 0) end
		local waits = g:go(function()
			local ctx = g:context()
			local c <close> = vai.defer(function() seen:send(ctx:cause()) end)
			chan():recv(ctx)
		end)
		check.waiting(waits)
		g:go(function() deep_down() end)
		local _, err, task = g:wait(10)
		check.eq(err, "no luck")
		check.eq(seen:recv(10), "no luck")
		check.eq(g:context():cause(), "no luck")
		check.eq(g:context():err(), "canceled")
		local _, again, traceback = task:join()
		check.eq(again, "no luck")
		assert(traceback:find "deep_down", traceback)
		-- The parent's end has the parent's cause; an error after that changes nothing.
		local ctx, cancel = vai.context():with_cancel()
		local h = vai.group(ctx)
		local late = h:go(function()
			local c <close> = vai.defer(error, "late", 0)
			chan():recv(vai.context():with_timeout(60))
		end)
		check.waiting(late)
		cancel("mine")
		check.eq(h:wait(10), nil)
		check.eq(h:context():cause(), "mine")
	]])

	test("cancels what is started after the first error, too", [[
		local g = vai.group()
		g:go(error, "first", 0)
		g:context():done():recv()
		local late = g:go(function() while true do end end)
		check.returns(table.pack(g:wait(10)), nil, "first", (_G.select(3, g:wait())))
		check.failed(table.pack(late:join()), "canceled")
	]])

	test("is over with its parent context", [[
		local ctx, cancel = vai.context():with_cancel()
		local g = vai.group(ctx:with_value("k", 5))
		check.eq(g:context():value("k"), 5)
		local task = g:go(function() chan():recv(vai.context():with_timeout(60)) end)
		check.waiting(task)
		check.returns(table.pack(g:wait(0.005)), nil, "timeout")
		local mine, stop = vai.context():with_cancel()
		stop()
		check.returns(table.pack(g:wait(mine)), nil, "canceled")
		cancel()
		check.returns(table.pack(g:wait(10)), nil, "canceled", task)
		check.eq(g:context():err(), "canceled")
		local timed = vai.group((vai.context():with_timeout(0.01)))
		timed:go(function() while true do end end)
		check.eq(_G.select(2, timed:wait(10)), "deadline exceeded")
	]])

	test("that its context ends says what that is over for", [[
		local ctx, cancel = vai.context():with_cancel()
		local function waits() return chan():recv() end
		local g = vai.group(ctx)
		local task = g:go(waits)
		check.waiting(task)
		cancel({ "shutting", "down" })
		local ok, why, of = g:wait(10)
		check.eq(ok, nil)
		check.eq(table.concat(why, " "), "shutting down")
		check.eq(of, task)
		check.failed(table.pack(task:join()), "canceled")
		local list, err = vai.group(ctx):map({ 1, 2 }, waits)
		check.eq(list, nil)
		check.eq(err[2], "down")
		check.eq(_G.select(2, pcall(function()
			local block <close> = vai.group(ctx)
			block:go(waits)
		end))[1], "shutting")
		-- A child's own error stays that, as does the reason for which it alone was canceled.
		local own, stop = vai.context():with_cancel()
		local failing = vai.group(own)
		failing:go(error, "mine", 0)
		own:done():recv(0)
		check.eq(_G.select(2, failing:wait()), "mine")
		local one = vai.group()
		local alone = one:go(waits)
		alone:cancel("for a reason")
		check.returns(table.pack(one:wait()), nil, "for a reason", alone)
		stop()
	]])

	test("limits how many run at once", [[
		local g, inside = vai.group(), chan(3)
		g:limit(3)
		for i = 1, 30 do
			g:go(function()
				assert(inside:try_send(1), "too many")
				vai.yield()
				if i % 7 == 0 then vai.sleep(0.001) end
				inside:recv()
			end)
		end
		check.returns(table.pack(g:wait()), true)
		g = vai.group()
		g:limit(1)
		local free = chan()
		assert(g:try_go(function() free:recv() end))
		check.returns(table.pack(g:try_go(print)), nil, "full")
		local waits = vai.async(function() g:go(function() end) return true end)
		check.waiting(waits)
		local gone = vai.async(function() g:go(print) end)
		check.waiting(gone)
		gone:cancel()
		check.failed(table.pack(gone:join()), "canceled")
		free:send(1)
		check.returns(table.pack(waits:join()), true, true)
		check.eq(g:wait(), true)
		check.raises("limit", g.limit, g, -1)
	]])

	test("lets none begin while its limit is 0", [[
		local g, ch = vai.group(), chan(2)
		g:limit(0)
		check.returns(table.pack(g:try_go(print)), nil, "full")
		local waits = vai.async(function() g:go(function() ch:send("later") end) end)
		check.waiting(waits)
		check.eq(#ch, 0)
		g:limit(1)
		check.eq(ch:recv(10), "later")
		check.eq(waits:join(), true)
		g:limit(0)
		check.returns(table.pack(g:wait(10)), true)
	]])

	test("is left by nobody before its children have ended, also by one that is canceled twice", [[
		vai.test.run(1, function()
			local left, up = chan(1), chan()
			local task = vai.async(function()
				local child
				pcall(function()
					local g <close> = vai.group()
					child = g:go(function()
						local slow <close> = vai.defer(vai.sleep, 5)
						up:send(true)
						vai.sleep(60)
					end)
				end)
				left:send(child:status())
			end)
			up:recv()
			for _ = 1, 2 do vai.sleep(1) task:cancel() end
			check.eq(left:recv(), "failed")
			check.eq(vai.now(), 3.0) -- the child was canceled twice, too
		end)
	]])

	test("a place that was given to one that is canceled before it runs goes on", [[
		for round = 1, check.scaled(1000) do
			local g, free = vai.group(), chan()
			g:limit(1)
			g:go(function() free:recv() end)
			local first = vai.async(function() g:go(function() end) end)
			check.waiting(first)
			local second = vai.async(function() g:go(function() end) return true end)
			check.waiting(second)
			free:send(1)
			vai.yield()
			first:cancel()
			check.returns(table.pack(second:join(10)), true, true)
			first:join()
			check.eq(g:wait(10), true)
		end
	]], { timeout = 60 })

	test("is the same object in its children, which may start more", [[
		local g, n = vai.group(), chan(100)
		g:go(function()
			for _ = 1, 3 do g:go(function() g:go(function() n:send(1) end) end) end
		end)
		check.eq(g:wait(), true)
		check.eq(#n, 3)
	]])

	test("a task of it that fails is not told of on stderr where the error was given", [[
		local g = vai.group()
		for i = 1, 10 do g:go(error, "bad", 0) end
		check.eq(_G.select(2, g:wait()), "bad")
		g = nil
		collectgarbage() collectgarbage()
	]])

	test("an error that nobody was given is told of", [[
		do
			local g = vai.group()
			g:go(error, "unheard of", 0)
			g:context():done():recv()
		end
		check.until_true(function() collectgarbage() return vai.count() == 1 end)
		collectgarbage() collectgarbage()
	]], { err = "^vai: goroutine %d+ failed and nobody joined it: unheard of" })

	test("stands in dumps", [[
		local g = vai.group()
		g:go(function() chan():recv() end)
		local ok, err = pcall(g.wait, g)
		assert(err:find("group wait]:\n\ton group made at [^\n]*:1 %(1 running%)"), err)
	]])

	for _, how in ipairs({ "waits", "computes" }) do
		test("of a thousand ends quickly where one fails, while each of the others " .. how, ([[
			local n = check.scaled(1000)
			local g, started = vai.group(), chan(n)
			for i = 1, n do
				g:go(function()
					started:send(i)
					if HOW == "waits" then chan():recv(vai.context():with_timeout(60)) end
					while true do end
				end)
				if HOW == "computes" and i == 50 then break end
			end
			local bad = g:go(function() error("one of many") end)
			local ok, err, task = g:wait(60)
			assert(err:find("one of many"), err)
			check.eq(task, bad)
		]]):gsub("HOW", ("%q"):format(how)), { timeout = 60 })
	end
end)

describe("a block with a group", function()
	test("waits at its end, and raises the first error", [[
		local out = chan(10)
		do
			local g <close> = vai.group()
			for i = 1, 10 do g:go(function() vai.sleep(0.001) out:send(i) end) end
		end
		check.eq(#out, 10)
		check.raises("^child$", function()
			local g <close> = vai.group()
			g:go(error, "child", 0)
		end)
		-- given already
		local g <close> = vai.group()
		g:go(error, "child", 0)
		check.eq(_G.select(2, g:wait()), "child")
	]])

	test("left by an error cancels them, and keeps that error", [[
		local out = chan(10)
		check.raises("^mine$", function()
			local g <close> = vai.group()
			for i = 1, 5 do
				check.waiting(g:go(function()
					local c <close> = setmetatable({}, { __close = function() vai.sleep(0.001) out:send(i) end })
					chan():recv(vai.context():with_timeout(60))
				end))
			end
			g:go(function() while true do end end)
			vai.sleep(0.005)
			error("mine", 0)
		end)
		check.eq(#out, 5)
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("left by a cancel does not leave one running", [[
		local closed = chan(10)
		local task = vai.async(function()
			local g <close> = vai.group()
			g:go(function()
				local c <close> = setmetatable({}, { __close = function() vai.sleep(0.005) closed:send(1) end })
				chan():recv(vai.context():with_timeout(60))
			end)
		end)
		check.until_true(function() return vai.count() == 3 end)
		vai.sleep(0.005)
		task:cancel("away")
		check.failed(table.pack(task:join(10)), "away")
		check.eq(#closed, 1)
	]])
end)

describe("group:map", function()
	test("gives results in order", [[
		local g = vai.group()
		g:limit(4)
		local list = {}
		for i = 1, 50 do list[i] = i end
		local got = g:map(list, function(v, i)
			if v % 5 == 0 then vai.sleep(0.001) end
			return v * 2 + i
		end)
		check.eq(#got, 50)
		for i = 1, 50 do check.eq(got[i], 3 * i) end
		check.same(g:map({ "a", "b" }, function(v) return { v } end), { { "a" }, { "b" } })
		check.same(g:map({}, print), {})
		check.eq(g:wait(), true)
		check.raises("table", g.map, g, 1, print)
		check.raises("function", g.map, g, {}, 1)
	]])

	test("or the first error", [[
		local g = vai.group()
		local ok, err = g:map({ 1, 2, 3, 4 }, function(v)
			if v == 3 then error("three", 0) end
			chan():recv(vai.context():with_timeout(60))
		end)
		check.eq(ok, nil)
		check.eq(err, "three")
		check.eq(_G.select(2, g:wait()), "three")
	]])
end)
