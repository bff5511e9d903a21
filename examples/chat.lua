-- SPDX-License-Identifier: MIT
-- A chat: what one says, all others hear. A goroutine reads each client, another writes to it what comes through its
-- channel; one goroutine knows who is there. `lua5.4 chat.lua ADDRESS` serves (try `nc`); without an address three
-- clients play it through.
local vai = require "vai"

local listener = assert(vai.net.listen("tcp", arg[1] or "127.0.0.1:0"))
local events = vai.chan()

-- A client that is too slow to read misses messages: its channel is full, and nobody waits for it.
local function room()
	local members = {}
	local function tell_all(text, except)
		for name, inbox in pairs(members) do
			if name ~= except then
				inbox:try_send(text)
			end
		end
	end
	for e in events do
		if e.kind == "join" then
			tell_all("* " .. e.name .. " is here\n")
			members[e.name] = e.inbox
			e.inbox:send("* welcome, " .. e.name .. "\n")
		elseif e.kind == "say" then
			tell_all(e.name .. ": " .. e.text .. "\n", e.name)
		elseif e.kind == "leave" and members[e.name] then
			members[e.name]:close()
			members[e.name] = nil
			tell_all("* " .. e.name .. " has left\n")
		end
	end
end

local function client(c)
	local name = c:read("l", 60)
	if not name then
		return c:close()
	end
	local inbox = vai.chan(100)
	vai.go(function()
		for text in inbox do
			if not c:with(10):write(text) then
				break
			end
		end
		c:close()
	end)
	events:send { kind = "join", name = name, inbox = inbox }
	for line in function() return (c:read("l")) end do
		events:send { kind = "say", name = name, text = line }
	end
	events:send { kind = "leave", name = name }
end

vai.go(room)
vai.go(function()
	for c in listener do
		vai.go(client, c)
	end
end)

if arg[1] then
	print("the chat is at " .. listener:addr())
	vai.sleep(math.huge)
end

-- The play: each waits for what it has to hear, so the order is always the same.
local function join(name)
	local c = assert(vai.net.dial("tcp", listener:addr(), 5))
	c:write(name, "\n")
	print(name .. " hears", (c:read("l", 10)))
	return c
end
local ann = join("Ann")
local bob = join("Bob")
print("Ann hears", (ann:read("l", 10)))
local cleo = join("Cleo")
print("Ann hears", (ann:read("l", 10)))
print("Bob hears", (bob:read("l", 10)))
ann:write("hello, you two\n")
print("Bob hears", (bob:read("l", 10)))
print("Cleo hears", (cleo:read("l", 10)))
bob:close()
print("Ann hears", (ann:read("l", 10)))
print("Cleo hears", (cleo:read("l", 10)))
