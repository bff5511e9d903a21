-- SPDX-License-Identifier: MIT
-- An error that comes out of a coroutine inside a goroutine.
-- expect-status: 2
-- expect-stderr: from the coroutine
local vai = require("vai")
vai.go(function()
	coroutine.wrap(function()
		error("from the coroutine", 0)
	end)()
end)
vai.sleep(1000)
