-- SPDX-License-Identifier: MIT
-- What a program of vai.nats holds: connections, subscriptions, channels, servers. All are tables of vai's shared
-- objects, so that they can be sent to other goroutines; what happens behind them is in link.lua.
local vai = require "vai"
local core = require "vai.nats.core"
local link = require "vai.nats.link"
local server = require "vai.nats.server"

-- What other files use of this one, and the metatables: a goroutine that is sent an object finds its metatable here.
local client = {}

-- ---- arguments ----

-- Returns a function that gives what is left of the limit: seconds shrink; nil and contexts stay as they are.
local function limiter(limit)
	if type(limit) ~= "number" then return function() return limit end end
	local over = vai.now() + limit
	return function() return math.max(0, over - vai.now()) end
end
client.limiter = limiter

-- Checks a subject here, as the server silently drops what goes to a subject with an empty part.
local function check_subject(fname, subject, wild)
	if type(subject) ~= "string" then
		error(("bad argument #1 to '%s' (string expected, got %s)"):format(fname, type(subject)), 3)
	end
	local bad = subject == "" or subject:find("[%s%c]") or ("." .. subject .. "."):find("..", 1, true)
		or not wild and ("." .. subject .. "."):find("%.[*>]%.")
	if bad then error(("bad argument #1 to '%s' (no subject: '%s')"):format(fname, subject), 3) end
end

local function check_options(fname, options, known, n)
	if options ~= nil and type(options) ~= "table" then
		error(("bad argument #%d to '%s' (table expected, got %s)"):format(n, fname, type(options)), 3)
	end
	for name in pairs(options or {}) do
		if known[name] == nil then
			error(("bad argument #%d to '%s' (unknown option '%s')"):format(n, fname, tostring(name)), 3)
		end
	end
	return options or {}
end
client.check_options = check_options

-- A value as bytes, in the form in which `send` sends it.
function client.pack_message(v)
	if v == nil then error("bad argument #1 to 'send' (nil cannot be sent)", 3) end
	local good, data = pcall(core.pack, v)
	if not good then error(("bad argument #1 to 'send' (%s)"):format(data), 3) end
	return data
end

-- ---- headers ----

