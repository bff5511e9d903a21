-- SPDX-License-Identifier: MIT
-- expect-status: 0
-- expect-stdout: over
local vai = require("vai")
for _ = 1, 1000 do
	vai.go(vai.sleep, 100000)
end
vai.yield()
print("over")
