-- SPDX-License-Identifier: MIT
-- expect-status: 2
-- expect-stderr: goroutine %d+
-- expect-stderr: custom error number 7
local vai = require("vai")
local E = {
	__tostring = function(e)
		return "custom error number " .. e.n
	end,
}
vai.go(function()
	error(setmetatable({ n = 7 }, E))
end)
vai.sleep(1000)
