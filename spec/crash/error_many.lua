-- SPDX-License-Identifier: MIT
-- Many fail at once: one report, one exit.
-- expect-status: 2
-- expect-stderr: boom
local vai = require("vai")
for _ = 1, 100 do
	vai.go(function()
		vai.yield()
		error("boom")
	end)
end
vai.sleep(1000)
