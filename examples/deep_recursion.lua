-- SPDX-License-Identifier: MIT
-- Goroutines whose stacks must grow. Lua's own stack grows with recursion in Lua; the C stack with
-- recursion through C functions, as here through string.gsub's callback.
local vai = require("vai")

local function in_lua(n)
	if n == 0 then
		return 0
	end
	return 1 + in_lua(n - 1)
end

local function in_c(n)
	if n == 0 then
		return ""
	end
	return (("x"):gsub("x", function()
		return "." .. in_c(n - 1)
	end))
end

local wg, depths = vai.waitgroup(), vai.chan(100)
for i = 1, 20 do
	wg:go(function()
		depths:send({ lua = in_lua(i * 5000), c = #in_c(i * 3) })
	end)
end
wg:wait()
depths:close()

local lua, c = 0, 0
for d in depths do
	lua, c = math.max(lua, d.lua), math.max(c, d.c)
end
print("deepest recursion in Lua: " .. lua)
print("deepest recursion through string.gsub: " .. c)

-- There is an end to it, and it is an error like any other.
local task = vai.async(function()
	return in_c(1000)
end)
local ok, err = task:join()
print("and too deep: " .. tostring(ok) .. ", " .. tostring(err):match("[%w ]*overflow"))
