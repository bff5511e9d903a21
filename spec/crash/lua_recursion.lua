-- SPDX-License-Identifier: MIT
-- Lua's own stack has its own limit.
-- expect-status: 0
-- expect-stdout: true
-- expect-stdout: 150000
local vai = require("vai")
local task = vai.async(function()
	local function f()
		return 1 + f()
	end
	local ok, err = pcall(f)
	return not ok and tostring(err):find("stack overflow") ~= nil
end)
print(select(2, task:join()))
task = vai.async(function()
	local function down(n)
		if n == 0 then
			return 0
		end
		return 1 + down(n - 1)
	end
	return down(150000)
end)
print(select(2, task:join()))
