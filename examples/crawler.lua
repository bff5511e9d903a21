-- SPDX-License-Identifier: MIT
-- A crawler: `lua5.4 crawler.lua http://HOST:PORT/` visits each page of a site once, a few at a time, with a pause
-- between two requests and a limit for each, and tells of links that lead nowhere. Without an address it makes a site
-- and crawls that.
local vai = require "vai"

local AT_ONCE, PAUSE, LIMIT, PAGES = 4, 0.002, 5, 1000

-- A GET by hand: status, body; or nil, why.
local function get(host, path)
	local c <close>, why = vai.net.dial("tcp", host, LIMIT)
	if not c then
		return nil, why
	end
	c:set_deadline(vai.now() + LIMIT)
	c:write("GET ", path, " HTTP/1.0\r\nHost: ", host, "\r\n\r\n")
	local head = c:read("l")
	local status = head and tonumber(head:match("^HTTP/%d%.%d (%d+)"))
	if not status then
		return nil, "no answer"
	end
	repeat
		local line = c:read("l")
	until not line or line:find("^\r?$")
	return status, c:read("a")
end

-- Takes paths, gives tables with status and links. A ticket before each request: all workers together are polite.
local function worker(host, paths, pages, tickets)
	for path in paths do
		tickets:recv()
		local status, body = get(host, path)
		local links = {}
		if status == 200 then
			for link in body:gmatch('href="(/[^"#]*)') do
				links[#links + 1] = link
			end
		end
		pages:send({ path = path, status = status or 0, why = not status and body or nil, links = links })
	end
end

local function crawl(host, first)
	local paths, pages, tickets = vai.chan(PAGES), vai.chan(), vai.ticker(PAUSE)
	for _ = 1, AT_ONCE do
		vai.go(worker, host, paths, pages, tickets:chan())
	end
	local seen, under_way, found, broken = { [first] = true }, 1, 0, {}
	paths:send(first)
	while under_way > 0 do
		local page = pages:recv()
		under_way, found = under_way - 1, found + 1
		if page.status ~= 200 then
			broken[#broken + 1] = page.path .. " " .. (page.why or page.status)
		end
		for _, link in ipairs(page.links) do
			if not seen[link] and found + under_way < PAGES then -- `paths` has room for all of them
				seen[link] = true
				under_way = under_way + 1
				paths:send(link)
			end
		end
	end
	paths:close()
	tickets:stop()
	table.sort(broken)
	return found, broken
end

-- Pages 1 to n: each links to two others; some links are wrong.
local function site(n)
	local listener = assert(vai.net.listen("tcp", "127.0.0.1:0"))
	vai.net.serve(listener, function(c)
		local path = (c:read("l", LIMIT) or ""):match("^GET (%S+)") or ""
		repeat
			local line = c:read("l", LIMIT)
		until not line or line:find("^\r?$")
		local k = path == "/" and 1 or tonumber(path:match("^/page(%d+)$")) or n + 1
		if k > n then
			c:write("HTTP/1.0 404 Not Found\r\n\r\n")
		else
			c:write("HTTP/1.0 200 OK\r\n\r\n", ('<a href="/page%d">a</a> <a href="/page%d#x">b</a> <a href="/page%d">c</a>')
				:format(2 * k, 2 * k + 1, k // 2 + 1))
		end
		c:close()
	end)
	return listener:addr()
end

local host, path
if arg[1] then
	host, path = arg[1]:match("^http://([^/]+)(/?.*)$")
	host = host and (host:find(":%d+$") and host or host .. ":80") or error("usage: crawler.lua http://HOST:PORT/", 0)
	path = path == "" and "/" or path
else
	host, path = site(50), "/"
end
local found, broken = crawl(host, path)
print(found .. " pages, " .. #broken .. " broken")
for i = 1, math.min(#broken, 5) do
	print(broken[i])
end
