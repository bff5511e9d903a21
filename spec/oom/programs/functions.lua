-- SPDX-License-Identifier: MIT
-- Functions with upvalues, shared and nested, the script's globals, coroutines inside.
-- luacheck: globals Global Other Setting
local vai = require("vai")
function Global(x)
	return Other(x) + 1
end
function Other(x)
	return x * 2
end
Setting = { name = "setting", list = { 1, 2, 3 } }
local base = 10
local function nested(n)
	return n == 0 and base or nested(n - 1) + 1
end
local function make(k)
	return function(x)
		return x + k + nested(3)
	end
end
local tasks = {}
for i = 1, 4 do
	local f = make(i)
	tasks[i] = vai.async(function()
		local co = coroutine.wrap(function(a)
			local b = coroutine.yield(f(a))
			return Global(b) + #Setting.list
		end)
		local first = co(i)
		return first, co(first), function() return f(1) end
	end)
end
for i = 1, 4 do
	local ok, a, b, f = tasks[i]:join()
	assert(ok, a)
	print(a, b, f())
end
