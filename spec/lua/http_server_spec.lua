-- SPDX-License-Identifier: MIT
-- vai.http's server, byte by byte.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- talk sends bytes and returns all that comes back until the server closes; response reads one of a connection that
-- stays open.
local test = program.tester [[
	local http = require "vai.http"
	local net = vai.net
	local function pick(n, ...) return (table.unpack({ ... }, n)) end
	local function start(options)
		if type(options) == "function" then options = { handler = options } end
		options.listen = "127.0.0.1:0"
		local s = assert(http.serve(options))
		return s, s:addr()
	end
	local function talk(address, bytes)
		local c = assert(net.dial("tcp", address))
		c:write(bytes)
		local answer = c:read("a", 10)
		c:close()
		return answer
	end
	local function head_of(answer)
		return tonumber(answer:match("^HTTP/1.1 (%d+) ")), answer:match("\r\n\r\n(.*)$")
	end
	local function response(c, bodyless)
		local status = tonumber(c:read("l", 10):match("^HTTP/1.1 (%d+) "))
		local headers = {}
		for line in c:lines() do
			if line == "\r" then break end
			local name, value = line:match("^([^:]+): (.-)\r$")
			headers[name:lower()] = value
		end
		local n = tonumber(headers["content-length"] or 0)
		return status, n > 0 and not bodyless and c:read(n, 10) or "", headers
	end
]]

