-- SPDX-License-Identifier: MIT
-- The client of vai.http: requests over kept connections, through proxies, along redirects. A client is data that can
-- be sent; all goroutines that have it share its connections.
local vai = require "vai"
local core = require "vai.http.core"
local answer = require "vai.http.answer"
local dialing = require "vai.http.dial"
local pool = require "vai.http.pool"
local proxies = require "vai.http.proxy"
local senders = require "vai.http.sender"
local uri = require "vai.http.uri"

local LAST_WORD_TIME = 1
local SLICE = 131072 -- a text that is longer is sent like a body in pieces, for the answer may come meanwhile
local idempotent = { GET = true, HEAD = true, OPTIONS = true, TRACE = true, PUT = true, DELETE = true }

local Client = {}
Client.__index = Client
Client.__name = "vai.http.client"

-- ---- a request as it is sent ----

-- Copies the headers and adds those that are missing. lower: the names that are there, in lower case.
local function headers_of(given, u, user_agent)
	local headers, lower = {}, {}
	for name, value in pairs(given or {}) do
		headers[name] = value
		if type(name) == "string" then
			name = name:lower()
			if name == "host" and (lower.host or type(value) == "table") then error("header 'Host' twice", 0) end
			lower[name] = value
		end
	end
	if not lower.host then headers.Host = u.authority end
	if not lower["user-agent"] then headers["User-Agent"] = user_agent end
	if u.user and not lower.authorization then headers.Authorization = dialing.basic(u.user) end
	return headers, lower
end

-- How the body is sent: its length, -1 for chunks, nil for none; and a function that gives its pieces.
local function body_of(req, lower)
	local body = req.body
	if body == nil then
		return (req.method == "POST" or req.method == "PUT" or req.method == "PATCH") and 0 or nil
	elseif type(body) == "string" then
		return #body, nil
	end
	local length = lower["content-length"]
	if length ~= nil then
		length = math.tointeger(tonumber(length))
		if not length or length < 0 then error("bad header 'Content-Length'", 0) end
	end
	if type(body) == "function" then return length or -1, body end
	if io.type(body) then return length or -1, function() return body:read(SLICE) end end -- else it reads a line
	return length or -1, function(limit) return body:read(nil, limit) end
end

local function slices_of(text)
	local at = 1
	return function()
		local s = text:sub(at, at + SLICE - 1)
		at = at + SLICE
		return s ~= "" and s or nil
	end
end

-- Makes what goes over the connection for one attempt.
local function prepare(self, req, u, proxy)
	local headers, lower = headers_of(req.headers, u, self._cfg.user_agent)
	local packed = core.inflater and self._cfg.gzip and not lower["accept-encoding"] and not lower.range
		and req.method ~= "HEAD"
	if packed then headers["Accept-Encoding"] = "gzip" end
	local target = u.target
	if proxy and u.scheme == "http" then
		target = "http://" .. u.authority .. target
		if proxy.user then headers["Proxy-Authorization"] = dialing.basic(proxy.user) end
	end
	local length, pieces = body_of(req, lower)
	local text = type(req.body) == "string" and req.body or nil
	local long = text and #text > SLICE and text or nil
	local connection = lower.connection and tostring(lower.connection)
	if connection and not connection:find("^[%w%-, ]+$") then error("bad header 'Connection'", 0) end
	return {
		length = length, pieces = pieces, text = not long and text or nil, long = long,
		head = core.ask(req.method, target, headers, length, connection), packed = packed,
		closes = connection and connection:lower():find("close", 1, true) ~= nil,
		expects = lower.expect and length and length ~= 0,
		again = (idempotent[req.method] or lower["idempotency-key"]) and not pieces,
	}
end

-- ---- one exchange ----

-- Waits a moment for an answer that says whether the body is wanted. Returns an answer; or false and what was read,
-- which may be a part of a head.
local function ask_first(conn, limit, cfg)
	local most, rest = cfg.continue_timeout, ""
	local wait = dialing.new_limit(math.min(most, limit.till and limit:left() or most))
	for _ = 1, dialing.INFORMATION_MOST do
		local head, _, _, _, read = dialing.read_head(conn, rest, wait, cfg)
		if not head then return false, read end
		rest = head.rest
		if head.status == 100 then return false, rest end
		if dialing.is_last(head) then return head end
	end
	return false, rest
end

-- Sends the body in pieces until the answer begins. True and the bytes of the answer; or nil, why, code.
local function send_pieces(held, message, limit, cfg, rest)
	local pieces = message.pieces or slices_of(message.long)
	local sender = senders.new(held.conn, pieces, message.length, limit, cfg.write_timeout)
	held.sender = sender
	if rest ~= "" then return true, rest end
	local what, v, code = sender:run(function() return limit:left(cfg.write_timeout) end)
	if not what then return nil, v, code end
	return true, what == "data" and v or ""
end

