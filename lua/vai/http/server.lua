-- SPDX-License-Identifier: MIT
-- The server of vai.http: see http.lua. A connection that waits for a request belongs to net.serve and has no
-- goroutine and no Lua state. When bytes have come loop.lua runs in a goroutine: it answers the requests, gives the
-- connection back, and takes the next one that has bytes.
local vai = require "vai"
local loop = require "vai.http.loop"

-- Out of the module's table the function crosses as code; in it, every goroutine would load the whole module.
local serve_conns = loop.serve
loop.serve = nil

-- ---- the server ----

local Server = {}
local server_meta = { __index = Server, __name = "vai.http.server" }

function Server:addr()
	return self._listener:addr()
end

function Server:count()
	return self._server:count()
end

local function over(self)
	pcall(self._done.close, self._done)
end

-- Accepts no more connections and lets the requests under way end. true; or nil, "timeout": those that are left go
-- on, until close.
function Server:shutdown(limit)
	self._closing:set(1)
	local ok, why = self._server:shutdown(limit)
	if not ok then return nil, why end
	over(self)
	return true
end

function Server:close()
	self._closing:set(1)
	self._server:close()
	over(self)
end
server_meta.__close = Server.close

-- Waits until the server has been closed.
function Server:wait(limit)
	local _, why = self._done:recv(limit)
	if why ~= "closed" then return nil, why end
	return true
end

local defaults = {
	max_header = 65536, max_body = 67108864, header_timeout = 10, read_timeout = 60, idle_timeout = 75, write_timeout = 60,
}
local others = { listen = true, handler = true, tls = true, log = true, on_error = true, reuseport = true,
	backlog = true, keepalive = true }

local function config_of(options)
	local cfg = {}
	if type(options) ~= "table" then
		error(("bad argument #1 to 'serve' (table expected, got %s)"):format(type(options)), 3)
	end
	for name in pairs(options) do
		if not defaults[name] and not others[name] then
			error(("bad argument #1 to 'serve' (unknown option '%s')"):format(tostring(name)), 3)
		end
	end
	for name, value in pairs(defaults) do
		local given = options[name]
		if given ~= nil and not (type(given) == "number" and given > 0) then
			error(("bad argument #1 to 'serve' (option '%s': %s)"):format(name, tostring(given)), 3)
		end
		cfg[name] = given or value
	end
	if type(options.handler) ~= "function" then
		error(("bad argument #1 to 'serve' (option 'handler': function expected, got %s)"):format(type(options.handler)), 3)
	end
	local listen, tls = options.listen, options.tls
	if listen ~= nil and type(listen) ~= "string" and type(listen) ~= "userdata" then
		error(("bad argument #1 to 'serve' (option 'listen': address or listener expected, got %s)"):format(type(listen)), 3)
	end
	if tls and type(tls) ~= "table" then
		error(("bad argument #1 to 'serve' (option 'tls': table expected, got %s)"):format(type(tls)), 3)
	end
	cfg.log, cfg.on_error = options.log, options.on_error
	return cfg
end

-- Returns what pcall returns.
local function listener_of(options)
	local listen = options.listen or "127.0.0.1:8080"
	if type(listen) ~= "string" then return true, listen end -- an open one
	local network = listen:find("^[/@.]") and "unix" or "tcp"
	local opts = { reuseport = options.reuseport, backlog = options.backlog, keepalive = options.keepalive }
	if options.tls then
		local tls = { alpn = { "http/1.1" } }
		for k, v in pairs(opts) do tls[k] = v end
		for k, v in pairs(options.tls) do tls[k] = v end
		return pcall(require "vai.tls".listen, network, listen, tls)
	end
	return pcall(vai.net.listen, network, listen, opts)
end

-- Lets goroutines find the C module without a look at the disk, also when the process has no descriptor left.
local function preload(name)
	if package.preload[name] or not package.searchpath or not package.loadlib then return end
	local path = package.searchpath(name, package.cpath)
	package.preload[name] = path and package.loadlib(path, "luaopen_" .. name:gsub("%.", "_")) or nil
end

-- Returns the results that pcall has given, or raises its error, at the place that has called `serve`; then closes
-- the listener `opened`.
local function or_raise(opened, ok, ...)
	if ok then return ... end
	if opened then opened:close() end
	local err = ...
	if type(err) == "string" then err = err:gsub("^serve: argument 2: upvalue 'handler'", "serve: option 'handler'") end
	error(err, 3)
end

local function serve(options)
	preload "vai.http.core"
	local cfg = config_of(options)
	local handler = options.handler
	local listener, why, code = or_raise(nil, listener_of(options))
	if not listener then return nil, why, code end
	cfg.closing = vai.atomic(0)
	local called = { handler }
	for _, name in ipairs { "log", "on_error" } do called[#called + 1] = cfg[name] end
	local server = or_raise(listener ~= options.listen and listener, pcall(vai.net.serve, listener,
		function(conn) return serve_conns(conn, cfg, handler) end,
		{ idle = cfg.idle_timeout, head = math.ceil(cfg.max_header), head_limit = cfg.header_timeout, called = called }))
	return setmetatable({ _listener = listener, _server = server, _closing = cfg.closing, _done = vai.chan() },
		server_meta)
end

return { serve = serve }
