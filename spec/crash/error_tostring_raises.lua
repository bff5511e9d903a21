-- SPDX-License-Identifier: MIT
-- A __tostring that raises itself must not hide the failure.
-- expect-status: 2
-- expect-stderr: goroutine %d+
-- expect-stderr: stack traceback
-- reject-stderr: not enough memory
local vai = require("vai")
vai.go(function()
	error(setmetatable({}, {
		__tostring = function()
			error("worse")
		end,
	}))
end)
vai.sleep(1000)
