-- SPDX-License-Identifier: MIT
-- An HTTP proxy: `lua5.4 connect_proxy.lua ADDRESS [PORT ...]` makes tunnels (CONNECT) to the named ports (443), and
-- passes plain requests on. Without arguments it stands between a client and servers of its own.
local vai = require "vai"
local http = require "vai.http"

local DIAL_LIMIT, IDLE = 10, 300

-- Copies until the end, which it passes on; or until nothing has come for long.
local function copy(from, to)
	local writer, n = to:with(IDLE), 0
	while true do
		local data, why = from:read(nil, IDLE)
		if not data then
			if why then
				to:close()
			end
			break
		end
		if not writer:write(data) then
			from:close()
			break
		end
		n = n + #data
	end
	to:close_write()
	return n
end

local function plain(res, status, text)
	res.status, res.headers["Content-Type"] = status, "text/plain"
	return res:send(text .. "\n")
end

local function tunnel(req, res, ports, report)
	local port = tonumber(req.target:match(":(%d+)$"))
	if not ports[port] then
		return plain(res, 403, "no tunnels to this port")
	end
	local server <close>, why = vai.net.dial("tcp", req.target, DIAL_LIMIT)
	if not server then
		return plain(res, 502, why)
	end
	local client <close> = res:hijack()
	client:write("HTTP/1.1 200 Connection established\r\n\r\n")
	local up = vai.async(copy, client, server)
	local down = copy(server, client)
	local _, sent = up:join()
	report:send(("tunnel: %s up, %s down"):format(sent > 0 and "bytes" or "nothing", down > 0 and "bytes" or "nothing"))
end

-- What speaks of one connection only is not passed on.
local private = { connection = true, ["keep-alive"] = true, ["proxy-connection"] = true, te = true, trailer = true,
	["proxy-authorization"] = true, ["transfer-encoding"] = true, upgrade = true, ["content-length"] = true }

local function public(headers)
	local out = {}
	for word in (headers.connection or ""):lower():gmatch("[^%s,]+") do
		headers[word] = nil
	end
	for name, value in pairs(headers) do
		if not private[name] then
			out[name] = value
		end
	end
	return out
end

local function pass_on(client, req, res)
	if not req.target:find("^http://") then
		return plain(res, 400, "this is a proxy")
	end
	local has_body = req.headers["content-length"] or req.headers["transfer-encoding"]
	local answer <close>, why = client:request { url = req.target, method = req.method, headers = public(req.headers),
		body = has_body and function() return req:read() end or nil, follow = false, proxy = false }
	if not answer then
		return plain(res, 502, why)
	end
	res.status, res.headers = answer.status, public(answer.headers)
	res:write("")
	for data in function() return answer:read() end do
		res:write(data)
	end
end

local function start(address, ports, report)
	local client = http.client { gzip = false }
	return assert(http.serve { listen = address, handler = function(req, res)
		if req.method == "CONNECT" then
			return tunnel(req, res, ports, report)
		end
		return pass_on(client, req, res)
	end })
end

local report = vai.chan(16)
if arg[1] then
	local ports = {}
	for i = 2, math.max(#arg, 2) do
		ports[tonumber(arg[i] or 443)] = true
	end
	local server = start(arg[1], ports, report)
	print("proxy on " .. server:addr())
	for line in report do
		print(line)
	end
end

-- A web server, and one that is no web server at all.
local site = http.serve { listen = "127.0.0.1:0", handler = function(req, res)
	res.headers["X-Seen"] = req:header("Proxy-Connection") or "nothing"
	res:send(req.method .. " " .. req.path .. " " .. req:body())
end }
local echo = vai.net.listen("tcp", "127.0.0.1:0")
vai.go(function()
	for c in echo do
		vai.go(function()
			c:write("you said ", c:read("a"))
			c:close()
		end)
	end
end)

local proxy = start("127.0.0.1:0", { [tonumber(echo:addr():match("%d+$"))] = true }, report)
local address = "http://" .. proxy:addr()
local answer = assert(http.request { url = "http://" .. site:addr() .. "/page", method = "POST", body = "question",
	headers = { ["Proxy-Connection"] = "keep-alive" }, proxy = address, limit = 5 })
print(answer.status, answer:header("X-Seen"), answer:body())

local c = assert(vai.net.dial("tcp", proxy:addr(), 5))
c:write("CONNECT ", echo:addr(), " HTTP/1.1\r\nHost: ", echo:addr(), "\r\n\r\n")
print((c:read("l", 5):gsub("\r", "")))
c:read("l", 5)
c:write("hello")
c:close_write()
print(c:read("a", 5))
print(report:recv(5))
print(http.get("http://" .. proxy:addr() .. "/", 5).status)
c = assert(vai.net.dial("tcp", proxy:addr(), 5))
c:write("CONNECT 127.0.0.1:25 HTTP/1.1\r\nHost: 127.0.0.1:25\r\n\r\n")
print((c:read("l", 5):gsub("\r", "")))
