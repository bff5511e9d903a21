-- SPDX-License-Identifier: MIT
-- Main waits inside a coroutine, a goroutine inside a sort comparator inside a coroutine.
-- expect-status: 1
-- expect-stderr: all goroutines are asleep %- deadlock!
-- expect-stderr: deadlock_coroutine%.lua:@recv@
local vai = require("vai")
local ch = vai.chan()
local function comparator()
	return ch:recv() --@recv
end
vai.go(function()
	coroutine.wrap(function()
		table.sort({ 2, 1 }, comparator)
	end)()
end)
vai.sleep(0.01)
coroutine.wrap(function()
	ch:recv()
end)()
