-- SPDX-License-Identifier: MIT
-- The goroutine that writes to a connection to NATS: see link.lua. It is a file of its own because that goroutine loads
-- no more than this.
local vai = require "vai"

local BATCH, BATCH_BYTES = 256, 65536
local CONFIRM, CONFIRM_MOST = 0.01, 256 -- seconds and messages without a PING

local function is_message(text)
	local a, b = text:byte(1, 2)
	return a == 72 or a == 80 and b == 85 -- HPUB, PUB
end

local Writer = {}
Writer.__index = Writer

-- Writes a PING, whose PONG confirms all messages before it and is told to a channel.
function Writer:ping(teller)
	self.nc._pongs:send({ self.messages, teller })
	return "PING\r\n"
end

-- Takes an item: a string to write, or a channel that is told of the PONG of a PING.
function Writer:take(item)
	if type(item) ~= "string" then
		item = self:ping(item)
	elseif is_message(item) then
		self.messages = self.messages + 1
	end
	self.n = self.n + 1
	self.batch[self.n] = item
	self.bytes = self.bytes + #item
end

function Writer:gather()
	local control, out = self.nc._control, self.nc._out
	local item = control:try_recv()
	while item and self.n < BATCH do
		self:take(item)
		item = control:try_recv()
	end
	if item then self:take(item) end
	while self.n < BATCH and self.bytes < BATCH_BYTES do
		item = out:try_recv()
		if not item then return end
		self:take(item)
	end
end

-- Seconds until a PING must be written; nil: there is nothing to confirm. One PING is under way at a time.
function Writer:until_ask()
	local more = self.messages - self.asked
	if more == 0 then return nil end
	if self.nc._confirmed:get() < self.asked then return CONFIRM end
	if more >= CONFIRM_MOST then return 0 end
	if not self.since then self.since = vai.now() end
	return math.max(0, self.since + CONFIRM - vai.now())
end

function Writer:ask()
	if self:until_ask() ~= 0 then return end
	self.since, self.asked = nil, self.messages
	self:take(self:ping())
end

-- What the broken connection has not taken whole of the batch.
function Writer:left_over(written)
	local left = {}
	for _, item in ipairs(self.batch) do
		written = written - #item
		if written < 0 then
			if item ~= "PING\r\n" then left[#left + 1] = item end
			if is_message(item) then self.messages = self.messages - 1 end
		end
	end
	return left
end

-- Writes until the connection breaks or `stop` is closed. Returns a list of what is left, and how many messages were
-- written.
local function run(nc, conn, stop, first)
	local w = setmetatable({ nc = nc, batch = {}, n = 0, bytes = 0, messages = 0, asked = 0 }, Writer)
	for _, item in ipairs(first) do w:take(item) end
	while true do
		w:gather()
		if w.n == 0 then
			local i, item = vai.select { nc._control, nc._out, stop, timeout = w:until_ask() }
			if i == 3 or i and not item then return {}, w.messages end
			if i then
				w:take(item)
				w:gather()
			end
		end
		w:ask()
		if w.bytes > 0 then
			local ok, _, _, written = conn:write(table.concat(w.batch))
			if not ok then return w:left_over(written or 0), w.messages end
		end
		w.batch, w.n, w.bytes = {}, 0, 0
	end
end

return { run = run, is_message = is_message }
