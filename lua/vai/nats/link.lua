-- SPDX-License-Identifier: MIT
-- The goroutines behind a connection to NATS. One, the manager, holds the connection: it opens it, reads what comes,
-- gives it to the subscriptions' queues, and opens the next one when it breaks. Another, the writer (writer.lua),
-- sends what is in the queue `out`, many messages in a write. Neither waits for the program: when a queue of the
-- program's is full, messages are lost by its policy and counted, so the server never finds this client slow. Both
-- goroutines last as long as the program's connection, so they load few modules.
--
-- What is written is followed by a PING, at the latest CONFIRM seconds after it: its PONG confirms all before it, for
-- they come in order. So when a connection breaks it is known how many messages may be lost. A PING behind every
-- message would cost a request as much as the message does. What was not written whole is written on the next
-- connection.
local vai = require "vai"
local core = require "vai.nats.core"
local writer = require "vai.nats.writer"

local is_message = writer.is_message
local SWEEP = 64 -- subscriptions looked up before the closed ones are forgotten
local REMEMBERED = 1024 -- publishers whose numbers a channel knows

local link = {}

-- ---- telling ----

-- Sends an event to the program's channel, if it has given one; otherwise writes it to stderr, once for each matter.
-- Lost messages are counted in any case.
local function tell(nc, event)
	if nc._events then
		if pcall(nc._events.try_send, nc._events, event) then return end
	elseif event.type == "lost" or event.type == "error" then
		local key = "told " .. event.type .. (event.subject or "")
		if not nc._state:get(key) then
			nc._state:set(key, true)
			io.stderr:write(("vai.nats: %s%s\n"):format(event.subject and event.subject .. ": " or "", event.message))
		end
	end
end
link.tell = tell

local function lost(nc, sub, why, n)
	sub.lost[why]:add(n)
	tell(nc, { type = "lost", subject = sub.subject, count = n, why = why,
		message = ("%d message%s lost: %s"):format(n, n == 1 and "" or "s", link.reasons[why]) })
end

link.reasons = {
	full = "the queue was full",
	gap = "they did not arrive",
	bad = "they are not MessagePack",
	sent = "the connection broke before the server had confirmed them",
}

-- ---- subscriptions ----

function link.subscribe_line(sub)
	return ("SUB %s %s%d\r\n"):format(sub.subject, sub.queue and sub.queue .. " " or "", sub.sid)
end

-- Unsubscribes without waiting for the writer: if the queue is full it is tried again when the next message for this
-- subscription comes.
local function unsubscribe(nc, sid)
	nc._control:try_send(("UNSUB %d\r\n"):format(sid))
end

local function finish(nc, sub, message)
	nc._subs:set(sub.sid, nil)
	unsubscribe(nc, sub.sid)
	if message then nc._state:set("error " .. sub.sid, message) end
	pcall(sub.ch.close, sub.ch)
end

local overflow = {}

function overflow.newest(nc, sub)
	lost(nc, sub, "full", 1)
end

function overflow.oldest(nc, sub, v)
	repeat
		if sub.ch:try_recv() ~= nil then lost(nc, sub, "full", 1) end
	until sub.ch:try_send(v)
end

function overflow.close(nc, sub)
	lost(nc, sub, "full", 1)
	finish(nc, sub, "the queue of " .. sub.capacity .. " was full")
end

-- The program has closed the subscription meanwhile.
local function deliver(nc, sub, v)
	local open, room = pcall(sub.ch.try_send, sub.ch, v)
	if open and not room then pcall(overflow[sub.policy], nc, sub, v) end
end

-- Channels number what they send: "Vai-Seq: name.number". A message that comes late, as servers and goroutines
-- reorder, is taken off the count of lost ones again.
local function check_sequence(nc, sub, headers)
	local from, n = headers:match("\r\nVai%-Seq: (%w+)%.(%d+)\r\n")
	n = math.tointeger(tonumber(n))
	if not n or sub.queue then return end
	local seen = sub.seen
	if not seen or seen.count > REMEMBERED then
		seen = { count = 0, last = {} }
		sub.seen = seen
	end
	local last = seen.last[from]
	if not last then seen.count = seen.count + 1 end
	if last and n > last + 1 then lost(nc, sub, "gap", n - last - 1) end
	if not last or n > last then
		seen.last[from] = n
	elseif sub.lost.gap:get() > 0 then
		sub.lost.gap:add(-1)
	end
end

local arrive = {}

function arrive.values(nc, sub, _, _, headers, payload)
	if headers then check_sequence(nc, sub, headers) end
	local ok, v = core.unpack(payload)
	if not ok or v == nil then return lost(nc, sub, "bad", 1) end
	deliver(nc, sub, v)
