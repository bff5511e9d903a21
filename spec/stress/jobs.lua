-- SPDX-License-Identifier: MIT
-- What the stress programs do: each job takes a seed, works with goroutines of its own and raises where a
-- sum is wrong. The same seed makes the same decisions, whatever the schedule.
local vai = require "vai"

local jobs = {}

-- Numbers of its own for each job: rand(n) is one of 1 .. n.
local function random(seed)
	local x = (seed * 2654435761 + 88172645463325252) & 0x7fffffffffffffff | 1
	return function(n)
		x = x ~ (x << 13)
		x = x ~ (x >> 7)
		x = x ~ (x << 17)
		return (x >> 11) % n + 1
	end
end
jobs.random = random

local function check(got, want, what)
	if got ~= want then
		error(("%s: got %s, want %s"):format(what, tostring(got), tostring(want)), 2)
	end
end

-- Waits for a task and passes its error on.
local function result(task)
	local r = table.pack(task:join())
	if not r[1] then
		error(tostring(r[2]), 0)
	end
	return table.unpack(r, 2, r.n)
end

-- A chain of goroutines, each adding one.
function jobs.pipeline(seed)
	local rand = random(seed)
	local stages, n = rand(12), rand(60)
	local first = vai.chan(rand(3) - 1)
	local last = first
	for _ = 1, stages do
		local from, to = last, vai.chan(rand(3) - 1)
		vai.go(function()
			for v in from do
				to:send(v + 1)
			end
			to:close()
		end)
		last = to
	end
	vai.go(function()
		for i = 1, n do
			first:send(i)
		end
		first:close()
	end)
	local sum = 0
	for v in last do
		sum = sum + v
	end
	check(sum, n * (n + 1) // 2 + n * stages, "pipeline")
end

-- Many senders, many receivers, one channel, one wait group.
function jobs.crowd(seed)
	local rand = random(seed)
	local senders, receivers, n = rand(8), rand(8), rand(50)
	local ch, sums, wg = vai.chan(rand(6) - 1), vai.chan(receivers), vai.waitgroup()
	for s = 1, senders do
		wg:add(1)
		vai.go(function()
			for i = 1, n do
				ch:send(s * i)
				if i % 7 == 0 then
					vai.yield()
				end
			end
			wg:done()
		end)
	end
	for _ = 1, receivers do
		vai.go(function()
			local sum = 0
			for v in ch do
				sum = sum + v
			end
			sums:send(sum)
		end)
	end
	wg:wait()
	ch:close()
	local sum = 0
	for _ = 1, receivers do
		sum = sum + sums:recv()
	end
	check(sum, senders * (senders + 1) // 2 * (n * (n + 1) // 2), "crowd")
end

-- Everybody sends and receives in selects, some with a timeout or a default, until all has come through.
function jobs.mesh(seed)
	local rand = random(seed)
	local nodes, n = rand(5) + 1, rand(30)
	local a, b, stop, sums = vai.chan(), vai.chan(rand(3)), vai.chan(), vai.chan()
	for node = 1, nodes do
		vai.go(function()
			local sent, got = 0, 0
			while true do
				local cases = { a, b, stop }
				if sent < n then
					cases[4], cases[5] = { a, node }, { b, node }
				end
				if (sent + node) % 5 == 0 then
					cases.timeout = 0.0001
				elseif (sent + node) % 7 == 0 then
					cases.default = true
				end
				local i, v = vai.select(cases)
				if i == 3 then
					break
				elseif i == 1 or i == 2 then
					got = got + v
				elseif i then
					sent = sent + 1
				end
				if sent == n and i and i > 3 then
					sums:send { done = node }
				end
			end
			sums:send { got = got }
		end)
	end
	local done, sum = 0, 0
	while done < nodes do
		local i, m = vai.select { sums, a, b }
		if i == 1 then
			done = done + 1
		else
			sum = sum + m
		end
	end
	-- Nobody sends any more: what is left lies in b.
	stop:close()
	local ended = 0
	while ended < nodes do
		ended = ended + 1
		sum = sum + sums:recv().got
	end
	for _ = 1, #b do
		sum = sum + b:recv()
	end
	check(sum, n * (nodes * (nodes + 1) // 2), "mesh")
end

-- A tree of tasks that add up their children's results.
function jobs.tree(seed)
	local rand = random(seed)
	local function node(depth, width)
		if depth == 0 then
			return 1
		end
		local tasks, sum = {}, 1
		for i = 1, width do
			tasks[i] = vai.async(node, depth - 1, width)
		end
		for i = 1, width do
			sum = sum + result(tasks[i])
		end
		return sum
	end
	local depth, width = rand(3), rand(4)
	local want, level = 0, 1
	for _ = 0, depth do
		want, level = want + level, level * width
	end
	check(result(vai.async(node, depth, width)), want, "tree")
end

-- Errors come out of join, and nowhere else.
function jobs.errors(seed)
	local rand = random(seed)
	for i = 1, rand(10) do
		local bad = rand(2) == 1
		local task = vai.async(function()
			local _ <close> = setmetatable({}, { __close = function() vai.yield() end })
			vai.sleep(0)
			if bad then
				error({ code = i })
			end
			return i, nil, "x"
		end)
		local r = table.pack(task:join())
		check(r[1], not bad, "status")
		check(bad and r[2].code or r[2], i, "result")
		check(bad or r.n == 4 and r[4] == "x", true, "results")
	end
end

local function grow(rand, depth)
	local t = { id = rand(1000), name = ("n"):rep(rand(60)), [1.5] = rand(2) == 1 }
	if depth > 0 then
		for i = 1, rand(4) do
			t[i] = grow(rand, depth - 1)
		end
		t.self, t.shared = t, t[1]
	end
	return t
end

local function sum(t, seen)
	if seen[t] then
		return seen[t]
	end
	seen[t] = 1
	local s = t.id + #t.name + (t[1.5] and 1 or 0)
	for _, child in ipairs(t) do
		s = s + sum(child, seen)
	end
	assert(t.self == nil or t.self == t)
	assert(t.shared == t[1] or t[1] == nil)
	return s
end

-- Tables with cycles go around a ring of goroutines.
function jobs.values(seed)
	local rand = random(seed)
	local value = grow(rand, rand(3))
	local want = sum(value, {})
	local first = vai.chan()
	local last = first
	for _ = 1, rand(5) do
		local from, to = last, vai.chan(rand(2) - 1)
		vai.go(function()
			to:send(from:recv())
		end)
		last = to
	end
	vai.go(function()
		first:send(value)
	end)
	check(sum(last:recv(), {}), want, "values")
end

-- Timers that fire and timers that are stopped.
function jobs.timers(seed)
	local rand = random(seed)
	local n, fired, kept = rand(10), vai.chan(20), 0
	for i = 1, n do
		local t = vai.timer(rand(4) / 2000, function()
			fired:send(i)
		end)
		if rand(2) == 1 and t:stop() then
			kept = kept + 1
		end
	end
	for _ = 1, n - kept do
		fired:recv()
	end
	local ticker = vai.ticker(0.0005)
	local ticks = rand(4)
	for _ = 1, ticks do
		assert(ticker:chan():recv())
	end
	ticker:stop()
	local at = vai.now()
	check((vai.after(0.001):recv()) - at >= 0.001, true, "after")
	check(fired:try_recv(), nil, "a stopped timer")
end

-- Waits inside whatever calls back: sort, gsub, coroutines, pcall, metamethods.
function jobs.callbacks(seed)
	local rand = random(seed)
	local ch = vai.chan()
	local calls = 0
	vai.go(function()
		for v in ch do
			v:send(true)
		end
	end)
	local function wait()
		local back = vai.chan()
		ch:send(back)
		calls = calls + 1
		assert(back:recv())
	end
	local list = {}
	for i = 1, rand(8) + 2 do
		list[i] = rand(100)
	end
	table.sort(list, function(x, y)
		wait()
		return x < y
	end)
	for i = 2, #list do
		assert(list[i - 1] <= list[i])
	end
	check(("abc"):gsub("%w", function(c)
		wait()
		return c:upper()
	end), "ABC", "gsub")
	local co = coroutine.wrap(function()
		for i = 1, 3 do
			wait()
			coroutine.yield(i)
		end
	end)
	check(co() + co() + co(), 6, "coroutine")
	check(select(2, pcall(function()
		wait()
		error("e", 0)
	end)), "e", "pcall")
	check(setmetatable({}, { __index = function()
		wait()
		return 5
	end }).x, 5, "__index")
	ch:close()
	assert(calls > 8)
end

-- Loops without a call in them, next to goroutines that want to run.
function jobs.busy(seed)
	local rand = random(seed)
	local n = rand(4) * 100000
	local task = vai.async(function()
		local s = 0
		for i = 1, n do
			s = s + i % 3
		end
		return s
	end)
	for _ = 1, rand(20) do
		vai.yield()
	end
	local s = 0
	for i = 1, n do
		s = s + i % 3
	end
	check(result(task), s, "busy")
end

-- Closing under the hands of those who wait.
function jobs.closing(seed)
	local rand = random(seed)
	local ch, waiters = vai.chan(), rand(10)
	local tasks = {}
	for i = 1, waiters do
		tasks[i] = vai.async(function()
			local ok, v, err
			if i % 3 == 0 then
				ok, err = pcall(ch.send, ch, 1)
				v = ok
			elseif i % 3 == 1 then
				v, err = ch:recv()
			else
				ok, v, err = vai.select { ch }
				assert(ok == 1)
			end
			return v or err
		end)
	end
	for _ = 1, rand(3) do
		vai.yield()
	end
	ch:close()
	local ok, err = pcall(ch.close, ch)
	assert(not ok and tostring(err):find "close of closed channel")
	for i = 1, waiters do
		local r = result(tasks[i])
		assert(r == true or r == 1 or tostring(r):find "closed", r)
	end
end

-- Goroutines that are ended from outside, wherever they are; what they hold is closed.
function jobs.cancel(seed)
	local rand = random(seed)
	local never, begun, closed = vai.chan(), vai.chan(16), vai.chan(16)
	local tasks = {}
	for i = 1, rand(6) do
		local how = rand(6)
		if how == 1 and os.getenv "VAI_VARIANT" == "tsan" then -- which keeps signals back: nothing would end the loop
			how = 5
		end
		tasks[i] = vai.async(function()
			local _ <close> = setmetatable({}, { __close = function() assert(closed:try_send(i)) end })
			begun:send(i)
			if how == 1 then
				while true do end
			elseif how == 2 then
				never:recv()
			elseif how == 3 then
				vai.select { never, never }
			elseif how == 4 then
				vai.sleep(1000)
			else
				if how == 6 then
					vai.lock_thread()
				end
				while true do
					vai.yield()
				end
			end
		end)
	end
	for _ = 1, #tasks do
		begun:recv()
	end
	for _ = 1, rand(5) do
		vai.yield()
	end
	for i = 1, #tasks do
		tasks[i]:cancel("enough")
	end
	for i = 1, #tasks do
		local ok, err = tasks[i]:join()
		check(ok, false, "status")
		check(err, "enough", "reason")
	end
	check(#closed, #tasks, "what was closed")
end

-- Goroutines with threads of their own, which yield, sleep and compute between messages.
function jobs.threads(seed)
	local rand = random(seed)
	local n, rounds = rand(5), rand(30)
	local c, tasks = vai.chan(rand(3) - 1), {}
	for i = 1, n do
		local how = rand(3)
		tasks[i] = vai.async(function()
			vai.lock_thread()
			for k = 1, rounds do
				if how == 1 then
					vai.yield()
				elseif how == 2 then
					vai.sleep(0.0001)
				else
					for _ = 1, 100000 do
					end
				end
				c:send(k)
			end
			if how == 2 then
				vai.unlock_thread()
				vai.yield()
			end
		end)
	end
	local total = 0
	for _ = 1, n * rounds do
		total = total + c:recv()
	end
	check(total, n * rounds * (rounds + 1) // 2, "sum")
	for i = 1, n do
		result(tasks[i])
	end
end

jobs.kinds = { "pipeline", "crowd", "mesh", "tree", "errors", "values", "timers", "callbacks", "busy", "closing",
	"cancel", "threads" }

return jobs
