-- SPDX-License-Identifier: MIT
-- vai.socket: LuaSocket 3's interface on vai's connections. Called with the module and a function that waits for
-- several of them. A call that has to wait parks the goroutine; the rest is as LuaSocket's manual says, but for what
-- doc/API.md names.
local vai, ready = ...
local net = vai.net
local socket = { _VERSION = "LuaSocket 3.1.0 (vai)", BLOCKSIZE = 2048, _SETSIZE = math.maxinteger,
	_DATAGRAMSIZE = 65536 }

-- ---- errors ----

local texts = {
	ETIMEDOUT = "timeout", EPIPE = "closed", ECONNRESET = "closed", ECONNREFUSED = "connection refused",
	EADDRINUSE = "address already in use", EACCES = "permission denied", EISCONN = "already connected",
	EAI_NONAME = "host or service not provided, or not known",
	EAI_NODATA = "host or service not provided, or not known",
	EAI_AGAIN = "temporary failure in name resolution",
}
local ends = { timeout = "timeout", canceled = "timeout", ["deadline exceeded"] = "timeout" }

local function text_of(why, code)
	return ends[why] or texts[code] or why
end

-- ---- what all objects share ----

local base = {}

local function complain(name, arg, expected, got)
	error(("bad argument #%d to '%s' (%s expected, got %s)"):format(arg, name, expected, type(got)), 3)
end

local function number(name, arg, v)
	return tonumber(v) or complain(name, arg, "number", v)
end

-- Seconds for one wait; nil: for ever.
local function limit_of(self)
	local block, total = self.block, self.total
	return block and total and math.min(block, total) or block or total
end

function base:settimeout(value, mode)
	local seconds = value and number("settimeout", 1, value)
	seconds = seconds and seconds >= 0 and seconds or nil
	if mode == nil or mode == "b" then
		self.block = seconds
	elseif mode == "t" or mode == "r" then
		self.total = seconds
	else
		error("bad argument #2 to 'settimeout' (invalid timeout mode)", 2)
	end
	return 1
end

function base:gettimeout()
	return self.block or -1, self.total or -1
end

function base:close()
	local handle = self.handle
	self.kind, self.handle = "closed", nil
	if handle then
		handle:close()
	end
	return 1
end

function base.getfd()
	return -1
end

function base.setfd() end

function base.dirty()
	return false
end

function base:getstats()
	return self.received, self.sent, vai.now() - self.born
end

function base:setstats(received, sent, age)
	self.received, self.sent = received or self.received, sent or self.sent
	self.born = age and vai.now() - age or self.born
	return 1
end

-- "1.2.3.4:80", "[::1]:80" or a path.
local function split(address)
	local host, port = address:match("^%[(.*)%]:(%d+)$")
	if host then
		return host, tonumber(port), "inet6"
	end
	host, port = address:match("^([%d.]+):(%d+)$")
	if host then
		return host, tonumber(port), "inet"
	end
	return address, nil, "unix"
end

local function join(host, port)
	host = host == "*" and "" or tostring(host)
	return (host:find(":", 1, true) and "[%s]:%s" or "%s:%s"):format(host, tostring(port))
end

local function name_of(self, method)
	if not self.handle then
		return nil, self.kind == "closed" and "closed" or "not connected"
	end
	local address, why, code = self.handle[method](self.handle)
	if not address then
		return nil, text_of(why, code)
	end
	return split(address)
end

function base:getsockname()
	return name_of(self, self.kind == "server" and "addr" or "local_addr")
end

function base:getpeername()
	return name_of(self, "remote_addr")
end

local options = { ["tcp-nodelay"] = "nodelay", keepalive = "keepalive", ["recv-buffer-size"] = "rcvbuf",
	["send-buffer-size"] = "sndbuf" }
local fine = { reuseaddr = true, reuseport = true, broadcast = true, ["ipv6-v6only"] = true, dontroute = true }

function base:setoption(name, value)
	local handle = self.handle
	if name == "linger" then
		value = type(value) == "table" and value.on and (value.timeout or 0)
	elseif fine[name] then
		return 1
	elseif not options[name] then
		error(("bad argument #1 to 'setoption' (unsupported option `%s')"):format(tostring(name)), 2)
	end
	if not handle or not handle.set then
		return 1 -- set on what it becomes: the usual ones are on by default
	end
	local ok, why, code = handle:set(options[name] or name, value)
	if not ok then
		return nil, text_of(why, code)
	end
	return 1
end

