-- SPDX-License-Identifier: MIT
-- vai.http's client, against its server and against servers that say byte for byte what they are told to.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- start: a server of vai.http. script: a listener that gives each connection to f with its number; its address as a URL.
-- saying: such a server that gives the same bytes to each request and ends the connection.
local test = program.tester [[
	local http = require "vai.http"
	local net = vai.net
	local function pick(n, ...) return (table.unpack({ ... }, n)) end
	local function fails(why, code, got, told, its)
		check.eq(got, nil)
		check.eq(told, why)
		check.eq(its, code)
	end
	local function start(handler, options)
		options = options or {}
		options.listen, options.handler = "127.0.0.1:0", handler
		local s = assert(http.serve(options))
		return "http://" .. s:addr(), s
	end
	local function script(f)
		local l = assert(net.listen("tcp", "127.0.0.1:0"))
		vai.go(function()
			local n = 0
			for c in l do
				n = n + 1
				vai.go(f, c, n)
			end
		end)
		return "http://" .. l:addr(), l
	end
	local function skip_head(c)
		for line in c:lines() do
			if line == "\r" then return true end
		end
	end
	local function saying(bytes)
		return (script(function(c)
			skip_head(c)
			c:write(bytes)
			c:close()
		end))
	end
]]

describe("a request", function()
	test("has a method, headers, a query and a body; the answer is read whole or in pieces", [[
		local base = start(function(req, res)
			res.status = req.path == "/none" and 404 or 200
			res.headers["Set-Cookie"] = { "a=1", "b=2" }
			res:write(req.method, " ", req.target, " ", req:header("X-A") or "-", " ", req.headers.host, "\n")
			for line in function() return req:read("l") end do res:write("<", line, ">\n") end
		end)
		local host = base:match("//(.*)")
		local r = assert(http.get(base .. "/x?y=1", 10))
		check.eq(r.status, 200)
		check.eq(r.reason, "OK")
		check.eq(r.url, base .. "/x?y=1")
		check.eq(r:header("transfer-ENCODING"), "chunked")
		check.same(r.headers["set-cookie"], { "a=1", "b=2" })
		check.eq(r:body(), "GET /x?y=1 - " .. host .. "\n")
		check.eq(r:read(), nil)
		check.eq(http.get(base .. "/none").status, 404)
		check.eq(http.head(base .. "/x"):body(), "")
		r = http.request { url = base .. "/a?b=c#d", method = "PUT", headers = { ["x-a"] = "h" }, query = { e = "f g" }, body = "1\n2\n" }
		check.eq(r:read("l"), "PUT /a?b=c&e=f%20g h " .. host)
		check.eq(r:read(2), "<1")
		check.eq(r:body(), ">\n<2>\n")
		check.eq(http.post(base .. "/", "x", "text/plain"):body(), "POST / - " .. host .. "\n<x>\n")
		local n = 0
		local function pieces()
			n = n + 1
			return n <= 3 and "line " .. n .. "\n" or nil
		end
		check.eq(http.post(base .. "/", pieces):body(), "POST / - " .. host .. "\n<line 1>\n<line 2>\n<line 3>\n")
		local a, b = net.pipe()
		a:write("from a\nconnection\n")
		a:close()
		check.eq(http.post(base .. "/", b):body(), "POST / - " .. host .. "\n<from a>\n<connection>\n")
		local sized = http.request { url = base, method = "POST", headers = { ["Content-Length"] = "3" }, body = coroutine.wrap(function()
			coroutine.yield("ab")
			coroutine.yield("c")
		end) }
		check.eq(sized:body(), "POST / - " .. host .. "\n<abc>\n")
	]])

	test("that is wrong is refused by name, before anything is sent", [[
		check.raises("unknown option 'uri'", http.request, { uri = "x" })
		check.raises("option 'url' is missing", http.request, {})
		check.raises("option 'headers': table expected, got string", http.request, { url = "http://a", headers = "x" })
		check.raises("option 'body': a number", http.request, { url = "http://a", body = 1 })
		check.raises("option 'body': a table", http.request, { url = "http://a", body = { a = 1 } })
		check.raises("option 'body': a userdata", http.request, { url = "http://a", body = chan() })
		check.raises("method 'CONNECT'", http.request, { url = "http://a", method = "CONNECT" })
		check.raises("unknown option 'pool'", http.client, { pool = 1 })
		check.raises("option 'max_idle'", http.client, { max_idle = "many" })
		local base = start(function(_, res) res:send("") end)
		check.raises("bad method 'A B'", http.request, { url = base, method = "A B" })
		check.raises("header 'X' contains a control character", http.request, { url = base, headers = { X = "a\r\nY: b" } })
		check.raises("header 'X' contains a control character", http.request, { url = base, headers = { X = "a\8" } })
		check.raises("bad header 'Connection'", http.request, { url = base, headers = { Connection = "a\r\nY: b" } })
		check.raises("bad header 'Content%-Length'", http.request,
			{ url = base, body = function() end, headers = { ["Content-Length"] = "x" } })
		check.raises("longer than Content%-Length", http.request,
			{ url = base, body = coroutine.wrap(function() coroutine.yield("abc") end), headers = { ["Content-Length"] = 2 } })
		check.raises("shorter than Content%-Length", http.request,
			{ url = base, body = function() end, headers = { ["Content-Length"] = 2 } })
		check.raises("a piece of the body is a number", http.request, { url = base, body = function() return 1 end })
		check.raises("broken piece", http.request, { url = base, body = function() error("broken piece") end })
		fails("'nothing' has no scheme", "EINVAL", http.get("nothing"))
		fails("unknown scheme 'ftp'", "EINVAL", http.get("ftp://a/"))
		fails("127.0.0.1:1: connection refused", "ECONNREFUSED", http.get("http://127.0.0.1:1/"))
	]])

	test("sends its body in pieces while the answer comes, over TLS, too", [[
		local certs = require "certs"
		local function echo(req, res)
			for s in function() return (req:read()) end do res:write(s) end
		end
		local server = assert(http.serve { listen = "127.0.0.1:0", handler = echo, tls = certs.pair("good") })
		local client = http.client { tls = { ca = certs.path("ca") .. ".pem", server_name = "localhost" } }
		local piece = ("x"):rep(65536)
		for _, base in ipairs { (start(echo)), "https://" .. server:addr() } do
			local n = 0
			local function pieces()
				n = n + 1
				return n <= 320 and piece or nil
			end
			local r = assert(client:request { url = base, method = "POST", body = pieces })
			check.eq(n < 320, true) -- it is not all sent by then
			local got = 0
			for s in function() return (r:read()) end do got = got + #s end
			check.eq(got, 320 * 65536)
		end
		check.eq(client:idle(), 2)
		-- One that is left in the middle, one that fails there, one that is told of something first.
		local before, n, fail = vai.count(), 0, false
		local function endless()
			if fail then error("no more") end
			return piece
		end
		local base = start(echo)
		local r <close> = assert(client:request { url = base, method = "POST", body = endless })
		check.eq(#r:read(65536), 65536)
		r:close()
		local failing <close> = assert(client:request { url = base, method = "POST", body = endless })
		fail = true
		check.raises("no more", failing.body, failing)
		check.returns(table.pack(failing:body()), nil, "the body has failed", nil)
		failing:close()
		base = script(function(c)
			skip_head(c)
			c:write("HTTP/1.1 103 Early Hints\r\n\r\n")
			repeat local line = c:read("L") until line == "0\r\n"
			c:write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
			c:close()
		end)
		local function lines()
			n = n + 1
			return n <= 1000 and ("y"):rep(1000) .. "\n" or nil
		end
		check.eq(client:request { url = base, method = "POST", body = lines, limit = 30 }:body(), "done")
		client:close()
	]], { needs = "vai.tls" })

	test("that asks first sends its body when the server wants it", [[
		local base = start(function(req, res)
			if req.path == "/no" then
				res.status = 403
				return res:send("no")
			end
			res:send(req:body())
		end)
		local headers, client = { Expect = "100-continue" }, http.client { continue_timeout = 30 }
		local r = client:request { url = base .. "/yes", method = "POST", body = "body", headers = headers }
		check.eq(r:body(), "body")
		local asked = false
		r = client:request { url = base .. "/no", method = "POST", headers = headers, body = function() asked = true end }
		check.eq(r.status, 403)
		check.eq(r:body(), "no")
		check.eq(asked, false)
	]])

	test("that asks first takes hints for no answer, and the word to go on in pieces, when it has begun, too", [[
		local body_seen = chan(2)
		local base = script(function(c, n)
			skip_head(c)
			c:write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", n == 1 and "HTTP/1.1 100 Continue\r\n\r\n" or "HTTP/1.1 100 Con")
			body_seen:send(c:read(4))
			c:write(n == 1 and "" or "tinue\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		end)
		local headers = { Expect = "100-continue" }
		for n, client in ipairs { http.client { continue_timeout = 30 }, http.client { continue_timeout = 0.05 } } do
			local r = client:request { url = base, method = "POST", headers = headers, body = "body" }
			check.returns({ n = 3, r.status, r:body(), body_seen:recv() }, 200, "ok", "body")
		end
	]])

	test("with a long text is answered while it is still sent, and is repeated over a connection that was stale", [[
		local text = ("0123456789abcdef"):rep(1 << 20)
		local base, server = start(function(req, res)
			res:write("begun")
			for s in function() return (req:read()) end do res:write(s) end
		end)
		check.eq(http.post(base, text, nil, 60):body() == "begun" .. text, true)
		local put = script(function(c, n)
			skip_head(c)
			if n == 1 then
				c:write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
				skip_head(c)
				return c:close()
			end
			local size = 0
			while size < #text do size = size + #c:read() end
			c:write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole")
		end)
		local client = http.client()
		check.eq(client:get(put):body(), "x")
		check.eq(client:request { url = put, method = "PUT", body = text, limit = 60 }:body(), "whole")
	]])

	test("takes its body from files of Lua's and of vai's byte for byte, and waits no longer for it than it may", [[
		local base = start(function(req, res) res:send(req:body()) end)
		local path, text = check.temp(), ("a\r\n\n\0b"):rep(50000) .. "\n"
		local file <const> = assert(io.open(path, "wb"))
		file:write(text)
		file:close()
		for _, open in ipairs { io.open, vai.fs.open } do
			local f = assert(open(path, "r"))
			check.eq(http.post(base, f, nil, 60):body() == text, true)
			f:close()
		end
		local a, b = net.pipe()
		fails("timeout", nil, http.post(base, b, nil, 0.05))
		local ctx, cancel = vai.context():with_cancel()
		local task = vai.async(function() return http.post(base, b, nil, ctx) end)
		check.waiting(task)
		cancel()
		check.returns(table.pack(task:join(60)), true, nil, "canceled", nil)
		a:close()
	]])

	test("has an address whose parts are read as they stand, and encoded where they must be", [[
		local base = script(function(c)
			while true do
				local line, user = c:read("L"), "-"
				if not line then return end
				for head in c:lines() do
					if head == "\r" then break end
					user = head:match("^Authorization: Basic (.-)\r") or user
				end
				local said = line:match("^(.-)%s*$") .. " " .. user
				c:write("HTTP/1.1 200 OK\r\nContent-Length: ", tostring(#said), "\r\n\r\n", said)
			end
		end)
		local host = base:match("//(.*)")
		local function said(url) return assert(http.get(url, 10)):body() end
		check.eq(said("http://joe@" .. host), "GET / HTTP/1.1 am9lOg==")
		check.eq(said("http://joe:@" .. host), "GET / HTTP/1.1 am9lOg==")
		check.eq(said("http://j%40e:p:w@" .. host), "GET / HTTP/1.1 akBlOnA6dw==")
		check.eq(said(base .. "/a%20\u{e4}?\u{20ac}"), "GET /a%20%C3%A4?%E2%82%AC HTTP/1.1 -")
		fails("bad user in 'http://j%4@" .. host .. "'", "EINVAL", http.get("http://j%4@" .. host))
		fails("bad port in 'http://[::1]80/'", "EINVAL", http.get("http://[::1]80/"))
		fails("bad port in 'http://a:8x/'", "EINVAL", http.get("http://a:8x/"))
		fails("bad port in 'http://a:65536/'", "EINVAL", http.get("http://a:65536/"))
		fails("bad proxy: a number", "EINVAL", http.request { url = base, proxy = 1 })
		check.raises("bad method ''", http.request, { url = base, method = "" })
		check.raises("header 'Host' twice", http.request, { url = base, headers = { Host = "a", host = "b" } })
		check.raises("header 'Host' twice", http.request, { url = base, headers = { host = { "a", "b" } } })
	]])
end)

describe("connections", function()
	test("are kept, for all goroutines, as many as the client says", [[
		local base, server = start(function(req, res)
			if req.path == "/close" then res.headers.Connection = "close" end
			res:send("x")
		end)
		for _ = 1, 3 do check.eq(http.get(base):body(), "x") end
		check.eq(vai.async(function() return http.get(base):body() end):join(), true)
		check.eq(server:count(), 1)
		local client = http.client { max_idle_per_host = 2 }
		local answers = {}
		for i = 1, 4 do answers[i] = client:request { url = base .. "/", method = "GET" } end
		check.eq(client:idle(), 0)
		for i = 1, 4 do answers[i]:body() end
		check.eq(client:idle(), 2)
		client:get(base .. "/close"):body()
		check.eq(client:idle(), 1)
		check.eq(pick(2, vai.async(function() client:get(base):body() return client:idle() end):join()), 1)
		client:close()
		check.eq(client:idle(), 0)
		local one = http.client { max_idle = 1 }
		local a, b = one:get(base), one:get(base)
		a:body()
		b:body()
		check.eq(one:idle(), 1)
		check.until_true(function() return server:count() == 2 end)
	]])

	test("that were kept for too long are closed, and their place is forgotten", [[
		local base, server = start(function(_, res) res:send("x") end)
		local client = http.client { idle_timeout = 0.02 }
		client:get(base):body()
		check.until_true(function() return client:idle() == 0 and #client._shared.hosts == 0 end)
		check.until_true(function() return server:count() == 0 end)
		check.eq(client:get(base):body(), "x")
	]])

	test("do not put off the report of a deadlock until they are looked at", [[
		local base, l = script(function(c)
			skip_head(c)
			c:write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
		end)
		check.eq(http.client { idle_timeout = 1e6 }:get(base):body(), "x")
		l:close()
		check.raises("deadlock", function() chan():recv() end)
	]])

	test("are never more than max_per_host, and those of answers that were dropped are closed", [[
		local at_once, most = vai.atomic(), vai.atomic()
		local base, server = start(function(_, res)
			local n = at_once:add(1)
			if n > most:get() then most:set(n) end
			vai.yield()
			at_once:add(-1)
			res:send(("x"):rep(100))
		end)
		local client = http.client { max_per_host = 2 }
		local g = vai.group()
		for _ = 1, 20 do g:go(function() check.eq(#client:get(base):body(), 100) end) end
		check.eq(g:wait(20), true)
		check.eq(most:get() <= 2, true)
		local a <const>, b <const> = client:get(base), client:get(base)
		fails("timeout", nil, client:get(base, 0.02))
		a:read(10)
		a:close()
		check.eq(client:idle(), 1)
		fails("closed", nil, a:read())
		check.eq(client:get(base, 10).status, 200)
		b:close()
		for _ = 1, 4 do
			check.eq(vai.async(function() return client:get(base, 10).status end):join(), true)
		end
		collectgarbage()
		check.eq(client:get(base, 10):body(), ("x"):rep(100))
		local task = vai.async(function() client:get(base):read(1) vai.chan():recv() end)
		check.waiting(task)
		task:cancel()
		check.eq(client:get(base, 10):body(), ("x"):rep(100))
		check.until_true(function() return server:count() <= 2 end)
	]])

	test("of goroutines that are ended at any instruction are given back, and their places, too", [[
		local base, server = start(function(_, res) res:send("x") end)
		local client = http.client { max_per_host = 1, max_idle = 1 }
		local ended, n = true, 1
		while ended do
			local task = vai.async(function(at)
				debug.sethook(function()
					debug.sethook()
					error("ended")
				end, "", at)
				check.eq(client:get(base, 60):body(), "x")
				debug.sethook()
			end, n)
			local ok, why = task:join()
			ended = not ok
			check.eq(ok or tostring(why):find("ended") ~= nil, true, why)
			n = n + 700 // check.scaled(100)
		end
		check.eq(n > 100, true)
		check.eq(client:get(base, 60):body(), "x")
		check.until_true(function() return client:idle() == 1 and server:count() == 1 end)
	]])

	test("that have gone stale are replaced for what may be asked twice, and for nothing else", [[
		local seen = chan(10)
		local base = script(function(c, n)
			while skip_head(c) do
				c:write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", n)
				if n == 2 then skip_head(c) break end -- takes a request and says nothing
				if n == 1 then break end -- ends without a request
			end
			c:close()
			seen:send(n)
		end)
		local client = http.client()
		check.eq(client:get(base):body(), "1")
		seen:recv()
		check.eq(client:post(base, "x"):body(), "2")
		check.eq(client:get(base):body(), "3")
		local second = script(function(c)
			for i = 1, 2 do
				skip_head(c)
				if i == 1 then c:write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx") end
			end
			c:close()
		end)
		check.eq(client:get(second):body(), "x")
		fails(second:match("//(.*)") .. ": the connection has ended before the answer", "EHTTP", client:post(second, "x"))
	]])
end)

describe("redirects", function()
	test("are followed, with the method and the headers that they leave", [[
		local function handler(req, res)
			local status, to = req.path:match("^/(%d+)/(.*)$")
			if status then
				res.status, res.headers.Location = tonumber(status), to == "there" and "http://localhost:" .. req.query.port .. "/end" or to
				return res:send("moved")
			end
			res:send(("%s %s %s %s %s"):format(req.method, req.target, req:header("Authorization"), req:header("X-A"), req:body()))
		end
		local base, server = start(handler)
		local function ask(method, path, more)
			local options = { url = path and base .. path, method = method, headers = { Authorization = "secret", ["X-A"] = "a" },
				body = method == "POST" and "body" or nil }
			for k, v in pairs(more or {}) do options[k] = v end
			return http.request(options)
		end
		check.eq(ask("GET", "/302/../end"):body(), "GET /end secret a ")
		check.eq(ask("GET", "/302//end?q"):body(), "GET /end secret a ")
		check.eq(ask("POST", "/303//end"):body(), "GET /end secret a ")
		check.eq(ask("POST", "/301//end"):body(), "GET /end secret a ")
		check.eq(ask("POST", "/307//end"):body(), "POST /end secret a body")
		check.eq(ask("POST", "/308//end"):body(), "POST /end secret a body")
		check.eq(ask("HEAD", "/308//end").url, base .. "/end")
		check.eq(ask("POST", "/307//end", { body = function() end }).status, 307)
		check.eq(ask("GET", "/302//end", { follow = false }).status, 302)
		check.eq(ask("GET", "/302/there?port=" .. base:match("%d+$")):body(), "GET /end nil a ")
		local login = { url = base:gsub("//", "//me:pass@") .. "/302//302//end", headers = {} }
		check.eq(ask("GET", nil, login):body(), "GET /end Basic bWU6cGFzcw== nil ")
		login.url = base:gsub("//", "//me:pass@") .. "/302/there?port=" .. base:match("%d+$")
		check.eq(ask("GET", nil, login):body(), "GET /end nil nil ")
		fails(base:match("//(.*)") .. ": bad redirect: unknown scheme 'gopher'", "EINVAL", ask("GET", "/302/gopher://x/"))
		check.eq(server:count() <= 4, true) -- two of them with answers that nobody has read
		local round, n = nil, vai.atomic()
		round = script(function(c)
			while skip_head(c) do
				n:add(1)
				c:write("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")
			end
		end)
		fails(round .. "/again: more than 10 redirects", "EHTTP", http.get(round))
		check.eq(n:get(), 11)
		fails(round .. "/again: more than 2 redirects", "EHTTP", http.request { url = round, follow = 2 })
	]])
end)

describe("answers", function()
	test("that could be read in two ways are refused", [[
		local function refused(bytes, pattern)
			local base = saying(bytes)
			local r, why, code = http.get(base, 10)
			if r then
				r, why = r:body()
				check.eq(r, nil, bytes)
			else
				check.eq(code, "EHTTP")
				check.eq(why:find(base:match("//(.*)"), 1, true), 1, why)
			end
			check.eq(why:find(pattern) ~= nil, true, why)
		end
		local ok = "HTTP/1.1 200 OK\r\n"
		refused("", "ended before the answer")
		refused("HTTP/1.1 200 OK\r\nA: b", "ended before the answer")
		refused("200 OK\r\n\r\n", "bad status line")
		refused("HTTP/2.0 200 OK\r\n\r\n", "version")
		refused("HTTP/1.1 20 OK\r\n\r\n", "bad status line")
		refused("HTTP/1.1 099 OK\r\n\r\n", "bad status line")
		refused("HTTP/1.1 200 OK\n\n", "bare LF")
		refused(ok .. "A : b\r\n\r\n", "bad header name")
		refused(ok .. "A: b\r\n c\r\n\r\n", "continued")
		refused(ok .. "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", "Content%-Length twice")
		refused(ok .. "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Content%-Length with")
		refused(ok .. "Transfer-Encoding: gzip\r\n\r\n", "Transfer%-Encoding")
		refused(ok .. "Transfer-Encoding: chunked\r\n\r\nx", "bad chunk size")
		refused(ok .. "Transfer-Encoding: chunked\r\n\r\n5\r\nab", "ended in the middle")
		refused(ok .. "Content-Length: 5\r\n\r\nab", "ended in the middle")
		refused(("HTTP/1.1 103 Early Hints\r\n\r\n"):rep(20) .. ok .. "\r\n", "too many heads")
		refused(ok .. "A: " .. ("x"):rep(70000) .. "\r\n\r\n", "too large")
	]])

	test("end where they say, and what comes behind one is not the next one's", [[
		local client = http.client()
		local function body(bytes, method)
			local r = assert(client:request { url = saying(bytes), method = method, limit = 10 })
			local got = r:body()
			check.eq(client:idle(), 0)
			return got
		end
		check.eq(body("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall"), "all")
		check.eq(body("HTTP/1.0 200 OK\r\n\r\nold"), "old")
		check.eq(body("HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\nbad"), "")
		check.eq(body("HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\nbad"), "")
		check.eq(body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", "HEAD"), "")
		check.eq(body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyesHTTP/1.1 200 OK\r\n\r\n"), "yes")
		check.eq(body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\nmore"), "yes")
	]])

	test("that change the protocol unasked leave no connection for the next request", [[
		local base = script(function(c, n)
			skip_head(c)
			c:write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
		end)
		local client = http.client()
		for _, done in ipairs { "read", "close" } do
			local r = assert(client:get(base, 10))
			check.eq(r.status, 101)
			r[done](r)
			check.eq(client:idle(), 0)
		end
	]])

	test("are read in the ways that a connection is", [[
		local base = saying("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nab\ncd\n\nefghi")
		local r = assert(http.get(base, 10))
		check.raises({ "bad argument #1 to 'read'", "-1 bytes" }, r.read, r, -1)
		check.raises({ "bad argument #1 to 'read'", "1.5 bytes" }, r.read, r, 1.5)
		check.raises("invalid format 'x'", r.read, r, "x")
		check.eq(r:read(0), "")
		check.eq(r:read("*l"), "ab")
		check.eq(r:read("*L"), "cd\n")
		check.eq(r:read(2.0), "\ne")
		check.eq(r:read("*a"), "fghi")
		check.eq(r:read(0), nil)
		check.eq(r:read("a"), "")
		r = http.client({ max_body = 11 }):get(base, 10)
		fails("too long", nil, r:read("*a"))
	]])

	test("may have something behind the sizes of chunks, which is skipped", [[
		local head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		local function body(chunks) return http.get(saying(head .. chunks), 10):body() end
		check.eq(body("3;a=b;c=\"d\"\r\nyes\r\n4 \t\r\n, no\r\n0;end\r\n\r\n"), "yes, no")
		fails("bad chunk extension", nil, body("3;a\nb\r\nyes\r\n0\r\n\r\n"))
		fails("bad chunk extension", nil, body("3;" .. ("x"):rep(5000) .. "\r\nyes\r\n0\r\n\r\n"))
		fails("bad chunk size", nil, body("3=\r\nyes\r\n0\r\n\r\n"))
		-- In pieces of one byte: what was skipped of an extension is kept between them.
		local base = script(function(c)
			skip_head(c)
			for byte in (head .. "3;" .. ("x"):rep(300) .. "\r\nyes\r\n0;y\r\n\r\n"):gmatch(".") do c:write(byte) end
			c:close()
		end)
		check.eq(http.get(base, 10):body(), "yes")
	]])

	test("have limits: of time for each step and for all, by contexts, of size", [[
		local go_on = chan()
		local base, server = start(function(req, res)
			if req.path == "/slow" then go_on:recv() end
			if req.path == "/half" then
				res:write("half")
				return go_on:recv()
			end
			res:send(("x"):rep(1000))
		end)
		fails("timeout", nil, http.get(base .. "/slow", 0.02))
		fails("timeout", nil, http.client({ header_timeout = 0.02 }):get(base .. "/slow"))
		local time, r, half = 0.01, nil, nil
		repeat -- again, where the time was over before what there is had come
			time = 2 * time
			r = http.client({ read_timeout = time }):get(base .. "/half")
			half = r:read(4)
		until half
		check.eq(half, "half")
		fails("timeout", nil, r:read())
		local ctx, cancel = vai.context():with_cancel()
		vai.timer(0.01, cancel)
		fails("canceled", nil, http.get(base .. "/slow", ctx))
		fails("canceled", nil, http.get(base, ctx))
		ctx, cancel = vai.context():with_cancel()
		r = http.get(base .. "/half", ctx)
		check.eq(r:read(4), "half")
		cancel()
		fails("canceled", nil, r:body())
		local client = http.client { max_body = 999 }
		fails("too long", nil, client:get(base):body())
		check.eq(#client:get(base):read(500), 500)
		go_on:close()
		server:close()
	]])

	test("that are packed are unpacked, up to a limit", [[
		local function gzip(text) return vai.process.run({ "gzip", "-c", input = text }).out end
		local text = ("many words "):rep(20000)
		local packed = gzip(text)
		local base = start(function(req, res)
			local data = packed
			if req.path == "/two" then data = gzip("one, ") .. gzip("two") end
			if req.path == "/cut" then data = packed:sub(1, -20) end
			if req.path == "/bad" then data = "not gzip at all" end
			if req.path == "/plain" then return res:send(tostring(req:header("Accept-Encoding"))) end
			res.headers["Content-Encoding"] = "gzip"
			if req.path == "/empty" then return res:send("") end
			for at = 1, #data, 100 do res:write(data:sub(at, at + 99)) end
		end)
		local r = http.get(base)
		check.eq(r:header("Content-Encoding"), nil)
		check.eq(r:body() == text, true)
		check.eq(http.get(base .. "/two"):body(), "one, two")
		check.eq(http.get(base .. "/empty"):body(), "")
		check.eq(http.get(base .. "/plain"):body(), "gzip")
		fails("the compressed data has ended too early", nil, http.get(base .. "/cut"):body())
		fails("bad compressed data: incorrect header check", nil, http.get(base .. "/bad"):body())
		local client = http.client { max_body = 100000 }
		fails("too long", nil, client:get(base):body())
		check.eq(http.client({ gzip = false }):get(base .. "/plain"):body(), "nil")
		local own = http.request { url = base, headers = { ["accept-encoding"] = "gzip" } }
		check.eq(own:header("Content-Encoding"), "gzip")
		check.eq(own:body() == packed, true)
	]])
end)

describe("proxies", function()
	test("get whole addresses, and tunnels for TLS; no_proxy says for whom not", [[
		local tls, certs = require "vai.tls", require "certs"
		local secure = http.serve { listen = "127.0.0.1:0", tls = certs.pair("good"), handler = function(req, res)
			res:send("secret " .. req.path)
		end }
		local heads = chan(20)
		local proxy = script(function(c)
			local first, auth = c:read("l"):gsub("\r", ""), "none"
			for line in c:lines() do
				if line == "\r" then break end
				auth = line:match("^Proxy%-Authorization: (.*)\r") or auth
			end
			heads:send(first .. " " .. auth)
			local to = first:match("^CONNECT (%S+)")
			if not to then
				c:write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy")
				return c:close()
			elseif to:find("refused") then
				c:write("HTTP/1.1 403 Not you\r\nContent-Length: 0\r\n\r\n")
				return c:close()
			end
			c:write("HTTP/1.1 200 Go on\r\n\r\n")
			local server = net.dial("tcp", to)
			local function copy(from, into)
				for data in function() return from:read() end do into:write(data) end
				into:close_write()
			end
			vai.go(copy, c, server)
			copy(server, c)
		end)
		local by = proxy:gsub("//", "//me:p%%40ss@")
		local client = assert(http.client { proxy = by, tls = { ca = certs.path("ca") .. ".pem" } })
		check.eq(client:get("http://some.test/x?y"):body(), "proxy")
		check.eq(heads:recv(), "GET http://some.test/x?y HTTP/1.1 Basic bWU6cEBzcw==")
		for _ = 1, 2 do
			check.eq(client:get("https://" .. secure:addr() .. "/z"):body(), "secret /z")
		end
		check.eq(heads:recv(), "CONNECT " .. secure:addr() .. " HTTP/1.1 Basic bWU6cEBzcw==")
		check.eq(#heads, 0)
		fails(proxy:match("//(.*)") .. ": the proxy says 403 Not you", "EHTTP", client:get("https://refused.test/"))
		check.eq(client:request({ url = "https://" .. secure:addr() .. "/direct", proxy = false }):body(), "secret /direct")
		check.eq(#heads, 1)
		fails("bad proxy: unknown scheme 'socks5'", "EINVAL", http.request { url = "http://a.test", proxy = "socks5://x" })

		local find = require("vai.http.proxy").find
		local parse = require("vai.http.uri").parse
		local function goes(url)
			local p = find(parse(url))
			return p and p.address
		end
		check.eq(goes("http://a.test/"), "proxy.test:3128")
		check.eq(goes("https://a.test/"), "secure.test:80")
		check.eq(goes("http://localhost/"), false)
		check.eq(goes("http://127.0.0.1/"), false)
		check.eq(goes("http://direct.test/"), false)
		check.eq(goes("http://www.direct.test/"), false)
		check.eq(goes("http://notdirect.test/"), "proxy.test:3128")
		check.eq(goes("http://10.200.0.1/"), false)
		check.eq(goes("http://11.0.0.1/"), "proxy.test:3128")
		check.eq(goes("http://port.test:81/"), false)
		check.eq(goes("http://port.test/"), "proxy.test:3128")
	]], { env = { http_proxy = "proxy.test:3128", HTTPS_PROXY = "http://secure.test", no_proxy = "direct.test, 10.0.0.0/8,.port.test:81" } })
end)

describe("TLS", function()
	test("is checked, and its connections are kept, too", [[
		local certs = require "certs"
		local server = http.serve { listen = "127.0.0.1:0", tls = certs.pair("good"), handler = function(req, res)
			res:send("over " .. req.path)
		end }
		local base = "https://" .. server:addr()
		local client = assert(http.client { tls = { ca = certs.path("ca") .. ".pem" } })
		check.eq(client:get(base .. "/a"):body(), "over /a")
		check.eq(pick(2, vai.async(function() return client:get(base .. "/b"):body() end):join()), "over /b")
		check.eq(server:count(), 1)
		local r, why, code = http.get(base)
		check.eq(r, nil)
		check.eq(why, server:addr() .. ": certificate 'CN = localhost': unable to get local issuer certificate")
		check.eq(code, "ECERT")
		r, why = http.client { tls = { ca = "/none.pem" } }
		check.eq(r, nil)
		check.eq(why:find("ca '/none.pem'") ~= nil, true)
	]])
end)
