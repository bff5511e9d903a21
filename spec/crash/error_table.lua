-- SPDX-License-Identifier: MIT
-- expect-status: 2
-- expect-stderr: goroutine %d+
-- expect-stderr: error object is a table
local vai = require("vai")
vai.go(function()
	error({ code = 5 })
end)
vai.sleep(1000)
