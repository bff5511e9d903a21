-- SPDX-License-Identifier: MIT
-- vai.test: seeded runs. The same seed gives the same trace; nothing here depends on how fast the machine is.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

-- Random programs: workers that do what lists of operations say, on objects that they share.
local programs = [[
	local KINDS = { "send", "recv", "select", "lock", "count", "sleep", "yield", "compute", "spawn", "timer", "random" }

	local function numbers(seed)
		local x = seed * 2654435761 % 2147483648
		return function(n)
			x = (x * 1103515245 + 12345) % 2147483648
			return x // 65536 % n + 1
		end
	end

	local function make(n)
		local rnd = numbers(n)
		local workers = {}
		for w = 1, 1 + rnd(4) do
			local ops = {}
			for i = 1, 1 + rnd(8) do
				ops[i] = { KINDS[rnd(#KINDS)], rnd(3), rnd(9) }
			end
			workers[w] = ops
		end
		return workers
	end

	local function work(ops, it)
		for _, op in ipairs(ops) do
			local kind, a, b = op[1], op[2], op[3]
			local ch = it.chans[a]
			if kind == "send" then ch:send(b, b / 10)
			elseif kind == "recv" then ch:recv(b / 10)
			elseif kind == "select" then
				local i, v = vai.select { it.chans[1], it.chans[2], { it.chans[3], b }, timeout = b / 10 }
				it.log:add(tostring(i) .. tostring(v), 1)
			elseif kind == "lock" then
				local _ <close> = it.mutex:guard()
				vai.sleep(b / 100)
			elseif kind == "count" then
				local n = it.log:get("n") or 0
				it.log:set("n", n + b)
			elseif kind == "sleep" then vai.sleep(b / 100)
			elseif kind == "yield" then vai.yield()
			elseif kind == "compute" then
				local x = 0
				for i = 1, b * 700 do x = x ~ i end
			elseif kind == "spawn" then
				local task = vai.async(work, { { "yield", 1, 1 }, { "count", 1, b } }, it)
				if a == 1 then task:join() end
			elseif kind == "timer" then
				vai.timer(b / 100, function(log) log:add("timer", 1) end, it.log)
			elseif kind == "random" then
				it.log:add("r" .. math.random(3), 1)
			end
		end
	end

	function play(n)
		local it = { chans = { vai.chan(), vai.chan(1), vai.chan(4) }, mutex = vai.mutex(), log = vai.map() }
		local g = vai.group()
		for _, ops in ipairs(make(n)) do g:go(work, ops, it) end
		g:wait()
		local lines = {}
		for k, v in pairs(it.log) do lines[#lines + 1] = ("%s=%s"):format(k, v) end
		table.sort(lines)
		return table.concat(lines, " ") .. (" at %.6f"):format(vai.now())
	end

	function replay(seed, n)
		local trace, result = vai.test.run(seed, play, n)
		return tostring(trace) .. "\n" .. result
	end
]]

describe("a seeded run", function()
	test("of each of 1,000 random programs replays to the same trace", programs .. [[
		local different = {}
		for n = 1, 1000 do
			local first, second = replay(n, n), replay(n, n)
			check.eq(first, second)
			different[first:gsub("^[^\n]*", "")] = true
		end
		local count = 0
		for _ in pairs(different) do count = count + 1 end
		assert(count > 900, count)
	]])

	test("is the same whatever the number of processors", programs .. [[
		local one = {}
		vai.maxprocs(1)
		for n = 1, 50 do one[n] = replay(7, n) end
		vai.maxprocs(4)
		for n = 1, 50 do check.eq(replay(7, n), one[n]) end
	]])

	test("is not the same with another seed", programs .. [[
		local seen, count = {}, 0
		for seed = 1, 20 do
			local trace = replay(seed, 12):gsub("^[^\n]*", "")
			if not seen[trace] then seen[trace], count = true, count + 1 end
		end
		assert(count > 10, count)
	]])

	test("is not disturbed by other goroutines, nor they by it", programs .. [[
		local quiet = replay(3, 17)
		local ch, stop = chan(), vai.atomic()
		local task = vai.async(function()
			local n = 0
			while stop:get() == 0 do n = n + 1; vai.yield() end
			return n
		end)
		local echo = vai.async(function() for v in ch do vai.sleep(0.0001) end return "done" end)
		for _ = 1, 20 do
			ch:send(1)
			check.eq(replay(3, 17), quiet)
		end
		stop:set(1)
		ch:close()
		local _, n = task:join()
		assert(n > 0)
		check.returns(table.pack(echo:join()), true, "done")
	]])

	test("has a clock that stands until nothing else can happen", [[
		local before = vai.now()
		local trace, slept, computed, first = vai.test.run(1, function()
			local t0 = vai.now()
			local order = chan(4)
			for _, s in ipairs { 3600, 1, 60 } do
				go(function() vai.sleep(s) order:send(s) end)
			end
			local x = 0
			for i = 1, 100000 do x = x ~ i end
			local t1 = vai.now()
			local first = order:recv()
			for _ = 1, 2 do order:recv() end
			return vai.now() - t0, t1 - t0, first
		end)
		check.eq(slept, 3600.0)
		check.eq(computed, 0.0)
		check.eq(first, 1)
		check.eq(trace.seconds, 3600.0)
		assert(vai.now() >= before and vai.now() - before < 3600)
	]])

	test("lets deadlines, contexts, tickers and timers go by that clock", [[
		vai.test.run(5, function()
			local t0 = vai.now()
			check.returns(table.pack(chan():recv(10)), nil, "timeout")
			check.eq(vai.now() - t0, 10.0)
			local ctx = vai.context():with_timeout(5)
			check.returns(table.pack(chan():recv(ctx)), nil, "deadline exceeded")
			check.eq(vai.now() - t0, 15.0)
			local ticker = vai.ticker(2)
			for i = 1, 3 do ticker:chan():recv() end
			ticker:stop()
			check.eq(vai.now() - t0, 21.0)
			vai.after(1):recv()
			check.eq(vai.now() - t0, 22.0)
			local ch = chan()
			vai.timer(100, function(ch) ch:send(vai.now()) end, ch)
			check.eq(ch:recv() - t0, 122.0)
		end)
	]])

	test("takes the turn from a goroutine that computes", [[
		local _, n = vai.test.run(1, function()
			local done = vai.atomic()
			go(function() done:set(1) end)
			local n = 0
			while done:get() == 0 do n = n + 1 end
			return n
		end)
		assert(n >= 0)
		vai.test.run("1/", function()
			local done = vai.atomic()
			go(function() vai.sleep(1) done:set(1) end)
			while done:get() == 0 do end
		end)
	]])

	test("draws select's choices and math.random from the seed", [[
		local function draw()
			local a, b, text = chan(100), chan(100), {}
			for i = 1, 100 do a:send(i) b:send(i) end
			for i = 1, 50 do text[i] = select { a, b } end
			local task = vai.async(function() return math.random(1000000) end)
			local _, r = task:join()
			return table.concat(text) .. ":" .. math.random(1000000) .. ":" .. r
		end
		local results, different = {}, false
		for round = 1, 2 do
			for seed = 1, 10 do
				local _, result = vai.test.run(seed, draw)
				check.eq(results[seed] or result, result)
				results[seed] = result
				different = different or result ~= results[1]
			end
		end
		assert(different)
	]])

	test("that deadlocks is an error with a dump and the seed", [[
		local ok, err = pcall(vai.test.run, 4711, function()
			local ch = chan()
			go(function() ch:recv() end)
			ch:recv()
		end)
		check.eq(ok, false)
		for _, text in ipairs { "^seed 4711: ", "all goroutines are asleep %- deadlock!", "goroutine 1 %[chan receive%]",
			"goroutine 2 %[chan receive%]", "replay with vai%.test%.run%(4711, f%)" } do
			assert(err:find(text), text .. " in\n" .. err)
		end
		local _, again = pcall(vai.test.run, 4711, function() error("x", 0) end)
		assert(again:find("^seed 4711: x\n"), again)
	]])

	test("fails where one of its goroutines does", [[
		local ok, err = pcall(vai.test.run, 9, function()
			go(function() error("boom") end)
			chan():recv()
		end)
		check.eq(ok, false)
		assert(err:find("^seed 9: goroutine 2: .*boom"), err)
		ok, err = pcall(vai.test.run, 9, function()
			go(function() error("boom") end)
			while true do vai.yield() end
		end)
		assert(not ok and err:find("boom"), err)
		check.eq(table.pack(vai.test.run(9, function() return 1, nil end)).n, 3)
	]])

	test("ends its goroutines", [[
		local before = vai.count()
		local closed = vai.atomic()
		vai.test.run(2, function()
			for _ = 1, 3 do
				go(function()
					local _ <close> = setmetatable({}, { __close = function() closed:add(1) end })
					vai.yield()
					chan():recv()
				end)
			end
			vai.sleep(1)
		end)
		check.eq(closed:get(), 3)
		check.eq(vai.count(), before)
	]])

	test("in a goroutine, and in a coroutine", programs .. [[
		local plain = replay(6, 40)
		check.eq(coroutine.wrap(function() return replay(6, 40) end)(), plain)
		local ok, trace = vai.async(function() return replay(6, 40) end):join()
		assert(ok, trace)
		check.eq(trace, plain)
	]])

	test("within a run is refused", [[
		local ok, err = pcall(vai.test.run, 1, function() vai.test.run(2, function() end) end)
		assert(not ok and err:find("a run within a run"), err)
		vai.test.run(1, function() end)
	]])

	test("names bad arguments", [[
		check.raises("bad argument #1 to 'run' %(seed expected, got float%)", vai.test.run, 1.5, print)
		check.raises("bad argument #1 to 'run' %('x' is neither a number nor a schedule%)", vai.test.run, "x", print)
		check.raises("bad argument #2 to 'run' %(function expected, got nil%)", vai.test.run, 1)
	]])

	test("takes its seed from VAI_TEST_SEED if it is given none", [[
		local function draw() return math.random(1000000) end
		local trace, n = vai.test.run(nil, draw)
		check.eq(trace.seed, "4711")
		local _, same = vai.test.run(4711, draw)
		check.eq(n, same)
		local other = vai.test.run(12, draw)
		check.eq(other.seed, "12")
		check.eq(vai.test.explore(function() end), 1)
		check.eq(vai.test.trace().seed, "4711")
	]], { env = { VAI_TEST_SEED = "4711" } })

	test("draws a seed of its own if there is none, and names it", [[
		local ok, err = pcall(vai.test.run, nil, function() error("x", 0) end)
		local seed = err:match("^seed (%d+): x\nreplay with vai%.test%.run%(")
		assert(not ok and seed, err)
		check.eq(vai.test.trace().seed, seed)
	]])

	test("leaves math.random outside as it was", [[
		math.randomseed(99)
		local a, b = math.random(1000000), math.random(1000000)
		math.randomseed(99)
		check.eq(math.random(1000000), a)
		vai.test.run(1, function() for _ = 1, 10 do math.random() end end)
		vai.test.run(1, function() end)
		local c = math.random(1000000)
		math.randomseed(99)
		math.random(1000000)
		vai.test.run(5, function() end)
		vai.test.run(6, function() end)
		check.eq(math.random(1000000), c)
		assert(b)
	]])

	test("waits for input and output, and says so", [[
		local a, b = vai.net.pipe()
		local trace, first, second = vai.test.run(1, function()
			go(function() vai.sleep(0.01) b:write("x\n") end)
			local none, why = a:read("l", 0.001)
			check.eq(none, nil)
			check.eq(why, "timeout")
			return why, a:read("l", 60)
		end)
		check.eq(second, "x")
		check.eq(trace.outside, true)
		assert(tostring(trace):find("its seed does not decide everything"))
	]])

	test("may be fed by goroutines outside, which are no deadlock while it waits for input", [[
		local a, b = vai.net.pipe()
		local go_on = chan(1)
		local task = vai.async(function() go_on:recv() vai.sleep(0.01) b:write("y\n") return true end)
		local trace, line = vai.test.run(1, function()
			go_on:send(true)
			return a:read("l")
		end)
		check.eq(line, "y")
		check.eq(task:join(), true)
		assert(trace.outside)
	]])

	test("keeps a script's own hook", [[
		local lines, before = 0
		debug.sethook(function() lines = lines + 1 end, "l")
		vai.test.run(3, function()
			go(function() end)
			vai.yield()
			before = lines
			vai.sleep(1)
		end)
		assert(before > 0)
		local now = lines
		assert(now > before)
		local f, mask = debug.gethook()
		check.eq(type(f), "function")
		check.eq(mask, "l")
		debug.sethook()
		check.eq(debug.gethook(), nil)
	]])

	-- They are canceled, although nobody has their tasks, which is no failure of theirs.
	test("ends what still waits in it, whatever has started that", [[
		local never = chan()
		local ways = {
			function(f) go(f) end,
			function(f) local wg = waitgroup() wg:go(f) end,
			function(f) vai.async(f) end,
			function(f) vai.timer(1, f) end,
			function(f) local ctx, cancel = vai.context():with_cancel() ctx:after(f) cancel() end,
		}
		for i, start in ipairs(ways) do
			local trace, result = vai.test.run(i, function()
				start(function() never:recv() end)
				start(function() while true do pcall(vai.sleep, 1) end end)
				start(function() local over <close> = vai.defer(vai.sleep, 1) never:recv() end)
				vai.sleep(5)
				return "result"
			end)
			check.eq(result, "result")
			check.eq(trace.goroutines, 4)
		end
		check.eq(vai.count(), 1)
	]])

	test("goes on where time is all that a loop waits for", [[
		local _, rounds = vai.test.run("1/", function()
			local n, late = 0, vai.atomic()
			go(function() vai.sleep(5) late:set(1) end)
			while late:get() == 0 do n = n + 1; vai.yield() end
			return n
		end)
		assert(rounds < 100, rounds)
	]])

	test("does without waiting what supervisors and processes do in it", [[
		local _, restarts, out = vai.test.run(1, function()
			local s <close> = vai.supervisor { max = 100, on_failure = function() end }
			s:child { name = "a", start = function() vai.sleep(1) error("x") end }
			vai.sleep(10)
			return s:children()[1].restarts, vai.process.run { "echo", "hi" }.out
		end)
		assert(restarts > 3, restarts)
		check.eq(out, "hi\n")
		local _, ok, why = vai.test.run(1, function()
			local task = vai.async(function() while true do end end)
			vai.yield()
			task:cancel("why")
			return task:join()
		end)
		check.eq(ok, false)
		check.eq(why, "why")
		local _, moved = vai.test.run(1, function()
			local task = vai.async(function() vai.lock_thread() vai.sleep(1) vai.unlock_thread() return "moved" end)
			return { task:join() }
		end)
		check.eq(moved[2], "moved")
	]])

	test("in which a loop waits for a time that nothing brings is broken off", [[
		local ok, err = pcall(vai.test.explore, function()
			local start = vai.now()
			while vai.now() < start + 1 do end
		end, { turns = 100 })
		assert(not ok and err:find("no end after 100 turns"), err)
	]])

	test("that has no end is broken off", [[
		local ok, err = pcall(vai.test.run, 2, function()
			go(function() while true do vai.yield() end end)
			while true do vai.yield() end
		end)
		assert(not ok and err:find("^seed 2: .*no end after 1000000 turns"), err)
		check.eq(vai.test.trace().exhausted, true)
		vai.test.run(2, function() end)
	]])
end)

describe("explore", function()
	test("finds a lost update, and tells the shortest schedule", [[
		local function count()
			local n, wg = vai.map(), waitgroup()
			n:set("n", 0)
			for _ = 1, 2 do
				wg:go(function()
					local old = n:get("n")
					n:set("n", old + 1)
				end)
			end
			wg:wait()
			assert(n:get("n") == 2, "an update is lost")
		end
		local err = check.raises({ "an update is lost", "choices: 1, turns: 5", "goroutine 2 is made at [^\n]*:5",
			"goroutine 2  [^\n]*:7 set  preempted %-> goroutine 3 %(2%.%d+:3%)", "goroutine 3  ends %-> goroutine 2" },
			vai.test.explore, count)
		local schedule = err:match('vai%.test%.run%("([^"]+)", f%)')
		check.raises("an update is lost", vai.test.run, schedule, count)
		check.eq(vai.test.trace().seed, schedule)
		check.eq(#vai.test.trace().turns, 4)
	]])

	test("finds a deadlock", [[
		check.raises({ "all goroutines are asleep %- deadlock!", "mutex lock", "locked by goroutine [23]", "choices: 1" },
			vai.test.explore, function()
				local a, b, wg = vai.mutex(), vai.mutex(), waitgroup()
				wg:go(function() a:lock() b:lock() b:unlock() a:unlock() end)
				wg:go(function() b:lock() a:lock() a:unlock() b:unlock() end)
				wg:wait()
			end)
	]])

	test("finds a wrong order", [[
		check.raises({ "read before it was written", "choices: 1", "replay with" }, vai.test.explore, function()
			local box, wg = vai.map(), waitgroup()
			wg:go(function() box:set("value", 1) end)
			wg:go(function() assert(box:get("value"), "read before it was written") end)
			wg:wait()
		end)
	]])

	test("finds what needs several changes, and one between many others", [[
		check.raises("both", vai.test.explore, function()
			local m, wg = vai.map(), waitgroup()
			m:set("a", 0)
			m:set("b", 0)
			wg:go(function() m:set("a", 1) m:set("a", 0) m:set("b", 1) m:set("b", 0) end)
			wg:go(function()
				local a = m:get("a")
				local b = m:get("b")
				assert(a + b < 2, "both")
			end)
			wg:wait()
		end)
		check.raises({ "lost", "choices: 1" }, vai.test.explore, function()
			local m, lock, wg = vai.map(), vai.mutex(), waitgroup()
			m:set("n", 0)
			for w = 1, 3 do
				wg:go(function()
					for i = 1, 20 do lock:lock() m:add("i" .. i, 1) lock:unlock() end
					if w > 1 then m:set("n", m:get("n") + 1) end
				end)
			end
			wg:wait()
			assert(m:get("n") == 2, "lost")
		end)
	]])

	test("tries select's choices where nothing else can differ", [[
		check.raises("the second first", vai.test.explore, function()
			local a, b = chan(1), chan(1)
			a:send(1)
			b:send(2)
			assert(select { a, b } == 1, "the second first")
		end)
	]])

	test("returns how many schedules it has tried of a program that is right", [[
		local function right()
			local n, wg = vai.atomic(), waitgroup()
			for _ = 1, 3 do wg:go(function() n:add(1) end) end
			wg:wait()
			assert(n:get() == 3)
		end
		check.eq(vai.test.explore(right, { runs = 200 }), 200)
		local few = vai.test.explore(right, { seconds = 0 })
		assert(few >= 1 and few < 200, few)
		check.raises({ "no end after 500 turns" }, vai.test.explore, function()
			while true do vai.yield() end
		end, { turns = 500 })
	]])

	test("names bad arguments", [[
		check.raises("bad argument #1 to 'explore' %(function expected, got nil%)", vai.test.explore)
		check.raises("bad argument #2 to 'explore' %(unknown option 'run'%)", vai.test.explore, print, { run = 1 })
		check.raises("bad argument #2 to 'explore' %(runs: integer expected, got string%)", vai.test.explore, print,
			{ runs = "1" })
		check.raises("bad argument #2 to 'explore' %(table expected, got number%)", vai.test.explore, print, 1)
	]])
end)
