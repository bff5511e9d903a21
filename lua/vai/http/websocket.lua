-- SPDX-License-Identifier: MIT
-- WebSocket (RFC 6455) over a connection of the server or the client. A socket is data, so any goroutine may send.
-- The state of reading is a reader of wslay's, which stays in the goroutine that receives.
local vai = require "vai"
local core = require "vai.http.core"
local dialing = require "vai.http.dial"
local uri = require "vai.http.uri"

local TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
local BROKEN, ABNORMAL = 1002, 1006
local SALT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
local MESSAGE_MOST, CLOSE_TIME, WRITE_TIME = 16777216, 2, 60

local Socket = {}
local meta = { __index = Socket, __name = "vai.http.websocket" }

-- Weak tables by socket: the readers of this state, and the bytes to write once nothing else follows.
local readers, last_words = setmetatable({}, { __mode = "k" }), setmetatable({}, { __mode = "k" })

local function new(conn, client, options, protocol)
	return setmetatable({
		protocol = protocol, _conn = conn, _client = client, _most = options.max_message or MESSAGE_MOST,
		_closing = vai.atomic(0), _turn = vai.mutex(),
	}, meta)
end

local function reader_of(self)
	local reader = readers[self]
	if not reader then
		reader = core.websocket_reader(self._client, self._most)
		readers[self] = reader
	end
	return reader
end

-- ---- sending ----

local unfinished = { __close = function(writing)
	if writing.conn then writing.conn:close() end
end }

-- Writes whole frames. If a write does not finish, as the peer does not read or the goroutine is canceled, part of a
-- frame may be on its way, and no other frame can follow: so the connection is closed.
local function put(self, bytes)
	local turn <close>, late = self._turn:guard(WRITE_TIME)
	if not turn then return nil, late end
	local writing <close> = setmetatable({ conn = self._conn }, unfinished)
	local ok, why, code = self._conn:with(WRITE_TIME):write(bytes)
	if not ok then return nil, why, code end
	writing.conn = nil
	return true
end

local function write(self, opcode, data)
	return put(self, core.websocket_frame(opcode, data, self._client))
end

-- A whole message. True; or nil, why, code.
function Socket:send(data, kind)
	if type(data) ~= "string" then
		error(("bad argument #1 to 'send' (string expected, got %s)"):format(type(data)), 2)
	elseif kind ~= nil and kind ~= "text" and kind ~= "binary" then
		error(("bad argument #2 to 'send' ('text' or 'binary' expected, got '%s')"):format(tostring(kind)), 2)
	elseif kind ~= "binary" and not utf8.len(data) then
		error("bad argument #1 to 'send' (text that is no UTF-8: send it as 'binary')", 2)
	end
	if self._closing:get() ~= 0 then return nil, "closed" end
	return write(self, kind == "binary" and BINARY or TEXT, data)
end

