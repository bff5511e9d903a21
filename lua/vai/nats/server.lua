-- SPDX-License-Identifier: MIT
-- Servers of NATS: what a program says about them (URLs, options), and connecting to one: dial, INFO, TLS, CONNECT.
local vai = require "vai"
local core = require "vai.nats.core"
local json = require "vai.nats.json"

local server = {}

local schemes = { nats = "4222", tls = "4222" }

local function unescape(text)
	return text and (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- Parses "nats://user:password@host:port", "tls://token@host", "host:port" or "host" to a table; nil: it is none.
function server.parse(url)
	local scheme, rest = url:match("^(%a+)://(.*)$")
	scheme, rest = scheme or "nats", rest or url
	local login, place = rest:match("^(.*)@([^@]*)$")
	place = (place or rest):gsub("/$", "")
	local host, port = place:match("^(%[[%x:.]+%]):?(%d*)$")
	if not host then host, port = place:match("^([^%s:/%[%]]+):?(%d*)$") end
	if not schemes[scheme] or not host then return nil end
	local user, password = (login or ""):match("^([^:]*):(.*)$")
	return {
		address = host .. ":" .. (port ~= "" and port or schemes[scheme]), host = host:gsub("[%[%]]", ""),
		tls = scheme == "tls", user = unescape(user), password = unescape(password),
		token = login and not user and unescape(login) or nil,
	}
end

-- Reads the JWT and the seed from a file of credentials.
local function credentials(path)
	local text, why = vai.fs.read_file(path)
	if not text then return nil, why end
	local jwt = text:match("BEGIN NATS USER JWT%-+%s+(%S+)")
	local seed = text:match("BEGIN USER NKEY SEED%-+%s+(%S+)")
	if not jwt or not seed then return nil, path .. ": no credentials of a NATS user" end
	return jwt, seed
end

local function signature(connect, seed, nonce)
	if not core.sign then return nil, "keys need vai.nats built where libssl-dev is" end
	local bytes, public = core.sign(seed, nonce or "")
	if not bytes then return nil, "the seed of the key is not valid" end
	connect.sig, connect.nkey = server.base64url(bytes), public
	return true
end

local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

function server.base64url(bytes)
	local out = {}
	for i = 1, #bytes, 3 do
		local a, b, c = bytes:byte(i, i + 2)
		local bits, n = a << 16 | (b or 0) << 8 | (c or 0), c and 4 or b and 3 or 2
		for k = 1, n do
			local v = bits >> 24 - 6 * k & 63
			out[#out + 1] = digits:sub(v + 1, v + 1)
		end
	end
	return table.concat(out)
end

local function prove(connect, at, options, nonce)
	connect.user, connect.pass = at.user or options.user, at.password or options.password
	connect.auth_token = at.token or options.token
	if options.credentials then
		local jwt, seed = credentials(options.credentials)
		if not jwt then return nil, seed end
		local ok, why = signature(connect, seed, nonce)
		connect.jwt, connect.nkey = jwt, nil
		return ok, why
	elseif options.nkey then
		return signature(connect, options.nkey, nonce)
	end
	return true
end

local function secured(conn, at, info, options, left)
	if not (at.tls or options.tls or info.tls_required) then return conn end
	local ok, tls = pcall(require, "vai.tls")
	if not ok then return nil, "the server asks for TLS: " .. tostring(tls), "ETLS" end
	local given = { server_name = at.host }
	for k, v in pairs(type(options.tls) == "table" and options.tls or {}) do given[k] = v end
	local secure, why, code = tls.client(conn, given)
	if not secure then return nil, why, code end
	ok, why, code = secure:handshake(left())
	if not ok then return nil, why, code end
	return secure
end

local function refusal(line)
	local text = line:match("^%-ERR%s+'?(.-)'?$")
	return text and ("the server refuses: " .. text), "ENATS"
end

-- Waits until the server has answered CONNECT's PING.
local function welcome(conn, left)
	while true do
		local line, why, code = conn:read("l", left())
		if not line then return nil, why or "the server closed the connection", code end
		line = line:gsub("\r$", "")
		if line:find("^PONG") then return true end
		if line:find("^PING") then
			conn:write("PONG\r\n")
		elseif line:find("^%-ERR") then
			return nil, refusal(line)
		end
	end
end

local function greet(conn, at, options, left)
	local line, why, code = conn:read("l", left())
	if not line then return nil, why or "the server closed the connection", code end
	if line:find("^%-ERR") then return nil, refusal((line:gsub("\r$", ""))) end
	local info = json.decode(line:match("^INFO (.*)$") or "")
	if type(info) ~= "table" then return nil, "no NATS server: it says " .. ("%q"):format(line:sub(1, 60)), "EPROTO" end
	local secure
	secure, why, code = secured(conn, at, info, options, left)
	if not secure then return nil, why, code end
	local connect = {
		verbose = false, pedantic = false, echo = options.echo ~= false, protocol = 1, headers = true, no_responders = true,
		lang = "lua", version = "vai", name = options.name, tls_required = secure ~= conn,
	}
	local ok
	ok, why = prove(connect, at, options, info.nonce)
	if not ok then return nil, why, "ENATS" end
	secure:write("CONNECT ", json.encode(connect), "\r\nPING\r\n")
	ok, why, code = welcome(secure, left)
	if not ok then return nil, why, code end
	return secure, info
end

-- Opens a connection that the server accepts. Returns it and its INFO; or nil, message, code. limit: seconds, for all
-- of it.
function server.open(at, options, limit)
	local over = vai.now() + limit
	local function left() return math.max(0, over - vai.now()) end
	local conn, why, code = vai.net.dial("tcp", at.address, limit)
	if not conn then return nil, why, code end
	conn:max(1048576)
	local secure, info
	secure, info, code = greet(conn, at, options, left)
	if secure then return secure, info end
	conn:close()
	return nil, at.address .. ": " .. tostring(info), code
end

local function is_number(host)
	return host:find(":", 1, true) or host:find("^[%d.]+$")
end

-- The servers that the program has named, and those that servers have told of. The latter are mostly numeric
-- addresses, whose certificates are for the name that the program gave.
local function servers_of(nc)
	local list, known = {}, {}
	local function add(at)
		if at and not known[at.address] then
			known[at.address] = true
			list[#list + 1] = at
		end
	end
	for _, at in ipairs(nc._servers) do add(at) end
	for _, address in ipairs(nc._state:get("more") or {}) do
		local at = server.parse(address)
		if at then
			local first = nc._servers[1]
			at.tls, at.user, at.password, at.token = first.tls, first.user, first.password, first.token
			if is_number(at.host) and not is_number(first.host) then at.host = first.host end
		end
		add(at)
	end
	return list
end

-- Tries each server once, beginning after `turn`, unless the program closes its connection meanwhile. Returns a
-- connection, INFO, nil and the next turn; or nil, message, code.
function server.open_first(nc, turn)
	local list, why, code = servers_of(nc), nil, nil
	for i = 1, #list do
		local at = list[(turn + i - 1) % #list + 1]
		local conn, info, c = server.open(at, nc._options, nc._options.connect_timeout)
		if conn then return conn, info, nil, turn + i end
		why, code = info, c
		if nc._closing:is_closed() then break end
	end
	return nil, why, code
end

return server
