-- SPDX-License-Identifier: MIT
-- expect-status: 1
-- expect-stderr: all goroutines are asleep %- deadlock!
local vai = require("vai")
local wg = vai.waitgroup()
wg:add(2)
vai.go(function()
	wg:done()
end)
wg:wait()