function base:getoption(name)
	local handle = self.handle
	if not options[name] and name ~= "linger" then
		error(("bad argument #1 to 'getoption' (unsupported option `%s')"):format(tostring(name)), 2)
	elseif not handle or not handle.get then
		return nil, "not connected"
	end
	local value, why, code = handle:get(options[name] or name)
	if value == nil then
		return nil, text_of(why, code)
	elseif name == "linger" then
		return { on = value ~= false, timeout = value or 0 }
	end
	return value
end

local function class(methods)
	for name, f in pairs(base) do
		methods[name] = methods[name] or f
	end
	local meta = { __index = methods, __name = "vai.socket" }
	function meta.__tostring(self)
		return ("%s{%s}: %s"):format(self.network, self.kind, tostring(self.handle or self.family or "none"))
	end
	meta.__close = methods.close
	return meta
end

local function new(meta, network, kind, handle)
	local s = { network = network, kind = kind, handle = handle, born = vai.now(), received = 0, sent = 0 }
	return setmetatable(s, meta)
end

-- ---- streams ----

local stream = {}
local stream_class

local function client(network, handle)
	handle:max(math.maxinteger)
	return new(stream_class, network, "client", handle)
end

-- Several attempts share an object, so it keeps its table.
function stream:connect(host, port)
	if self.kind == "closed" then
		return nil, "closed"
	elseif self.kind ~= "master" then
		return nil, "already connected"
	end
	local address = self.network:find("^unix") and tostring(host) or join(host, port)
	local handle, why, code = net.dial(self.network, address, limit_of(self))
	if not handle then
		return nil, text_of(why, code)
	end
	handle:max(math.maxinteger)
	self.kind, self.handle = "client", handle
	return 1
end

function stream:bind(host, port)
	local address = self.network:find("^unix") and tostring(host) or join(host, port)
	local handle, why, code = net.listen(self.network, address)
	if not handle then
		return nil, text_of(why, code)
	end
	self.kind, self.handle = "server", handle
	return 1
end

function stream:listen()
	if self.kind ~= "server" then
		return nil, "not bound"
	end
	return 1
end

function stream:accept()
	if self.kind ~= "server" then
		return nil, self.kind == "closed" and "closed" or "not listening"
	end
	local handle, why, code = self.handle:accept(limit_of(self))
	if not handle then
		return nil, text_of(why, code)
	end
	return client(self.network, handle)
end

-- What has come of a read that did not end is the caller's, as in LuaSocket.
local function partial(self, prefix, why, code)
	return nil, text_of(why, code), prefix .. (self.handle and self.handle:read(nil, 0) or "")
end

-- vai gives what there is at the end, LuaSocket says that it was cut short.
local function receive_line(self, handle, prefix)
	local line, why, code = handle:read("L", limit_of(self))
	if not line then
		return partial(self, prefix, why or "closed", code)
	end
	self.received = self.received + #line
	if line:sub(-1) ~= "\n" then
		return nil, "closed", prefix .. line:gsub("\r", "")
	end
	return prefix .. (line:sub(1, -2):gsub("\r", ""))
end

local function receive_all(self, handle, prefix)
	local all, why, code = handle:read("a", limit_of(self))
	if not all then
		return partial(self, prefix, why, code)
	elseif all == "" then
		return nil, "closed", prefix
	end
	self.received = self.received + #all
	return prefix .. all
end

local function receive_bytes(self, handle, prefix, n)
	n = n - #prefix
	if n <= 0 then
		return prefix
	end
	local data, why, code = handle:read(n, limit_of(self))
	if not data then
		return partial(self, prefix, why or "closed", code)
	end
	self.received = self.received + #data
	if #data < n then
		return nil, "closed", prefix .. data
	end
	return prefix .. data
end

function stream:receive(pattern, prefix)
	local handle = self.handle
	prefix = prefix and tostring(prefix) or ""
	if self.kind ~= "client" then
		return nil, self.kind == "closed" and "closed" or "not connected", prefix
	end
	local n = tonumber(pattern)
	if n then
		return receive_bytes(self, handle, prefix, math.tointeger(n) or complain("receive", 1, "integer", pattern))
	end
	local what = pattern == nil and "l" or tostring(pattern):gsub("^%*", "")
	if what == "l" then
		return receive_line(self, handle, prefix)
	elseif what == "a" then
		return receive_all(self, handle, prefix)
	end
	error("bad argument #1 to 'receive' (invalid receive pattern)", 2)
end

