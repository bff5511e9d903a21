-- SPDX-License-Identifier: MIT
-- Streams of JetStream: what is sent is stored by the server before send returns, and what is received is delivered
-- again until it is acknowledged. Both sides ask again after a connection has broken: a message has a name of its own,
-- by which the server stores it once, and an acknowledgement may come twice.
--
-- Messages are pulled, some at a time, into a queue of this process; one that has lain there until its time to be
-- acknowledged is nearly over is dropped, for the server is about to give it to somebody else. The server that has a
-- stream or its consumer need not be the one that we are connected to, so nothing here breaks when it dies: whatever
-- was not heard of for long is asked again.
local vai = require "vai"
local core = require "vai.nats.core"
local json = require "vai.nats.json"
local client = require "vai.nats.client"

local EXPIRES = 30        -- seconds that a request for messages stays at the server
local RETRY, LONGEST = 0.02, 0.5 -- between attempts
local ATTEMPT = 2         -- seconds that an answer may take before it is asked again
local HEARTBEAT, SILENCE = 3, 2.5 -- seconds; so many of them without a word
local REMEMBERED = 4096 -- acknowledged messages
local PATIENCE = 30       -- seconds that a server may be without JetStream, as after its start

local Stream = {}
local stream_meta = { __index = Stream, __name = "vai.nats.stream" }
local Message = {}
local message_meta = { __index = Message, __name = "vai.nats.stream_message" }

local stream = { meta = stream_meta, message = message_meta }

-- ---- asking ----

-- Waits by f(limit), for at most so many seconds. nil, "timeout", true: the seconds are over, but the limit is not.
local function for_seconds(seconds, limit, f)
	if type(limit) == "number" or limit == nil then
		local a, b = f(math.min(limit or seconds, seconds))
		return a, b, a == nil and b == "timeout" and (limit or math.huge) > seconds
	end
	local ctx, cancel = limit:with_timeout(seconds)
	local a, b = f(ctx)
	cancel()
	if a ~= nil or b ~= "deadline exceeded" then return a, b end
	local over = limit:err()
	return nil, over or "timeout", not over
end

-- Makes a request again and again while there is no answer at all. The request may arrive more than once.
local function insist(nc, subject, head, data, left)
	while true do
		local headers, answer, again = for_seconds(ATTEMPT, left(), function(limit)
			return nc:_request(subject, head, data, limit)
		end)
		if not again then return headers, answer end
	end
end

-- Errors that asking again may cure.
local passing = { ["connection lost"] = true, ["no responders"] = true }

-- Makes a request until there is an answer, the limit is over, or no server has answered for too long.
local function ask(nc, subject, head, data, limit)
	local left, wait, since = client.limiter(limit), RETRY, nil
	while true do
		local headers, answer = insist(nc, subject, head, data, left)
		if headers or not passing[answer] then return headers, answer end
		since = answer == "no responders" and (since or vai.now()) or nil
		if since and vai.now() - since > PATIENCE then return nil, "no responders" end
		local now = left()
		if type(now) == "number" and now <= wait then return nil, answer end
		vai.sleep(wait)
		wait = math.min(2 * wait, LONGEST)
	end
end

-- The table for an answer of JetStream, which is JSON; or nil, message, code.
local function reply_of(answer)
	local reply, why = json.decode(answer)
	if type(reply) ~= "table" then return nil, why or "not JSON" end
	if reply.error then return nil, reply.error.description or "an error", reply.error.err_code end
	return reply
end

-- Calls JetStream's API. Returns the answer as a table; or nil, message, code.
local function call(nc, what, request, limit)
	local headers, answer = ask(nc, "$JS.API." .. what, nil, request and json.encode(request) or "", limit)
	if not headers then
		return nil, answer == "no responders" and "JetStream is not enabled on the server" or answer
	end
	return reply_of(answer)
end

-- ---- opening ----

local nanoseconds = { max_age = true, duplicate_window = true }
local stream_options = {
	"subjects", "storage", "retention", "discard", "max_msgs", "max_bytes", "max_age", "max_msg_size", "num_replicas",
	"duplicate_window", "description",
}
local consumer_options = {
	"ack_wait", "max_deliver", "max_ack_pending", "filter_subject", "deliver_policy",
}
local known = { durable = true, batch = true, limit = true, heartbeat = true }
for _, list in ipairs { stream_options, consumer_options } do
	for _, name in ipairs(list) do known[name] = true end
end

local function config_of(options, names)
	local config = {}
	for _, name in ipairs(names) do
		local v = options[name]
		if v ~= nil and nanoseconds[name] then v = math.floor(v * 1e9) end
		config[name] = v
	end
	return config
end

local function check_name(what, name)
	if type(name) ~= "string" or name == "" or name:find("[%s%c.*>/\\]") then
		error(("bad argument to 'stream' (no name of a %s: '%s')"):format(what, tostring(name)), 4)
	end
end

