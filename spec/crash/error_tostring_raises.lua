-- SPDX-License-Identifier: MIT
-- A __tostring that raises itself must not hide the failure.
-- expect-status: 2
-- expect-stderr: error object is a table
local vai = require("vai")
vai.go(function()
	error(setmetatable({}, {
		__tostring = function()
			error("worse")
		end,
	}))
end)
vai.sleep(1000)
