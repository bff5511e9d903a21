-- SPDX-License-Identifier: MIT
-- vai.socket: LuaSocket's interface, and drivers that were written for it: redis-lua, LuaSocket's http, smtp, ftp.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

local test = program.tester [[
	local socket, fs = vai.socket, vai.fs
	local dir = arg[1]
	package.path = package.path .. ";/usr/share/lua/5.4/?.lua;/usr/share/lua/5.3/?.lua"
	local function pair()
		local server = assert(socket.bind("127.0.0.1", 0))
		local host, port = server:getsockname()
		local c = assert(socket.connect(host, port))
		local s = assert(server:accept())
		server:close()
		return c, s
	end
	local function start(port, command)
		command.stdout, command.stderr = "null", "null"
		local p = assert(vai.process.spawn(command))
		check.until_true(function()
			local c = vai.net.dial("tcp", "127.0.0.1:" .. port, 1)
			return c and (c:close() or true)
		end)
		return p
	end
]]

describe("vai.socket", function()
	test("has LuaSocket's functions", [[
		for _, name in ipairs { "bind", "choose", "connect", "gettime", "newtry", "protect", "select", "sink", "skip", "sleep",
			"source", "tcp", "tcp4", "tcp6", "try", "udp", "udp4", "udp6" } do
			check.eq(type(socket[name]), "function", name)
		end
		for _, name in ipairs { "getaddrinfo", "gethostname", "tohostname", "toip" } do
			check.eq(type(socket.dns[name]), "function", name)
		end
		check.eq(socket.dns.toip("127.0.0.1"), "127.0.0.1")
		check.eq(socket.dns.gethostname() ~= "", true)
		check.eq(socket.skip(1, "a", "b"), "b")
		check.eq(math.abs(socket.gettime() - os.time()) < 3, true)
	]])

	test("receives as LuaSocket does", [[
		local c, s = pair()
		check.eq(c:send("one\r\ntwo\nabcdefgh"), 17)
		check.eq(s:receive(), "one")
		check.eq(s:receive("*l"), "two")
		check.eq(s:receive(3), "abc")
		check.eq(s:receive(4, "ab"), "abde")
		s:settimeout(0.02)
		check.returns(table.pack(s:receive(10)), nil, "timeout", "fgh")
		check.returns(table.pack(s:receive("*l", "pre")), nil, "timeout", "pre")
		c:send("part")
		check.returns(table.pack(s:receive("*l", "pre")), nil, "timeout", "prepart")
		c:send("all of\nit")
		c:shutdown("send")
		check.returns(table.pack(s:receive("*a")), "all of\nit")
		check.returns(table.pack(s:receive("*a")), nil, "closed", "")
		check.returns(table.pack(s:receive("*l")), nil, "closed", "")
		check.returns(table.pack(s:receive(1)), nil, "closed", "")
		check.eq(s:send("xhellox", 2, 6), 6)
		check.eq(s:send("xhellox", -6, -2), 6)
		s:close()
		check.returns(table.pack(c:receive(10)), "hellohello")
		check.returns(table.pack(s:receive()), nil, "closed", "")
		check.returns(table.pack(s:send("x")), nil, "closed", 0)
		check.raises("invalid receive pattern", c.receive, c, "*x")
		check.raises("#1 to 'send'", c.send, c)
		c:close()
		c, s = pair()
		c:send("cut short")
		c:close()
		check.returns(table.pack(s:receive("*l")), nil, "closed", "cut short")
		c, s = pair()
		c:send("cut short")
		c:close()
		check.returns(table.pack(s:receive(100)), nil, "closed", "cut short")
	]])

	test("tells names, options, time-outs, counts and errors", [[
		local c, s = pair()
		local host, port, family = c:getpeername()
		check.eq(host, "127.0.0.1")
		check.eq(family, "inet")
		check.eq(port, ({ s:getsockname() })[2])
		check.eq(c:setoption("tcp-nodelay", true), 1)
		check.eq(c:getoption("tcp-nodelay"), true)
		check.eq(c:setoption("keepalive", true), 1)
		check.eq(c:setoption("linger", { on = true, timeout = 3 }), 1)
		check.eq(c:getoption("linger").timeout, 3)
		check.raises("unsupported option", c.setoption, c, "none", 1)
		c:settimeout(2)
		c:settimeout(3, "t")
		check.returns(table.pack(c:gettimeout()), 2, 3)
		check.raises("timeout mode", c.settimeout, c, 1, "x")
		c:send("12345")
		check.eq(({ c:getstats() })[2], 5)
		check.eq(tostring(c):match("^tcp{client}") ~= nil, true)
		check.returns(table.pack(socket.connect("127.0.0.1", check.free_port())), nil, "connection refused")
		local t = socket.tcp()
		check.returns(table.pack(t:send("x")), nil, "not connected", 0)
		local l = socket.bind("127.0.0.1", 0)
		l:settimeout(0.01)
		check.returns(table.pack(l:accept()), nil, "timeout")
		check.returns(table.pack(socket.bind("127.0.0.1", ({ l:getsockname() })[2])), nil,
			"address already in use")
		l:close()
		check.returns(table.pack(l:accept()), nil, "closed")
	]])

	test("has datagrams", [[
		local a, b = socket.udp(), socket.udp()
		check.eq(a:setsockname("127.0.0.1", 0), 1)
		local host, port = a:getsockname()
		check.eq(b:setpeername(host, port), 1)
		check.eq(b:send("ping"), 1)
		local data, from, from_port = a:receivefrom()
		check.eq(data, "ping")
		check.eq(a:sendto("pong", from, from_port), 1)
		check.eq(b:receive(), "pong")
		a:settimeout(0.01)
		check.returns(table.pack(a:receivefrom()), nil, "timeout")
		check.returns(table.pack(socket.udp():send("x")), nil, "refused")
		a:close()
		b:close()
	]])

	test("selects", [[
		local c, s = pair()
		local c2, s2 = pair()
		local l = socket.bind("127.0.0.1", 0)
		local r, w, why = socket.select({ s, s2, l }, nil, 0.01)
		check.eq(#r + #w, 0)
		check.eq(why, "timeout")
		c2:send("x")
		r, w, why = socket.select({ s, s2, l }, { c }, 5)
		check.eq(why, nil)
		check.eq(w[1], c)
		check.eq(w[c], 1)
		r = socket.select({ s, s2, l }, nil, 5)
		check.eq(#r, 1)
		check.eq(r[1], s2)
		check.eq(r[s2], 1)
		check.eq(s2:receive(1), "x")
		c2:send("two")
		check.eq(s2:receive(1), "t")
		r = socket.select({ s2 }, nil, 5) -- lies in the buffer
		check.eq(r[1], s2)
		local waiter = vai.async(function(l_handle) return #vai.socket.select({ { handle = l_handle } }) end, l.handle)
		check.waiting(waiter)
		local other = socket.connect(l:getsockname())
		check.returns(table.pack(waiter:join()), true, 1)
		c:close()
		r = socket.select({ s }, nil, 5)
		check.eq(r[1], s)
		check.returns(table.pack(s:receive()), nil, "closed", "")
		-- Somebody else reads there: no answer, but no harm to him.
		local reader = vai.async(function(handle) return handle:read("l") end, other.handle)
		check.waiting(reader)
		check.eq(#socket.select({ other }, nil, 0.05), 0)
		l:accept():send("to the reader\n")
		check.returns(table.pack(reader:join()), true, "to the reader")
	]])

	test("protects and tries", [[
		local closed = 0
		local try = socket.newtry(function() closed = closed + 1 end)
		local f = socket.protect(function(ok) try(ok, "why") return "fine" end)
		check.returns(table.pack(f(true)), "fine")
		check.returns(table.pack(f(nil)), nil, "why")
		check.eq(closed, 1)
		check.raises("other", socket.protect(function() error("other") end))
	]])

	test("is what require gives after vai.compat, in goroutines, too", [[
		vai.compat()
		check.eq(require "socket", vai.socket)
		local function inner()
			local s = require "socket"
			return s == require("vai").socket, type(require("socket.unix")) == "table", s.tcp ~= nil
		end
		check.returns(table.pack(vai.async(inner):join()), true, true, true, true)
	]])

	test("objects cross to goroutines", [[
		local c, s = pair()
		local t = vai.async(function(sock) sock:send("from there\n") return sock:receive() end, c)
		check.eq(s:receive(), "from there")
		s:send("and back\n")
		check.returns(table.pack(t:join()), true, "and back")
	]])
end)

describe("drivers", function()
	test("redis-lua parks the goroutine that waits", [[
		vai.compat()
		local port = check.free_port()
		local p <close> = start(port, { "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir })
		local redis = require "redis"
		local client = redis.connect("127.0.0.1", port)
		check.eq(client:ping(), true)
		client:set("key", "value")
		check.eq(client:get("key"), "value")
		local big = ("x"):rep(300000)
		client:set("big", big)
		check.eq(client:get("big") == big, true)
		local n = 8
		local wg = waitgroup()
		for i = 1, n do
			wg:go(function(at)
				local own = require("redis").connect("127.0.0.1", at)
				for _ = 1, 50 do own:incr("n") end
				own:quit()
			end, port)
		end
		wg:wait()
		check.eq(client:get("n"), tostring(50 * n))
		-- A blocking command holds up nobody.
		local popper = vai.async(function(at)
			local own = require("redis").connect("127.0.0.1", at)
			return own:blpop("list", 0)[2]
		end, port)
		check.waiting(popper)
		client:rpush("list", "pushed")
		check.returns(table.pack(popper:join()), true, "pushed")
		local replies = client:transaction(function(q) q:get("key") q:incr("n") end)
		check.eq(replies[1], "value")
	]], { skip = not io.open("/usr/share/lua/5.3/redis.lua") and "lua-redis is not installed" or nil })

	test("LuaSocket's http gets from nginx, many at once", [[
		vai.compat()
		local port = check.free_port()
		local big = ("line of a page\n"):rep(20000)
		fs.mkdirs(dir .. "/www")
		fs.write_file(dir .. "/www/page", big)
		fs.write_file(dir .. "/nginx.conf", ("daemon off; master_process off; pid %s/pid; error_log %s/err; events {} http { "
			.. "access_log off; client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; "
			.. "scgi_temp_path %s/s; server { listen 127.0.0.1:%d; root %s/www; location /old { return 301 /page; } } }"):format(
			dir, dir, dir, dir, dir, dir, dir, port, dir))
		fs.write_file(dir .. "/err", "")
		local p <close> = start(port, { "nginx", "-c", dir .. "/nginx.conf", "-e", dir .. "/err" })
		local http = require "socket.http"
		local url = "http://127.0.0.1:" .. port
		local body, code, headers = http.request(url .. "/page")
		check.eq(code, 200)
		check.eq(body == big, true)
		check.eq(headers["content-length"], tostring(#big))
		check.eq(({ http.request(url .. "/none") })[2], 404)
		check.eq(({ http.request(url .. "/old") })[1] == big, true)
		check.eq(({ http.request(url .. "/page", "posted") })[2], 405)
		local wg, sum = waitgroup(), chan(20)
		for _ = 1, 10 do
			wg:go(function(from)
				local text = require("socket.http").request(from)
				sum:send(#text)
			end, url .. "/page")
		end
		wg:wait()
		for _ = 1, 10 do check.eq(sum:recv(), #big) end
	]], { needs = { "ltn12", "mime" } })

	test("LuaSocket's smtp and ftp", [[
		vai.compat()
		local l = vai.net.listen("tcp", "127.0.0.1:0")
		local mail = vai.async(function(listener)
			local c <close> = listener:accept()
			local got = {}
			c:write("220 ready\r\n")
			for line in c:lines() do
				line = line:gsub("\r", "")
				if line == "DATA" then
					c:write("354 go on\r\n")
					repeat
						line = c:read("l"):gsub("\r", "")
						got[#got + 1] = line
					until line == "."
					c:write("250 taken\r\n")
				elseif line:find("^QUIT") then
					c:write("221 bye\r\n")
					return table.concat(got, "|")
				else
					c:write("250 fine\r\n")
				end
			end
		end, l)
		local smtp = require "socket.smtp"
		local port = tonumber(l:addr():match("%d+$"))
		check.eq(assert(smtp.send { from = "<a@x>", rcpt = "<b@x>", server = "127.0.0.1", port = port,
			source = smtp.message { headers = { subject = "s" }, body = "text of it" } }), 1)
		local ok, text = mail:join()
		check.eq(ok, true, text)
		check.eq(text:find("|text of it|", 1, true) ~= nil, true)
		-- An FTP server that knows one file.
		vai.go(function(listener)
			local c <close> = listener:accept()
			local data
			c:write("220 ready\r\n")
			for line in c:lines() do
				local word = line:match("^%a+"):upper()
				if word == "USER" then c:write("331 password\r\n")
				elseif word == "PASS" then c:write("230 in\r\n")
				elseif word == "EPSV" then
					data = vai.net.listen("tcp", "127.0.0.1:0")
					c:write(("229 mode (|||%s|)\r\n"):format(data:addr():match("%d+$")))
				elseif word == "RETR" then
					c:write("150 comes\r\n")
					local d = data:accept()
					d:write("contents\nof the file")
					d:close()
					c:write("226 done\r\n")
				elseif word == "QUIT" then c:write("221 bye\r\n")
				else c:write("200 fine\r\n") end
			end
		end, l)
		check.eq(require("socket.ftp").get("ftp://127.0.0.1:" .. port .. "/file;type=i"), "contents\nof the file")
	]], { needs = { "ltn12", "mime" } })
end)
