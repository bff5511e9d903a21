-- SPDX-License-Identifier: MIT
-- A handler that fails itself does not swallow the failure.
-- expect-status: 2
-- expect-stderr: boom
local vai = require("vai")
vai.on_panic(function()
	error("handler failed")
end)
vai.go(error, "boom", 0)
vai.sleep(1000)
