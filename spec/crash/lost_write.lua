-- SPDX-License-Identifier: MIT
-- expect-status: 1
-- expect-stderr: lost_write%.lua:@assign@
-- expect-stderr: total
-- expect-stderr: channel
-- expect-stderr: stack traceback
local vai = require("vai")
local total = 0
vai.go(function()
	total = total + 1 --@assign
end)
