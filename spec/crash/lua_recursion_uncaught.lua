-- SPDX-License-Identifier: MIT
-- expect-status: 2
-- expect-stderr: goroutine %d+
-- expect-stderr: stack overflow
local vai = require("vai")
vai.go(function()
	local function f()
		return 1 + f()
	end
	f()
end)
vai.sleep(1000)