local function make_stream(nc, name, options, limit)
	if not options.subjects then
		local info, why, code = call(nc, "STREAM.INFO." .. name, nil, limit)
		return info and info.config, why, code
	end
	local config = config_of(options, stream_options)
	config.name = name
	local made, why, code = call(nc, "STREAM.CREATE." .. name, config, limit)
	return made and made.config, why, code
end

local function make_consumer(nc, name, options, limit)
	local config = config_of(options, consumer_options)
	config.durable_name, config.ack_policy = options.durable, "explicit"
	config.deliver_policy = config.deliver_policy or "all"
	config.ack_wait = math.floor((options.ack_wait or 30) * 1e9)
	return call(nc, ("CONSUMER.DURABLE.CREATE.%s.%s"):format(name, options.durable),
		{ stream_name = name, config = config }, limit)
end

-- Opens the queue for pulled messages. It has room for more than one request, as one may be made again although it
-- was not lost.
local function open_queue(nc, st, batch)
	local inbox = ("_INBOX.%s%d"):format(client.unique(), nc._ids:add(1))
	local heard = vai.atomic()
	local sub, why = nc:_subscribe("messages", inbox .. ".*", { capacity = 4 * batch + 16, pull = heard })
	if not sub then return nil, why end
	st._sub, st._pull, st._heard = sub, inbox .. ".", heard
	st._pulls, st._pending, st._lock, st._acked = vai.atomic(), vai.atomic(), vai.mutex(), vai.map()
	return st
end

local function check_heartbeat(options)
	local v = options.heartbeat or HEARTBEAT
	if type(v) ~= "number" or not (v >= 0.1 and v <= EXPIRES / 2) then
		error(("bad argument #2 to 'stream' (option 'heartbeat': %s)"):format(tostring(v)), 4)
	end
	return v
end

function stream.open(nc, name, options)
	options = client.check_options("stream", options, known, 2)
	check_name("stream", name)
	if options.durable ~= nil then check_name("consumer", options.durable) end
	local heartbeat = check_heartbeat(options)
	local left = client.limiter(options.limit)
	local config, why, code = make_stream(nc, name, options, left())
	if not config then return nil, ("stream '%s': %s"):format(name, why), code end
	local st = setmetatable({ name = name, durable = options.durable, _nc = nc, _subject = (config.subjects or {})[1] },
		stream_meta)
	if not options.durable then return st end
	local made
	made, why, code = make_consumer(nc, name, options, left())
	if not made then return nil, ("consumer '%s' of stream '%s': %s"):format(options.durable, name, why), code end
	st._ack_wait = (made.config.ack_wait or 30e9) / 1e9
	st._batch, st._heartbeat = options.batch or 16, heartbeat
	return open_queue(nc, st, st._batch)
end

-- ---- sending ----

local send_options = { id = true, subject = true, headers = true }

function Stream:send(v, limit, options)
	options = client.check_options("send", options, send_options, 3)
	local data = client.pack_message(v)
	local subject = options.subject or self._subject
	if not subject or subject:find("[*>]") then
		error("bad argument #3 to 'send' (the option 'subject' is missing: the stream's are patterns)", 2)
	end
	local headers = {}
	for k, h in pairs(options.headers or {}) do headers[k] = h end
	headers["Nats-Msg-Id"] = options.id or self._nc._id .. "s" .. self._nc._ids:add(1)
	headers["Nats-Expected-Stream"] = self.name
	local got, answer = ask(self._nc, subject, client.format_headers(headers, "send"), data, limit)
	if not got then return nil, answer end
	local reply, why, code = reply_of(answer)
	if not reply then return nil, why, code end
	return reply.seq, reply.duplicate == true
end

-- ---- receiving ----

