-- SPDX-License-Identifier: MIT
-- expect-status: 2
-- expect-stderr: error object is a table
-- expect-stderr: goroutine %d+
local vai = require("vai")
vai.go(function()
	error({ code = 5 })
end)
vai.sleep(1000)