function Socket:ping(data)
	if data ~= nil and (type(data) ~= "string" or #data > 125) then
		error("bad argument #1 to 'ping' (a string of at most 125 bytes expected)", 2)
	end
	if self._closing:get() ~= 0 then return nil, "closed" end
	return write(self, PING, data or "")
end

-- ---- receiving ----

local function ended(self, code)
	self._closing:set(1)
	self._conn:close()
	self._code = self._code or code
	return nil, "closed", self._code
end

-- Takes the bytes that have come. Pongs are sent at once; the answer to a close or to a violation of the rules only
-- when the program has had all messages before it, as nothing may follow it. nil: the end, with this code.
local function take(self, reader, bytes)
	local out, last = reader:feed(bytes)
	if not out then
		if self._closing:swap(1) == 0 then write(self, CLOSE, string.pack(">I2", BROKEN)) end
		return nil, BROKEN
	end
	if last then
		last_words[self] = out
	elseif out ~= "" and self._closing:get() == 0 and not put(self, out) then
		return nil, reader:failed() or ABNORMAL
	end
	return true
end

-- Answers the end that the reader has found, with this code, unless this side has sent its close.
local function answer_end(self, code)
	local word = last_words[self]
	if self._closing:swap(1) == 0 then
		if code == BROKEN or not word then
			write(self, CLOSE, string.pack(">I2", BROKEN))
		else
			put(self, word)
		end
	end
	return ended(self, code)
end

-- The next message and "text" or "binary"; nil, "closed", code; or nil, why, code if a wait has failed.
function Socket:recv(limit)
	if self._code then return nil, "closed", self._code end
	local wait, reader = dialing.new_limit(limit), reader_of(self)
	while true do
		local data, opcode, code = reader:next()
		if opcode == TEXT or opcode == BINARY then
			return data, opcode == TEXT and "text" or "binary"
		elseif opcode == CLOSE then
			self.reason = data
			return answer_end(self, code)
		elseif not data then
			if reader:failed() then return answer_end(self, reader:failed()) end
			local bytes, why, name = self._conn:read(nil, wait:left(nil))
			if bytes then
				local ok, with = take(self, reader, bytes)
				if not ok then return ended(self, with) end
			elseif why == nil or why == "closed" or name then
				return ended(self, ABNORMAL)
			else
				return nil, why, name
			end
		end
	end
end

-- For `for data, kind in ws:messages() do`.
function Socket:messages()
	return function() return self:recv() end
end

local function may_be_sent(code)
	return math.type(code) == "integer" and (code >= 1000 and code <= 1014 and code ~= 1004 and code ~= 1005
		and code ~= 1006 or code >= 3000 and code <= 4999)
end

-- Sends a close with the code and the reason, waits a moment for the peer's, and ends the connection.
function Socket:close(code, reason)
	if code ~= nil and not may_be_sent(code) then
		error(("bad argument #1 to 'close' (code %s)"):format(tostring(code)), 2)
	elseif reason ~= nil and (type(reason) ~= "string" or #reason > 123 or not utf8.len(reason)) then
		error("bad argument #2 to 'close' (at most 123 bytes of UTF-8 expected)", 2)
	end
	if self._closing:swap(1) ~= 0 then return end
	if write(self, CLOSE, string.pack(">I2", code or 1000) .. (reason or "")) then
		local till = vai.now() + CLOSE_TIME
		while self:recv(math.max(0, till - vai.now())) do end
	end
	self._code = self._code or code or 1000
	self._conn:close()
end
meta.__close = function(self) Socket.close(self) end

-- ---- beginning ----

local function needs_wslay()
	if not core.websocket_reader then
		error("WebSocket needs wslay: install libwslay-dev, and make vai.http again", 3)
	end
end

local function accept_of(key)
	return core.base64(core.sha1(key .. SALT))
end

local function has_word(value, word)
	for one in (value or ""):lower():gmatch("[^%s,]+") do
		if one == word then return true end
	end
	return false
end

-- Whether the page that asks (Origin, set by browsers) is allowed: the server's own, or those of the options.
local function may_come(req, origins)
	local origin = req.headers.origin
	if not origin or origins == "*" then return true end
	if origins then
		for _, one in ipairs(origins) do
			if one:lower() == origin:lower() then return true end
		end
		return false
	end
	return (origin:match("^%a+://(.*)$") or ""):lower() == (req.headers.host or ""):lower()
end

local function refusal(req, origins)
	local headers = req.headers
	local key = headers["sec-websocket-key"]
	if req.method ~= "GET" or not has_word(headers.upgrade, "websocket")
		or not has_word(headers.connection, "upgrade") then
		return 426, "this is for WebSocket"
	elseif headers["sec-websocket-version"] ~= "13" then
		return 426, "WebSocket of version 13 only"
	elseif not key or #key ~= 24 or not key:find("^[%w+/]+==$") then
		return 400, "bad Sec-WebSocket-Key"
	elseif not may_come(req, origins) then
		return 403, "not for pages of another origin"
	end
end

-- The first of our protocols that the client has, too.
local function pick_protocol(req, ours)
	for _, one in ipairs(ours or {}) do
		if has_word(req.headers["sec-websocket-protocol"], one:lower()) then return one end
	end
end

local function check(fname, options, known)
	for name in pairs(options or {}) do
		if not known[name] then error(("bad argument to '%s' (unknown option '%s')"):format(fname, tostring(name)), 3) end
	end
	return options or {}
end

-- Answers a request for WebSocket in a handler of the server. Returns a socket; or nil, why, and the request has been
-- refused.
local function websocket(req, res, options)
	needs_wslay()
	options = check("websocket", options, { origins = true, protocols = true, max_message = true })
	local status, why = refusal(req, options.origins)
	if status then
		res.status, res.headers["Content-Type"] = status, "text/plain"
		if status == 426 then res.headers.Upgrade, res.headers["Sec-WebSocket-Version"] = "websocket", "13" end
		res:send(why .. "\n")
		return nil, why
	end
	local protocol = pick_protocol(req, options.protocols)
	local conn = res:hijack()
	local head = core.reply(101, {
		Upgrade = "websocket", ["Sec-WebSocket-Accept"] = accept_of(req.headers["sec-websocket-key"]),
		["Sec-WebSocket-Protocol"] = protocol,
	}, nil, "Upgrade")
	local ok, told, code = conn:with(WRITE_TIME):write(head)
	if not ok then
		conn:close()
		return nil, told, code
	end
	return new(conn, false, options, protocol)
end

-- Why the answer is wrong; nil: it is right.
local function wrong_answer(head, key, protocols)
	local headers = head.headers
	if head.status ~= 101 then return ("the server says %d %s"):format(head.status, head.reason) end
	if not has_word(headers.upgrade, "websocket") or not has_word(headers.connection, "upgrade")
		or headers["sec-websocket-accept"] ~= accept_of(key) then
		return "the server does not speak WebSocket"
	end
	local protocol = headers["sec-websocket-protocol"]
	if headers["sec-websocket-extensions"] then return "the server wants an extension that nobody has asked for" end
	if protocol and not has_word(table.concat(protocols or {}, ","), protocol:lower()) then
		return "the server wants a protocol that nobody has asked for"
	end
end

-- Asks for WebSocket over a new connection. A socket; or nil, why, code.
local function upgrade(conn, u, options, limit, cfg)
	local key, headers = core.base64(core.random(16)), {}
	for name, value in pairs(options.headers or {}) do headers[name] = value end
	headers.Host, headers.Upgrade, headers["Sec-WebSocket-Version"], headers["Sec-WebSocket-Key"] =
		u.authority, "websocket", "13", key
	headers["Sec-WebSocket-Protocol"] = options.protocols and table.concat(options.protocols, ", ")
	if u.user then headers.Authorization = dialing.basic(u.user) end
	local head = core.ask("GET", u.target, headers, nil, "Upgrade")
	local ok, why, code = conn:with(limit:left(cfg.write_timeout)):write(head)
	if not ok then return dialing.about(u.authority, why, code) end
	local got
	got, why, code = dialing.read_answer(conn, limit, cfg, "")
	if not got then return dialing.about(u.authority, why, code) end
	why = wrong_answer(got, key, options.protocols)
	if why then return dialing.about(u.authority, why) end
	if got.rest ~= "" then conn:unread(got.rest) end
	return new(conn, true, options, got.headers["sec-websocket-protocol"])
end

local function websocket_dial(url, limit, options)
	needs_wslay()
	options = check("websocket_dial", options,
		{ headers = true, protocols = true, max_message = true, client = true, proxy = true })
	local u, why = uri.parse(url)
	if u and u.scheme ~= "ws" and u.scheme ~= "wss" then u, why = nil, ("'%s' is not for WebSocket"):format(url) end
	if not u then return nil, why, "EINVAL" end
	local cfg = (options.client or require "vai.http.client".default)._cfg
	local proxy
	proxy, why = require "vai.http.proxy".find(u, options.proxy == nil and cfg.proxy or options.proxy)
	if proxy == nil then return nil, why, "EINVAL" end
	local wait = dialing.new_limit(limit)
	local conn, told, code = dialing.dial(u, proxy, wait, cfg)
	if not conn then return nil, told, code end
	local held = { conn = conn }
	local _ <close> = vai.defer(function() if held.conn then held.conn:close() end end)
	local socket
	socket, told, code = upgrade(conn, u, options, wait, cfg)
	if not socket then return nil, told, code end
	held.conn = nil
	return socket
end

return { websocket = websocket, websocket_dial = websocket_dial, meta = meta }
