-- SPDX-License-Identifier: MIT
-- A body that is sent in pieces while its answer may already come, as from a server that echoes it. One goroutine
-- writes; the caller makes the pieces, hands them over, and takes what comes meanwhile.
local vai = require "vai"
local core = require "vai.http.core"

local LAST = 1 -- seconds that the last piece may take once the answer is whole

local Sender = {}
Sender.__index = Sender

-- Takes pieces to the end, so that the caller never waits for it, but writes none after an error.
local function write_all(conn, pieces, done, timeout)
	local failed
	for data in pieces do
		if not failed then
			local ok, why, code = conn:write_within(timeout, data)
			failed = not ok
			if failed then done:send({ why = why, code = code }) end
		end
	end
	if not failed then done:send({ ok = true }) end
end

-- next_piece(limit) returns a piece, nil at the end, or nil, why, code. length: of the body, -1 for chunks. limit: of
-- the call.
local function new(conn, next_piece, length, limit, timeout)
	local self = setmetatable({
		conn = conn, next_piece = next_piece, left = length, chunked = length < 0, limit = limit, ch = vai.chan(),
		done = vai.chan(1),
	}, Sender)
	vai.go(write_all, conn, self.ch, self.done, timeout)
	return self
end

function Sender:end_pieces()
	self.closed = true
	self.ch:close()
end

-- Gets the next piece into self.data, unless one is there. nil, why, code: it cannot be had.
function Sender:prepare()
	if self.closed or self.data ~= nil then return true end
	if self.broken then return nil, "the body has failed" end
	self.broken = true -- also where it raises
	local piece, why, code = self.next_piece(self.limit:left(nil))
	if why then return nil, why, code end
	self.broken = false
	if piece == nil then
		if not self.chunked and self.left > 0 then error("the body is shorter than Content-Length says", 0) end
		self.last = true
		if self.chunked then self.data = "0\r\n\r\n" else self:end_pieces() end
	elseif type(piece) ~= "string" then
		error(("a piece of the body is a %s, not a string"):format(type(piece)), 0)
	elseif self.chunked then
		self.data = piece ~= "" and core.chunk(#piece) .. piece .. "\r\n" or ""
	else
		self.left = self.left - #piece
		if self.left < 0 then error("the body is longer than Content-Length says", 0) end
		self.data = piece
	end
	return true
end

-- Hands over pieces until something else happens. Returns true: all is written; "data", bytes of the answer (nil:
-- none will come); or nil, why, code. limit_of(): the limit for each piece.
function Sender:run(limit_of)
	while true do
		local ok, why, code = self:prepare()
		if not ok then return nil, why, code end
		local i, v = vai.select { self.conn, self.done, self.data and { self.ch, self.data } or false,
			timeout = limit_of() }
		if i == 1 then
			return "data", v
		elseif i == 2 then
			self.over, self.ok = true, v.ok
			if v.ok then return true end
			return nil, v.why, v.code
		elseif i == 3 then
			self.data = nil
			if self.last then self:end_pieces() end
		else
			return nil, v
		end
	end
end

-- The next bytes of the answer, as a connection's read gives them. A limit in seconds begins anew with each piece;
-- the limit of the call does not.
function Sender:read(_, limit)
	if not self.over then
		local what, v, code = self:run(function()
			local left = self.limit:left(limit)
			return type(left) == "number" and type(limit) == "number" and math.min(left, limit) or left
		end)
		if what == "data" then return v end
		if not self.over then return nil, v, code end
	end
	return self.conn:read(nil, limit)
end

-- Ends the sending. Returns whether all was written, so that the connection can be used again.
function Sender:stop(wait)
	local whole = self.last and not self.data
	if not self.closed then self.ch:close() end
	self.closed = true
	if not whole then return false end
	if not self.over then
		local v = self.done:recv(wait and LAST or 0)
		self.over, self.ok = v ~= nil, v and v.ok
	end
	return self.ok == true
end

return { new = new }
