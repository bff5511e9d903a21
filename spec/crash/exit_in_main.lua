-- SPDX-License-Identifier: MIT
-- expect-status: 4
-- expect-stdout: leaving
-- within: 10
local vai = require("vai")
for _ = 1, 5 do
	vai.go(function()
		while true do
		end
	end)
	vai.go(vai.sleep, 1000)
end
vai.sleep(0.01)
print("leaving")
os.exit(4)
