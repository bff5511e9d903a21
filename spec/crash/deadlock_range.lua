-- SPDX-License-Identifier: MIT
-- A channel that nobody closes.
-- expect-status: 1
-- expect-stdout: 1
-- expect-stdout: 2
-- expect-stderr: all goroutines are asleep %- deadlock!
local vai = require("vai")
local ch = vai.chan()
vai.go(function()
	ch:send(1)
	ch:send(2)
end)
for v in ch do
	print(v)
end