function stream:send(data, i, j)
	if type(data) ~= "string" and type(data) ~= "number" then
		complain("send", 1, "string", data)
	end
	data, i, j = tostring(data), math.tointeger(i or 1), math.tointeger(j or -1)
	local handle = self.handle
	if self.kind ~= "client" then
		return nil, self.kind == "closed" and "closed" or "not connected", 0
	end
	i = i < 0 and math.max(#data + i + 1, 1) or i == 0 and 1 or i
	local piece = data:sub(i, j)
	local limit = limit_of(self)
	local writer = limit and handle:with(limit) or handle
	local ok, why, code, written = writer:write(piece)
	self.sent = self.sent + (ok and #piece or written)
	if not ok then
		return nil, text_of(why, code), i + written - 1
	end
	return i + #piece - 1
end

function stream:shutdown(how)
	if self.kind ~= "client" then
		return nil, "closed"
	end
	how = how or "both"
	if how ~= "send" and how ~= "receive" and how ~= "both" then
		error(("bad argument #1 to 'shutdown' (invalid option '%s')"):format(tostring(how)), 2)
	end
	if how ~= "receive" then
		self.handle:close_write()
	end
	if how ~= "send" then
		self.handle:close_read()
	end
	return 1
end

stream_class = class(stream)

local function maker(network)
	return function()
		return new(stream_class, network, "master")
	end
end
socket.tcp, socket.tcp4, socket.tcp6 = maker("tcp"), maker("tcp4"), maker("tcp6")

function socket.connect(host, port)
	local s = socket.tcp()
	local ok, why = s:connect(host, port)
	if not ok then
		return nil, why
	end
	return s
end
socket.connect4, socket.connect6 = socket.connect, socket.connect

function socket.bind(host, port)
	local s = socket.tcp()
	local ok, why = s:bind(host, port)
	if not ok then
		return nil, why
	end
	return s
end

-- ---- datagrams ----

local datagram = {}

local function open(self, address)
	if not self.handle then
		local handle, why, code = net.packet(self.network == "udp" and "udp4" or self.network, address)
		if not handle then
			return nil, text_of(why, code)
		end
		self.handle = handle
	end
	return self.handle
end

function datagram:setsockname(host, port)
	local ok, why = open(self, join(host, port))
	if not ok then
		return nil, why
	end
	return 1
end

function datagram:setpeername(host, port)
	if self.kind == "connected" then
		self.handle:close()
		self.kind, self.handle = "unconnected", nil
	end
	if host == "*" then
		return 1
	end
	local handle, why, code = net.dial(self.network, join(host, port), limit_of(self))
	if not handle then
		return nil, text_of(why, code)
	end
	self.kind, self.handle = "connected", handle
	return 1
end

function datagram:send(data)
	if self.kind ~= "connected" then
		return nil, "refused"
	end
	local ok, why, code = self.handle:write(data)
	if not ok then
		return nil, text_of(why, code)
	end
	return 1
end

function datagram:sendto(data, host, port)
	local handle, why = open(self, ":0")
	if not handle then
		return nil, why
	end
	local ok, message, code = handle:send_to(data, join(host, port), limit_of(self))
	if not ok then
		return nil, text_of(message, code)
	end
	return 1
end

function datagram:receive(size)
	if self.kind == "connected" then
		local data, why, code = self.handle:read(nil, limit_of(self))
		if not data then
			return nil, text_of(why or "closed", code)
		end
		return size and data:sub(1, size) or data
	end
	local data, why = self:receivefrom(size)
	return data, not data and why or nil
end

function datagram:receivefrom(size)
	local handle, why = open(self, ":0")
	if not handle then
		return nil, why
	end
	local data, from, code = handle:recv_from(limit_of(self))
	if not data then
		return nil, text_of(from, code)
	end
	local host, port = split(from)
	return size and data:sub(1, size) or data, host, port
end

local datagram_class = class(datagram)

local function datagram_maker(network)
	return function()
		return new(datagram_class, network, "unconnected")
	end
end
socket.udp, socket.udp4, socket.udp6 = datagram_maker("udp"), datagram_maker("udp4"), datagram_maker("udp6")

-- ---- names ----

socket.dns = {}

function socket.dns.gethostname()
	return ((vai.fs.read_file("/proc/sys/kernel/hostname") or "localhost"):gsub("%s+$", ""))
end

function socket.dns.toip(host)
	local list, why, code = net.lookup(host)
	if not list then
		return nil, text_of(why, code)
	end
	local four = {}
	for _, address in ipairs(list) do
		if not address:find(":", 1, true) then
			four[#four + 1] = address
		end
	end
	return four[1] or list[1], { name = host, alias = {}, ip = #four > 0 and four or list }
end

function socket.dns.tohostname(address)
	local list, why, code = net.lookup_addr(address)
	if not list then
		return nil, text_of(why, code)
	end
	return list[1], { name = list[1], alias = {}, ip = { address } }
end

function socket.dns.getaddrinfo(host)
	local list, why, code = net.lookup(host)
	if not list then
		return nil, text_of(why, code)
	end
	local result = {}
	for i, address in ipairs(list) do
		result[i] = { family = address:find(":", 1, true) and "inet6" or "inet", addr = address }
	end
	return result
end

-- ---- select, time ----

-- The sockets of a list that have handles, and these.
local function handles(list)
	local sockets, found = {}, {}
	for _, s in ipairs(list or {}) do
		if s.handle then
			sockets[#sockets + 1] = s
			found[#found + 1] = s.handle
		end
	end
	return sockets, found
end

function socket.select(readers, writers, timeout)
	local r, rh = handles(readers)
	local w, wh = handles(writers)
	local seconds = timeout and number("select", 3, timeout)
	local can_read, can_write = {}, {}
	if seconds and seconds < 0 then
		seconds = nil
	end
	if #rh + #wh == 0 then
		vai.sleep(seconds or math.huge)
		return can_read, can_write, "timeout"
	end
	local list, why = ready(rh, wh, seconds)
	for i = 1, list and #list or 0 do
		if list[i] then
			local s = r[i] or w[i - #r]
			local into = i <= #r and can_read or can_write
			into[#into + 1] = s
			into[s] = #into
		end
	end
	return can_read, can_write, not list and text_of(why) or nil
end

socket.sleep = vai.sleep

function socket.gettime()
	return os.time() + vai.now() % 1 -- the fraction grows evenly; the second is the system's
end

-- ---- helpers, as LuaSocket has them in Lua ----

local exception = {}

function socket.skip(n, ...)
	return select(n + 1, ...)
end

function socket.newtry(finalizer)
	return function(...)
		if not (...) then
			if finalizer then
				pcall(finalizer)
			end
			error(setmetatable({ (select(2, ...)) }, exception), 0)
		end
		return ...
	end
end
socket.try = socket.newtry()

local function unprotect(ok, ...)
	if ok then
		return ...
	elseif getmetatable(...) == exception then
		return nil, (...)[1]
	end
	error((...), 0)
end

function socket.protect(f)
	return function(...)
		return unprotect(pcall(f, ...))
	end
end

function socket.choose(table)
	return function(name, first, second)
		if type(name) ~= "string" then
			name, first, second = "default", name, first
		end
		local f = table[name or "nil"]
		if not f then
			error(("unknown key (%s)"):format(tostring(name)), 3)
		end
		return f(first, second)
	end
end

local sources, sinks = {}, {}
socket.sourcet, socket.sinkt = sources, sinks

sinks["close-when-done"] = function(s)
	return setmetatable({}, { __call = function(_, chunk)
		if not chunk then
			s:close()
			return 1
		end
		return s:send(chunk)
	end })
end
sinks["keep-open"] = function(s)
	return setmetatable({}, { __call = function(_, chunk)
		return not chunk and 1 or s:send(chunk)
	end })
end
sinks.default = sinks["keep-open"]
socket.sink = socket.choose(sinks)

sources["by-length"] = function(s, length)
	return setmetatable({}, { __call = function()
		if length <= 0 then
			return nil
		end
		local chunk, why = s:receive(math.min(socket.BLOCKSIZE, length))
		if not chunk then
			return nil, why
		end
		length = length - #chunk
		return chunk
	end })
end
sources["until-closed"] = function(s)
	local done = false
	return setmetatable({}, { __call = function()
		if done then
			return nil
		end
		local chunk, why, rest = s:receive(socket.BLOCKSIZE)
		if chunk then
			return chunk
		elseif why == "closed" then
			s:close()
			done = true
			return rest
		end
		return nil, why
	end })
end
sources.default = sources["until-closed"]
socket.source = socket.choose(sources)

-- ---- require "socket" ----

local unix = setmetatable({ stream = maker("unix"), tcp = maker("unix") }, { __call = maker("unix") })
socket.unix = unix

-- What is required later finds these, in goroutines, too, to which the script's preloads go.
function socket._compat()
	local found = require("vai").socket
	for _, name in ipairs({ "socket", "socket.core" }) do
		package.loaded[name] = found
		package.preload[name] = function()
			return require("vai").socket
		end
	end
	package.loaded["socket.unix"] = unix
	package.preload["socket.unix"] = function()
		return require("vai").socket.unix
	end
end

return socket
