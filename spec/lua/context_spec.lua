-- SPDX-License-Identifier: MIT
-- Contexts: what Go's tests of package context ask for, and contexts as limits of every call that waits.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("a context", function()
	test("that is nobody's child is never done", [[
		local ctx = vai.context()
		check.returns(table.pack(ctx:err()), nil)
		check.returns(table.pack(ctx:cause()), nil)
		check.returns(table.pack(ctx:deadline()), nil)
		check.returns(table.pack(ctx:value("k")), nil)
		check.eq(ctx:done(), ctx:done())
		check.returns(table.pack(ctx:done():try_recv()), nil, "empty")
		check.eq(ctx:with_value("a", 1):err(), nil)
		check.eq(tostring(ctx):match("^context: ") ~= nil, true)
		local stop = ctx:after(function() error("never") end)
		check.eq(stop(), true)
		check.eq(stop(), false)
	]])

	test("is canceled with all below it, before cancel returns", [[
		local top, cancel = vai.context():with_cancel()
		local list = { top }
		for i = 1, 20 do
			local parent = list[math.random(#list)]
			list[#list + 1] = i % 3 == 0 and parent:with_value("k", i) or i % 3 == 1 and parent:with_cancel()
				or parent:with_timeout(1000)
		end
		local beside = vai.context():with_cancel()
		for _, c in ipairs(list) do check.eq(c:err(), nil) end
		cancel("enough")
		for _, c in ipairs(list) do
			check.eq(c:err(), "canceled")
			check.eq(c:cause(), "enough")
			check.returns(table.pack(c:done():recv(0)), nil, "closed")
		end
		check.eq(beside:err(), nil)
		local late = list[5]:with_cancel()
		check.eq(late:err(), "canceled")
		check.eq(late:cause(), "enough")
		check.eq(late:with_timeout(5):err(), "canceled")
	]])

	test("does not end what is above it", [[
		local top, cancel_top = vai.context():with_cancel()
		local child, cancel_child = top:with_cancel()
		local beside = top:with_cancel()
		cancel_child()
		check.eq(child:err(), "canceled")
		check.eq(top:err(), nil)
		check.eq(beside:err(), nil)
		cancel_top("later")
		check.eq(child:cause(), "canceled")
		check.eq(beside:cause(), "later")
	]])

	test("is canceled once: the first cause counts", [[
		local ctx, cancel = vai.context():with_cancel()
		cancel({ code = 7, list = { 1, 2 } })
		cancel("another")
		cancel()
		check.same(ctx:cause(), { code = 7, list = { 1, 2 } })
		check.eq(ctx:err(), "canceled")
		local plain, cancel_plain = vai.context():with_cancel()
		cancel_plain()
		check.eq(plain:cause(), "canceled")
	]])

	test("has a deadline: its own or an earlier one above it", [[
		local t0 = vai.now()
		local hour = vai.context():with_timeout(3600)
		check.eq(hour:with_timeout(7200):deadline(), hour:deadline())
		assert(hour:with_timeout(1800):deadline() < hour:deadline())
		local ctx, cancel = vai.context():with_timeout(0.02)
		assert(ctx:deadline() >= t0 + 0.02 and ctx:deadline() <= vai.now() + 0.02)
		local sooner = ctx:with_timeout(0.005)
		local later = ctx:with_timeout(100)
		check.eq(later:deadline(), ctx:deadline())
		check.returns(table.pack(sooner:done():recv()), nil, "closed")
		check.eq(sooner:err(), "deadline exceeded")
		check.returns(table.pack(later:done():recv()), nil, "closed")
		assert(vai.now() >= ctx:deadline())
		check.eq(later:err(), "deadline exceeded")
		check.eq(later:cause(), "deadline exceeded")
		check.eq(ctx:err(), "deadline exceeded")
		cancel("late")
		check.eq(ctx:err(), "deadline exceeded")
		check.eq(vai.context():with_deadline(vai.now() - 1):err(), "deadline exceeded")
		check.eq(vai.context():with_timeout(0):err(), "deadline exceeded")
		check.eq(vai.context():with_timeout(-5):err(), "deadline exceeded")
		check.returns(table.pack(vai.context():with_timeout(math.huge):deadline()), nil)
	]])

	test("needs no timer where it ends sooner anyway", [[
		local ctx = vai.context():with_timeout(0.001)
		for _ = 1, 1000 do ctx = ctx:with_timeout(0.5) end
		local before = vai.stats().timers_fired
		ctx:done():recv()
		vai.sleep(0.01)
		assert(vai.stats().timers_fired - before < 10)
	]])

	test("canceled before its deadline leaves no timer", [[
		for _ = 1, check.scaled(20000) do
			local _, cancel = vai.context():with_timeout(3600)
			cancel()
		end
		check.raises("deadlock", function() chan():recv() end)
	]])

	test("has values", [[
		local ch, s = chan(), ("k"):rep(1000)
		local base = vai.context():with_value("name", "outer"):with_value(1, "one"):with_value(true, "yes")
		local ctx = base:with_value("name", { "inner" }):with_value(ch, "channel"):with_value(s, "long"):with_value(2.5, false)
		check.eq(base:value("name"), "outer")
		check.eq(ctx:value("name")[1], "inner")
		check.eq(ctx:value(1), "one")
		check.eq(ctx:value(1.0), "one")
		check.eq(ctx:value(2.5), false)
		check.eq(ctx:value(true), "yes")
		check.eq(ctx:value(false), nil)
		check.eq(ctx:value(ch), "channel")
		check.eq(ctx:value(chan()), nil)
		check.eq(ctx:value(s), "long")
		check.eq(ctx:value(s .. "k"), nil)
		for i = 1, 300 do -- the same key in each form that a message may give it
			local key = ("m"):rep(i)
			check.eq(ctx:with_value(key, i):value(key), i)
		end
		check.eq(ctx:value("1"), nil)
		check.eq(ctx:with_cancel():value("name")[1], "inner")
		check.raises("with_value", ctx.with_value, ctx, {}, 1)
		check.raises("with_value", ctx.with_value, ctx, nil, 1)
		check.raises("nan", ctx.with_value, ctx, 0 / 0, 1)
		check.raises("FILE", ctx.with_value, ctx, "k", io.stdout)
	]])

	test("can be sent, as can its cancel and its channel", [[
		local ctx, cancel = vai.context():with_cancel()
		local ch = chan()
		go(function()
			local got, stop = table.unpack(ch:recv())
			assert(got:value("x") == 5)
			stop("from afar")
		end)
		local valued = ctx:with_value("x", 5)
		ch:send({ valued, cancel })
		check.returns(table.pack(ctx:done():recv(10)), nil, "closed")
		check.eq(valued:cause(), "from afar")
		local _, same = vai.async(function() return valued end):join()
		check.eq(same, valued)
		local _, done = vai.async(function() return valued:done() end):join()
		check.eq(done, valued:done())
	]])

	test("lets nobody else close or use its channel", [[
		local d = vai.context():with_cancel():done()
		check.raises("close on the channel of a context", d.close, d)
		check.raises("close on the channel of a context", function() local over <close> = d end)
		check.eq(d:is_closed(), false)
		check.raises("send on the channel of a context", d.send, d, 1)
		check.raises("send on the channel of a context", d.try_send, d, 1)
		check.raises("send on the channel of a context", select, { { d, 1 } })
		check.raises("notify on the channel of a context", vai.signal.notify, d, "SIGUSR2")
		check.eq(select { d, default = true }, nil)
	]])

	test("ends for who holds only its channel, its cancel, a child", [[
		local function make()
			local top, cancel = vai.context():with_cancel()
			return cancel, top:with_timeout(50):done(), top:with_cancel():with_value("a", 1):with_cancel()
		end
		local cancel, d, child = make()
		collectgarbage() collectgarbage()
		cancel("x")
		check.returns(table.pack(d:recv(0)), nil, "closed")
		check.eq(child:cause(), "x")
		d = vai.context():with_timeout(0.005):done()
		collectgarbage() collectgarbage()
		check.returns(table.pack(d:recv()), nil, "closed")
	]])

	test("takes 100,000 children along, flat and deep", [[
		local n = check.scaled(100000)
		local top, cancel = vai.context():with_cancel()
		local flat = {}
		for i = 1, n do flat[i] = top:with_cancel() end
		cancel()
		for i = 1, n do assert(flat[i]:err() == "canceled") end
		flat = nil
		local first, stop = vai.context():with_cancel()
		local last = first
		for i = 1, n do last = last:with_cancel() end
		stop("deep")
		check.eq(last:cause(), "deep")
		last, first, stop = nil, nil, nil
		collectgarbage() collectgarbage()
	]], { timeout = 60 })
end)

describe("context:after", function()
	test("runs once the context is done, at once if it is", [[
		local ctx, cancel = vai.context():with_cancel()
		local out = chan(10)
		ctx:with_cancel():after(function(...) out:send({ ... }) end, 1, "b")
		check.returns(table.pack(out:recv(0.01)), nil, "timeout")
		cancel()
		cancel()
		check.same(out:recv(), { 1, "b" })
		local stop = ctx:after(function() out:send("again") end)
		check.eq(out:recv(), "again")
		check.eq(stop(), false)
		vai.context():with_timeout(0.005):after(function() out:send("late") end)
		collectgarbage()
		check.eq(out:recv(), "late")
		check.returns(table.pack(out:recv(0.01)), nil, "timeout")
	]])

	test("can be stopped, also from elsewhere", [[
		local ctx, cancel = vai.context():with_cancel()
		local out = chan(10)
		local stop = ctx:after(function() out:send(1) end)
		local other = ctx:after(function() out:send(2) end)
		check.eq(stop(), true)
		check.eq(stop(), false)
		check.returns(table.pack(vai.async(function() return other() end):join()), true, true)
		cancel()
		check.returns(table.pack(out:recv(0.01)), nil, "timeout")
	]])

	test("ends as any goroutine", [[
		local caught = chan(1)
		vai.on_panic(function(err) caught:send(err) end)
		local ctx, cancel = vai.context():with_cancel()
		ctx:after(error, "in after", 0)
		cancel()
		check.eq(caught:recv(), "in after")
	]])
end)

describe("a context as a limit", function()
	-- Each call: a program that makes f(limit), which waits in vain.
	local calls = {
		send = "local ch = chan() local function f(l) return ch:send(1, l) end",
		recv = "local ch = chan() local function f(l) return ch:recv(l) end",
		select = "local ch = chan() local function f(l) return select { ch, { ch, 1 }, timeout = l } end",
		join = "local t = vai.async(function() chan():recv(vai.context():with_timeout(5)) end) local function f(l) return t:join(l) end",
		wait = "local wg = waitgroup() wg:add() local function f(l) return wg:wait(l) end",
		lock = "local m = vai.mutex() m:lock() local function f(l) return m:lock(l) end",
		guard = "local m = vai.mutex() m:lock() local function f(l) return m:guard(l) end",
	}
	for name, head in pairs(calls) do
		test("ends the wait: " .. name, head .. [[
			local ctx, cancel = vai.context():with_cancel()
			local task = vai.async(function() return f(ctx:with_value("a", 1)) end)
			check.waiting(task)
			cancel()
			check.returns(table.pack(task:join()), true, nil, "canceled")
			check.returns(table.pack(f(ctx)), nil, "canceled")
			check.returns(table.pack(f(vai.context():with_timeout(0.01))), nil, "deadline exceeded")
			check.returns(table.pack(f(vai.context():with_timeout(0))), nil, "deadline exceeded")
			check.returns(table.pack(f(0.001)), nil, "timeout")
			task = vai.async(function() return f(vai.context()) end)
			check.waiting(task)
			task:cancel("x")
			check.failed(table.pack(task:join()), "x")
			check.raises("number or context expected", f, "x")
		]])
	end

	test("that is done refuses what is ready", [[
		local ctx, cancel = vai.context():with_cancel()
		local ch = chan(1)
		ch:send(1)
		cancel()
		check.returns(table.pack(ch:recv(ctx)), nil, "canceled")
		check.returns(table.pack(select { ch, timeout = ctx }), nil, "canceled")
		check.eq(#ch, 1)
		check.eq(ch:recv(0), 1)
		local m = vai.mutex()
		check.returns(table.pack(m:lock(ctx)), nil, "canceled")
		check.eq(m:try_lock(), true)
	]])

	test("leaves nothing behind", [[
		local ctx, cancel = vai.context():with_cancel()
		local ch, m = chan(), vai.mutex()
		m:lock()
		local tasks = {}
		for i = 1, 100 do
			tasks[i] = vai.async(function()
				if i % 2 == 0 then return ch:recv(ctx) end
				return m:lock(ctx)
			end)
			check.waiting(tasks[i])
		end
		cancel()
		m:unlock()
		check.eq(m:try_lock(), true)
		check.returns(table.pack(ch:try_send(1)), nil, "full")
		for i = 1, 100 do check.returns(table.pack(tasks[i]:join()), true, nil, "canceled") end
		check.eq(ch:send(1, 0) == nil, true)
	]])

	test("a deadlock is one though a context's deadline is pending that nobody waits for", [[
		local ctx = vai.context():with_timeout(1000)
		local child = ctx:with_cancel()
		local d = child:done()
		check.raises("deadlock", function() chan():recv() end)
		check.raises("deadlock", function() chan():recv((vai.context())) end)
	]])

	test("at random, many at once", [[
		local n = check.scaled(3000)
		local m = vai.mutex()
		local tasks = {}
		local top, cancel = vai.context():with_cancel()
		for i = 1, n do
			tasks[i] = vai.async(function()
				math.randomseed(i)
				local ctx, stop = top:with_timeout(math.random() / 100)
				if math.random(3) == 1 then stop() end
				m:with(function() vai.yield() end)
				local held <close>, reason = m:guard(ctx)
				if held then vai.yield() end
				return reason
			end)
			if i == n // 2 then cancel() end
		end
		for i = 1, n do
			local ok, why = tasks[i]:join(30)
			assert(ok and (why == nil or why == "canceled" or why == "deadline exceeded"), why)
		end
		check.eq(m:try_lock(), true)
	]], { timeout = 60 })
end)
