-- SPDX-License-Identifier: MIT
-- Everybody waits: main's wait raises, and lua dies of it with status 1. Every goroutine is named,
-- with what it waits for, its traceback and where it was created.
-- expect-status: 1
-- expect-stderr: all goroutines are asleep %- deadlock!
-- expect-stderr: goroutine 1 %[chan receive
-- expect-stderr: goroutine %d+ %[chan receive
-- expect-stderr: deadlock%.lua:@recv@
-- expect-stderr: created [^\n]*deadlock%.lua:@first@
-- expect-stderr: goroutine %d+ %[chan send
-- expect-stderr: created [^\n]*deadlock%.lua:@second@
-- expect-stderr: goroutine %d+ %[select
-- expect-stderr: goroutine %d+ %[[%a ]*wait ?group
local vai = require("vai")

local a, b, c = vai.chan(), vai.chan(), vai.chan()
local wg = vai.waitgroup()
local function receiver()
	local v = a:recv() --@recv
	return v
end
wg:add(1)
vai.go(receiver) --@first
vai.go(function() --@second
	b:send(1)
end)
vai.go(function()
	vai.select({ c, { b, 2 } })
end)
vai.go(function()
	wg:wait()
end)
c:recv()
