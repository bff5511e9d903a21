-- SPDX-License-Identifier: MIT
-- vai.net: connections, listeners, datagrams, names.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- A listener, and both ends of a connection to it.
local test = program.tester [[
	local net = vai.net
	local function pair(network, address)
		local l = assert(net.listen(network or "tcp", address or "127.0.0.1:0"))
		local c = assert(net.dial(network or "tcp", l:addr()))
		local s = assert(l:accept())
		l:close()
		return c, s
	end
]]

describe("a connection", function()
	test("carries lines, bytes and all the rest", [[
		local c, s = pair()
		check.eq(c:write("one\ntwo\r\n", 3, "\n", 4.5, "\nabcdefgh"), c)
		check.eq(s:read("l"), "one")
		check.eq(s:read("L"), "two\r\n")
		check.eq(s:read("*l"), "3")
		check.eq(s:read("l"), "4.5")
		check.eq(s:read(3), "abc")
		check.eq(s:read(0), "")
		check.eq(s:read(), "defgh")
		c:write("the\n\nrest")
		c:close_write()
		check.eq(s:read("a"), "the\n\nrest")
		check.eq(s:read("a"), "")
		check.returns(table.pack(s:read("l")), nil)
		check.returns(table.pack(s:read()), nil)
		check.returns(table.pack(s:read(1)), nil)
		check.returns(table.pack(s:read(0)), nil)
		s:write("last\nwords")
		s:close()
		local lines = {}
		for line in c:lines() do lines[#lines + 1] = line end
		check.eq(table.concat(lines, "|"), "last|words")
		c:close()
	]])

	test("knows its peer also after that has reset it", [[
		local l <close> = vai.net.listen("tcp", "127.0.0.1:0")
		local c = vai.net.dial("tcp", l:addr())
		local name = c:local_addr()
		c:write("hello")
		c:set("linger", 0)
		c:close()
		local s = l:accept()
		check.eq(s:remote_addr(), name)
		check.eq(s:read(5), "hello")
		check.eq(s:remote_addr(), name)
		c = vai.net.dial("tcp", l:addr())
		local other = l:accept()
		other:set("linger", 0)
		other:close()
		check.returns(table.pack(c:read()), nil, "connection reset by peer", "ECONNRESET")
		check.eq(c:remote_addr(), l:addr())
		c:close()
		check.returns(table.pack(c:remote_addr()), nil, "closed")
	]])

	test("gives fewer bytes at the end, and keeps what a limit cuts short", [[
		local c, s = pair()
		c:write("abc")
		check.returns(table.pack(s:read(10, 0.01)), nil, "timeout")
		check.returns(table.pack(s:read("l", 0.01)), nil, "timeout")
		check.returns(table.pack(s:read("a", 0)), nil, "timeout")
		c:write("def")
		check.eq(s:read(6), "abcdef")
		check.returns(table.pack(s:read(nil, 0)), nil, "timeout")
		c:write("xyz")
		c:close()
		check.eq(s:read(10), "xyz")
		check.returns(table.pack(s:read(10)), nil)
	]])

	test("has a context as the limit of every call", [[
		local c, s = pair()
		local ctx, cancel = vai.context():with_cancel()
		local view = c:with(ctx)
		check.eq(view:write("before\n"), view)
		check.eq(s:read("l"), "before")
		local reader = vai.async(function() return view:read() end)
		local writer = vai.async(function() return view:write(("x"):rep(20000000)) end)
		check.waiting(reader)
		check.waiting(writer)
		cancel()
		check.returns(table.pack(reader:join()), true, nil, "canceled")
		local ok, _, why = writer:join()
		check.eq(ok, true)
		check.eq(why, "canceled")
		check.returns(table.pack(view:write("x")), nil, "canceled", nil, 0)
		check.returns(table.pack(view:read()), nil, "canceled")
		check.returns(table.pack(c:read(nil, 0)), nil, "timeout")
		check.raises("#1 to 'with'", c.with, c, {})
	]])

	test("moves much in one write, which parks, and several writers do not mix", [[
		local c, s = pair()
		local n, size = 8, check.scaled(400000)
		local wg = waitgroup()
		for i = 1, n do
			wg:go(function(w, letter, bytes)
				assert(w:write(letter:rep(bytes), letter, "\n"))
			end, c, string.char(96 + i), size)
		end
		s:max(4 * size)
		local seen = {}
		for _ = 1, n do
			local line = assert(s:read("l"))
			check.eq(#line, size + 1)
			check.eq(line, line:sub(1, 1):rep(size + 1))
			seen[line:sub(1, 1)] = true
		end
		wg:wait()
		for i = 1, n do assert(seen[string.char(96 + i)]) end
	]])

	test("has bounds for lines and for all", [[
		local c, s = pair()
		s:max(10)
		c:write("0123456789\n", ("x"):rep(11))
		check.eq(s:read("l"), "0123456789")
		check.returns(table.pack(s:read("l", 5)), nil, "too long")
		check.returns(table.pack(s:read("a", 5)), nil, "too long")
		check.eq(s:read(11), ("x"):rep(11))
		check.raises("bad argument #1 to 'max'", s.max, s, 0)
	]])

	test("is sent to other goroutines as the same object", [[
		local c, s = pair()
		local ch = chan(1)
		ch:send(s)
		go(function()
			local conn = ch:recv()
			for line in conn:lines() do conn:write(line:upper(), "\n") end
			conn:close()
		end)
		c:write("hello\n")
		check.eq(c:read("l"), "HELLO")
		c:close_write()
		check.returns(table.pack(c:read()), nil)
		ch:send(c)
		check.eq(ch:recv(), c)
	]])

	test("is closed by anybody: who waits is told, and nothing else is touched", [[
		for _, what in ipairs { "l", "L", "a", 5, false } do
			local c, s = pair()
			local reader = vai.async(function() return s:read(what or nil) end)
			check.waiting(reader)
			s:close()
			check.returns(table.pack(reader:join()), true, nil, "closed")
			s:close()
			check.returns(table.pack(s:read()), nil, "closed")
			check.returns(table.pack(s:write("x")), nil, "closed", nil, 0)
			check.returns(table.pack(s:local_addr()), nil, "closed")
			check.returns(table.pack(s:close_write()), nil, "closed")
			check.returns(table.pack(c:read()), nil)
			c:close()
		end
	]])

	test("closed during a write with data left tells how much went", [[
		local c, s = pair()
		local data = ("x"):rep(20000000)
		local writer = vai.async(function()
			local r = table.pack(c:write(data))
			return r[1], r[2], r[3], r[4] > 0 and r[4] < 20000000
		end)
		check.waiting(writer)
		c:close()
		check.returns(table.pack(writer:join()), true, nil, "closed", nil, true)
		s:close()
	]])

	test("wakes all that queue for a direction when it is closed", [[
		local c, s = pair()
		local readers = {}
		for i = 1, 10 do
			readers[i] = vai.async(function() return s:read() end)
			check.waiting(readers[i])
		end
		s:close()
		for i = 1, 10 do check.returns(table.pack(readers[i]:join()), true, nil, "closed") end
		c:close()
	]])

	test("serves several readers in their order, a whole call each", [[
		local c, s = pair()
		local out = chan(100)
		for i = 1, 5 do
			check.waiting(go(function() out:send(i .. s:read("l")) end))
		end
		-- What they read has an order, what they send afterwards has none.
		local got = {}
		local function take(n)
			for _ = 1, n do got[#got + 1] = out:recv() end
			table.sort(got)
			return table.concat(got, " ")
		end
		c:write("a\nb\n")
		check.eq(take(2), "1a 2b")
		c:write("c\nd\ne\n")
		check.eq(take(3), "1a 2b 3c 4d 5e")
	]])

	test("a reader that gives up leaves its place to the next", [[
		local c, s = pair()
		local first = vai.async(function() return s:read("l") end)
		check.waiting(first)
		local short = vai.async(function() return s:read("l", 0.01) end)
		local second = vai.async(function() return s:read("l") end)
		check.returns(table.pack(short:join()), true, nil, "timeout")
		check.waiting(second)
		first:cancel()
		check.eq(first:join(), false)
		c:write("for the second\n")
		check.returns(table.pack(second:join()), true, "for the second")
	]])

	test("a canceled reader loses nothing of what has come", [[
		local c, s = pair()
		c:write("half a ")
		local reader = vai.async(function() return s:read("l") end)
		check.waiting(reader)
		reader:cancel("enough")
		check.failed(table.pack(reader:join()), "enough")
		c:write("line\n")
		check.eq(s:read("l"), "half a line")
	]])

	test("has deadlines, in the past, moved while somebody waits, taken back after they were over", [[
		local c, s = pair()
		s:set_read_deadline(vai.now() - 1)
		check.returns(table.pack(s:read()), nil, "timeout")
		c:write("data")
		check.until_true(function() return s:read(0) == "" end)
		check.eq(s:read(), "data")
		check.returns(table.pack(s:read()), nil, "timeout")
		s:set_deadline(nil)
		local reader = vai.async(function() return s:read() end)
		check.waiting(reader)
		s:set_read_deadline(vai.now() + 100)
		check.waiting(reader)
		local t0 = vai.now()
		s:set_read_deadline(vai.now() + 0.02)
		check.returns(table.pack(reader:join()), true, nil, "timeout")
		assert(vai.now() - t0 >= 0.0199)
		local time = 0.01
		repeat -- again, where its time was over before this goroutine saw it wait
			time = 2 * time
			s:set_read_deadline(vai.now() + time)
			reader = vai.async(function() return s:read() end)
			local function settled() return reader:status() == "waiting" or reader:status() == "done" end
			check.until_true(settled)
			s:set_read_deadline()
			check.until_true(settled)
		until reader:status() == "waiting"
		vai.sleep(1.5 * time)
		check.waiting(reader)
		c:write("late")
		check.returns(table.pack(reader:join()), true, "late")
		local queued = {}
		for i = 1, 3 do queued[i] = vai.async(function() return s:read() end) check.waiting(queued[i]) end
		s:set_deadline(0)
		for i = 1, 3 do check.returns(table.pack(queued[i]:join()), true, nil, "timeout") end
		check.eq(s:write("the write deadline counts only where it waits"), s)
		local big = ("x"):rep(20000000)
		check.eq(table.pack(s:write(big)).n, 4)
		check.raises("bad argument #1 to 'set_deadline'", s.set_deadline, s, "soon")
	]])

	test("waits until a context is done, which refuses before anything is tried", [[
		local c, s = pair()
		local ctx, cancel = vai.context():with_cancel()
		local reader = vai.async(function() return s:read("l", ctx) end)
		check.waiting(reader)
		c:write("half")
		cancel()
		check.returns(table.pack(reader:join()), true, nil, "canceled")
		check.returns(table.pack(s:read(nil, ctx)), nil, "canceled")
		check.returns(table.pack(net.dial("tcp", "127.0.0.1:1", ctx)), nil, "canceled")
		check.eq(s:read(), "half")
		local l = net.listen("tcp", "127.0.0.1:0")
		check.returns(table.pack(l:accept((vai.context():with_timeout(0.01)))), nil, "deadline exceeded")
	]])

	test("with(limit) is the same connection with a limit for every call", [[
		local c, s = pair()
		local short = s:with(0.01)
		check.returns(table.pack(short:read()), nil, "timeout")
		check.returns(table.pack(short:read("l", 0)), nil, "timeout")
		local big = ("x"):rep(20000000)
		local r = table.pack(short:write(big))
		check.eq(r[2], "timeout")
		assert(r[4] < #big)
		c:write("x\n")
		check.eq(short:read("l"), "x")
		short:with(nil):close()
		check.returns(table.pack(s:read()), nil, "closed")
	]])

	test("half closed: the reader sees the end, the other way goes on", [[
		local c, s = pair()
		local reader = vai.async(function() return s:read("a") end)
		check.waiting(reader)
		c:write("done")
		assert(c:close_write())
		check.returns(table.pack(reader:join()), true, "done")
		s:write("answer")
		check.eq(c:read(), "answer")
		local why = table.pack(c:write("more"))
		check.eq(why[3], "EPIPE")
		reader = vai.async(function() return c:read() end)
		check.waiting(reader)
		assert(c:close_read())
		check.returns(table.pack(reader:join()), true, nil, "closed")
		s:write("into the void")
		check.returns(table.pack(c:read()), nil, "closed")
	]])

	test("a peer that vanishes is an error with a name, for reader and parked writer", [[
		local c, s = pair()
		local writer = vai.async(function()
			local r = table.pack(c:write(("x"):rep(50000000)))
			return r[3]
		end)
		check.waiting(writer)
		s:set("linger", 0)
		s:close()
		local ok, code = writer:join()
		assert(code == "ECONNRESET" or code == "EPIPE", tostring(code))
		local r = table.pack(c:read())
		assert(r[1] == nil and (r.n == 1 or r[3] == "ECONNRESET"))
	]])

	test("has options", [[
		local c, s = pair()
		check.eq(c:get("nodelay"), true)
		check.eq(s:get("nodelay"), true)
		assert(c:set("nodelay", false))
		check.eq(c:get("nodelay"), false)
		assert(c:set("rcvbuf", 20000))
		assert(c:get("rcvbuf") >= 20000)
		assert(c:set("linger", 3))
		check.eq(c:get("linger"), 3)
		assert(c:set("linger", false))
		check.eq(c:get("linger"), false)
		check.raises("unknown option 'colour'", c.set, c, "colour", 1)
		check.raises("unknown option 'colour'", c.get, c, "colour")
		check.raises("boolean expected", c.set, c, "nodelay", 1)
		check.raises("integer expected", c.set, c, "rcvbuf", true)
		check.raises("seconds or false expected", c.set, c, "linger", true) -- 0 would throw away what is to be sent
		c:set("linger", 0.5)
		check.eq(c:get("linger"), 1)
		c:close()
		check.returns(table.pack(c:set("nodelay", true)), nil, "closed")
	]])

	test("asks a silent peer whether it is there, unless it is told not to", [[
		local function keepalive(c) return table.pack(c:get("keepalive")) end
		local c, s = pair()
		check.returns(keepalive(c), true, 15)
		check.returns(keepalive(s), true, 15)
		assert(c:set("keepalive", 2.5))
		check.returns(keepalive(c), true, 3)
		assert(c:set("keepalive", false))
		check.returns(keepalive(c), false)
		assert(c:set("keepalive", true))
		check.returns(keepalive(c), true, 3)
		for _, bad in ipairs { 0, 32768 } do
			check.raises("argument #2 to 'set' %(" .. bad .. " seconds are out of range", c.set, c, "keepalive", bad)
		end
		check.raises("seconds or boolean expected, got string", c.set, c, "keepalive", "30")
		for option, want in pairs { [false] = { false }, [true] = { true, 15 }, [40] = { true, 40 } } do
			local l = assert(vai.net.listen("tcp", "127.0.0.1:0", { keepalive = option }))
			local c = vai.net.dial("tcp", l:addr())
			check.returns(keepalive(l:accept()), table.unpack(want))
			check.returns(keepalive(c), true, 15)
		end
		check.raises("option 'keepalive': 0", vai.net.listen, "tcp", "127.0.0.1:0", { keepalive = 0 })
		local a = vai.net.pipe()
		check.returns(keepalive(a), false)
		local _, _, code = a:set("keepalive", 30)
		check.eq(code, "ENOTSUP")
	]])

	test("says what it is, and what is wrong with arguments", [[
		local c, s = pair()
		assert(tostring(c):find("^connection: tcp 127%.0%.0%.1:%d+ %-> 127%.0%.0%.1:%d+$"))
		check.eq(c:remote_addr(), s:local_addr())
		check.eq(c:local_addr(), s:remote_addr())
		check.raises("invalid format 'x'", c.read, c, "x")
		check.raises("bad argument #1 to 'read'", c.read, c, -1)
		check.raises("bad argument #1 to 'read'", c.read, c, {})
		check.raises("bad argument #2 to 'write' %(string or buffer expected, got table%)", c.write, c, "a", {})
		check.raises("connection expected", c.read, 1)
		check.raises("bad argument #2 to 'read'", c.read, c, "l", "x")
		c:close()
		check.eq(tostring(c), "connection: tcp")
	]])

	test("closes at the end of a block, and when it is dropped", [[
		local c, s = pair()
		do local _ <close> = c end
		check.returns(table.pack(s:read()), nil)
		local d, e = pair()
		d = nil
		collectgarbage() collectgarbage()
		check.returns(table.pack(e:read()), nil)
		local a, b = pair()
		go(function() a:read() end)
		vai.yield()
		a = nil
		collectgarbage() collectgarbage()
		b:write("x")
		check.eq(b:read("a"), "")
	]])

	test("leaves the state of a goroutine that reads on and on small", [[
		local c, s = pair()
		local reader = go(function()
			local most = 0
			for i = 1, 400 do
				s:write(assert(s:read(512)))
				most = math.max(most, collectgarbage("count"))
			end
			return most
		end)
		local message = ("x"):rep(512)
		for i = 1, 400 do
			c:write(message)
			c:read(512)
		end
		local _, most = reader:join()
		assert(most < 45, most .. " kB")
		c:close() s:close()
	]])

	test("lets a collector that was stopped rest, however much is read", [[
		local c, s = pair()
		c:write(("x"):rep(20000))
		c:close_write()
		local reader = go(function()
			collectgarbage("stop")
			local gone
			do local _ = setmetatable({}, {__gc = function() gone = true end}) end
			while s:read(500) do end
			return gone, collectgarbage("isrunning")
		end)
		check.returns(table.pack(reader:join()), true, nil, false)
		c:close() s:close()
	]])

	test("opens and closes over and over with nothing left behind", [[
		local function fds()
			local n = 0
			local p = io.popen("ls /proc/" .. io.open("/proc/self/stat"):read("n") .. "/fd | wc -l")
			n = p:read("n")
			p:close()
			return n
		end
		pair()
		collectgarbage() collectgarbage()
		local before = fds()
		local l = net.listen("tcp", "127.0.0.1:0")
		local address = l:addr()
		go(function() for c in l do go(function() c:write(c:read("l"), "\n") c:close() end) end end)
		local wg = waitgroup()
		for i = 1, 10 do
			wg:go(function()
				for k = 1, check.scaled(50) do
					local c = assert(net.dial("tcp", address))
					c:write(i, " ", k, "\n")
					check.eq(c:read("l"), i .. " " .. k)
					c:close()
				end
			end)
		end
		wg:wait()
		l:close()
		collectgarbage() collectgarbage()
		check.until_true(function() return fds() <= before end)
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("reads what is there, also where no event has told of it yet", [[
		local l = net.listen("tcp", "127.0.0.1:0")
		local a = net.dial("tcp", l:addr())
		local b = l:accept()
		for i = 1, 200 do
			a:write("x", i)
			check.eq(b:read(), "x" .. i)
			a:write("y", i)
			check.eq(b:read(nil, i % 2 == 0 and 0 or nil), "y" .. i)
			b:set_read_deadline(vai.now() - 1)
			a:write("z", i)
			check.eq(b:read(), "z" .. i)
			check.returns(table.pack(b:read()), nil, "timeout")
			b:set_read_deadline(nil)
		end
	]])

	test("sees an end that came with the last bytes", [[
		local l = net.listen("tcp", "127.0.0.1:0")
		for i = 1, check.scaled(300) do
			local a = net.dial("tcp", l:addr())
			local b = l:accept()
			local reader = vai.async(function() return b:read(), (b:read()) end)
			if i % 3 == 0 then vai.yield() end
			a:write("last")
			a[i % 2 == 0 and "close_write" or "close"](a)
			check.returns(table.pack(reader:join()), true, "last", nil)
			b:close()
		end
	]])

	test("write_within writes within its limit", [[
		local a, b = net.pipe()
		check.eq(a:write_within(1, "x", 1), a)
		check.eq(a:write_within(nil, "y"), a)
		check.eq(b:read(3), "x1y")
		check.eq(a:write_within(vai.context(), "one", "two", "3", "4", "5", "6", "7", "8", "9", "10"), a)
		check.eq(b:read(15), "onetwo345678910")
		local ok, why, code, n = a:write_within(0.001, ("x"):rep(20000000))
		check.eq(ok, nil)
		check.eq(why, "timeout")
		check.eq(n > 0 and n < 20000000, true)
		check.raises("number or context expected, got string", a.write_within, a, "x")
		check.raises("string or buffer expected, got table", a.write_within, a, 1, {})
	]])

	-- Peers that leave while a file is on its way to them; SIGPIPE would end the process.
	test("sends files to peers that leave", [[
		local path = arg[1] .. "/big"
		assert(vai.fs.write_file(path, ("x"):rep(4 << 20)))
		local l = assert(net.listen("tcp", "127.0.0.1:0"))
		local clients = vai.waitgroup()
		local n = check.scaled(100)
		for i = 1, 8 do
			clients:go(function()
				for k = 1, n do
					local c = assert(net.dial("tcp", l:addr()))
					c:read(1 << (i + k) % 20)
					c:close()
				end
			end)
		end
		vai.go(function()
			for c in l do
				vai.go(function()
					local f = assert(vai.fs.open(path))
					c:send_file(f)
					f:close()
					c:close()
				end)
			end
		end)
		clients:wait()
		l:close()
	]])
end)

describe("a listener", function()
	test("accepts with a limit, a deadline, until it is closed or the goroutine canceled", [[
		local l = net.listen("tcp", "127.0.0.1:0")
		check.returns(table.pack(l:accept(0)), nil, "timeout")
		check.returns(table.pack(l:accept(0.01)), nil, "timeout")
		l:set_deadline(vai.now() + 0.01)
		check.returns(table.pack(l:accept()), nil, "timeout")
		l:set_deadline()
		local task = vai.async(function() return l:accept() end)
		check.waiting(task)
		task:cancel()
		check.failed(table.pack(task:join()), "canceled")
		local tasks = {}
		for i = 1, 5 do
			tasks[i] = vai.async(function() return l:accept() end)
			check.waiting(tasks[i])
		end
		l:close()
		l:close()
		for i = 1, 5 do check.returns(table.pack(tasks[i]:join()), true, nil, "closed") end
		check.returns(table.pack(l:accept()), nil, "closed")
		check.returns(table.pack(l:addr()), nil, "closed")
	]])

	test("has given its address back when close returns", [[
		local path = check.temp()
		for _, where in ipairs { { "tcp", "127.0.0.1:0" }, { "unix", path } } do
			local l = assert(net.listen(table.unpack(where)))
			local address = l:addr()
			for i = 1, check.scaled(60) do
				local tasks = {}
				for k = 1, 3 do tasks[k] = vai.async(function() return l:accept() end) end
				if i % 2 == 0 then check.waiting(tasks[3]) end
				if i % 3 == 0 then
					tasks[4] = vai.async(function()
						l:close()
						return nil, "closed"
					end)
				end
				l:close()
				l = assert(net.listen(where[1], address))
				for k = 1, #tasks do check.returns(table.pack(tasks[k]:join()), true, nil, "closed") end
			end
			l:close()
		end
		local p = net.packet("udp", "127.0.0.1:0")
		local address = p:local_addr()
		local task = vai.async(function() return p:recv_from() end)
		check.waiting(task)
		p:close()
		net.packet("udp", address):close()
		check.returns(table.pack(task:join()), true, nil, "closed")
		local l = net.listen("tcp", "127.0.0.1:0")
		address = l:addr()
		for _ = 1, 10 do
			local server = net.serve(l, function() end)
			vai.yield()
			server:close()
			l = assert(net.listen("tcp", address))
			server = net.serve(l, function() end)
			vai.yield()
			check.eq(server:shutdown(), true)
			l = assert(net.listen("tcp", address))
		end
		l:close()
	]])

	test("is closed in finalizers and where a goroutine is canceled, without a wait", [[
		local l = net.listen("tcp", "127.0.0.1:0")
		local acceptor = vai.async(function() return l:accept() end)
		check.waiting(acceptor)
		local task = vai.async(function()
			local _ <close> = l
			vai.sleep(3600)
		end)
		check.waiting(task)
		task:cancel()
		check.failed(table.pack(task:join()), "canceled")
		check.returns(table.pack(acceptor:join()), true, nil, "closed")
		l = net.listen("tcp", "127.0.0.1:0")
		acceptor = vai.async(function() return l:accept() end)
		check.waiting(acceptor)
		vai.async(function()
			setmetatable({}, { __gc = function() l:close() end })
		end):join()
		check.returns(table.pack(acceptor:join()), true, nil, "closed")
	]])

	test("has any number of goroutines that accept, none starves", [[
		local l = net.listen("tcp", "127.0.0.1:0")
		local got = chan(1000)
		for _ = 1, 4 do
			go(function() for c in l do got:send(c:read("l")) c:close() end end)
		end
		local n = check.scaled(200)
		local wg = waitgroup()
		for i = 1, n do
			wg:go(function(address)
				local c = assert(net.dial("tcp", address))
				c:write(i, "\n")
				check.returns(table.pack(c:read()), nil)
			end, l:addr())
		end
		local sum = 0
		for _ = 1, n do sum = sum + math.tointeger(got:recv()) end
		check.eq(sum, n * (n + 1) // 2)
		wg:wait()
		l:close()
	]])

	test("takes turns with others on one port where both ask for it", [[
		local a = net.listen("tcp", "127.0.0.1:0", { reuseport = true, backlog = 10 })
		local b = net.listen("tcp", a:addr(), { reuseport = true })
		assert(b)
		local taken = net.listen("tcp", a:addr())
		check.eq(taken, nil)
		local _, message, code = net.listen("tcp", a:addr())
		check.eq(code, "EADDRINUSE")
		check.eq(message, a:addr() .. ": address already in use")
		check.raises("unknown option 'backlock'", net.listen, "tcp", "127.0.0.1:0", { backlock = 1 })
		check.raises("option 'backlog': none", net.listen, "tcp", "127.0.0.1:0", { backlog = "none" })
		check.raises("table expected", net.listen, "tcp", "127.0.0.1:0", 1)
		check.raises("unknown network 'udp'", net.listen, "udp", "127.0.0.1:0")
	]])

	program.test("backs off without descriptors, says so once, and goes on", [[
		assert(os.execute(("ulimit -n 100; exec %s %s/inner.lua"):format(os.getenv("LUA") or "lua5.4", arg[1])))
	]], { err = "^vai: accept: too many open files; it goes on when some are closed\n$", files = { ["inner.lua"] = [[
		local vai, check = require "vai", require "check"
		local net = vai.net
		local l = net.listen("tcp", "127.0.0.1:0")
		local c = net.dial("tcp", l:addr())
		local held = check.all_files()
		check.returns(table.pack(l:accept(0.05)), nil, "timeout")
		l:set_deadline(vai.now() + 0.01)
		check.returns(table.pack(l:accept()), nil, "timeout")
		l:set_deadline()
		check.returns(table.pack(net.dial("tcp", l:addr())), nil, l:addr() .. ": too many open files", "EMFILE")
		local task = vai.async(function() return l:accept() ~= nil end)
		check.waiting(task)
		for _, f in ipairs(held) do f:close() end
		check.returns(table.pack(task:join()), true, true)
	]] } })
end)

describe("dial", function()
	test("tells what is wrong", [[
		local l = net.listen("tcp", "127.0.0.1:0")
		local dead = l:addr()
		l:close()
		check.returns(table.pack(net.dial("tcp", dead)), nil, dead .. ": connection refused", "ECONNREFUSED")
		check.returns(table.pack(net.dial("tcp", "127.0.0.1")), nil, "address '127.0.0.1': no port", "EINVAL")
		for _, port in ipairs { "65536", "99999", "-1", "+80", "4294967296" } do
			local where = "127.0.0.1:" .. port
			check.returns(table.pack(net.dial("tcp", where)), nil, ("address '%s': bad port"):format(where), "EINVAL")
			check.returns(table.pack(net.listen("tcp", where)), nil, ("address '%s': bad port"):format(where), "EINVAL")
		end
		check.returns(table.pack(net.dial("tcp4", "[::1]:80")), nil, "[::1]:80: address family not supported", "EAI_ADDRFAMILY")
		check.returns(table.pack(net.dial("tcp", "::1:80")), nil,
			"address '::1:80': too many colons: write [host]:port", "EINVAL")
		check.returns(table.pack(net.dial("tcp", "[::1")), nil, "address '[::1': no ']'", "EINVAL")
		local _, _, code = net.dial("tcp", "no.such.host.invalid:80", 10)
		assert(code == "EAI_NONAME" or code == "EAI_AGAIN" or code == nil, code)
		_, _, code = net.dial("unix", "/no/such/socket")
		check.eq(code, "ENOENT")
		check.raises("unknown network 'ftp'", net.dial, "ftp", "x")
		check.raises("bad argument #2 to 'dial'", net.dial, "tcp")
		check.raises("bad argument #3 to 'dial'", net.dial, "tcp", ":1", "now")
	]])

	test("tries the addresses of a name until one answers", [[
		local l = net.listen("tcp4", "127.0.0.1:0")
		local port = l:addr():match(":(%d+)$")
		local c = assert(net.dial("tcp", "localhost:" .. port))
		check.eq(c:remote_addr(), "127.0.0.1:" .. port)
		c = assert(net.dial("tcp", ":" .. port))
		check.eq(c:remote_addr(), "127.0.0.1:" .. port)
		l:close()
		local six = net.listen("tcp6", "[::1]:0")
		if six then
			c = assert(net.dial("tcp", six:addr()))
			check.eq(c:remote_addr(), six:addr())
			c = assert(net.dial("tcp", ":" .. six:addr():match(":(%d+)$")))
			check.eq(c:remote_addr(), six:addr())
		end
		local both = net.listen("tcp", ":0")
		assert(net.dial("tcp4", "127.0.0.1:" .. both:addr():match(":(%d+)$")))
	]])

	-- A listener whose backlog is full answers nobody.
	test("ends by a limit and by cancel", [[
		local l = net.listen("tcp", "127.0.0.1:0", { backlog = 1 })
		local held = {}
		for _ = 1, 5 do -- those that give up before they are told stay in it, too
			held[#held + 1] = net.dial("tcp", l:addr(), 0.05)
		end
		local t0 = vai.now()
		check.returns(table.pack(net.dial("tcp", l:addr(), 0.05)), nil, "timeout")
		assert(vai.now() - t0 >= 0.0499)
		local task = vai.async(function() return net.dial("tcp", l:addr()) end)
		check.waiting(task)
		task:cancel("never mind")
		check.failed(table.pack(task:join()), "never mind")
	]])
end)

describe("Unix sockets", function()
	test("have paths and abstract names", [[
		local path = arg[1] .. "/socket"
		local l = assert(net.listen("unix", path, { mode = tonumber("600", 8) }))
		check.eq(l:addr(), path)
		local c = assert(net.dial("unix", path))
		local s = l:accept()
		c:write("over a file")
		check.eq(s:read(), "over a file")
		check.eq(s:local_addr(), path)
		check.eq(c:remote_addr(), path)
		check.eq(c:local_addr(), "")
		local p = io.popen("stat -c %a " .. path)
		check.eq(p:read("l"), "600")
		p:close()
		l:close()
		check.eq(io.open(path), nil)
		local _, _, code = net.dial("unix", path)
		check.eq(code, "ENOENT")
		local name = "@vai-test-" .. tostring(l):gsub("%W", "") .. math.random(1, 1 << 40)
		l = assert(net.listen("unix", name))
		check.eq(l:addr(), name)
		c = assert(net.dial("unix", name))
		s = l:accept()
		s:write("abstract")
		check.eq(c:read(), "abstract")
		local why = table.pack(net.dial("unix", ("x"):rep(200)))
		check.eq(why[3], "EINVAL")
	]])

	test("whose backlog is full are dialed again and again", [[
		local name = "@vai-test-full-" .. math.random(1, 1 << 40)
		local l = assert(net.listen("unix", name, { backlog = 1 }))
		local held, c = {}
		repeat
			c = net.dial("unix", name, 0)
			held[#held + 1] = c
		until not c
		check.returns(table.pack(net.dial("unix", name, 0.02)), nil, "timeout")
		local task = vai.async(function() return net.dial("unix", name) ~= nil end)
		check.waiting(task)
		for _ = 1, #held do l:accept() end
		check.returns(table.pack(task:join()), true, true)
	]])

	test("come in connected pairs", [[
		local a, b = net.pipe()
		local echo = go(function() for line in b:lines() do b:write(line, "\n") end b:close() end)
		for i = 1, 1000 do
			a:write(i, "\n")
			check.eq(a:read("l"), tostring(i))
		end
		a:close_write()
		check.returns(table.pack(a:read()), nil)
		echo:join()
		local c, d = net.pipe()
		d:close()
		local _, _, code = c:write("x")
		check.eq(code, "EPIPE")
	]])
end)

describe("datagrams", function()
	test("go to and fro with their addresses", [[
		local a = assert(net.packet("udp", "127.0.0.1:0"))
		local b = assert(net.packet("udp", "127.0.0.1:0"))
		assert(a:send_to("ping", b:local_addr()))
		check.returns(table.pack(b:recv_from()), "ping", a:local_addr(), false)
		assert(b:send_to("", a:local_addr()))
		check.returns(table.pack(a:recv_from()), "", b:local_addr(), false)
		check.returns(table.pack(a:recv_from(0)), nil, "timeout")
		a:set_read_deadline(vai.now() + 0.01)
		check.returns(table.pack(a:recv_from()), nil, "timeout")
		a:set_deadline()
		local task = vai.async(function() return a:recv_from() end)
		check.waiting(task)
		a:close()
		a:close()
		check.returns(table.pack(task:join()), true, nil, "closed")
		check.raises("not an address in numbers", b.send_to, b, "x", "localhost:1")
		check.raises("no port", b.send_to, b, "x", "127.0.0.1")
		local _, _, code = b:send_to(("x"):rep(70000), b:local_addr())
		check.eq(code, "EMSGSIZE")
		local all = assert(net.packet("udp", ":0"))
		assert(all:send_to("to four", b:local_addr()))
		check.eq((b:recv_from()), "to four")
		check.raises("unknown network 'tcp'", net.packet, "tcp", ":0")
	]])

	test("connected ones are read one by one, and a refusal comes with the next call", [[
		local p = net.packet("udp", "127.0.0.1:0")
		local c = assert(net.dial("udp", p:local_addr()))
		c:write("one", "and the same")
		c:write("two")
		check.eq((p:recv_from()), "oneand the same")
		local data, from = p:recv_from()
		check.eq(data, "two")
		check.eq(from, c:local_addr())
		p:send_to("", from)
		check.eq(c:read(), "")
		p:send_to("abc", from)
		check.eq(c:read(2), "ab")
		check.eq(c:read(), "c")
		p:close()
		check.eq(c:write("nobody there"), c)
		local _, _, code = c:read(nil, 5)
		check.eq(code, "ECONNREFUSED")
		check.returns(table.pack(c:read(nil, 0.01)), nil, "timeout")
	]])

	test("of Unix are cut off where they are too long, and told", [[
		local base = "@vai-test-dgram-" .. math.random(1, 1 << 40)
		local a, b = assert(net.packet("unixgram", base .. "a")), assert(net.packet("unixgram", base .. "b"))
		a:send_to("hello", base .. "b")
		check.returns(table.pack(b:recv_from()), "hello", base .. "a", false)
		if a:send_to(("x"):rep(100000), base .. "b") then
			local data, _, truncated = b:recv_from()
			check.eq(#data, 65536)
			check.eq(truncated, true)
		end
		local n = 0
		while a:send_to("fill", base .. "b", 0) do n = n + 1 end
		local task = vai.async(function() return a:send_to("last", base .. "b") end)
		check.waiting(task)
		for _ = 1, n do check.eq((b:recv_from()), "fill") end
		check.eq((b:recv_from()), "last")
		check.returns(table.pack(task:join()), true, true)
	]])

	test("of Unix whose receiver has gone tell that, and no other error in its place", [[
		local name = "@vai-test-dgram-" .. math.random(1, 1 << 40)
		local to = assert(net.packet("unixgram", name))
		local c = assert(net.dial("unixgram", name))
		assert(c:write("there"))
		to:close()
		check.returns(table.pack(c:write("gone")), nil, "connection refused", "ECONNREFUSED", 0)
	]])
end)

describe("names", function()
	test("are looked up without a thread being held", [[
		local list = assert(net.lookup("localhost"))
		local found = {}
		for _, a in ipairs(list) do found[a] = true end
		assert(found["127.0.0.1"] or found["::1"])
		check.eq(net.lookup("127.0.0.1")[1], "127.0.0.1")
		check.eq(net.lookup("::1")[1], "::1")
		local names = assert(net.lookup_addr("127.0.0.1"))
		assert(#names > 0 and names[1]:find("%a"))
		check.returns(table.pack(net.lookup("localhost", 0)), nil, "timeout")
		check.returns(table.pack(net.lookup_addr("localhost")), nil, "address 'localhost': not in numbers", "EINVAL")
		for _, bad in ipairs { "", "a\0b", ("x"):rep(300) } do
			local list, why, code = net.lookup(bad)
			assert(list == nil and why:find "^host '.*': bad host name$", why)
			check.eq(code, "EINVAL")
		end
		local wg = waitgroup()
		for _ = 1, 30 do wg:go(function() assert(net.lookup("localhost")) end) end
		wg:wait()
	]])
end)

describe("the poller", function()
	test("is looked at although there is always work", [[
		local c, s = pair()
		local stop = vai.chan(1)
		local spinners = {}
		for i = 1, 20 do
			spinners[i] = vai.async(function() while not stop:is_closed() do vai.yield() end end)
		end
		for i = 1, 20 do
			c:write(i, "\n")
			check.eq(s:read("l"), tostring(i))
		end
		stop:close()
		for i = 1, 20 do spinners[i]:join() end
	]])

	test("gives its turn to goroutines beside one whose socket is always ready", [[
		local c, s = pair()
		local stop, begun = vai.chan(1), vai.chan()
		local busy = vai.async(function()
			local n = 0
			while not stop:is_closed() do
				c:write("x")
				n = n + #s:read(1)
				if n == 1 then begun:close() end
			end
			return n
		end)
		local a, b = pair()
		begun:recv()
		for _ = 1, 20 do
			go(function() b:write((b:read("l")), "\n") end)
			a:write("me too\n")
			check.eq(a:read("l"), "me too")
		end
		stop:close()
		local ok, n = busy:join()
		assert(ok and n > 0)
	]])

	test("is hope: who waits in a socket is no deadlock, and dumps tell of it", [[
		local l = net.listen("tcp", "127.0.0.1:0")
		local reader = go(function()
			local c = net.dial("tcp", l:addr())
			c:read()
		end)
		local s = l:accept()
		local waiting = go(function() l:accept() end)
		check.waiting(reader)
		check.waiting(waiting)
		local name = arg[1] .. "/dump"
		vai.dump(io.open(name, "w"))
		local text = io.open(name):read("a")
		assert(text:find("[IO wait: read tcp 127.0.0.1:%d+ -> " .. l:addr():gsub("%p", "%%%0") .. "]:") or
			text:find("%[IO wait: read tcp 127%.0%.0%.1:%d+ %-> 127%.0%.0%.1:%d+%]:"), text)
		assert(text:find("[IO wait: accept tcp " .. l:addr() .. "]:", 1, true), text)
		vai.sleep(0.02)
		s:write("x")
		reader:join()
	]])

	test("drops events of a descriptor whose number is another's by now", [[
		for i = 1, check.scaled(300) do
			local a, b = net.pipe()
			local c, d = net.pipe()
			local reader = vai.async(function() return a:read() end)
			b:write("x")
			a:close()
			b:close()
			local e, f = net.pipe()
			check.returns(table.pack(e:read(nil, 0)), nil, "timeout")
			d:write("y")
			check.eq(c:read(), "y")
			f:write("z")
			check.eq(e:read(), "z")
			reader:join()
		end
	]])
end)
