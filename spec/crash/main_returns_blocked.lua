-- SPDX-License-Identifier: MIT
-- A goroutine sits in a C call that takes long.
-- expect-status: 0
-- expect-stdout: over
-- procs: 2 8
local vai = require("vai")
local started = vai.chan(1)
vai.go(function()
	started:send(true)
	os.execute("sleep 1000 2>/dev/null")
end)
while #started == 0 do
end
print("over")
