-- SPDX-License-Identifier: MIT
-- vai.on_panic's function waits for ever, and so does main: it dies of the deadlock while that
-- goroutine is still in main's state.
-- expect-status: 1
-- expect-stderr: all goroutines are asleep %- deadlock!
-- expect-stderr: goroutine %d+ %[chan receive%]
-- expect-stderr: deadlock_in_handler%.lua:@wait@
local vai = require("vai")
local c = vai.chan()
vai.on_panic(function()
	c:recv() --@wait
end)
vai.go(error, "x")
c:recv()
