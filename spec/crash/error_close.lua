-- SPDX-License-Identifier: MIT
-- To-be-closed variables run before the program ends, and the error reported is the one that stays in this release of
-- Lua: that of the variable since 5.4.3.
-- expect-status: 2
-- expect-stdout: closing
-- expect-stdout: closing
-- expect-stderr: stays <([%a ]+)>.*goroutine.*: %1
local vai = require("vai")
local function fail()
	local _ <close> = setmetatable({}, {
		__close = function()
			print("closing")
			error("from close", 0)
		end,
	})
	error("first", 0)
end
io.stderr:write("stays <", select(2, pcall(fail)), ">\n")
vai.go(fail)
vai.sleep(1000)
