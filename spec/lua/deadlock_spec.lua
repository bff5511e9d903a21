-- SPDX-License-Identifier: MIT
-- Programs in which nothing can ever happen again, which must be told so at once, and programs that only
-- look like it, which must not. Made from tables: ways to wait by places to wait in, or by what wakes; and some
-- that fit no table. Of the products of two tables a sample is run: with each number of processors every row
-- and every column at least once, each time in other pairs.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

local head = [[local vai = require "vai"; local go, chan, waitgroup, select = vai.go, vai.chan, vai.waitgroup, vai.select; ]]
	.. [[local slowness = tonumber(os.getenv "VAI_SPEC_SLOWNESS"); local function scaled(n) return n // slowness end; ]]

-- ---- deadlocks ----

-- A report that does not come is a program that hangs: its time is over.
local stuck = head .. [[
local function is_deadlock(ok, err)
	assert(not ok, "no deadlock")
	assert(tostring(err):find("all goroutines are asleep - deadlock!", 1, true), err)
	assert(tostring(err):find("goroutine 1 [", 1, true), err)
end
is_deadlock(pcall(function()
%s
end))
local c = chan() -- all goes on
go(function() c:send(42) end)
assert(c:recv() == 42)
go(function() vai.sleep(0.001) c:send(43) end)
assert(c:recv() == 43)
is_deadlock(pcall(c.recv, c))
print "good"
]]

-- What main, or somebody, waits for in vain.
local waits = {
	{ "receive", "local c = chan()", "c:recv()" },
	{ "receive, buffered", "local c = chan(3)", "c:recv()" },
	{ "send", "local c = chan()", "c:send(1)" },
	{ "send, full", "local c = chan(1) c:send(0)", "c:send(1)" },
	{ "range", "local c = chan(1) c:send(0)", "for _ in c do end" },
	{ "select to receive", "local c, d = chan(), chan()", "select { c, d }" },
	{ "select to send", "local c = chan()", "select { { c, 1 }, false }" },
	{ "select with itself", "local c = chan()", "select { c, { c, 1 } }" },
	{ "select of false", "", "select { false, false }" },
	{ "select of nothing", "", "select {}" },
	{ "wait group", "local wg = waitgroup() wg:add(2) wg:done()", "wg:wait()" },
	{ "join", "local c = chan() local t = vai.async(function() c:recv() end)", "t:join()" },
	{ "ticker that was stopped", "local t = vai.ticker(0.001) t:stop() local c = t:chan() c:try_recv()", "c:recv()" },
	{ "after, for the second time", "local c = vai.after(0.001) c:recv()", "c:recv()" },
	{ "timer that was stopped",
		"local c = chan() local t = vai.timer(0.05, function() c:send(1) end) assert(t:stop())", "c:recv()" },
}

-- Where it waits.
local places = {
	{ "main", "%s %s" },
	{ "a coroutine", "%s coroutine.wrap(function() %s end)()" },
	{ "a coroutine in a coroutine",
		"%s coroutine.wrap(function() return coroutine.wrap(function() %s end)() end)()" },
	{ "a pcall", "%s local ok, err = pcall(function() %s end) assert(not ok) error(err, 0)" },
	{ "a metamethod", "%s return setmetatable({}, { __index = function() %s end }).x" },
	{ "a comparator", "%s table.sort({ 2, 1 }, function() %s end)" },
	{ "a gsub callback", "%s; ('x'):gsub('.', function() %s end)" },
	{ "a __close", "%s do local _ <close> = setmetatable({}, { __close = function() %s end }) end" },
	{ "a message handler",
		"%s local _, e xpcall(error, function() _, e = pcall(function() %s end) end) error(e, 0)" },
	{ "a module", "%s package.preload.m = function() %s end require 'm'" },
	{ "a goroutine that main joins", "%s vai.async(function() %s end):join()" },
	{ "a goroutine's coroutine", "%s local wg = waitgroup() "
		.. "wg:go(function() coroutine.wrap(function() %s end)() end) wg:wait()" },
	{ "a goroutine's goroutine", "%s local e = chan() "
		.. "go(function() go(function() vai.yield() %s e:send(1) end) end) e:recv()" },
	{ "a goroutine's finalizer", "%s local e = chan() go(function() "
		.. "setmetatable({}, { __gc = function() %s e:send(1) end }) collectgarbage() end) e:recv()" },
}

-- The rest. What they do before `` must leave nothing that could ever wake anybody.
local others = {
	{ "two that join each other", [[
		local a, b = chan(1), chan(1)
		local t = vai.async(function() local o = b:recv() a:send(1) o:join() end)
		local u = vai.async(function() a:recv() t:join() end)
		b:send(u) u:join()]] },
	{ "a ring of ten", [[
		local first = chan()
		local left = first
		for _ = 1, 10 do
			local right = chan()
			go(function() right:send(left:recv()) end)
			left = right
		end
		first:send(left:recv())]] },
	{ "each wants the other to begin", [[
		local a, b, wg = chan(), chan(), waitgroup()
		wg:go(function() a:recv() b:send(1) end)
		wg:go(function() b:recv() a:send(1) end)
		wg:wait()]] },
	{ "philosophers", [[
		local forks, ready, all, wg = {}, chan(), chan(), waitgroup()
		for i = 1, 5 do forks[i] = chan(1) forks[i]:send(1) end
		for i = 1, 5 do
			local left, right = forks[i], forks[i %% 5 + 1]
			wg:go(function() left:recv() ready:send(1) all:recv() right:recv() end)
		end
		for _ = 1, 5 do ready:recv() end
		for _ = 1, 5 do all:send(1) end
		wg:wait()]] },
	{ "a mutex taken twice", "local m = chan(1) m:send(1) m:send(1)" },
	{ "a semaphore whose last owner waits for it", [[
		local sem, wg = chan(3), waitgroup()
		for _ = 1, 3 do wg:go(function() sem:send(1) if #sem == 3 then sem:send(1) end sem:send(1) end) end
		wg:wait()]] },
	{ "a barrier for one more than come", [[
		local arrive, leave, wg = chan(), chan(), waitgroup()
		for _ = 1, 9 do wg:go(function() arrive:send(1) leave:recv() end) end
		for _ = 1, 10 do arrive:recv() end]] },
	{ "a consumer that has had enough", [[
		local c, wg = chan(), waitgroup()
		wg:go(function() for i = 1, 10 do c:send(i) end end)
		for _ = 1, 9 do c:recv() end
		wg:wait()]] },
	{ "a channel that nobody closes", [[
		local c, wg = chan(), waitgroup()
		for i = 1, 5 do wg:go(function() c:send(i) end) end
		for _ in c do end]] },
	{ "a pipeline whose end is not read", [[
		local a, b, c, wg = chan(), chan(), chan(), waitgroup()
		wg:go(function() for v in a do b:send(v) end b:close() end)
		wg:go(function() for v in b do c:send(v) end c:close() end)
		a:send(1) a:send(2) a:send(3) a:close() wg:wait()]] },
	{ "a wait group that is one too high", [[
		local wg = waitgroup()
		for _ = 1, 10 do wg:add(1) go(function() wg:done() end) end
		wg:add(1) wg:wait()]] },
	{ "a goroutine that fails before done", [[
		local wg = waitgroup()
		wg:add(1)
		local t = vai.async(function() error("x") wg:done() end)
		t:join() wg:wait()]] },
	{ "a closed channel is drained, another waited for", [[
		local c, d = chan(3), chan()
		c:send(1) c:close()
		for _ in c do end
		select { d, false }]] },
	{ "after a timeout", "local c = chan() c:recv(0.01) select { c, timeout = 0.01 } c:recv()" },
	{ "after a timeout of another", [[
		local c, wg = chan(), waitgroup()
		wg:go(function() assert(not c:recv(0.02)) end)
		wg:wait() wg:add(1) wg:wait()]] },
	{ "after sleepers", [[
		local c = chan()
		for _ = 1, 10 do go(function() vai.sleep(0.01) c:recv() end) end
		vai.sleep(0.03) c:send(1) for _ = 1, 10 do c:send(1) end]] },
	{ "main waits first, the others sleep before they do", [[
		local c = chan()
		for i = 1, 5 do go(function() vai.sleep(i / 100) c:recv() end) end
		select {}]] },
	{ "after timers", [[
		local wg = waitgroup()
		wg:add(5)
		for i = 1, 5 do vai.timer(i / 1000, function() wg:done() end) end
		wg:wait() wg:add(1) wg:wait()]] },
	{ "a timer's goroutine waits", [[
		local c, d = chan(), chan()
		vai.timer(0.01, function() d:recv() c:send(1) end)
		c:recv()]] },
	{ "after a ticker", [[
		local t = vai.ticker(0.002)
		for _ = 1, 3 do t:chan():recv() end
		t:stop() t:chan():try_recv() t:chan():recv()]] },
	{ "a ticker that nobody holds", [[
		vai.ticker(0.001)
		collectgarbage() collectgarbage()
		chan():recv()]] },
	{ "a ticker that is held, but not waited for", [[
		local t = vai.ticker(0.001)
		t:chan():recv() chan():recv() t:stop()]] },
	{ "a slow ticker that is held, but not waited for", "local t = vai.ticker(1000) chan():recv() t:stop()" },
	{ "an after channel that is held, but not waited for", "local a = vai.after(1000) chan():recv() a:recv()" },
	{ "what timeouts leave", [[
		local c = chan(1)
		for _ = 1, scaled(20000) do c:send(1) select { c, vai.after(1000) } end
		c:recv()]] },
	{ "a ticker that another waits for is stopped", [[
		local t, ready = vai.ticker(0.01), chan()
		go(function() t:chan():recv() ready:send(1) t:chan():recv() end)
		ready:recv() t:stop() t:chan():try_recv() ready:recv()]] },
	{ "a ticker's last receiver has left", [[
		local t, c, ready = vai.ticker(0.005), chan(), chan()
		go(function() select { t:chan(), c } ready:send(1) c:recv() t:stop() end)
		ready:recv() ready:recv()]] },
	{ "a timer that was reset and has fired", [[
		local c = chan(2)
		local t = vai.timer(1000, function() c:send(1) end)
		t:reset(0.01) c:recv() c:recv()]] },
	{ "after a hundred thousand goroutines", [[
		local wg = waitgroup()
		for _ = 1, scaled(100000) do wg:go(function() end) end
		wg:wait() chan():recv()]] },
	{ "a thousand that wait", [[
		local c, wg = chan(), waitgroup()
		for _ = 1, scaled(1000) do wg:go(function() c:recv() end) end
		wg:wait()]] },
	{ "ten times", [[
		local c = chan()
		go(function() c:recv() c:recv() end)
		for _ = 1, 9 do is_deadlock(pcall(select, {})) end
		c:send(1) is_deadlock(pcall(select, {}))
		c:send(1) c:send(1)]] },
	{ "the channels are as they were", [[
		local c, d = chan(2), chan()
		c:send(1) c:send(2)
		local t = vai.async(function() c:send(3) return d:recv() end)
		is_deadlock(pcall(c.send, c, 4))
		assert(#c == 2 and c:recv() == 1 and c:recv() == 2 and c:recv() == 3 and #c == 0)
		d:send("x")
		assert(({ t:join() })[2] == "x")
		c:recv()]] },
	{ "a select leaves its channels as they were", [[
		local c, d = chan(), chan(1)
		d:send(1)
		is_deadlock(pcall(select, { c, { c, 2 }, { d, 3 } }))
		assert(c:try_recv() == nil and not c:try_send(1) and #d == 1 and d:recv() == 1)
		d:recv()]] },
	{ "maxprocs goes up", [[
		vai.maxprocs(16)
		local wg = waitgroup()
		for _ = 1, 50 do wg:go(function() for _ = 1, 1000 do end end) end
		wg:wait() wg:add(1) wg:wait()]] },
	{ "maxprocs goes down", [[
		vai.maxprocs(8)
		local wg = waitgroup()
		for _ = 1, 50 do wg:go(function() for _ = 1, 1000 do end end) end
		wg:wait() vai.maxprocs(1) chan():recv()]] },
	{ "maxprocs goes down while a goroutine waits", [[
		local c, d = chan(), chan()
		vai.maxprocs(8)
		for _ = 1, 8 do go(function() c:send(1) d:recv() end) end
		for _ = 1, 8 do c:recv() end
		vai.maxprocs(2) vai.maxprocs(1) c:recv()]] },
	{ "after a command", [[
		local wg = waitgroup()
		wg:go(function() os.execute("sleep 0.05") end)
		wg:wait() wg:add(1) wg:wait()]] },
	{ "main waits while a command runs whose goroutine waits then", [[
		go(function() os.execute("sleep 0.05") select {} end)
		select {}]] },
	{ "main waits while pipes are read", [[
		local c = chan()
		for _ = 1, 3 do go(function()
			local p = io.popen("sleep 0.05; echo x")
			assert(p:read("l") == "x") p:close() c:recv()
		end) end
		c:recv()]] },
	{ "after goroutines that compute", [[
		local c = chan()
		for _ = 1, 4 do go(function()
			local till = vai.now() + 0.03
			while vai.now() < till do end
			c:recv()
		end) end
		c:recv()]] },
	{ "after yields", [[
		local c = chan()
		for _ = 1, 8 do go(function() for _ = 1, 100 do vai.yield() end c:recv() end) end
		c:recv()]] },
	{ "a chain of fifty", [[
		local c = chan()
		local function down(n)
			if n == 0 then c:recv() else vai.async(down, n - 1):join() end
		end
		down(50)]] },
	{ "a goroutine that was preempted", [[
		local c = chan()
		go(function() for _ = 1, 20000000 // slowness do end c:recv() end)
		go(function() for _ = 1, 20000000 // slowness do end c:recv() end)
		c:recv()]] },
	{ "a caught error before", [[
		local c = chan()
		c:close()
		assert(not pcall(c.send, c, 1))
		chan():send(1)]] },
	{ "a large select", [[
		local list = {}
		for i = 1, 100 do list[i] = i %% 2 == 0 and chan() or { chan(), i } end
		select(list)]] },
	{ "in a for loop's iterator", "local c = chan() for _ in function() return c:recv() end do end" },
	{ "a message of which a copy fails", [[
		local c, d = chan(), chan()
		local t = vai.async(function() return pcall(c.send, c, coroutine.create(print)) end)
		assert(t:join()) d:recv()]] },
	{ "a load chunk", "local c = chan() load('local c = ... c:recv()')(c)" },
	{ "a to-be-closed variable after an error", [[
		local c, caught = chan(), nil
		pcall(function()
			local _ <close> = setmetatable({}, { __close = function() caught = table.pack(pcall(c.recv, c)) end })
			error "x"
		end)
		error(caught[2], 0)]] },
}

-- ---- what only looks like one ----

-- What main waits for: before, the wait, what ends it.
local ways = {
	{ "receive", "local c = chan()", "assert(c:recv() == 1)", "c:send(1)" },
	{ "send", "local c = chan()", "c:send(1)", "c:recv()" },
	{ "range", "local c = chan(1) c:send(1)", "for _ in c do end", "c:close()" },
	{ "select", "local c, d = chan(), chan()", "assert(select { { d, 1 }, c, false } == 2)", "c:send(1)" },
	{ "wait group", "local c = waitgroup() c:add(1)", "c:wait()", "c:done()" },
	{ "coroutine", "local c = chan()", "coroutine.wrap(function() c:recv() end)()", "c:send(1)" },
}

-- What wakes main: a program around the wait and its end.
local wakers = {
	{ "a sleeper", "go(function() vai.sleep(0.02) END end) WAIT" },
	{ "the last of ten sleepers", "for i = 1, 10 do go(function() vai.sleep(i / 500) if i == 10 then END end end) end WAIT" },
	{ "a timer", "vai.timer(0.02, function() END end) WAIT" },
	{ "a timer's goroutine's goroutine",
		"vai.timer(0.02, function() go(function() vai.yield() END end) end) WAIT" },
	{ "a timer that was reset", "local t = vai.timer(1000, function() END end) t:reset(0.02) WAIT" },
	{ "an after channel", "go(function() vai.after(0.02):recv() END end) WAIT" },
	{ "a select with an after channel", "go(function() select { chan(), vai.after(0.02) } END end) WAIT" },
	{ "a ticker", "local t = vai.ticker(0.01) go(function() t:chan():recv() t:chan():recv() END end) WAIT" },
	{ "a ticker's channel, the ticker being dropped",
		"local t = vai.ticker(0.01):chan() go(function() collectgarbage() t:recv() t:recv() END end) WAIT" },
	{ "a command", "go(function() os.execute('sleep 0.1') END end) WAIT" },
	{ "eight commands", "local wg = waitgroup() for _ = 1, 8 do wg:go(os.execute, 'sleep 0.05') end "
		.. "go(function() wg:wait() END end) WAIT" },
	{ "a pipe", "go(function() local p = io.popen('sleep 0.1; echo') p:read('l') p:close() END end) WAIT" },
	{ "one that computes", "go(function() for _ = 1, 5000000 // slowness do end END end) WAIT" },
	{ "two that compute, and wait for each other",
		"local e = chan() go(function() for _ = 1, 3000000 // slowness do end e:send(1) end) "
		.. "go(function() for _ = 1, 3000000 // slowness do end e:recv() END end) WAIT" },
	{ "a chain of spawns",
		"local function down(n) if n == 0 then END else go(down, n - 1) end end go(down, 100) WAIT" },
	{ "a chain of joins", "local function down(n) if n == 0 then vai.sleep(0.02) else vai.async(down, n - 1):join() "
		.. "end end go(function() down(20) END end) WAIT" },
	{ "a timeout of a receive", "go(function() assert(not chan():recv(0.02)) END end) WAIT" },
	{ "a timeout of a select", "go(function() select { chan(), timeout = 0.02 } END end) WAIT" },
	{ "one that yields", "go(function() for _ = 1, 10000 do vai.yield() end END end) WAIT" },
	{ "a sleeper in a coroutine", "go(function() coroutine.wrap(function() vai.sleep(0.02) END end)() end) WAIT" },
	{ "a sleeper in a finalizer", "go(function() setmetatable({}, { __gc = function() vai.sleep(0.02) END end }) "
		.. "collectgarbage() end) WAIT" },
	{ "a sleeper, after a deadlock", "is_deadlock(pcall(select, {})) go(function() vai.sleep(0.02) END end) WAIT" },
	{ "a sleeper, beside a hundred that wait for ever",
		"local e = chan() for _ = 1, 100 do go(function() e:recv() end) end go(function() vai.sleep(0.02) END end) WAIT" },
	{ "a sleeper, after maxprocs", "vai.maxprocs(4) go(function() vai.sleep(0.02) vai.maxprocs(1) vai.sleep(0.02) END end) WAIT" },
}

local lively = head .. [[
local function is_deadlock(ok) assert(not ok) end
%s
print "good"
]]

local lookalikes = {
	{ "main in a command while all wait", "local c = chan() go(function() c:recv() end) os.execute('sleep 0.1') c:send(1)" },
	{ "main reads a pipe while all wait", "local c = chan() go(function() c:recv() end) "
		.. "local p = io.popen('sleep 0.1; echo x') assert(p:read('l') == 'x') c:send(1)" },
	{ "main computes while all wait", "local c = chan() go(function() c:recv() end) "
		.. "for _ = 1, 20000000 // slowness do end c:send(1)" },
	{ "main sleeps while all wait", "local c = chan() go(function() c:recv() end) vai.sleep(0.05) c:send(1)" },
	{ "main sleeps alone", "vai.sleep(0.05)" },
	{ "main waits alone with a timeout", "assert(({ chan():recv(0.05) })[2] == 'timeout')" },
	{ "main selects nothing with a timeout", "assert(({ select { timeout = 0.05 } })[2] == 'timeout')" },
	{ "main waits for a ticker", "local t = vai.ticker(0.01) for _ = 1, 3 do t:chan():recv() end t:stop()" },
	{ "main waits for an after channel in a select", "assert(select { chan(), vai.after(0.03) } == 2)" },
	{ "main joins a sleeper", "assert(vai.async(vai.sleep, 0.03):join())" },
	{ "main joins with a timeout", "assert(({ vai.async(select, {}):join(0.03) })[2] == 'timeout')" },
	{ "main yields", "go(function() for _ = 1, 1000 do vai.yield() end end) for _ = 1, 1000 do vai.yield() end" },
	{ "a ping-pong between sleeps", "local a, b = chan(), chan() go(function() for v in a do vai.sleep(0.001) b:send(v) end end) "
		.. "for i = 1, 20 do a:send(i) assert(b:recv() == i) end" },
	{ "a command in each of two, one after the other", "local a, b = chan(), chan() "
		.. "go(function() os.execute('sleep 0.05') a:send(1) end) go(function() a:recv() os.execute('sleep 0.05') b:send(1) end) b:recv()" },
	{ "a ticker for another, while main waits", "local t, c = vai.ticker(0.005), chan() "
		.. "go(function() for _ = 1, 5 do t:chan():recv() end t:stop() c:send(1) end) c:recv()" },
	{ "a ticker that one of two selects waits for", "local t, c = vai.ticker(0.02), chan() for _ = 1, 100 do vai.after(1000) end "
		.. "go(function() select { chan(), t:chan() } c:send(1) end) select { c, chan() } t:stop()" },
	{ "a sleeper among what timeouts leave", "local c = chan(1) for _ = 1, scaled(20000) do c:send(1) select { c, vai.after(1000) } end "
		.. "go(function() vai.sleep(0.1) c:send(1) end) c:recv()" },
	{ "a ticker that is waited for now and then", "local t, c = vai.ticker(0.001), chan() go(function() for _ = 1, 20 do "
		.. "vai.sleep(0.002) t:chan():recv() end t:stop() c:send(1) end) c:recv()" },
	{ "sleepers that come and go", "local wg = waitgroup() for i = 1, 200 do wg:go(function() for _ = 1, 5 do "
		.. "vai.sleep(i %% 7 / 1000) end end) end wg:wait()" },
}

describe("a deadlock", function()
	local function define(name, word, source, procs)
		program.test(name, source, { raw = true, procs = procs, out = "good\n", word = word })
	end
	-- f(row, column) for a sample of the pairs, the same each time; or for all of them.
	local function sample(rows, columns, f)
		for i = 1, program.whole and #rows * #columns * #program.procs or 0 do
			f(rows[i % #rows + 1], columns[i // #rows % #columns + 1], program.procs[i // #rows // #columns % #program.procs + 1])
		end
		if program.whole then
			return
		end
		for k, procs in ipairs(program.procs) do
			for i = 0, math.max(#rows, #columns) - 1 do
				f(rows[(i + i // #rows * k) % #rows + 1], columns[(i + 5 * k) % #columns + 1], procs)
			end
		end
	end
	-- Each once, with one number of processors after the other.
	local function each(list, how, frame)
		for i, other in ipairs(list) do
			define(how .. other[1], other[1], frame:format(other[2]:format()), program.procs[i % #program.procs + 1])
		end
	end
	sample(waits, places, function(wait, place, procs)
		define(("is seen: %s in %s"):format(wait[1], place[1]), wait[1],
			stuck:format(place[2]:format(wait[2], wait[3])), procs)
	end)
	each(others, "is seen: ", stuck)
	sample(ways, wakers, function(way, waker, procs)
		local source = way[2] .. " " .. waker[2]:gsub("WAIT", way[3]):gsub("END", way[4])
		define(("is not: %s, ended by %s"):format(way[1], waker[1]), waker[1], lively:format(source), procs)
	end)
	each(lookalikes, "is not: ", lively)
end)
