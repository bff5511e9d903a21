-- SPDX-License-Identifier: MIT
-- A goroutine sits in a C call that takes long.
-- expect-status: 0
-- expect-stdout: over
-- within: 6
local vai = require("vai")
vai.go(function()
	os.execute("sleep 8 2>/dev/null")
end)
vai.sleep(0.02)
print("over")
