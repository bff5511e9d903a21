-- SPDX-License-Identifier: MIT
-- New connections of the client: to a server or its proxy, through a proxy's tunnel, with TLS.
local vai = require "vai"
local core = require "vai.http.core"

local INFORMATION_MOST = 16 -- heads of kind 1xx before an answer

-- The time that a call may still take. A limit of the caller's replaces the client's own times.
local Limit = {}
Limit.__index = Limit

local function new_limit(limit)
	if type(limit) == "number" then return setmetatable({ till = vai.now() + limit }, Limit) end
	return setmetatable({ context = limit }, Limit)
end

-- What is left, in the form that waits take; seconds: the client's time, for a caller that has set no limit.
function Limit:left(seconds)
	if self.till then return math.max(0, self.till - vai.now()) end
	return self.context or seconds
end

local plain = { timeout = true, canceled = true, closed = true, ["deadline exceeded"] = true }

-- An error, with the name of the host unless it is about waiting.
local function about(who, why, code)
	if plain[why] then return nil, why, code end
	return nil, who .. ": " .. tostring(why), code or "EHTTP"
end

-- Reads one head: returns what core.response gives, by names, and the bytes behind it; or nil, why, code, whether
-- bytes had come, and which.
local function read_head(conn, buf, limit, cfg)
	local from = 0
	while true do
		if buf ~= "" then
			local headers, at, status, reason, minor, length, keep = core.response(buf, 1, cfg.max_header, from)
			if headers then
				return { headers = headers, rest = buf:sub(at), status = status, reason = reason, minor = minor,
					length = length, keep = keep }
			end
			if headers == false then return nil, status, "EHTTP", true, buf end
			from = at
		end
		local more, why, code = conn:read(nil, limit:left(cfg.header_timeout))
		if not more then
			return nil, why or "the connection has ended before the answer", code, buf ~= "", buf
		end
		buf = buf .. more
	end
end

-- Whether no other head follows.
local function is_last(head)
	return head.status >= 200 or head.status == 101
end

-- Reads heads up to the first that is not 1xx, as read_head; or nil, why, code, and true if bytes had come.
local function read_answer(conn, limit, cfg, rest)
	for _ = 1, INFORMATION_MOST do
		local head, why, code, began = read_head(conn, rest, limit, cfg)
		if not head then return nil, why, code, began or rest ~= "" end
		if is_last(head) then return head end
		rest = head.rest
	end
	return nil, "too many heads of kind 1xx", "EHTTP", true
end

-- The value of Authorization for user, which is "name:password" or a name alone.
local function basic(user)
	return "Basic " .. core.base64(user:find(":", 1, true) and user or user .. ":")
end

-- Asks the proxy for a tunnel to the server.
local function tunnel(conn, u, proxy, limit, cfg)
	local target = u.address
	local headers = { Host = target, ["Proxy-Authorization"] = proxy.user and basic(proxy.user) }
	local ok, why, code = conn:with(limit:left(cfg.write_timeout)):write(core.ask("CONNECT", target, headers))
	if not ok then return about(proxy.address, why, code) end
	local head
	head, why, code = read_answer(conn, limit, cfg, "")
	if not head then return about(proxy.address, why, code) end
	if head.status < 200 or head.status > 299 then
		return nil, ("%s: the proxy says %d %s"):format(proxy.address, head.status, head.reason), "EHTTP"
	end
	if head.rest ~= "" then return nil, proxy.address .. ": bytes in front of the tunnel", "EHTTP" end
	return true
end

local function secure(conn, u, limit, cfg)
	local tls = require "vai.tls"
	local over, why, code = tls.client(conn, { context = cfg.tls_context, server_name = u.host })
	if not over then return nil, why, code end
	local ok
	ok, why, code = over:handshake(limit:left(cfg.connect_timeout))
	if not ok then return about(u.authority, why, code) end
	return over
end

-- Connects to u's server, for requests of u. u and proxy are parsed addresses; proxy may be false. Returns a
-- connection; or nil, why, code.
local function dial(u, proxy, limit, cfg)
	local conn, why, code = vai.net.dial("tcp", (proxy or u).address, limit:left(cfg.connect_timeout))
	if not conn then return nil, why, code end
	local undo = { conn = conn }
	local _ <close> = vai.defer(function() if undo.conn then undo.conn:close() end end)
	local is_secure = u.scheme == "https" or u.scheme == "wss"
	if proxy and (is_secure or u.scheme == "ws") then
		local ok
		ok, why, code = tunnel(conn, u, proxy, limit, cfg)
		if not ok then return nil, why, code end
	end
	if is_secure then
		conn, why, code = secure(conn, u, limit, cfg)
		if not conn then return nil, why, code end
	end
	undo.conn = nil
	return conn
end

return {
	dial = dial, new_limit = new_limit, read_head = read_head, read_answer = read_answer, is_last = is_last,
	about = about, basic = basic, INFORMATION_MOST = INFORMATION_MOST,
}
