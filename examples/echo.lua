-- SPDX-License-Identifier: MIT
-- An echo server: it sends back each line that it gets. `lua5.4 echo.lua ADDRESS` serves until it is interrupted;
-- without an address it talks to itself a little, and shows how a server ends in order.
local vai = require "vai"

local address = arg[1]
local listener = assert(vai.net.listen("tcp", address or "127.0.0.1:0"))

-- One goroutine a request: between two lines a connection holds none.
local server = vai.net.serve(listener, function(c)
	local line, why = c:read("L", 10)
	if line and c:write(line) then
		c:idle()
	elseif why then
		c:write("sorry: ", why, "\n")
	end
end)

if address then
	print("serving at " .. listener:addr())
	vai.sleep(math.huge)
end

local wg, sum = vai.waitgroup(), vai.chan(10)
for i = 1, 10 do
	wg:go(function(where)
		local c <close> = assert(vai.net.dial("tcp", where, 5))
		local n = 0
		for k = 1, 100 do
			c:write(i * k, "\n")
			n = n + math.tointeger(c:read("l"))
		end
		sum:send(n)
	end, listener:addr())
end
wg:wait()
local total = 0
for _ = 1, 10 do
	total = total + sum:recv()
end
print("ten clients, a hundred lines each, sum " .. total)
print("ended in order", server:shutdown(5))
print("connections left", server:count())