-- Sends the request and reads the answer's head. An answer; or nil, why, code, and true if bytes of an answer had
-- come.
local function exchange(held, message, limit, cfg)
	local conn = held.conn
	local writer = conn:with(limit:left(cfg.write_timeout))
	local ok, why, code = writer:write(message.head, not message.expects and message.text or "")
	local rest = ""
	if ok and message.expects then
		local head
		head, rest = ask_first(conn, limit, cfg)
		if head then
			head.keep = false -- the body that was announced does not come
			return head
		end
		if message.text then ok, why, code = writer:write(message.text) end
	end
	if ok and (message.pieces or message.long) then
		ok, why, code = send_pieces(held, message, limit, cfg, rest)
		if ok then rest = why end
	end
	if ok then return dialing.read_answer(held.sender or conn, limit, cfg, rest) end
	-- A server that reads no more may have said why.
	local head = code and dialing.read_answer(conn, dialing.new_limit(LAST_WORD_TIME), cfg, rest)
	if head then
		head.keep = false
		return head
	end
	return nil, why, code, false
end

-- ---- connections ----

local function place_name(u, proxy)
	if proxy and u.scheme == "http" then return "proxy " .. proxy.address .. " " .. (proxy.user or "") end
	return u.scheme .. " " .. u.address .. (proxy and " by " .. proxy.address .. " " .. (proxy.user or "") or "")
end

-- Gives back what is still held, at the end of the block.
local function drop(held)
	if held.conn then held.conn:close() end
	if held.sender then held.sender:stop() end
	pool.leave(held.permit)
end

-- Makes a request once its place is held: first over a kept connection; if that was stale, over a new one.
local function over_place(self, held, message, u, proxy, limit)
	local cfg = self._cfg
	held.conn = pool.take(cfg, held.place)
	local kept = held.conn ~= nil
	while true do
		local why, code, began, head
		if not held.conn then
			held.conn, why, code = dialing.dial(u, proxy, limit, cfg)
			if not held.conn then return nil, why, code end
		end
		head, why, code, began = exchange(held, message, limit, cfg)
		if head then
			if message.closes then head.keep = false end
			return head
		end
		local stale = kept and not began and (code == "ECONNRESET" or code == "EPIPE" or code == nil and why:find("ended"))
		if not (stale and message.again) then return dialing.about(u.authority, why, code) end
		held.conn:close()
		if held.sender then held.sender:stop() end
		held.conn, held.sender, kept = nil, nil, false
	end
end

-- Makes one request and follows no redirects.
local function once(self, req, u, limit)
	local proxy, why = proxies.find(u, req.proxy == nil and self._cfg.proxy or req.proxy)
	if proxy == nil then return nil, why, "EINVAL" end
	local message, held = prepare(self, req, u, proxy), {}
	held.place, held.permit = pool.enter(self._shared, self._cfg, place_name(u, proxy), limit:left(nil))
	if not held.place then return nil, held.permit end
	local _ <close> = vai.defer(drop, held)
	local head, told, code = over_place(self, held, message, u, proxy, limit)
	if not head then return nil, told, code end
	local use = { conn = held.conn, place = held.place, permit = held.permit, shared = self._shared, cfg = self._cfg,
		sender = held.sender }
	held.conn, held.permit, held.sender = nil, nil, nil
	return answer.new(use, req.method, head, limit, message.packed)
end

-- ---- redirects ----

local secrets = { authorization = true, cookie = true, ["proxy-authorization"] = true, host = true }

-- The request that a redirect asks for; nil: it must not be followed.
local function redirected(req, res, from, to)
	local status, method, body = res.status, req.method, req.body
	if status == 301 or status == 302 or status == 303 then
		if method ~= "GET" and method ~= "HEAD" then method, body = "GET", nil end
	elseif body ~= nil and type(body) ~= "string" then
		return nil
	end
	local same = from.scheme == to.scheme and from.address == to.address
	if same then to.user = to.user or from.user end
	local headers = {}
	for name, value in pairs(req.headers or {}) do
		local lower = type(name) == "string" and name:lower() or ""
		local of_body = lower:find("^content%-") and body == nil
		if not of_body and (same or not secrets[lower]) then headers[name] = value end
	end
	return { method = method, body = body, headers = headers, proxy = req.proxy }
end

local follows = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

local function parse_url(url)
	local u, why = uri.parse(url)
	if not u then return nil, why, "EINVAL" end
	if u.scheme ~= "http" and u.scheme ~= "https" then
		return nil, ("unknown scheme '%s'"):format(u.scheme), "EINVAL"
	end
	return u
end

local function run(self, req, url, limit, most)
	local u, why, code = parse_url(url)
	if not u then return nil, why, code end
	for _ = 0, most do
		local res
		res, why, code = once(self, req, u, limit)
		if not res then return nil, why, code end
		res.url = url
		local location = follows[res.status] and most > 0 and res.headers.location
		if not location then return res end
		url = uri.resolve(url, location)
		local to, next_req
		to, why, code = parse_url(url)
		if to then
			next_req = redirected(req, res, u, to)
			if not next_req then return res end
		end
		res:close()
		if not to then return nil, ("%s: bad redirect: %s"):format(u.authority, why), code end
		req, u = next_req, to
	end
	return nil, ("%s: more than %d redirects"):format(url, most), "EHTTP"