describe("requests", function()
	test("are answered, one after the other, on one connection", [[
		local s, address = start(function(req, res)
			res.headers["Content-Type"] = "text/plain"
			res:send(req.method .. " " .. req.path .. " " .. (req.query.a or "-") .. " " .. req:header("X-Y") .. "\n")
		end)
		local c = assert(net.dial("tcp", address))
		for i = 1, 3 do
			c:write("GET /x%20y?a=", i, "%2B HTTP/1.1\r\nHost: h\r\nx-y: ", i, "\r\n\r\n")
			local status, body, headers = response(c)
			check.eq(status, 200)
			check.eq(body, ("GET /x%%20y %d+ %d\n"):format(i, i))
			check.eq(headers["content-type"], "text/plain")
			check.eq(headers.date:match("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$"), headers.date)
			check.eq(headers.connection, nil)
		end
		c:close()
		check.eq(s:shutdown(5), true)
		check.eq(s:wait(5), true)
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("that came together are answered in order, up to the one that closes", [[
		local s, address = start(function(req, res) res:send(req:body() .. req.path) end)
		local answer = talk(address, "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" ..
			"GET /2 HTTP/1.1\r\nHost: h\r\n\r\n" ..
			"POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\nX: y\r\n\r\n" ..
			"GET /4 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /5 HTTP/1.1\r\nHost: h\r\n\r\n")
		local bodies = {}
		for body in answer:gmatch("\r\n\r\n([^H]*)") do bodies[#bodies + 1] = body end
		check.eq(table.concat(bodies, " "), "abc/1 /2 def/3 /4")
		s:close()
	]])

	test("that two programs could read in two ways are refused, and nothing behind them is read", [[
		local seen = vai.atomic()
		local s, address = start(function(_, res) seen:add(1) res:send("ok") end)
		local host = "Host: h\r\n"
		local function refused(status, head)
			local answer = talk(address, head .. "GET /next HTTP/1.1\r\nHost: h\r\n\r\n")
			local got = head_of(answer)
			check.eq(got, status, head)
			local _, n = answer:gsub("HTTP/1.1 ", "")
			check.eq(n, 1, head)
		end
		local post = "POST / HTTP/1.1\r\n" .. host
		refused(400, "GET / HTTP/1.1\nHost: h\n\n")
		refused(400, "GET / HTTP/1.1\r\n" .. host .. "A: b\n\r\n")
		refused(400, "GET / HTTP/1.1\r\n" .. host .. "A: b\r\n c\r\n\r\n")
		refused(400, "GET / HTTP/1.1\r\n" .. host .. "A : b\r\n\r\n")
		refused(400, "GET / HTTP/1.1\r\n" .. host .. "A: b\0c\r\n\r\n")
		refused(400, "GET / HTTP/1.1\r\n" .. host .. "A: b\rc\r\n\r\n")
		refused(400, "GET / HTTP/1.1\r\n" .. host .. ": b\r\n\r\n")
		refused(400, "GET / HTTP/1.1\r\n" .. host .. "A\r\n\r\n")
		refused(400, "GET / HTTP/1.1\r\n\r\n")
		refused(400, "GET / HTTP/1.1\r\n" .. host .. host .. "\r\n")
		refused(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
		refused(400, "GET  / HTTP/1.1\r\n" .. host .. "\r\n")
		refused(400, "GET / a HTTP/1.1\r\n" .. host .. "\r\n")
		refused(400, "GET /\r\n" .. host .. "\r\n")
		refused(400, "\r\nGET / HTTP/1.1\r\n" .. host .. "\r\n")
		refused(400, "GET a HTTP/1.1\r\n" .. host .. "\r\n")
		refused(400, "GET http://other/ HTTP/1.1\r\n" .. host .. "\r\n")
		refused(400, "GET http://h.other/ HTTP/1.1\r\n" .. host .. "\r\n")
		for _, target in ipairs { "h", "h:", ":80", "h:8,0", "h:123456", "h:80:80", "h@h:80", "[::1:80", "http://h:80" } do
			refused(400, "CONNECT " .. target .. " HTTP/1.1\r\n" .. host .. "\r\n")
		end
		refused(505, "GET / HTTP/2.0\r\n" .. host .. "\r\n")
		refused(505, "GET / HTTP/1.2\r\n" .. host .. "\r\n")
		refused(400, post .. "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx")
		refused(400, post .. "Content-Length: 1, 1\r\n\r\nx")
		refused(400, post .. "Content-Length: +1\r\n\r\nx")
		refused(400, post .. "Content-Length: -1\r\n\r\nx")
		refused(400, post .. "Content-Length: 0x1\r\n\r\nx")
		refused(400, post .. "Content-Length: 1 1\r\n\r\nx")
		refused(400, post .. "Content-Length:\r\n\r\nx")
		refused(400, post .. "Content-Length: 99999999999999999999\r\n\r\nx")
		refused(400, post .. "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		refused(400, post .. "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		refused(501, post .. "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
		refused(501, post .. "Transfer-Encoding: identity\r\n\r\n")
		refused(400, "POST / HTTP/1.0\r\n" .. host .. "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		refused(400, post .. "Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n")
		refused(400, post .. "Content-Length:\t1\r\n\r\nx")
		refused(417, post .. "Expect: wonders\r\nContent-Length: 1\r\n\r\nx")
		check.eq(seen:get(), 0)
		check.eq(head_of(talk(address, "GET http://h/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")), 200)
		for _, target in ipairs { "h:80", "[::1]:443" } do
			check.eq(head_of(talk(address, "CONNECT " .. target .. " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")), 200)
		end
		check.eq(head_of(talk(address, "OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")), 200)
		check.eq(head_of(talk(address, "GET / HTTP/1.0\r\n\r\n")), 200)
		s:close()
	]])

	test("with bad chunks fail in the handler and close the connection", [[
		local got = chan(10)
		local s, address = start(function(req, res)
			local body, why = req:body()
			got:send(body or why)
			res:send("done")
		end)
		local function chunks(text)
			local answer = talk(address, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" .. text ..
				"GET /next HTTP/1.1\r\nHost: h\r\n\r\n")
			local _, n = answer:gsub("HTTP/1.1 ", "")
			check.eq(n, 1, text)
			check.eq(answer:match("\nConnection: (.-)\r"), "close")
			return got:recv(10)
		end
		check.eq(chunks("1;a=b\r\nx\r\n0\r\n\r\n"), "a chunk extension")
		check.eq(chunks("1\nx\r\n0\r\n\r\n"), "bad chunk size")
		check.eq(chunks("-1\r\nx\r\n0\r\n\r\n"), "bad chunk size")
		check.eq(chunks(" 1\r\nx\r\n0\r\n\r\n"), "bad chunk size")
		check.eq(chunks("1 \r\nx\r\n0\r\n\r\n"), "bad chunk size")
		check.eq(chunks("1\r\nxy\r\n0\r\n\r\n"), "bad chunk")
		check.eq(chunks("fffffffffffffffff\r\nx\r\n0\r\n\r\n"), "a chunk is too large")
		s:close()
	]])

	test("with a body give it in pieces, lines or whole, within the limits", [[
		local s, address = start { max_body = 20, handler = function(req, res)
			if req.path == "/lines" then
				res:send(table.concat({ req:read("l"), req:read("L"), req:read(2), tostring(req:read("l")), tostring(req:read()) }, "|"))
			elseif req.path == "/skip" then
				res:send("skipped")
			else
				local body, why = req:body()
				res:send(body or "refused: " .. why)
			end
		end }
		local c = assert(net.dial("tcp", address))
		local function post(path, body, more)
			c:write("POST ", path, " HTTP/1.1\r\nHost: h\r\n", more or "", "Content-Length: ", #body, "\r\n\r\n", body)
			return pick(2, response(c))
		end
		check.eq(post("/lines", "ab\ncd\nefgh"), "ab|cd\n|ef|gh|nil")
		check.eq(post("/skip", "not read at all"), "skipped")
		check.eq(post("/", "x"), "x")
		check.eq(post("/", ""), "")
		c:close()
		check.eq(head_of(talk(address, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 21\r\n\r\n")), 413)
		local _, body = head_of(talk(address,
			"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n123456789012345678901\r\n0\r\n\r\n"))
		check.eq(body, "refused: too long")
		s:close()
	]])

	test("that expect it are told to go on when the body is read", [[
		local s, address = start(function(req, res)
			if req.path == "/no" then
				res.status = 403
				return res:send("")
			end
			res:send("got " .. req:body())
		end)
		local c = assert(net.dial("tcp", address))
		local head = " HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
		c:write("POST /", head)
		check.eq(c:read("l", 10), "HTTP/1.1 100 Continue\r")
		check.eq(c:read("l", 10), "\r")
		c:write("abc")
		local status, body = response(c)
		check.eq(status, 200)
		check.eq(body, "got abc")
		c:write("POST /no", head)
		local _, _, headers = response(c)
		check.eq(headers.connection, "close")
		check.returns(table.pack(c:read(nil, 10)), nil)
		s:close()
	]])

	test("that are answered before the body is read are told nothing in the middle of the answer", [[
		local s, address = start(function(req, res)
			res:write("early")
			res:write(req:body())
		end)
		local c = assert(net.dial("tcp", address))
		c:write("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
		check.eq((c:read("l", 10)), "HTTP/1.1 200 OK\r")
		c:write("abc")
		local rest = c:read("a", 10)
		check.eq(rest:find("HTTP/1.1", 1, true), nil)
		check.eq(rest:match("\nConnection: (.-)\r"), "close")
		check.eq(rest:match("\r\n\r\n(.*)"), "5\r\nearly\r\n3\r\nabc\r\n0\r\n\r\n")
		s:close()
	]])
end)

describe("responses", function()
	test("have no body where there is none", [[
		local s, address = start(function(req, res)
			res.status = tonumber(req.path:sub(2))
			res:send("body")
		end)
		local c = assert(net.dial("tcp", address))
		local function ask(method, status)
			c:write(method, " /", status, " HTTP/1.1\r\nHost: h\r\n\r\n")
			local got, body, headers = response(c, method == "HEAD")
			check.eq(got, status)
			return body, headers["content-length"]
		end
		check.returns(table.pack(ask("HEAD", 200)), "", "4")
		check.returns(table.pack(ask("GET", 204)), "", nil)
		check.returns(table.pack(ask("GET", 304)), "", nil)
		check.returns(table.pack(ask("GET", 404)), "body", "4")
		s:close()
	]])

	test("have a status that ends an exchange", [[
		local told = chan(10)
		local s, address = start { on_error = function(err) told:send(err) end, handler = function(req, res)
			res.status = tonumber(req.path:match("%d+"))
			if req.path:find("write") then res:write("body") end
		end }
		for _, path in ipairs { "/103", "/101", "/100/write", "/99", "/1000/write" } do
			check.eq(head_of(talk(address, "GET " .. path .. " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")), 500)
			check.eq(told:recv(10):match("status (%d+)"), path:match("%d+"))
		end
		s:close()
	]])

	test("in pieces are chunks, or of the length that is said, or end with the connection", [[
		local s, address = start(function(req, res)
			if req.path == "/length" then res.headers["Content-Length"] = 6 end
			if req.path == "/short" then res.headers["Content-Length"] = 9 end
			for i = 1, 3 do res:write("p", i) end
			if req.path == "/length" then check.raises("Content%-Length", res.write, res, "x") end
		end)
		local get = "GET %s HTTP/1.%d\r\nHost: h\r\n%s\r\n"
		local close = "Connection: close\r\n"
		local answer = talk(address, get:format("/", 1, close))
		check.eq(pick(2, head_of(answer)), "2\r\np1\r\n2\r\np2\r\n2\r\np3\r\n0\r\n\r\n")
		check.eq(answer:match("Transfer%-Encoding: (%a+)"), "chunked")
		answer = talk(address, get:format("/", 0, ""))
		check.eq(pick(2, head_of(answer)), "p1p2p3")
		check.eq(answer:match("Transfer"), nil)
		check.eq(pick(2, head_of(talk(address, get:format("/length", 1, close)))), "p1p2p3")
		answer = talk(address, get:format("/short", 1, "")) -- closed, for the peer to see that something is missing
		check.eq(pick(2, head_of(answer)), "p1p2p3")
		s:close()
	]])

	test("cannot be broken apart by what a handler puts into headers", [[
		local errors = chan(10)
		local s, address = start { on_error = function(err) errors:send(tostring(err)) end, handler = function(req, res)
			if req.path == "/value" then res.headers["X-A"] = "a\r\nX-B: c" end
			if req.path == "/escape" then res.headers["X-A"] = "a\27[31m" end
			if req.path == "/delete" then res.headers["X-A"] = "a\127" end
			if req.path == "/tab" then res.headers["X-A"] = "a\tb\xff" end
			if req.path == "/name" then res.headers["X A"] = "a" end
			if req.path == "/type" then res.headers["X-A"] = {} res.headers["X-B"] = true end
			res:send("x")
		end }
		for _, path in ipairs { "/value", "/name", "/type" } do
			check.eq(head_of(talk(address, "GET " .. path .. " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")), 500)
		end
		check.eq(errors:recv(10):match("header 'X%-A' contains a control character"), "header 'X-A' contains a control character")
		check.eq(errors:recv(10):match("bad header name 'X A'"), "bad header name 'X A'")
		check.eq(errors:recv(10):match("header 'X%-B': string expected, got boolean"), "header 'X-B': string expected, got boolean")
		for path, status in pairs { ["/escape"] = 500, ["/delete"] = 500, ["/tab"] = 200 } do
			check.eq(head_of(talk(address, "GET " .. path .. " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")), status)
		end
		s:close()
	]])

	test("are strings or numbers", [[
		local told = chan(1)
		local s, address = start { on_error = function(err) told:send(err) end, handler = function(req, res)
			res:send(({ ["/5"] = 5, ["/1.5"] = 1.5, ["/true"] = true })[req.path])
		end }
		local get = "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
		check.eq(talk(address, get:format "/5"):match("Content%-Length: (%d+)"), "1")
		check.eq(pick(2, head_of(talk(address, get:format "/5"))), "5")
		check.eq(pick(2, head_of(talk(address, get:format "/1.5"))), "1.5")
		check.eq(head_of(talk(address, get:format "/true")), 500)
		check.eq(told:recv():match("string expected, got boolean"), "string expected, got boolean")
		s:close()
	]])

	test("of a handler that raises are 500, and the program goes on", [[
		local told = chan(10)
		local s, address = start { on_error = function(err, req) told:send(req.path .. ": " .. tostring(err)) end,
			handler = function(req, res)
				if req.path == "/late" then res:write("some") end
				error("broken", 0)
			end }
		local status, body = head_of(talk(address, "GET /early HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"))
		check.eq(status, 500)
		check.eq(body, "internal server error\n")
		check.eq(told:recv(10), "/early: broken")
		body = pick(2, head_of(talk(address, "GET /late HTTP/1.1\r\nHost: h\r\n\r\n")))
		check.eq(body, "4\r\nsome\r\n")
		s:close()
	]])

	test("are told to the log, and a hijacked connection is the handler's", [[
		local lines = chan(10)
		local s, address = start { log = function(req, res, seconds)
			lines:send(("%s %s %d %d"):format(req.method, req.path, res.status, res.bytes))
			assert(seconds >= 0)
		end, handler = function(req, res)
			if req.path == "/raw" then
				local c = res:hijack()
				c:write("raw ", c:read("l"), "\n")
				return c:close()
			end
			res:send("four")
		end }
		talk(address, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		check.eq(lines:recv(10), "GET /a 200 4")
		check.eq(talk(address, "GET /raw HTTP/1.1\r\nHost: h\r\n\r\nline\n"), "raw line\n")
		s:close()
	]])
end)

describe("limits", function()
	test("end heads that are too long or too slow, and idle connections, while others are served", [[
		local function handler(_, res) res:send("ok") end
		local s, address = start { max_header = 1000, handler = handler }
		check.eq(head_of(talk(address, "GET / HTTP/1.1\r\nHost: h\r\nA: " .. ("x"):rep(1000))), 431)
		s:close()
		s, address = start { idle_timeout = 0.1, handler = handler }
		local silent, answer = assert(net.dial("tcp", address)), nil
		repeat -- again, where the time was over before the request had been sent
			answer = talk(address, "GET / HTTP/1.1\r\nHost: h\r\n\r\n") -- until the server closes
		until answer and answer ~= ""
		check.eq(head_of(answer), 200)
		check.returns(table.pack(silent:read(nil, 10)), nil)
		check.until_true(function() return s:count() == 0 end)
		s:close()
		s, address = start { header_timeout = 0.1, handler = handler }
		local whole
		repeat -- again, where the time was over before all had been sent
			local slow = assert(net.dial("tcp", address))
			slow:write("GET / HT")
			whole = talk(address, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			answer = slow:read("a", 10)
		until answer and answer ~= "" and head_of(whole or "") == 200
		check.eq(head_of(answer), 408)
		check.until_true(function() return s:count() == 0 end)
		s:close()
	]])

	test("begin with whole heads: who sends one byte by byte holds no goroutine", [[
		local s, address = start { header_timeout = 20, handler = function(req, res) res:send(req.path) end }
		local conns = {}
		for i = 1, 50 do
			conns[i] = assert(net.dial("tcp", address))
			conns[i]:write("GET /", i, " HTTP/1.1\r\n")
		end
		check.until_true(function() return s:count() == 50 end)
		check.eq(head_of(talk(address, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")), 200)
		check.until_true(function() return vai.count() == 2 end)
		for _, byte in ipairs { "H", "ost: h\r\nA", ": b\r\n\r" } do
			for _, c in ipairs(conns) do c:write(byte) end
			check.eq(vai.count(), 2)
		end
		for i, c in ipairs(conns) do
			c:write("\nGET /again HTTP/1.1\r\n")
			check.eq(pick(2, response(c)), "/" .. i)
		end
		check.until_true(function() return vai.count() == 2 end)
		for _, c in ipairs(conns) do
			c:write("Host: h\r\n\r\n")
			check.eq(pick(2, response(c)), "/again")
		end
		check.eq(s:shutdown(20), true)
	]])

	-- Memory comes in spans of up to 2 MiB, as many as threads and goroutines use at the same time: so it may grow at first.
	-- What each request left behind, were it one small table, would be 3 MB in any four rounds.
	test("are answered in the same memory, however many there are", [[
		if os.getenv "VAI_VARIANT" == "asan" then return end -- it keeps freed memory back
		local s, address = start(function(req, res)
			res.headers["X-Path"] = req.headers["x-path"]
			res:send(req.path)
		end)
		local c = assert(net.dial("tcp", address))
		local ask = ("GET /path HTTP/1.1\r\nHost: h\r\nX-Path: value\r\n\r\n"):rep(100)
		c:write(ask:sub(1, #ask // 100))
		local length = 0
		repeat
			local line = c:read("L", 10)
			length = length + #line
		until line == "\r\n"
		length = length + #c:read(5, 10)
		local sizes = {}
		repeat
			for _ = 1, check.scaled(120) do
				c:write(ask)
				check.eq(#c:read(100 * length, 10), 100 * length)
			end
			sizes[#sizes + 1] = check.rss()
			local level = #sizes > 4 and sizes[#sizes] - sizes[#sizes - 4] < 400
		until level or #sizes == 40
		assert(#sizes < 40, table.concat(sizes, " "))
		s:close()
	]])

	test("leave an idle connection without a goroutine", [[
		local s, address = start(function(_, res) res:send("ok") end)
		local conns = {}
		for i = 1, 20 do
			conns[i] = assert(net.dial("tcp", address))
			conns[i]:write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			check.eq((response(conns[i])), 200)
		end
		check.until_true(function() return vai.count() == 2 end)
		check.eq(s:count(), 20)
		for i = 1, 20 do
			conns[i]:write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			check.eq((response(conns[i])), 200)
		end
		s:close()
	]])

	test("are answered, by new goroutines too, when the process has no descriptor left", [[
		assert(os.execute(("ulimit -n 100; exec %s %s/inner.lua"):format(os.getenv("LUA") or "lua5.4", arg[1])))
	]], { any_err = true, files = { ["inner.lua"] = [[
		local vai, check = require "vai", require "check"
		local s = assert(require "vai.http".serve { listen = "127.0.0.1:0", handler = function(_, res) res:send("x") end })
		local c = vai.net.dial("tcp", s:addr())
		local function get()
			c:write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			return c:read(nil, 10):match("^HTTP/1.1 (%d+)")
		end
		check.eq(get(), "200")
		local held = check.all_files()
		check.until_true(function() return vai.count() == 2 end)
		check.eq(get(), "200")
		s:close()
	]] } })

	test("let requests under way end when the server shuts down", [[
		local go_on, begun = chan(), chan()
		local s, address = start(function(_, res)
			begun:send(true)
			go_on:recv()
			res:send("late")
		end)
		local idle = assert(net.dial("tcp", address))
		local c = assert(net.dial("tcp", address))
		c:write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		begun:recv()
		check.returns(table.pack(s:shutdown(0.05)), nil, "timeout")
		check.returns(table.pack(idle:read(nil, 10)), nil)
		check.eq(pick(3, net.dial("tcp", address)), "ECONNREFUSED")
		check.returns(table.pack(s:wait(0)), nil, "timeout")
		go_on:send(true)
		local status, body = response(c)
		check.eq(status, 200)
		check.eq(body, "late")
		check.eq(s:shutdown(5), true)
		check.eq(s:wait(), true)
	]])

	test("warn of writes into tables that their functions have captured", [[
		local hits, errors, lines, seen = {}, {}, {}, { 1 }
		local s, address = start {
			handler = function(req, res)
				hits[req.path] = (hits[req.path] or 0) + seen[1]
				res:send(tostring(hits[req.path]))
			end,
			on_error = function(err) errors[1] = err end,
			log = function(req) table.insert(lines, req) lines.last = req.path end,
		}
		check.eq(head_of(talk(address, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")), 200)
		s:close()
	]], { err = { "program.lua:%d+: goroutine writes into captured table 'hits'", "captured table 'errors'",
		"captured table 'lines'" }, err_not = "seen" })

	test("raise errors of arguments at the place that has called them", [[
		local co = coroutine.create(print)
		local function refused(what, options)
			local line = debug.getinfo(1, "l").currentline + 1
			local ok, err = pcall(function() http.serve(options) end)
			check.eq(ok, false)
			check.eq(tostring(err):match("program.lua:(%d+): "), tostring(line))
			check.eq(tostring(err):find(what) and true, true)
			check.eq(tostring(err):find("server.lua"), nil)
		end
		refused("option 'handler'", { handler = 1 })
		refused("option 'listen': address or listener expected, got number", { handler = print, listen = 8080 })
		refused("option 'tls': table expected, got boolean", { handler = print, tls = true })
		refused("option 'backlog'", { handler = print, listen = "127.0.0.1:0", backlog = "x" })
		refused("serve: option 'handler': upvalue 'co': thread cannot be sent",
			{ listen = "127.0.0.1:0", handler = function() return co end })
		local l = assert(net.listen("tcp", "127.0.0.1:0"))
		refused("upvalue 'co'", { listen = l, handler = function() return co end })
		check.eq(l:addr() ~= nil, true)
		local s = http.serve { listen = l, handler = print }
		s:close()
	]])

	test("refuse options that there are not", [[
		check.raises("unknown option 'handle'", http.serve, { handle = print })
		check.raises("option 'handler': function expected, got nil", http.serve, {})
		check.raises("bad argument #1 to 'serve' %(table expected, got nil%)", http.serve)
		check.raises("option 'max_body': %-1", http.serve, { handler = print, max_body = -1 })
		check.raises("unknown option 'idel'", net.serve, net.listen("tcp", "127.0.0.1:0"), function() end, { idel = 1 })
		check.raises("option 'idle': 0", net.serve, net.listen("tcp", "127.0.0.1:0"), function() end, { idle = 0 })
	]])
end)

describe("files", function()
	test("come with types, conditions and ranges", [[
		local dir = check.temp()
		assert(vai.fs.mkdirs(dir .. "/sub"))
		local text = ("0123456789"):rep(20000)
		assert(vai.fs.write_file(dir .. "/a.txt", text))
		assert(vai.fs.write_file(dir .. "/sub/index.html", "<p>"))
		assert(vai.fs.write_file(dir .. "/.secret", "x"))
		assert(vai.fs.write_file(dir .. "/empty", ""))
		local s, address = start(http.files(dir))
		local c = assert(net.dial("tcp", address))
		local function get(path, more, method)
			c:write(method or "GET", " ", path, " HTTP/1.1\r\nHost: h\r\n", more or "", "\r\n")
			local status, body, headers = response(c, method == "HEAD")
			return status, body, headers
		end
		local status, body, headers = get("/a.txt")
		check.eq(status, 200)
		check.eq(body == text, true)
		check.eq(headers["content-type"], "text/plain; charset=utf-8")
		local tag, date = headers.etag, headers["last-modified"]
		check.eq((get("/a.txt", "If-None-Match: " .. tag .. "\r\n")), 304)
		check.eq((get("/a.txt", "If-None-Match: \"x\"\r\n")), 200)
		check.eq((get("/a.txt", "If-Modified-Since: " .. date .. "\r\n")), 304)
		check.eq((get("/a.txt", "If-Match: \"x\"\r\n")), 412)
		status, body, headers = get("/a.txt", "Range: bytes=5-14\r\n")
		check.eq(status, 206)
		check.eq(body, "5678901234")
		check.eq(headers["content-range"], "bytes 5-14/200000")
		check.eq(pick(2, get("/a.txt", "Range: bytes=-3\r\n")), "789")
		check.eq(pick(2, get("/a.txt", "Range: bytes=199998-\r\n")), "89")
		status, body, headers = get("/a.txt", "Range: bytes=200000-\r\n")
		check.eq(status, 416)
		check.eq(headers["content-range"], "bytes */200000")
		check.eq((get("/a.txt", "Range: bytes=1-2\r\nIf-Range: \"x\"\r\n")), 200)
		check.eq((get("/a.txt", "Range: bytes=1-2\r\nIf-Range: " .. tag .. "\r\n")), 206)
		status, body, headers = get("/a.txt", nil, "HEAD")
		check.eq(status, 200)
		check.eq(headers["content-length"], "200000")
		check.eq(pick(2, get("/sub/")), "<p>")
		status, body, headers = get("/sub?x=1")
		check.eq(status, 301)
		check.eq(headers.location, "/sub/?x=1")
		check.eq(pick(2, get("/empty")), "")
		for _, path in ipairs { "/none", "/.secret", "/../a.txt", "/%2e%2e/a.txt", "/sub/..%2f.secret", "/a.txt%00", "/a%2", "/sub" ..
			"/none/" } do
			check.eq((get(path)), 404, path)
		end
		check.eq((get("/a.txt", nil, "DELETE")), 405)
		assert(vai.fs.write_file(dir .. "/a.txt", "other"))
		status, body, headers = get("/a.txt", "If-None-Match: " .. tag .. "\r\n")
		check.eq(status, 200)
		check.eq(body, "other")
		check.eq(headers.etag ~= tag, true)
		for i = 1, 100 do assert(vai.fs.write_file(("%s/%d.txt"):format(dir, i), tostring(i))) end
		for i = 100, 1, -1 do check.eq(pick(2, get(("/%d.txt"):format(i))), tostring(i)) end
		c:close()
		s:close()
	]])
end)

describe("mux", function()
	test("finds handlers by method, words, names and rests", [[
		local function say(text)
			return function(req, res)
				local p = req.params
				res:send(text .. " " .. (p.id or "-") .. " " .. (p.rest or "-"))
			end
		end
		local s, address = start(http.mux {
			["GET /"] = say("root"), ["GET /x/new"] = say("new"), ["GET /x/:id"] = say("one"), ["POST /x/:id"] = say("post"),
			["/x/:id/files/*rest"] = say("files"),
		})
		local c = assert(net.dial("tcp", address))
		local function ask(method, path)
			c:write(method, " ", path, " HTTP/1.1\r\nHost: h\r\n\r\n")
			local status, body, headers = response(c)
			return status == 200 and body or status, headers.allow
		end
		check.eq((ask("GET", "/")), "root - -")
		check.eq((ask("GET", "/x/new")), "new - -")
		check.eq((ask("GET", "/x/a%2Fb")), "one a/b -")
		check.eq((ask("POST", "/x/new2")), "post new2 -")
		check.eq((ask("PUT", "/x/7/files/a/b.txt")), "files 7 a/b.txt")
		check.returns(table.pack(ask("DELETE", "/x/7")), 405, "GET, HEAD, POST")
		check.eq((ask("GET", "/y")), 404)
		check.eq((ask("GET", "/x/")), 404)
		s:close()
		check.raises("bad pattern 'x'", http.mux, { x = print })
		check.raises("'id' twice in '/:id/:id'", http.mux, { ["/:id/:id"] = print })
		check.raises("is not the last", http.mux, { ["/*a/b"] = print })
		check.raises("function expected for '/a', got number", http.mux, { ["/a"] = 1 })
	]])
end)

describe("HTTPS", function()
	test("is HTTP over TLS: kept alive, idle without a goroutine, with files, spoken by curl", [[
		local certs = require "certs"
		local dir = check.temp()
		assert(vai.fs.mkdir(dir))
		local text = ("0123456789"):rep(20000)
		assert(vai.fs.write_file(dir .. "/a.txt", text))
		local s, address = start { tls = certs.pair("good"), handler = http.mux {
			["/hello"] = function(_, res) res:send("hello") end,
			["/f/*path"] = http.files(dir, { prefix = "/f" }),
		} }
		local ca = certs.path("ca") .. ".pem"
		local c = assert(require "vai.tls".dial("tcp", address, { ca = ca, alpn = { "http/1.1" } }))
		check.eq(c:info().alpn, "http/1.1")
		for _ = 1, 2 do
			c:write("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n")
			local status, body = response(c)
			check.eq(status, 200)
			check.eq(body, "hello")
			check.until_true(function() return vai.count() == 2 end)
		end
		c:write("GET /f/a.txt HTTP/1.1\r\nHost: h\r\n\r\n")
		check.eq(pick(2, response(c)) == text, true)
		c:close()
		local r = vai.process.run { "curl", "-sS", "--cacert", ca, "https://localhost:" .. address:match(":(%d+)$") .. "/hello",
			limit = 20 }
		check.eq(r.err, "")
		check.eq(r.out, "hello")
		check.eq(s:shutdown(5), true)
	]], { procs = 2 })
end)