end

-- For a subscription that pulls, notes when the server was heard last: heartbeats serve only for that.
function arrive.messages(nc, sub, subject, reply, headers, payload)
	if sub.pull then
		sub.pull:set(math.floor(vai.now() * 1000))
		if headers and headers:find("^NATS/1%.0 100") then return end
	end
	deliver(nc, sub, { subject = subject, reply = reply, head = headers, data = payload, at = sub.pull and vai.now(),
		epoch = sub.pull and nc._reconnects:get() })
end

function arrive.replies(nc, _, subject, _, headers, payload)
	local token = subject:match("[^.]*$")
	local ch = nc._requests:get(token)
	if not ch then return end
	nc._requests:set(token, nil)
	ch:try_send({ head = headers, data = payload })
end

-- ---- reading ----

local Reader = {}
Reader.__index = Reader

-- Finds a subscription; it is looked up in the shared map once. A closed one shows by its channel.
function Reader:subscription(sid)
	local sub = self.subs[sid]
	if sub and not sub.ch:is_closed() then return sub end
	sub = self.nc._subs:get(sid)
	self.subs[sid] = sub
	if not sub then unsubscribe(self.nc, sid) end
	self.looked = self.looked + 1
	if self.looked % SWEEP == 0 then self:sweep() end
	return sub
end

function Reader:sweep()
	for sid, sub in pairs(self.subs) do
		if sub.ch:is_closed() then self.subs[sid] = nil end
	end
end

local on = {}

function on.msg(reader, sid, subject, reply, headers, payload)
	local sub = reader:subscription(sid)
	if sub then arrive[sub.kind](reader.nc, sub, subject, reply, headers, payload) end
end

function on.ping(reader)
	reader.nc._control:try_send("PONG\r\n")
end

function on.pong(reader)
	reader.pings = 0
	local nc = reader.nc
	local what = nc._pongs:try_recv()
	if not what then return end
	nc._confirmed:set(what[1])
	if what[2] then what[2]:try_send(true) end
end

function on.ok() end

function on.info(reader, text)
	link.learn(reader.nc, require "vai.nats.json".decode(text))
end

-- After an error of permissions the connection goes on; after any other the server closes it.
function on.err(reader, text)
	text = text:match("^'?(.-)'?$")
	local subject = text:match('Subscription to "([^"]+)"')
	tell(reader.nc, { type = "error", message = text, subject = subject })
	for _, sub in pairs(subject and reader.nc._subs or {}) do
		if sub.subject == subject then finish(reader.nc, sub, text) end
	end
end

function link.learn(nc, info)
	if type(info) ~= "table" then return end
	nc._state:set("max_payload", math.tointeger(info.max_payload) or 1048576)
	nc._state:set("headers", info.headers == true)
	nc._state:set("server", info.server_name or info.server_id)
	if info.connect_urls then nc._state:set("more", info.connect_urls) end
end

