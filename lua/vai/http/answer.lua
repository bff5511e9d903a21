-- SPDX-License-Identifier: MIT
-- A response as the client gets it; its body is read from the connection. Once the body has been read the connection
-- goes back to the pool. A response that is closed or collected before that closes its connection.
local core = require "vai.http.core"
local body = require "vai.http.body"
local pool = require "vai.http.pool"

local Answer = {}
local DRAIN_MOST, DRAIN_TIME = 65536, 1

-- ---- how the body ends ----

local function kind_of(method, status, length)
	if method == "HEAD" or status < 200 or status == 204 or status == 304 then return "length", 0 end
	if not length then return "close" end
	if length < 0 then return "chunked" end
	return "length", length
end

-- Gives up the connection: back to the pool if the body has been read to its end and nothing has come behind it;
-- otherwise it is closed.
local function release(self)
	local use = self._use
	if not use then return end
	self._use = nil
	if use.sender and not use.sender:stop(self._keep) then self._keep = false end
	if self._keep and self._body.done and not self._body.failed and self._body.raw == "" then
		pool.put(use.shared, use.cfg, use.place, use.conn)
	else
		use.conn:close()
	end
	pool.leave(use.permit)
end

local function after(self, ...)
	if self._body.done or self._body.failed then release(self) end
	return ...
end

-- ---- methods ----

function Answer:header(name)
	return self.headers[name:lower()]
end

function Answer:read(what, limit)
	limit = limit or self._limit:left(nil)
	if self._closed then return nil, "closed" end
	self._body.most = (what == "a" or what == "*a") and self._most or nil
	return after(self, self._body:read(what, limit))
end

function Answer:body(limit)
	return Answer.read(self, "a", limit)
end

-- Ends the response. What is left of a short body is read, so that the connection can be used again.
function Answer:close()
	local sender = self._use and self._use.sender
	if sender and not sender.closed then self._keep = false end
	if self._use and self._keep and not self._body.failed then
		local b = self._body
		if b.kind == "length" and b.left > DRAIN_MOST or b.kind == "close" or not b:drain(DRAIN_MOST, DRAIN_TIME) then
			self._keep = false
		end
	end
	self._closed = true
	release(self)
end

-- Gives the connection to a caller that has asked for another protocol.
function Answer:hijack()
	local use = self._use
	if not use then error("the connection is no longer the response's", 2) end
	self._use, self._closed = nil, true
	if use.sender then use.sender:stop(true) end
	if self._body.raw ~= "" then use.conn:unread(self._body.raw) end
	pool.leave(use.permit)
	return use.conn
end

local meta = { __index = Answer, __name = "vai.http.answer", __close = Answer.close }

-- The response was collected: a finalizer cannot wait, so the connection is closed.
function meta.__gc(self)
	if self._use then
		self._keep = false
		release(self)
	end
end

-- ---- making one ----

-- Makes a response. use: { conn, place, permit, shared, cfg, sender }. head: as read_head gives it. packed: the
-- client itself has asked for a packed body.
local function new(use, method, head, limit, packed)
	local headers, status, length, keep = head.headers, head.status, head.length, head.keep
	local kind, n = kind_of(method, status, length)
	local b = body.new(use.conn, kind, n, head.rest, nil, use.cfg.read_timeout)
	b.lenient, b.sender = true, use.sender
	local coding = packed and (headers["content-encoding"] or ""):lower()
	if coding and (coding == "gzip" or coding == "x-gzip" or coding == "deflate") and not b.done then
		b.inflater = core.inflater()
		headers["content-encoding"], headers["content-length"] = nil, nil
	end
	local self = setmetatable({
		status = status, reason = head.reason, version = head.minor, headers = headers, _use = use, _body = b,
		_keep = keep and kind ~= "close" and status ~= 101, _limit = limit, _most = use.cfg.max_body,
	}, meta)
	if b.done and status ~= 101 then release(self) end
	return self
end

return { new = new }
