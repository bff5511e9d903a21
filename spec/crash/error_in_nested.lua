-- SPDX-License-Identifier: MIT
-- The goroutine that fails was started by another one.
-- expect-status: 2
-- expect-stderr: grandchild failed
-- expect-stderr: created [^\n]*error_in_nested%.lua:@go@
local vai = require("vai")
vai.go(function()
	local why = "grandchild failed"
	vai.go(function() --@go
		error(why, 0)
	end)
	vai.sleep(1000)
end)
vai.sleep(1000)