-- $JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.OF-CONSUMER.TIME.PENDING; newer servers have domain and account before.
local function metadata(reply)
	local words = {}
	for word in (reply or ""):gmatch("[^.]+") do words[#words + 1] = word end
	if words[1] ~= "$JS" or words[2] ~= "ACK" or #words < 9 then return nil end
	local first = #words >= 11 and 7 or 5
	return math.tointeger(tonumber(words[first])), math.tointeger(tonumber(words[first + 1])),
		math.tointeger(tonumber(words[first + 4])), words[first + 3]
end

-- Asks for a batch. One request is at the server at a time; a goroutine that finds none makes it.
local function pull(st)
	local _ <close> = st._lock:guard()
	local now = math.floor(vai.now() * 1000)
	local silent = now - st._heard:get() > SILENCE * 1000 * st._heartbeat
	if st._pending:get() > 0 and not silent then return true end
	local n = st._pulls:add(1)
	st._pending:set(st._batch)
	st._heard:set(now)
	local request = json.encode { batch = st._batch, expires = EXPIRES * 1000000000,
		idle_heartbeat = math.floor(st._heartbeat * 1e9) }
	return st._nc:_publish(("$JS.API.CONSUMER.MSG.NEXT.%s.%s"):format(st.name, st.durable), st._pull .. n, nil, request)
end

-- Whether m ends a request, as its time is over or the server reports an error. The request is then made again, but
-- not at once if no server was there to answer. true, why: it is not made again.
local function ended(st, m)
	local _, status, text = client.parse_headers(m.head)
	if not status then return false end
	if m.subject == st._pull .. st._pulls:get() then st._pending:set(0) end
	if status == 409 and text:find("Consumer Deleted") then return true, "the consumer was deleted" end
	if status == 503 then vai.sleep(RETRY) end
	return true
end

-- Notes acknowledged messages by the last digits of their numbers, with the time at which they were stored, as a
-- stream that was made again counts from 1 again.
local function remember(acked, sequence, time)
	acked:set(sequence % REMEMBERED, time)
end

local function message_of(st, m)
	local delivered, sequence, pending, time = metadata(m.reply)
	if not sequence then return nil end
	if delivered > 1 and st._acked:get(sequence % REMEMBERED) == time then
		-- The server sent it again before it knew, or has forgotten that it did.
		st._nc:_publish(m.reply, nil, nil, "+ACK")
		return nil
	end
	local good, v = core.unpack(m.data)
	return setmetatable({
		value = good and v or nil, error = not good and v or nil, data = m.data, subject = m.subject, reply = m.reply,
		headers = client.parse_headers(m.head), sequence = sequence, redelivered = delivered > 1, deliveries = delivered,
		pending = pending, _nc = st._nc, _epoch = m.epoch, _consumer = st.name .. "." .. st.durable,
		_acked = st._acked, _time = time,
	}, message_meta)
end

-- The message for the program; nil: it was none, go on; or nil, why.
local function examine(st, m)
	if m.again then -- the connection is another one: the request has died with the old
		st._pending:set(0)
		return nil
	end
	local over, why = ended(st, m)
	if over then return nil, why end
	if st._pending:get() > 0 then st._pending:add(-1) end
	if vai.now() - m.at > 0.8 * st._ack_wait then return nil end
	if m.epoch ~= st._nc._reconnects:get() then -- a server that was restarted may have forgotten that it sent it
		st._nc:_publish(m.reply, nil, nil, "-NAK")
		return nil
	end
	return message_of(st, m)
end

-- The next message. Waits for at most a heartbeat's time, after which the caller looks whether there was one.
local function next_of(st, limit)
	return for_seconds(st._heartbeat, limit, function(most) return st._sub.ch:recv(most) end)
end

function Stream:recv(limit)
	if not self.durable then error("recv on a stream without the option 'durable'", 2) end
	local left = client.limiter(limit)
	while true do
		local m, why = self._sub.ch:try_recv()
		if why == "closed" then return nil, "closed" end
		if not m then
			local asked
			asked, why = pull(self)
			if not asked then return nil, why end
			local again
			m, why, again = next_of(self, left())
			if not m and not again then return nil, why end
		end
		if m then
			local message
			message, why = examine(self, m)
			if message or why then return message, why end
		end
	end
end

function stream_meta.__call(self) return (self:recv()) end

function Stream:info(limit)
	return call(self._nc, "STREAM.INFO." .. self.name, nil, limit)
end

function Stream:delete(limit)
	local done, why, code = call(self._nc, "STREAM.DELETE." .. self.name, nil, limit)
	if done then return true end
	return nil, why, code
end

-- Ends receiving; the stream, its consumer and what was not acknowledged stay at the server.
function Stream:close()
	if self._sub then self._nc:_unsubscribe(self._sub) end
end
stream_meta.__close = Stream.close

-- ---- acknowledging ----

-- Whether the server still knows that it sent the message. A server confirms all that it is told; one that was killed
-- and has forgotten sends the message again nevertheless. So it is asked first if the connection is another one by
-- now.
local function remembered(m, limit)
	if m._epoch == m._nc._reconnects:get() then return true end
	local info, why = call(m._nc, "CONSUMER.INFO." .. m._consumer, nil, limit)
	if not info then return nil, why end
	if info.delivered.stream_seq >= m.sequence then return true end
	return nil, "the server has forgotten that it sent the message: it will send it again"
end

-- Acknowledges. true: the server has confirmed it; with a limit of 0 it is only sent.
local function acknowledge(m, what, limit)
	if limit == 0 then return m._nc:_publish(m.reply, nil, nil, what) end
	local left = client.limiter(limit)
	while true do
		local ours, why = remembered(m, left())
		if not ours then return nil, why end
		ours, why = insist(m._nc, m.reply, nil, what, left)
		if ours then return true end
		if not passing[why] or left() == 0 then return nil, why end
		vai.sleep(RETRY)
	end
end

function Message:ack(limit)
	local done, why = acknowledge(self, "+ACK", limit)
	if not done then return nil, why end
	remember(self._acked, self.sequence, self._time)
	return true
end

-- Has the message delivered again, at once or after so many seconds.
function Message:nak(delay, limit)
	local what = delay and ('-NAK {"delay": %d}'):format(math.floor(delay * 1e9)) or "-NAK"
	return acknowledge(self, what, limit)
end

function Message:term(limit) return acknowledge(self, "+TERM", limit) end

-- Begins the time to acknowledge anew.
function Message:working(limit) return acknowledge(self, "+WPI", limit) end

return stream
