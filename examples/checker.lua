-- SPDX-License-Identifier: MIT
-- Are the services there? `lua5.4 checker.lua NAME=ADDRESS...` asks all of them at once, each with a deadline of its
-- own and all with one for the whole, and prints what each said. Without services it starts good and bad ones itself.
local vai = require "vai"

local EACH, ALL = 2, 10

-- "ok" and how it greets; or what is wrong.
local function check(address, ctx)
	local mine, cancel = ctx:with_timeout(EACH)
	local c, why = vai.net.dial("tcp", address, mine)
	if not c then
		cancel()
		return (why:gsub("^%S+: ", "")) -- without the address
	end
	local greeting, failed = c:read("l", mine)
	c:close()
	cancel()
	if greeting then
		return "ok: " .. greeting
	end
	return failed or "closed without a word"
end

local function check_all(services)
	local ctx, cancel = vai.context():with_timeout(ALL)
	local tasks, names = {}, {}
	for name, address in pairs(services) do
		names[#names + 1] = name
		tasks[name] = vai.async(check, address, ctx)
	end
	table.sort(names)
	for _, name in ipairs(names) do
		local _, result = tasks[name]:join()
		print(("%-8s %s"):format(name, result))
	end
	cancel()
end

local services = {}
for _, a in ipairs(arg) do
	local name, address = a:match("^([^=]+)=(.+)$")
	services[name or error("usage: checker.lua NAME=ADDRESS...", 0)] = address
end
if not next(services) then
	local function service(name, behave)
		local l = assert(vai.net.listen("tcp", "127.0.0.1:0"))
		services[name] = l:addr()
		vai.go(function()
			for c in l do
				vai.go(behave, c)
			end
		end)
	end
	service("good", function(c) c:write("welcome\n") c:close() end)
	service("slow", function(c) vai.sleep(0.05) c:write("at last\n") c:close() end)
	service("silent", function() vai.sleep(60) end)
	service("rude", function(c) c:close() end)
	local gone = assert(vai.net.listen("tcp", "127.0.0.1:0")) -- closed at once: nobody waits in accept
	services.gone = gone:addr()
	gone:close()
end
check_all(services)
