-- SPDX-License-Identifier: MIT
-- What Go's tests of sync, context and golang.org/x/sync ask, asked of vai: hammers, misuse, order, fairness by counts,
-- trees of contexts, weighted permits, groups with limits, the shared map beside a map under a lock. Each is made of
-- counts and order; no result hangs on how long something took.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.tester [[
	local function task(f, ...) local t = vai.async(f, ...) check.waiting(t) return t end
	local function joined(t, ...) check.returns(table.pack(t:join()), true, ...) end
]]

describe("a wait group", function()
	test("sees what those did that it waited for, over and over", [[
		local wg, n = waitgroup(), vai.atomic()
		for round = 1, check.scaled(2000) do
			wg:add(2)
			for _ = 1, 2 do go(function() n:add(1) wg:done() end) end
			wg:wait()
			check.eq(n:get(), 2 * round)
		end
	]])

	test("lets go at zero although it is used again at once", [[
		local wg = waitgroup()
		for round = 1, 200 do
			wg:add(1)
			local waiters = {}
			for i = 1, 3 do waiters[i] = task(function() return wg:wait() end) end
			wg:done()
			wg:add(1)
			for i = 1, 3 do joined(waiters[i], true) end
			check.returns(table.pack(wg:wait(0)), nil, "timeout")
			wg:done()
		end
	]])

	test("counts down once too often: whoever does it is told, nobody else is touched", [[
		local wg = waitgroup()
		wg:add(1)
		local waiter = task(function() return wg:wait() end)
		wg:done()
		for i = 1, 3 do
			local ok, err = vai.async(wg.done, wg):join()
			check.eq(ok, false)
			assert(err:find("negative waitgroup counter", 1, true), err)
		end
		joined(waiter, true)
		check.eq(wg:wait(0), true)
	]])

	test("starts more from those it waits for", [[
		local wg, n = waitgroup(), vai.atomic()
		local function branch(depth)
			n:add(1)
			for _ = 1, depth > 0 and 2 or 0 do wg:go(branch, depth - 1) end
		end
		wg:go(branch, 7)
		wg:wait()
		check.eq(n:get(), 255)
	]])
end)

