-- SPDX-License-Identifier: MIT
-- Requests and responses of vai.http's server: the methods that not every request needs. A goroutine loads this file
-- when it first uses one of them. What every request needs is in loop.lua, which every goroutine of a server has.
local core = require "vai.http.core"
local body = require "vai.http.body"
local files = require "vai.http.files"
local refusal = require "vai.http.refusal"
local uri = require "vai.http.uri"

local reply, chunk = core.reply, core.chunk
local close_gently = refusal.close_gently
local DRAIN_MOST, DRAIN_TIME = 262144, 5

local Request = {}

function Request:header(name)
	return self.headers[name:lower()]
end

function Request:read(what, limit)
	if not self._body then
		return what == "a" and "" or nil
	end
	return self._body:read(what, limit)
end

function Request:body(limit)
	return Request.read(self, "a", limit)
end

function Request:remote_addr()
	return self._conn:remote_addr()
end

-- The __index of a request: makes `query` when it is first asked for, and finds the methods.
local function field(req, key)
	if key == "query" then
		req.query = uri.parse_query(req.query_string or "")
		return req.query
	end
	return Request[key]
end

-- ---- responses ----

local Response = {}

-- The response's connection, with the server's limit for writes.
local function writer(self)
	local w = self._writer
	if not w then
		w = self._conn:with(self._wait)
		self._writer = w
	end
	return w
end

local function has_body(status)
	return status >= 200 and status ~= 204 and status ~= 304
end

local function length_header(headers)
	for name, value in pairs(headers) do
		if type(name) == "string" and name:lower() == "content-length" then
			return math.tointeger(tonumber(value)) or error("bad Content-Length '" .. tostring(value) .. "'", 4)
		end
	end
end

-- Begins a response whose body comes in pieces, and returns the head. The body has the length that Content-Length says,
-- or comes in chunks; for a client of HTTP/1.0 it ends with the connection.
local function begin_stream(self)
	local length
	if self.status < 200 then error(("status %s is no response"):format(self.status), 3) end
	if has_body(self.status) then
		length = length_header(self.headers)
		if not length and self._old then
			self._keep = false
		elseif not length then
			length = -1
		end
	else
		self._none = true
	end
	self._left, self._chunked = length and length >= 0 and length or nil, length == -1
	local head = reply(self.status, self.headers, length, self:_connection())
	self._state = "stream"
	return head
end

-- Adds to the body, after the head if that was not sent. A first call without arguments sends the head alone.
function Response:write(...)
	if self._state == "done" then
		error("the response has been sent", 2)
	end
	local head = not self._state and begin_stream(self) or ""
	local data = table.concat({ ... })
	if self._left and #data > self._left then
		error("more than Content-Length says", 2)
	end
	self._left = self._left and self._left - #data
	local ok, why, code
	if self._head_only or self._none or data == "" then
		ok, why, code = true, nil, nil
		if head ~= "" then ok, why, code = writer(self):write(head) end
	elseif self._chunked then
		ok, why, code = writer(self):write(head, chunk(#data), data, "\r\n")
	else
		ok, why, code = writer(self):write(head, data)
	end
	if not ok then
		self._keep = false
		return nil, why, code
	end
	self.bytes = self.bytes + #data
	return self
end

-- Answers with a file of this machine. Returns true; or nil and why, and then no response was sent.
function Response:file(path)
	self:_begin()
	return files.send(self._req, self, path)
end

-- For files.lua: sends a head with the length n, then n bytes of the open file from offset `at` on.
function Response:_send_open(file, at, n)
	local head = reply(self.status, self.headers, n, self:_connection())
	self._state = "done"
	if self._head_only then
		return self._conn:write_within(self._wait, head)
	end
	self.bytes = n
	local ok, why, code = self._conn:send_file(file, at, n, head, self._wait)
	if not ok then self._keep = false end
	return ok, why, code
end

-- Gives the connection to the caller. Bytes that were read from it and not used are put back first.
function Response:hijack()
	local req = self._req
	self:_begin()
	self._state, self._hijacked, self._keep = "done", true, false
	local rest = req._body and req._body.raw or req._buf:sub(self._next)
	if rest ~= "" then self._conn:unread(rest) end
	return self._conn
end

-- Called when the handler has returned: sends an empty response if the handler has sent none, and ends one in chunks.
local function finish(res)
	if not res._state then return res:send("") end
	if res._chunked and not res._head_only and not res._ended then
		res._ended = true
		if not writer(res):write("0\r\n\r\n") then res._keep = false end
	elseif res._left and res._left > 0 and not res._head_only then
		res._keep = false
	end
end

-- ---- a connection ----

-- The reader for the request's body; nil if the request has none.
local function body_of(cfg, conn, length, buf, at, expect)
	if not length or length == 0 then return nil end
	local b = body.new(conn, length < 0 and "chunked" or "length", length > 0 and length or nil, buf:sub(at),
		cfg.max_body, cfg.read_timeout)
	b.expect = expect or nil
	return b
end

-- Reads the rest of the body that the handler has not read. True: the connection is ready for its next request.
local function drain(conn, res, b)
	if res._keep and not b.expect and b:drain(DRAIN_MOST, DRAIN_TIME) then return true end
	if b.done then conn:close() else close_gently(conn) end
	return false
end

return {
	Response = Response, field = field, finish = finish, drain = drain, body_of = body_of,
}
