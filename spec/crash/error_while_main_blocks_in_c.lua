-- SPDX-License-Identifier: MIT
-- Main is in a C call that takes long.
-- expect-status: 2
-- expect-stderr: boom
-- within: 6
-- procs: 2 8
local vai = require("vai")
vai.go(function()
	error("boom")
end)
os.execute("sleep 8 2>/dev/null")
