-- SPDX-License-Identifier: MIT
-- expect-status: 0
-- expect-stdout: over
local vai = require("vai")
local ch, wg = vai.chan(), vai.waitgroup()
wg:add(1)
for _ = 1, 1000 do
	vai.go(function()
		ch:recv()
	end)
	vai.go(function()
		wg:wait()
	end)
	vai.go(function()
		vai.select({ ch, { ch, 1 } })
	end)
end
vai.yield()
print("over")