describe("a mutex", function()
	test("under the hammer lets one in at a time, those that only try as well", [[
		local m, inside, done, wg = vai.mutex(), vai.atomic(), vai.atomic(), waitgroup()
		local n = check.scaled(2000)
		for i = 1, 10 do
			wg:go(function()
				for k = 1, n do
					if k % 3 > 0 or m:try_lock() then
						if k % 3 > 0 then m:lock() end
						assert(inside:add(1) == 1, "two at once")
						if k % 50 == 0 then vai.yield() end
						inside:add(-1)
						done:add(1)
						m:unlock()
					end
				end
			end)
		end
		wg:wait()
		assert(done:get() >= 10 * (n - n // 3))
		check.eq(m:try_lock(), true)
	]])

	test("used wrongly raises, and is as it was", [[
		local m, rw = vai.mutex(), vai.rwmutex()
		local wrong = {
			function() m:unlock() end,
			function() m:lock() m:unlock() m:unlock() end,
			function() rw:unlock() end,
			function() rw:lock() rw:unlock() rw:unlock() end,
			function() rw:runlock() end,
			function() rw:rlock() rw:runlock() rw:runlock() end,
			function() rw:rlock() rw:unlock() end,
			function() rw:lock() rw:runlock() end,
		}
		for i, f in ipairs(wrong) do
			check.raises("unlock of unlocked", f)
			if i == 7 then rw:runlock() elseif i == 8 then rw:unlock() end
			check.eq(m:try_lock(), true)
			check.eq(rw:try_lock(), true)
			m:unlock()
			rw:unlock()
		end
	]])

	-- The hog is main, which takes it again as soon as it has let go.
	test("goes to who has waited for a millisecond with the hog's next unlock", [[
		local m, taken = vai.mutex(), vai.atomic()
		for round = 1, 20 do
			m:lock()
			local waiter = task(function() m:lock() taken:set(round) m:unlock() end)
			local t = vai.now()
			repeat vai.sleep(0.0005) until vai.now() > t + 0.0015
			m:unlock()
			m:lock() -- behind the waiter
			check.eq(taken:get(), round)
			m:unlock()
			joined(waiter)
		end
	]])

	test("serves ten who have waited before the hog gets it again", [[
		local m, order = vai.mutex(), chan(20)
		m:lock()
		local waiters = {}
		local go_on = chan() -- until then the first one has it
		for i = 1, 10 do
			waiters[i] = task(function()
				m:lock()
				go_on:recv()
				order:send(i)
				m:unlock()
			end)
		end
		local t = vai.now()
		repeat vai.sleep(0.0005) until vai.now() > t + 0.0015
		m:unlock()
		check.eq(m:try_lock(), false)
		vai.timer(0.01, go_on.close, go_on)
		m:lock()
		order:send("hog")
		m:unlock()
		for i = 1, 10 do check.eq(order:recv(), i) end
		check.eq(order:recv(), "hog")
		for i = 1, 10 do joined(waiters[i]) end
	]])
end)

describe("an rwmutex", function()
	test("under the hammer has one writer or any readers", [[
		for _, case in ipairs { { 1, 1 }, { 1, 3 }, { 3, 1 }, { 5, 5 } } do
			local rw, active, wg = vai.rwmutex(), vai.atomic(), waitgroup()
			local n = check.scaled(400)
			for _ = 1, case[1] do
				wg:go(function()
					for i = 1, n do
						rw:rlock()
						local a = active:add(1)
						assert(a >= 1 and a < 10000, "a reader beside a writer")
						if i % 20 == 0 then vai.yield() end
						active:add(-1)
						rw:runlock()
					end
				end)
			end
			for _ = 1, case[2] do
				wg:go(function()
					for i = 1, n do
						rw:lock()
						assert(active:add(10000) == 10000, "a writer beside others")
						if i % 20 == 0 then vai.yield() end
						active:add(-10000)
						rw:unlock()
					end
				end)
			end
			wg:wait()
		end
	]])

	test("has readers in parallel", [[
		for _, n in ipairs { 1, 3, 10 } do
			local rw, inside, leave, wg = vai.rwmutex(), chan(n), chan(), waitgroup()
			for _ = 1, n do
				wg:go(function()
					rw:rlock()
					inside:send(true)
					leave:recv()
					rw:runlock()
				end)
			end
			for _ = 1, n do inside:recv() end
			leave:close()
			wg:wait()
		end
	]])

	test("is tried", [[
		local rw = vai.rwmutex()
		check.eq(rw:try_lock(), true)
		check.eq(rw:try_lock(), false)
		check.eq(rw:try_rlock(), false)
		rw:unlock()
		check.eq(rw:try_rlock(), true)
		check.eq(rw:try_rlock(), true)
		check.eq(rw:try_lock(), false)
		local writer = task(function() rw:lock() rw:unlock() end)
		check.eq(rw:try_rlock(), false)
		rw:runlock()
		rw:runlock()
		joined(writer)
		check.eq(rw:try_lock(), true)
	]])

	-- Each reader lets the next one in before it leaves.
	test("lets a writer in between readers who are never all gone", [[
		local rw, over, readers = vai.rwmutex(), vai.atomic(), vai.atomic()
		local ended = waitgroup()
		local function reader(before)
			rw:rlock()
			readers:add(1)
			if over:get() == 0 then ended:go(reader) vai.yield() end
			rw:runlock()
		end
		ended:go(reader)
		for _ = 1, 20 do
			rw:lock()
			check.eq(rw:try_rlock(), false)
			rw:unlock()
			vai.yield()
		end
		over:set(1)
		ended:wait()
	]])
end)

describe("a cond", function()
	test("wakes as many as were signaled", [[
		local m = vai.mutex()
		local c, awake, n = vai.cond(m), chan(10), 5
		local waiters = {}
		m:lock()
		for i = 1, n do
			waiters[i] = vai.async(function() m:lock() c:wait() awake:send(i) m:unlock() end)
		end
		m:unlock()
		for i = 1, n do check.waiting(waiters[i]) end
		m:lock() m:unlock()
		for i = 1, n do
			check.until_true(function() return waiters[i]:status() ~= "runnable" end)
		end
		check.returns(table.pack(awake:try_recv()), nil, "empty")
		local seen = {}
		for i = 1, n do
			m:lock()
			c:signal()
			m:unlock()
			local k = awake:recv()
			assert(not seen[k])
			seen[k] = true
			check.returns(table.pack(awake:try_recv()), nil, "empty")
		end
		c:signal()
	]])

	test("wakes in the order in which they came", [[
		local m = vai.mutex()
		local c, awake, running = vai.cond(m), chan(100), chan(100)
		local n = 100
		for i = 1, n do
			go(function()
				m:lock()
				running:send(true)
				c:wait()
				awake:send(i)
				m:unlock()
			end)
			running:recv()
			m:lock() m:unlock() -- it waits
			if i > 1 then
				local k = awake:try_recv()
				assert(not k, k)
			end
		end
		for i = 1, n do
			m:lock()
			c:signal()
			m:unlock()
			check.eq(awake:recv(), i)
		end
	]])

	test("broadcasts to all, over and over", [[
		local m = vai.mutex()
		local c, n = vai.cond(m), 40
		local running, awake, exit = chan(n), chan(n), false
		local over, wg = vai.atomic(), waitgroup()
		for i = 1, n do
			wg:go(function()
				m:lock()
				while over:get() == 0 do
					running:send(i)
					c:wait()
					awake:send(i)
				end
				m:unlock()
			end)
		end
		for round = 1, 20 do
			for _ = 1, n do running:recv() end
			m:lock()
			if round == 20 then over:set(1) end
			check.returns(table.pack(awake:try_recv()), nil, "empty")
			c:broadcast()
			m:unlock()
			local seen, count = {}, 0
			for _ = 1, n do
				local g = awake:recv()
				assert(not seen[g])
				seen[g] = true
			end
		end
		wg:wait()
		c:broadcast()
	]])

	test("gives a broadcast to who waits already, not to who comes meanwhile", [[
		for _ = 1, check.scaled(300) do
			local m, ch = vai.mutex(), chan()
			local c, done = vai.cond(m), vai.atomic()
			go(function() m:lock() ch:send(1) c:wait() m:unlock() ch:send(2) end)
			ch:recv()
			m:lock() m:unlock() -- it waits
			go(function() c:broadcast() end)
			local other = vai.async(function()
				m:lock()
				while done:get() == 0 do c:wait() end
				m:unlock()
			end)
			check.eq(ch:recv(30), 2)
			m:lock()
			done:set(1)
			m:unlock()
			c:broadcast()
			joined(other)
		end
	]])

	test("passes a word on among three", [[
		local m = vai.mutex()
		local c, x, done = vai.cond(m), vai.atomic(), chan(3)
		go(function() m:with(function() x:set(1) c:wait() assert(x:get() == 2) x:set(3) c:signal() end) done:send(1) end)
		go(function()
			while true do
				local out
				m:lock()
				if x:get() == 1 then x:set(2) c:signal() out = true end
				m:unlock()
				if out then break end
				vai.yield()
			end
			done:send(2)
		end)
		go(function()
			while true do
				local out
				m:lock()
				if x:get() == 2 then c:wait() assert(x:get() == 3) out = true elseif x:get() == 3 then out = true end
				m:unlock()
				if out then break end
				vai.yield()
			end
			done:send(3)
		end)
		for _ = 1, 3 do assert(done:recv(30)) end
	]])
end)

describe("a once", function()
	test("runs its function once for all who call at the same time, and nobody goes on before", [[
		for _ = 1, 100 do
			local once, n, ready, wg = vai.once(), vai.atomic(), vai.atomic(), waitgroup()
			for _ = 1, 10 do
				wg:go(function()
					once:call(function() n:add(1) vai.yield() ready:set(1) end)
					check.eq(ready:get(), 1)
				end)
			end
			wg:wait()
			check.eq(n:get(), 1)
		end
	]])

	test("with an error is done: one caller gets it, the function is not called again", [[
		local once, n, failed, wg = vai.once(), vai.atomic(), vai.atomic(), waitgroup()
		for _ = 1, 20 do
			wg:go(function()
				local ok, err = pcall(once.call, once, function() n:add(1) vai.yield() error("broken", 0) end)
				if not ok then check.eq(err, "broken") failed:add(1) end
			end)
		end
		wg:wait()
		check.eq(n:get(), 1)
		check.eq(failed:get(), 1)
		check.eq(once:call(error), false)
	]])

	test("of a value gives its error to all, each time", [[
		local n, wg = vai.atomic(), waitgroup()
		local value = vai.once_value(function() n:add(1) vai.yield() error({ code = 7 }) end)
		for _ = 1, 20 do
			wg:go(function()
				for _ = 1, 2 do
					local ok, err = pcall(value)
					assert(not ok and err.code == 7)
				end
			end)
		end
		wg:wait()
		check.eq(n:get(), 1)
	]])
end)

describe("a weighted semaphore", function()
	test("is tried", [[
		local s = vai.semaphore(2)
		local got = {}
		got[1] = s:try_acquire(1)
		got[2] = s:try_acquire(2)
		s:release(1)
		got[3] = s:try_acquire(2)
		got[4] = s:try_acquire(1)
		s:release(2)
		got[5] = s:try_acquire(0)
		check.same(got, { true, false, true, false, true })
		check.raises("", s.release, s, 1)
		check.raises("", s.acquire, s, 3)
	]])

	test("gives what is asked for to those who ask under a context, none to one that is done", [[
		local s = vai.semaphore(2)
		local ctx, cancel = vai.context():with_cancel()
		check.eq(s:acquire(1, ctx), true)
		check.eq(s:acquire(1, ctx), true)
		local third = task(function() return s:acquire(1, ctx) end)
		cancel()
		joined(third, nil, "canceled")
		s:release(2)
		check.returns(table.pack(s:acquire(1, ctx)), nil, "canceled")
		check.eq(s:try_acquire(2), true)
	]])

	test("does not starve a large request beside many small ones", [[
		local n = 4
		local s, over, wg = vai.semaphore(n), vai.atomic(), waitgroup()
		for _ = 1, n do
			wg:go(function()
				s:acquire(1)
				while over:get() == 0 do
					vai.yield()
					s:release(1)
					s:acquire(1)
				end
				s:release(1)
			end)
		end
		for _ = 1, 10 do
			s:acquire(n)
			s:release(n)
		end
		over:set(1)
		wg:wait()
		check.eq(s:try_acquire(n), true)
	]])

	test("is first come, first served, whatever is asked for", [[
		local s, order = vai.semaphore(10), chan(60)
		s:acquire(10)
		local waiters = {}
		for i = 1, 50 do waiters[i] = task(function() s:acquire(i % 10 + 1) order:send(i) end) end
		for i = 1, 50 do
			local k = i % 10 + 1
			s:release(k)
			check.eq(order:recv(), i)
			if i < 50 then check.returns(table.pack(order:try_recv()), nil, "empty") end
		end
	]])

	test("under the hammer never gives more than it has", [[
		local size, loops, wg = 8, check.scaled(1000), waitgroup()
		local s, used = vai.semaphore(size), vai.atomic()
		for i = 1, 16 do
			wg:go(function()
				for k = 1, loops do
					local n = (i + k) % size + 1
					s:acquire(n)
					assert(used:add(n) <= size)
					if k % 40 == 0 then vai.yield() end
					used:add(-n)
					s:release(n)
				end
			end)
		end
		wg:wait()
		check.eq(s:try_acquire(size), true)
	]])
end)

describe("contexts", function()
	test("know why they ended: their own cause, that of who ended them, or that time was over", [[
		local root = vai.context()
		local a, cancel_a = root:with_cancel()
		local b, cancel_b = a:with_value("k", 1):with_cancel()
		cancel_b("child")
		cancel_a("parent")
		check.eq(a:cause(), "parent")
		check.eq(b:cause(), "child")
		a, cancel_a = root:with_cancel()
		b, cancel_b = a:with_cancel()
		cancel_a("parent")
		cancel_b("child")
		check.eq(b:cause(), "parent")
		check.eq(b:err(), "canceled")
		a, cancel_a = root:with_timeout(0)
		cancel_a("late")
		check.eq(a:cause(), "deadline exceeded")
		a, cancel_a = root:with_timeout(1000)
		cancel_a("early")
		check.eq(a:cause(), "early")
		check.eq(a:err(), "canceled")
		a, cancel_a = root:with_cancel()
		cancel_a(nil)
		check.eq(a:cause(), "canceled")
		cancel_a("again")
		check.eq(a:cause(), "canceled")
		b = a:with_timeout(5)
		check.eq(b:err(), "canceled")
	]])

	test("ended by many at once are ended once", [[
		local root, cancel_root = vai.context():with_cancel()
		local list, wg, calls = {}, waitgroup(), vai.atomic()
		for i = 1, 100 do
			local parent = i > 10 and list[math.random(i - 1)].ctx or root
			local ctx, cancel = parent:with_cancel()
			if i % 3 == 0 then ctx = ctx:with_value(i, i) elseif i % 3 == 1 then ctx = (ctx:with_timeout(1000)) end
			ctx:after(function() calls:add(1) end)
			list[i] = { ctx = ctx, cancel = cancel }
		end
		for i = 1, 100 do
			wg:go(list[i].cancel, i)
			if i % 30 == 0 then wg:go(cancel_root, "root") end
		end
		wg:wait()
		for i = 1, 100 do
			check.returns(table.pack(list[i].ctx:done():recv(0)), nil, "closed")
			check.eq(list[i].ctx:err(), "canceled")
			check.eq(list[i].ctx:cause() ~= nil, true)
		end
		check.until_true(function() return calls:get() == 100 end)
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("of one another, ended in both orders at once", [[
		for i = 1, 200 do
			local parent, cancel_parent = vai.context():with_cancel()
			local child, cancel_child = parent:with_cancel()
			local a, b = go(cancel_parent, "p"), go(cancel_child, "c")
			check.returns(table.pack(child:done():recv()), nil, "closed")
			a:join() b:join()
			check.eq(parent:cause(), "p")
			assert(child:cause() == "p" or child:cause() == "c")
		end
	]])

	test("in layers: values shine through, and an end in the middle ends what is below", [[
		local ctx, list = vai.context(), {}
		math.randomseed(7)
		for i = 1, 60 do
			local kind, cancel = math.random(3), nil
			if kind == 1 then ctx, cancel = ctx:with_cancel()
			elseif kind == 2 then ctx, cancel = ctx:with_timeout(1000 + i)
			else ctx = ctx:with_value("v" .. i, i) end
			list[i] = { ctx = ctx, cancel = cancel, value = not cancel }
		end
		for i, l in ipairs(list) do
			if l.value then
				check.eq(ctx:value("v" .. i), i)
				if i > 1 then check.eq(list[i - 1].ctx:value("v" .. i), nil) end
			end
		end
		local middle = 30
		while not list[middle].cancel do middle = middle + 1 end
		list[middle].cancel("middle")
		for i, l in ipairs(list) do
			check.eq(l.ctx:err(), i >= middle and "canceled" or nil)
			check.eq(l.ctx:cause(), i >= middle and "middle" or nil)
		end
	]])

	test("call what waits for their end once, each in a goroutine of its own, unless it was stopped first", [[
		for round = 1, 100 do
			local ctx, cancel = vai.context():with_cancel()
			local calls, ids = vai.atomic(), vai.map()
			local child = ctx:with_cancel()
			for i = 1, 4 do child:after(function() ids:set(vai.id(), true) calls:add(1) end) end
			local stop = child:after(function() calls:add(100) end)
			local stopper = vai.async(function() return stop() end)
			if round % 2 == 0 then vai.yield() end
			cancel()
			local _, stopped = stopper:join()
			check.until_true(function() return calls:get() == (stopped and 4 or 104) end)
			check.eq(#ids, 4)
			check.eq(stop(), false)
		end
	]])

	test("do not wait for what is called at their end", [[
		local ctx, cancel = vai.context():with_cancel()
		local gate, done = chan(), chan(1)
		ctx:after(function() gate:recv() done:send(true) end)
		cancel()
		check.eq(ctx:err(), "canceled")
		gate:send(true)
		check.eq(done:recv(), true)
	]])
end)

describe("a group", function()
	test("keeps the first error of many, whoever has it", [[
		for _, case in ipairs { {}, { false }, { "one" }, { false, "one" }, { "one", false, "two" }, { false, false } } do
			local g, first = vai.group(), nil
			for _, e in ipairs(case) do
				local t = g:go(function() if e then error(e, 0) end end)
				t:join()
				first = first or e or nil
			end
			local ok, err = g:wait()
			check.eq(ok, not first and true or nil)
			check.eq(err, first)
		end
	]])

	test("ends its context with the first error as its cause, and with wait without any", [[
		local g = vai.group()
		local ctx = g:context()
		g:go(function() ctx:done():recv() end)
		g:go(error, { "why" })
		local _, err = g:wait()
		check.eq(err[1], "why")
		check.eq(ctx:err(), "canceled")
		check.eq(ctx:cause()[1], "why")
		g = vai.group()
		ctx = g:context()
		g:go(math.abs, 1)
		local derived = ctx:with_timeout(1000)
		check.eq(g:wait(derived), true)
		check.eq(ctx:err(), "canceled")
		check.eq(derived:cause(), "canceled")
		check.eq(g:wait(), true)
	]])

	test("has no more children at once than its limit, and tries in vain beyond", [[
		local g, active, most = vai.group(), vai.atomic(), vai.atomic()
		g:limit(3)
		for _ = 1, 200 do
			g:go(function()
				local n = active:add(1)
				assert(n <= 3)
				if n > most:get() then most:set(n) end
				vai.yield()
				active:add(-1)
			end)
		end
		check.eq(g:wait(), true)
		g = vai.group()
		g:limit(2)
		local gate = chan()
		for i = 1, 2 do assert(g:try_go(function() gate:recv() end)) end
		for i = 1, 5 do check.returns(table.pack(g:try_go(math.abs, 1)), nil, "full") end
		g:limit(3)
		local t = assert(g:try_go(math.abs, -5))
		joined(t, 5)
		gate:close()
		check.eq(g:wait(), true)
	]])
end)

describe("the shared map", function()
	test("does what a table under a lock does, whatever the order", [[
		math.randomseed(11)
		local m, t = vai.map(), {}
		for i = 1, check.scaled(20000) do
			local k, v, op = "k" .. math.random(40), math.random(5), math.random(6)
			if op == 1 then check.eq(m:get(k), t[k])
			elseif op == 2 then m:set(k, v) t[k] = v
			elseif op == 3 then check.eq(m:delete(k), t[k]) t[k] = nil
			elseif op == 4 then
				local old = math.random(3) > 1 and t[k] or math.random(5)
				check.eq(m:cas(k, old, v), t[k] == old)
				if t[k] == old then t[k] = v end
			elseif op == 5 then
				t[k] = (t[k] or 0) + v
				check.eq(m:add(k, v), t[k])
			else
				local new = (t[k] or 0) * 2 % 7
				check.eq(m:update(k, function(old) return (old or 0) * 2 % 7 end), new)
				t[k] = new
			end
		end
		local n = 0
		for k, v in pairs(t) do n = n + 1 check.eq(m:get(k), v) end
		check.eq(#m, n)
	]])

	test("is walked while it is written: each key once, and what nobody touches is there", [[
		local m, over, wg = vai.map(), vai.atomic(), waitgroup()
		for i = 1, 500 do m:set(i, i) end
		for w = 1, 4 do
			wg:go(function()
				while over:get() == 0 do
					for i = w, 500, 4 do if i % 5 > 0 then m:set(i, i) end end
					for i = 1000 * w, 1000 * w + 50 do m:set(i, i) m:delete(i) end
				end
			end)
		end
		for _ = 1, 10 do
			local seen, n = {}, 0
			for k, v in pairs(m) do
				assert(not seen[k], "twice")
				seen[k] = true
				check.eq(v, k)
			end
			for i = 1, 500 do assert(seen[i], "missed") end
			vai.yield()
		end
		over:set(1)
		wg:wait()
	]])

	test("compares and swaps: one of many wins", [[
		local m = vai.map()
		check.eq(m:cas("absent", 1, 2), false)
		check.eq(m:get("absent"), nil)
		for round = 1, 200 do
			local wins, wg = vai.atomic(), waitgroup()
			for i = 1, 8 do wg:go(function() if m:cas("k", round > 1 and round - 1 or nil, round) then wins:add(1) end end) end
			wg:wait()
			check.eq(wins:get(), 1)
			check.eq(m:get("k"), round)
		end
	]])
end)
