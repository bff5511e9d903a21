-- SPDX-License-Identifier: MIT
-- vai.nats: a client of NATS, against nats-server.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

local test_of_nats = program.tester [[
	local nats, servers, nth = require "vai.nats", require "nats", _G.select
	local function server(more) return servers.start(arg[1], more) end
	local worker_file = package.searchpath("nats_worker", package.path)
]]
local function test(name, source, opts)
	opts = opts or {}
	opts.needs = "command:nats-server"
	test_of_nats(name, source, opts)
end

describe("vai.nats", function()
	-- What opens it, and the methods that the program has, are not loaded by the goroutines behind it.
	test("holds some 200 kB for a connection, which took 450", [[
		local s <close> = server()
		local held = {}
		local function connect(n)
			for _ = 1, n do held[#held + 1] = assert(nats.connect(s.url)) end
			collectgarbage()
			return check.rss()
		end
		local before, each = connect(40), math.huge
		for _ = 1, 4 do -- pages are taken in lots, so one look may see those of others
			local now = connect(80)
			before, each = now, math.min(each, (now - before) / 80)
			if each < 340 then break end
		end
		assert(check.slowness > 1 or each < 340, each .. " kB")
	]])

	-- With a module of others, which may wait in C, a goroutine leaves main's thread for another.
	test("keeps nobody off main's thread", [[
		local function use(name)
			check.eq(vai.async(function()
				local module = require(name)
				vai.sleep(0.001)
				return next(module) ~= nil
			end):join(), true)
			local threads = 0
			for _ in vai.fs.scandir("/proc/self/task") do threads = threads + 1 end
			return threads
		end
		check.eq(use("vai.nats.core"), 2)
		check.eq(use("vai.nats"), 2)
		check.eq(use("cjson"), 3)
	]], { procs = 1, env = { VAI_MAXPROCS = "1" } })

	test("publishes, subscribes, asks and answers", [[
		local s <close> = server()
		local a <close> = assert(nats.connect(s.url))
		local b <close> = assert(nats.connect(s.url))
		local sub = assert(b:subscribe("news.*"))
		check.eq(b:flush(10), true)
		a:publish("news.one", "hello", { headers = { Colour = "red" } })
		a:publish("other", "not this")
		a:publish("news.two", ("x"):rep(200000) .. "\r\n\0")
		local m = assert(sub:recv(10))
		check.eq(m.subject .. " " .. m.data .. " " .. m.headers.Colour, "news.one hello red")
		check.eq(#sub:recv(10).data, 200003)
		check.returns(table.pack(sub:recv(0)), nil, "timeout")

		local ch, there = a:chan("words"), b:chan("words")
		check.eq(there:listen(10), true)
		local value = { 1, 2.0, "three", { deep = { true } }, big = 1 << 60, bytes = "\xff\0" }
		ch:send(value)
		check.same(there:recv(10), value)
		local wg = waitgroup()
		wg:go(function() for i = 1, 1000 do ch:send(i) end end)
		for i = 1, 1000 do check.eq(there:recv(10), i) end
		wg:wait()
		check.eq((there:lost()), 0)
		local i, v = select { there:chan(), timeout = 0.01 }
		check.eq(v, "timeout")
		ch:send("last")
		i, v = select { vai.chan(), there, timeout = 10 }
		check.eq(i, 2)
		check.eq(v, "last")
		check.eq(select { remote = there, default = true }, nil)
		check.raises("field 'f': function cannot cross to another machine", ch.send, ch, { f = print })

		check.returns(table.pack(a:request("nobody", 1, 10)), nil, "no responders")
		local svc = assert(b:serve("double", function(n) return n * 2 end, { workers = 2 }))
		check.eq(a:request("double", 21, 10), 42)
		local _, why = a:request("double", {}, 10)
		check.eq(why:find("attempt to perform arithmetic on a table value") ~= nil, true)
		check.eq(svc:close(10), true)
		there:close()
		check.returns(table.pack(there:recv()), nil, "closed")
	]])
end)

describe("a stream", function()
	test("stores what is sent, and delivers until it is acknowledged", [[
		local s <close> = server "jetstream { store_dir: '$DIR/js' }"
		local nc <close> = assert(nats.connect(s.url))
		local none, why = nc:stream("JOBS")
		check.eq(none, nil)
		check.eq(why, "stream 'JOBS': stream not found")
		local st = assert(nc:stream("JOBS", { subjects = { "jobs" }, durable = "workers", ack_wait = 1, batch = 4 }))
		local again = assert(nc:stream("JOBS", { durable = "workers", ack_wait = 1, batch = 4 }))
		check.eq(st:send({ n = 1 }), 1)
		check.returns(table.pack(st:send("two", nil, { id = "twice" })), 2, false)
		check.returns(table.pack(st:send("two", nil, { id = "twice" })), 2, true)
		local m = assert(st:recv(10))
		check.eq(m.value.n, 1)
		check.eq(m.sequence, 1)
		check.eq(m.redelivered, false)
		check.eq(m:nak(), true)
		local seen = {}
		for _ = 1, 2 do
			m = assert(st:recv(10))
			seen[m.sequence] = m.deliveries
			check.eq(m:ack(10), true)
		end
		check.eq(seen[1], 2)
		check.eq(seen[2], 1)
		check.returns(table.pack(st:recv(0.01)), nil, "timeout")
		local wg = waitgroup()
		for i = 1, 8 do wg:go(function() for k = 1, 10 do assert(st:send(100 * i + k)) end end) end
		local got = {}
		for _ = 1, 80 do
			m = assert(again:recv(10))
			check.eq(m:ack(), true)
			got[m.value] = (got[m.value] or 0) + 1
		end
		wg:wait()
		for i = 1, 8 do for k = 1, 10 do check.eq(got[100 * i + k], 1) end end
	]])

	test("gives nothing again that was acknowledged, although the server had sent it again", [[
		local s <close> = server "jetstream { store_dir: '$DIR/js' }"
		local nc <close> = assert(nats.connect(s.url))
		local st = assert(nc:stream("S", { subjects = { "s" }, durable = "d", ack_wait = 0.5, batch = 4 }))
		assert(st:send("once"))
		local m = assert(st:recv(10))
		check.until_true(function() return #st._sub.ch > 0 end)
		check.eq(m:ack(10), true)
		check.returns(table.pack(st:recv(1)), nil, "timeout")
		-- A message of a stream that was made again is another one, whatever its number.
		assert(st:delete())
		local again = assert(nc:stream("S", { subjects = { "s" }, durable = "d", batch = 4 }))
		again._acked = st._acked
		check.eq(again:send("another"), 1)
		check.eq(assert(again:recv(10)):nak(), true)
		check.eq(again:recv(10).value, "another")
	]], { sample = 1 })

	test("goes on after the server was restarted", [[
		local s <close> = server "jetstream { store_dir: '$DIR/js' }"
		local nc <close> = assert(nats.connect(s.url, { reconnect_wait = 0.01 }))
		local st = assert(nc:stream("S", { subjects = { "s" }, retention = "workqueue", durable = "d",
			batch = 3 }))
		local n = 60
		local seen = vai.map()
		local receiver = vai.async(function()
			local got = 0
			while got < n do
				local m = assert(st:recv(20))
				check.eq(seen:get(m.value), nil)
				if assert(m:ack(20)) then seen:set(m.value, true) got = got + 1 end
			end
		end)
		for i = 1, n do
			if i == 20 or i == 40 then s:restart() end
			assert(st:send(i, 20))
		end
		assert(receiver:join())
		check.eq(#seen, n)
		check.eq(nc:stats().reconnects, 2)
	]], { any_err = true })
end)

describe("three processes, one of which is killed, and a server that is restarted:", function()
	test("a stream loses nothing, and repeats nothing that was acknowledged", [[
		local s <close> = server "jetstream { store_dir: '$DIR/js' }"
		local n = check.whole and 100000 or check.scaled(800)
		local nc <close> = assert(nats.connect(s.url, { reconnect_wait = 0.02 }))
		local st = assert(nc:stream("N", { subjects = { "n" }, retention = "workqueue" }))
		local lines = chan(1000)
		local function worker(name)
			local p = assert(vai.process.spawn { "lua5.4",
				worker_file, "stream", s.url, stdin = "pipe", stdout = "pipe", stderr = "null" })
			go(function()
				for line in p.stdout:lines() do
					local what, v = line:match("^(%a+) (%d+)$")
					if what then lines:send({ what, tonumber(v), name }) end
				end
				lines:send({ "end", 0, name })
			end)
			return p
		end
		local a, b = worker "a", worker "b"
		local next_value, senders = vai.atomic(), waitgroup()
		for _ = 1, 16 do
			senders:go(function()
				while true do
					local v = next_value:add(1)
					if v > n then break end
					assert(st:send(v, 60))
				end
			end)
		end
		local got, acked, seen, ends = {}, {}, 0, 0
		local killed, restarted
		while seen < n do
			local line = lines:recv()
			local what, v, who = line[1], line[2], line[3]
			if what == "got" then
				check.eq(acked[v], nil, "delivered although acknowledged: " .. v)
				if not got[v] then got[v], seen = true, seen + 1 end
			elseif what == "ack" then
				acked[v] = who
			else
				ends = ends + 1
			end
			if not killed and seen > n // 3 then killed = a:kill("SIGKILL") end
			if not restarted and seen > n // 2 then restarted = true s:restart() end
		end
		senders:wait()
		check.eq(ends, 1)
		-- What nobody saw acknowledged is what was in the hands of the one that was killed.
		check.until_true(function() return st:info().state.messages == 0 end)
		check.eq(st:info().state.last_seq, n)
		b:kill("SIGKILL")
		b:wait()
		a:wait()
	]], { procs = 2, any_err = true, timeout = 300 })

	test("a channel says what was lost", [[
		local s <close> = server()
		local n = check.whole and 100000 or check.scaled(4000)
		local nc <close> = assert(nats.connect(s.url, { reconnect_wait = 0.02 }))
		local ch = nc:chan("numbers")
		local function worker()
			local p = assert(vai.process.spawn { "lua5.4",
				worker_file, "chan", s.url, n, stdin = "pipe", stdout = "pipe", stderr = "null" })
			check.eq(p.stdout:read("l", 20), "ready")
			return p
		end
		local a, b = worker(), worker()
		for i = 1, n do
			assert(ch:send(i, 60))
			-- A channel knows of nothing that was sent before the first that it heard.
			if i == 1 then check.eq(b.stdout:read("l", 60), "heard") end
			if i == n // 3 then a:kill("SIGKILL") end
			if i == n // 2 then s:restart() end
			if i == n // 2 + 20 then check.until_true(function() return nc:request("here", 1, 10) == 1 end) end
		end
		local text
		for line in b.stdout:lines() do text = line:match("^end (.*)") or text end
		local received, lost, gap, breaks = text:match("(%d+) (%d+) (%d+) (%d+)")
		check.eq(received + gap, n)
		check.eq(lost, gap)
		check.eq(breaks, "1")
		b:wait()
		a:wait()
	]], { procs = 2, any_err = true, timeout = 300 })
end)

describe("a channel", function()
	test("counts what did not arrive, and what its queue had no room for", [[
		local s <close> = server()
		local events = chan(1000)
		local nc <close> = assert(nats.connect(s.url, { events = events }))
		check.eq(events:recv().type, "connected")
		local function of(policy, subject, capacity)
			local ch = nc:chan(subject, { capacity = capacity or 3, policy = policy })
			assert(ch:listen(10))
			return ch
		end
		local newest, oldest, close = of("newest", "n"), of("oldest", "o"), of("close", "c")
		for i = 1, 5 do
			for _, name in ipairs { "n", "o", "c" } do nc:chan(name):send(i) end
		end
		nc:flush()
		local function all(ch)
			local list = {}
			for v in ch do
				list[#list + 1] = v
				if #ch == 0 and not ch:is_closed() then break end
			end
			return table.concat(list, " ")
		end
		check.eq(all(newest), "1 2 3")
		check.eq(all(oldest), "3 4 5")
		check.eq(all(close), "1 2 3")
		check.returns(table.pack(close:recv()), nil, "closed")
		check.eq(close:err(), "the queue of 3 was full")
		check.eq(newest:lost(), 2)
		check.eq(oldest:lost(), 2)
		check.eq(close:lost(), 1)
		local e = events:recv()
		check.eq(e.type .. e.subject .. e.count, "lostn1")

		local function numbered(n, data)
			nc:publish("g", data or nats.pack(n), { headers = { ["Vai-Seq"] = "x." .. n } })
		end
		local gaps = of("newest", "g", 10)
		numbered(7)
		numbered(8)
		numbered(12)
		numbered(10)
		numbered(13, "\xc1")
		nc:flush()
		local n, by = gaps:lost()
		check.eq(n, 3)
		check.eq(by.gap, 2)
		check.eq(by.bad, 1)
		gaps:close()
		check.raises("close of closed channel", gaps.close, gaps)
		check.raises("send on closed channel", gaps.send, gaps, 1)
		check.raises("no subject: 'a..b'", nc.chan, nc, "a..b")
		check.raises("no subject: 'a.*'", nc.chan, nc, "a.*")
		check.raises("unknown option 'depth'", nc.chan, nc, "a", { depth = 1 })
		check.returns(table.pack(nc:publish("big", ("x"):rep(1048577))), nil,
			"a message of 1048577 bytes is more than the server's 1048576")
	]])

	test("with a queue gives each message to one, and waits without a server", [[
		local s <close> = server()
		local nc = assert(nats.connect(s.url, { reconnect_wait = 0.01, pending = 4 }))
		local a, b = nc:chan("q", { queue = "g" }), nc:chan("q", { queue = "g" })
		assert(a:listen(10) and b:listen(10))
		local out = nc:chan("q")
		for i = 1, 100 do out:send(i) end
		nc:flush()
		local sum = 0
		for _ = 1, 100 do
			local _, v = select { a:chan(), b:chan(), timeout = 10 }
			sum = sum + v
		end
		check.eq(sum, 5050)
		s:stop()
		local waiting = vai.async(function() return nc:request("nobody", 1) end)
		local sent = 0
		while out:send(-1, 0.05) do sent = sent + 1 end
		check.eq(sent >= 3, true)
		s:start()
		check.until_true(function() return nc:stats().reconnects == 1 end)
		check.eq(nc:flush(10), true)
		waiting:join()
		for _ = 1, sent do check.eq(nth(2, select { a:chan(), b:chan(), timeout = 10 }), -1) end
		nc:close()
		check.returns(table.pack(a:recv()), nil, "closed")
		check.returns(table.pack(out:send(1)), nil, "closed")
		check.returns(table.pack(nc:request("x", 1)), nil, "closed")
		check.eq(nc:err(), "closed")
	]], { any_err = true })
end)

describe("what is published", function()
	-- A server that answers by f(line) until it is told to break the connection.
	local fake = [[
		local l = vai.net.listen("tcp", "127.0.0.1:0")
		local pings, sent, hold, conn = vai.atomic(), vai.atomic(), vai.atomic(), chan(1)
		go(function()
			local c = l:accept()
			conn:send(c)
			c:write('INFO {"max_payload":1000,"headers":true}\r\n')
			for line in function() return (c:read("l")) end do
				local inbox = line:match("^PUB %S+ (%S+) %d")
				if inbox then c:write("MSG ", inbox, " 1 1\r\n\1\r\n") end
				if line:find("^PUB") then
					c:read("l")
					sent:add(1)
				elseif line:find("^PING") then
					pings:add(1)
					if hold:get() == 0 then c:write("PONG\r\n") end
				end
			end
		end)
		local nc = assert(nats.connect(l:addr(), { max_reconnects = 0 }))
		local c = conn:recv()
	]]

	test("is confirmed by PINGs, of which many messages have one", fake .. [[
		local before = pings:get()
		for _ = 1, 400 do check.eq(nc:request("a", 1, 60), 1) end
		check.eq(pings:get() - before < 400, true)
		check.until_true(function() return nc._confirmed:get() == 400 end)
		c:close()
		check.until_true(nc.is_closed, nc)
		check.eq(nc:stats().unconfirmed, 0)
	]])

	test("is told of where it was not confirmed", fake .. [[
		hold:set(1)
		local before = pings:get()
		for _ = 1, 300 do nc:publish("a", "x") end
		check.until_true(function() return sent:get() == 300 and pings:get() > before end)
		for _ = 1, 300 do nc:publish("a", "x") end
		check.until_true(function() return sent:get() == 600 end)
		check.eq(pings:get(), before + 1)
		c:close()
		check.until_true(nc.is_closed, nc)
		check.eq(nc:stats().unconfirmed, 600)
	]], { any_err = true })
end)

describe("a cluster", function()
	test("has another server where one was killed", [[
		local list <close> = servers.cluster(arg[1], 3, "authorization { user: joe, password: pw }")
		local options = { user = "joe", password = "pw", reconnect_wait = 0.01 }
		local a <close> = assert(nats.connect(list[1].url, options))
		local b <close> = assert(nats.connect(list[2].url, options))
		check.until_true(function() return #(a._state:get("more") or {}) == 3 end)
		local ch, held, started = a:chan("words"), chan(), chan(1)
		assert(ch:listen(10))
		a:serve("double", function(n)
			if n == 0 then
				started:send(true)
				held:recv()
			end
			return n * 2
		end)
		check.until_true(function() return b:request("double", 4, 10) == 8 end)
		local waits = vai.async(a.request, a, "double", 0)
		started:recv()
		list[1]:stop("SIGKILL")
		check.returns(table.pack(waits:join()), true, nil, "connection lost")
		held:close()
		check.until_true(function() return a:stats().reconnects == 1 end)
		check.eq(a:stats().server ~= "n1", true)
		check.until_true(function() return b:request("double", 5, 10) == 10 end)
		b:chan("words"):send("still here")
		check.eq(ch:recv(10), "still here")
	]], { any_err = true, sample = 1 })

	test("has certificates for the name that the program gave", [[
		local certs = require "certs"
		local pair = certs.path("named")
		local list <close> = servers.cluster(arg[1], 2, ("tls { cert_file: '%s.pem', key_file: '%s.key' }"):format(pair, pair))
		local nc <close> = assert(nats.connect("tls://localhost:" .. list[1].port, { reconnect_wait = 0.01,
			tls = { ca = certs.path("ca") .. ".pem" } }))
		check.until_true(function() return #(nc._state:get("more") or {}) == 2 end)
		list[1]:stop("SIGKILL")
		check.until_true(function() return nc:stats().reconnects == 1 end)
		check.eq(nc:stats().server, "n2")
	]], { any_err = true, sample = 1, needs = "vai.tls" })

	test("may forget what it was asked", [[
		local s <close> = server "jetstream { store_dir: '$DIR/js' }"
		local l, lost = vai.net.listen("tcp", "127.0.0.1:0"), chan(3)
		local dropped = { "^PUB %$JS%.API%.CONSUMER%.MSG%.NEXT", "^HPUB s ", "^PUB %$JS%.ACK%." }
		-- The first of each kind is lost.
		local function between(from, to)
			local left = { table.unpack(dropped) }
			for line in function() return (from:read("L")) end do
				local kind
				for i, pattern in pairs(left) do kind = line:find(pattern) and i or kind end
				if kind then
					left[kind] = nil
					from:read(tonumber(line:match("(%d+)\r\n$")) + 2)
					lost:send(line)
				else
					to:write(line)
				end
			end
			to:close()
		end
		go(function()
			local near = l:accept()
			local far = vai.net.dial("tcp", s.address)
			go(between, far, near)
			between(near, far)
		end)
		local nc <close> = assert(nats.connect(l:addr()))
		local options = { subjects = { "s" }, durable = "d", heartbeat = 0.1 }
		check.raises("option 'heartbeat': 0", nc.stream, nc, "S", { heartbeat = 0 })
		local st = assert(nc:stream("S", options))
		local ctx, cancel = vai.context():with_cancel()
		local receiver = vai.async(function() return st:recv(ctx) end)
		check.until_true(function() return #lost == 1 end)
		check.eq(st:send("after", 60), 1)
		local ok, m = assert(receiver:join(20))
		check.eq(m.value, "after")
		check.eq(m:ack(vai.context()), true)
		check.eq(#lost, 3)
		check.returns(table.pack(st:recv(0.5)), nil, "timeout") -- heartbeats are no messages
		cancel()
		check.returns(table.pack(st:recv(ctx)), nil, "canceled")
	]], { sample = 1 })
end)

describe("a server", function()
	test("is told who asks, and may want TLS", [[
		local certs = require "certs"
		local s <close> = server(([=[
			authorization { users = [
				{ user: joe, password: "p:w", permissions: { subscribe: { deny: "secret" } } },
				{ nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 } ] }
			tls { cert_file: "%s", key_file: "%s" }
		]=]):format(certs.path("good") .. ".pem", certs.path("good") .. ".key"))
		local tls = { ca = certs.path("ca") .. ".pem", server_name = "localhost" }
		local function refused(url, options) return (nth(2, nats.connect(url, options))) end
		check.eq(refused(s.url, { tls = { ca = tls.ca, server_name = "other.test" } }):match(", not for .*"),
			", not for other.test")
		check.eq(refused(s.url, { tls = tls }):match(": (.*)"), "the server refuses: Authorization Violation")
		check.eq(refused(s.url, { tls = tls, user = "joe", password = "x" }):match("Authorization Violation"),
			"Authorization Violation")
		local nc <close> = assert(nats.connect("nats://joe:p%3aw@" .. s.address, { tls = tls }))
		local ch = nc:chan("c")
		ch:listen(10)
		ch:send("through TLS")
		check.eq(ch:recv(10), "through TLS")
		local secret = nc:chan("secret")
		check.returns(table.pack(secret:recv(10)), nil, "closed")
		check.eq(secret:err():match("^Permissions Violation"), "Permissions Violation")
		if require("vai.nats.core").sign then
			local seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
			local key <close> = assert(nats.connect(s.url, { tls = tls, nkey = seed }))
			check.eq(key:flush(10), true)
			check.eq(refused(s.url, { tls = tls, nkey = "SU" }):match("the seed of the key is not valid") ~= nil, true)
		end
		check.eq(nc:drain(10), true)
	]], { any_err = true, sample = 1 })

	test("takes the token and the signature of a file of credentials", [[
		if not require("vai.nats.core").sign then return end
		local operator, o = servers.seed("operator", ("o"):rep(32))
		local account, a = servers.seed("account", ("a"):rep(32))
		local seed, u = servers.seed("user", ("u"):rep(32))
		local limits = { subs = -1, data = -1, payload = -1, imports = -1, exports = -1, wildcards = true, conn = -1, leaf = -1 }
		local s <close> = server(("operator: %s\nresolver: MEMORY\nresolver_preload { %s: %s }"):format(
			servers.jwt(operator, o, o, { type = "operator" }), a,
			servers.jwt(operator, o, a, { type = "account", limits = limits })))
		local path = arg[1] .. "/user.creds"
		local function file(token, eol)
			assert(vai.fs.write_file(path, (([=[
-----BEGIN NATS USER JWT-----
%s
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
%s
------END USER NKEY SEED------
]=]):format(token, seed):gsub("\n", eol or "\n"))))
		end
		local function token(more, valid)
			local claims = { type = "user", subs = -1, data = -1, payload = -1 }
			for k, v in pairs(more or {}) do claims[k] = v end
			return servers.jwt(account, a, u, claims, valid)
		end
		local function connect(options)
			options = options or {}
			options.credentials, options.reconnect_wait = path, 0.01
			return nats.connect(s.url, options)
		end
		local function refused(...) return nth(2, connect(...)):match("[^:]*$") end
		check.eq(nth(2, nats.connect(s.url)):match("[^:]*$"), " Authorization Violation")
		check.eq(refused(), " no such file or directory")
		assert(vai.fs.write_file(path, "nothing"))
		check.eq(refused(), " no credentials of a NATS user")
		file(token({}, -10))
		check.eq(refused() ~= nil, true)
		file(token { sub = { deny = { "secret" } } }, "\r\n")
		local events = chan(100)
		local nc <close> = assert(connect { events = events })
		local ch, secret = nc:chan("open"), nc:chan("secret")
		check.eq(ch:listen(10), true)
		check.returns(table.pack(secret:recv(10)), nil, "closed")
		check.eq(secret:err():match("^Permissions Violation"), "Permissions Violation")
		-- A token that has been renewed is read when the connection is the next one.
		file(token())
		s:restart()
		check.until_true(function() return nc:stats().reconnects == 1 end)
		local now_open = nc:chan("secret")
		check.eq(now_open:listen(10), true)
		now_open:send("shown")
		check.eq(now_open:recv(10), "shown")
		ch:send("too")
		check.eq(ch:recv(10), "too")
	]], { any_err = true, sample = 1 })

	test("that refuses when the connection is made again is told of", [[
		local users = 'authorization { user: joe, password: "%s" }'
		local s <close> = server(users:format("old"))
		local events = chan(100)
		local nc <close> = assert(nats.connect(s.url, { user = "joe", password = "old", events = events,
			reconnect_wait = 0.01 }))
		s:change(users:format("old"), users:format("new"))
		s:restart()
		local e
		repeat e = events:recv(30) until e.type == "error" and e.message:find("refuses")
		check.eq(e.message:match("[^:]*$"), " Authorization Violation")
		s:change(users:format("new"), users:format("old"))
		s:restart()
		check.until_true(function() return nc:stats().reconnects == 1 end)
	]], { any_err = true, sample = 1 })

	test("that talks nonsense is told from one of NATS", [[
		local function says(text)
			local l = vai.net.listen("tcp", "127.0.0.1:0")
			go(function()
				local c = l:accept()
				c:write(text)
				c:read("a", 5)
				c:close()
			end)
			local nc, why = nats.connect(l:addr(), { connect_timeout = 5, max_reconnects = 0 })
			l:close()
			return nc, why and why:match(": (.*)")
		end
		check.returns(table.pack(says("HTTP/1.1 400\r\n\r\n")), nil, 'no NATS server: it says "HTTP/1.1 400\\13"')
		check.returns(table.pack(says("-ERR 'full'\r\n")), nil, "the server refuses: full")
		local head = 'INFO {"headers":true}\r\nPONG\r\n'
		for text, why in pairs {
			["MSG a 1 99999999999999999999\r\n"] = "MSG with a wrong number", ["WHAT\r\n"] = "an unknown operation",
			["PING\n"] = "a line that does not end in CR LF", ["MSG a 1 1\r\nabc\r\n"] = "MSG whose payload has another length",
			["HMSG a 1 9 2\r\n"] = "MSG with a wrong number", ["MSG\r\n"] = "MSG with a wrong number of words",
		} do
			local nc = assert(says(head .. text))
			check.until_true(nc.is_closed, nc)
			check.eq(nc:stats().reconnects, 0)
			check.eq(nth(2, nc:chan("x"):recv()), "closed")
		end
	]], { any_err = true, sample = 1 })
end)

describe("MessagePack", function()
	test("is what others read, and is checked byte by byte", [[
		local function hex(v) return (nats.pack(v):gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end
		for want, v in pairs {
			["00"] = 0, ["7f"] = 127, ["cc80"] = 128, ["cd0100"] = 256, ["ce00010000"] = 65536, ["e0"] = -32, ["d0df"] = -33,
			["d1ff7f"] = -129, ["d2ffff7fff"] = -32769, ["cf0000000100000000"] = 1 << 32, ["d3ffffffff7fffffff"] = -(1 << 31) - 1,
			["cb3ff0000000000000"] = 1.0, ["c3"] = true, ["a161"] = "a", ["c401ff"] = "\xff", ["90"] = {}, ["9201c2"] = { 1, false },
			["81a16101"] = { a = 1 }, ["810201"] = { [2] = 1 }, ["c403eda080"] = "\xed\xa0\x80",
		} do
			check.eq(hex(v), want)
			check.same(nth(2, nats.unpack(nats.pack(v))), v)
		end
		check.eq(nth(2, nats.unpack("\xca\x3f\x80\0\0")), 1.0)
		check.eq(nth(2, nats.unpack("\xcf" .. ("\xff"):rep(8))), 2.0 ^ 64)
		check.eq(nth(2, nats.unpack("\xd4\x05x")).ext, 5)
		local deep = 1
		for _ = 1, 100 do deep = { deep } end
		local packed = nats.pack(deep)
		check.eq(nats.unpack(packed), true)
		check.raises("nested 100 deep", nats.pack, { deep })
		check.returns(table.pack(nats.unpack("\x91" .. packed)), nil, "not MessagePack: it is nested more than 100 deep")
		for i = 0, #packed - 1 do check.eq((nats.unpack(packed:sub(1, i))), nil) end
		local big = ("\xdd\xff\xff\xff\xff"):rep(50)
		check.eq((nats.unpack(big)), nil)
		for _, bad in ipairs { "\xc1", "\x01\x01", "\x81\xc0\x01", "\x81\xcb\x7f\xf8\0\0\0\0\0\0\1", "" } do
			check.eq((nats.unpack(bad)), nil)
		end
		math.randomseed(7)
		for _ = 1, 2000 do
			local bytes = {}
			for i = 1, math.random(12) do bytes[i] = string.char(math.random(0, 255)) end
			local ok, v = nats.unpack(table.concat(bytes))
			if ok and type(v) ~= "table" then check.eq(type(nats.pack(v)), "string") end
		end
		check.raises("element 2: field 'f': function cannot cross", nats.pack, { 1, { f = print } })
		check.raises("thread cannot cross", nats.pack, coroutine.create(print))
		check.raises("userdata vai.channel cannot cross", nats.pack, chan())
		check.raises("a table with a metatable cannot cross", nats.pack, vai.freeze { 1 })
	]], { sample = 1 })

	test("JSON of servers is read, and what is none refused", [[
		local json = require "vai.nats.json"
		local v = json.decode('{"a":[1,2.5,{"b":null,"c":"\\u00e9\\ud83d\\ude00\\n\\\\u"}],"t":true,"e":{}}')
		check.eq(v.a[3].c, "é😀\n\\u")
		check.eq(v.a[2], 2.5)
		check.eq(json.encode { b = { 1, "x\n" }, a = false }, '{"a":false,"b":[1,"x\\n"]}')
		for _, bad in ipairs { "", "{", "[1,]", "1 2", '"\\q"', '{"a" 1}', "nul", '"open', ("["):rep(1000) } do
			local got, why = json.decode(bad)
			check.eq(got, nil)
			check.eq(why:match("^not JSON: ") , "not JSON: ")
		end
	]], { sample = 1 })
end)
