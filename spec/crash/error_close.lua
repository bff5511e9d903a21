-- SPDX-License-Identifier: MIT
-- To-be-closed variables run before the program ends, and their error is the one reported.
-- expect-status: 2
-- expect-stdout: closing
-- expect-stderr: from close
local vai = require("vai")
vai.go(function()
	local _ <close> = setmetatable({}, {
		__close = function()
			print("closing")
			error("from close", 0)
		end,
	})
	error("first", 0)
end)
vai.sleep(1000)
