-- SPDX-License-Identifier: MIT
-- The body of a message that is being read: the bytes of a connection up to where the head says that they end. The
-- reader of the body has the connection; bytes that come behind the body are left in `raw`.
local vai = require "vai"
local core = require "vai.http.core"

local unchunk, now = core.unchunk, vai.now
local LINE_MOST = 1048576

local Body = {}
Body.__index = Body

-- kind: "length" (of `length` bytes), "chunked" or "close" (all that comes). raw: bytes that have been read already.
-- most: a longer body is "too long". timeout: seconds for each wait whose caller gives no limit.
local function new(conn, kind, length, raw, most, timeout)
	return setmetatable({
		conn = conn, kind = kind, left = length or 0, phase = 0, raw = raw, most = most, timeout = timeout,
		buf = "", total = 0, done = kind == "length" and length == 0,
	}, Body)
end

-- The part of s that belongs to the body; or nil, why.
local function cut(self, s)
	if self.kind == "close" then
		return s
	elseif self.kind == "chunked" then
		local data, next_at, phase, left, done = unchunk(s, 1, self.phase, self.left, self.lenient)
		if not data then
			self.failed = next_at
			return nil, next_at
		end
		self.phase, self.left, self.done = phase, left, done
		self.raw = s:sub(next_at)
		return data
	end
	if #s > self.left then
		self.raw = s:sub(self.left + 1)
		s = s:sub(1, self.left)
	end
	self.left = self.left - #s
	self.done = self.left == 0
	return s
end

-- The next bytes as they came over the connection; nil at the end; or nil, why, code.
local function raw_piece(self, limit)
	if self.expect then
		self.expect = false
		local ok, why, code = self.conn:write("HTTP/1.1 100 Continue\r\n\r\n")
		if not ok then return nil, why, code end
	end
	while not self.done do
		if self.failed then return nil, self.failed end
		local s = self.raw
		self.raw = ""
		if s == "" then
			local why, code
			s, why, code = (self.sender or self.conn):read(nil, limit or self.timeout)
			if not s and not why and self.kind == "close" then
				self.done = true
				return nil
			elseif not s then
				return nil, why or "the connection has ended in the middle of a body", code
			end
		end
		s = cut(self, s)
		if not s then return nil, self.failed end
		if s ~= "" then return s end
	end
	return nil
end

-- The same for a packed body: the connection's bytes may have ended while the inflater still has some.
local function unpacked_piece(self, limit)
	local inflater = self.inflater
	while not self.failed do
		local s, why = inflater:piece()
		if s then return s end
		if why then
			self.failed = why
			break
		end
		local raw, code
		raw, why, code = raw_piece(self, limit)
		if why then return nil, why, code end
		if raw then
			inflater:feed(raw)
			self.fed = true
		elseif self.fed and not inflater:ended() then
			self.failed = "the compressed data has ended too early"
		else
			return nil
		end
	end
	return nil, self.failed
end

-- The next bytes; nil at the end; or nil, why, code.
local function piece(self, limit)
	local s, why, code
	if self.inflater then
		s, why, code = unpacked_piece(self, limit)
	else
		s, why, code = raw_piece(self, limit)
	end
	if not s then return nil, why, code end
	self.total = self.total + #s
	if self.most and self.total > self.most then
		self.failed = "too long"
		return nil, self.failed
	end
	return s
end

-- Reads on until enough(buf) or the end. What was read before an error stays for the next call.
local function gather(self, limit, enough)
	local until_ = type(limit) == "number" and now() + limit
	local parts, size = { self.buf }, #self.buf
	while not enough(size, parts[#parts]) do
		local s, why, code = piece(self, until_ and math.max(0, until_ - now()) or limit)
		if s then
			parts[#parts + 1], size = s, size + #s
		elseif why then
			self.buf = table.concat(parts)
			return nil, why, code
		else
			break
		end
	end
	self.buf = table.concat(parts)
	return true
end

local function read_line(self, kept, limit)
	local ok, why, code = gather(self, limit, function(size, last) return last:find("\n", 1, true) or size > LINE_MOST end)
	if not ok then return nil, why, code end
	local at = self.buf:find("\n", 1, true)
	if not at and #self.buf > LINE_MOST then return nil, "too long" end
	if not at and self.buf == "" then return nil end
	local line = self.buf:sub(1, at and (kept and at or at - 1) or -1)
	self.buf = at and self.buf:sub(at + 1) or ""
	return line
end

-- Arguments and results are those of a connection's read.
function Body:read(what, limit)
	if type(what) == "string" then what = what:gsub("^%*", "") end
	if what == nil then
		if self.buf ~= "" then
			local s = self.buf
			self.buf = ""
			return s
		end
		return piece(self, limit)
	elseif type(what) == "number" then
		local n = math.tointeger(what)
		if not n or n < 0 then error(("bad argument #1 to 'read' (%s bytes)"):format(what), 3) end
		local ok, why, code = gather(self, limit, function(size) return size >= math.max(n, 1) end)
		if not ok then return nil, why, code end
		if self.buf == "" then return nil end
		local s = self.buf:sub(1, n)
		self.buf = self.buf:sub(n + 1)
		return s
	elseif what == "l" or what == "L" then
		return read_line(self, what == "L", limit)
	elseif what == "a" then
		local ok, why, code = gather(self, limit, function() return false end)
		if not ok then return nil, why, code end
		local s = self.buf
		self.buf = ""
		return s
	end
	error(("bad argument #1 to 'read' (invalid format '%s')"):format(tostring(what)), 3)
end

-- Reads what is left of the body and drops it. True: the connection is at the end of the message.
function Body:drain(most, limit)
	self.expect = nil
	self.most = nil
	local seen = 0
	while not self.done do
		local s, why = raw_piece(self, limit)
		seen = seen + (s and #s or 0)
		if why or seen > most then return false end
	end
	return self.kind ~= "close"
end

return { new = new }
