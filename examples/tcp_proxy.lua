-- SPDX-License-Identifier: MIT
-- A TCP proxy: two goroutines a connection, one for each direction, and an end of one side is passed on to the other.
-- `lua5.4 tcp_proxy.lua LISTEN TARGET` serves; without arguments it stands between a client and a server of its own.
local vai = require "vai"

-- Copies until the end, and passes that on.
local function copy(from, to)
	local n = 0
	while true do
		local data = from:read()
		if not data then
			break
		end
		if not to:write(data) then
			from:close()
			break
		end
		n = n + #data
	end
	to:close_write()
	return n
end

-- What it has passed on goes to a channel.
local function proxy(listener, target, report)
	for client in listener do
		vai.go(function()
			local server <close> = vai.net.dial("tcp", target, 5)
			local _ <close> = client
			if not server then
				return
			end
			local up = vai.async(copy, client, server)
			local down = copy(server, client)
			local _, sent = up:join()
			report:send(("passed on: %d bytes up, %d down"):format(sent, down))
		end)
	end
end

local listener, report = assert(vai.net.listen("tcp", arg[1] or "127.0.0.1:0")), vai.chan()
if arg[1] then
	print("passing " .. listener:addr() .. " on to " .. arg[2])
	vai.go(proxy, listener, arg[2], report)
	for line in report do
		print(line)
	end
end

-- A server that answers a whole request with its letters reversed.
local inner = assert(vai.net.listen("tcp", "127.0.0.1:0"))
vai.go(function()
	for c in inner do
		vai.go(function()
			local request = c:read("a")
			c:write(request:reverse())
			c:close()
		end)
	end
end)
vai.go(proxy, listener, inner:addr(), report)

local c = assert(vai.net.dial("tcp", listener:addr(), 5))
c:write(("lua "):rep(25000))
c:close_write()
local answer = c:read("a", 20)
print(#answer .. " bytes back, beginning with '" .. answer:sub(1, 8) .. "'")
print(report:recv())
