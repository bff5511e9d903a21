-- SPDX-License-Identifier: MIT
-- expect-status: 2
-- expect-stderr: stack overflow
local vai = require("vai")
vai.go(function()
	local function f()
		return (("x"):gsub("x", f))
	end
	f()
end)
vai.sleep(1000)
