-- SPDX-License-Identifier: MIT
-- Goroutines that wait for input, for time, for others or for room give their C stacks back meanwhile, once many are in
-- use (shed_spec.lua has those that wait for messages). Whatever ends such a wait has to do as it does otherwise.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- pipe() gives the two ends of a pipe, later(f) runs f when the caller waits without its stack, list(...) is their text.
local test = program.tester(program.shedding .. [[
local function pipe() return assert(vai.net.pipe()) end
local function later(f, ...) local a = { ... } go(function() vai.sleep(0.02) f(table.unpack(a)) end) end
local function list(...)
	local t = table.pack(...)
	for i = 1, t.n do t[i] = tostring(t[i]) end
	return table.concat(t, " ")
end
local function joined(task) return list(_G.select(2, task:join())) end
local function write(c, text) c:write(text) end
local function close(c) c:close() end
]])

-- The stacks that 1,000 goroutines need which wait so. start() gives a function that ends their waits.
local function few(name, start)
	test(name .. ": few stacks", [[
		local wg, begun, before = waitgroup(), vai.atomic(), stacks()
		local function start() ]] .. start .. [[ end
		local release = start()
		check.until_true(function() return begun:get() == 1000 and stacks() - before < 600 end)
		release()
		wg:wait()
	]])
end

