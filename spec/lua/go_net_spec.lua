-- SPDX-License-Identifier: MIT
-- What Go's tests of package net ask of connections, listeners and datagrams, asked of vai's: time-outs, deadlines that
-- move while somebody waits, half close, races of accept and close, dials that are given up. Where vai means to differ
-- (data that is there wins over a deadline that is over) the test says so.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- After narrow(from, to) what fits in between is a small part of big.
local head = [[
	local net = vai.net
	local function unique() return "@vai-test-" .. math.random(1, 1 << 60) end
	local addresses = { tcp = function() return "127.0.0.1:0" end, tcp6 = function() return "[::1]:0" end, unix = unique }
	local function listen(kind, ...) return assert(net.listen(kind, addresses[kind](), ...)) end
	local function pair(kind)
		if kind == "pipe" then return net.pipe() end
		local l <close> = listen(kind)
		local c = assert(net.dial(kind, l:addr()))
		return c, assert(l:accept())
	end
	local function task(f, ...) local t = vai.async(f, ...) check.waiting(t) return t end
	local function gives(t, ...) check.returns(table.pack(t:join()), true, ...) end
	local function result(i, ...) return (table.pack(...)[i]) end
	local big = ("x"):rep(1000000)
	local function narrow(from, to) from:set("sndbuf", 30000) to:set("rcvbuf", 30000) end
]]
local test = program.tester(head)

-- For each kind of stream: KIND stands for its name.
local function streams(name, source, opts)
	for _, kind in ipairs { "tcp", "tcp6", "unix", "pipe" } do
		test(("%s: %s"):format(kind, name), (source:gsub("KIND", kind)), opts or { sample = 1 })
	end
end

