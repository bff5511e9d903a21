-- SPDX-License-Identifier: MIT
-- vai.tls: TLS 1.2 and 1.3 over vai's connections. A TLS connection is a connection, with the same methods.
local ok, core = pcall(require, "vai.tls.core")
if not ok then
	error("vai.tls needs vai/tls/core.so, which is built where OpenSSL is: install libssl-dev and run make; or " ..
		"luarocks install vai-tls\n" .. core, 2)
end
local vai = require "vai"

local known = {
	ca = true, cert = true, key = true, certs = true, server_name = true, verify = true, alpn = true, min_version = true,
	client_ca = true, backlog = true, reuseport = true, mode = true, keepalive = true, context = true,
}

local function check(fname, options)
	if options ~= nil and type(options) ~= "table" then
		error(("bad argument to '%s' (options: table expected, got %s)"):format(fname, type(options)), 3)
	end
	for name in pairs(options or {}) do
		if not known[name] then
			error(("bad argument to '%s' (unknown option '%s')"):format(fname, tostring(name)), 3)
		end
	end
	return options or {}
end

local function context_of(options, server)
	if options.context then return options.context end
	return core.context {
		server = server, ca = options.ca, cert = options.cert, key = options.key, certs = options.certs,
		verify = options.verify, alpn = options.alpn, min_version = options.min_version, client_ca = options.client_ca,
	}
end

local tls = {}

-- All clients without options share one context, and so the sessions in it.
local function client_context(options)
	if next(options) == nil or next(options) == "server_name" and next(options, "server_name") == nil then
		local plain = require "vai.tls.plain"
		return plain.context, plain.why, plain.code
	end
	return context_of(options, false)
end

function tls.client_context(options)
	return context_of(check("client_context", options), false)
end

function tls.server_context(options)
	return context_of(check("server_context", options), true)
end

function tls.client(conn, options)
	options = check("client", options)
	if options.verify ~= false and not options.server_name then
		error("bad argument to 'client' (option 'server_name' is missing: whose certificate is to be verified?)", 2)
	end
	local context, why, code = client_context(options)
	if not context then return nil, why, code end
	return core.over(conn, context, options.server_name)
end

function tls.server(conn, options)
	options = check("server", options)
	local context, why, code = context_of(options, true)
	if not context then return nil, why, code end
	return core.over(conn, context)
end

local function host_of(address)
	return address:match("^%[([%x:.]+)%]") or address:match("^([^:]*):") or "localhost"
end

-- Connects and does the handshake.
function tls.dial(network, address, options, limit)
	options = check("dial", options)
	local context, why, code = client_context(options)
	if not context then return nil, why, code end
	local until_ = type(limit) == "number" and vai.now() + limit
	local conn
	conn, why, code = vai.net.dial(network, address, limit)
	if not conn then return nil, why, code end
	local name = options.server_name or network:find("^tcp") and host_of(address) or nil
	if name == "" then name = "localhost" end
	local secure
	secure, why, code = core.over(conn, context, name)
	if secure then
		local done
		done, why, code = secure:handshake(until_ and math.max(0, until_ - vai.now()) or limit)
		if done then return secure end
	end
	conn:close()
	return nil, why, code
end

function tls.listen(network, address, options)
	options = check("listen", options)
	local context, why, code = context_of(options, true)
	if not context then return nil, why, code end
	local listener
	listener, why, code = vai.net.listen(network, address, {
		backlog = options.backlog, reuseport = options.reuseport, mode = options.mode,
		keepalive = options.keepalive,
	})
	if not listener then return nil, why, code end
	core.wrap(listener, context)
	return listener
end

function tls.reload(context, options)
	if type(context) ~= "userdata" then
		error(("bad argument #1 to 'reload' (TLS context expected, got %s)"):format(type(context)), 2)
	end
	options = check("reload", options)
	return context:_reload {
		server = true, cert = options.cert, key = options.key, certs = options.certs, client_ca = options.client_ca,
		alpn = options.alpn, min_version = options.min_version,
	}
end

return tls