describe("waits without a stack", function()
	few("reads", [[
		local ends = {}
		for i = 1, 1000 do
			local a, b = pipe()
			ends[i] = b
			wg:go(function() begun:add(1) assert(a:read(5) == "hello") end)
		end
		return function() for i = 1, 1000 do ends[i]:write("hello") end end
	]])

	few("reads with a deadline", [[
		local ends = {}
		for i = 1, 1000 do
			local a, b = pipe()
			ends[i] = b
			a:set_read_deadline(vai.now() + 3600)
			wg:go(function() begun:add(1) for line in a:lines() do assert(line == "hello") end end)
		end
		return function() for i = 1, 1000 do ends[i]:write("hello\n") ends[i]:close() end end
	]])

	few("sleeps", [[
		local tasks = {}
		for i = 1, 1000 do
			tasks[i] = vai.async(function() begun:add(1) vai.sleep(3600) end)
		end
		return function() for i = 1, 1000 do tasks[i]:cancel() assert(tasks[i]:join() == false) end end
	]])

	few("waits for a wait group", [[
		local all = waitgroup()
		all:add(1)
		for _ = 1, 1000 do
			wg:go(function() begun:add(1) assert(all:wait(3600)) end)
		end
		return function() all:done() end
	]])

	few("sends", [[
		local ch = chan()
		for i = 1, 1000 do
			wg:go(function() begun:add(1) assert(ch:send({ i })) end)
		end
		return function() for _ = 1, 1000 do assert(ch:recv()[1]) end end
	]])

	test("accept takes the next connection, and ends with the listener", [[
		local l = vai.net.listen("tcp", "127.0.0.1:0")
		local got = chan(8)
		local task = vai.async(function()
			local c = l:accept()
			got:send(c:read())
			for c in l do got:send(c:read()) end
			return l:accept()
		end)
		for i = 1, 3 do
			vai.sleep(0.02)
			local c = vai.net.dial("tcp", l:addr())
			c:write("c" .. i)
			check.eq(got:recv(), "c" .. i)
		end
		vai.sleep(0.02)
		l:close()
		check.eq(joined(task), "nil closed")
		local m = vai.net.listen("tcp", "127.0.0.1:0")
		check.eq(joined(vai.async(function() return m:accept(0.03) end)), "nil timeout")
	]])

	test("each form of a read", [[
		local a, b = pipe()
		local task = vai.async(function()
			local out = {}
			for _, what in ipairs { 3, "l", "L", 0 } do out[#out + 1] = a:read(what) end
			out[#out + 1] = a:read()
			for line in a:lines() do out[#out + 1] = line if line == "last" then break end end
			out[#out + 1] = a:read("a")
			return table.concat(out, ","), a:read("a"), a:read("l")
		end)
		for _, text in ipairs { "123", "line\n", "kept\n", "x", "yz", "one\ntw", "o\nlast\n", "re", "st" } do
			vai.sleep(0.02)
			b:write(text)
		end
		b:close()
		check.eq(joined(task), "123,line,kept\n,,x,yzone,two,last,rest  nil")
	]])

	test("what comes in pieces is put together", [[
		local a, b = pipe()
		local task = vai.async(function() return #a:read(10000), a:read("l"), a:read("l") end)
		for _ = 1, 10 do vai.sleep(0.012) b:write(("x"):rep(1000)) end
		vai.sleep(0.012) b:write("a li") vai.sleep(0.012) b:write("ne\nno") vai.sleep(0.012) b:close()
		check.eq(joined(task), "10000 a line no")
	]])

	test("a limit ends a read, and nothing is lost", [[
		local a, b = pipe()
		check.eq(joined(vai.async(function()
			return list(a:read(nil, 0.03)), list(a:read("l", 0.03)), list(a:with(0.03):read(2))
		end)), "nil timeout nil timeout nil timeout")
		local failed, why = vai.async(function() for _ in a:with(0.03):lines() do end end):join()
		check.eq(list(failed, why:match("timeout$")), "false timeout")
		local over = chan()
		b:write("par")
		local task = vai.async(function()
			local first = list(a:read(4, 0.03))
			over:close()
			return first, a:read("l", 60)
		end)
		over:recv()
		b:write("t of it\n")
		check.eq(joined(task), "nil timeout part of it")
	]])

	test("deadlines that move end a read, and those that are taken back do not", [[
		local a, b = pipe()
		local task = vai.async(function() return a:read() end)
		later(a.set_read_deadline, a, vai.now() - 1)
		check.eq(joined(task), "nil timeout")
		local time, in_time = 0.05, chan(1)
		repeat -- again, where the deadline was over before it was taken back
			time = 2 * time
			local first = vai.now() + time
			a:set_read_deadline(first)
			task = vai.async(function() return a:read() end)
			later(function()
				a:set_read_deadline()
				in_time:send(vai.now() < first)
				vai.sleep(first + 0.01 - vai.now())
				b:write("late")
			end)
			local got = joined(task)
			local decides = in_time:recv()
			if decides then check.eq(got, "late") elseif got ~= "late" then check.eq(a:read(), "late") end
		until decides
	]])

	test("a context ends a read, a close does, and so does the peer", [[
		local a, b = pipe()
		local ctx, cancel = vai.context():with_cancel()
		local task = vai.async(function() return a:read(nil, ctx) end)
		later(cancel)
		check.eq(joined(task), "nil canceled")
		for _, form in ipairs { 7, "l", "a" } do
			local c, d = pipe()
			task = vai.async(function() return c:read(form) end)
			later(close, c)
			check.eq(joined(task), "nil closed")
			d:close()
		end
		task = vai.async(function() return a:read(), a:read() end)
		later(close, b)
		check.eq(joined(task), "nil nil")
		local c, d = pipe()
		task = vai.async(function() return c:read() end)
		later(c.close_read, c)
		check.eq(joined(task):match("^nil"), "nil")
		d:close()
	]])

	test("a close is over when the reader has let go", [[
		local l = vai.net.listen("tcp", "127.0.0.1:0")
		local addr = l:addr()
		for _ = 1, 20 do
			local task = vai.async(function() return l:accept() end)
			vai.sleep(0.012)
			l:close()
			check.eq(joined(task), "nil closed")
			l = assert(vai.net.listen("tcp", addr))
		end
	]])

	test("cancel ends each of them, and closers run", [[
		local a, b = pipe()
		local l, wg, ch = vai.net.listen("tcp", "127.0.0.1:0"), waitgroup(), chan()
		wg:add(1)
		local waits = {
			read = function() a:read() end, line = function() a:read("l") end, lines = function() for _ in a:lines() do end end,
			accept = function() l:accept() end, loop = function() for _ in l do end end,
			sleep = function() vai.sleep(3600) end, group = function() wg:wait() end, limited = function() wg:wait(60) end,
			send = function() ch:send({}) end, recv = function() ch:recv(60) end,
		}
		for name, wait in pairs(waits) do
			local told = chan(4)
			local task = vai.async(function()
				local c <close> = setmetatable({}, { __close = function() vai.sleep(0.001) told:send("closed") end })
				wait()
				told:send("went on")
			end)
			vai.sleep(0.015)
			task:cancel()
			check.eq(name .. tostring(task:join()), name .. "false")
			check.eq(told:recv(), "closed")
		end
		b:write("still") check.eq(a:read(), "still")
	]])

	test("readers queue, and each gets what it asked for", [[
		local a, b = pipe()
		local got = chan(100)
		for i = 1, 20 do go(function() got:send(a:read(3)) end) vai.sleep(0.001) end
		vai.sleep(0.03)
		for i = 1, 20 do b:write(("%03d"):format(i)) end
		local sum = 0
		for _ = 1, 20 do sum = sum + got:recv() end
		check.eq(sum, 210)
	]])

	test("a message whose send is given up is free, one that is taken arrives", [[
		local ch = chan()
		local over = chan()
		local task = vai.async(function()
			local first = ch:send({ "never" }, 0.03)
			over:close()
			return first, ch:send({ "taken" }, 60)
		end)
		over:recv()
		check.eq(ch:recv()[1], "taken")
		check.eq(joined(task), "nil true")
		task = vai.async(function() return pcall(ch.send, ch, 1), ch:send(2) end)
		vai.sleep(0.02)
		check.eq(ch:recv(), 1)
		later(ch.close, ch)
		local ok, err = task:join()
		check.eq(ok, false)
		check.eq(err:match("send on closed channel"), "send on closed channel")
	]])

	test("limits of other waits", [[
		local wg, ch = waitgroup(), chan()
		wg:add(1)
		local t = vai.now()
		local task = vai.async(function() return list(wg:wait(0.03)), list(ch:recv(0.03)), list(ch:send(1, 0.03)), vai.sleep(0.03) end)
		check.eq(joined(task), "nil timeout nil timeout nil timeout")
		check.eq(vai.now() - t >= 0.12, true)
		task = vai.async(function() return wg:wait(60), ch:recv(60) end)
		later(wg.done, wg)
		later(ch.send, ch, "v")
		check.eq(joined(task), "true v")
	]])

	test("the program may end while they wait", [[
		local l, wg, ch = vai.net.listen("tcp", "127.0.0.1:0"), waitgroup(), chan()
		wg:add(1)
		for i = 1, 100 do
			local a, b = pipe()
			go(function() a:read(nil, i % 2 == 0 and 3600 or nil) b:close() end)
			go(function() for _ in b:lines() do end a:close() end)
			go(function() l:accept(3600) end)
			go(function() vai.sleep(3600) end)
			go(function() wg:wait(3600) end)
			go(function() ch:send({ i }, 3600) end)
		end
		vai.sleep(0.05)
	]])

	test("busy connections go on", [[
		local l = vai.net.listen("tcp", "127.0.0.1:0")
		go(function()
			for c in l do go(function() while true do local s = c:read() if not s or not c:write(s) then break end end c:close() end) end
		end)
		local wg = waitgroup()
		for i = 1, 100 do
			wg:go(function()
				local c = vai.net.dial("tcp", l:addr())
				for k = 1, 30 do
					local text = ("%d %d "):format(i, k):rep(20)
					c:write(text)
					assert(c:read(#text) == text)
					if k % 10 == 0 then vai.sleep(0.011) end
				end
				c:close()
			end)
		end
		wg:wait()
		l:close()
	]])

	-- Where nothing comes for some seconds the goroutine's garbage goes, of which the finalizer tells.
	test("a wait that becomes long tidies up, and goes on", [[
		local told, got = chan(16), chan(16)
		local ctx = vai.context():with_timeout(3600)
		local reads = {
			plain = function(a) return a:read() end, line = function(a) return a:read("l") end,
			count = function(a) return a:read(4) end, loop = function(a) for line in a:lines() do return line end end,
			limited = function(a) return a:read("l", 3600) end, bounded = function(a) return a:read("l", ctx) end,
			caught = function(a) local _, line = pcall(a.read, a, "l") return line end,
			wrapped = function(a) return coroutine.wrap(function() return a:read("l") end)() end,
		}
		local ends = {}
		for name, read in pairs(reads) do
			local a, b = pipe()
			ends[#ends + 1] = b
			go(function()
				setmetatable({}, { __gc = function() told:send(name) end })
				got:send(read(a))
				a:close()
			end)
		end
		local a, b = pipe()
		local task = vai.async(function()
			local collected = false
			collectgarbage("stop")
			setmetatable({}, { __gc = function() collected = true end })
			return list(a:read("l"), collected)
		end)
		local n = 0
		for _ in pairs(reads) do check.eq(type(told:recv(60)), "string") n = n + 1 end
		for i = 1, n do ends[i]:write("line\n") end
		for _ = 1, n do check.eq(got:recv():gsub("\n", ""), "line") end
		b:write("line\n")
		check.eq(joined(task), "line false")
	]])

	test("what has become long ends as other waits do", [[
		local told = chan(16)
		local function long(read)
			local a, b = pipe()
			local task = vai.async(function()
				setmetatable({}, { __gc = function() told:send(1) end })
				return read(a)
			end)
			return { a = a, b = b, task = task }
		end
		local closed = long(function(a) return a:read() end)
		local ended = long(function(a) return a:read("l") end)
		local canceled = long(function(a) return a:read("l") end)
		local late = long(function(a) return a:read("l", 3600) end)
		local first = vai.async(function() told:send(2) return closed.a:read() end)
		for _ = 1, 4 do check.eq(type(told:recv(60)), "number") end -- of closed nothing, for another one queues behind it
		closed.a:close()
		ended.b:close()
		canceled.task:cancel()
		late.a:set_read_deadline(vai.now())
		check.eq(joined(closed.task), "nil closed")
		check.eq(joined(first), "nil closed")
		check.eq(joined(ended.task), "nil")
		check.eq(canceled.task:join(), false)
		check.eq(joined(late.task), "nil timeout")
	]])
end)
