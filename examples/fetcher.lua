-- SPDX-License-Identifier: MIT
-- Fetches many pages: `lua5.4 fetcher.lua URL ...`, a few at once for each host, over connections that are kept, with
-- a limit for each page and one for all. Without addresses it fetches pages of a server of its own.
local vai = require "vai"
local http = require "vai.http"

local AT_ONCE, PER_HOST, PAGE_LIMIT, ALL_LIMIT = 16, 4, 10, 60

local function fetch(client, ctx, url)
	local page_ctx, cancel = ctx:with_timeout(PAGE_LIMIT)
	local _ <close> = vai.defer(cancel)
	local res <close>, why = client:get(url, page_ctx)
	if not res then
		return { url = url, why = why }
	end
	local size = 0
	while true do
		local data, told = res:read()
		if not data then
			return { url = url, status = res.status, size = size, why = told }
		end
		size = size + #data
	end
end

-- The results in the order of the addresses.
local function fetch_all(client, urls)
	local ctx, cancel = vai.context():with_timeout(ALL_LIMIT)
	local _ <close> = vai.defer(cancel)
	local group <close> = vai.group(ctx)
	group:limit(AT_ONCE)
	return group:map(urls, function(url) return fetch(client, ctx, url) end)
end

local client = http.client { max_per_host = PER_HOST, user_agent = "fetcher" }
local urls = { table.unpack(arg) }
local server, most
if #urls == 0 then
	local busy
	busy, most = vai.atomic(), vai.atomic()
	server = http.serve { listen = "127.0.0.1:0", handler = function(req, res)
		local n = busy:add(1)
		if n > most:get() then
			most:set(n)
		end
		local page = tonumber(req.path:match("%d+"))
		vai.sleep(0.001)
		busy:add(-1)
		if page == 7 then
			res.status, res.headers.Location = 302, "/8"
			return res:send("")
		elseif page == 13 then
			res.status = 404
		end
		res:send(("x"):rep(page * 1000))
	end }
	for i = 1, 40 do
		urls[i] = "http://" .. server:addr() .. "/" .. i
	end
	urls[#urls + 1] = "http://127.0.0.1:1/"
end

local sum, good = 0, 0
for _, page in ipairs(assert(fetch_all(client, urls))) do
	if page.status == 200 and not page.why then
		sum, good = sum + page.size, good + 1
	else
		print((page.url:gsub("^http://127.0.0.1:%d%d+", "")), page.status or page.why)
	end
end
print(good .. " pages, " .. sum .. " bytes")
if server then
	print("never more than " .. PER_HOST .. " at once: " .. tostring(most:get() <= PER_HOST))
	print("connections kept: " .. tostring(client:idle() > 0 and server:count() <= PER_HOST))
	client:close()
	print(server:shutdown(5))
end
