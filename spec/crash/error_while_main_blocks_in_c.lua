-- SPDX-License-Identifier: MIT
-- Main is in a C call that takes long.
-- expect-status: 2
-- expect-stderr: boom
-- procs: 2 8
local vai = require("vai")
vai.go(function()
	error("boom")
end)
os.execute("sleep 1000 2>/dev/null")
