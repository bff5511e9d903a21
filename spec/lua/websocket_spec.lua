-- SPDX-License-Identifier: MIT
-- WebSocket of vai.http, both ends, and each of them against frames that are made by hand.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- start: a server whose handler gets the socket; raw: a connection to it on which the upgrade has been made, with extra
-- headers, and the head of the answer; frame: one of a client's, masked by zeros unless `bare`; reply: opcode and data of
-- the next frame of the server's.
local test = program.tester [[
	local http = require "vai.http"
	local net = vai.net
	local function start(f, options)
		local s = assert(http.serve { listen = "127.0.0.1:0", handler = function(req, res)
			local ws <close> = http.websocket(req, res, options)
			if ws then f(ws) end
		end })
		return s:addr(), s
	end
	local function echo(ws)
		for data, kind in ws:messages() do ws:send(data, kind) end
	end
	local function raw(address, more, method)
		local c = assert(net.dial("tcp", address))
		c:write(method or "GET", " / HTTP/1.1\r\nHost: ", address, "\r\n", more or "Upgrade: websocket\r\nConnection: Upgrade\r\n" ..
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "\r\n")
		local head = {}
		for line in c:lines() do
			if line == "\r" then break end
			head[#head + 1] = line:sub(1, -2)
		end
		return c, table.concat(head, "\n")
	end
	local function frame(opcode, data, first, bare)
		local head = string.char((first or 128) | opcode)
		local mask = bare and 0 or 128
		if #data < 126 then head = head .. string.char(mask | #data)
		else head = head .. string.pack(">BI2", mask | 126, #data) end
		return head .. (bare and "" or "\0\0\0\0") .. data
	end
	local function reply(c)
		local a, b = c:read(2, 10):byte(1, 2)
		local n = b == 126 and string.unpack(">I2", c:read(2)) or b
		return a & 15, n > 0 and c:read(n, 10) or "", a >> 7
	end
	local function closed_with(c)
		local opcode, data = reply(c)
		check.eq(opcode, 8)
		check.returns(table.pack(c:read(nil, 10)), nil)
		return #data >= 2 and string.unpack(">I2", data) or 1005
	end
]]

describe("messages", function()
	test("go both ways, whole and of their kind, from any goroutine", [[
		local address = start(echo)
		local ws <close> = assert(http.websocket_dial("ws://" .. address .. "/x?y", 10))
		check.eq(ws:send("héllo"), true)
		check.returns(table.pack(ws:recv(10)), "héllo", "text")
		local big = ("\0\255x"):rep(50000)
		check.eq(ws:send(big, "binary"), true)
		local data, kind = ws:recv(10)
		check.eq(data == big, true)
		check.eq(kind, "binary")
		check.eq(ws:send(""), true)
		check.returns(table.pack(ws:recv(10)), "", "text")
		local got = table.pack(ws:recv(0.01))
		check.eq(got[1], nil)
		check.eq(got[2], "timeout")
		local wg = waitgroup()
		for i = 1, 20 do wg:go(function() ws:send("from " .. i) end) end
		wg:wait()
		local seen = {}
		for _ = 1, 20 do seen[ws:recv(10)] = true end
		for i = 1, 20 do check.eq(seen["from " .. i], true) end
		check.raises("string expected, got number", ws.send, ws, 1)
		check.raises("'text' or 'binary' expected", ws.send, ws, "x", "y")
		check.raises("text that is no UTF%-8", ws.send, ws, "\255")
		check.raises("at most 125 bytes", ws.ping, ws, ("x"):rep(126))
		check.raises("code 1005", ws.close, ws, 1005)
	]])

	test("come in pieces with pings between them, which are answered", [[
		local address = start(echo)
		local c, head = raw(address)
		check.eq(head:match("^HTTP/1.1 101 [^\n]*"), "HTTP/1.1 101 Switching Protocols")
		check.eq(head:match("Sec%-WebSocket%-Accept: ([^\n]*)"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
		local bytes = frame(1, "one ", 0) .. frame(9, "ping") .. frame(0, "two ", 0) .. frame(0, "three")
		for i = 1, #bytes do c:write(bytes:sub(i, i)) end
		check.returns(table.pack(reply(c)), 10, "ping", 1)
		check.returns(table.pack(reply(c)), 1, "one two three", 1)
		c:write(frame(1, "a"), frame(2, "b"), frame(10, "a pong"), frame(1, "c"))
		check.returns(table.pack(reply(c)), 1, "a", 1)
		check.returns(table.pack(reply(c)), 2, "b", 1)
		check.returns(table.pack(reply(c)), 1, "c", 1)
	]])

	test("that break the rules end the connection with the code that says why", [[
		local codes = chan(1)
		local address = start(function(ws)
			echo(ws)
			local _, why, code = ws:recv()
			check.eq(why, "closed")
			codes:send(code)
		end, { max_message = 1000 })
		local function refused(code, ...)
			local c = raw(address)
			c:write(...)
			check.eq(closed_with(c), code)
			check.eq(codes:recv(10), code)
		end
		refused(1002, frame(1, "bare", nil, true))
		refused(1002, frame(1, "x", 128 | 64))
		refused(1002, frame(3, "x"))
		refused(1002, frame(0, "x"))
		refused(1002, frame(1, "x", 0), frame(1, "y"))
		refused(1002, frame(9, "x", 0))
		refused(1002, frame(9, ("x"):rep(126)))
		refused(1002, frame(8, string.pack(">I2", 1005)))
		refused(1002, frame(8, "\3"))
		refused(1007, frame(1, "\xff\xfe"))
		refused(1007, frame(1, "\xc3", 0), frame(0, "("))
		refused(1009, frame(1, ("x"):rep(1001)))
		refused(1009, frame(1, ("x"):rep(600), 0), frame(0, ("x"):rep(600)))
		refused(1009, string.char(0x82, 0xff, 0x7f) .. ("\0"):rep(11) .. "x")
	]])
end)

describe("the end", function()
	test("is answered behind the answers to the messages before it", [[
		local address = start(echo)
		local function last_of(...)
			local c = raw(address)
			c:write(table.concat { ... })
			check.returns(table.pack(reply(c)), 1, "one", 1)
			check.returns(table.pack(reply(c)), 1, "two", 1)
			return closed_with(c)
		end
		check.eq(last_of(frame(1, "one"), frame(1, "two"), frame(8, string.pack(">I2", 1001))), 1001)
		check.eq(last_of(frame(1, "one"), frame(1, "two"), frame(1, "\xff")), 1007)
		check.eq(last_of(frame(1, "one"), frame(1, "t", 0), frame(9, "p"), frame(0, "wo"), frame(8, "")), 1005)
	]])

	test("has a code and a reason, whoever begins it; one without is 1006", [[
		local told = chan(1)
		local address, server = start(function(ws)
			local first = ws:recv()
			if first == "you end" then return ws:close(4000, "as you like") end
			local _, why, code = ws:recv()
			told:send(("%s %d %s"):format(why, code, ws.reason))
		end)
		local function dial() return assert(http.websocket_dial("ws://" .. address, 10)) end
		local ws = dial()
		ws:send("I end")
		ws:close(4001, "enough")
		check.eq(told:recv(10), "closed 4001 enough")
		check.returns(table.pack(ws:recv(10)), nil, "closed", 4001)
		check.returns(table.pack(ws:send("late")), nil, "closed")
		ws:close()
		ws = dial()
		ws:send("you end")
		check.returns(table.pack(ws:recv(10)), nil, "closed", 4000)
		check.eq(ws.reason, "as you like")
		local c = raw(address)
		c:write(frame(1, "gone"))
		c:close()
		check.eq(told:recv(10), "closed 1006 nil")
		c = raw(address)
		c:write(frame(1, "no code"), frame(8, ""))
		check.eq(closed_with(c), 1005)
		check.eq(told:recv(10), "closed 1005 ")
		ws = dial()
		local receiver = vai.async(function() return ws:recv() end)
		check.waiting(receiver)
		receiver:cancel()
		receiver:join()
		check.eq(ws:send("still here"), true)
		ws:close()
		check.eq(server:shutdown(10), true)
	]])

	test("may have every code that is registered, from either side", [[
		local told = chan(1)
		local address = start(function(ws)
			local _, why, code = ws:recv()
			told:send(("%s %d %s"):format(why, code, ws.reason))
		end)
		for code = 1012, 1014 do
			local c = raw(address)
			c:write(frame(9, "in front"), frame(8, string.pack(">I2", code) .. "later"))
			local opcode, data = reply(c)
			if opcode == 10 then opcode, data = reply(c) end
			check.eq(opcode, 8)
			check.eq(data, string.pack(">I2", code) .. "later")
			check.returns(table.pack(c:read(nil, 10)), nil)
			check.eq(told:recv(10), ("closed %d later"):format(code))
			c = raw(address)
			c:write(frame(8, string.pack(">I2", code)):sub(1, -2))
			vai.sleep(0.01)
			c:write(frame(8, string.pack(">I2", code)):sub(-1))
			check.eq(closed_with(c), code)
			check.eq(told:recv(10), ("closed %d "):format(code))
			c = raw(address)
			c:write(frame(8, string.pack(">I2", code) .. "\xff"))
			check.eq(closed_with(c), 1007)
			check.eq(told:recv(10), "closed 1007 nil")
			local from = start(function(ws) ws:close(code, "now") end)
			local ws = assert(http.websocket_dial("ws://" .. from, 10))
			check.returns(table.pack(ws:recv(10)), nil, "closed", code)
			check.eq(ws.reason, "now")
		end
	]])
end)

describe("a message that is not sent to its end", function()
	test("is the last: nothing gets lost in it", [[
		local read_on, got = chan(), chan(4)
		local address = start(function(ws)
			read_on:recv()
			for data in ws:messages() do got:send(#data) end
			got:close()
		end, { max_message = 1 << 28 })
		local ws = assert(http.websocket_dial("ws://" .. address, 10))
		local writer = vai.async(function() return ws:send(("x"):rep(1 << 25), "binary") end)
		check.until_true(function() return writer:status() == "waiting" end)
		local behind = vai.async(function() return ws:send("behind") end)
		check.waiting(behind)
		behind:cancel()
		check.eq(behind:join(), false)
		check.eq(writer:status(), "waiting")
		behind = vai.async(function() return ws:send("behind") end)
		check.waiting(behind)
		writer:cancel()
		check.eq(writer:join(), false)
		check.returns(table.pack(behind:join()), true, nil, "closed", nil)
		read_on:send(true)
		check.eq(got:recv(60), nil)
		check.eq(ws:send("late"), nil)
	]])
end)

describe("the beginning", function()
	test("is refused to what is no WebSocket, and to pages of others", [[
		local function nothing() end
		local address = start(nothing)
		local function status(head) return tonumber(head:match("^HTTP/1.1 (%d+)")) end
		local function headers(changes)
			local all = { Upgrade = "websocket", Connection = "keep-alive, Upgrade", ["Sec-WebSocket-Version"] = "13",
				["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ==" }
			for name, value in pairs(changes) do all[name] = value or nil end
			local text = ""
			for name, value in pairs(all) do text = text .. name .. ": " .. value .. "\r\n" end
			return text
		end
		local function asked(changes, to, method)
			local c, head = raw(to or address, headers(changes), method)
			c:close()
			return status(head)
		end
		check.eq(asked({}), 101)
		check.eq(asked({ Upgrade = "other" }), 426)
		check.eq(asked({ Connection = "close" }), 426)
		check.eq(asked({}, nil, "DELETE"), 426)
		check.eq(asked({ ["Sec-WebSocket-Version"] = "8" }), 426)
		check.eq(asked({ ["Sec-WebSocket-Key"] = "short" }), 400)
		check.eq(asked({ Origin = "http://" .. address }), 101)
		check.eq(asked({ Origin = "http://evil.test" }), 403)
		check.eq(asked({ Origin = "null" }), 403)
		check.eq(asked({ Origin = "https://good.test" }, (start(nothing, { origins = { "https://good.test" } }))), 101)
		check.eq(asked({ Origin = "https://evil.test" }, (start(nothing, { origins = { "https://good.test" } }))), 403)
		check.eq(asked({ Origin = "https://any.test" }, (start(nothing, { origins = "*" }))), 101)
	]])

	test("is checked by the client, which can have protocols, headers and TLS", [[
		local function refused(pattern, answer)
			local l = assert(net.listen("tcp", "127.0.0.1:0"))
			vai.go(function()
				local c = l:accept()
				for line in c:lines() do if line == "\r" then break end end
				c:write(answer)
				c:read()
			end)
			local ws, why = http.websocket_dial("ws://" .. l:addr(), 10)
			check.eq(ws, nil)
			check.eq(why:find(l:addr() .. ": " .. pattern) ~= nil, true, why)
		end
		local up = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		refused("the server says 404 No", "HTTP/1.1 404 No\r\n\r\n")
		refused("the server does not speak WebSocket", "HTTP/1.1 101 x\r\n\r\n")
		refused("the server does not speak WebSocket", up .. "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		refused("the server does not speak WebSocket", "HTTP/1.1 100 Continue\r\n\r\n" .. up .. "\r\n")
		refused("the server says 404 No", "HTTP/1.1 103 x\r\nLink: a\r\n\r\nHTTP/1.1 404 No\r\n\r\n")
		check.returns(table.pack(http.websocket_dial("http://a")), nil, "'http://a' is not for WebSocket", "EINVAL")
		check.raises("unknown option 'header'", http.websocket_dial, "ws://a", 1, { header = 1 })
		local certs = require "certs"
		local server = http.serve { listen = "127.0.0.1:0", tls = certs.pair("good"), handler = function(req, res)
			local ws = http.websocket(req, res, { protocols = { "b", "c" } })
			ws:send(ws.protocol .. " " .. req:header("X-A"))
			ws:close()
		end }
		local client = http.client { tls = { ca = certs.path("ca") .. ".pem" } }
		local ws = assert(http.websocket_dial("wss://" .. server:addr(), 10,
			{ client = client, protocols = { "a", "b" }, headers = { ["X-A"] = "y" } }))
		check.eq(ws.protocol, "b")
		check.eq(ws:recv(10), "b y")
		check.returns(table.pack(ws:recv(10)), nil, "closed", 1000)
	]])
end)