describe("a stream", function()
	streams("brings what was written, in order, and then the end", [[
		local a, b = pair "KIND"
		local text = {}
		for i = 1, check.scaled(80000) do text[i] = ("%d line"):format(i) end
		text = table.concat(text, "\n")
		local sender = go(function() a:write(text) a:close_write() end)
		b:max(#text + 1, #text + 1)
		check.eq(b:read("a") == text, true)
		check.returns(table.pack(b:read()), nil)
		sender:join()
		b:write("back")
		b:close()
		check.eq(a:read("a"), "back")
	]])

	streams("goes to and fro", [[
		local a, b = pair "KIND"
		local other = vai.async(function()
			for line in b:lines() do b:write(tonumber(line) + 1, "\n") end
			b:close()
		end)
		local n = 0
		for _ = 1, 200 do
			a:write(n, "\n")
			n = tonumber(a:read("l")) + 1
		end
		check.eq(n, 400)
		a:close()
		gives(other)
	]])

	streams("is read by many at once, whose deadline moves: each byte once", [[
		local a, b = pair "KIND"
		local rest = 20000
		local sender = vai.async(function() assert(a:write(("x"):rep(rest))) a:close() end)
		local got, readers = vai.atomic(), waitgroup()
		for _ = 1, 8 do
			readers:go(function()
				while true do
					b:set_read_deadline(vai.now() + 0.0005)
					local s, why = b:read(100)
					if s then got:add(#s) elseif why ~= "timeout" then return end
				end
			end)
		end
		readers:wait()
		sender:join()
		check.eq(got:get(), rest)
	]])

	streams("is written by many at once, whose deadline moves: what they count has come", [[
		local a, b = pair "KIND"
		local came = vai.async(function()
			local n = 0
			while true do
				local s = b:read()
				if not s then return n end
				n = n + #s
				vai.sleep(0.0001)
			end
		end)
		local sent, writers = vai.atomic(), waitgroup()
		for _ = 1, 8 do
			writers:go(function()
				for _ = 1, 20 do
					a:set_write_deadline(vai.now() + 0.0005)
					local ok, why, code, n = a:write(("x"):rep(30000))
					if not ok and why ~= "timeout" then error(why) end
					sent:add(ok and 30000 or n)
				end
			end)
		end
		writers:wait()
		a:close()
		gives(came, sent:get())
	]])

	streams("with a deadline in the past does not wait, in either direction, until it is taken back", [[
		local a, b = pair "KIND"
		narrow(a, b)
		for _, t in ipairs { vai.now() - 1, 0, -1, vai.now(), -math.huge } do
			a:set_deadline(t)
			for _ = 1, 3 do
				check.returns(table.pack(a:read(1)), nil, "timeout")
				check.eq(result(2, a:write(big)), "timeout")
			end
		end
	]])

	streams("with a deadline to come waits that long and no shorter, over and over", [[
		local a, b = pair "KIND"
		narrow(a, b)
		for _, s in ipairs { 0.001, 0.004, 0.0005, 0.002 } do
			local t = vai.now() + s
			a:set_deadline(t)
			check.returns(table.pack(a:read()), nil, "timeout")
			assert(vai.now() >= t)
			t = vai.now() + s
			a:set_deadline(t)
			check.eq(result(2, a:write(big)), "timeout")
			assert(vai.now() >= t)
		end
		for _, never in ipairs { math.huge, 1e300, vai.now() + 1e9, false } do
			a:set_deadline(never or nil)
			local reader = task(function() return a:read() end)
			vai.sleep(0.002)
			check.eq(reader:status(), "waiting")
			b:write("x")
			gives(reader, "x")
		end
	]])

	streams("whose deadline is set now ends those who wait, and serves the next", [[
		local a, b = pair "KIND"
		narrow(a, b)
		for _ = 1, 20 do
			local reader, writer = task(function() return a:read() end), task(function() return result(2, a:write(big)) end)
			a:set_deadline(vai.now())
			gives(reader, nil, "timeout")
			gives(writer, "timeout")
			a:set_deadline()
		end
		local reader = task(function() return a:read("l") end)
		b:write("line\n")
		gives(reader, "line")
		go(function() while b:read() do end end)
		check.eq(a:write("x"), a)
		b:close()
	]])

	streams("prolongs a deadline while somebody waits: only the last one counts", [[
		local a, b = pair "KIND"
		local time, in_time, reader = 0.01, nil, nil
		repeat -- again, where the first deadline was over before it was moved
			time = 2 * time
			local first = vai.now() + time
			a:set_read_deadline(first)
			reader = vai.async(function() return a:read() end)
			check.until_true(function() return reader:status() == "waiting" or reader:status() == "done" end)
			a:set_read_deadline(vai.now() + 100)
			in_time = vai.now() < first
			for _ = 1, 50 do a:set_read_deadline(vai.now() + 100) vai.yield() end
			vai.sleep(first + 0.01 - vai.now())
		until in_time
		check.eq(reader:status(), "waiting")
		for _ = 1, 50 do a:set_read_deadline(vai.now() + 100 - _) end
		a:set_read_deadline(vai.now() + 0.001)
		gives(reader, nil, "timeout")
	]])

	streams("has a read deadline that does not hold for writes, and the other way round", [[
		local a, b = pair "KIND"
		a:set_read_deadline(vai.now() - 1)
		check.eq(a:write("there\n"), a)
		check.eq(b:read("l"), "there")
		check.returns(table.pack(a:read()), nil, "timeout")
		a:set_read_deadline()
		a:set_write_deadline(vai.now() - 1)
		b:write("back\n")
		check.eq(a:read("l"), "back")
		narrow(b, a)
		check.eq(result(2, b:with(0):write(big)), "timeout")
		local reader = task(function() return b:read("l") end)
		a:set_write_deadline()
		a:write("once more\n")
		gives(reader, "once more")
	]])

	-- In Go a deadline that is over wins.
	streams("gives what is there although the deadline is over", [[
		local a, b = pair "KIND"
		a:write("data")
		check.eq(b:read(1), "d")
		b:set_deadline(vai.now() - 1)
		check.eq(b:read(), "ata")
		check.eq(b:write("there is room"), b)
		check.returns(table.pack(b:read()), nil, "timeout")
	]])

	streams("wakes who waits when it is closed, in all its directions, and by any number of closers", [[
		for round = 1, 20 do
			local a, b = pair "KIND"
			narrow(a, b)
			local waiters = {}
			for i = 1, 3 do
				waiters[#waiters + 1] = task(function() return a:read() end)
				waiters[#waiters + 1] = task(function() return nil, result(2, a:write(big)) end)
			end
			local closers = waitgroup()
			for _ = 1, 3 do closers:go(a.close, a) end
			closers:wait()
			for _, w in ipairs(waiters) do gives(w, nil, "closed") end
			check.returns(table.pack(a:read()), nil, "closed")
			check.eq(result(2, a:write("x")), "closed")
			check.eq(a:set_deadline(vai.now()), nil)
			check.eq(result(2, a:close_write()), "closed")
			check.eq(result(2, a:close_read()), "closed")
		end
	]])

	streams("closed by the peer is at its end for readers, broken for writers who waited", [[
		local a, b = pair "KIND"
		local reader = task(function() return a:read("a") end)
		b:write("last")
		b:close()
		gives(reader, "last")
		local c, d = pair "KIND"
		narrow(c, d)
		local writer = task(function() return result(3, c:write(big)) end)
		d:close()
		local _, code = writer:join()
		assert(code == "EPIPE" or code == "ECONNRESET", code)
	]])

	streams("has its methods called all at once", [[
		for _ = 1, 10 do
			local a, b = pair "KIND"
			local all = waitgroup()
			for i = 1, 20 do
				all:go(function() a:read(i, 0.001) end)
				all:go(function() a:with(0.001):write(("x"):rep(1024)) end)
				all:go(function() a:set_deadline(vai.now() + 0.01) end)
				all:go(function() a:set_read_deadline(vai.now() + 0.01) end)
				all:go(function() a:set_write_deadline(vai.now() + 0.01) end)
				all:go(function() a:local_addr() a:remote_addr() tostring(a) end)
			end
			all:wait()
			a:close()
			b:close()
		end
		check.until_true(function() return vai.count() == 1 end)
	]])

	streams("is closed while its deadline fires: no descriptor and no goroutine stays", [[
		local before = check.fds()
		for i = 1, 50 do
			local a, b = pair "KIND"
			local reader = task(function() return a:read() end)
			a:set_read_deadline(vai.now() + 0.0001 * (i % 5))
			if i % 2 == 0 then vai.yield() end
			a:close()
			local ok, s, why = reader:join()
			assert(ok and s == nil and (why == "closed" or why == "timeout"), why)
			b:close()
		end
		check.eq(check.fds(), before)
		check.until_true(function() return vai.count() == 1 end)
	]])

	streams("reads nothing at once where nothing is asked for", [[
		local a, b = pair "KIND"
		b:write("x")
		check.eq(a:read(0), "")
		check.eq(a:read(1), "x")
		check.eq(a:write(""), a)
		check.eq(a:write(), a)
		check.returns(table.pack(b:read(1, 0)), nil, "timeout")
		b:close()
		check.returns(table.pack(a:read(0)), nil)
	]])
end)

describe("half a connection", function()
	for _, kind in ipairs { "tcp", "tcp6", "unix" } do
		test(kind .. ": is closed, the other half goes on", ([[
			local a, b = pair "KIND"
			a:write("first")
			check.eq(a:close_write(), true)
			check.eq(a:close_write(), true)
			check.eq(b:read("a"), "first")
			local _, _, code = a:write("x")
			check.eq(code, "EPIPE")
			local reader = task(function() return a:read("l") end)
			b:write("still here\n")
			gives(reader, "still here")
			local other = task(function() return a:read() end)
			check.eq(a:close_read(), true)
			gives(other, nil, "closed")
			check.returns(table.pack(a:read()), nil, "closed")
		]]):gsub("KIND", kind), { sample = 1 })
	end

	test("ends behind what is still being written", [[
		local a, b = pair "tcp"
		local size = 5000000
		local writer = task(function() return a:write(("x"):rep(size)) == a end)
		local closer = task(function() return a:close_write() end)
		b:max(size, size)
		check.eq(#b:read("a"), size)
		gives(writer, true)
		gives(closer, true)
	]])
end)

describe("a listener", function()
	for _, kind in ipairs { "tcp", "tcp6", "unix" } do
		local function kinds(name, source)
			test(kind .. ": " .. name, (source:gsub("KIND", kind)), { sample = 1 })
		end

		kinds("has deadlines: in the past, to come, moved, taken back", [[
			local l = listen "KIND"
			for _, t in ipairs { vai.now() - 1, 0, vai.now() } do
				l:set_deadline(t)
				check.returns(table.pack(l:accept()), nil, "timeout")
				check.returns(table.pack(l:accept()), nil, "timeout")
			end
			local t = vai.now() + 0.005
			l:set_deadline(t)
			check.returns(table.pack(l:accept()), nil, "timeout")
			assert(vai.now() >= t)
			l:set_deadline(vai.now() + 100)
			local waiters = {}
			for i = 1, 5 do waiters[i] = task(function() return l:accept() end) end
			l:set_deadline(vai.now() - 1)
			for i = 1, 5 do gives(waiters[i], nil, "timeout") end
			l:set_deadline()
			local waiter = task(function() return l:accept() ~= nil end)
			vai.sleep(0.002)
			check.eq(waiter:status(), "waiting")
			assert(net.dial("KIND", l:addr()))
			gives(waiter, true)
		]])

		kinds("closed wakes all who wait, and takes what nobody has accepted with it", [[
			local l = listen "KIND"
			local address, waiters = l:addr(), {}
			for i = 1, 20 do waiters[i] = task(function() return l:accept() end) end
			l:close()
			for i = 1, 20 do gives(waiters[i], nil, "closed") end
			check.returns(table.pack(l:accept()), nil, "closed")
			check.returns(table.pack(l:accept(0)), nil, "closed")
			l:close()
			local _, _, code = net.dial("KIND", address)
			check.eq(code, "ECONNREFUSED")
			l = listen "KIND"
			local c = assert(net.dial("KIND", l:addr()))
			l:close()
			local s, _, why = c:read()
			assert(s == nil and (why == nil or why == "ECONNRESET"), why)
		]])

		kinds("listens again where another has been closed, at once", [[
			local l = listen "KIND"
			local address = l:addr()
			for _ = 1, 20 do
				local acceptor = task(function() return l:accept() end)
				l:close()
				gives(acceptor, nil, "closed")
				l = assert(net.listen("KIND", address))
			end
			local c = assert(net.dial("KIND", address))
			local s = l:accept()
			s:close()
			c:close()
			l:close()
			l = assert(net.listen("KIND", address))
		]])

		kinds("goes on after a client that went away before it was accepted", [[
			local l = listen "KIND"
			for _ = 1, 5 do
				local c = assert(net.dial("KIND", l:addr()))
				c:set("linger", 0)
				c:close()
			end
			local c = assert(net.dial("KIND", l:addr()))
			c:write("alive")
			for i = 1, 6 do
				local s = assert(l:accept(5))
				local said = s:read()
				if said then
					check.eq(said, "alive")
					return
				end
			end
			error("not accepted")
		]])

		kinds("accepts for many at once, each connection once, and closes in the middle", [[
			local l = listen "KIND"
			local address = l:addr()
			local accepted, acceptors = vai.atomic(), waitgroup()
			for _ = 1, 10 do
				acceptors:go(function()
					while true do
						local s, why = l:accept()
						if not s then assert(why == "closed", why) return end
						accepted:add(1)
						s:write("hello\n")
						s:close()
					end
				end)
			end
			local clients = waitgroup()
			for _ = 1, 10 do
				clients:go(function()
					for _ = 1, 10 do
						local c = assert(net.dial("KIND", address))
						check.eq(c:read("l"), "hello")
						c:close()
					end
				end)
			end
			clients:wait()
			check.eq(accepted:get(), 100)
			local more = waitgroup()
			for _ = 1, 20 do more:go(function() local c = net.dial("KIND", address) if c then c:read() c:close() end end) end
			l:close()
			acceptors:wait()
			more:wait()
			check.until_true(function() return vai.count() == 1 end)
		]])
	end

	test("of a path takes the name with it, and not another's", [[
		local path = arg[1] .. "/s"
		local l = assert(net.listen("unix", path))
		local _, _, code = net.listen("unix", path)
		check.eq(code, "EADDRINUSE")
		check.eq(vai.fs.stat(path) ~= nil, true)
		l:close()
		check.eq(vai.fs.stat(path), nil)
		l = assert(net.listen("unix", path))
		local c = assert(net.dial("unix", path))
		check.eq(c:remote_addr(), path)
		check.eq(assert(l:accept()):local_addr(), path)
	]])

	test("of one address is not that of the other family", [[
		local four, six = listen "tcp", listen "tcp6"
		assert(four:addr():find("^127%.0%.0%.1:%d+$"))
		assert(six:addr():find("^%[::1%]:%d+$"))
		assert(net.dial("tcp4", four:addr()))
		assert(net.dial("tcp6", six:addr()))
		check.eq(net.dial("tcp6", four:addr(), 1), nil)
		check.eq(net.dial("tcp4", six:addr(), 1), nil)
		local both = assert(net.listen("tcp", ":0"))
		local port = both:addr():match("(%d+)$")
		assert(net.dial("tcp4", "127.0.0.1:" .. port))
		assert(net.dial("tcp6", "[::1]:" .. port))
		assert(net.dial("tcp", ":" .. port))
		assert(net.dial("tcp", "localhost:" .. port))
		for _ = 1, 4 do assert(both:accept(5)) end
		local only = assert(net.listen("tcp4", ":0"))
		check.eq(net.dial("tcp6", "[::1]:" .. only:addr():match("(%d+)$"), 1), nil)
	]])
end)

describe("a dial", function()
	-- A listener whose backlog is full, and what is in it.
	local slow = [[
		local l = listen("tcp", { backlog = 1 })
		local held, c = {}
		repeat c = net.dial("tcp", l:addr(), 0.05) held[#held + 1] = c until not c
	]]

	test("that is given up leaves no descriptor and no goroutine", slow .. [[
		local before = check.fds()
		local dials = {}
		local ctx, cancel = vai.context():with_cancel()
		for i = 1, 20 do
			local limit = i % 4 == 0 and 0.01 or i % 4 == 1 and ctx or nil
			dials[i] = vai.async(function() return net.dial("tcp", l:addr(), limit) end)
			check.until_true(function() return dials[i]:status() ~= "runnable" and dials[i]:status() ~= "running" end)
		end
		cancel()
		for i = 1, 20 do
			if i % 4 > 1 then dials[i]:cancel("enough") end
			local r = table.pack(dials[i]:join())
			check.eq(r[i % 4 > 1 and 2 or 3], i % 4 == 0 and "timeout" or i % 4 == 1 and "canceled" or "enough")
		end
		-- The portable poller's loop closes descriptors when it comes round.
		check.until_true(function() return check.fds() == before end)
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("that is refused and one that is canceled are told apart, also when both happen", [[
		local port = check.free_port()
		check.returns(table.pack(net.dial("tcp", "127.0.0.1:" .. port)), nil, "127.0.0.1:" .. port .. ": connection refused",
			"ECONNREFUSED")
		local done, cancel_done = vai.context():with_cancel()
		cancel_done()
		check.returns(table.pack(net.dial("tcp", "127.0.0.1:" .. port, done)), nil, "canceled")
		for _ = 1, 100 do
			local ctx, cancel = vai.context():with_cancel()
			local dialer = vai.async(function() return net.dial("tcp", "127.0.0.1:" .. port, ctx) end)
			cancel()
			local _, c, why, code = dialer:join()
			assert(c == nil and (why == "canceled" or code == "ECONNREFUSED"), why)
		end
	]])

	test("canceled after it has succeeded changes nothing", [[
		local l = listen "tcp"
		local ctx, cancel = vai.context():with_cancel()
		local c = assert(net.dial("tcp", l:addr(), ctx))
		local s = l:accept()
		cancel()
		c:write("on\n")
		check.eq(s:read("l"), "on")
		s:write("and on\n")
		check.eq(c:read("l"), "and on")
	]])

	test("whose limit is immense waits for ever", [[
		local l = listen "tcp"
		for _, limit in ipairs { math.huge, 1e300, 9223372036, 1e18, math.maxinteger } do
			local c = assert(net.dial("tcp", l:addr(), limit))
			c:close()
			assert(l:accept(limit)):close()
		end
	]])

	test("does not connect to itself", [[
		for _ = 1, 200 do
			local port = check.free_port()
			local c = net.dial("tcp", "127.0.0.1:" .. port, 5)
			if c then
				assert(c:local_addr() ~= c:remote_addr())
				c:close()
			end
		end
	]], { sample = 1 })

	test("of a name tries every family that it has", [[
		local four = listen "tcp"
		local six = net.listen("tcp6", "[::1]:" .. four:addr():match("(%d+)$"))
		local address = "localhost:" .. four:addr():match("(%d+)$")
		for _ = 1, 2 do
			local c = assert(net.dial("tcp", address, 5))
			c:close()
			if six then six:close() end -- from now on only one answers
		end
	]])
end)

describe("datagrams", function()
	test("have deadlines that move while somebody waits", [[
		local p = assert(net.packet("udp", "127.0.0.1:0"))
		local q = assert(net.packet("udp", "[::1]:0"))
		for _, s in ipairs { p, q } do
			s:set_read_deadline(vai.now() - 1)
			check.returns(table.pack(s:recv_from()), nil, "timeout")
			local t = vai.now() + 0.003
			s:set_read_deadline(t)
			check.returns(table.pack(s:recv_from()), nil, "timeout")
			assert(vai.now() >= t)
			s:set_deadline(vai.now() + 100)
			local waiters = {}
			for i = 1, 5 do waiters[i] = task(function() return s:recv_from() end) end
			s:set_deadline(0)
			for i = 1, 5 do gives(waiters[i], nil, "timeout") end
			s:set_deadline()
			s:send_to("x", s:local_addr())
			check.returns(table.pack(s:recv_from()), "x", s:local_addr(), false)
			s:set_write_deadline(0)
			check.eq(s:send_to("there is room", s:local_addr()), true)
			local reader = task(function() s:recv_from() return s:recv_from() end)
			s:close()
			gives(reader, nil, "closed")
			check.returns(table.pack(s:send_to("x", "127.0.0.1:1")), nil, "closed")
		end
	]])

	test("may be empty, connected or not", [[
		local p = assert(net.packet("udp", "127.0.0.1:0"))
		local c = assert(net.dial("udp", p:local_addr()))
		for _ = 1, 3 do
			check.eq(c:write(""), c)
			check.returns(table.pack(p:recv_from(5)), "", c:local_addr(), false)
			p:send_to("", c:local_addr())
			check.eq(c:read(nil, 5), "")
		end
		local a, b = unique(), unique()
		local from, to = assert(net.packet("unixgram", a)), assert(net.packet("unixgram", b))
		from:send_to("", b)
		check.returns(table.pack(to:recv_from(5)), "", a, false)
	]])

	test("that are refused tell it once, and the socket goes on", [[
		local p = net.packet("udp", "127.0.0.1:0")
		local address = p:local_addr()
		local c = assert(net.dial("udp", address))
		p:close()
		local reader = task(function() return result(3, c:read()) end)
		c:write("to nobody")
		gives(reader, "ECONNREFUSED")
		p = assert(net.packet("udp", address))
		c:write("to somebody")
		check.eq((p:recv_from(5)), "to somebody")
		p:send_to("back", c:local_addr())
		check.eq(c:read(nil, 5), "back")
	]])

	test("are read by many, each once", [[
		local p, q = net.packet("udp", "127.0.0.1:0"), net.packet("udp", "127.0.0.1:0")
		local seen, readers = vai.map(), waitgroup()
		for _ = 1, 5 do
			readers:go(function()
				while true do
					local data = p:recv_from()
					if not data then return end
					seen:add(data, 1)
				end
			end)
		end
		for i = 1, 100 do
			q:send_to(tostring(i), p:local_addr())
			check.until_true(function() return seen:get(tostring(i)) == 1 end)
		end
		p:close()
		readers:wait()
		check.eq(#seen, 100)
	]])
end)
