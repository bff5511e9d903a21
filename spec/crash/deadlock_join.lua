-- SPDX-License-Identifier: MIT
-- expect-status: 1
-- expect-stderr: all goroutines are asleep %- deadlock!
-- expect-stderr: goroutine %d+ %[chan receive
local vai = require("vai")
local ch = vai.chan()
local task = vai.async(function()
	return ch:recv()
end)
task:join()