end

-- ---- for users ----

local known = { url = "string", method = "string", headers = "table", limit = true, follow = true, proxy = true,
	body = true, query = "table" }

local function can_read(body)
	local ok, read = pcall(function() return body.read end)
	return ok and read ~= nil
end

local function check(options)
	if type(options) ~= "table" then
		error(("bad argument #1 to 'request' (table expected, got %s)"):format(type(options)), 3)
	end
	for name, value in pairs(options) do
		local want = known[name]
		if not want then error(("bad argument #1 to 'request' (unknown option '%s')"):format(tostring(name)), 3) end
		if want ~= true and type(value) ~= want then
			error(("bad argument #1 to 'request' (option '%s': %s expected, got %s)"):format(name, want, type(value)), 3)
		end
	end
	if options.method == "CONNECT" then error("bad argument #1 to 'request' (method 'CONNECT': see option 'proxy')", 3) end
	if not options.url then error("bad argument #1 to 'request' (option 'url' is missing)", 3) end
	local body = options.body
	local readable = type(body) == "string" or type(body) == "function" or body == nil
	if not readable and not can_read(body) then
		error(("bad argument #1 to 'request' (option 'body': a %s)"):format(type(body)), 3)
	end
end

function Client:request(options)
	check(options)
	local follow = options.follow
	local most = follow == nil and self._cfg.max_redirects or follow == false and 0 or follow == true
		and self._cfg.max_redirects or math.tointeger(follow)
	if not most or most < 0 then error("bad argument #1 to 'request' (option 'follow')", 2) end
	local url = options.url
	if options.query then
		local page, place = url:match("^([^#]*)(.*)$")
		url = page .. (page:find("?", 1, true) and "&" or "?") .. uri.format_query(options.query) .. place
	end
	local req = { method = options.method or "GET", body = options.body, headers = options.headers, proxy = options.proxy }
	return run(self, req, url, dialing.new_limit(options.limit), most)
end

function Client:get(url, limit)
	return Client.request(self, { url = url, limit = limit })
end

function Client:head(url, limit)
	return Client.request(self, { url = url, method = "HEAD", limit = limit })
end

function Client:post(url, body, kind, limit)
	return Client.request(self, { url = url, method = "POST", body = body, limit = limit,
		headers = { ["Content-Type"] = kind or "application/octet-stream" } })
end

-- Closes the connections that are kept. Requests under way go on, and new ones are possible.
function Client:close()
	pool.clear(self._shared)
end

-- The number of connections that are kept.
function Client:idle()
	return pool.count(self._shared)
end

local defaults = {
	max_idle = pool.MAX_IDLE, max_idle_per_host = 8, max_redirects = 10, max_header = 65536, max_body = 67108864,
	idle_timeout = 60, connect_timeout = 30, header_timeout = 60, read_timeout = 60, write_timeout = 60,
	continue_timeout = 1,
}
local others = { max_per_host = "number", proxy = true, tls = "table", gzip = "boolean", user_agent = "string" }

local function config_of(options)
	local cfg = { gzip = true, user_agent = "vai" }
	for name, value in pairs(defaults) do cfg[name] = value end
	for name, value in pairs(options) do
		local want = defaults[name] and "number" or others[name]
		if not want then error(("bad argument #1 to 'client' (unknown option '%s')"):format(tostring(name)), 3) end
		if want ~= true and type(value) ~= want or want == "number" and (value < 0 or value ~= value) then
			error(("bad argument #1 to 'client' (option '%s': %s)"):format(name, tostring(value)), 3)
		end
		cfg[name] = value
	end
	return cfg
end

-- Makes a client with a pool of its own; nil, why, code if a certificate cannot be read.
local function client(options)
	local cfg = config_of(options or {})
	if cfg.tls then
		local settings = {}
		for k, v in pairs(cfg.tls) do settings[k] = v end
		settings.alpn = settings.alpn or { "http/1.1" }
		local context, why, code = require "vai.tls".client_context(settings)
		if not context then return nil, why, code end
		cfg.tls, cfg.tls_context = nil, context
	end
	return setmetatable({ _cfg = cfg, _shared = pool.new(cfg.max_idle) }, Client)
end

-- The client of all goroutines that have made none of their own.
local default = setmetatable({ _cfg = config_of {}, _shared = require "vai.http.shared" }, Client)

return {
	Client = Client, client = client, default = default,
	request = function(options) return default:request(options) end,
	get = function(url, limit) return default:get(url, limit) end,
	head = function(url, limit) return default:head(url, limit) end,
	post = function(url, body, kind, limit) return default:post(url, body, kind, limit) end,
}
