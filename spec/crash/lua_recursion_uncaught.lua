-- SPDX-License-Identifier: MIT
-- expect-status: 2
-- expect-stderr: stack overflow
-- expect-stderr: goroutine %d+
local vai = require("vai")
vai.go(function()
	local function f()
		return 1 + f()
	end
	f()
end)
vai.sleep(1000)
