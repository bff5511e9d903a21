-- SPDX-License-Identifier: MIT
-- A goroutine sits in a C call that takes long.
-- expect-status: 0
-- expect-stdout: over
-- procs: 2 8
-- within: 6
local vai = require("vai")
local started = vai.chan(1)
vai.go(function()
	started:send(true)
	os.execute("sleep 8 2>/dev/null")
end)
while #started == 0 do
end
print("over")
