-- SPDX-License-Identifier: MIT
-- What a goroutine of vai.http's server runs: for one connection after another, the requests that it has sent. All
-- that `serve` uses crosses to each such goroutine and is held by it, so this file is short; what not every request
-- needs is in response.lua.
local vai = require "vai"
local core = require "vai.http.core"

local parse, fields, reply, now = core.request, core.fields, core.reply, vai.now
local setmetatable, pcall, require, error, type, tostring = setmetatable, pcall, require, error, type, tostring

-- How long a goroutine waits for the next connection, in seconds.
local LINGER = 0.05

local function cold()
	return require "vai.http.response"
end

local function refuse(...)
	return require "vai.http.refusal".refuse(...)
end

-- The headers are read when they are first asked for.
local request_meta = {
	__name = "vai.http.request",
	__index = function(req, key)
		if key ~= "headers" and key ~= "target" then return cold().field(req, key) end
		local headers, target = fields(req._buf, req._at)
		req.headers, req.target = headers, target
		return key == "headers" and headers or target
	end,
}

-- ---- responses ----

local Response = setmetatable({
	status = 200, bytes = 0, _state = false, _old = false, _head_only = false, _hijacked = false,
}, { __index = function(_, key) return cold().Response[key] end })
local response_meta = { __index = Response, __name = "vai.http.response" }

-- The value of the header Connection. After "close" no request follows; also not behind a body that was announced and
-- not asked for so far, as it may come or not.
function Response:_connection()
	local headers, b = self.headers, self._req._body
	if b and (b.expect or b.failed) then b.expect, self._keep = nil, false end
	local asked = headers.Connection or headers.connection
	if not self._keep or asked and tostring(asked):lower() == "close" then
		self._keep = false
		return "close"
	end
	return self._old and "keep-alive" or nil
end

function Response:_begin()
	if self._state then
		error("the response has been sent", 3)
	end
end

-- The whole response.
function Response:send(text)
	self:_begin()
	text = text or ""
	if type(text) ~= "string" then
		if type(text) ~= "number" then
			error(("bad argument #1 to 'send' (string expected, got %s)"):format(type(text)), 2)
		end
		text = tostring(text)
	end
	local status = self.status
	if status < 200 then error(("status %s is no response"):format(status), 2) end
	local bodied = status >= 200 and status ~= 204 and status ~= 304
	local head = reply(status, self.headers, bodied and #text or nil, self:_connection())
	self._state = "done"
	local ok, why, code
	if bodied and not self._head_only then
		self.bytes = #text
		ok, why, code = self._conn:write_within(self._wait, head, text)
	else
		ok, why, code = self._conn:write_within(self._wait, head)
	end
	if ok then return self end
	self._keep = false
	return nil, why, code
end

-- ---- a connection ----

local function report(err, req)
	io.stderr:write(("vai.http: %s %s: %s\n"):format(req.method, req.path, tostring(err)))
end

-- Runs the handler. False: the connection is no longer the server's.
local function answer(cfg, handler, req, res)
	local t = cfg.log and now()
	local ok, err = pcall(handler, req, res)
	if not ok then
		(cfg.on_error or report)(err, req)
		if res._state then -- the peer is to see that the end is missing
			res._keep, res._ended = false, true
		else
			res.status, res.headers = 500, { ["Content-Type"] = "text/plain" }
			res:send("internal server error\n")
		end
	end
	if res._hijacked then return false end
	if res._state == "done" then
		if cfg.log then cfg.log(req, res, now() - t) end
		return true
	end
	local done, why = pcall(cold().finish, res)
	if not done then -- headers that cannot be written
		(cfg.on_error or report)(why, req)
		res._keep = false
		if not res._state then
			res.status, res.headers = 500, {}
			res:send("internal server error\n")
		end
	end
	if cfg.log then cfg.log(req, res, now() - t) end
	return true
end

-- Whether the connection goes on with the next request after a response.
local function goes_on(cfg, conn, req, res)
	local b = req._body
	if cfg.closing:get() ~= 0 then res._keep = false end
	if b then return cold().drain(conn, res, b) end
	if not res._keep then conn:close() end
	return res._keep
end

-- The rest of a head that has begun is waited for as another head is: by the server, which has a bound for that,
-- without a goroutine.
local function leave(cfg, conn, rest)
	if rest then conn:unread(rest) end
	local _, late = conn:idle()
	if late == "timeout" then refuse(conn, cfg.write_timeout, 408, "the head took too long") end
end

-- Answers requests one after the other, until no more bytes are there.
local function serve_conn(conn, cfg, handler)
	local buf, at = conn:read(nil, cfg.header_timeout), 1
	if not buf then return conn:close() end
	repeat
		local n, method, path, query, minor, length, keep, expect, conditional = parse(buf, at, cfg.max_header)
		if n == nil then return leave(cfg, conn, buf:sub(at)) end
		if not n then return refuse(conn, cfg.write_timeout, method, path) end
		local req = setmetatable({
			method = method, path = path, query_string = query, _conn = conn, _body = false,
			_buf = buf, _at = at, _conditional = conditional,
		}, request_meta)
		at = n
		if length and length ~= 0 then
			if length > cfg.max_body then
				return refuse(conn, cfg.write_timeout, 413, "the body is too large")
			end
			req._body = cold().body_of(cfg, conn, length, buf, at, expect)
		end
		local res = setmetatable({
			headers = {}, _conn = conn, _wait = cfg.write_timeout, _req = req, _keep = keep, _next = at,
		}, response_meta)
		if minor == 0 then res._old = true end
		if method == "HEAD" then res._head_only = true end
		if not answer(cfg, handler, req, res) or not goes_on(cfg, conn, req, res) then return end
		if req._body then buf, at = req._body.raw, 1 end
	until at > #buf
	leave(cfg, conn)
end

-- Serves a connection, and then others that have bytes, as long as there are some.
local function serve(conn, cfg, handler)
	while conn do
		serve_conn(conn, cfg, handler)
		conn = conn:next(LINGER)
	end
end

return { serve = serve }
