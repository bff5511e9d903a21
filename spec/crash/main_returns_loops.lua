-- SPDX-License-Identifier: MIT
-- Main returns while goroutines never stop: the program ends at once.
-- expect-status: 0
-- expect-stdout: over
-- within: 10
local vai = require("vai")
for _ = 1, 10 do
	vai.go(function()
		while true do
		end
	end)
end
vai.sleep(0.02)
print("over")
