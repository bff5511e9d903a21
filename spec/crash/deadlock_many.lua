-- SPDX-License-Identifier: MIT
-- A report about very many goroutines ends too.
-- expect-status: 1
-- expect-stderr: all goroutines are asleep %- deadlock!
-- expect-stderr: goroutine %d+ %[chan receive
local vai = require("vai")
local ch = vai.chan()
for _ = 1, 2000 do
	vai.go(function()
		ch:recv()
	end)
end
ch:recv()