local function format_headers(headers, fname)
	local lines = { "NATS/1.0\r\n" }
	for name, value in pairs(headers) do
		value = tostring(value)
		if type(name) ~= "string" or name == "" or name:find("[%c%s:]") or value:find("[\r\n]") then
			error(("%s: bad header '%s'"):format(fname, tostring(name)), 0)
		end
		lines[#lines + 1] = name .. ": " .. value .. "\r\n"
	end
	lines[#lines + 1] = "\r\n"
	return table.concat(lines)
end

client.format_headers = format_headers

-- Parses the headers of a message: a table, and the number and text of a status line.
local function parse_headers(head)
	local headers = {}
	if not head then return headers end
	local status, text = head:match("^NATS/1%.0 ?(%d*) ?([^\r\n]*)")
	for name, value in head:gmatch("\n([^:\r\n]+):[ \t]*([^\r\n]*)") do headers[name] = value end
	return headers, tonumber(status), text
end
client.parse_headers = parse_headers

-- ---- messages ----

local Message = {}
local message_meta = { __index = Message, __name = "vai.nats.message" }
client.message = message_meta

local function message_of(nc, m)
	local headers = parse_headers(m.head)
	return setmetatable({ subject = m.subject, reply = m.reply, data = m.data, headers = headers, _nc = nc }, message_meta)
end

-- Answers a request with bytes.
function Message:respond(data, options)
	if not self.reply then return nil, "the message asks for no answer" end
	return self._nc:publish(self.reply, data, options)
end

-- The Lua value for the payload, which is MessagePack; or nil, why.
function Message:value()
	local good, v = core.unpack(self.data)
	if good then return v end
	return nil, v
end

-- ---- connections ----

local Connection = {}
local connection_meta = { __index = Connection, __name = "vai.nats.connection" }
client.connection = connection_meta

-- Puts an item into the queue of what is to be written; waits while the queue is full.
local function put(nc, item, limit)
	local open, done, why = pcall(nc._out.send, nc._out, item, limit)
	if open and done then return true end
	if open then return nil, why end
	if tostring(done):find("send on closed channel", 1, true) then return nil, "closed" end
	error(done, 0)
end

local function frame(nc, subject, reply, head, data)
	local size = #data + (head and #head or 0)
	local most = nc._state:get("max_payload")
	if size > most then return nil, ("a message of %d bytes is more than the server's %d"):format(size, most) end
	reply = reply and reply .. " " or ""
	if head then
		if not nc._state:get("headers") then return nil, "the server takes no headers" end
		return ("HPUB %s %s%d %d\r\n%s%s\r\n"):format(subject, reply, #head, size, head, data)
	end
	return ("PUB %s %s%d\r\n%s\r\n"):format(subject, reply, size, data)
end

function Connection:_publish(subject, reply, head, data, limit)
	local text, why = frame(self, subject, reply, head, data)
	if not text then return nil, why end
	return put(self, text, limit)
end

local publish_options = { reply = true, headers = true, limit = true }

function Connection:publish(subject, data, options)
	check_subject("publish", subject)
	options = check_options("publish", options, publish_options, 3)
	if type(data) ~= "string" then
		error(("bad argument #2 to 'publish' (string expected, got %s)"):format(type(data)), 2)
	end
	if options.reply then check_subject("publish", options.reply) end
	local head = options.headers and format_headers(options.headers, "publish")
	return self:_publish(subject, options.reply, head, data, options.limit)
end

-- Waits until the server has got all that was published before.
function Connection:flush(limit)
	local left = limiter(limit)
	local pong = vai.chan(1)
	local done, why = put(self, pong, left())
	if not done then return nil, why end
	done, why = pong:recv(left())
	if done == nil then return nil, why end
	if not done then return nil, self._done:is_closed() and "closed" or "connection lost" end
	return true
end

local policies = { newest = true, oldest = true, close = true }

function Connection:_subscribe(kind, subject, options)
	local policy, capacity = options.policy or "newest", options.capacity or 1024
	if not policies[policy] then error(("unknown policy '%s'"):format(tostring(policy)), 3) end
	if math.type(capacity) ~= "integer" or capacity < 1 then
		error(("the capacity of a queue is 1 or more, not %s"):format(tostring(capacity)), 3)
	end
	if options.queue ~= nil then check_subject("subscribe", options.queue) end
	local sub = {
		sid = self._ids:add(1), kind = kind, subject = subject, queue = options.queue, policy = policy, capacity = capacity,
		pull = options.pull, ch = vai.chan(capacity),
		lost = { full = vai.atomic(), gap = vai.atomic(), bad = vai.atomic(), breaks = vai.atomic() },
	}
	self._subs:set(sub.sid, sub)
	local done, why = put(self, link.subscribe_line(sub))
	if not done then
		self._subs:set(sub.sid, nil)
		return nil, why
	end
	return sub
end

function Connection:_unsubscribe(sub)
	if not pcall(sub.ch.close, sub.ch) then return end
	self._subs:set(sub.sid, nil)
	if not self._done:is_closed() then put(self, ("UNSUB %d\r\n"):format(sub.sid)) end
end

local function lost_of(sub)
	local by = {}
	for why, count in pairs(sub.lost) do by[why] = count:get() end
	return by.full + by.gap + by.bad, by
end

-- ---- subscriptions: bytes ----

local Subscription = {}
local subscription_meta = { __index = Subscription, __name = "vai.nats.subscription" }
client.subscription = subscription_meta

local subscribe_options = { queue = true, capacity = true, policy = true }

function Connection:subscribe(subject, options)
	check_subject("subscribe", subject, true)
	local sub, why = self:_subscribe("messages", subject, check_options("subscribe", options, subscribe_options, 2))
	if not sub then return nil, why end
	return setmetatable({ subject = subject, _nc = self, _sub = sub }, subscription_meta)
end

function Subscription:recv(limit)
	local m, why = self._sub.ch:recv(limit)
	if m then return message_of(self._nc, m) end
	return nil, why
end

function Subscription:lost()
	return lost_of(self._sub)
end

function Subscription:close()
	self._nc:_unsubscribe(self._sub)
end
subscription_meta.__close = Subscription.close
function subscription_meta.__call(self) return (self:recv()) end

-- ---- channels: values ----

local Channel = {}
local channel_meta = { __index = Channel, __name = "vai.nats.channel" }
client.channel = channel_meta

function Connection:chan(subject, options)
	check_subject("chan", subject)
	options = check_options("chan", options, subscribe_options, 2)
	if options.policy and not policies[options.policy] then
		error(("bad argument #2 to 'chan' (unknown policy '%s')"):format(tostring(options.policy)), 2)
	end
	return setmetatable({
		subject = subject, _nc = self, _options = options, _lock = vai.mutex(), _sent = vai.atomic(),
		_id = self._id .. "c" .. self._ids:add(1), _state = vai.map(),
	}, channel_meta)
end

-- Numbers are given under the lock, in the order of the queue, so a send that gives up uses none.
function Channel:send(v, limit)
	local data = client.pack_message(v)
	if self._state:get("closed") then error("send on closed channel", 2) end
	local left = limiter(limit)
	local held <close>, why = self._lock:guard(left())
	if not held then return nil, why end
	local n = self._sent:get() + 1
	local head = self._nc._state:get("headers") and ("NATS/1.0\r\nVai-Seq: %s.%d\r\n\r\n"):format(self._id, n) or nil
	local done
	done, why = self._nc:_publish(self.subject, nil, head, data, left())
	if not done then return nil, why end
	self._sent:set(n)
	return true
end

-- Makes the subscription when the first goroutine receives, so a channel that is only sent to takes no messages.
local function subscription_of(ch)
	if ch._sub then return ch._sub end
	local _ <close> = ch._lock:guard()
	local sub = ch._state:get("sub")
	if not sub then
		if ch._state:get("closed") then return nil, "closed" end
		local why
		sub, why = ch._nc:_subscribe("values", ch.subject, ch._options)
		if not sub then return nil, why end
		ch._state:set("sub", sub)
	end
	ch._sub = sub
	return sub
end

function Channel:recv(limit)
	local sub, why = subscription_of(self)
	if not sub then return nil, why end
	return sub.ch:recv(limit)
end

function Channel:try_recv()
	local sub, why = subscription_of(self)
	if not sub then return nil, why end
	return sub.ch:try_recv()
end

-- After it returns, everything that is published anywhere arrives here.
function Channel:listen(limit)
	local sub, why = subscription_of(self)
	if not sub then return nil, why end
	return self._nc:flush(limit)
end

-- The channel of this process in which the values arrive, for select.
function Channel:chan()
	local sub = subscription_of(self)
	if sub then return sub.ch end
	local closed = vai.chan()
	closed:close()
	return closed
end

channel_meta.__vai_channel = Channel.chan -- vai.select takes it in place of the object

function Channel:close()
	local _ <close> = self._lock:guard()
	if self._state:get("closed") then error("close of closed channel", 2) end
	self._state:set("closed", true)
	local sub = self._state:get("sub")
	if sub then self._nc:_unsubscribe(sub) end
end

function Channel:is_closed()
	local sub = self._state:get("sub")
	return self._state:get("closed") or sub and sub.ch:is_closed() or self._nc._done:is_closed()
end

function Channel:cap() return self._options.capacity or 1024 end

function channel_meta.__len(self)
	local sub = self._state:get("sub")
	return sub and #sub.ch or 0
end

function channel_meta.__call(self) return (self:recv()) end

function Channel:lost()
	local sub = self._state:get("sub")
	if sub then return lost_of(sub) end
	return 0, { full = 0, gap = 0, bad = 0, breaks = 0 }
end

-- Why the channel closed by itself: nil, or what the server or its policy said.
function Channel:err()
	local sub = self._state:get("sub")
	return sub and self._nc._state:get("error " .. sub.sid) or nil
end

-- ---- requests ----

local function forget(nc, token)
	return setmetatable({}, { __close = function() nc._requests:set(token, nil) end })
end

-- Makes a request; returns the answer as it comes: headers, bytes.
function Connection:_request(subject, head, data, limit)
	local left = limiter(limit)
	local token, answer = tostring(self._ids:add(1)), vai.chan(1)
	self._requests:set(token, answer)
	local _ <close> = forget(self, token)
	local done, why = self:_publish(subject, self._inbox .. token, head, data, left())
	if not done then return nil, why end
	local m
	m, why = answer:recv(left())
	if not m then return nil, why end
	if m.broken then return nil, m.broken == "closed" and "closed" or "connection lost" end
	local headers, status, text = parse_headers(m.head)
	if status == 503 then return nil, "no responders" end
	local wrong = headers["Nats-Service-Error"]
	if wrong then return nil, wrong end
	return headers, m.data, status, text
end

function Connection:request(subject, v, limit)
	check_subject("request", subject)
	local good, data = pcall(core.pack, v)
	if not good then error(("bad argument #2 to 'request' (%s)"):format(data), 2) end
	local headers, answer = self:_request(subject, nil, data, limit)
	if not headers then return nil, answer end
	local whole, result = core.unpack(answer)
	if whole then return result end
	return nil, result
end

function Connection:request_bytes(subject, data, limit, headers)
	check_subject("request_bytes", subject)
	local head = headers and format_headers(headers, "request_bytes")
	local got, answer = self:_request(subject, head, data, limit)
	if not got then return nil, answer end
	return answer, got
end

-- ---- servers ----

local function answer_one(nc, f, m)
	local whole, v = core.unpack(m.data)
	local good, result = whole, v
	if whole then
		good, result = pcall(f, v, m.subject)
		if good then good, result = pcall(core.pack, result) end
	end
	if not m.reply then return end
	if good then return nc:_publish(m.reply, nil, nil, result) end
	local text = tostring(result):gsub("%s+", " ")
	nc:_publish(m.reply, nil, format_headers({ ["Nats-Service-Error"] = text, ["Nats-Service-Error-Code"] = 500 }), "")
end

function client.serve_loop(nc, ch, f)
	for m in ch do answer_one(nc, f, m) end
end

local Server = {}
local server_meta = { __index = Server, __name = "vai.nats.server" }
client.server = server_meta
local serve_options = { queue = true, capacity = true, policy = true, workers = true }

function Connection:serve(subject, f, options)
	check_subject("serve", subject, true)
	if type(f) ~= "function" then
		error(("bad argument #2 to 'serve' (function expected, got %s)"):format(type(f)), 2)
	end
	options = check_options("serve", options, serve_options, 3)
	local sub, why = self:_subscribe("messages", subject, options)
	if not sub then return nil, why end
	local workers = vai.waitgroup()
	for _ = 1, options.workers or 1 do workers:go(client.serve_loop, self, sub.ch, f) end
	local done
	done, why = self:flush()
	if not done then return nil, why end
	return setmetatable({ _nc = self, _sub = sub, _workers = workers }, server_meta)
end

-- Takes no more requests; those that have come are answered.
function Server:close(limit)
	self._nc:_unsubscribe(self._sub)
	return self._workers:wait(limit)
end
server_meta.__close = function(self) self:close() end

function Server:lost()
	return lost_of(self._sub)
end

-- ---- JetStream ----

function Connection:stream(name, options)
	return require "vai.nats.stream".open(self, name, options)
end

-- ---- the life of a connection ----

local function number(least, default) return { least = least, default = default } end
local connect_options = {
	name = false, user = false, password = false, token = false, nkey = false, credentials = false, tls = false,
	echo = false, events = false, servers = false,
	connect_timeout = number(0, 5), ping_interval = number(0, 30), reconnect_wait = number(0, 0.1),
	reconnect_max = number(0, 5), max_reconnects = number(0, math.maxinteger), pending = number(1, 1024),
}

local function options_of(options)
	local given = {}
	for name, value in pairs(check_options("connect", options, connect_options, 2)) do given[name] = value end
	for name, spec in pairs(connect_options) do
		if spec and given[name] == nil then given[name] = spec.default end
		if spec and not (type(given[name]) == "number" and given[name] >= spec.least) then
			error(("bad argument #2 to 'connect' (option '%s': %s)"):format(name, tostring(given[name])), 3)
		end
	end
	return given
end

local function servers_of(url)
	local list = {}
	for _, text in ipairs(type(url) == "table" and url or { url }) do
		for one in tostring(text):gmatch("[^,%s]+") do
			list[#list + 1] = server.parse(one) or error(("bad argument #1 to 'connect' (no address of a server: '%s')"):format(
				one), 3)
		end
	end
	if #list == 0 then error("bad argument #1 to 'connect' (no address of a server)", 3) end
	return list
end

local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

-- A name that no other connection has.
local function unique()
	local f <close> = assert(vai.fs.open("/dev/urandom"))
	return (f:read(16):gsub(".", function(c)
		local i = c:byte() % #letters + 1
		return letters:sub(i, i)
	end))
end
client.unique = unique

function client.connect(url, options)
	local servers, given, id = servers_of(url or "127.0.0.1:4222"), options_of(options), unique()
	local events = given.events
	given.events = nil
	local nc = {
		_servers = servers, _options = given, _events = events, _id = id, _inbox = "_INBOX." .. id .. ".",
		_out = vai.chan(given.pending), _control = vai.chan(1024), _pongs = vai.chan(1 << 20),
		_subs = vai.map(), _requests = vai.map(), _state = vai.map(), _ids = vai.atomic(),
		_confirmed = vai.atomic(), _unconfirmed = vai.atomic(), _unsent = vai.atomic(), _reconnects = vai.atomic(),
		_closing = vai.chan(), _done = vai.chan(),
	}
	local inbox = { sid = nc._ids:add(1), kind = "replies", subject = nc._inbox .. "*", ch = vai.chan(1),
		lost = { breaks = vai.atomic() } }
	nc._subs:set(inbox.sid, inbox)
	local ready = vai.chan(1)
	vai.go(link.run, nc, ready)
	local result = ready:recv()
	if result[1] then return setmetatable(nc, connection_meta) end
	return nil, result[2], result[3]
end

-- Closes the connection, after sending what was published, as far as the limit (2 seconds) allows. Channels close
-- once they are empty.
function Connection:close(limit)
	if self._closing:is_closed() then
		self._done:recv(limit)
		return true
	end
	local done, why = self:flush(limit or 2)
	pcall(self._closing.close, self._closing)
	local conn = self._state:get("connection")
	if conn then conn:close() end
	self._done:recv()
	if done or self._unsent:get() == 0 and why ~= "timeout" then return true end
	return nil, why
end
connection_meta.__close = function(self) self:close() end

-- As close, but first takes nothing new and waits until the program has received all that has come.
function Connection:drain(limit)
	local left = limiter(limit)
	local list = {}
	for _, sub in pairs(self._subs) do
		if sub.kind ~= "replies" then
			list[#list + 1] = sub
			put(self, ("UNSUB %d\r\n"):format(sub.sid), left())
		end
	end
	local done, why = self:flush(left())
	for _, sub in ipairs(list) do pcall(sub.ch.close, sub.ch) end
	for _, sub in ipairs(list) do
		while #sub.ch > 0 and done do
			done, why = vai.after(0.001):recv(left())
			done = done and true
		end
	end
	local closed, reason = self:close(left())
	if not done then return nil, why end
	if closed then return true end
	return nil, reason
end

function Connection:is_closed()
	return self._done:is_closed()
end

-- Why the connection ended.
function Connection:err()
	return self._done:is_closed() and self._state:get("error") or nil
end

function Connection:stats()
	return {
		reconnects = self._reconnects:get(), unconfirmed = self._unconfirmed:get(), unsent = self._unsent:get(),
		pending = #self._out, server = self._state:get("server"), max_payload = self._state:get("max_payload"),
	}
end

return client
