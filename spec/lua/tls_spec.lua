-- SPDX-License-Identifier: MIT
-- vai.tls: connections with the methods of all connections, and certificates that are refused by name.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- echo is a server with this certificate that sends lines back.
local test = program.tester [[
	local tls, certs = require "vai.tls", require "certs"
	local ca = certs.path("ca") .. ".pem"
	local function echo(name, more)
		local l = assert(tls.listen("tcp", "127.0.0.1:0", certs.pair(name, more)))
		vai.go(function()
			for c in l do
				vai.go(function()
					while true do
						local line = c:read("l")
						if not line then break end
						c:write("you said ", line, "\n")
						if line == "bye" then break end
					end
					c:close()
				end)
			end
		end)
		return l:addr(), l
	end
]]

describe("a TLS connection", function()
	-- The server's session tickets lie unread in the client's socket, which the system then closes with a reset.
	test("that is closed after a write has sent it all", [[
		local l = assert(tls.listen("tcp", "127.0.0.1:0", certs.pair("good")))
		for _, before in ipairs { 0, 0.05 } do
			local closing = vai.chan()
			local server = vai.async(function()
				local c = l:accept()
				c:handshake()
				closing:recv()
				local n, why = 0, nil
				repeat
					local s, e = c:read()
					n, why = n + #(s or ""), e
				until not s
				return n, why
			end)
			local c = assert(tls.dial("tcp", l:addr(), { ca = ca, server_name = "localhost" }))
			assert(c:write(("x"):rep(200000)))
			vai.sleep(before)
			local closer = vai.async(function() c:close() end)
			vai.sleep(0.05)
			closing:close()
			local ok, n, why = server:join()
			check.eq(ok, true)
			check.eq(n, 200000)
			check.eq(why, nil)
			check.eq(closer:join(), true)
		end
	]])

	test("has the methods of a connection, and can be sent", [[
		local address = echo("good", { alpn = { "x", "y" } })
		local c = assert(tls.dial("tcp", address, { ca = ca, server_name = "localhost", alpn = { "y", "x" } }))
		check.eq(tostring(c):match("^connection: tls 127"), "connection: tls 127")
		c:write("one\n", "two\n")
		check.eq(c:read("l"), "you said one")
		check.eq(vai.async(function() return c:read("l") end):join() and true, true)
		local info = c:info()
		check.eq(info.version, "TLSv1.3")
		check.eq(info.alpn, "x")
		check.eq(info.resumed, false)
		check.eq(info.error, nil)
		check.eq(info.peer.subject, "CN = localhost")
		check.eq(info.peer.issuer, "CN = Test CA")
		check.eq(table.concat(info.peer.names, " "), "localhost 127.0.0.1")
		check.eq(info.peer.not_after > os.time(), true)
		check.returns(table.pack(c:read(nil, 0.01)), nil, "timeout")
		check.eq(c:with(5):write("three\n"):read("l"), "you said three")
		c:set_read_deadline(vai.now())
		check.returns(table.pack(c:read()), nil, "timeout")
		c:set_read_deadline()
		c:write("last")
		c:close_write()
		check.eq(c:read("a", 10), "you said last\n")
		c:close()
		check.returns(table.pack(c:read()), nil, "closed")
		check.returns(table.pack((c:write("x"))), nil)
		check.eq(vai.net.pipe():info(), nil)
		local other, why, code = tls.dial("tcp", address, { ca = ca, server_name = "localhost", alpn = { "z" } })
		check.eq(other, nil)
		check.eq(code, "ETLS")
		check.eq(why:find("the peer says: .*no application protocol") ~= nil, true, why)
		check.eq(tls.dial("tcp", address, { ca = ca, server_name = "localhost" }):info().alpn, nil)
		check.eq(tls.dial("tcp", echo("good", { alpn = {} }), { ca = ca, server_name = "localhost", alpn = { "z" } })
			:info().alpn, nil)
	]])

	test("carries much in both directions at once, and small pieces whole", [[
		local a, b = vai.net.pipe()
		local server = assert(tls.server(b, certs.pair("good")))
		local client = assert(tls.client(a, { ca = ca, server_name = "localhost" }))
		local n = check.scaled(2000000)
		local text = ("0123456789abcdef"):rep(n // 16)
		local wg = waitgroup()
		for _, side in ipairs { { client, "c" }, { server, "s" } } do
			local c, letter = side[1], side[2]
			for _ = 1, 2 do
				wg:go(function() assert(c:write(letter, text, letter:upper())) end)
			end
			wg:go(function()
				local other = letter == "c" and "s" or "c"
				for _ = 1, 2 do
					local got = c:read(#text + 2)
					check.eq(got == other .. text .. other:upper(), true)
				end
			end)
		end
		wg:wait()
		local parts = {}
		for i = 1, 3000 do parts[i] = tostring(i) end
		wg:go(function() client:write(table.unpack(parts, 1, 200)) client:close_write() end)
		check.eq(server:read("a"), table.concat(parts, "", 1, 200))
		wg:wait()
	]])

	test("resumes a session of the same context, and a reloaded certificate is the next one's", [[
		local server = assert(tls.server_context(certs.pair("good")))
		local address = echo("good", { context = server })
		local context = assert(tls.client_context { ca = ca })
		local function visit(name)
			local c, why = tls.dial("tcp", address, { context = context, server_name = name })
			if not c then return why end
			c:write("x\n")
			check.eq(c:read("l"), "you said x")
			local info = c:info()
			c:close()
			return info.resumed, info.peer.subject
		end
		check.returns(table.pack(visit("localhost")), false, "CN = localhost")
		check.returns(table.pack(visit("localhost")), true, "CN = localhost")
		check.eq(tls.reload(server, certs.pair("other")), true)
		check.returns(table.pack(visit("other.test")), false, "CN = other.test")
		local ok, why, code = tls.reload(server, { cert = "/nowhere.pem" })
		check.eq(ok, nil)
		check.eq(why:match("^cert '/nowhere.pem'"), "cert '/nowhere.pem'")
		check.eq(code, "ETLS")
		check.returns(table.pack(visit("other.test")), true, "CN = other.test")
	]])
end)

describe("the name of a server", function()
	test("is told and verified without the dot at its end, and has no NUL", [[
		local address = echo("named")
		local c = assert(tls.dial("tcp", address, { ca = ca, server_name = "localhost." }, 60))
		c:write("x\n")
		check.eq(c:read("l"), "you said x")
		local inner = assert(vai.net.dial("tcp", address))
		check.returns(table.pack(tls.client(inner, { ca = ca, server_name = "localhost\0.test" })), nil,
			"the server's name contains NUL", "ETLS")
	]])

	test("may be given to a goroutine that begins with the call", [[
		local ok, c = vai.async(tls.dial, "tcp", (echo("good")), { ca = ca, server_name = "localhost" }):join()
		check.eq(ok, true)
		c:write("x\n")
		check.eq(c:read("l"), "you said x")
	]])

	test("picks the server's certificate, with its chain; without one that is for it there is the first", [[
		local function pairs_of(...)
			local list = {}
			for i, name in ipairs { ... } do list[i] = certs.pair(name) end
			return list
		end
		local server = assert(tls.server_context(certs.pair("good", { alpn = { "x" }, certs = pairs_of("other", "rsa") })))
		local address = echo("good", { context = server })
		local function visit(name)
			local c = assert(tls.dial("tcp", address, { ca = ca, server_name = name, verify = false, alpn = { "x" } }, 60))
			c:write("x\n")
			check.eq(c:read("l"), "you said x")
			local info = c:info()
			c:close()
			return info.peer.subject, info.error == nil, info.alpn
		end
		check.returns(table.pack(visit("localhost")), "CN = localhost", true, "x")
		check.returns(table.pack(visit("other.test")), "CN = other.test", true, "x")
		check.returns(table.pack(visit("OTHER.test")), "CN = other.test", true, "x")
		check.returns(table.pack(visit("a.rsa.test")), "CN = rsa.test", true, "x")
		check.returns(table.pack(visit("nobody.test")), "CN = localhost", false, "x")
		check.eq(tls.reload(server, certs.pair("good", { certs = pairs_of("named") })), true)
		check.returns(table.pack(visit("other.test")), "CN = localhost", false, nil)
		local ok, why, code = tls.server_context(certs.pair("good", { certs = { { cert = "/nowhere.pem" } } }))
		check.eq(ok, nil)
		check.eq(why:match("^cert '/nowhere.pem'"), "cert '/nowhere.pem'")
		check.eq(code, "ETLS")
		check.raises("'certs' %(list of tables", tls.server_context, certs.pair("good", { certs = { "x" } }))
		check.raises("'certs' %('cert' is missing", tls.server_context, certs.pair("good", { certs = { {} } }))
		check.raises("'certs' %(table expected", tls.server_context, certs.pair("good", { certs = 1 }))
	]])
end)

describe("a certificate", function()
	test("that has expired, signed itself, is for others or weak is refused by name", [[
		local function refused(name, server_name, more)
			local options = { ca = ca, server_name = server_name or "localhost" }
			for k, v in pairs(more or {}) do options[k] = v end
			local c, why, code = tls.dial("tcp", (echo(name)), options)
			check.eq(c, nil)
			check.eq(code, "ECERT")
			return why
		end
		vai.on_panic(print)
		check.eq(refused("old"), "certificate 'CN = localhost': certificate has expired")
		check.eq(refused("self"):gsub("self signed", "self-signed"), "certificate 'CN = localhost': self-signed certificate")
		check.eq(refused("good", "other.test"), "certificate 'CN = localhost' is for localhost, 127.0.0.1, not for other.test")
		check.eq(refused("good", "127.0.0.2"), "certificate 'CN = localhost' is for localhost, 127.0.0.1, not for 127.0.0.2")
		local c, why = tls.dial("tcp", (echo("good")), { server_name = "localhost" })
		check.eq(c, nil)
		check.eq(why, "certificate 'CN = localhost': unable to get local issuer certificate")
		c = assert(tls.dial("tcp", (echo("old")), { ca = ca, server_name = "localhost", verify = false }))
		check.eq(c:info().error, "certificate 'CN = localhost': certificate has expired")
		c = assert(tls.client(assert(vai.net.dial("tcp", (echo("self")))), { ca = ca, server_name = "localhost" }))
		local _, reason, code = c:handshake(10)
		check.eq(code, "ECERT")
		local got = table.pack(vai.select { c, timeout = 10 })
		check.eq(got[1], 1)
		check.eq(got[3], reason)
		check.eq(got[4], code)
		local ok, message = tls.listen("tcp", "127.0.0.1:0", certs.pair("weak"))
		check.eq(ok, nil)
		check.eq(message, ("cert '%s.pem': ee key too small"):format(certs.path("weak")))
		local port = vai.net.listen("tcp", "127.0.0.1:0")
		local weak = port:addr()
		port:close()
		local s = assert(vai.process.spawn { "openssl", "s_server", "-accept", weak, "-cert", certs.path("weak") .. ".pem",
			"-key", certs.path("weak") .. ".key", "-cipher", "DEFAULT:@SECLEVEL=0", "-quiet", stdin = "pipe", stderr = "null" })
		check.until_true(function()
			c, why = tls.dial("tcp", weak, { ca = ca, server_name = "localhost" })
			return why ~= weak .. ": connection refused"
		end)
		check.eq(why, "certificate 'CN = localhost': EE certificate key too weak")
		s:kill("SIGKILL")
		s:wait()
	]], { procs = 2 })

	test("of a client is asked for and told; the refusal stays with the connection", [[
		local told = chan(3)
		local l = assert(tls.listen("tcp", "127.0.0.1:0", certs.pair("good", { client_ca = ca })))
		vai.go(function()
			for c in l do
				local ok, why = c:handshake(10)
				told:send(ok and c:info().peer.subject or why)
				c:write("welcome\n")
			end
		end)
		local c = assert(tls.dial("tcp", l:addr(), certs.pair("client", { ca = ca, server_name = "localhost" })))
		check.eq(c:read("l"), "welcome")
		check.eq(told:recv(), "CN = somebody")
		c = assert(tls.dial("tcp", l:addr(), { ca = ca, server_name = "localhost" }))
		local want = { nil, "the peer says: tlsv13 alert certificate required", "ETLS", n = 3 }
		check.returns(table.pack(c:read(nil, 10)), table.unpack(want, 1, 3))
		check.returns(table.pack(c:read(nil, 10)), table.unpack(want, 1, 3))
		check.returns(table.pack(c:write("x")), nil, want[2], "ETLS", 0)
		check.eq(c:info().error, want[2])
		check.eq(told:recv(), "peer did not return a certificate")
	]])

	test("is read as text, too, and wrong options say what is wrong", [[
		local function text(name) return assert(vai.fs.read_file(name)) end
		local good = certs.path("good")
		local l = assert(tls.listen("tcp", "127.0.0.1:0", { cert = text(good .. ".pem"), key = text(good .. ".key") }))
		vai.go(function() l:accept():write("hi\n") end)
		local c = assert(tls.dial("tcp", l:addr(), { ca = text(ca), server_name = "localhost", min_version = "1.3" }))
		check.eq(c:read("l"), "hi")
		check.raises("unknown option 'crt'", tls.listen, "tcp", "127.0.0.1:0", { crt = "x" })
		check.raises("'server_name' is missing", tls.client, c)
		local function wrong(pattern, options)
			local ok, why = tls.server_context(options)
			check.eq(ok, nil)
			check.eq(why:find(pattern) ~= nil, true, why)
		end
		wrong("a server needs 'cert'", {})
		wrong("cert '/none.pem'", { cert = "/none.pem" })
		wrong("key '.*/ca.key'", { cert = good .. ".pem", key = certs.path("ca") .. ".key" })
		wrong("min_version '0.9'", certs.pair("good", { min_version = "0.9" }))
	]])
end)

describe("the system's authorities", function()
	test("are read once, for all contexts of the process", [=[
		local copy = check.temp()
		assert(vai.fs.copy(ca, copy))
		local r = vai.process.run { os.getenv "LUA" or "lua5.4", "-", env = { SSL_CERT_FILE = copy }, limit = 20, stderr = "inherit", input = ([[
			local vai, tls = require "vai", require "vai.tls"
			local l = assert(tls.listen("tcp", "127.0.0.1:0", { cert = "GOOD.pem", key = "GOOD.key" }))
			vai.go(function() for c in l do c:write("hi\n") end end)
			local first = tls.client_context {}
			os.remove("COPY")
			local function dial(context)
				return assert(tls.dial("tcp", l:addr(), { context = context, server_name = "localhost" })):read("l")
			end
			io.write(dial(first), dial(tls.client_context {}), dial(nil), select(2, vai.async(dial):join()))
		]]):gsub("GOOD", certs.path("good")):gsub("COPY", copy) }
		check.eq(r.out, "hihihihi")
		local ok, why = tls.client_context { ca = "/none.pem" }
		check.eq(ok, nil)
		check.eq(why, "ca '/none.pem': No such file or directory")
	]=], { procs = 2 })
end)

describe("a peer", function()
	test("that is openssl talks to the server; one that talks no TLS, ends early or cuts the connection off is told", [[
		local address, l = echo("good")
		local r = vai.process.run { "openssl", "s_client", "-connect", address, "-CAfile", ca, "-servername", "localhost",
			"-verify_return_error", "-ign_eof", input = "hello\nbye\n", limit = 20 }
		check.eq(r.out:match("you said %a+"), "you said hello")
		local function openssl(...)
			return vai.process.run({ "openssl", "s_client", "-connect", address, "-ign_eof", input = "bye\n", limit = 20, ... }).out
		end
		local function count(text, what) return (({ text:gsub(what, "") })[2]) end
		check.eq(count(openssl("-msg", "-tls1_3"), "NewSessionTicket"), 1)
		check.eq(count(openssl("-reconnect", "-tls1_2"), "Reused"), 5)
		check.eq(openssl("-no_ticket", "-tls1_2"):match("Session%-ID: (%x*)\n"), "") -- the server keeps no sessions
		l:close()
		l = assert(tls.listen("tcp", "127.0.0.1:0", certs.pair("good")))
		local function server_sees(f)
			local c = assert(vai.net.dial("tcp", l:addr()))
			local s = l:accept()
			f(c)
			return (table.pack(s:read(nil, 10)))[2]
		end
		check.eq(server_sees(function(c) c:write("GET / HTTP/1.1\r\n\r\n") end), "http request")
		check.eq(server_sees(function(c) c:write("\22\3\1") c:close() end), "the peer has ended the connection in the handshake")
		local a, b = vai.net.pipe()
		local server, client = tls.server(b, certs.pair("good")), tls.client(a, { ca = ca, server_name = "localhost" })
		local done = vai.async(function() client:write("x\n") return client:read("l") end)
		check.eq(server:read("l"), "x")
		server:write("y\n")
		check.returns(table.pack(done:join()), true, "y")
		a:close_write() -- of the connection below
		local got, why, code = server:read(nil, 10)
		check.eq(got, nil)
		check.eq(why, "the peer has cut the connection off (no close_notify)")
		check.eq(code, "ECONNRESET")
	]])

	test("that says nothing costs a limit, not the connection", [[
		local a, b = vai.net.pipe()
		local client = assert(tls.client(a, { ca = ca, server_name = "localhost" }))
		check.returns(table.pack(client:handshake(0.02)), nil, "timeout")
		check.returns(table.pack(client:read(nil, 0)), nil, "timeout")
		local server = assert(tls.server(b, certs.pair("good")))
		vai.go(function() server:write("late\n") end)
		check.eq(client:read("l", 10), "late")
		local waiting = vai.async(function() return client:read() end)
		check.until_true(function() return waiting:status() == "waiting" end)
		client:close()
		check.returns(table.pack(waiting:join()), true, nil, "closed")
	]])
end)

describe("goroutines", function()
	test("that shake hands at once, some with wrong certificates, on any thread, misread nothing", [[
		local good, bad = echo("good"), echo("old")
		vai.on_panic(print)
		local results, n = vai.map(), check.scaled(60)
		local context = assert(tls.client_context { ca = ca })
		local wg = waitgroup()
		for i = 1, n do
			wg:go(function()
				local c, why = tls.dial("tcp", i % 3 == 0 and bad or good, { context = context, server_name = "localhost" })
				if c then
					c:write(i, "\n")
					why = c:read("l") == "you said " .. i and "good" or "wrong answer"
				end
				results:add(why, 1)
			end)
		end
		wg:wait()
		check.eq(results:get("certificate 'CN = localhost': certificate has expired"), n // 3)
		check.eq(results:get("good"), n - n // 3)
	]])
end)