-- Reads until the connection ends; returns why it did.
function Reader:run(conn)
	local data, pos, interval = "", 1, self.nc._options.ping_interval
	self.pings = 0
	while true do
		local op, next_pos, a, b, c, d, e = core.next(data, pos)
		if op then
			pos = next_pos
			on[op](self, a, b, c, d, e)
		elseif op == false then
			return "the server sends " .. next_pos
		else
			local more, why = conn:read(next_pos > 65536 and next_pos or nil, interval)
			if more then
				data, pos = (pos > #data and "" or data:sub(pos)) .. more, 1
			elseif why ~= "timeout" then
				return why or "the server closed the connection"
			elseif self.pings == 2 then
				return "the server does not answer"
			else
				self.pings = self.pings + 1
				self.nc._out:try_send(vai.chan(1))
			end
		end
	end
end

-- ---- the connection's life ----

local Manager = {}
Manager.__index = Manager

function Manager:closing()
	return self.nc._closing:is_closed()
end

-- Tries each server once, beginning with the one after the last used. In a goroutine of its own, as the manager would
-- keep for ever what is loaded to open a connection.
local function open_first(nc, turn)
	return require "vai.nats.server".open_first(nc, turn)
end

function Manager:open()
	local ok, conn, info, code, turn = vai.async(open_first, self.nc, self.turn):join()
	if not ok then return nil, tostring(conn) end
	self.turn = turn or self.turn
	return conn, info, code
end

-- Errors that do not pass by themselves, as a server's restart does: the program must hear of them.
local refused = { ENATS = true, ETLS = true, EPROTO = true }

-- Opens connections until one works, with longer and longer pauses, or the program closes its own, or it has tried
-- often enough.
function Manager:reopen()
	local o, wait, why = self.nc._options, self.nc._options.reconnect_wait, nil
	for attempt = 0, o.max_reconnects do
		if attempt > 0 then
			local _, closed = self.nc._closing:recv(wait * (0.5 + math.random()))
			if closed == "closed" then return nil, "closed" end
			wait = math.min(2 * wait, o.reconnect_max)
		end
		local conn, info, code = self:open()
		if conn then return conn, info end
		if info ~= why and refused[code] then tell(self.nc, { type = "error", message = info }) end
		why = info
	end
	return nil, why
end

-- Ends the waits of goroutines that wait for replies and PONGs, which will not come.
local function abandon(nc, why)
	for token, ch in pairs(nc._requests) do
		nc._requests:set(token, nil)
		ch:try_send({ broken = why })
	end
	local what = nc._pongs:try_recv()
	while what do
		if what[2] then what[2]:try_send(false) end
		what = nc._pongs:try_recv()
	end
end

-- Writes all subscriptions before anything else. Subscriptions that pull ask again.
function Manager:resubscribe(again)
	local lines = {}
	for _, sub in pairs(self.nc._subs) do
		lines[#lines + 1] = link.subscribe_line(sub)
		if again then sub.lost.breaks:add(1) end
		if again and sub.pull then pcall(sub.ch.try_send, sub.ch, { again = true }) end
	end
	return lines
end

function Manager:use(conn, info, again)
	local nc = self.nc
	link.learn(nc, info)
	nc._confirmed:set(0)
	local first = self:resubscribe(again)
	table.move(self.left, 1, #self.left, #first + 1, first)
	nc._state:set("connection", conn)
	local stop = vai.chan()
	local writing = vai.async(writer.run, nc, conn, stop, first)
	tell(nc, { type = "connected", server = nc._state:get("server") })
	local why = self:closing() and "closed" or self.reader:run(conn)
	conn:close()
	stop:close()
	local ok, left, messages = writing:join()
	self.left = ok and left or {}
	if not ok then tell(nc, { type = "error", message = tostring(left) }) end
	return why, (ok and messages or 0) - nc._confirmed:get()
end

-- Tells and counts what may be lost of what was sent.
function Manager:broken(why, unconfirmed)
	local nc = self.nc
	tell(nc, { type = "disconnected", message = why, unconfirmed = unconfirmed })
	if unconfirmed > 0 then
		nc._unconfirmed:add(unconfirmed)
		tell(nc, { type = "lost", why = "sent", count = unconfirmed,
			message = ("up to %d messages lost: %s"):format(unconfirmed, link.reasons.sent) })
	end
	abandon(nc, why)
end

function Manager:over(why)
	local nc = self.nc
	if not nc._state:get("error") then nc._state:set("error", why) end
	pcall(nc._closing.close, nc._closing)
	local unsent = 0
	for _, item in ipairs(self.left) do unsent = unsent + (is_message(item) and 1 or 0) end
	local item = nc._out:try_recv()
	while item do
		if type(item) ~= "string" then
			item:try_send(false)
		elseif is_message(item) then
			unsent = unsent + 1
		end
		item = nc._out:try_recv()
	end
	pcall(nc._out.close, nc._out)
	abandon(nc, "closed")
	for _, sub in pairs(nc._subs) do pcall(sub.ch.close, sub.ch) end
	nc._unsent:set(unsent)
	if unsent > 0 then
		tell(nc, { type = "lost", why = "unsent", count = unsent,
			message = unsent .. " messages lost: they were never sent" })
	end
	tell(nc, { type = "closed", message = why })
	nc._done:close()
end

function Manager:run(ready)
	local conn, info, code = self:open()
	if conn then link.learn(self.nc, info) end
	ready:send({ conn and true, info, code })
	local why, again = info, false
	while conn do
		local unconfirmed
		why, unconfirmed = self:use(conn, info, again)
		if self:closing() then
			self:over "closed"
			return
		end
		self:broken(why, unconfirmed)
		again = true
		conn, info = self:reopen()
		if conn then self.nc._reconnects:add(1) else why = info end
	end
	self:over(why)
end

-- The manager's goroutine. nc: the program's connection without its methods, which are not loaded here. ready: gets {
-- true } once connected, or { nil, message, code } if that has failed.
function link.run(nc, ready)
	local reader = setmetatable({ nc = nc, subs = {}, looked = 0, pings = 0 }, Reader)
	local manager = setmetatable({ nc = nc, reader = reader, left = {}, turn = -1 }, Manager)
	local ok, why = xpcall(manager.run, debug.traceback, manager, ready)
	if not ok then
		tell(nc, { type = "error", message = why })
		pcall(manager.over, manager, why)
	end
end

return link
